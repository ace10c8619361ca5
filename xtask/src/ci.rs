//! `cargo x ci`: what CI runs, with the time that each stage took.

use std::time::Instant;

use crate::{Failure, lint, needs, no_arguments, test};

type Stage = (&'static str, fn(&[String]) -> Result<(), Failure>);

const STAGES: &[Stage] = &[("test", test::command), ("lint", lint::command)];

/// Runs every stage, also when one fails, so that one run shows everything.
pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    no_arguments("ci", arguments)?;
    let mut failed = vec![];
    let mut report = vec![];
    for (name, stage) in STAGES {
        eprintln!("=== {name}");
        let started = Instant::now();
        let result = stage(&[]);
        let seconds = started.elapsed().as_secs_f64();
        let word = match result {
            Ok(()) => "passed".to_owned(),
            Err(failure) => {
                failed.push(*name);
                format!("FAILED: {}", failure.message)
            }
        };
        report.push(format!("{name:<6}{seconds:>8.1} s  {word}"));
    }
    let note = needs::note(&needs::left_out()?);
    eprintln!("=== ci{note}\n{}", report.join("\n"));
    if failed.is_empty() { Ok(()) } else { Err(Failure::failed(format!("{} failed", failed.join(" and ")))) }
}
