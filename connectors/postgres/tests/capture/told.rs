//! What statements do is told, as the rows are at the moment of a look.

use syncline_connect::Logged;

use crate::{TRIGGERS, rig::Rig, with_server};

#[tokio::test]
async fn inserts_updates_deletes_and_truncation_are_told() {
    with_server(async {
        let rig = Rig::with(
            "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO t VALUES (9, 'old')",
            TRIGGERS,
        )
        .await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO other VALUES (1)");
        assert_eq!(following.all(&rig).await.lines, ["t + 1|a", "t + 2|b"]);
        rig.sql("BEGIN; UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET id = 3 WHERE id = 9; COMMIT");
        let told = following.all(&rig).await;
        assert_eq!(told.transactions, 1);
        // Those that are gone come first, each kind in no order.
        let mut lines = told.lines;
        lines.sort();
        assert_eq!(lines, ["t - 2", "t - 9", "t ~ 1|c", "t ~ 3|old"]);
        rig.sql("BEGIN; INSERT INTO t VALUES (4, 'undone'); ROLLBACK");
        rig.sql("BEGIN; INSERT INTO t VALUES (5, 'x'); SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; COMMIT");
        assert_eq!(following.all(&rig).await.lines, ["t + 5|x"]);
        rig.sql("INSERT INTO t VALUES (5, 'y') ON CONFLICT (id) DO UPDATE SET v = excluded.v");
        assert_eq!(following.all(&rig).await.lines, ["t ~ 5|y"]);
        rig.sql("BEGIN; INSERT INTO t VALUES (6, 'gone'); TRUNCATE t; INSERT INTO t VALUES (7, 'after'); COMMIT");
        assert_eq!(following.all(&rig).await.lines, ["t truncated", "t - 6", "t + 7|after"]);
        // Whoever writes as a replica, or by a cascade, is seen too.
        rig.sql("SET session_replication_role = replica; UPDATE t SET v = 'replica'");
        assert_eq!(following.all(&rig).await.lines, ["t ~ 7|replica"]);
    })
    .await;
}

#[tokio::test]
async fn what_commits_late_is_told_when_it_does() {
    with_server(async {
        let rig = Rig::with("CREATE TABLE t (id int PRIMARY KEY, v text)", TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        // It writes first and commits last; places are given out, kept and gone on from in between.
        let late = rig.database.start_sql(
            "BEGIN; INSERT INTO t VALUES (1, 'late'); SELECT pg_sleep(2); COMMIT;",
        );
        while rig.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'") == "0" {
            assert!(late.is_running(), "it writes");
        }
        rig.sql("INSERT INTO t VALUES (2, 'early')");
        assert_eq!(following.all(&rig).await.lines, ["t + 2|early"]);
        let at = following.at.clone();
        following.reader.confirm(&at).await.expect("it can be confirmed");
        let reads = following.reads.clone();
        drop(following);
        let mut following = rig.open(reads, at).await;
        rig.sql("INSERT INTO t VALUES (3, 'later')");
        assert_eq!(following.all(&rig).await.lines, ["t + 3|later"]);
        late.wait().expect_code(0);
        assert_eq!(following.all(&rig).await.lines, ["t + 1|late"]);
        let at = following.at.clone();
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        following.reader.confirm(&at).await.expect("it can be confirmed");
        let left = "SELECT relname FROM pg_class WHERE relname LIKE '\\_syncline\\_changes%' AND relkind = 'r'";
        assert_eq!(rig.sql(&format!("SELECT count(*) FROM {}", rig.sql(left))), "0", "what was read is deleted");
    })
    .await;
}

#[tokio::test]
async fn values_and_keys_are_those_of_a_copy() {
    with_server(async {
        let rig = Rig::with(
            "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE DOMAIN code AS numeric(6,2);
             CREATE TYPE mood AS ENUM ('sad', 'ok');
             CREATE TABLE t (name text COLLATE nocase, n numeric, i interval, c code, PRIMARY KEY (name, n),
                             b bytea, j jsonb, m mood, f float8, ts timestamptz, ip inet, l text, g int GENERATED ALWAYS AS (length(l)) STORED)",
            TRIGGERS,
        )
        .await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("SET DateStyle = 'German'; SET extra_float_digits = -5; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'Asia/Tokyo';
                 INSERT INTO t VALUES ('Ann', 1.0, '1 mon', 1.5, '\\x00ff', '{\"a\": 1}', 'ok', 0.1, '2024-02-29 12:00:00+00', '10.0.0.1', repeat('x', 5))");
        let line = |name: &str, n: &str| {
            format!("t + {name}|{n}|P1M|1.50|\\x00ff|{{\"a\": 1}}|ok|0.1|2024-02-29 12:00:00+00:00|10.0.0.1|{}", "x".repeat(5))
        };
        assert_eq!(following.all(&rig).await.lines, [line("Ann", "1.0")]);
        // Equal to the key's index, and another value.
        rig.sql("UPDATE t SET name = 'ANN'");
        assert_eq!(following.all(&rig).await.lines, ["t - Ann|1.0".to_owned(), line("ANN", "1.0").replace(" + ", " ~ ")]);
        rig.sql("UPDATE t SET n = 1.00");
        assert_eq!(following.all(&rig).await.lines, ["t - ANN|1.0".to_owned(), line("ANN", "1.00").replace(" + ", " ~ ")]);
        rig.sql("UPDATE t SET l = l || ''");
        assert_eq!(following.all(&rig).await.lines, [line("ANN", "1.00").replace(" + ", " ~ ")]);
    })
    .await;
}

#[tokio::test]
async fn large_transactions_come_in_parts() {
    with_server(async {
        let rig = Rig::with("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)", TRIGGERS).await;
        let mut following = rig.follow(&["t", "u"]).await;
        rig.sql("BEGIN; INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g; INSERT INTO u SELECT id FROM t;
                 DELETE FROM u WHERE id <= 9000; COMMIT");
        let mut parts = 0;
        let mut rows = 0;
        loop {
            match following.next().await.expect("the changes can be read") {
                Logged::Changes(batch) => {
                    parts += 1;
                    rows += batch.changes.iter().map(|changes| changes.written.len() + changes.went.len()).sum::<usize>();
                    if batch.position.is_some() {
                        break;
                    }
                }
                Logged::Idle(_) => assert_eq!(parts, 0),
                Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
            }
        }
        assert_eq!(rows, 40_000);
        assert!(parts > 10, "{parts}");
    })
    .await;
}

#[tokio::test]
async fn columns_come_and_go() {
    with_server(async {
        let rig = Rig::with("CREATE TABLE t (id int PRIMARY KEY, a text, b int)", TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, 'one', 1)");
        assert_eq!(following.all(&rig).await.lines, ["t + 1|one|1"]);
        rig.sql("BEGIN; ALTER TABLE t ADD COLUMN d float8 DEFAULT 0.5; ALTER TABLE t DROP COLUMN b; ALTER TABLE t RENAME a TO name; COMMIT");
        rig.sql("UPDATE t SET d = 2.5");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t is (id integer, name text, d double precision)", "t ~ 1|one|2.5"]);
        // Another column of the same name and type is another one.
        rig.sql("BEGIN; ALTER TABLE t DROP COLUMN d; ALTER TABLE t ADD COLUMN d float8; UPDATE t SET d = 1; COMMIT");
        assert_eq!(following.all(&rig).await.lines, ["t is (id integer, name text, d double precision)", "t ~ 1|one|1"]);
        // Rewriting the table between two looks, or during one, loses no row.
        rig.sql("ALTER TABLE t ALTER COLUMN d TYPE numeric(6,2)");
        rig.sql("VACUUM FULL t");
        rig.sql("UPDATE t SET name = 'two'");
        assert_eq!(following.all(&rig).await.lines, ["t is (id integer, name text, d numeric(6,2))", "t ~ 1|two|1.00"]);
    })
    .await;
}
