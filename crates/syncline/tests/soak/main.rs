//! A live pipeline while everything fails that can: the program and both servers are killed and the network
//! is cut, at random from a printed seed, while somebody writes at the source. Whoever looks at the target
//! meanwhile sees only what the source once was; and when the writer stops, both have the same rows.
//!
//! `cargo x soak [--seconds N] [--seed S] [--pair FROM-TO]` goes on for longer than `cargo x test` does.

#[path = "../cli/desk.rs"]
#[allow(dead_code, reason = "it is shared with the target `cli`, which uses all of it")]
mod desk;
#[path = "../cli/lite.rs"]
#[allow(dead_code, reason = "it is shared with the target `cli`, which uses all of it")]
mod lite;

mod bank;
mod bench;
mod end;
mod faults;
mod pipeline;
mod soak;

use std::{sync::Mutex, time::Duration};

use syncline_testkit::{seed::Seed, servers::left_out};

use crate::soak::{Planted, Soak};

/// What is followed by what.
const PAIRS: &[(&str, &str)] = &[
    ("postgres", "postgres"),
    ("postgres", "sqlite"),
    ("postgres", "mysql"),
    ("mysql", "postgres"),
    ("mariadb", "postgres"),
    ("mysql", "mariadb"),
    ("mariadb", "sqlite"),
    ("sqlite", "postgres"),
];

/// Says how long somebody writes, for each pair.
const SECONDS: &str = "SYNCLINE_SOAK_SECONDS";
/// Unless it does, there are the first pair and some that the seed draws, in a minute or so.
const SECONDS_SHORT: u64 = 8;
const DRAWN: usize = 2;
/// Names one pair, such as `postgres-postgres`.
const PAIR: &str = "SYNCLINE_SOAK_PAIR";

/// Each takes all of the machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn seconds() -> Option<u64> {
    let text = std::env::var(SECONDS).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{SECONDS} is `{text}`, which is no whole number")))
}

/// The pairs that are wanted.
fn pairs(seed: &Seed) -> Vec<(&'static str, &'static str)> {
    let mut pairs = PAIRS.to_vec();
    match std::env::var(PAIR) {
        Ok(wanted) => pairs.retain(|(from, to)| wanted == format!("{from}-{to}")),
        Err(_) if seconds().is_none() => {
            seed.rng().shuffle(&mut pairs[1..]);
            pairs.truncate(1 + DRAWN);
        }
        Err(_) => {}
    }
    assert!(!pairs.is_empty(), "{PAIR} names none of {PAIRS:?}");
    pairs
}

#[test]
fn the_target_equals_the_source_whatever_fails() {
    let _alone = ONE_AT_A_TIME.lock();
    let seed = Seed::from_env();
    let seconds = seconds().unwrap_or(SECONDS_SHORT);
    for (from, to) in pairs(&seed) {
        if left_out(from) || left_out(to) {
            continue;
        }
        let soak = Soak { from, to, seconds: Duration::from_secs(seconds), planted: None };
        let told = soak.run(&seed).unwrap_or_else(|wrong| panic!("{from} -> {to}: {wrong}"));
        eprintln!("{from} -> {to}: {told}");
        assert!(told.kills + told.faults > 0, "{from} -> {to}: nothing failed: {told}");
        assert!(told.looks >= seconds / 2, "{from} -> {to}: hardly looked at: {told}");
    }
}

/// What nobody may do at the target, and what it is found by.
#[test]
fn what_is_planted_is_found() {
    let _alone = ONE_AT_A_TIME.lock();
    if left_out("postgres") {
        return;
    }
    let seed = Seed::from_env();
    for (planted, word) in
        [(Planted::RowDeleted, "differ in `moves`"), (Planted::MoneyMade, "is not a moment of the source")]
    {
        let soak = Soak {
            from: "postgres",
            to: "postgres",
            seconds: Duration::from_secs(2),
            planted: Some(planted),
        };
        match soak.run(&seed) {
            Ok(told) => panic!("{planted:?} was not found: {told}"),
            Err(found) => assert!(found.contains(word), "{planted:?} was found as: {found}"),
        }
    }
}
