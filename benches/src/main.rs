//! Benchmarks of the released binary against the databases' own roads.
//!
//! Absolute times mean little on a shared machine: every case runs its baseline and the candidates
//! in turn, several rounds, and prints medians and the ratio to the baseline of the same run.
//! Servers are private and durable (`fsync = on`), on loopback.
//!
//! `cargo x bench [CASE...]`; `SYNCLINE_BENCH_ROWS` and `SYNCLINE_BENCH_ROUNDS` change the size,
//! `SYNCLINE_BENCH_MYSQL=mysql` takes genuine MySQL where MariaDB is measured.

#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod cases;
mod measure;
mod servers;

use std::process::ExitCode;

use cases::CASES;
use servers::Servers;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !CASES.iter().any(|case| case.name == **name)) {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        eprintln!("there is no case `{unknown}`: the cases are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let servers = Servers::new();
    println!("{}\n", measure::machine());
    println!(
        "| case | what | seconds | rows/s | MB/s | client CPU s | per million rows | peak RSS MB | to baseline |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for case in CASES.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|name| name == case.name)) {
        (case.run)(&servers);
    }
    ExitCode::SUCCESS
}
