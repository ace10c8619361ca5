//! Reads one split by binary COPY. The reader itself moves the bytes of its connection, and only while it
//! wants rows: what there is no memory for stays in the socket.

use std::{
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context as TaskContext, Poll, ready},
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures_util::Stream as _;
use syncline_connect::{Batch, Memory, Next, Reader, Reject, Reservation};
use syncline_types::{Error, Position, Result, TableSchema, build::ColumnBuilder, codes};
use tokio_postgres::CopyOutStream;

use super::Shared;
use crate::{
    client::{Client, Driver, Front, Tap},
    decode::{Decoded, RowDecoder},
    error::translate,
};

/// A batch ends after so many rows or bytes, whichever comes first: large enough that nothing is
/// paid per batch, small enough to stay in the processor's caches.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: u64 = 1 << 20;

/// PostgreSQL's own limit of a message.
const ROW_BYTES_MAX: usize = 1 << 30;

/// Reads one split.
pub(super) struct PostgresReader {
    stream: Pin<Box<CopyOutStream>>,
    tap: Tap,
    driver: Driver,
    decoder: RowDecoder,
    schema: Arc<arrow_schema::Schema>,
    /// The batch under construction; kept here so that being cancelled loses nothing.
    building: Option<Building>,
    /// Rows of the last batch, as a guess for the next.
    rows_expected: usize,
    ended: bool,
    name: String,
    client: Option<Client>,
    shared: Arc<Shared>,
}

struct Building {
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: u64,
    reserved: u64,
    memory: Reservation,
    rejects: Vec<Reject>,
}

/// Why filling a batch stopped.
enum Filled {
    /// It is full, or there is no memory for more.
    Full,
    /// Nothing more is there just now.
    Dry,
    /// A first row that needs so many bytes.
    NeedsMemory(u64),
    End,
}

impl PostgresReader {
    /// Begins to read what `sql`, a COPY, sends.
    pub(super) async fn open(
        shared: Arc<Shared>,
        mut client: Client,
        schema: &TableSchema,
        sql: &str,
        name: String,
    ) -> Result<Self> {
        let mut driver = client.take_driver().await?;
        let tap = client.tap.clone();
        tap.lock().open();
        let begun = driver.beside(client.inner.copy_out(sql));
        let stream = client.answer("read table", &name, begun).await?;
        Ok(PostgresReader {
            stream: Box::pin(stream),
            tap,
            driver,
            decoder: RowDecoder::new(&schema.columns, shared.unencoded),
            schema: schema.arrow(),
            building: None,
            rows_expected: BATCH_ROWS,
            ended: false,
            name,
            client: Some(client),
            shared,
        })
    }

    /// Moves the connection's bytes. Ready when there is no row to come, or an error.
    fn poll_connection(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<()>> {
        // What it has to say of its end comes through the stream.
        let _ = self.driver.poll(task);
        match ready!(self.stream.as_mut().poll_next(task)) {
            None => Poll::Ready(Ok(())),
            Some(Err(error)) => Poll::Ready(Err(translate(&error, "read table", &self.name))),
            // The tap has let a row pass.
            Some(Ok(_)) => Poll::Ready(Err(Error::new(&codes::BROKEN_INVARIANT, "read table", &self.name)
                .because("a row went another way than the others"))),
        }
    }

    fn poll_fill(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<Filled>> {
        let mut progress = false;
        loop {
            if let Some(filled) = self.take_rows(&mut progress)? {
                return Poll::Ready(Ok(filled));
            }
            match self.poll_connection(task) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(Filled::End)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if self.tap.lock().front() != Front::Nothing => {}
                Poll::Pending if progress => return Poll::Ready(Ok(Filled::Dry)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes the rows that are here. `None`: the connection has to be asked for more.
    fn take_rows(&mut self, progress: &mut bool) -> Result<Option<Filled>> {
        let Some(building) = &mut self.building else { return Ok(Some(Filled::Full)) };
        let mut incoming = self.tap.lock();
        loop {
            let (length, large) = match incoming.front() {
                Front::Row(length) => (length, false),
                Front::Large(length) if length > ROW_BYTES_MAX => {
                    return Err(Error::new(&codes::BAD_BYTES, "read table", &self.name)
                        .because("a row is said to be longer than the server can send")
                        .hint("Look at what stands between here and the server"));
                }
                Front::Large(length) => (length, true),
                Front::Nothing => return Ok(None),
            };
            let bytes = length as u64;
            // While a large row is decoded it is there twice.
            let room = if large { 2 * bytes } else { bytes };
            if let Some(filled) = building.make_room(room, self.shared.cx.memory()) {
                return Ok(Some(filled));
            }
            *progress = true;
            if large {
                incoming.make_room(length);
                return Ok(None);
            }
            match self.decoder.decode(incoming.row(length), &mut building.columns, building.rows)? {
                Decoded::Row => {
                    building.rows += 1;
                    building.bytes += bytes;
                }
                Decoded::Rejected(error) => {
                    let row = u32::try_from(building.rejects.len()).unwrap_or(u32::MAX);
                    building.rejects.push(Reject { row, place: None, error });
                }
                Decoded::Nothing => {}
            }
            incoming.advance(length);
            if building.rows >= BATCH_ROWS || building.bytes >= BATCH_BYTES {
                building.give_back();
                return Ok(Some(Filled::Full));
            }
        }
    }
}

impl Building {
    /// Takes memory for a row, or says why it has to wait.
    fn make_room(&mut self, bytes: u64, memory: &Memory) -> Option<Filled> {
        let missing = (self.bytes + bytes).saturating_sub(self.reserved);
        if missing == 0 {
            return None;
        }
        match memory.try_reserve(missing) {
            Some(more) => {
                self.memory.merge(more);
                self.reserved += missing;
                None
            }
            // Whoever holds rows hands them on before waiting for more memory.
            None if self.rows > 0 => Some(Filled::Full),
            None => Some(Filled::NeedsMemory(bytes)),
        }
    }

    /// Gives back what was needed for decoding only.
    fn give_back(&mut self) {
        self.memory.shrink_to(self.bytes);
        self.reserved = self.bytes;
    }
}

#[async_trait]
impl Reader for PostgresReader {
    async fn next(&mut self) -> Result<Next> {
        if self.ended {
            // The connection stays in the snapshot for whoever reads next.
            if let Some(mut client) = self.client.take().filter(|_| !self.driver.has_ended()) {
                self.tap.lock().close();
                client.give_back(self.driver.take());
                self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
            }
            return Ok(Next::End);
        }
        let mut needed = BATCH_BYTES;
        loop {
            if self.building.is_none() {
                let memory = self.shared.cx.memory().reserve(needed).await;
                self.building = Some(Building {
                    columns: self.decoder.builders(self.rows_expected),
                    rows: 0,
                    bytes: 0,
                    reserved: needed,
                    memory,
                    rejects: vec![],
                });
            }
            let cx = self.shared.cx.clone();
            let name = self.name.clone();
            let filled = std::future::poll_fn(|task| self.poll_fill(task));
            match cx.deadline("read table", &name, filled).await? {
                Filled::Dry => continue,
                Filled::NeedsMemory(bytes) => {
                    // What was reserved is given back first: nobody waits while holding something.
                    self.building = None;
                    needed = bytes.max(BATCH_BYTES);
                    continue;
                }
                Filled::End => self.ended = true,
                Filled::Full => {}
            }
            let Some(building) = self.building.take() else { continue };
            if building.rows == 0 && building.rejects.is_empty() {
                return self.next().await;
            }
            return self.finish(building).map(Next::Batch);
        }
    }

    async fn confirm(&mut self, _: &Position) -> Result<()> {
        // A snapshot keeps nothing that could be let go of.
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        // The server waits for as long as it takes: it has no time-out while it sends.
        Ok(())
    }
}

impl PostgresReader {
    fn finish(&mut self, building: Building) -> Result<Batch> {
        self.rows_expected = building.rows + building.rows / 8;
        let columns = building.columns.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(building.rows));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Error::new(&codes::BROKEN_INVARIANT, "read table", &self.name).because(error))?;
        Ok(Batch {
            rows,
            bytes: building.bytes,
            position: None,
            rejects: building.rejects,
            memory: Some(building.memory),
        })
    }
}
