//! Reads one split. The rows that there is no memory for stay in the socket.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use syncline_connect::{Batch, Context, Memory, Next, Reader, Reject, Reservation};
use syncline_types::{
    Error, LogicalType, Position, Result, TableSchema, build::ColumnBuilder, codes, text::Values,
};

use super::{changed, pool::Lease, read_sql::ReadSql};
use crate::{
    client::{Front, Patience, Statement},
    decode::{Decoded, RowDecoder},
    error::from_io,
};

/// A batch ends after so many rows or bytes, whichever comes first: large enough that nothing is
/// paid per batch, small enough to stay in the processor's caches.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: u64 = 1 << 20;

const OPERATION: &str = "read table";

/// Reads one split.
pub(super) struct MysqlReader {
    /// Gone once the split is read to its end.
    lease: Option<(Lease, Statement)>,
    cx: Context,
    decoder: RowDecoder,
    schema: Arc<arrow_schema::Schema>,
    /// Where the columns of the key are, and what they mean.
    key: Vec<(usize, LogicalType)>,
    /// The batch under construction; kept here so that being cancelled loses nothing.
    building: Option<Building>,
    /// Rows of the last batch, as a guess for the next.
    rows_expected: usize,
    name: String,
}

struct Building {
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: u64,
    reserved: u64,
    memory: Reservation,
    rejects: Vec<Reject>,
    /// Whether the last row that was taken is among the rejects.
    ends_rejected: bool,
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

impl MysqlReader {
    /// Begins to read what the statement returns.
    pub(super) async fn open(
        mut lease: Lease,
        cx: &Context,
        schema: &TableSchema,
        sql: ReadSql,
        zero_dates_null: bool,
    ) -> Result<Self> {
        let ReadSql { sql, name, key } = sql;
        let decoder = RowDecoder::new(&schema.columns, zero_dates_null);
        let client = lease.client();
        let statement =
            client.prepare(&sql, OPERATION, &name).await.map_err(|error| of_change(error, &name))?;
        let columns = client.open_rows(&statement, OPERATION, &name).await?;
        if let Err(column) = decoder.fits(&columns) {
            let error = changed(&name);
            return Err(error.because(format!("column `{column}` is not of the type it was planned with")));
        }
        Ok(MysqlReader {
            lease: Some((lease, statement)),
            cx: cx.clone(),
            decoder,
            schema: schema.arrow(),
            key: key.into_iter().map(|at| (at, schema.columns[at].logical)).collect(),
            building: None,
            rows_expected: BATCH_ROWS,
            name,
        })
    }

    /// Takes the rows that are here.
    fn take_rows(&mut self) -> Result<Filled> {
        let (Some(building), Some((lease, _))) = (&mut self.building, &mut self.lease) else {
            return Ok(Filled::End);
        };
        let client = lease.client();
        loop {
            let wire = client.incoming();
            match wire.front().map_err(|error| from_io(&error, OPERATION, &self.name))? {
                Front::Nothing => return Ok(Filled::Dry),
                // While it is decoded it is there twice. Where it is not known how long it is, it has
                // all the memory there is to itself.
                Front::Large(length) => {
                    let room = length.map_or(u64::MAX / 2, |length| 2 * length as u64);
                    if let Some(filled) = building.make_room(room, self.cx.memory()) {
                        return Ok(filled);
                    }
                    wire.take_large();
                    continue;
                }
                Front::Payload => {}
            }
            let row = wire.payload();
            if row.first() != Some(&0) {
                let ended = client.end_rows(OPERATION, &self.name);
                return match ended {
                    Some(Ok(())) => Ok(Filled::End),
                    Some(Err(error)) => Err(error),
                    None => continue,
                };
            }
            let bytes = row.len() as u64;
            if let Some(filled) = building.make_room(bytes, self.cx.memory()) {
                return Ok(filled);
            }
            match self.decoder.decode(row, &mut building.columns, building.rows)? {
                Decoded::Row => {
                    building.rows += 1;
                    building.bytes += bytes;
                    building.ends_rejected = false;
                }
                Decoded::Rejected(error) => {
                    let row = u32::try_from(building.rejects.len()).unwrap_or(u32::MAX);
                    building.rejects.push(Reject { row, place: None, error });
                    building.ends_rejected = true;
                }
            }
            wire.advance();
            if building.rows >= BATCH_ROWS
                || building.bytes >= BATCH_BYTES
                || building.rejects.len() >= BATCH_ROWS
            {
                return Ok(Filled::Full);
            }
        }
    }

    /// Receives more.
    async fn receive(&mut self) -> Result<()> {
        let Some((lease, _)) = &mut self.lease else { return Ok(()) };
        lease.client().fill(Patience::Rows, OPERATION, &self.name).await
    }

    /// Gives the connection back to whoever reads next.
    async fn end(&mut self) -> Result<()> {
        let Some((mut lease, statement)) = self.lease.take() else { return Ok(()) };
        lease.client().close(statement, OPERATION, &self.name).await
    }

    fn finish(&mut self, mut building: Building) -> Result<Batch> {
        self.rows_expected = building.rows + building.rows / 8;
        building.memory.shrink_to(building.bytes);
        let columns = building.columns.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(building.rows));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Error::new(&codes::BROKEN_INVARIANT, OPERATION, &self.name).because(error))?;
        // Behind a row that was refused there is no place to name: its key was not read.
        let position = match building.ends_rejected {
            true => None,
            false => position(&rows, &self.key)?,
        };
        Ok(Batch {
            rows,
            bytes: building.bytes,
            position,
            rejects: building.rejects,
            memory: Some(building.memory),
        })
    }
}

/// The place behind the last row.
fn position(rows: &RecordBatch, key: &[(usize, LogicalType)]) -> Result<Option<Position>> {
    let Some(last) = rows.num_rows().checked_sub(1).filter(|_| !key.is_empty()) else { return Ok(None) };
    let texts: Result<Vec<Option<String>>> =
        key.iter().map(|(at, logical)| Ok(Values::new(rows.column(*at), *logical)?.text(last))).collect();
    let texts: Option<Vec<String>> = texts?.into_iter().collect();
    Ok(texts.map(|texts| Position(serde_json::to_string(&texts).expect("texts serialise"))))
}

/// A statement that does not fit the table any more.
fn of_change(error: Error, name: &str) -> Error {
    let code = error.code();
    match code == &codes::COLUMN_MISSING || code == &codes::SCHEMA_CHANGED || code == &codes::STREAM_MISSING {
        true => changed(name).because(error.reason()),
        false => error,
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
            None if self.rows > 0 || !self.rejects.is_empty() => Some(Filled::Full),
            None => Some(Filled::NeedsMemory(bytes)),
        }
    }
}

#[async_trait]
impl Reader for MysqlReader {
    async fn next(&mut self) -> Result<Next> {
        let mut needed = BATCH_BYTES;
        loop {
            if self.lease.is_none() {
                return Ok(Next::End);
            }
            if self.building.is_none() {
                let memory = self.cx.memory().reserve(needed).await;
                self.building = Some(Building {
                    columns: self.decoder.builders(self.rows_expected.min(BATCH_ROWS)),
                    rows: 0,
                    bytes: 0,
                    reserved: needed,
                    memory,
                    rejects: vec![],
                    ends_rejected: false,
                });
            }
            match self.take_rows()? {
                Filled::Dry => {
                    self.receive().await?;
                    continue;
                }
                Filled::NeedsMemory(bytes) => {
                    // What was reserved is given back first: nobody waits while holding something.
                    self.building = None;
                    needed = bytes.max(BATCH_BYTES);
                    continue;
                }
                Filled::End => self.end().await?,
                Filled::Full => {}
            }
            needed = BATCH_BYTES;
            let Some(building) = self.building.take() else { continue };
            if building.rows > 0 || !building.rejects.is_empty() {
                return self.finish(building).map(Next::Batch);
            }
        }
    }

    async fn confirm(&mut self, _: &Position) -> Result<()> {
        // A snapshot keeps nothing that could be let go of.
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        // The session's limit for a write that nobody takes is a week.
        Ok(())
    }
}
