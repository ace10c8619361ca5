//! The command line: one file a command, and here what they share.

mod connectors;
mod copy;
#[cfg(feature = "sqlite")]
mod demo;
mod dlq;
mod follow;
mod pipelines;
mod plan;
mod recopy;
mod release;
mod run;
mod schema;
mod status;
mod trace;
mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use indicatif::MultiProgress;
use syncline_config::Pipeline;
use syncline_connect::{Context, Memory};
use syncline_state::StateDirectory;
use syncline_types::Result;
use tokio_util::sync::CancellationToken;

use crate::{logging::LogFormat, output::Output};

/// Keeps data in step between systems.
///
/// A connection is a URL, such as sqlite:shop.db or postgres://me@host/shop; `syncline connectors`
/// lists them. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 differences found by
/// verify or trace, or not ruled out, 130 stopped by Ctrl-C.
#[derive(Parser)]
#[command(name = "syncline", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Where the state is kept unless another place is named.
const STATE: &str = "./.syncline";

/// Options of every command.
#[derive(Args)]
pub(crate) struct Global {
    /// The directory that keeps what survives a process
    #[arg(long, global = true, value_name = "DIR", default_value = STATE)]
    pub(crate) state: PathBuf,
    /// The form of what is printed
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// What is logged: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log_level: String,
    /// The form of log lines
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

#[derive(Subcommand)]
enum Command {
    /// A tour that needs no server
    #[cfg(feature = "sqlite")]
    Demo(demo::DemoCommand),
    /// Copy tables from one connection to another
    Copy(copy::CopyCommand),
    /// Run the pipelines of a file
    Run(run::RunCommand),
    /// Check, and show what a run would do
    Plan(plan::PlanCommand),
    /// Compare both ends, and name the rows that differ
    Verify(verify::VerifyCommand),
    /// Say where one row is, and why it is not where it is looked for
    Trace(trace::TraceCommand),
    /// Copy a stream of a pipeline that follows again, or a part of it
    Recopy(recopy::RecopyCommand),
    /// Show runs: what is done, what is left
    Status(status::StatusCommand),
    /// Look at rows that could not go on, or drop them
    Dlq(dlq::DlqCommand),
    /// Let the source forget pipelines that follow it: its slot and publication, or its triggers and
    /// records of changes, go. To follow again they copy again, with --restart
    Release(release::ReleaseCommand),
    /// List connectors, or describe one
    Connectors(connectors::ConnectorsCommand),
    /// Print the JSON Schema of the pipeline file, for editors
    Schema,
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    /// `verify` or `trace` has found differences, or rows of which it is not clear whether they differ.
    Different,
}

/// What every command works with.
pub(crate) struct Session {
    pub(crate) output: Output,
    pub(crate) state: StateDirectory,
    pub(crate) bars: MultiProgress,
    /// Cancelled when the user wants it to end.
    pub(crate) stop: CancellationToken,
}

impl Cli {
    pub(crate) async fn run(self, bars: MultiProgress) -> Result<Ended> {
        let session = Session {
            output: self.global.output,
            state: StateDirectory::new(self.global.state.clone()),
            bars,
            stop: listen_for_stop(),
        };
        match self.command {
            #[cfg(feature = "sqlite")]
            Command::Demo(command) => command.run(&self.global),
            Command::Copy(command) => command.run(&session).await,
            Command::Run(command) => command.run(&session).await,
            Command::Plan(command) => command.run(&session).await,
            Command::Verify(command) => command.run(&session).await,
            Command::Trace(command) => command.run(&session).await,
            Command::Recopy(command) => command.run(&session).await,
            Command::Status(command) => command.run(&session).await,
            Command::Dlq(command) => command.run(&session).await,
            Command::Release(command) => command.run(&session).await,
            Command::Connectors(command) => command.run(&session),
            Command::Schema => schema::run(session.output),
        }
    }
}

impl Session {
    /// What connectors of a pipeline are lent.
    pub(crate) fn context(pipeline: &Pipeline) -> Context {
        Context::new(
            Memory::new(pipeline.memory_bytes),
            std::time::Duration::from_secs(pipeline.idle_seconds),
        )
    }
}

/// The first Ctrl-C (or SIGTERM) ends a run cleanly, the second one at once.
fn listen_for_stop() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        cancel.cancel();
        wait_for_signal().await;
        std::process::exit(130);
    });
    stop
}

async fn wait_for_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a way to listen there is no signal to wait for.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
