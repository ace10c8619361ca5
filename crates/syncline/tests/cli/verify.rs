//! `verify`: equal or not, and which rows.

use serde_json::Value;

use crate::{
    desk::{Ran, number, sum},
    ends::{ALL, Ends},
    tables::{Pair, orders},
};

const ROWS: u64 = 3_000;

fn filled(kinds: (&str, &str)) -> Option<Ends> {
    let ends = Ends::new(kinds)?;
    let rows: Vec<String> = (1..=ROWS)
        .map(|id| {
            format!(
                "({id}, 'group {}', 'value {id} ä', {}.25, '2024-01-01 00:00:{:02}.5')",
                id % 7,
                id,
                id % 60
            )
        })
        .collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint, grp text, v text, amount decimal(14,3), at timestamp, PRIMARY KEY (grp, id)); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
    ends.run(&["--stream", "t"]).done();
    Some(ends)
}

/// The differences named, as `kind key`, in an order of their own.
fn named(ran: &Ran) -> Vec<String> {
    let mut named: Vec<String> = ran
        .of("difference")
        .iter()
        .map(|told| format!("{} {}", told["kind"].as_str().unwrap_or_default(), key(&told["key"])))
        .collect();
    named.sort_unstable();
    named
}

/// A key in the order of its columns' names.
fn key(told: &Value) -> String {
    let columns: std::collections::BTreeMap<String, &Value> =
        told.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), value)).collect();
    columns.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// Source rows, target rows, missing, different, extra.
fn counts(told: &Value) -> [u64; 5] {
    ["source_rows", "target_rows", "missing", "different", "extra"].map(|field| sum(told, field))
}

#[test]
fn what_was_copied_is_equal_and_what_was_changed_is_named_by_key() {
    for kinds in ALL {
        let Some(ends) = filled(kinds) else { return };
        let verify = ends.command("verify", &["--stream", "t"]);
        let equal = ends.desk.run(&verify).done();
        assert_eq!(counts(&equal), [ROWS, ROWS, 0, 0, 0], "{}: {equal}", ends.what);
        ends.to.sql(
            "DELETE FROM t WHERE id IN (5, 6, 2999); UPDATE t SET v = 'changed' WHERE id = 77; UPDATE t SET amount = NULL WHERE id = 1;
             INSERT INTO t (id, grp, v) VALUES (-4, 'group 0', 'new'), (9999, 'zzz', NULL)",
        );
        let ran = ends.desk.run(&verify).expect_code(3);
        assert_eq!(ran.last()["event"], "summary", "{}", ran.finished);
        assert_eq!(counts(ran.last()), [ROWS, ROWS - 1, 3, 2, 2], "{}: {}", ends.what, ran.finished);
        let mut wanted = [
            r#"different grp="group 0" id=77"#,
            r#"different grp="group 1" id=1"#,
            r#"extra grp="group 0" id=-4"#,
            r#"extra grp="zzz" id=9999"#,
            r#"missing grp="group 3" id=2999"#,
            r#"missing grp="group 5" id=5"#,
            r#"missing grp="group 6" id=6"#,
        ];
        wanted.sort_unstable();
        assert_eq!(named(&ran), wanted, "{}", ends.what);
        // For people: keys, counts, and no other column.
        let text = ends.desk.text(&verify).expect_code(3);
        for part in ["missing", "different", "extra", "9999", "not equal"] {
            assert!(text.stdout.contains(part), "no `{part}` in {text}");
        }
        ends.desk.never_said("value 77");
        ends.desk.never_said("changed");
        // Copied again, it is equal again; `verify` itself changed nothing.
        assert_eq!(ends.to.sql("SELECT count(*) FROM t"), (ROWS - 1).to_string());
        ends.run(&["--stream", "t"]).done();
        ends.desk.run(&verify).done();
    }
}

#[test]
fn rows_without_a_key_are_compared_as_often_as_they_are_there() {
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        let rows: Vec<String> = (1..=1_000).map(|id| format!("({}, 'same')", id % 10)).collect();
        ends.from.sql(&format!("CREATE TABLE t (n int, v text); INSERT INTO t VALUES {}", rows.join(",")));
        ends.run(&["--stream", "t"]).done();
        let verify = ends.command("verify", &["--stream", "t"]);
        assert_eq!(counts(&ends.desk.run(&verify).done()), [1_000, 1_000, 0, 0, 0], "{}", ends.what);
        // One of a hundred equal rows is gone, another is there once more.
        ends.to.sql("CREATE TABLE kept AS SELECT n, v FROM t; DELETE FROM t WHERE n IN (3, 4)");
        let again: Vec<&str> =
            std::iter::repeat_n("(3, 'same')", 99).chain(std::iter::repeat_n("(4, 'same')", 101)).collect();
        ends.to.sql(&format!("INSERT INTO t VALUES {}", again.join(",")));
        let ran = ends.desk.run(&verify).expect_code(3);
        assert_eq!(counts(ran.last()), [1_000, 1_000, 1, 0, 1], "{}: {}", ends.what, ran.finished);
    }
}

#[test]
fn tables_of_other_shapes_are_told_and_not_guessed() {
    for kinds in ALL {
        let Some(ends) = filled(kinds) else { return };
        ends.to.sql("ALTER TABLE t ADD COLUMN more int");
        ends.desk.run(&ends.command("verify", &["--stream", "t"])).done();
        ends.to.sql("ALTER TABLE t DROP COLUMN amount");
        ends.desk.run(&ends.command("verify", &["--stream", "t"])).failed(1, "SYN-3002").names(&["amount"]);
        ends.to.sql("DROP TABLE t");
        ends.desk.run(&ends.command("verify", &["--stream", "t"])).failed(1, "SYN-3001").names(&["t"]);
    }
}

#[test]
fn many_streams_are_each_told() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(500));
    pair.from.sql("CREATE TABLE empty (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)");
    pair.run(&[]).done();
    let told = pair.desk.run(&pair.command("verify", &[])).done();
    let streams = told["streams"].as_array().expect("a list");
    let rows: Vec<(&str, u64)> = streams
        .iter()
        .map(|stream| (stream["stream"].as_str().unwrap_or_default(), number(&stream["target_rows"])))
        .collect();
    assert_eq!(rows, [("public.empty", 0), ("public.orders", 500), ("public.other", 1)]);
    pair.to.sql("UPDATE orders SET tags = ARRAY['new'] WHERE id = 250; DELETE FROM other");
    let ran = pair.desk.run(&pair.command("verify", &["--parallel", "2"])).expect_code(3);
    assert_eq!(named(&ran), ["different id=250", "missing id=1"]);
    // Only some columns; and only a part of the source, so that the rest is too much.
    let part = pair.command("verify", &["--stream", "orders", "--where", "id <= 200"]);
    assert_eq!(counts(pair.desk.run(&part).expect_code(3).last()), [200, 500, 0, 0, 300]);
    pair.desk.run(&pair.command("verify", &["--stream", "orders", "--columns", "id,customer"])).done();
}
