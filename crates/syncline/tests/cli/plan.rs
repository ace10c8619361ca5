//! `plan` says what a run would do, and does none of it.

use std::fs;

use serde_json::Value;

use crate::{
    desk::{Desk, number},
    ends::{ALL, End, Ends},
    tables::{Pair, content, orders},
};

/// All files below a folder with their sizes.
fn files(desk: &Desk) -> Vec<(String, u64)> {
    let mut found: Vec<(String, u64)> = fs::read_dir(desk.path())
        .expect("the folder can be read")
        .flatten()
        .map(|file| (file.path().display().to_string(), file.metadata().map_or(0, |file| file.len())))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn a_plan_changes_nothing_at_either_end_nor_in_the_state() {
    for kinds in ALL {
        for target in ["", "CREATE TABLE t (id bigint PRIMARY KEY, v text)"] {
            let Some(ends) = Ends::new(kinds) else { return };
            ends.from.sql(
                "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
            );
            ends.to.sql("CREATE TABLE theirs (id int); INSERT INTO theirs VALUES (7)");
            ends.to.sql(target);
            let look = || match &ends.to {
                End::Postgres(database) => vec![content(database)],
                End::Sqlite(file) => file.content().unwrap_or_default(),
                End::Mysql(_) | End::Files(_) => unreachable!("not asked for"),
            };
            let (before, folder) = (look(), files(&ends.desk));
            for command in [["plan", "--parallel", "2"], ["copy", "--dry-run", "--allow-empty"]] {
                let options = [&["--stream", "t"], &command[1..]].concat();
                ends.desk.run(&ends.command(command[0], &options)).expect_code(0);
                ends.desk.text(&ends.command(command[0], &options)).expect_code(0);
            }
            assert_eq!(look(), before, "{}", ends.what);
            assert_eq!(files(&ends.desk), folder, "{}", ends.what);
            // Nor is there anything to go on with.
            ends.run(&["--stream", "t"]).done();
            ends.same("SELECT id, v FROM t ORDER BY id");
        }
    }
}

#[test]
fn a_plan_shows_types_sizes_and_what_would_be_done() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(5_000));
    pair.from.sql("ANALYZE orders");
    let plan = |options: &[&str]| pair.desk.run(&pair.command("plan", options)).expect_code(0).last().clone();
    let all = |value: &Value| value.to_string();
    let stream = plan(&["--stream", "orders"])["streams"][0].clone();
    assert_eq!(number(&stream["rows_estimate"]), 5_000, "{stream}");
    assert!((500_000..3_000_000).contains(&number(&stream["bytes_estimate"])), "{stream}");
    assert_eq!((&stream["existing"], &stream["key"]), (&Value::Null, &serde_json::json!(["id"])), "{stream}");
    let column = stream["columns"]
        .as_array()
        .and_then(|columns| columns.iter().find(|column| column["name"] == "amount"));
    let column = column.unwrap_or_else(|| panic!("no amount in {stream}"));
    assert_eq!(
        (&column["source_type"], &column["target_type"]),
        (&"numeric(12,2)".into(), &"numeric(12,2)".into())
    );
    let text = pair.desk.text(&pair.command("plan", &["--stream", "orders"])).expect_code(0).stdout;
    for part in [
        "about 5 000 rows",
        "there is no such table",
        "at the source",
        "timestamp with time zone",
        "exactly once",
        "create orders",
        "Not copied: indexes",
    ] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    // Replaced, added to, merged.
    pair.run(&["--stream", "orders"]).done();
    let made = plan(&["--stream", "orders"]);
    assert_eq!(made["streams"][0]["existing"]["made_by_syncline"], true, "{made}");
    assert!(all(&made["streams"][0]["publish"]).contains("replace"), "{made}");
    pair.to.sql("CREATE VIEW v AS TABLE orders");
    let in_place = all(&plan(&["--stream", "orders"])["streams"][0]["publish"]);
    assert!(in_place.contains("public.v"), "{in_place}");
    let text = pair
        .desk
        .text(&pair.command("plan", &["--stream", "orders", "--write", "append"]))
        .expect_code(0)
        .stdout;
    assert!(text.contains("adds all rows again"), "{text}");
    let merge = all(&plan(&["--stream", "orders", "--write", "merge"])["streams"][0]);
    assert!(merge.contains("merge"), "{merge}");
}

#[test]
fn a_plan_that_is_blocked_says_why_and_ends_with_1() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'); CREATE TABLE keyless (v text)");
    pair.to.sql("CREATE TABLE t (id int PRIMARY KEY, v int)");
    let plan = |options: &[&str]| pair.desk.run(&pair.command("plan", options));
    let last = plan(&["--stream", "t"]).expect_code(1);
    assert!(last.finished.stdout.contains("SYN-3003"), "{}", last.finished);
    let failed = last.failed(1, "SYN-5010").hinted();
    assert!(failed.message.contains("`v`") || failed.message.contains("t.v"), "{failed:?}");
    let text = pair.desk.text(&pair.command("plan", &["--stream", "t"])).expect_code(1);
    assert!(text.stdout.contains("blocker") && text.stderr.contains("SYN-5010"), "{text}");
    // What only the user can decide is a blocker of the plan, too.
    pair.to
        .sql("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (9, 'theirs')");
    let undecided = plan(&["--stream", "t"]).expect_code(1);
    assert!(undecided.finished.stdout.contains("--write overwrite"), "{}", undecided.finished);
    let keyless = plan(&["--stream", "keyless", "--write", "merge"]).expect_code(1);
    assert!(keyless.finished.stdout.contains("SYN-3004"), "{}", keyless.finished);
    pair.run(&["--stream", "keyless", "--write", "merge"]).failed(1, "SYN-3004").hints("--key");
}
