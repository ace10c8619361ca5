//! `cargo x sim`: the engine against simulated crashes, for many seeds.

use crate::{
    Failure,
    run::{cargo, run},
};

/// The seed and the number of seeds are passed on in these; the simulation has its own defaults.
const VARIABLES: [&str; 2] = ["SYNCLINE_SEED", "SYNCLINE_SEEDS"];

pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    if arguments.len() > VARIABLES.len() {
        return Err(Failure::usage("`sim` takes a seed and a number of seeds, no more"));
    }
    let mut command = cargo();
    command.args(["test", "-p", "syncline-engine", "--test", "sim", "--", "--nocapture"]);
    for (variable, value) in VARIABLES.iter().zip(arguments) {
        if value.parse::<u64>().is_err() {
            return Err(Failure::usage(format!("`{value}` is no whole number")));
        }
        command.env(variable, value);
    }
    run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(command(&["ten".to_owned()]).err().unwrap().code, 2);
        assert_eq!(command(&["1", "2", "3"].map(str::to_owned)).err().unwrap().code, 2);
    }
}
