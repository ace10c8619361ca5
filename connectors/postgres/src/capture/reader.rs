//! Reads the changes in a task of its own, which looks for more until nobody wants any.

use std::time::Duration;

use async_trait::async_trait;
use syncline_connect::{Context, LogReader, Logged};
use syncline_types::{Error, Position, Result, codes};
use tokio::{sync::mpsc, time::Instant};

use super::{
    install::Names,
    look::Look,
    place::{Place, forget},
};
use crate::client::Client;

/// How often the server is asked whether something has changed. It notifies only those that writers would
/// have to notify, one after the other.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Batches that wait for whoever asked for them.
const BATCHES_AHEAD: usize = 1;

/// How often records are deleted, and how many of a table at once.
const FORGET_EVERY: Duration = Duration::from_secs(1);
const FORGET_AT_ONCE: u64 = 20_000;
const FORGET_STEPS_MAX: usize = 10;

/// Gives out what its task has found.
pub(super) struct CaptureReader {
    found: mpsc::Receiver<Result<Logged>>,
    /// Deletes what was read.
    writer: Client,
    names: Names,
    oids: Vec<u32>,
    cx: Context,
    /// Everything before it is durable at the target.
    confirmed: Option<Place>,
    forgot_at: Option<Instant>,
}

impl CaptureReader {
    pub(super) fn start(mut look: Look, writer: Client, names: &Names, cx: &Context) -> Self {
        let (sender, found) = mpsc::channel(BATCHES_AHEAD);
        let (oids, stop) = (look.oids.clone(), cx.stop().clone());
        cx.spawn(async move {
            let watch = async {
                loop {
                    if let Err(error) = look.look(&sender).await {
                        // Nobody may be left to hear it.
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                    tokio::time::sleep(ASK_EVERY).await;
                }
            };
            tokio::select! {
                () = watch => {}
                () = sender.closed() => {}
                () = stop.cancelled() => {}
            }
        });
        CaptureReader {
            found,
            writer,
            names: names.clone(),
            oids,
            cx: cx.clone(),
            confirmed: None,
            forgot_at: None,
        }
    }

    async fn forget(&mut self) -> Result<()> {
        if self.forgot_at.is_some_and(|at| at.elapsed() < FORGET_EVERY) {
            return Ok(());
        }
        let Some(upto) = self.confirmed.take() else { return Ok(()) };
        self.forgot_at = Some(Instant::now());
        for _ in 0..FORGET_STEPS_MAX {
            if forget(&self.writer, &self.names, &self.oids, &upto, FORGET_AT_ONCE).await? < FORGET_AT_ONCE {
                return Ok(());
            }
        }
        // The rest is deleted next time.
        self.confirmed = Some(upto);
        Ok(())
    }
}

#[async_trait]
impl LogReader for CaptureReader {
    async fn next(&mut self) -> Result<Logged> {
        match self.found.recv().await {
            Some(logged) => logged,
            None => {
                let error =
                    Error::new(&codes::INTERRUPTED, "go on following with pipeline", self.names.quoted());
                Err(match self.cx.stop().is_cancelled() {
                    true => error.because("the run ends"),
                    false => Error::new(
                        &codes::BROKEN_INVARIANT,
                        "go on following with pipeline",
                        self.names.quoted(),
                    )
                    .because("the task doing it has ended"),
                })
            }
        }
    }

    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        self.confirmed = Some(Place::of(upto)?);
        self.forget().await
    }

    async fn tick(&mut self) -> Result<()> {
        self.forget().await
    }
}
