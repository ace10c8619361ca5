//! A place in the log is taken, gone on with, and refused where going on would lose something.

use std::{sync::Arc, time::Duration};

use syncline_connect::{Connector, Finding, Log, Logged, Read, Severity};
use syncline_testkit::servers::postgres::{Options, Postgres, shared};
use syncline_types::{Code, codes};

use crate::{
    rig::{Rig, context, source},
    with_server,
};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text)";

async fn blockers(log: &dyn Log, reads: &[Arc<Read>]) -> Vec<Finding> {
    let findings = log.inspect(reads).await.expect("it can be looked at");
    findings.into_iter().filter(|finding| finding.severity == Severity::Blocker).collect()
}

/// The one thing that stands in the way, which keeping the place says too.
async fn blocked(log: &dyn Log, reads: &[Arc<Read>], code: &'static Code, hint: &str) {
    let found = blockers(log, reads).await;
    let [Finding { error: Some(error), .. }] = found.as_slice() else { panic!("{code}: {found:?}") };
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(hint), "{error}");
    let error = log.keep(reads, None).await.expect_err("it cannot be kept");
    assert_eq!(error.code(), code, "{error}");
}

#[tokio::test]
async fn a_place_is_taken_once_and_gone_on_with() {
    with_server(async {
        let rig = Rig::new(&format!("{TABLE}; CREATE TABLE u (id int PRIMARY KEY)")).await;
        let reads = rig.reads(&["t"]).await;
        assert!(blockers(rig.log.as_ref(), &reads).await.is_empty());
        assert_eq!(rig.sql("SELECT count(*) FROM pg_publication"), "0", "looking changes nothing");
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        assert_eq!(rig.log.keep(&reads, Some(&at)).await.expect("it goes on"), at);
        let name = rig.sql("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()");
        assert!(name.starts_with(&format!("syncline_{}_", rig.database.name())), "{name}");
        assert_eq!(rig.sql("SELECT pubname FROM pg_publication"), name);
        // Nothing is known: whoever knew it may have gone on from there.
        let error = rig.log.keep(&reads, None).await.expect_err("it is there already");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        assert!(error.to_string().contains("--restart"), "{error}");
        // A table that is new is told of from here on.
        rig.sql("INSERT INTO t VALUES (1, 'a'); INSERT INTO u VALUES (1)");
        let both = rig.reads(&["t", "u"]).await;
        assert_eq!(rig.log.keep(&both, Some(&at)).await.expect("it goes on"), at);
        rig.sql("INSERT INTO u VALUES (2)");
        let told = rig.open(both, at).await.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|a", "u + 2"]);
        rig.log.release().await.expect("it can be released");
        rig.log.release().await.expect("that changes nothing");
    })
    .await;
}

#[tokio::test]
async fn writers_of_a_new_table_are_waited_for() {
    with_server(async {
        let rig = Rig::new(&format!("{TABLE}; CREATE TABLE u (id int PRIMARY KEY)")).await;
        let at = rig.log.keep(&rig.reads(&["t"]).await, None).await.expect("the place can be kept");
        let writer = rig.database.start_sql("BEGIN; INSERT INTO u VALUES (1); SELECT pg_sleep(1); COMMIT;");
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        while rig.sql(sleeps) == "0" {
            assert!(writer.is_running(), "it writes");
        }
        let both = rig.reads(&["t", "u"]).await;
        rig.log.keep(&both, Some(&at)).await.expect("it goes on");
        // What is not told by the log is seen by a copy that begins now.
        assert_eq!(rig.sql("SELECT count(*) FROM u"), "1");
        writer.wait().expect_code(0);
    })
    .await;
}

#[tokio::test]
async fn what_was_dropped_is_lost() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        rig.sql("DO $$ BEGIN EXECUTE (SELECT 'DROP PUBLICATION ' || pubname FROM pg_publication); END $$");
        let error = rig.log.keep(&reads, Some(&at)).await.expect_err("the publication is gone");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        let name = rig.sql("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()");
        rig.sql(&format!("SELECT pg_drop_replication_slot('{name}')"));
        let error = rig.log.keep(&reads, Some(&at)).await.expect_err("the slot is gone");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        rig.sql(&format!("INSERT INTO t VALUES (1, 'lost'); SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
        for error in [
            rig.log.keep(&reads, Some(&at)).await.expect_err("it is another slot"),
            rig.log.open(&reads, &at, &[]).await.err().expect("it is another slot"),
        ] {
            assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        }
        // A server that has gone back in time is another one.
        let later = syncline_types::Position("FFFF/0".into());
        let error = rig.log.keep(&reads, Some(&later)).await.expect_err("it is not yet written");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
    })
    .await;
}

#[tokio::test]
async fn slots_of_others_are_refused() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let name = rig.sql("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()");
        let following = rig.open(reads.clone(), at.clone()).await;
        for error in [
            rig.log.keep(&reads, Some(&at)).await.expect_err("it is in use"),
            rig.log.open(&reads, &at, &[]).await.err().expect("it is in use"),
        ] {
            assert_eq!(error.code(), &codes::LOCKED, "{error}");
            assert!(error.to_string().contains("(syncline) reads from it"), "{error}");
        }
        drop(following);
        rig.log.release().await.expect("it can be released, the session being on its way out");
        rig.sql(&format!("SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')"));
        blocked(rig.log.as_ref(), &reads, &codes::NAME_TAKEN, "its plugin is `test_decoding`").await;
        let error = rig.log.release().await.expect_err("it is somebody else's");
        assert_eq!(error.code(), &codes::NAME_TAKEN, "{error}");
        rig.sql(&format!(
            "SELECT pg_drop_replication_slot('{name}'); SELECT pg_create_physical_replication_slot('{name}')"
        ));
        blocked(rig.log.as_ref(), &reads, &codes::NAME_TAKEN, "physical").await;
        rig.sql(&format!("SELECT pg_drop_replication_slot('{name}')"));
        let other = Rig::new(TABLE).await;
        other.sql(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
        blocked(rig.log.as_ref(), &reads, &codes::NAME_TAKEN, "it belongs to database").await;
    })
    .await;
}

#[tokio::test]
async fn tables_that_cannot_be_followed_are_said_to_be_so() {
    with_server(async {
        let rig = Rig::new(
            "CREATE TABLE keyless (a int);
             CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
             CREATE TABLE late (id int PRIMARY KEY DEFERRABLE);
             CREATE TABLE other (id int PRIMARY KEY, b int NOT NULL UNIQUE);
             ALTER TABLE other REPLICA IDENTITY USING INDEX other_b_key;
             CREATE TABLE indexed (b int NOT NULL UNIQUE, c int); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_b_key;
             CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
             CREATE VIEW v AS SELECT 1 AS id;
             CREATE TABLE computed (id int PRIMARY KEY, c int GENERATED ALWAYS AS (id + 1) STORED);
             CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
             CREATE TABLE q (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1);
             ALTER TABLE q1 REPLICA IDENTITY NOTHING",
        )
        .await;
        let log = rig.log.as_ref();
        for (table, code, hint) in [
            ("keyless", &codes::KEY_MISSING, "ALTER TABLE public.keyless REPLICA IDENTITY FULL"),
            ("nothing", &codes::KEY_MISSING, "NOTHING"),
            ("late", &codes::KEY_MISSING, "REPLICA IDENTITY FULL"),
            ("other", &codes::KEY_MISSING, "does not tell `id`"),
            ("indexed", &codes::KEY_MISSING, "REPLICA IDENTITY FULL"),
            ("unlogged", &codes::UNSUPPORTED, "SET LOGGED"),
            ("v", &codes::UNSUPPORTED, "sync: full"),
            ("q", &codes::KEY_MISSING, "ALTER TABLE public.q1 REPLICA IDENTITY FULL"),
        ] {
            blocked(log, &rig.reads(&[table]).await, code, hint).await;
        }
        let mut computed = rig.reads(&["computed"]).await;
        assert!(blockers(log, &computed).await.is_empty(), "the column is not read");
        let whole = Read { columns: vec!["id".into(), "c".into()], ..computed[0].as_ref().clone() };
        computed[0] = Arc::new(whole);
        blocked(log, &computed, &codes::UNSUPPORTED, "`drop` step").await;
        let twice = rig.reads(&["p", "p1"]).await;
        blocked(log, &twice, &codes::UNSUPPORTED, "it is a partition of `public.p`").await;
        assert_eq!(rig.sql("SELECT count(*) FROM pg_publication"), "0", "what is refused changes nothing");
        // Once it is followed, its owner's updates go on.
        rig.sql("ALTER TABLE keyless REPLICA IDENTITY FULL");
        rig.follow(&["keyless"]).await;
        rig.sql("INSERT INTO keyless VALUES (1); UPDATE keyless SET a = 2; DELETE FROM keyless");
    })
    .await;
}

#[tokio::test]
async fn what_an_administrator_has_made_is_used_and_left() {
    with_server(async {
        let options = r#", "slot": "given_slot", "publication": "given"#.to_owned() + r#"""#;
        let rig = Rig::with(&format!("{TABLE}; CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY LIST (id);
            CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"), &options).await;
        let log = rig.log.as_ref();
        let reads = rig.reads(&["t", "p"]).await;
        let found = blockers(log, &reads).await;
        let codes: Vec<u16> = found.iter().filter_map(|found| Some(found.error.as_ref()?.code().number)).collect();
        assert_eq!(codes, [codes::STREAM_MISSING.number; 2], "{found:?}");
        rig.sql("SELECT pg_create_logical_replication_slot('given_slot', 'pgoutput')");
        rig.sql("CREATE PUBLICATION given FOR TABLE t (id) WHERE (id > 0), p WITH (publish = 'insert')");
        let found = blockers(log, &reads).await;
        let said: String = found.iter().map(|found| format!("{}\n", found.message)).collect();
        for expected in [
            "SET (publish = 'insert, update, delete, truncate')",
            "leaves out column `v` of `public.t`",
            "SET (publish_via_partition_root = true)",
        ] {
            assert!(said.contains(expected), "{said}");
        }
        assert_eq!(found.len(), 3, "{said}");
        rig.sql(
            "ALTER PUBLICATION given SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);
             ALTER PUBLICATION given SET TABLE t",
        );
        blocked(log, &reads, &codes::UNSUPPORTED, r#"ALTER PUBLICATION "given" ADD TABLE "public"."p""#).await;
        rig.sql("ALTER PUBLICATION given ADD TABLE p");
        rig.sql("INSERT INTO t VALUES (1, 'before')");
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        // It was kept from before, and is not gone on with from there.
        rig.sql("INSERT INTO t VALUES (2, 'after'); INSERT INTO p VALUES (1, 'part')");
        let mut following = rig.open(reads.clone(), at).await;
        assert_eq!(following.all(&rig).await.lines, ["t + 2|after", "p + 1|part"]);
        let at = following.at.clone();
        drop(following);
        log.keep(&reads, Some(&at)).await.expect("it goes on");
        log.release().await.expect("it can be released");
        assert_eq!(rig.sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'given_slot'; SELECT pubname FROM pg_publication"), "1\ngiven");
    })
    .await;
}

#[tokio::test]
async fn a_publication_of_all_tables_is_one_too() {
    with_server(async {
        let rig = Rig::with(&format!("{TABLE}; CREATE PUBLICATION everything FOR ALL TABLES"), r#", "publication": "everything""#).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("CREATE TABLE later (id int PRIMARY KEY, w inet); INSERT INTO later VALUES (1, '::1'); INSERT INTO t VALUES (1, 'x')");
        assert_eq!(following.all(&rig).await.lines, ["t + 1|x"]);
    })
    .await;
}

#[tokio::test]
async fn a_role_without_rights_is_told_which_it_needs() {
    with_server(async {
        let rig = Rig::new(&format!("{TABLE}; CREATE TABLE u (id int PRIMARY KEY)")).await;
        let role = format!("role_{}", rig.database.name());
        rig.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT SELECT ON t, u TO {role}"));
        let json = format!(
            r#"{{"user": "{role}", "password": "p", "host": "127.0.0.1", "port": {}, "path": "{}"}}"#,
            shared().port(),
            rig.database.name()
        );
        let open = async || {
            let config = serde_json::from_str(&json).expect("the configuration is right");
            let source = syncline_postgres::Postgres::source(config, context()).await.expect("it can be read");
            source.log(rig.database.name()).await.expect("it has a log")
        };
        let reads = rig.reads(&["t"]).await;
        let said: Vec<String> =
            blockers(open().await.as_ref(), &reads).await.into_iter().map(|found| found.message).collect();
        for (said, expected) in said.iter().zip([
            format!("ALTER ROLE \"{role}\" REPLICATION"),
            "only its owner may".to_owned(),
            "GRANT CREATE ON DATABASE".to_owned(),
        ]) {
            assert!(said.contains(&expected), "{said}");
        }
        assert_eq!(said.len(), 3, "{said:?}");
        let database = rig.database.name();
        rig.sql(&format!("ALTER ROLE {role} REPLICATION; ALTER TABLE t OWNER TO {role}; GRANT CREATE ON DATABASE {database} TO {role}"));
        let log = open().await;
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        rig.sql("INSERT INTO t VALUES (1, 'x')");
        let mut reader = log.open(&reads, &at, &[]).await.expect("the log can be opened");
        // The server may say first that nothing has happened.
        loop {
            let logged = tokio::time::timeout(Duration::from_secs(10), reader.next()).await;
            match logged.expect("something comes").expect("the log can be read") {
                Logged::Idle(_) => {}
                Logged::Changes(batch) => break assert_eq!(batch.changes[0].rows.num_rows(), 1),
                Logged::Schema(change) => panic!("{change:?}"),
            }
        }
        drop(reader);
        rig.sql(&format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_has_no_room_or_no_log_is_told_so() {
    with_server(async {
        let plain = Postgres::start(Options::new());
        let name = plain.create_database();
        plain.database(&name).sql(TABLE);
        let rig = Rig::over(plain.port(), plain.database(&name), "").await;
        let reads = rig.reads(&["t"]).await;
        blocked(rig.log.as_ref(), &reads, &codes::UNSUPPORTED, "ALTER SYSTEM SET wal_level = 'logical'")
            .await;
        let full = Postgres::start(
            Options::new()
                .logical()
                .setting("max_replication_slots", "1")
                .setting("synchronous_standby_names", "*")
                .setting("synchronous_commit", "local"),
        );
        let name = full.create_database();
        full.database(&name).sql(TABLE);
        let rig = Rig::over(full.port(), full.database(&name), "").await;
        rig.sql("SELECT pg_create_physical_replication_slot('x')");
        blocked(rig.log.as_ref(), &reads, &codes::SERVER_BUSY, "max_replication_slots").await;
        rig.sql("SELECT pg_drop_replication_slot('x')");
        // Two pipelines have a place each.
        let source = source(full.port(), &name, "", context()).await.expect("it can be read");
        let other = source.log("another").await.expect("it has a log");
        let reads = rig.reads(&["t"]).await;
        other.keep(&reads, None).await.expect("the place can be kept");
        blocked(rig.log.as_ref(), &reads, &codes::SERVER_BUSY, "max_replication_slots").await;
        other.release().await.expect("it can be released");
        let findings = rig.log.inspect(&reads).await.expect("it can be looked at");
        for expected in ["synchronous_standby_names", "max_slot_wal_keep_size"] {
            let warned = |finding: &Finding| {
                finding.severity == Severity::Warning && finding.message.contains(expected)
            };
            assert!(findings.iter().any(warned), "{expected}: {findings:?}");
        }
        rig.log.keep(&reads, None).await.expect("there is room again");
        // Without a key a copy takes one more.
        rig.sql("CREATE TABLE bag (a int); ALTER TABLE bag REPLICA IDENTITY FULL");
        let bag = rig.reads(&["bag"]).await;
        let findings = rig.log.inspect(&bag).await.expect("it can be looked at");
        assert!(
            findings.iter().any(|finding| finding.message.contains("one replication slot more")),
            "{findings:?}"
        );
        let error = rig.log.snapshot(&bag, 1).await.err().expect("there is no slot");
        assert_eq!(error.code(), &codes::SERVER_BUSY, "{error}");
        assert!(error.to_string().contains("max_replication_slots"), "{error}");
    })
    .await;
}
