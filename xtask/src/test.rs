//! `cargo x test`: the tests, with what they need installed first.
//!
//! A filter that ran no test is a failure: it is a misspelt name, not a success.

use std::{fs, io, time::Instant};

use crate::{
    Failure,
    nearest::nearest,
    needs,
    run::{cargo, root, run_and_read},
};

pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    let selection = select(arguments, &packages())?;
    let left_out = needs::left_out()?;
    needs::ensure(&left_out)?;
    let started = Instant::now();
    let mut totals = Totals::default();
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]).args(&selection);
    let succeeded = run_and_read(&mut command, &mut io::stdout(), |line| totals.add(line))?;
    let verdict = totals.verdict(succeeded);
    let seconds = started.elapsed().as_secs();
    let without = needs::note(&left_out);
    match verdict {
        Ok(text) => {
            eprintln!("{text} in {seconds} s{without}");
            Ok(())
        }
        Err(text) => Err(Failure::failed(format!("{text}{without}"))),
    }
}

/// Cargo's arguments for `[CRATE [FILTER]]`.
fn select(arguments: &[String], packages: &[String]) -> Result<Vec<String>, Failure> {
    let (name, filter) = match arguments {
        [] => return Ok(vec!["--workspace".to_owned()]),
        [name] => (name, None),
        [name, filter] => (name, Some(filter)),
        _ => return Err(Failure::usage("`test` takes a crate and a filter, no more")),
    };
    let full = format!("syncline-{name}");
    let Some(package) = packages.iter().find(|package| **package == full || *package == name) else {
        return Err(Failure::usage(unknown_crate(name, packages)));
    };
    Ok(["-p", package].into_iter().chain(filter.map(String::as_str)).map(str::to_owned).collect())
}

fn unknown_crate(name: &str, packages: &[String]) -> String {
    let short = packages.iter().map(|package| package.strip_prefix("syncline-").unwrap_or(package));
    match nearest(name, short.clone()) {
        Some(near) => format!("there is no crate `{name}`. Did you mean `{near}`?"),
        None => format!("there is no crate `{name}`; there are {}", short.collect::<Vec<_>>().join(", ")),
    }
}

/// The names of the workspace's packages.
fn packages() -> Vec<String> {
    let folders = ["crates", "connectors"].into_iter().flat_map(|group| {
        fs::read_dir(root().join(group)).into_iter().flatten().flatten().map(|folder| folder.path())
    });
    let manifests = folders
        .chain([root().join("xtask"), root().join("examples")])
        .map(|folder| folder.join("Cargo.toml"));
    let mut names: Vec<String> =
        manifests.filter_map(|path| package_name(&fs::read_to_string(path).ok()?)).collect();
    names.sort();
    names
}

fn package_name(manifest: &str) -> Option<String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("name = \""))?;
    Some(line.trim_end().trim_end_matches('"').to_owned())
}

/// The sums over all test programs of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    /// Adds a line such as `test result: ok. 5 passed; 0 failed; 0 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        let count = |word: &str| {
            let (before, _) = counts.split_once(word)?;
            before.trim_end().rsplit(' ').next()?.parse::<u64>().ok()
        };
        self.passed += count(" passed").unwrap_or(0);
        self.failed += count(" failed").unwrap_or(0);
    }

    /// What to say, given whether cargo succeeded.
    fn verdict(&self, succeeded: bool) -> Result<String, String> {
        match (succeeded, self.passed, self.failed) {
            (true, 0, 0) => Err("no test ran: is the filter a part of a test's name?".to_owned()),
            (true, passed, _) => Ok(format!("{passed} tests passed")),
            (false, _, 0) => Err("the tests could not be built or run".to_owned()),
            (false, passed, failed) => Err(format!("{failed} of {} tests failed", passed + failed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_crate_is_found_by_its_short_and_by_its_full_name() {
        let packages = args(&["syncline", "syncline-types", "xtask"]);
        for (arguments, expected) in [
            (args(&[]), args(&["--workspace"])),
            (args(&["types"]), args(&["-p", "syncline-types"])),
            (args(&["syncline-types", "name"]), args(&["-p", "syncline-types", "name"])),
            (args(&["syncline"]), args(&["-p", "syncline"])),
            (args(&["xtask"]), args(&["-p", "xtask"])),
        ] {
            assert_eq!(select(&arguments, &packages).ok(), Some(expected));
        }
        let failure = select(&args(&["typs"]), &packages).err().unwrap();
        assert!(
            failure.code == 2 && failure.message.contains("Did you mean `types`?"),
            "{}",
            failure.message
        );
        assert!(select(&args(&["a", "b", "c"]), &packages).is_err());
    }

    #[test]
    fn the_workspace_knows_this_crate() {
        let packages = packages();
        assert!(packages.contains(&"xtask".to_owned()) && packages.contains(&"syncline".to_owned()));
    }

    #[test]
    fn totals_are_summed_over_programs() {
        let mut totals = Totals::default();
        totals.add("running 3 tests");
        totals.add(
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.1s",
        );
        totals.add("test result: FAILED. 1 passed; 12 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(totals, Totals { passed: 3, failed: 12 });
        assert_eq!(totals.verdict(false), Err("12 of 15 tests failed".to_owned()));
    }

    #[test]
    fn a_filter_that_ran_nothing_is_a_failure() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out");
        assert!(totals.verdict(true).is_err_and(|text| text.contains("no test ran")));
        assert!(Totals { passed: 1, failed: 0 }.verdict(true).is_ok());
    }

    #[test]
    fn a_build_that_failed_is_not_no_tests() {
        assert!(Totals::default().verdict(false).is_err_and(|text| text.contains("could not be built")));
    }
}
