//! `kill -9` at any moment, of the program and of both servers: nothing is lost, nothing is doubled,
//! and no reader of the target ever sees half a transaction.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::{process::Running, seed::Seed, servers::postgres::Database};

use crate::tables::{Pair, nothing_left, same_rows};

/// Whether a target has been followed into.
const FOLLOWED: &str = "SELECT count(*) FROM _syncline_mark WHERE stream = '+log'";

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
        let _over = Over(&over);
        let start = || pair.desk.syncline(&arguments).args(["--output", "json"]).start();
        over_and_over(KILLS, &seed, start, || is_whole(&pair.to));
    });
    let last = [arguments.as_slice(), &["--until-caught-up".to_owned()]].concat();
    pair.desk.run(&last).expect_code(0);
    for table in ["accounts", "moves"] {
        let query = format!("SELECT * FROM {table}");
        same_rows((&pair.from, &query), (&pair.to, &query));
    }
    assert!(is_whole(&pair.to));
    nothing_left(&pair.to);
}

/// Starts a program and kills it, so often at least, and until the target was looked at while it was followed:
/// where the machine is busy that may take more lives.
pub(crate) fn over_and_over(
    kills: u32,
    seed: &Seed,
    start: impl Fn() -> Running,
    mut looks_whole: impl FnMut() -> bool,
) {
    let (mut random, mut looks, mut killed) = (seed.rng(), 0, 0);
    for lives in 0.. {
        if killed >= kills && looks > 3 {
            break;
        }
        assert!(lives < 10 * kills, "the target was looked at {looks} times while it was followed");
        let life = start();
        let until = Instant::now() + Duration::from_millis(200 + random.below(2_500) + 50 * u64::from(lives));
        while Instant::now() < until && life.is_running() {
            looks += u64::from(looks_whole());
            // Each look at a server is a program of its own.
            thread::sleep(Duration::from_millis(15));
        }
        life.kill9();
        let ended = life.wait();
        // The server may still be busy with what the one before has sent.
        assert!(ended.was_killed() || ended.stdout.contains("SYN-5001"), "it ended by itself: {ended}");
        killed += u32::from(ended.was_killed());
    }
}

/// Whether the target is followed into; fails when a reader of it sees half a transaction. A copy that was
/// gone on with is of several moments until the first changes are committed.
pub(crate) fn is_whole(to: &Database) -> bool {
    let marked = "SELECT count(*) FROM pg_class WHERE relname = '_syncline_mark'";
    to.sql(marked) == "1" && has_all_money(|sql| to.sql(sql), "postgres")
}

/// The same, where there are marks.
pub(crate) fn has_all_money(ask: impl Fn(&str) -> String, what: &str) -> bool {
    if ask(FOLLOWED) != "1" {
        return false;
    }
    let sums = ask("SELECT sum(balance), count(*) FROM accounts");
    assert_eq!(sums, format!("{}|{ACCOUNTS}", ACCOUNTS * 1000), "{what}: half a transaction is seen");
    true
}
