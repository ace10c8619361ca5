//! Benchmarks of the released binary against the databases' own roads.
//!
//! Absolute times mean little on a shared machine: every case runs its baseline and the candidates
//! in turn, several rounds, and prints medians and the ratio to the baseline of the same run.
//! Servers are private and durable (`fsync = on`), on loopback.
//!
//! `cargo x bench [CASE...]`; `SYNCLINE_BENCH_ROWS` and `SYNCLINE_BENCH_ROUNDS` change the size (of following
//! `SYNCLINE_BENCH_CHANGES`, and `SYNCLINE_BENCH_LAG_CHANGES` the writer's pace),
//! `SYNCLINE_BENCH_MYSQL=mysql` takes genuine MySQL where MariaDB is measured.

#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod cases;
mod measure;
mod servers;

use std::process::ExitCode;

use servers::Servers;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let cases = match cases::named(&wanted) {
        Ok(cases) => cases,
        Err(unknown) => {
            eprintln!("there is no case `{unknown}`: the cases are {}", cases::names().join(", "));
            return ExitCode::from(2);
        }
    };
    let servers = Servers::new();
    println!("{}\n", measure::machine());
    println!(
        "| case | what | seconds | rows/s | MB/s | client CPU s | per million rows | peak RSS MB | to baseline |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    cases.iter().for_each(|case| (case.run)(&servers));
    ExitCode::SUCCESS
}
