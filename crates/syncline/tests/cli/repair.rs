//! `verify --repair`: what differs is put right, nothing else is touched, and the numbers are true.

use std::time::Duration;

use serde_json::Value;
use syncline_testkit::seed::Seed;

use crate::{
    desk::{number, sum},
    ends::{EACH_TARGET, End, Ends, WITH_FILES, WITH_MYSQL, with_text_keys},
};

const ROWS: u64 = 3_000;

/// A table with a key of two columns, one a text, copied.
fn filled(kinds: (&str, &str)) -> Option<Ends> {
    let ends = source(kinds)?;
    ends.run(&["--stream", "t"]).done();
    Some(ends)
}

/// The same, not copied yet.
fn source(kinds: (&str, &str)) -> Option<Ends> {
    let ends = Ends::new(kinds)?;
    let rows: Vec<String> = (1..=ROWS)
        .map(|id| {
            format!(
                "({id}, 'Group {}', 'value {id} ä', {id}.25, '2024-01-01 00:00:{:02}.5')",
                id % 7,
                id % 60
            )
        })
        .collect();
    let text = ends.key_text();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint, grp {text}, v text, amount decimal(14,3), at timestamp, PRIMARY KEY (grp, id));
         INSERT INTO t VALUES {}",
        rows.join(",")
    ));
    Some(ends)
}

/// Source rows, target rows, missing, different, extra.
fn counts(told: &Value) -> [u64; 5] {
    ["source_rows", "target_rows", "missing", "different", "extra"].map(|field| number(&told[field]))
}

/// Counts what is done to a table in the database itself.
fn watch(end: &End, table: &str) {
    end.sql("CREATE TABLE touched (what text)");
    for event in ["INSERT", "UPDATE", "DELETE"] {
        match end {
            End::Postgres(database) => database.sql(&format!(
                "CREATE FUNCTION note_{event}() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN INSERT INTO public.touched VALUES ('{event}'); RETURN NULL; END $$;
                 CREATE TRIGGER note_{event} AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION note_{event}()"
            )),
            End::Mysql(database) => database.sql(&format!(
                "CREATE TRIGGER note_{event} AFTER {event} ON {table} FOR EACH ROW INSERT INTO touched VALUES ('{event}')"
            )),
            End::Files(_) => panic!("files have no triggers"),
            End::Sqlite(file) => file.sql(&format!(
                "CREATE TRIGGER note_{event} AFTER {event} ON {table} BEGIN INSERT INTO touched VALUES ('{event}'); END"
            )),
        };
    }
}

fn touched(end: &End) -> String {
    end.sql("SELECT what, count(*) FROM touched GROUP BY what ORDER BY what").replace('\n', " ")
}

#[test]
fn missing_different_and_extra_rows_are_put_right() {
    for kinds in with_text_keys() {
        let Some(ends) = filled(kinds) else { return };
        let verify = ends.command("verify", &["--stream", "t"]);
        let repair = ends.command("verify", &["--stream", "t", "--repair"]);
        let none = ends.desk.run(&repair).done();
        assert_eq!(counts(&none["streams"][0]), [ROWS, ROWS, 0, 0, 0], "{}: {none}", ends.what);
        assert_eq!(sum(&none, "repaired"), 0, "{}", ends.what);
        // A key that differs in its case only, where the table tells it apart.
        let another = if ends.from.is_mysql() && ends.to.is_mysql() { "another group" } else { "group 3" };
        ends.to.sql(&format!(
            "DELETE FROM t WHERE id IN (5, 6, 2999); UPDATE t SET v = 'changed' WHERE id = 77; UPDATE t SET amount = NULL WHERE id = 1;
             INSERT INTO t (id, grp, v) VALUES (-4, 'Group 0', 'new'), (9999, 'zzz', NULL), (10, '{another}', 'another case')",
        ));
        watch(&ends.to, "t");
        let ran = ends.desk.run(&repair).expect_code(0);
        let told = ran.last();
        let stream = &told["streams"][0];
        assert_eq!(counts(&stream["repair"]["before"]), [ROWS, ROWS, 3, 2, 3], "{}: {told}", ends.what);
        assert_eq!(counts(stream), [ROWS, ROWS, 0, 0, 0], "{}: {told}", ends.what);
        assert_eq!(number(&stream["repaired"]), 8, "{}: {told}", ends.what);
        assert_eq!((number(&stream["repair"]["written"]), number(&stream["repair"]["deleted"])), (5, 3));
        assert_eq!(ran.of("difference").len(), 8, "{}", ends.what);
        assert_eq!(ran.of("comparing").len(), 2, "{}", ends.what);
        assert_eq!(touched(&ends.to), "DELETE|3 INSERT|3 UPDATE|2", "{}: nothing else is touched", ends.what);
        ends.same("SELECT id, grp, v FROM t ORDER BY id");
        ends.desk.run(&verify).done();
        let left: Vec<_> =
            std::fs::read_dir(ends.desk.state()).expect("the state is there").flatten().collect();
        assert!(
            left.iter().all(|file| !file.file_name().to_string_lossy().starts_with("repair")),
            "{left:?}"
        );
        // For people: both looks.
        ends.to.sql("DELETE FROM t WHERE id = 7");
        let text = ends.desk.text(&repair).expect_code(0);
        for part in ["before:", "after:", "not equal", "repaired"] {
            assert!(text.stdout.contains(part), "no `{part}` in {text}");
        }
        // A copy goes on as ever.
        ends.run(&["--stream", "t"]).done();
    }
}

const TWENTY_THOUSAND: &str = "WITH RECURSIVE d(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM d WHERE i < 9),
     n(i) AS (SELECT 1 + a.i + 10 * b.i + 100 * c.i + 1000 * e.i + 10000 * f.i FROM d a, d b, d c, d e, d f)
     SELECT i, 'value ' || i FROM n WHERE i <= 20000";

#[test]
fn three_of_twenty_thousand_rows_are_three_writes() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from
            .sql(&format!("CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t {TWENTY_THOUSAND}"));
        ends.run(&["--stream", "t"]).done();
        ends.to.sql("DELETE FROM t WHERE id = 5; UPDATE t SET v = 'x' WHERE id = 10000; INSERT INTO t VALUES (20001, 'y')");
        watch(&ends.to, "t");
        let told = ends
            .desk
            .run(&ends.command("verify", &["--stream", "t", "--repair", "--chunk-rows", "2000"]))
            .done();
        assert_eq!(sum(&told, "repaired"), 3, "{}: {told}", ends.what);
        assert_eq!(touched(&ends.to), "DELETE|1 INSERT|1 UPDATE|1", "{}", ends.what);
        ends.same("SELECT id, v FROM t ORDER BY id");
    }
}

/// Whose rows are changed at the other end: nobody but Syncline writes into its folders.
#[test]
fn folders_are_repaired_too() {
    for kinds in WITH_FILES {
        let Some(ends) = Ends::new(kinds) else { return };
        let rows: Vec<String> = (1..=1_000).map(|id| format!("({id}, 'value {id}', {id}.5)")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, v text, amount decimal(8,2)); INSERT INTO t VALUES {}",
            rows.join(",")
        ));
        ends.run(&["--stream", "t", "--parallel", "1"]).done();
        ends.from.sql(
            "DELETE FROM t WHERE id IN (5, 999); UPDATE t SET v = 'x' WHERE id = 77; INSERT INTO t VALUES (2000, 'new', NULL)",
        );
        let told = ends.desk.run(&ends.command("verify", &["--stream", "t", "--repair"])).done();
        let stream = &told["streams"][0];
        assert_eq!(counts(&stream["repair"]["before"]), [999, 1_000, 1, 1, 2], "{}: {told}", ends.what);
        assert_eq!(counts(stream), [999, 999, 0, 0, 0], "{}: {told}", ends.what);
        assert_eq!((number(&stream["repair"]["written"]), number(&stream["repair"]["deleted"])), (2, 2));
        ends.same("SELECT id, v FROM t ORDER BY id");
        let again = ends.desk.run(&ends.command("verify", &["--stream", "t", "--repair"])).done();
        assert_eq!(sum(&again, "repaired"), 0, "{}: {again}", ends.what);
    }
}

#[test]
fn masked_streams_and_renamed_keys_are_repaired_as_they_were_copied() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(
            "CREATE TABLE t (id bigint PRIMARY KEY, email text, n bigint);
             INSERT INTO t VALUES (1, 'one@x', 1), (2, 'two@x', 2), (3, 'three@x', 3), (4, 'four@x', -4), (5, 'five@x', 5);
             CREATE TABLE people (email varchar(64) PRIMARY KEY, n bigint);
             INSERT INTO people VALUES ('one@x', 1), ('two@x', 2), ('three@x', 3)",
        );
        let file = ends.desk.file(
            "f.yaml",
            &format!(
                "mask_key: k3y-secret
pipelines:
  p:
    from: \"{}\"
    to: \"{}\"
    streams:
      - name: t
        steps:
          - filter: n > 0
          - rename: {{ id: number }}
          - mask: {{ email: hash }}
      - name: people
        steps:
          - mask: {{ email: hash }}
",
                ends.from.url(),
                ends.to.url()
            ),
        );
        ends.desk.run(&["run", &file]).done();
        let good =
            (ends.to.sql("SELECT * FROM t ORDER BY 1"), ends.to.sql("SELECT * FROM people ORDER BY 1"));
        ends.to.sql(
            "DELETE FROM t WHERE number = 1; UPDATE t SET email = 'two@x' WHERE number = 2; INSERT INTO t VALUES (4, 'x', 4);
             UPDATE people SET n = 9 WHERE n = 1; DELETE FROM people WHERE n = 2; INSERT INTO people VALUES ('four', 4)",
        );
        let told = ends.desk.run(&["verify", &file, "--repair"]).done();
        assert_eq!(sum(&told, "repaired"), 6, "{}: {told}", ends.what);
        let after =
            (ends.to.sql("SELECT * FROM t ORDER BY 1"), ends.to.sql("SELECT * FROM people ORDER BY 1"));
        assert_eq!(after, good, "{}", ends.what);
        ends.to.nothing_left();
        ends.desk.never_said("two@x");
    }
}

#[test]
fn while_a_run_works_or_is_unfinished_nothing_is_repaired() {
    for kinds in EACH_TARGET {
        let Some(ends) = source(kinds) else { return };
        let options = ["--stream", "t", "--write", "merge", "--chunk-rows", "100"];
        let repair = ends.command("verify", &[&options[..], &["--repair"]].concat());
        let text = ends.key_text();
        ends.to.sql(&format!(
            "CREATE TABLE t (id bigint, grp {text}, v text, amount decimal(14,3), at timestamp, PRIMARY KEY (grp, id))"
        ));
        let slow = [&options[..], &["--limit-rows", "1000/s"]].concat();
        let run = ends.copy(&slow).start();
        ends.desk.wait_for_chunks(&run, 1);
        ends.desk.run(&repair).failed(1, "SYN-5001").hinted();
        run.kill9();
        assert!(ends.desk.hear(run.wait()).was_killed(), "{}: it was too quick", ends.what);
        let before = ends.to.sql("SELECT id, v FROM t ORDER BY id");
        ends.desk.run(&repair).failed(1, "SYN-5011").hints("--restart");
        assert_eq!(ends.to.sql("SELECT id, v FROM t ORDER BY id"), before, "{}", ends.what);
        // The state is not at hand, but the target remembers the run.
        let elsewhere = crate::desk::Desk::new();
        elsewhere.run(&repair).failed(1, "SYN-5011").hinted();
        ends.run(&options).done();
        ends.desk.run(&repair).done();
        ends.same("SELECT id, v FROM t ORDER BY id");
    }
}

/// Repairs that are killed, for each pair, and how many are begun for that at most.
const KILLS: u32 = 1;
const LIVES_MAX: u32 = 12;

#[test]
fn a_repair_that_is_killed_is_simply_begun_again() {
    let seed = Seed::from_env();
    let mut rng = seed.rng();
    for kinds in with_text_keys() {
        let Some(ends) = filled(kinds) else { return };
        let spoil = "DELETE FROM t WHERE id % 3 = 0; UPDATE t SET v = 'x' WHERE id % 3 = 1;
                     INSERT INTO t (id, grp) SELECT id + 10000, grp FROM t WHERE id % 3 = 2";
        let options = ["--stream", "t", "--repair", "--chunk-rows", "100", "--parallel", "2"];
        let repair = ends.command("verify", &options);
        ends.to.sql(spoil);
        let whole = ends.desk.read(ends.desk.syncline(&repair).args(["--output", "json"]).run());
        let longest = whole.finished.seconds;
        assert_eq!(sum(&whole.done(), "repaired"), ROWS, "{}", ends.what);
        let mut kills = 0;
        for _ in 0..LIVES_MAX {
            if kills == KILLS {
                break;
            }
            ends.to.sql(spoil);
            let seen = || ends.to.sql("SELECT count(*) FROM t WHERE v = 'x'");
            let before = seen();
            let moment = Duration::from_secs_f64(longest * (300 + rng.below(700)) as f64 / 1_000.0);
            let life = ends
                .desk
                .hear(ends.desk.syncline(&repair).args(["--output", "json"]).start().kill9_after(moment));
            kills += u32::from(life.was_killed());
            let after = seen();
            assert!(
                after == before || after == "0",
                "{}: {after} of {before} rows: a part is seen",
                ends.what
            );
            ends.desk.run(&repair).done();
            ends.same("SELECT id, grp, v FROM t ORDER BY id");
        }
        assert!(kills > 0, "{}: none was killed, SYNCLINE_SEED={}", ends.what, seed.value());
    }
}

#[test]
fn what_cannot_be_repaired_is_said_and_the_rest_is() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(
            "CREATE TABLE keyless (n bigint, v text); INSERT INTO keyless VALUES (1, 'a'), (2, 'b');
             CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        );
        ends.run(&[]).done();
        ends.to.sql("UPDATE keyless SET v = 'x' WHERE n = 1; DELETE FROM t WHERE id = 1");
        let ran = ends.desk.run(&ends.command("verify", &["--repair"])).expect_code(3);
        let failed = ran.of("stream_failed");
        assert_eq!(failed.len(), 1, "{}: {}", ends.what, ran.finished);
        assert_eq!(failed[0]["code"], "SYN-3004");
        assert_eq!(sum(ran.last(), "repaired"), 1);
        ends.same("SELECT id, v FROM t ORDER BY id");
        assert_eq!(ends.to.sql("SELECT count(*) FROM keyless WHERE v = 'x'"), "1");
    }
}

#[test]
fn an_empty_source_empties_nothing_unless_that_is_said() {
    for kinds in EACH_TARGET {
        let Some(ends) = filled(kinds) else { return };
        ends.from.sql("DELETE FROM t");
        let repair = |more: &[&str]| {
            ends.desk.run(&ends.command("verify", &[&["--stream", "t", "--repair"], more].concat()))
        };
        let ran = repair(&[]).expect_code(3);
        assert_eq!(ran.of("stream_failed")[0]["code"], "SYN-3008", "{}", ends.what);
        assert_eq!(ends.to.sql("SELECT count(*) FROM t"), ROWS.to_string(), "{}", ends.what);
        repair(&["--allow-empty"]).done();
        assert_eq!(ends.to.sql("SELECT count(*) FROM t"), "0", "{}", ends.what);
    }
}

/// A row that cannot be read is still there: the target's own of it is no row too much.
#[test]
fn rows_that_a_step_rejects_stay_as_they_are_at_the_target() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(
            "CREATE TABLE t (id bigint PRIMARY KEY, n text); INSERT INTO t VALUES (1, '10'), (2, '20'), (3, '30'), (4, '40')",
        );
        let file = ends.desk.file(
            "f.yaml",
            &format!(
                "pipelines:\n  p:\n    from: \"{}\"\n    to: \"{}\"\n    streams:\n      - name: t\n        steps:\n          - cast: {{ n: bigint }}\n",
                ends.from.url(),
                ends.to.url()
            ),
        );
        ends.desk.run(&["run", &file]).done();
        ends.from.sql("UPDATE t SET n = 'no number' WHERE id = 2; UPDATE t SET n = '31' WHERE id = 3; DELETE FROM t WHERE id = 4");
        let ran = ends.desk.run(&["verify", &file, "--repair"]).expect_code(3);
        let stream = &ran.last()["streams"][0];
        assert_eq!(
            (number(&stream["unreadable"]), number(&stream["repaired"])),
            (1, 2),
            "{}: {stream}",
            ends.what
        );
        assert_eq!(ends.to.sql("SELECT id, n FROM t ORDER BY id"), "1|10\n2|20\n3|31", "{}", ends.what);
        ends.to.nothing_left();
    }
}

#[test]
fn a_row_that_the_target_refuses_stops_the_repair_or_becomes_a_dead_letter() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(
            "CREATE TABLE t (id bigint PRIMARY KEY, n bigint); INSERT INTO t VALUES (1, 1), (2, -2), (3, 3)",
        );
        ends.to.sql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint CHECK (n > 0)); INSERT INTO t VALUES (1, 1), (9, 9)");
        let repair = |on_error: &str| {
            let options =
                ["--stream", "t", "--name", "p", "--write", "merge", "--repair", "--on-error", on_error];
            ends.desk.run(&ends.command("verify", &options)).expect_code(3)
        };
        let ran = repair("stop");
        assert_eq!(ran.of("stream_failed")[0]["code"], "SYN-4001", "{}: {}", ends.what, ran.finished);
        assert_eq!(
            ends.to.sql("SELECT id FROM t ORDER BY id"),
            "1",
            "{}: what is too much is gone",
            ends.what
        );
        let ran = repair("dead_letter");
        let stream = &ran.last()["streams"][0];
        assert_eq!((number(&stream["missing"]), number(&stream["repair"]["rejected"])), (1, 1), "{stream}");
        assert_eq!(ends.to.sql("SELECT id FROM t ORDER BY id"), "1\n3", "{}", ends.what);
        assert_eq!(ends.desk.run(&["dlq", "list", "p"]).expect_code(0).events.len(), 1);
        ends.to.nothing_left();
    }
}

/// Rows that refer to each other, in tables whose order is not that of their keys.
#[test]
fn foreign_keys_are_kept() {
    for kinds in EACH_TARGET {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(
            "CREATE TABLE z (id bigint PRIMARY KEY); INSERT INTO z VALUES (1), (2);
             CREATE TABLE a (id bigint PRIMARY KEY, z bigint REFERENCES z (id)); INSERT INTO a VALUES (1, 1), (2, 2)",
        );
        ends.to.sql("CREATE TABLE z (id bigint PRIMARY KEY); CREATE TABLE a (id bigint PRIMARY KEY, z bigint REFERENCES z (id))");
        ends.run(&["--write", "merge", "--stream", "z"]).done();
        ends.run(&["--write", "merge", "--stream", "a"]).done();
        ends.to.sql("INSERT INTO z VALUES (3); INSERT INTO a VALUES (3, 3); DELETE FROM a WHERE id = 2; DELETE FROM z WHERE id = 2");
        for streams in [["z", "a"], ["a", "z"]] {
            let options = ["--write", "merge", "--stream", streams[0], "--stream", streams[1], "--repair"];
            ends.desk.run(&ends.command("verify", &options)).done();
            ends.same("SELECT id FROM z ORDER BY id");
            ends.same("SELECT id, z FROM a ORDER BY id");
            ends.to.sql("INSERT INTO z VALUES (3); INSERT INTO a VALUES (3, 3); DELETE FROM a WHERE id = 2; DELETE FROM z WHERE id = 2");
        }
    }
}
