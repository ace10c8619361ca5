//! The engine against a simulated world: every decision of the core and every deed of the shell,
//! with crashes between any two of them, errors before and after the deed, lost snapshots, lost
//! state, refused rows and zombies.
//!
//! `SYNCLINE_SEEDS` says how many seeds (1,000), `SYNCLINE_SEED` runs one. A failure prints its seed;
//! `SYNCLINE_TRACE=1` prints every action of every process.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test, in several files")]

mod back;
mod conformance;
mod incremental;
mod process;
mod scenario;
mod sink;
mod source;
mod store;
mod world;
mod writer;

use incremental::Incremental;
use scenario::{Scenario, Verdict};
use world::Mistake;

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (number("SYNCLINE_SEED"), number("SYNCLINE_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 1..1 + count.unwrap_or(1_000),
    }
}

#[test]
fn nothing_is_lost_doubled_or_half_published_on_any_seed() {
    let (mut processes, mut crashes, mut letters) = (0, 0, 0);
    for seed in seeds() {
        let scenario = Scenario::of_seed(seed, None);
        match scenario.run() {
            Verdict::Fine(counts) => {
                processes += counts.processes;
                crashes += counts.crashes;
                letters += counts.letters;
            }
            Verdict::Wrong(why) => panic!("SYNCLINE_SEED={seed}: {why}\n{scenario:?}"),
        }
    }
    println!("{processes} processes, {crashes} crashes, {letters} dead letters");
    // A simulation in which nothing happens proves nothing.
    if seeds().count() >= 1_000 {
        assert!(
            crashes > 1_000 && letters > 1_000,
            "{crashes} crashes and {letters} dead letters are too few"
        );
    }
}

#[test]
fn incremental_runs_lose_and_double_nothing_on_any_seed() {
    let mut crashes = 0;
    for seed in seeds() {
        let scenario = Incremental::of_seed(seed, None);
        match scenario.run() {
            Ok(more) => crashes += more,
            Err(why) => panic!("SYNCLINE_SEED={seed}: {why}\n{scenario:?}"),
        }
    }
    println!("{crashes} crashes");
    assert!(seeds().count() < 1_000 || crashes > 1_000, "{crashes} crashes are too few");
}

#[test]
fn every_planted_mistake_of_incremental_runs_is_found() {
    for mistake in Mistake::INCREMENTAL {
        let found = (1..=600).find_map(|seed| match Incremental::of_seed(seed, Some(mistake)).run() {
            Err(why) if Incremental::of_seed(seed, None).fine() => Some((seed, why)),
            _ => None,
        });
        match found {
            Some((seed, why)) => println!("{mistake:?}: seed {seed}: {why}"),
            None => panic!("{mistake:?} was not found in 600 seeds"),
        }
    }
}

/// Planted mistakes: the simulation is worth something only if it finds each of them, on a seed
/// on which nothing is wrong without it.
#[test]
fn every_planted_mistake_is_found() {
    for mistake in Mistake::ALL {
        let found = (1..=600).find_map(|seed| match Scenario::of_seed(seed, Some(mistake)).run() {
            Verdict::Wrong(why) if Scenario::of_seed(seed, None).fine() => Some((seed, why)),
            _ => None,
        });
        match found {
            Some((seed, why)) => println!("{mistake:?}: seed {seed}: {why}"),
            None => panic!("{mistake:?} was not found in 600 seeds"),
        }
    }
}
