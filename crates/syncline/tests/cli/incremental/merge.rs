//! Runs that merge what has come since the last one.

use crate::{
    desk::sum,
    ends::{Ends, WITH_FILES, WITH_MYSQL},
};

const TABLE: &str = "SELECT id, at, n, v FROM t ORDER BY id";

/// Rows numbered from 1, each a second after the one before; ten have no cursor.
fn fill(ends: &Ends, rows: u32) {
    let rows: Vec<String> = (1..=rows).map(|id| row(id, Some(id), "first")).collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, at timestamp, n bigint, v text); INSERT INTO t VALUES {}",
        rows.join(", ")
    ));
}

/// A row whose cursors have a value, or none.
fn row(id: u32, cursor: Option<u32>, text: &str) -> String {
    match cursor {
        Some(at) => format!("({id}, {}, {at}, '{text}')", time(at)),
        None => format!("({id}, NULL, NULL, '{text}')"),
    }
}

fn time(at: u32) -> String {
    format!("'2024-01-01 {:02}:{:02}:{:02}'", at / 3600, at / 60 % 60, at % 60)
}

#[test]
fn each_run_copies_what_has_come_or_changed_since() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        for cursor in ["at", "n"] {
            let Some(ends) = Ends::new(kinds) else { return };
            fill(&ends, 500);
            ends.from.sql(&format!(
                "INSERT INTO t VALUES {}, {}",
                row(1001, None, "a"),
                row(1002, None, "b")
            ));
            let run = || {
                let options =
                    ["--stream", "t", "--sync", "incremental", "--cursor", cursor, "--chunk-rows", "150"];
                ends.run(&options).done()
            };
            let what = format!("{} by {cursor}", ends.what);
            let first = run();
            assert_eq!(sum(&first, "rows"), 502, "{what}: {first}");
            ends.same(TABLE);
            // Changed, new, and one more with the value that was the highest.
            ends.from.sql(&format!(
                "UPDATE t SET v = 'changed', n = 600 + id, at = {} WHERE id <= 20;
                 INSERT INTO t VALUES {}, {}",
                time(700),
                row(501, Some(550), "new"),
                row(502, Some(500), "late")
            ));
            let second = run();
            assert_eq!(sum(&second, "rows"), 23, "{what}: those, and the one at the mark: {second}");
            ends.same(TABLE);
            // Nothing has come: only what is at the mark is read again.
            let third = run();
            assert!(sum(&third, "rows") <= 20, "{what}: {third}");
            ends.same(TABLE);
            let told = third["streams"][0]["window"].clone();
            assert_eq!((told["cursor"].as_str(), told["nulls"].as_u64()), (Some(cursor), Some(2)), "{third}");
            assert_eq!(told["from"], told["upto"], "{third}");
        }
    }
}

#[test]
fn rows_without_a_cursor_are_copied_once_and_told_afterwards() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = Ends::new(kinds) else { return };
        fill(&ends, 10);
        ends.from.sql(&format!("INSERT INTO t VALUES {}", row(11, None, "old")));
        let options = ["--stream", "t", "--sync", "incremental", "--cursor", "n"];
        ends.run(&options).done();
        ends.same(TABLE);
        ends.from.sql(&format!(
            "UPDATE t SET v = 'new' WHERE id = 11; INSERT INTO t VALUES {}",
            row(12, None, "x")
        ));
        let told = ends.desk.text(&ends.command("copy", &options)).expect_code(0);
        assert!(told.stderr.contains("warning: ") && told.stderr.contains("2 rows have no value"), "{told}");
        assert_eq!(ends.to.sql("SELECT id, v FROM t WHERE n IS NULL"), "11|old", "{}", ends.what);
        let plan = ends.desk.text(&ends.command("plan", &options)).expect_code(0);
        assert!(plan.stdout.contains("2 rows have no value in the cursor `n`"), "{plan}");
    }
}

#[test]
fn a_look_back_finds_rows_that_come_late() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = Ends::new(kinds) else { return };
        fill(&ends, 100);
        let run = |lookback: &[&str]| {
            let options = ["--stream", "t", "--sync", "incremental", "--cursor", "at"];
            ends.run(&[&options, lookback].concat()).done()
        };
        run(&[]);
        ends.from.sql(&format!(
            "INSERT INTO t VALUES {}, {}",
            row(200, Some(95), "late"),
            row(201, Some(120), "new")
        ));
        run(&[]);
        assert_eq!(ends.to.sql("SELECT count(*) FROM t WHERE id = 200"), "0", "{}", ends.what);
        let summary = run(&["--lookback", "30s"]);
        // From the second 90 on.
        assert_eq!(sum(&summary, "rows"), 13, "{}: {summary}", ends.what);
        ends.same(TABLE);
    }
}

#[test]
fn of_several_rows_with_one_key_the_last_one_by_the_cursor_wins() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = Ends::new(kinds) else { return };
        // A log: the key is not unique there.
        ends.from.sql("CREATE TABLE log (seq bigint NOT NULL, id bigint NOT NULL, v text)");
        let mut seq = 0;
        let mut add = |rounds: u32| {
            for round in 0..rounds {
                let rows: Vec<String> = (1..=40)
                    .map(|id| {
                        seq += 1;
                        format!("({seq}, {id}, 'round {round} of {seq}')")
                    })
                    .collect();
                ends.from.sql(&format!("INSERT INTO log VALUES {}", rows.join(", ")));
            }
        };
        let file = ends.desk.file(
            "log.yaml",
            &format!(
                "pipelines:\n  log:\n    from: {}\n    to: {}\n    sync: incremental\n    cursor: seq\n    key: [id]\n    \
                 chunk_rows: 17\n    lookback: 50\n    streams: [log]\n    steps: [{{rename: {{seq: last_seq}}}}]\n",
                ends.from.url(),
                ends.to.url()
            ),
        );
        let wanted = "SELECT id, seq, v FROM log WHERE seq > (SELECT max(seq) FROM log) - 40 ORDER BY id";
        for rounds in [3, 1, 2] {
            add(rounds);
            ends.desk.run(&["run", &file]).expect_code(0);
            let got = ends.to.sql("SELECT id, last_seq, v FROM log ORDER BY id");
            assert_eq!(got, ends.from.sql(wanted), "{}", ends.what);
        }
        // Without the cursor nobody could tell which is the last.
        let file = ends.desk.file(
            "cut.yaml",
            &format!(
                "pipelines:\n  cut:\n    from: {}\n    to: {}\n    sync: incremental\n    cursor: seq\n    key: [id]\n    \
                 streams: [log]\n    steps: [{{drop: [seq]}}]\n",
                ends.from.url(),
                ends.to.url()
            ),
        );
        ends.desk.run(&["run", &file]).failed(1, "SYN-3004").names(&["`seq`", "not unique"]);
    }
}

/// What lies outside of a run's window is not gone.
#[test]
fn only_rows_that_the_source_no_longer_has_are_deleted() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = Ends::new(kinds) else { return };
        fill(&ends, 300);
        let options = ["--stream", "t", "--sync", "incremental", "--cursor", "n", "--deletes", "apply"];
        ends.run(&options).done();
        ends.from.sql(&format!(
            "DELETE FROM t WHERE id % 50 = 7; INSERT INTO t VALUES {}",
            row(400, Some(301), "new")
        ));
        let summary = ends.run(&options).done();
        assert_eq!((sum(&summary, "rows"), sum(&summary, "deleted")), (2, 6), "{}: {summary}", ends.what);
        ends.same(TABLE);
    }
}
