//! The project's one tool: `cargo x COMMAND`. Without a command it lists them.
//!
//! Whatever has to be done to this repository is a command here, and CI runs the same ones.

mod bench;
mod ci;
mod example;
mod fuzz;
mod lint;
mod nearest;
mod needs;
mod policy;
mod run;
mod sim;
mod soak;
mod test;

use std::{env, io::Write, process::ExitCode};

/// Something did not succeed; `cargo x` ends with this code.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// What was to be done failed.
    fn failed(message: impl Into<String>) -> Self {
        Failure { code: 1, message: message.into() }
    }

    /// The command line makes no sense.
    fn usage(message: impl Into<String>) -> Self {
        Failure { code: 2, message: message.into() }
    }
}

struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        arguments: "[CRATE [FILTER]]",
        about: "Installs the servers that are missing and runs the tests",
        run: test::command,
    },
    Command { name: "lint", arguments: "", about: "Checks format, clippy and tidy", run: lint::command },
    Command { name: "ci", arguments: "", about: "Runs what CI runs: test and lint", run: ci::command },
    Command {
        name: "sim",
        arguments: "[SEED] [COUNT]",
        about: "Simulates the engine with crashes, for COUNT seeds from SEED on",
        run: sim::command,
    },
    Command {
        name: "soak",
        arguments: "[--seconds N] [--seed S] [--pair FROM-TO]",
        about: "Follows while programs are killed, servers go down and networks are cut",
        run: soak::command,
    },
    Command {
        name: "bench",
        arguments: "[CASE...]",
        about: "Measures the released binary against the databases' own roads",
        run: bench::command,
    },
    Command {
        name: "fuzz",
        arguments: "TARGET [SECONDS]",
        about: "Feeds a decoder with bytes that libFuzzer makes up",
        run: fuzz::command,
    },
    Command {
        name: "example",
        arguments: "NAME",
        about: "Runs an example of examples/ with servers of its own",
        run: example::command,
    },
    Command { name: "help", arguments: "", about: "Lists the commands", run: help },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            eprintln!("cargo x: {message}");
            ExitCode::from(code)
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = arguments.split_first() else { return help(&[]) };
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(rest),
        None => Err(Failure::usage(unknown_command(name))),
    }
}

fn unknown_command(name: &str) -> String {
    let names = COMMANDS.iter().map(|command| command.name);
    match nearest::nearest(name, names) {
        Some(near) => format!("there is no command `{name}`. Did you mean `{near}`?"),
        None => format!("there is no command `{name}`. `cargo x help` lists them"),
    }
}

fn help(arguments: &[String]) -> Result<(), Failure> {
    no_arguments("help", arguments)?;
    let mut text = "cargo x COMMAND\n\n".to_owned();
    for Command { name, arguments, about, .. } in COMMANDS {
        text += &format!("  {:<24} {about}\n", format!("{name} {arguments}"));
    }
    text += &format!("\n{} leaves servers out: {}\n", needs::WITHOUT, needs::can_be_left_out().join(", "));
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::failed(error.to_string()))
}

/// For commands that take none.
fn no_arguments(command: &str, arguments: &[String]) -> Result<(), Failure> {
    match arguments.first() {
        None => Ok(()),
        Some(first) => Err(Failure::usage(format!("`{command}` takes no arguments; `{first}` was given"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_names_the_nearest_and_is_bad_usage() {
        let failure = dispatch(&["tets".to_owned()]).err().unwrap();
        assert_eq!(failure.code, 2);
        assert!(failure.message.contains("Did you mean `test`?"), "{}", failure.message);
        assert!(unknown_command("zebra").contains("cargo x help"));
    }

    #[test]
    fn arguments_that_are_not_taken_are_refused() {
        assert_eq!(dispatch(&["lint".to_owned(), "all".to_owned()]).err().unwrap().code, 2);
    }
}
