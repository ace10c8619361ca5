//! Reads the changes in a task of its own, which looks for more until nobody wants any.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use syncline_connect::{Context, LogReader, Logged};
use syncline_types::{Error, Position, Result, StreamName, codes};
use tokio::{sync::mpsc, time::Instant};

use super::{
    install::Names,
    look::Look,
    place::{Place, confirm},
    told::{Step, Told},
};
use crate::client::Client;

/// How often the server is asked whether something has changed, while something does and later on. It notifies
/// nobody.
const ASK_EVERY: Duration = Duration::from_millis(50);
const ASK_QUIET: Duration = Duration::from_millis(150);
/// After so long a time without a change it is quiet.
const QUIET_AFTER: Duration = Duration::from_secs(10);

/// Batches that wait for whoever asked for them.
const BATCHES_AHEAD: usize = 1;

const FORGET: &str = "delete changes that were read of pipeline";

/// A delete locks the records alone that it deletes, and not the place behind them where others are written.
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Gives out what its task has found.
pub(super) struct CaptureReader {
    found: mpsc::Receiver<Result<Logged>>,
    /// Deletes what was read.
    writer: Client,
    names: Names,
    tables: Vec<StreamName>,
    told: Arc<Told>,
    cx: Context,
}

impl CaptureReader {
    pub(super) async fn start(
        mut look: Look,
        mut writer: Client,
        names: &Names,
        cx: &Context,
    ) -> Result<Self> {
        writer.run(ISOLATION, "set up a session on", &names.database).await?;
        let (sender, found) = mpsc::channel(BATCHES_AHEAD);
        let (tables, told, stop) = (look.tables(), Arc::clone(&look.told), cx.stop().clone());
        cx.spawn(async move {
            let watch = async {
                let mut changed_at = Instant::now();
                loop {
                    match look.look(&sender).await {
                        Ok(true) => changed_at = Instant::now(),
                        Ok(false) => {}
                        Err(error) => {
                            // Nobody may be left to hear it.
                            let _ = sender.send(Err(error)).await;
                            return;
                        }
                    }
                    let is_quiet = changed_at.elapsed() >= QUIET_AFTER;
                    tokio::time::sleep(if is_quiet { ASK_QUIET } else { ASK_EVERY }).await;
                }
            };
            tokio::select! {
                () = watch => {}
                () = sender.closed() => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(CaptureReader { found, writer, names: names.clone(), tables, told, cx: cx.clone() })
    }

    /// Deletes records by their numbers, and what is noted changes with it.
    async fn delete(&mut self, step: &Step, upto: &Place) -> Result<()> {
        let deletes = self.tables.iter().zip(&step.deletes).filter(|(_, ranges)| !ranges.is_empty());
        let deletes = deletes.map(|(table, ranges)| {
            let parts: Vec<String> =
                ranges.iter().map(|(from, to)| format!("number BETWEEN {from} AND {to}")).collect();
            format!("DELETE FROM {} WHERE {}", self.names.changes(table), parts.join(" OR "))
        });
        let notes = step.notes.iter().filter_map(|(stream, note)| {
            let table = self.tables.get(*stream)?;
            Some(note.update(&self.names, table))
        });
        let work: Vec<String> = deletes.chain(notes).collect();
        if work.is_empty() {
            return Ok(());
        }
        let quoted = self.names.quoted();
        self.writer.run("START TRANSACTION", FORGET, &quoted).await?;
        for sql in work.iter().chain(&[confirm(&self.names, upto)]) {
            self.writer.run_long(sql, FORGET, &quoted).await?;
        }
        self.writer.run("COMMIT", FORGET, &quoted).await.map(drop)
    }
}

#[async_trait]
impl LogReader for CaptureReader {
    async fn next(&mut self) -> Result<Logged> {
        match self.found.recv().await {
            Some(logged) => logged,
            None => {
                let error = |code| Error::new(code, "go on following with pipeline", self.names.quoted());
                Err(match self.cx.stop().is_cancelled() {
                    true => error(&codes::INTERRUPTED).because("the run ends"),
                    false => error(&codes::BROKEN_INVARIANT).because("the task doing it has ended"),
                })
            }
        }
    }

    /// Nothing of it is told again, then, but after a crash.
    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        let upto = Place::of(upto)?;
        while let Some(step) = self.told.step(upto.moment()) {
            self.delete(&step, &upto).await?;
            self.told.done(step);
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        // The session's limit for silence is a week.
        Ok(())
    }
}
