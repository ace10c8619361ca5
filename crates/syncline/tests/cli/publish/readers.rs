//! Whoever reads during an overwrite sees the old rows or all of the new ones.

use std::{
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::process::Running;

use crate::tables::Pair;

/// What a reader asks for, over and over.
const QUESTION: &str = "SELECT count(*), sum(hashtext(t::text)::bigint) FROM t;\n";
const QUESTIONS_MAX: usize = 200_000;
/// Fewer answers would prove nothing.
const ANSWERS_MIN: usize = 100;
/// How long after a publication a reader may take to see it.
const SEEN_MAX: Duration = Duration::from_secs(20);

/// Readers on connections of their own, each asking again as soon as it has its answer.
struct Readers(Vec<Running>);

impl Readers {
    fn start(pair: &Pair) -> Self {
        let readers = Readers((0..2).map(|_| pair.to.start_sql(&QUESTION.repeat(QUESTIONS_MAX))).collect());
        while readers.0.iter().any(|reader| reader.stdout().lines().count() < ANSWERS_MIN / 10) {
            thread::sleep(Duration::from_millis(1));
        }
        readers
    }

    /// Fails if any reader saw anything else than `old` and then `new`.
    fn saw(self, old: &str, new: &str, what: &str) {
        for reader in self.0 {
            // On a busy machine it may be a while until a reader asks again.
            let began = Instant::now();
            let is_done = |answers: &str| {
                answers.lines().count() >= ANSWERS_MIN && answers.lines().any(|answer| answer == new)
            };
            while began.elapsed() < SEEN_MAX && !is_done(&reader.stdout()) {
                thread::sleep(Duration::from_millis(20));
            }
            let read = reader.kill9_after(Duration::ZERO);
            assert!(read.was_killed(), "{what}: the reader failed\n{}", read.stderr);
            let mut answers: Vec<&str> = read.stdout.split('\n').collect();
            // What follows the last line's end is half an answer.
            answers.pop();
            let turn = answers.iter().position(|answer| *answer != old);
            let turn = turn.unwrap_or_else(|| panic!("{what}: the new rows were never seen"));
            assert!(
                turn > 0 && answers.len() >= ANSWERS_MIN,
                "{what}: {} answers, {turn} old",
                answers.len()
            );
            for answer in &answers[turn..] {
                assert_eq!(*answer, new, "{what}: after {turn} times {old}");
            }
        }
    }
}

#[test]
fn a_reader_sees_all_old_or_all_new_rows() {
    // What is attached, more options, and what the plan calls it.
    let ways = [
        ("", "", "staging takes the table's place"),
        ("", "--replace=in_place", "as asked for"),
        ("CREATE VIEW v AS TABLE t", "", "because of view public.v"),
        ("CREATE TABLE other (t_id int REFERENCES t); INSERT INTO other VALUES (5), (995)", "", "by key"),
        ("CREATE INDEX ON t (v); GRANT SELECT ON t TO PUBLIC", "--parallel=1", "because of index"),
    ];
    for (attached, option, way) in ways {
        let Some(pair) = Pair::new() else { return };
        pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
        pair.run(&["--stream", "t"]).done();
        pair.to.sql(attached);
        let old = pair.to.sql(QUESTION);
        pair.from.sql("DELETE FROM t WHERE id % 5 = 1; UPDATE t SET v = 'new' WHERE id % 3 = 0; INSERT INTO t SELECT g, 'more' FROM generate_series(1001, 1200) g");
        let new = pair.from.sql(QUESTION);
        let mut options = vec!["--stream", "t", "--chunk-rows", "200", "--limit-rows", "3000/s"];
        options.extend(Some(option).filter(|option| !option.is_empty()));
        let planned = pair.desk.text(&pair.command("plan", &options)).expect_code(0).stdout;
        assert!(planned.contains(way), "{planned}");
        let readers = Readers::start(&pair);
        let ran = pair.run(&options);
        readers.saw(&old, &new, way);
        ran.done();
        pair.same("t");
    }
}

#[test]
fn nobody_sees_a_part_of_what_is_merged() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'old' FROM generate_series(1, 2000) g");
    pair.run(&["--stream", "t"]).done();
    let old = pair.to.sql(QUESTION);
    pair.from
        .sql("UPDATE t SET v = 'new'; INSERT INTO t SELECT g, 'more' FROM generate_series(2001, 3000) g");
    let new = pair.from.sql(QUESTION);
    let readers = Readers::start(&pair);
    let ran = pair.run(&["--stream", "t", "--write", "merge", "--chunk-rows", "300"]);
    readers.saw(&old, &new, "merge");
    ran.done();
    pair.same("t");
}

#[test]
fn a_long_reader_holds_up_the_publication_and_not_other_readers() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'old' FROM generate_series(1, 200) g");
    pair.run(&["--stream", "t"]).done();
    pair.from.sql("UPDATE t SET v = 'new'");
    let holder = pair.to.start_sql(
        "BEGIN; SELECT count(*) FROM t; DO $$ BEGIN RAISE NOTICE 'reading'; END $$; SELECT pg_sleep(4); COMMIT; DO $$ BEGIN RAISE NOTICE 'over'; END $$;",
    );
    holder.wait_for_line(|line| line.contains("reading"));
    let copying = pair.desk.syncline(&pair.copy(&["--stream", "t"])).args(["--output", "json"]).start();
    // It stands in the queue for a lock, and gives its place up again for whoever comes after it.
    let mut slowest = Duration::ZERO;
    while copying.is_running() && holder.is_running() {
        let asked = Instant::now();
        assert_eq!(pair.to.sql("SELECT count(*) FROM t"), "200");
        slowest = slowest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(slowest < Duration::from_millis(3_500), "another reader waited {slowest:?}");
    pair.desk.read(copying.wait()).done();
    pair.same("t");
}
