//! `syncline dlq list|show|drop PIPELINE [ID]`: rows that could not go on.

use clap::{Args, Subcommand};
use serde_json::json;
use syncline_state::{SqliteStore, Store};
use syncline_types::{Error, Result, codes};

use super::{Ended, Session};
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
    /// Delete dead letters
    Drop {
        /// The pipeline
        pipeline: String,
        /// Which; all by default
        id: Option<i64>,
    },
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
