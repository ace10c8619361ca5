//! Reads one split on a thread of its own, which has the connection until the split ends or nobody
//! wants its rows any more.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use rusqlite::{InterruptHandle, types::ValueRef};
use syncline_connect::{Batch, Context, Next, Reader, Reject, Reservation};
use syncline_types::{Error, Position, Result, build::ColumnBuilder, codes};
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, OwnedPermit},
};

use super::{
    key::{position, text_form},
    pool::Lease,
    read_sql::ReadSql,
};
use crate::{
    decode::value_bytes,
    error::{translate, was_interrupted},
};

/// A batch ends after so many rows or bytes, whichever comes first: large enough that nothing is
/// paid per batch, small enough to stay in the processor's caches.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: u64 = 2 << 20;

/// Batches that wait for whoever asked for them. Room for one is taken before it is read.
const BATCHES_AHEAD: usize = 1;

/// Gives out what its thread has read.
pub(super) struct SqliteReader {
    batches: mpsc::Receiver<Result<Next>>,
    leash: Leash,
    cx: Context,
    ended: bool,
}

/// By which a statement can be broken off, for as long as the thread has the connection.
#[derive(Clone)]
struct Leash(Arc<Mutex<Option<InterruptHandle>>>);

impl Leash {
    fn pull(&self) {
        if let Some(handle) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            handle.interrupt();
        }
    }

    /// From now on the connection may be another's.
    fn let_go(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl SqliteReader {
    pub(super) fn start(lease: Lease, sql: ReadSql, cx: &Context) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let leash = Leash(Arc::new(Mutex::new(Some(lease.connection().get_interrupt_handle()))));
        let reading = Reading { sql, sender, cx: cx.clone() };
        let held = leash.clone();
        cx.spawn_blocking(move || {
            let result = reading.run(&lease);
            held.let_go();
            // Whoever reads next need not wait until the end is heard of.
            drop(lease);
            reading.end(result);
        });
        SqliteReader { batches, leash, cx: cx.clone(), ended: false }
    }
}

#[async_trait]
impl Reader for SqliteReader {
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
        // A snapshot keeps nothing that could be let go of.
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        // There is no server that could grow tired of waiting.
        Ok(())
    }
}

impl Drop for SqliteReader {
    fn drop(&mut self) {
        self.batches.close();
        self.leash.pull();
    }
}

/// What the thread works with.
struct Reading {
    sql: ReadSql,
    sender: mpsc::Sender<Result<Next>>,
    cx: Context,
}

/// Why reading stopped before its end.
enum Halt {
    Failed(Error),
    /// Nobody wants the rest.
    Unwanted,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Failed(error)
    }
}

impl Reading {
    /// Reads to the end of the split.
    fn run(&self, lease: &Lease) -> Result<(), Halt> {
        let mut statement = lease.connection().prepare(&self.sql.sql).map_err(|error| self.failed(&error))?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut building: Option<Building> = None;
        let mut scratch = String::new();
        let mut rows_expected = BATCH_ROWS;
        while let Some(row) = rows.next().map_err(|error| self.failed(&error))? {
            // Asking SQLite for a value is not for nothing, so each is asked for once.
            let values = (0..columns).map(|place| row.get_ref(place)).collect::<rusqlite::Result<Vec<_>>>();
            let values = values.map_err(|error| self.failed(&error))?;
            let bytes = values.iter().take(self.sql.decoders.len()).copied().map(value_bytes).sum();
            if let Some(full) = building.take_if(|building| !building.has_room(bytes)) {
                rows_expected = full.rows + full.rows / 8;
                full.send(self)?;
            }
            let building = match &mut building {
                Some(building) => building,
                None => building.insert(self.begin(bytes, rows_expected.min(BATCH_ROWS))?),
            };
            building.take(&values, bytes, &self.sql, &mut scratch);
        }
        match building {
            Some(building) => building.send(self),
            None => Ok(()),
        }
    }

    /// Tells how it ended.
    fn end(&self, result: Result<(), Halt>) {
        let last = match result {
            Ok(()) => Ok(Next::End),
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::Unwanted) => return,
        };
        // Nobody may be left to hear it.
        let _ = self.wait(self.sender.send(last));
    }

    /// Waits for something, unless the rows are not wanted any more.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Halt> {
        Handle::current().block_on(async {
            tokio::select! {
                value = future => Ok(value),
                () = self.sender.closed() => Err(Halt::Unwanted),
                () = self.cx.stop().cancelled() => Err(Halt::Unwanted),
            }
        })
    }

    /// Room in the channel, and memory for a batch whose first row is this large. Nothing else is
    /// held while it is waited for.
    fn begin(&self, first_row_bytes: u64, rows_expected: usize) -> Result<Building, Halt> {
        let permit = self.wait(self.sender.clone().reserve_owned())?.map_err(|_| Halt::Unwanted)?;
        let reserved = first_row_bytes.max(BATCH_BYTES);
        let memory = self.wait(self.cx.memory().reserve(reserved))?;
        let columns =
            self.sql.logicals.iter().map(|logical| ColumnBuilder::new(*logical, rows_expected)).collect();
        Ok(Building {
            permit,
            memory,
            reserved,
            columns,
            rows: 0,
            bytes: 0,
            rejects: vec![],
            last_key: vec![KeyValue::Unfit; self.sql.key.len()],
        })
    }

    fn failed(&self, error: &rusqlite::Error) -> Halt {
        match was_interrupted(error) && self.sender.is_closed() {
            true => Halt::Unwanted,
            false => Halt::Failed(translate(error, "read table", format!("`{}`", self.sql.name))),
        }
    }
}

/// A batch under construction.
struct Building {
    permit: OwnedPermit<Result<Next>>,
    memory: Reservation,
    reserved: u64,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: u64,
    rejects: Vec<Reject>,
    /// The key of the last row, rejected or not.
    last_key: Vec<KeyValue>,
}

/// A key value that outlives its row. Written over row by row, without an allocation for each.
#[derive(Clone, Debug)]
enum KeyValue {
    Integer(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
    /// No key of any column is one.
    Unfit,
}

impl KeyValue {
    fn set(&mut self, value: ValueRef<'_>) {
        match (&mut *self, value) {
            (KeyValue::Text(bytes), ValueRef::Text(text)) => {
                bytes.clear();
                bytes.extend_from_slice(text);
            }
            (_, ValueRef::Text(text)) => *self = KeyValue::Text(text.to_vec()),
            (_, ValueRef::Integer(value)) => *self = KeyValue::Integer(value),
            (_, ValueRef::Blob(bytes)) => *self = KeyValue::Blob(bytes.to_vec()),
            (_, ValueRef::Null | ValueRef::Real(_)) => *self = KeyValue::Unfit,
        }
    }

    fn get(&self) -> ValueRef<'_> {
        match self {
            KeyValue::Integer(value) => ValueRef::Integer(*value),
            KeyValue::Text(bytes) => ValueRef::Text(bytes),
            KeyValue::Blob(bytes) => ValueRef::Blob(bytes),
            KeyValue::Unfit => ValueRef::Null,
        }
    }
}

impl Building {
    fn has_room(&self, bytes: u64) -> bool {
        self.rows + self.rejects.len() < BATCH_ROWS && self.bytes + bytes <= self.reserved
    }

    /// Takes a row, or the reason why it cannot be read.
    fn take(&mut self, values: &[ValueRef<'_>], bytes: u64, sql: &ReadSql, scratch: &mut String) {
        for ((place, _), last) in sql.key.iter().zip(&mut self.last_key) {
            last.set(values[*place]);
        }
        for ((decoder, column), value) in sql.decoders.iter().zip(&mut self.columns).zip(values) {
            if let Err(error) = decoder.push(*value, column, scratch) {
                self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
                let place = match sql.rowid.map(|place| values[place]) {
                    Some(ValueRef::Integer(number)) => Some(format!("rowid {number}")),
                    _ => None,
                };
                let row = u32::try_from(self.rejects.len()).unwrap_or(u32::MAX);
                self.rejects.push(Reject { row, place, error });
                return;
            }
        }
        self.rows += 1;
        self.bytes += bytes;
    }

    fn send(self, reading: &Reading) -> Result<(), Halt> {
        let sql = &reading.sql;
        let texts =
            self.last_key.iter().zip(&sql.key).map(|(value, (_, logical))| text_form(value.get(), *logical));
        let position = match sql.key.is_empty() {
            true => None,
            false => texts.collect::<Option<Vec<String>>>().map(|texts| position(&texts)),
        };
        let columns = self.columns.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&sql.schema), columns, &options).map_err(
            |error| {
                Error::new(&codes::BROKEN_INVARIANT, "read table", format!("`{}`", sql.name)).because(error)
            },
        )?;
        let batch =
            Batch { rows, bytes: self.bytes, position, rejects: self.rejects, memory: Some(self.memory) };
        self.permit.send(Ok(Next::Batch(batch)));
        Ok(())
    }
}
