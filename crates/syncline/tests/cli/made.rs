//! Rows that are made up, and rows that nobody keeps.

use crate::{
    desk::{Desk, sum},
    lite::Lite,
    tables::{Pair, digest},
};

#[test]
fn the_same_seed_gives_the_same_rows() {
    let Some(pair) = Pair::new() else { return };
    for (stream, rows) in [("orders", 2_000), ("narrow", 2_000), ("types", 1_000)] {
        let mut seen = vec![];
        for (seed, parallel, chunk) in [("7", "1", "10000"), ("7", "4", "333"), ("8", "2", "1000")] {
            let from = format!("generate:{stream}?rows={rows}&seed={seed}");
            let options = ["--parallel", parallel, "--chunk-rows", chunk];
            let summary = pair.desk.run(&[&["copy", &from, pair.to.url()], &options[..]].concat()).done();
            assert_eq!(sum(&summary, "rows"), rows, "{stream}: {summary}");
            seen.push(digest(&pair.to, &format!("TABLE {stream}")));
            pair.desk.run(&["verify", &from, pair.to.url()]).done();
        }
        assert!(seen[0] == seen[1] && seen[1] != seen[2], "{stream}: {seen:#?}");
    }
}

#[test]
fn columns_can_be_asked_for() {
    let Some(pair) = Pair::new() else { return };
    let from = "generate:people?rows=500&columns=id:sequence,name:text(5..40),price:decimal(12,2)?10";
    pair.desk.run(&["copy", from, pair.to.url()]).done();
    let told = pair.to.sql("SELECT count(*), min(id), max(id), min(octet_length(name)) >= 5, max(octet_length(name)) <= 40, count(price) BETWEEN 400 AND 480 FROM people");
    assert_eq!(told, "500|1|500|t|t|t");
    pair.desk
        .run(&["copy", "generate:people?columns=id:squence", pair.to.url()])
        .failed(2, "SYN-1004")
        .hinted();
    pair.desk.run(&["copy", "generate:people", pair.to.url()]).failed(1, "SYN-3001").hinted();
    pair.desk.run(&["copy", pair.to.url(), "generate:orders"]).failed(1, "SYN-6002").hinted();
}

#[test]
fn rows_into_nothing_are_counted() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g");
    let summary = pair.desk.run(&["copy", pair.from.url(), "blackhole:", "--chunk-rows", "3000"]).done();
    assert_eq!(sum(&summary, "rows"), 20_000, "{summary}");
    assert!(sum(&summary, "bytes") > 2_000_000, "{summary}");
    pair.desk.run(&["verify", pair.from.url(), "blackhole:"]).failed(1, "SYN-6002").hinted();
}

#[test]
fn made_up_rows_fit_every_database() {
    let desk = Desk::new();
    let file = Lite::at(desk.path().join("a.db"));
    for stream in ["orders", "narrow", "types"] {
        let from = format!("generate:{stream}?rows=1000");
        desk.run(&["copy", &from, &file.url()]).done();
        desk.run(&["verify", &from, &file.url()]).done();
    }
    file.nothing_left();
}
