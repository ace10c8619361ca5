//! Which tables are copied, and under which names they arrive.

use serde_json::Value;

use crate::{
    desk::Desk,
    tables::{Pair, nothing_left, same_rows},
};

fn targets(summary: &Value) -> Vec<String> {
    let streams = summary["streams"].as_array().expect("a list");
    let mut names: Vec<String> =
        streams.iter().map(|stream| stream["target"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

fn shop(pair: &Pair) {
    pair.from.sql(
        "CREATE SCHEMA shop; CREATE SCHEMA other;
         DO $$ DECLARE name text; BEGIN
           FOREACH name IN ARRAY ARRAY['a', 'b', 'shop.order_items', 'shop.order_notes', 'shop.customers', 'other.customers'] LOOP
             EXECUTE format('CREATE TABLE %s (id int PRIMARY KEY, origin text)', name);
             EXECUTE format('INSERT INTO %s SELECT g, %L FROM generate_series(1, 40) g', name, name);
           END LOOP;
         END $$;
         CREATE VIEW v AS SELECT * FROM a; CREATE MATERIALIZED VIEW m AS SELECT * FROM a;",
    );
}

#[test]
fn without_a_stream_every_table_of_the_default_namespace_is_copied() {
    let Some(pair) = Pair::new() else { return };
    shop(&pair);
    // Tables of Syncline's own are there when the source was a target before.
    pair.from.sql("CREATE TABLE _syncline_checkpoint (x int); CREATE TABLE _syncline_stage_old_0 (x int)");
    assert_eq!(targets(&pair.run(&[]).done()), ["a", "b"]);
    for table in ["a", "b"] {
        pair.same(table);
    }
    // Another default namespace is an option of the connection.
    let from = format!("{}?schema=shop", pair.from.url());
    let ran = Desk::new().run(&["copy", &from, pair.to.url()]);
    assert_eq!(targets(&ran.done()), ["customers", "order_items", "order_notes"]);
    pair.same_as("SELECT * FROM shop.customers", "SELECT * FROM public.customers");
    // And at the target it is where everything goes.
    pair.to.sql("CREATE SCHEMA landing");
    let to = format!("{}?schema=landing", pair.to.url());
    Desk::new().run(&["copy", pair.from.url(), &to]).done();
    pair.same_as("SELECT * FROM b", "SELECT * FROM landing.b");
}

#[test]
fn streams_are_named_by_globs_and_land_under_the_names_they_are_given() {
    let Some(pair) = Pair::new() else { return };
    shop(&pair);
    pair.to.sql("CREATE SCHEMA archive");
    let options =
        ["--stream", "shop.order_*", "--stream", "a=archive.first", "--stream", "\"shop\".customers=clients"];
    assert_eq!(
        targets(&pair.run(&options).done()),
        ["archive.first", "clients", "order_items", "order_notes"]
    );
    for (source, target) in [
        ("shop.order_items", "order_items"),
        ("a", "archive.first"),
        ("shop.customers", "clients"),
        ("shop.order_notes", "order_notes"),
    ] {
        same_rows((&pair.from, &format!("TABLE {source}")), (&pair.to, &format!("TABLE {target}")));
    }
    nothing_left(&pair.to);
    assert_eq!(pair.to.sql("SELECT count(*) FROM pg_class WHERE relname LIKE '\\_syncline\\_stage%'"), "0");
    // A glob finds tables and no views, a name finds a view, too.
    assert_eq!(targets(&pair.run(&["--stream", "{a,v,m}"]).done()), ["a"]);
    assert_eq!(targets(&pair.run(&["--stream", "v", "--stream", "m"]).done()), ["m", "v"]);
    pair.same("v");
    pair.same("m");
}

#[test]
fn two_streams_for_one_table_are_refused() {
    let Some(pair) = Pair::new() else { return };
    shop(&pair);
    let options = ["--stream", "shop.customers", "--stream", "other.customers"];
    let refused = pair.run(&options).failed(1, "SYN-3006");
    refused.names(&["`shop.customers`", "`other.customers`"]).hints("--stream SRC=DST");
    pair.run(&["--stream", "a", "--stream", "a"]).failed(1, "SYN-3006");
    pair.run(&["--stream", "shop.customers", "--stream", "other.customers=others"]).done();
    pair.same_as("TABLE other.customers", "TABLE others");
    // A glob and a name: what is named is meant.
    assert_eq!(targets(&pair.run(&["--stream", "*", "--stream", "a=named"]).done()), ["b", "named"]);
}

#[test]
fn a_failed_stream_does_not_stop_the_others() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(
        "CREATE TABLE good (id int PRIMARY KEY); INSERT INTO good SELECT generate_series(1, 100);
         CREATE TABLE bad (id int PRIMARY KEY, t text); INSERT INTO bad SELECT g, repeat('hunter2-', g) FROM generate_series(1, 9) g;
         CREATE TABLE also (id int PRIMARY KEY); INSERT INTO also SELECT generate_series(1, 10)",
    );
    pair.to.sql("CREATE TABLE bad (id int PRIMARY KEY, t text CHECK (length(t) < 64))");
    let options = ["--stream", "bad", "--stream", "good", "--stream", "also"];
    let ran = pair.run(&options);
    let failures = ran.of("stream_failed");
    assert_eq!(
        (failures.len(), &failures[0]["stream"], &failures[0]["code"]),
        (1, &"public.bad".into(), &"SYN-4001".into())
    );
    ran.failed(1, "SYN-4001").names(&["bad_t_check"]);
    for table in ["good", "also"] {
        same_rows((&pair.from, &format!("TABLE {table}")), (&pair.to, &format!("TABLE {table}")));
    }
    assert_eq!(pair.to.sql("SELECT count(*) FROM bad"), "0");
    let status = pair.desk.status();
    assert_eq!(status["state"], "unfinished", "{status}");
    // Two that failed are told as one error, and each by itself before.
    pair.to.sql("CREATE TABLE bad2 (id int PRIMARY KEY, t text CHECK (length(t) < 64))");
    let ran = pair.run(&["--stream", "bad", "--stream", "bad=bad2"]);
    assert_eq!(ran.of("stream_failed").len(), 0, "a stream named twice is refused before anything is done");
    let ran = pair.run(&["--stream", "bad=bad2", "--stream", "good=bad3", "--name", "twice"]);
    ran.failed(1, "SYN-4001");
    pair.from.sql("DELETE FROM bad WHERE length(t) >= 64");
    let summary = pair.run(&options).done();
    let rows: Vec<&Value> =
        summary["streams"].as_array().expect("a list").iter().map(|stream| &stream["rows"]).collect();
    assert_eq!(rows, [7, 0, 0], "what is published is not copied again");
    same_rows((&pair.from, "TABLE bad"), (&pair.to, "TABLE bad"));
    pair.desk.never_said("hunter2");
}
