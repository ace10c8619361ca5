//! Whoever reads the file during an overwrite sees the old rows or all of the new ones.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    ends::{End, Ends},
    lite::ask,
};

const QUESTION: &str = "SELECT count(*), sum(id), min(v), max(v) FROM t";
/// Fewer answers would prove nothing.
const ANSWERS_MIN: usize = 50;

#[test]
fn a_reader_of_the_file_sees_all_old_or_all_new_rows() {
    // What is attached decides whether the staged table takes the name or its rows are put in.
    for attached in ["", "CREATE VIEW w AS SELECT id FROM t", "CREATE INDEX i ON t (v)"] {
        for kinds in [("postgres", "sqlite"), ("sqlite", "sqlite")] {
            let Some(ends) = Ends::new(kinds) else { return };
            let End::Sqlite(target) = &ends.to else { unreachable!("asked for") };
            let rows: Vec<String> = (1..=2_000).map(|id| format!("({id}, 'old')")).collect();
            ends.from.sql(&format!(
                "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES {}",
                rows.join(",")
            ));
            ends.run(&["--stream", "t"]).done();
            target.sql(attached);
            let old = target.sql(QUESTION);
            ends.from.sql("UPDATE t SET v = 'new'; DELETE FROM t WHERE id > 1500");
            let new = ends.from.sql(QUESTION);
            let over = AtomicBool::new(false);
            let answers = thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let connection = target.open();
                    let mut answers = vec![];
                    while !over.load(Ordering::Relaxed) {
                        answers.push(ask(&connection, QUESTION).expect("a reader reads"));
                    }
                    // What everybody sees once it is over.
                    answers.push(ask(&connection, QUESTION).expect("a reader reads"));
                    answers
                });
                let options = [
                    "--stream",
                    "t",
                    "--write",
                    "overwrite",
                    "--chunk-rows",
                    "200",
                    "--limit-rows",
                    "4000/s",
                ];
                let ran = ends.run(&options);
                over.store(true, Ordering::Relaxed);
                ran.done();
                reader.join().expect("the reader does not panic")
            });
            let turn =
                answers.iter().position(|answer| *answer != old).expect("the new rows are seen at last");
            assert!(
                turn > 0 && answers.len() >= ANSWERS_MIN,
                "{attached}: {} answers, {turn} old",
                answers.len()
            );
            for answer in &answers[turn..] {
                assert_eq!(*answer, new, "{}, {attached}: after {turn} times {old}", ends.what);
            }
            ends.same("SELECT id, v FROM t ORDER BY id");
        }
    }
}
