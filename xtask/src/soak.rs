//! `cargo x soak`: a live pipeline while everything fails that can, for as long as is wanted.

use crate::{
    Failure, needs,
    run::{cargo, run},
};

/// How long somebody writes, for each pair, unless it is given.
const SECONDS: &str = "60";

/// What each option is passed on as.
const OPTIONS: &[(&str, &str)] =
    &[("--seconds", "SYNCLINE_SOAK_SECONDS"), ("--seed", "SYNCLINE_SEED"), ("--pair", "SYNCLINE_SOAK_PAIR")];

pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    let variables = parse(arguments)?;
    needs::ensure(&needs::left_out()?)?;
    let mut command = cargo();
    command.args(["test", "-p", "syncline", "--test", "soak", "--", "--nocapture", "whatever_fails"]);
    command.env(OPTIONS[0].1, SECONDS).envs(variables);
    run(&mut command)
}

fn parse(arguments: &[String]) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut variables = vec![];
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let Some((_, variable)) = OPTIONS.iter().find(|(name, _)| name == option) else {
            let names: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
            return Err(Failure::usage(format!("`soak` takes {}; not `{option}`", names.join(", "))));
        };
        let value = rest.next().ok_or_else(|| Failure::usage(format!("{option} needs a value")))?;
        if *option != "--pair" && value.parse::<u64>().is_err() {
            return Err(Failure::usage(format!("`{value}` is no whole number")));
        }
        variables.push((*variable, value.clone()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Vec<(&'static str, String)>, Failure> {
        parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_become_variables() {
        let variables = parsed(&["--seed", "7", "--pair", "mysql-postgres"]).ok().unwrap();
        let expected = [("SYNCLINE_SEED", "7"), ("SYNCLINE_SOAK_PAIR", "mysql-postgres")];
        assert_eq!(variables, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [&["--seconds"][..], &["--seconds", "long"], &["--pairs", "a-b"], &["7"]] {
            assert_eq!(parsed(words).err().unwrap().code, 2, "{words:?}");
        }
    }
}
