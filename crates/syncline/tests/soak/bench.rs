//! PostgreSQL's own `pgbench` beside our writers: three tables whose balances are always the same sum, and a history
//! of all changes, which has no key.

use std::thread;

use syncline_testkit::servers::postgres::Database;

use crate::{
    end::Client,
    soak::{Flags, PAUSE, is, is_enough, same},
};

/// What is compared in the end: the fillers are blanks, which some systems cut.
const QUERIES: &[(&str, &str)] = &[
    ("pgbench_accounts", "SELECT aid, bid, abalance FROM pgbench_accounts"),
    ("pgbench_branches", "SELECT bid, bbalance FROM pgbench_branches"),
    ("pgbench_tellers", "SELECT tid, bid, tbalance FROM pgbench_tellers"),
    ("pgbench_history", "SELECT tid, bid, aid, delta FROM pgbench_history"),
];

/// Nothing at any moment of the source; what is read is small.
const DIFFERENCE: &str = "SELECT coalesce((SELECT sum(tbalance) FROM pgbench_tellers), 0)
    - coalesce((SELECT sum(bbalance) FROM pgbench_branches), 0),
    coalesce((SELECT sum(tbalance) FROM pgbench_tellers), 0) - coalesce((SELECT sum(delta) FROM pgbench_history), 0)";

/// It, where the source is a PostgreSQL server.
pub(crate) struct Bench(Option<Database>);

impl Bench {
    /// Makes its tables.
    pub(crate) fn prepare(source: &Client) -> Self {
        let Client::Postgres(database) = source else { return Bench(None) };
        database.pgbench().args(["-i", "-q", "-s", "1"]).run().expect_code(0);
        // A hundred thousand accounts would take the copy longer than all that is to fail.
        database.sql("DELETE FROM pgbench_accounts WHERE aid > 10000; ALTER TABLE pgbench_history REPLICA IDENTITY FULL");
        Bench(Some(database.clone()))
    }

    /// Runs it over and over, since it ends when its server does. Says how many transactions it has done.
    pub(crate) fn run(&self, flags: &Flags) -> u64 {
        let mut done = 0;
        let Some(database) = &self.0 else { return done };
        while !is(&flags.is_over) && !is_enough(flags) {
            let ran = database.pgbench().args(["-n", "-c", "2", "-T", "1", "-R", "60"]).run();
            let told = ran.stdout.lines().find_map(|line| {
                let count = line.strip_prefix("number of transactions actually processed: ")?;
                count.split('/').next()?.trim().parse::<u64>().ok()
            });
            done += told.unwrap_or(0);
            thread::sleep(PAUSE);
        }
        done
    }

    /// # Errors
    /// When the target is not what the source once was.
    pub(crate) fn look(&self, target: &Client) -> Result<(), String> {
        if self.0.is_none() {
            return Ok(());
        }
        // It may be down just now.
        match target.try_sql(DIFFERENCE) {
            Ok(seen) if seen != "0|0" => {
                Err(format!("half a transaction of pgbench is at the target: {seen}"))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Where the ends differ.
    pub(crate) fn same(&self, from: &Client, to: &Client) -> Result<(), String> {
        if self.0.is_none() {
            return Ok(());
        }
        QUERIES.iter().try_for_each(|(table, query)| same(from, to, table, query))
    }
}
