//! One pair: writers, a pipeline, somebody who looks, and faults.

use std::{
    fmt,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::seed::{Rng, Seed};

use crate::{
    bank::{TABLES, WRITERS, Writer, expected, invariant, tables},
    bench::Bench,
    desk::Desk,
    end::{Client, End},
    faults::{Fault, What, draw, fail},
    pipeline::Pipeline,
};

/// Transactions that a writer sends together.
const TOGETHER: usize = 8;
/// Between them, and between two looks at the target: the machine is to have time for the rest.
pub(crate) const PAUSE: Duration = Duration::from_millis(25);
/// How long the first copy may take, among faults.
const STEADY_MAX: Duration = Duration::from_secs(120);

/// What is to be run.
pub(crate) struct Soak<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// How long somebody writes.
    pub(crate) seconds: Duration,
    pub(crate) planted: Option<Planted>,
}

/// Something that nobody may do to the target, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    RowDeleted,
    MoneyMade,
}

impl Planted {
    fn sql(self) -> &'static str {
        match self {
            Planted::RowDeleted => {
                "DELETE FROM moves WHERE id = (SELECT m FROM (SELECT max(id) AS m FROM moves) s)"
            }
            Planted::MoneyMade => "UPDATE accounts SET balance = balance + 1 WHERE id = 1",
        }
    }

    /// Whether it is done while the pipeline lives, or when it has caught up.
    fn is_early(self) -> bool {
        self == Planted::MoneyMade
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) kills: u32,
    pub(crate) given_up: u32,
    /// Servers and networks that failed.
    pub(crate) faults: u32,
    pub(crate) looks: u64,
    /// Transactions that the writers have committed.
    pub(crate) transactions: u64,
    /// And `pgbench`.
    pub(crate) benched: u64,
    /// Seconds for the last of them to arrive.
    pub(crate) catching_up: f64,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { kills, given_up, faults, looks, transactions, benched, catching_up } = self;
        write!(
            f,
            "equal after {transactions} transactions and {benched} of pgbench, {kills} kills (gave up {given_up} times), {faults} faults of \
             servers and networks; looked at {looks} times; {catching_up:.1} s to catch up"
        )
    }
}

/// What the threads tell each other.
#[derive(Default)]
pub(crate) struct Flags {
    /// The copy is a moment of the source.
    pub(crate) is_steady: AtomicBool,
    /// Nobody needs to write any more.
    is_enough: AtomicBool,
    /// Everybody ends.
    pub(crate) is_over: AtomicBool,
}

/// Ends the others however its thread ends.
struct EndsAll<'a>(&'a Flags);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        set(&self.0.is_over);
    }
}

pub(crate) fn set(flag: &AtomicBool) {
    flag.store(true, Ordering::Relaxed);
}

/// Whether nobody needs to write any more.
pub(crate) fn is_enough(flags: &Flags) -> bool {
    is(&flags.is_enough)
}

pub(crate) fn is(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

impl Soak<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// What is wrong at the target, or with the program.
    pub(crate) fn run(&self, seed: &Seed) -> Result<Told, String> {
        let desk = Desk::new();
        let path = |name: &str| desk.path().join(name);
        let (mut source, mut target) =
            (End::start(self.from, &path("source.db")), End::start(self.to, &path("target.db")));
        // Not the same for each pair, and for one pair the same whether there are others or not.
        let pair = format!("{}-{}", self.from, self.to);
        let pair =
            pair.bytes().fold(seed.value(), |all, byte| all.wrapping_mul(31).wrapping_add(byte.into()));
        let mut random = Rng::new(pair);
        let faults = draw(&mut random, self.seconds, &source, &target);
        eprintln!("{} -> {}: SYNCLINE_SEED={}", self.from, self.to, seed.value());
        faults.iter().for_each(|fault| eprintln!("  {fault}"));
        let (from, to) = (source.client(), target.client());
        from.sql(&tables());
        let bench = Bench::prepare(&from);
        let mut writers: Vec<Writer> =
            (0..WRITERS).map(|number| Writer::new(number, Rng::new(random.next_u64()))).collect();
        // What is misspelt fails here and now; what fails later is a fault.
        writers.iter_mut().flat_map(Writer::each).for_each(|transaction| drop(from.sql(&transaction)));
        let mut pipeline = Pipeline::new(desk, &source.url(), &target.url());
        let flags = Flags::default();
        let (kill, kills) = mpsc::channel();
        let mut told = Told::default();
        thread::scope(|scope| {
            let ends_all = EndsAll(&flags);
            let (flags, from, to, bench, kept) = (&flags, &from, &to, &bench, &mut pipeline);
            // It waits for whoever reads the table, and lets nobody read it meanwhile: not while the copy
            // reads.
            let truncates = || self.from == "postgres" && is(&flags.is_steady);
            let writers: Vec<_> = writers
                .into_iter()
                .map(|writer| scope.spawn(move || write(from, writer, flags, truncates)))
                .collect();
            let benched = scope.spawn(move || bench.run(flags));
            let keeper = scope.spawn(move || {
                let _ends_all = EndsAll(flags);
                kept.keep(&kills, flags)
            });
            let watcher = scope.spawn(move || {
                let _ends_all = EndsAll(flags);
                watch(to, bench, flags)
            });
            told.faults = self.fail(&faults, (&mut source, &mut target), &kill, flags);
            if let Some(planted) = self.planted.filter(|planted| planted.is_early()) {
                to.sql(planted.sql());
                thread::sleep(Duration::from_secs(1));
            }
            set(&flags.is_enough);
            for writer in writers {
                told.transactions += writer.join().map_err(|_| "a writer has panicked")?;
            }
            told.benched = benched.join().map_err(|_| "pgbench has panicked")?;
            drop(ends_all);
            let (kept, seen) = (keeper.join(), watcher.join());
            told.looks = seen.map_err(|_| "the one who looks has panicked")??;
            kept.map_err(|_| "the one who starts the program has panicked")?
        })?;
        if !is(&flags.is_steady) {
            return Err("the copy did not come to its end".to_owned());
        }
        let began = Instant::now();
        pipeline.catch_up()?;
        told.catching_up = began.elapsed().as_secs_f64();
        (told.kills, told.given_up) = (pipeline.kills, pipeline.given_up);
        if let Some(planted) = self.planted.filter(|planted| !planted.is_early()) {
            to.sql(planted.sql());
        }
        let all = |table: &str, key: &str| format!("SELECT * FROM {table} ORDER BY {key}");
        TABLES.iter().try_for_each(|(table, key)| same(&from, &to, table, &all(table, key)))?;
        bench.same(&from, &to)?;
        is_a_moment(&to.sql(&invariant()))?;
        Ok(told)
    }

    /// Lets one thing fail after the other; says how many, but for kills. The first part of the time is for
    /// the copy, which is let come to its end then.
    fn fail(
        &self,
        faults: &[Fault],
        (source, target): (&mut End, &mut End),
        kill: &mpsc::Sender<Duration>,
        flags: &Flags,
    ) -> u32 {
        let began = Instant::now();
        let mut failed = 0;
        let copy_ends = || {
            while !is(&flags.is_over) && !is(&flags.is_steady) && began.elapsed() < STEADY_MAX {
                thread::sleep(PAUSE);
            }
        };
        for fault in faults {
            if began.elapsed() > self.seconds / 4 {
                copy_ends();
            }
            thread::sleep(fault.after);
            if is(&flags.is_over) {
                return failed;
            }
            if fault.what != What::Kill {
                fail(*fault, source, target);
                failed += 1;
            } else if kill.send(fault.lasts).is_ok() {
                thread::sleep(fault.lasts);
            }
        }
        copy_ends();
        // Also where the copy took all of the time there is something to be looked at.
        thread::sleep(self.seconds / 4);
        failed
    }
}

/// Writes until it is enough, and says how many transactions the source has taken.
fn write(source: &Client, mut writer: Writer, flags: &Flags, truncates: impl Fn() -> bool) -> u64 {
    let mut taken = 0;
    while !is(&flags.is_over) && !is_enough(flags) {
        let transactions: Vec<String> = (0..TOGETHER).map(|_| writer.next(truncates())).collect();
        // A source that is down takes none, and one that goes down a part.
        if source.try_sql(&transactions.concat()).is_ok() {
            taken += TOGETHER as u64;
        }
        thread::sleep(PAUSE);
    }
    taken
}

/// Looks at the target until it is over, and says how often.
fn watch(target: &Client, bench: &Bench, flags: &Flags) -> Result<u64, String> {
    let (mut looks, mut before) = (0, vec![]);
    while !is(&flags.is_over) {
        thread::sleep(PAUSE);
        if !is(&flags.is_steady) {
            continue;
        }
        // It may be down just now.
        let Ok(seen) = target.try_sql(&invariant()) else { continue };
        let clocks = is_a_moment(&seen)?;
        if clocks.iter().zip(&before).any(|(now, before)| now < before) {
            return Err(format!("time at the target went back from {before:?} to {clocks:?}"));
        }
        before = clocks;
        bench.look(target)?;
        looks += 1;
    }
    Ok(looks)
}

/// The writers' clocks in what [`invariant`] has given.
fn is_a_moment(seen: &str) -> Result<Vec<u64>, String> {
    let clocks = seen.strip_prefix(&expected());
    let clocks: Option<Vec<u64>> =
        clocks.and_then(|clocks| clocks.split('|').map(|clock| clock.parse().ok()).collect());
    clocks.ok_or_else(|| {
        format!(
            "the target is not a moment of the source: `{seen}`, which has to begin with `{}`",
            expected()
        )
    })
}

/// Whether a query has the same rows at both ends.
pub(crate) fn same(from: &Client, to: &Client, table: &str, query: &str) -> Result<(), String> {
    let lines = |client: &Client| -> Vec<String> {
        let mut lines: Vec<String> = client.sql(query).lines().map(str::to_owned).collect();
        // Texts have another order in each system.
        lines.sort_unstable();
        lines
    };
    let (here, there) = (lines(from), lines(to));
    if here == there {
        return Ok(());
    }
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let missing = these.iter().filter(|line| those.binary_search(line).is_err());
        missing.take(5).map(|line| line.chars().take(80).collect()).collect()
    };
    Err(format!(
        "they differ in `{table}`: {} rows and {}; only at the source {:#?}; only at the target {:#?}",
        here.len(),
        there.len(),
        only(&here, &there),
        only(&there, &here)
    ))
}
