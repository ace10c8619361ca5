//! Reads the next batch while the last one is written, and keeps a silent connection alive.

use std::time::Duration;

use async_trait::async_trait;
use syncline_connect::{Context, Next, Reader};
use syncline_types::{Error, Position, Result, codes};
use tokio::sync::{mpsc, oneshot};

/// Batches read ahead of the one being written. Their bytes count against the memory budget.
const BATCHES_AHEAD: usize = 1;

/// How often a reader that waits for a slow target is told to keep its connection alive.
const TICK: Duration = Duration::from_secs(10);

/// A reader that works in a task of its own.
pub(super) struct Prefetch {
    batches: mpsc::Receiver<Result<Next>>,
    confirms: mpsc::Sender<Confirm>,
}

type Confirm = (Position, oneshot::Sender<Result<()>>);

impl Prefetch {
    /// Begins to read. Dropping it ends the task, and with it the reader.
    pub(super) fn start(reader: Box<dyn Reader>, cx: &Context) -> Self {
        let (batches_in, batches) = mpsc::channel(BATCHES_AHEAD);
        let (confirms, confirms_out) = mpsc::channel(1);
        cx.spawn(read_ahead(reader, batches_in, confirms_out));
        Prefetch { batches, confirms }
    }
}

async fn read_ahead(
    mut reader: Box<dyn Reader>,
    batches: mpsc::Sender<Result<Next>>,
    mut confirms: mpsc::Receiver<Confirm>,
) {
    let mut over = false;
    loop {
        // Room first: a batch that nobody can take yet is not read.
        let room = loop {
            tokio::select! {
                room = batches.reserve() => match room {
                    Ok(room) => break room,
                    Err(_) => return,
                },
                confirm = confirms.recv() => match confirm {
                    Some(confirm) => answer(&mut reader, confirm).await,
                    None => return,
                },
                () = tokio::time::sleep(TICK) => if let Err(error) = reader.tick().await {
                    // Nothing follows an error; it is found when there is room for it.
                    let _ = batches.send(Err(error)).await;
                    return;
                },
            }
        };
        if over {
            // The last word is said; what is left is to confirm.
            drop(room);
            while let Some(confirm) = confirms.recv().await {
                answer(&mut reader, confirm).await;
            }
            return;
        }
        let next = loop {
            tokio::select! {
                next = reader.next() => break next,
                confirm = confirms.recv() => match confirm {
                    Some(confirm) => answer(&mut reader, confirm).await,
                    None => return,
                },
            }
        };
        over = !matches!(next, Ok(Next::Batch(_) | Next::Idle(_)));
        room.send(next);
    }
}

async fn answer(reader: &mut Box<dyn Reader>, (position, reply): Confirm) {
    // Whoever asked may be gone; then nobody wants the answer.
    let _ = reply.send(reader.confirm(&position).await);
}

#[async_trait]
impl Reader for Prefetch {
    async fn next(&mut self) -> Result<Next> {
        self.batches.recv().await.unwrap_or_else(|| Err(ended("read")))
    }

    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        if self.confirms.send((upto.clone(), reply)).await.is_err() {
            return Err(ended("confirm"));
        }
        answer.await.unwrap_or_else(|_| Err(ended("confirm")))
    }

    async fn tick(&mut self) -> Result<()> {
        // The task does it itself.
        Ok(())
    }
}

fn ended(operation: &str) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, operation, "ahead").because("the reading task has ended")
}
