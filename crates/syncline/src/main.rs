//! The `syncline` command: reads the command line, sets up logging and the runtime, and turns what
//! came of it into an exit code.

mod cli;
mod logging;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use syncline_types::{Error, ErrorKind, Result, codes};

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
    // Among the threads that wait for sockets: this one would be woken by one of them each time.
    let running = runtime.spawn(cli.run(bars));
    match runtime.block_on(running) {
        Ok(ended) => ended,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Help goes where it is asked for; a mistake is told in the form that was asked for, too.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let arguments: Vec<String> = std::env::args().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--output=json")
        || arguments.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json");
    // A mere `syncline` is answered with the help.
    if !wants_json && error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let output = if wants_json { Output::Json } else { Output::Text };
    output.error(&usage_error(error));
    ExitCode::from(2)
}

/// What clap found, in our own form: its first paragraph is the reason, its tip the hint.
fn usage_error(error: &clap::Error) -> Error {
    use clap::error::ErrorKind as Kind;
    let code = match error.kind() {
        Kind::UnknownArgument => &codes::UNKNOWN_KEY,
        Kind::InvalidValue | Kind::ValueValidation => &codes::BAD_VALUE,
        _ => &codes::BAD_USAGE,
    };
    let text = error.to_string();
    if error.kind() == Kind::UnknownArgument && text.contains("://") {
        // Not repeated: a connection may hold a password.
        return Error::new(&codes::BAD_USAGE, "read", "the command line")
            .because("there is a connection too many")
            .hint("`syncline help` shows how it is written");
    }
    let paragraph = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>();
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    Error::new(code, "read", "the command line")
        .because(paragraph.join(" ").trim_start_matches("error: "))
        .hint(tip.unwrap_or("`syncline help` shows how it is written"))
}
