//! `syncline dlq list|show|drop PIPELINE [ID]`, `syncline dlq replay FILE PIPELINE | FROM TO`: rows that
//! could not go on.

use clap::{Args, Subcommand};
use serde_json::json;
use syncline_engine::repair::{Outcome, Replayed, replay};
use syncline_state::{SqliteStore, Store};
use syncline_types::{Error, Result, codes};

use super::{
    Ended, Session,
    pipelines::{PipelineOptions, resolve},
};
use crate::output::table;

#[derive(Args)]
pub(crate) struct DlqCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List a pipeline's dead letters
    List {
        /// The pipeline
        pipeline: String,
    },
    /// Show dead letters with their rows, as far as the pipeline's masks let them be seen
    Show {
        /// The pipeline
        pipeline: String,
        /// Which; all by default
        id: Option<i64>,
    },
    /// Read rows of dead letters again by key, send them through the steps and merge them
    ///
    /// A letter whose row is written is dropped, one that fails again says why. Rows of streams without
    /// a key, and rows that the source could not decode, cannot be replayed alone: run the pipeline
    /// again for these.
    Replay(Box<Replay>),
    /// Delete dead letters
    Drop {
        /// The pipeline
        pipeline: String,
        /// Which; all by default
        id: Option<i64>,
    },
}

#[derive(Args)]
struct Replay {
    /// FILE PIPELINE, or FROM TO with the options of the copy
    #[arg(required = true, value_name = "FILE PIPELINE | FROM TO")]
    arguments: Vec<String>,
    /// Which; all by default
    #[arg(long, value_name = "ID")]
    id: Option<i64>,
    #[command(flatten)]
    options: PipelineOptions,
}

impl DlqCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let store = session.state.open(false)?.ok_or_else(|| {
            Error::new(&codes::NO_SUCH_RUN, "read dead letters in", session.state.path().display())
                .because("there is no state in that directory")
                .hint("Name the state directory of the run with --state DIR")
        })?;
        match self.action {
            Action::List { pipeline } => list(session, &store, &pipeline).await,
            Action::Show { pipeline, id } => show(session, &store, &pipeline, id).await,
            Action::Replay(command) => replay_letters(session, &store, *command).await,
            Action::Drop { pipeline, id } => drop_letters(session, &store, &pipeline, id).await,
        }
    }
}

async fn known(store: &SqliteStore, pipeline: &str) -> Result<()> {
    let letters = store.letters(pipeline, None).await?;
    let summaries = store.summaries().await?;
    if !letters.is_empty() || summaries.iter().any(|summary| summary.pipeline == pipeline) {
        return Ok(());
    }
    let names = summaries.iter().map(|summary| summary.pipeline.as_str());
    let error = Error::new(&codes::NO_SUCH_RUN, "find pipeline", format!("`{pipeline}`"))
        .because("the state knows no such pipeline");
    Err(match syncline_connect::nearest(pipeline, names) {
        Some(near) => error.hint(format!("Did you mean `{near}`?")),
        None => error.hint("`syncline status` lists them"),
    })
}

async fn list(session: &Session, store: &SqliteStore, pipeline: &str) -> Result<Ended> {
    known(store, pipeline).await?;
    let letters = store.letters(pipeline, None).await?;
    let mut rows = vec![["id", "stream", "row", "code", "reason", "at"].map(str::to_owned).to_vec()];
    for letter in letters {
        session.output.object(&json!({
            "event": "dead_letter", "id": letter.id, "stream": letter.stream, "row": letter.row,
            "code": letter.code, "reason": letter.reason, "at": letter.at,
        }));
        rows.push(vec![
            letter.id.to_string(),
            letter.stream,
            letter.row.unwrap_or_default(),
            letter.code,
            letter.reason,
            letter.at,
        ]);
    }
    if rows.len() == 1 {
        session.output.line(format!("`{pipeline}` has no dead letters"));
    } else {
        table(&rows, 0).iter().for_each(|line| session.output.line(line));
    }
    Ok(Ended::Well)
}

async fn show(session: &Session, store: &SqliteStore, pipeline: &str, id: Option<i64>) -> Result<Ended> {
    known(store, pipeline).await?;
    let letters = store.letters(pipeline, id).await?;
    if let (Some(id), true) = (id, letters.is_empty()) {
        return Err(no_such_letter(pipeline, id));
    }
    for letter in letters {
        session.output.object(&json!({"event": "dead_letter", "letter": letter}));
        session.output.line(format!("#{} {} {}", letter.id, letter.stream, letter.row.unwrap_or_default()));
        session.output.line(format!("  {} [{}] at {}", letter.reason, letter.code, letter.at));
        session.output.line(format!("  {}", letter.payload));
    }
    Ok(Ended::Well)
}

async fn replay_letters(session: &Session, store: &SqliteStore, command: Replay) -> Result<Ended> {
    let pipelines = resolve(command.arguments, command.options)?;
    let [pipeline] = pipelines.as_slice() else {
        return Err(Error::new(&codes::BAD_USAGE, "replay", "dead letters")
            .because("the file has several pipelines")
            .hint("Name one, as in FILE PIPELINE"));
    };
    known(store, &pipeline.id).await?;
    if let Some(id) = command.id
        && store.letters(&pipeline.id, Some(id)).await?.is_empty()
    {
        return Err(no_such_letter(&pipeline.id, id));
    }
    let cx = Session::context(pipeline);
    let registry = syncline_connectors::by_scheme;
    let replayed = replay(pipeline, command.id, registry, &cx, &session.state, &session.stop).await?;
    cx.close().await;
    let written = replayed.iter().filter(|replayed| replayed.outcome == Outcome::Written).count();
    for Replayed { letter, stream, outcome } in &replayed {
        let (word, code, reason) = match outcome {
            Outcome::Written => ("written", None, None),
            Outcome::Refused { code, reason } => ("refused", Some(code.as_str()), Some(reason.as_str())),
            Outcome::Gone => {
                ("gone", None, Some("the source no longer has the row, or the pipeline no longer copies it"))
            }
            Outcome::Alone(why) => ("left", None, Some(*why)),
        };
        session.output.object(&json!({
            "event": "replayed", "id": letter, "stream": stream, "outcome": word, "code": code, "reason": reason,
        }));
        let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        session.output.line(format!("#{letter} {stream}: {word}{why}"));
    }
    let left = replayed.len() - written;
    session
        .output
        .object(&json!({"event": "summary", "pipeline": pipeline.id, "written": written, "left": left}));
    session.output.line(format!("{written} rows written, {left} dead letters left of those replayed"));
    Ok(Ended::Well)
}

async fn drop_letters(
    session: &Session,
    store: &SqliteStore,
    pipeline: &str,
    id: Option<i64>,
) -> Result<Ended> {
    known(store, pipeline).await?;
    let dropped = store.drop_letters(pipeline, id).await?;
    if let (Some(id), 0) = (id, dropped) {
        return Err(no_such_letter(pipeline, id));
    }
    session.output.object(&json!({"event": "dropped", "pipeline": pipeline, "letters": dropped}));
    session.output.line(format!("dropped {dropped} dead letters of `{pipeline}`"));
    Ok(Ended::Well)
}

fn no_such_letter(pipeline: &str, id: i64) -> Error {
    Error::new(&codes::NO_SUCH_RUN, "find dead letter", id)
        .because(format!("`{pipeline}` has none of that id"))
        .hint(format!("`syncline dlq list {pipeline}` lists them"))
}
