//! `cargo x lint`: all that is checked without running the product.

use crate::{
    Failure, no_arguments,
    run::{cargo, run},
};

/// Each with its arguments for cargo.
const CHECKS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    &["test", "-q", "-p", "xtask", "--test", "tidy"],
];

/// Runs them all, also when one fails, so that one run shows everything.
pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    no_arguments("lint", arguments)?;
    let failed: Vec<String> = CHECKS
        .iter()
        .filter_map(|check| run(cargo().args(*check)).err())
        .map(|failure| failure.message)
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::failed(failed.join("; "))) }
}
