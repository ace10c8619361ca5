//! Reads one file on a thread of its own, until it ends or nobody wants its rows any more.

use std::{fs::File, future::Future};

use async_trait::async_trait;
use syncline_connect::{Batch, Context, Next, Reader, Reject};
use syncline_format::Rows;
use syncline_types::{Error, Position, Result, TableSchema, codes};
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, OwnedPermit},
};

use crate::decode::{Chunk, FileSpec, Opened};

/// Batches that wait for whoever asked for them. Room for one is taken before it is read.
const BATCHES_AHEAD: usize = 1;

/// Gives out what its thread has read.
pub(super) struct FileReader {
    batches: mpsc::Receiver<Result<Next>>,
    cx: Context,
    ended: bool,
}

impl FileReader {
    /// Reads behind so many records.
    pub(super) fn start(spec: FileSpec, file: File, schema: TableSchema, behind: u64, cx: &Context) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let reading = Reading { spec, schema, behind, sender, cx: cx.clone() };
        cx.spawn_blocking(move || {
            let result = reading.run(file);
            reading.end(result);
        });
        FileReader { batches, cx: cx.clone(), ended: false }
    }
}

#[async_trait]
impl Reader for FileReader {
    async fn next(&mut self) -> Result<Next> {
        if self.ended {
            return Ok(Next::End);
        }
        match self.batches.recv().await {
            Some(Ok(Next::End)) => {
                self.ended = true;
                Ok(Next::End)
            }
            Some(next) => next,
            None if self.cx.stop().is_cancelled() => {
                Err(Error::new(&codes::INTERRUPTED, "go on reading", "").because("the run ends"))
            }
            None => Err(Error::new(&codes::BROKEN_INVARIANT, "go on reading", "")
                .because("the thread doing it has ended")),
        }
    }

    async fn confirm(&mut self, _: &Position) -> Result<()> {
        // A file keeps nothing that could be let go of.
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        // There is no server that could grow tired of waiting.
        Ok(())
    }
}

/// What the thread works with.
struct Reading {
    spec: FileSpec,
    schema: TableSchema,
    behind: u64,
    sender: mpsc::Sender<Result<Next>>,
    cx: Context,
}

impl Reading {
    /// Reads to the end of the file; `false` when nobody wants the rest.
    fn run(&self, file: File) -> Result<bool> {
        let mut opened = Opened::begin(&self.spec, file, &self.schema)?;
        if self.behind > 0 {
            opened.skip(self.behind)?;
        }
        let mut reserve = |bytes| self.wait(self.cx.memory().reserve(bytes));
        loop {
            // Nothing else is held while room in the channel is waited for.
            let Some(Ok(permit)) = self.wait(self.sender.clone().reserve_owned()) else { return Ok(false) };
            match opened.next(&mut reserve)? {
                Chunk::Rows(rows, memory) => {
                    let batch = Batch { memory: Some(memory), ..self.batch(rows) };
                    send(permit, batch);
                }
                Chunk::End => return Ok(true),
                Chunk::Stopped => return Ok(false),
            }
        }
    }

    fn batch(&self, rows: Rows) -> Batch {
        let rejects = rows.rejects.into_iter().zip(0..).map(|(bad, row)| {
            let place = Some(format!("{}:{}", self.spec.path.display(), bad.line));
            Reject { row, place, error: bad.error }
        });
        Batch {
            rows: rows.batch,
            bytes: rows.bytes,
            position: Some(Position(rows.records.to_string())),
            rejects: rejects.collect(),
            memory: None,
        }
    }

    /// Tells how it ended.
    fn end(&self, result: Result<bool>) {
        let last = match result {
            Ok(true) => Ok(Next::End),
            Ok(false) => return,
            Err(error) => Err(error),
        };
        // Nobody may be left to hear it.
        let _ = self.wait(self.sender.send(last));
    }

    /// Waits for something, unless the rows are not wanted any more.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        Handle::current().block_on(async {
            tokio::select! {
                value = future => Some(value),
                () = self.sender.closed() => None,
                () = self.cx.stop().cancelled() => None,
            }
        })
    }
}

fn send(permit: OwnedPermit<Result<Next>>, batch: Batch) {
    permit.send(Ok(Next::Batch(batch)));
}
