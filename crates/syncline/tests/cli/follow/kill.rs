//! `kill -9` at any moment, of the program and of both servers: nothing is lost, nothing is doubled,
//! and no reader of the target ever sees half a transaction.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use syncline_testkit::seed::Seed;

use crate::tables::{Pair, nothing_left, same_rows};

/// Whether a target has been followed into.
pub(crate) const FOLLOWED: &str = "SELECT count(*) FROM _syncline_mark WHERE stream = '+log'";

pub(crate) const ACCOUNTS: u64 = 200;
const KILLS: u32 = 8;

/// Money moves between accounts, and each move leaves a line; none is made or lost.
pub(crate) const MOVE: &str = "BEGIN; UPDATE accounts SET balance = balance - {n} WHERE id = {a};
    UPDATE accounts SET balance = balance + {n} WHERE id = {b};
    INSERT INTO moves (a, b, n) VALUES ({a}, {b}, {n}); COMMIT;";

/// Ends the writer when it is dropped, also by a test that fails.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn money_is_neither_made_nor_lost() {
    let Some(pair) = Pair::new() else { return };
    let seed = Seed::from_env();
    pair.from.sql(&format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
         CREATE TABLE moves (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int, n int);
         INSERT INTO accounts SELECT g, 1000 FROM generate_series(1, {ACCOUNTS}) g"
    ));
    let arguments = pair.copy(&["--sync", "follow", "--name", "f", "--chunk-rows", "40"]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut random = seed.rng();
        let (from, stop) = (&pair.from, &over);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let moves: Vec<String> = (0..20)
                    .map(|_| {
                        let (a, b) = (1 + random.below(ACCOUNTS), 1 + random.below(ACCOUNTS));
                        let n = random.below(50).to_string();
                        MOVE.replace("{a}", &a.to_string()).replace("{b}", &b.to_string()).replace("{n}", &n)
                    })
                    .collect();
                from.sql(&moves.concat());
            }
        });
        let over = Over(&over);
        let mut random = seed.rng();
        let mut looks = 0;
        for _ in 0..KILLS {
            let life = pair.desk.syncline(&arguments).args(["--output", "json"]).start();
            let until = std::time::Instant::now() + Duration::from_millis(200 + random.below(2_500));
            while std::time::Instant::now() < until && life.is_running() {
                looks += u64::from(is_whole(&pair));
                thread::sleep(Duration::from_millis(15));
            }
            life.kill9();
            let ended = life.wait();
            assert!(ended.was_killed(), "it ended by itself: {ended}");
        }
        drop(over);
        assert!(looks > 10, "the target was looked at {looks} times while it was followed");
    });
    let last = [arguments.as_slice(), &["--until-caught-up".to_owned()]].concat();
    pair.desk.run(&last).expect_code(0);
    for table in ["accounts", "moves"] {
        let query = format!("SELECT * FROM {table}");
        same_rows((&pair.from, &query), (&pair.to, &query));
    }
    assert!(is_whole(&pair));
    nothing_left(&pair.to);
}

/// Whether the target is followed into; fails when a reader of it sees half a transaction. A copy that was
/// gone on with is of several moments until the first changes are committed.
fn is_whole(pair: &Pair) -> bool {
    let marked = "SELECT count(*) FROM pg_class WHERE relname = '_syncline_mark'";
    if pair.to.sql(marked) != "1" || pair.to.sql(FOLLOWED) != "1" {
        return false;
    }
    let sums = pair.to.sql("SELECT sum(balance), count(*) FROM accounts");
    assert_eq!(sums, format!("{}|{ACCOUNTS}", ACCOUNTS * 1000), "half a transaction is seen");
    true
}
