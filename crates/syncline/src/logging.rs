//! The log: fields on standard error, as text or JSON, without disturbing progress bars.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use indicatif::MultiProgress;
use syncline_types::{Error, Result, codes};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::cli::Global;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Begins to log.
pub(crate) fn start(global: &Global, bars: &MultiProgress) -> Result<()> {
    let filter =
        EnvFilter::builder().parse(format!("off,{}", directives(&global.log_level))).map_err(|error| {
            Error::new(&codes::BAD_VALUE, "use", format!("`--log-level {}`", global.log_level))
                .because(error)
                .hint("It is one of error, warn, info, debug and trace")
        })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(BesideBars(bars.clone()))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    let started = match global.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| cannot_start("start logging", error.as_ref()))
}

/// A level alone is meant for Syncline's own crates: drivers log values.
fn directives(level: &str) -> String {
    const OURS: &[&str] = &["syncline", "syncline_engine", "syncline_postgres", "syncline_sqlite"];
    match level {
        "error" | "warn" | "info" | "debug" | "trace" => {
            OURS.iter().map(|name| format!("{name}={level}")).collect::<Vec<_>>().join(",")
        }
        other => other.to_owned(),
    }
}

/// What keeps the program from starting at all.
pub(crate) fn cannot_start(operation: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, operation, "").because(error)
}

/// Lines go above the bars.
#[derive(Clone)]
struct BesideBars(MultiProgress);

impl<'a> MakeWriter<'a> for BesideBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for BesideBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
