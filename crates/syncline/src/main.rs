//! The `syncline` command: reads the command line, sets up logging and the runtime, and turns what
//! came of it into an exit code.

mod cli;
mod logging;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use syncline_types::{ErrorKind, Result};

use cli::{Cli, Ended};
use output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = cli.global.output;
    match start(cli) {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Different) => ExitCode::from(3),
        Err(error) => {
            output.error(&error);
            ExitCode::from(match error.kind() {
                ErrorKind::Config => 2,
                ErrorKind::Interrupted => 130,
                _ => 1,
            })
        }
    }
}

fn start(cli: Cli) -> Result<Ended> {
    let bars = progress::bars(cli.global.output);
    logging::start(&cli.global, &bars)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| logging::cannot_start("start the runtime", &error))?;
    runtime.block_on(cli.run(bars))
}

/// Help goes where it is asked for; a mistake is told in the form that was asked for, too.
fn usage(error: &clap::Error) -> ExitCode {
    let wants_json = || {
        let arguments: Vec<String> = std::env::args().collect();
        arguments.iter().any(|argument| argument == "--output=json")
            || arguments.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
    };
    if error.use_stderr() && wants_json() {
        let reason = error.to_string();
        Output::Json.error(
            &syncline_types::Error::new(&syncline_types::codes::BAD_USAGE, "read", "the command line")
                .because(reason.trim_start_matches("error: ").lines().next().unwrap_or_default()),
        );
    } else if error.print().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
