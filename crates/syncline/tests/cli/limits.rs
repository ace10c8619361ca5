//! How fast a run may go, and how much memory it takes.

use crate::{
    desk::sum,
    ends::{End, Ends},
    lite::Lite,
    tables::Pair,
};

#[test]
fn rows_a_second_are_kept_to() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 6000) g");
    let run = |options: &[&str]| {
        let options = [&["--stream", "t", "--chunk-rows", "500", "--parallel", "4"], options].concat();
        let summary = pair.run(&options).done();
        assert_eq!(sum(&summary, "rows"), 6_000, "{summary}");
        summary["seconds"].as_f64().expect("a number")
    };
    let free = run(&[]);
    for (options, least) in [
        (&["--limit-rows", "3000/s"], 1.0),
        (&["--limit-rows", "2k"], 2.0),
        (&["--limit-bytes", "300kB"], 1.0),
    ] {
        let seconds = run(options);
        assert!(
            seconds >= least && seconds < least * 3.0 + free + 1.0,
            "{options:?}: {seconds} s, {free} s without"
        );
    }
}

#[test]
fn rows_that_are_verified_are_read_no_faster_than_is_said() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    let End::Sqlite(file) = &ends.from else { unreachable!("it was asked for") };
    fill_file(file, 100, 6_000);
    ends.desk.read(ends.copy(&["--stream", "t"]).run()).done();
    let (from, to) = (ends.from.url(), ends.to.url());
    let verify = |options: &[&str]| {
        let ran = ends
            .desk
            .run(&[&["verify", &from, &to, "--stream", "t", "--chunk-rows", "500"], options].concat());
        assert_eq!(ran.finished.code, Some(0), "{}", ran.finished);
        ran.finished.seconds
    };
    let free = verify(&[]);
    for options in [["--limit-rows", "3000/s"], ["--limit-bytes", "300kB"]] {
        let seconds = verify(&options);
        assert!(seconds >= 1.0 && seconds < 7.0 + free, "{options:?}: {seconds} s, {free} s without");
    }
}

/// What may be in use in all, as DESIGN says.
const RSS_BYTES_MAX: u64 = 256 << 20;

/// Between which ends, rows of so many MiB, so many of them, over so many lanes.
const WIDE: [((&str, &str), usize, usize, &str); 8] = [
    (("postgres", "postgres"), 16, 8, "4"),
    (("postgres", "sqlite"), 16, 8, "4"),
    (("sqlite", "postgres"), 16, 8, "4"),
    (("sqlite", "sqlite"), 16, 8, "4"),
    (("postgres", "postgres"), 64, 3, "1"),
    (("postgres", "sqlite"), 64, 3, "1"),
    (("sqlite", "postgres"), 64, 3, "1"),
    (("sqlite", "sqlite"), 64, 3, "1"),
];

#[test]
fn rows_of_many_megabytes_fit_into_the_memory_that_is_promised() {
    let mut over = vec![];
    for (kinds, mebibytes, rows, parallel) in WIDE {
        let Some(ends) = Ends::new(kinds) else { return };
        fill(&ends, mebibytes << 20, rows);
        let ended = ends.copy(&["--stream", "t", "--parallel", parallel, "--chunk-rows", "1"]).run();
        let peak = ended.peak_rss_bytes;
        let what = format!("{}: rows of {mebibytes} MiB, {parallel} lanes: {} MiB", ends.what, peak >> 20);
        let summary = ends.desk.read(ended).done();
        assert_eq!(sum(&summary, "rows"), rows as u64, "{what}: {summary}");
        let lengths = "SELECT id, length(v) FROM t ORDER BY id";
        assert_eq!(ends.from.sql(lengths), ends.to.sql(lengths), "{what}");
        eprintln!("{what}");
        if peak >= RSS_BYTES_MAX {
            over.push(what);
        }
        for end in [&ends.from, &ends.to] {
            if let End::Postgres(database) = end {
                database.sql("DROP TABLE t");
            }
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}

fn fill(ends: &Ends, bytes: usize, rows: usize) {
    match &ends.from {
        End::Postgres(database) => {
            // Stored as it is: the server would spend its time packing it.
            database.sql(&format!(
                "CREATE TABLE t (id int PRIMARY KEY, v bytea); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
                 INSERT INTO t SELECT g, decode(repeat(md5(g::text), {bytes} / 16), 'hex') FROM generate_series(1, {rows}) g"
            ));
        }
        End::Sqlite(file) => fill_file(file, bytes, rows),
        End::Mysql(_) | End::Files(_) => unreachable!("not asked for"),
    }
}

fn fill_file(file: &Lite, bytes: usize, rows: usize) {
    file.sql(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) INSERT INTO t SELECT i, randomblob({bytes}) FROM n"
    ));
}
