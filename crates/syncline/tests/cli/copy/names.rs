//! Names that have to be quoted, and names that cannot be used.

use crate::tables::Pair;

/// As names of schemas, tables, columns and keys alike.
const ODD: &[&str] = &[
    "select",
    "Upper Case",
    "with\"quote",
    "it's",
    "a.b",
    "semi;colon--",
    "ünïcödé 漢字 🦀",
    "$1",
    "back\\slash",
    "new\nline",
    "_syncline".split_at(5).0,
    "sixty_three_bytes_sixty_three_bytes_sixty_three_bytes_sixty_thr",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn names_of_every_kind_arrive_as_they_are() {
    let Some(pair) = Pair::new() else { return };
    for name in ODD {
        let quoted = quoted(name);
        pair.from.sql(&format!(
            "CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} text NOT NULL DEFAULT 'it''s', n serial, PRIMARY KEY ({quoted}, n));
             INSERT INTO {quoted}.{quoted} SELECT 'v' || g, g FROM generate_series(1, 60) g"
        ));
        pair.to.sql(&format!("CREATE SCHEMA {quoted}"));
        let stream = format!("{quoted}.{quoted}={quoted}.{quoted}");
        for way in ["overwrite", "overwrite", "merge"] {
            let ran = pair.run(&[
                "--stream",
                &stream,
                "--write",
                way,
                "--chunk-rows",
                "25",
                "--where",
                &format!("{quoted} <> 'v7'"),
            ]);
            ran.done();
            pair.same_as(
                &format!("SELECT * FROM {quoted}.{quoted} WHERE n <> 7"),
                &format!("TABLE {quoted}.{quoted}"),
            );
        }
        // And in the place of a table that something hangs on.
        pair.to.sql(&format!("CREATE VIEW {quoted}.\"v\" AS TABLE {quoted}.{quoted}"));
        pair.run(&["--stream", &stream, "--write", "overwrite"]).done();
        pair.same_as(&format!("TABLE {quoted}.{quoted}"), &format!("TABLE {quoted}.\"v\""));
        let verified = pair.desk.run(&pair.command("verify", &["--stream", &stream]));
        assert_eq!(verified.done()["streams"][0]["source_rows"], 60);
    }
}

#[test]
fn a_name_that_the_target_would_cut_is_refused() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let long = "x".repeat(64);
    let refused = pair.run(&["--stream", &format!("t={long}")]).failed(1, "SYN-3006");
    refused.names(&[&long, "63 bytes"]);
    pair.run(&["--stream", "t=_syncline_mine"]).failed(1, "SYN-3006").names(&["Syncline's own"]);
}

#[test]
fn names_that_other_things_have_taken_are_no_hindrance_or_told_before_anything_is_copied() {
    let Some(pair) = Pair::new() else { return };
    pair.from
        .sql("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 30)");
    // The index of a table that was put aside keeps its name.
    pair.to.sql("CREATE TABLE orders (id int PRIMARY KEY); ALTER TABLE orders RENAME TO orders_old");
    pair.run(&["--stream", "orders"]).done();
    pair.same("orders");
    pair.run(&["--stream", "orders"]).done();
    pair.same("orders");
    for (number, other) in ["SEQUENCE", "VIEW"].iter().enumerate() {
        let name = format!("taken{number}");
        let rest = if *other == "VIEW" { " AS SELECT 1 AS id" } else { "" };
        pair.to.sql(&format!("CREATE {other} {name}{rest}"));
        let ran = pair.run(&["--stream", &format!("orders={name}")]);
        assert!(
            ran.of("stream_failed").is_empty(),
            "it is known before anything is copied\n{}",
            ran.finished
        );
        let code = ran.last()["code"].as_str().unwrap_or_default().to_owned();
        assert!(["SYN-3005", "SYN-3006"].contains(&code.as_str()), "{}", ran.finished);
        ran.failed(1, &code).names(&[&name]);
    }
}
