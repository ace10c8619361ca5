//! `cargo x fuzz`: one fuzz target under libFuzzer, for a while. Without it, `cargo test` replays each
//! target's corpus and mutations of it; `fuzz/replay.rs` says how.

use std::{
    fs, io,
    process::{Command, Stdio},
};

use crate::{
    Failure, nearest,
    run::{root, run},
};

/// Seconds for which a target runs unless they are given.
const SECONDS: u64 = 60;

/// What libFuzzer needs, which the build does not.
const TO_INSTALL: &str = "Fuzzing needs nightly Rust and cargo-fuzz:\n  \
                          rustup toolchain install nightly\n  cargo install cargo-fuzz";

pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    let targets = targets().map_err(|error| Failure::failed(format!("fuzz/targets: {error}")))?;
    let (target, seconds) = parse(arguments, &targets)?;
    if !is_there() {
        return Err(Failure::failed(TO_INSTALL));
    }
    // What is found goes into the first folder, and only what is worth keeping is moved by hand.
    let found = format!("fuzz/target/found/{target}");
    fs::create_dir_all(root().join(&found)).map_err(|error| Failure::failed(format!("{found}: {error}")))?;
    let mut command = nightly();
    command.args(["run", target, &found, &format!("fuzz/corpus/{target}")]);
    run(command.args(["--", &format!("-max_total_time={seconds}")]))
}

/// cargo-fuzz under nightly, whatever toolchain runs us.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.current_dir(root()).args(["run", "nightly", "cargo", "fuzz"]);
    command
}

fn is_there() -> bool {
    let status = nightly().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The names of the targets, which are those of their files.
fn targets() -> io::Result<Vec<String>> {
    let mut names = vec![];
    for entry in fs::read_dir(root().join("fuzz/targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn parse<'a>(arguments: &'a [String], targets: &[String]) -> Result<(&'a str, u64), Failure> {
    let all = targets.join(", ");
    let (target, seconds) = match arguments {
        [] => return Err(Failure::usage(format!("`fuzz` takes a target: {all}"))),
        [target] => (target, SECONDS),
        [target, seconds] => match seconds.parse() {
            Ok(seconds) => (target, seconds),
            Err(_) => return Err(Failure::usage(format!("`{seconds}` is no number of seconds"))),
        },
        _ => return Err(Failure::usage("`fuzz` takes a target and a number of seconds, no more")),
    };
    if targets.contains(target) {
        return Ok((target, seconds));
    }
    Err(Failure::usage(match nearest::nearest(target, targets.iter().map(String::as_str)) {
        Some(near) => format!("there is no fuzz target `{target}`. Did you mean `{near}`?"),
        None => format!("there is no fuzz target `{target}`. There are: {all}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<(String, u64), String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let targets = ["csv".to_owned(), "parquet".to_owned()];
        let parsed = parse(&arguments, &targets);
        parsed.map(|(target, seconds)| (target.to_owned(), seconds)).map_err(|failure| failure.message)
    }

    #[test]
    fn a_target_and_seconds_are_taken_and_nothing_else() {
        assert_eq!(parsed(&["csv"]), Ok(("csv".to_owned(), SECONDS)));
        assert_eq!(parsed(&["csv", "5"]), Ok(("csv".to_owned(), 5)));
        assert!(parsed(&[]).unwrap_err().contains("csv, parquet"));
        assert!(parsed(&["parket"]).unwrap_err().contains("Did you mean `parquet`?"));
        assert!(parsed(&["csv", "long"]).unwrap_err().contains("`long` is no number"));
        assert!(parsed(&["csv", "1", "2"]).is_err());
    }

    #[test]
    fn every_target_has_a_corpus_and_is_built() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for target in targets().unwrap() {
            assert!(
                manifest.contains(&format!("name = \"{target}\"\npath = \"targets/{target}.rs\"")),
                "{target}"
            );
            let mut corpus = fs::read_dir(root().join("fuzz/corpus").join(&target)).expect("it has a corpus");
            assert!(corpus.next().is_some(), "fuzz/corpus/{target} is empty");
        }
    }
}
