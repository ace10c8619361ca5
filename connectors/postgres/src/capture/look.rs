//! One look at the changes: what was recorded behind a place, and the rows that it is about as they are at
//! that moment, read in one transaction.
//!
//! The tables are locked against changes of their definition before the transaction has its snapshot: a
//! table that is rewritten later would look empty in it.

use std::{pin::pin, sync::Arc, time::Duration};

use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use futures_util::TryStreamExt;
use syncline_connect::{
    Changes, How, LogBatch, Logged, Read, Reject, Reservation, SchemaChange, Stream, Went, Written,
};
use syncline_types::{
    Column, Error, LogicalType, Position, Result, TableSchema, build::ColumnBuilder, codes,
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    install::{self, Names, key_column},
    place::{Place, lost},
};
use crate::{
    client::Client,
    decode::{Decoded, RowDecoder},
    dialect::qualified,
    error::translate,
    log::{Followed, fits, followed},
    types::{equal_is_same, reads_as_text, text_of},
};
use syncline_sql::quote_double;

/// A batch ends after so many rows or bytes, whichever comes first.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: u64 = 1 << 20;

/// How often a place is told at which nothing has changed.
const IDLE_EVERY: Duration = Duration::from_millis(200);

/// Where what was found goes to.
type Out = mpsc::Sender<Result<Logged>>;

/// Looks again and again, from a place on.
pub(super) struct Look {
    client: Client,
    names: Names,
    reads: Vec<Arc<Read>>,
    /// The tables when following began: one of the same name may be another later.
    pub(super) oids: Vec<u32>,
    at: Place,
    unencoded: bool,
    /// The place of a row in the order of what this has told.
    sequence: u64,
    told_at: Option<Instant>,
}

/// What there is to tell of a stream.
struct News {
    truncated: bool,
    rows: bool,
    micros: Option<i64>,
}

impl Look {
    pub(super) fn new(
        client: Client,
        names: Names,
        reads: &[Arc<Read>],
        oids: Vec<u32>,
        at: Place,
        unencoded: bool,
    ) -> Self {
        Look { client, names, reads: reads.to_vec(), oids, at, unencoded, sequence: 0, told_at: None }
    }

    /// Gives out everything that has happened since the last look.
    pub(super) async fn look(&mut self, out: &Out) -> Result<()> {
        self.begin().await?;
        let looked = self.look_in_transaction(out).await;
        let ended = self.client.run("COMMIT", "end a look at", &self.client.config.place()).await;
        let last = looked?;
        ended?;
        match last {
            Some(last) => give(out, last).await,
            None => Ok(()),
        }
    }

    async fn begin(&self) -> Result<()> {
        let schema = &self.client.config.schema;
        let tables: Vec<String> =
            self.reads.iter().map(|read| qualified(&read.stream.name, schema)).collect();
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY {} IN ACCESS SHARE MODE",
            tables.join(", ONLY ")
        );
        let begun = self.client.run(&sql, "look for changes of pipeline", &self.names.quoted()).await;
        match begun {
            Err(error) if error.code() == &codes::STREAM_MISSING => {
                Err(lost(&self.names, "a table that it follows is gone"))
            }
            begun => begun,
        }
    }

    /// What is to be given out last, once the transaction has ended.
    async fn look_in_transaction(&mut self, out: &Out) -> Result<Option<Logged>> {
        let tables = followed(&self.client, &self.reads).await?;
        let now = self.check(&tables).await?;
        let mut changes = vec![];
        for (stream, (read, table)) in self.reads.iter_mut().zip(&tables).enumerate() {
            let schema = table.table.schema();
            if fits(read, &read.stream.schema, &schema.columns) && are_those(read, &schema) {
                continue;
            }
            *read = Arc::new(changed(read, &schema));
            let (position, at) = (self.at.position(), self.at.position());
            changes.push(SchemaChange { stream, schema, position, at });
        }
        for change in changes {
            give(out, Logged::Schema(change)).await?;
        }
        let news = self.news(&tables).await?;
        let mut batch = Batch::default();
        for (stream, (news, table)) in news.iter().zip(&tables).enumerate() {
            batch.micros = batch.micros.max(news.micros);
            if news.truncated {
                self.sequence += 1;
                let read = Arc::clone(&self.reads[stream]);
                batch.changes.push(Gathered::new(&read, self.unencoded).finish(stream, Some(self.sequence))?);
            }
            if news.rows || news.truncated {
                self.tell(stream, table, &mut batch, out).await?;
            }
        }
        if now.moment() == self.at.moment() && batch.changes.is_empty() {
            return Ok(None);
        }
        self.at = now;
        if !batch.changes.is_empty() {
            self.told_at = Some(Instant::now());
            return Ok(Some(batch.finish(Some(self.at.position()))));
        }
        if self.told_at.is_some_and(|at| at.elapsed() < IDLE_EVERY) {
            return Ok(None);
        }
        self.told_at = Some(Instant::now());
        Ok(Some(Logged::Idle(self.at.position())))
    }

    /// The present place, everything that has come since the last one being recorded.
    async fn check(&self, tables: &[Followed]) -> Result<Place> {
        let another = tables.iter().zip(&self.oids).position(|(table, oid)| table.oid() != *oid);
        let whole = install::whole(&self.client, &self.names, tables).await?;
        let broken = another.or_else(|| whole.iter().position(|whole| !whole));
        if let Some(read) = broken.and_then(|stream| self.reads.get(stream)) {
            return Err(lost(
                &self.names,
                format!(
                    "the triggers of `{}` are gone or not as they were made, so its changes since are told by nothing",
                    read.stream.name
                ),
            ));
        }
        // Notices, too, that the pipeline was released meanwhile.
        let now = super::place::head(&self.client, &self.names).await?;
        match now.life == self.at.life {
            true => Ok(now),
            false => Err(lost(&self.names, "its changes were kept anew")),
        }
    }

    /// What is new of each stream.
    async fn news(&self, tables: &[Followed]) -> Result<Vec<News>> {
        let new = self.at.is_new();
        let parts = tables.iter().map(|table| {
            format!(
                "SELECT coalesce(bool_or(op = 't'), false), coalesce(bool_or(op <> 't'), false),
                        (extract(epoch FROM max(at)) * 1000000)::bigint FROM {} WHERE {new}",
                self.names.changes(table.oid())
            )
        });
        let sql = parts.collect::<Vec<_>>().join(" UNION ALL ");
        let rows = self.client.texts(&sql, "look for changes of pipeline", &self.names.quoted()).await?;
        let news = rows.into_iter().map(|row| {
            let is = |place: usize| row.get(place).and_then(Option::as_deref) == Some("t");
            let micros = row.get(2).cloned().flatten().and_then(|micros| micros.parse().ok());
            News { truncated: is(0), rows: is(1), micros }
        });
        Ok(news.collect())
    }

    /// Tells the rows of a stream: first those that are gone, then those that are there.
    async fn tell(&mut self, stream: usize, table: &Followed, batch: &mut Batch, out: &Out) -> Result<()> {
        let read = Arc::clone(&self.reads[stream]);
        let sql = Sql::new(&self.names, &self.client, &read, table, &self.at);
        for (what, gone) in [(&sql.gone, true), (&sql.there, false)] {
            let name = read.stream.name.to_string();
            let copying =
                self.client.answer("read changes of table", &name, self.client.inner.copy_out(what)).await?;
            let mut rows = pin!(copying);
            let mut gathered = Gathered::new(&read, self.unencoded);
            loop {
                let next = async {
                    rows.try_next().await.map_err(|error| translate(&error, "read changes of table", &name))
                };
                let Some(row) = self.client.cx.deadline("read changes of table", &name, next).await? else {
                    break;
                };
                let bytes = row.len() as u64;
                if !batch.has_room(bytes) {
                    let full = std::mem::replace(&mut gathered, Gathered::new(&read, self.unencoded));
                    gathered.go_on();
                    batch.changes.push(full.finish(stream, None)?);
                    let full = std::mem::take(batch);
                    batch.micros = full.micros;
                    give(out, full.finish(None)).await?;
                }
                if batch.memory.is_none() {
                    batch.reserved = bytes.max(BATCH_BYTES);
                    batch.memory = Some(self.client.cx.memory().reserve(batch.reserved).await);
                }
                self.sequence += 1;
                gathered.take(&row, gone, self.sequence)?;
                batch.bytes += bytes;
                batch.rows += 1;
            }
            if !gathered.is_empty() {
                batch.changes.push(gathered.finish(stream, None)?);
            }
        }
        Ok(())
    }
}

async fn give(out: &Out, logged: Logged) -> Result<()> {
    // Whoever has gone wants nothing any more, and this task ends with them.
    let _ = out.send(Ok(logged)).await;
    Ok(())
}

/// Whether the columns are those that they were, and not others of their names.
fn are_those(read: &Read, schema: &TableSchema) -> bool {
    schema.columns.iter().all(|here| {
        let known = read.stream.schema.column(&here.name).and_then(|known| known.id);
        known.zip(here.id).is_none_or(|(known, here)| known == here)
    })
}

/// What is read of a stream whose schema is another one: where all columns were read, all are; else those
/// that are still there.
fn changed(read: &Read, schema: &TableSchema) -> Read {
    let all = read.stream.schema.columns.iter().all(|column| read.columns.contains(&column.name));
    let columns = match all {
        true => schema.columns.iter().map(|column| column.name.clone()).collect(),
        false => read.columns.iter().filter(|name| schema.index(name).is_some()).cloned().collect(),
    };
    let stream = Stream { schema: schema.clone(), ..read.stream.as_ref().clone() };
    Read { stream: Arc::new(stream), columns, ..read.clone() }
}

/// The statements that read a stream's changes.
struct Sql {
    there: String,
    gone: String,
}

impl Sql {
    fn new(names: &Names, client: &Client, read: &Read, table: &Followed, at: &Place) -> Self {
        let schema = read.schema();
        let key = install::key(table);
        let form = |of: &str, column: &Column| {
            let name = format!("{of}.{}", quote_double(&column.name));
            if reads_as_text(column.logical) { text_of(&name) } else { name }
        };
        let own = format!("ONLY {} t", qualified(&read.stream.name, &client.config.schema));
        // A collation of the column's own may hold different texts to be equal.
        let is_exact = |name: &String| {
            let column = schema.column(name).filter(|column| column.collation.is_none());
            column.and_then(|column| column.native.as_deref()).is_some_and(equal_is_same)
        };
        let (mut groups, mut same) = (vec![], vec![]);
        for (place, name) in key.iter().enumerate() {
            let (recorded, column) = (key_column(place), quote_double(name));
            groups.push(recorded.clone());
            same.push(format!("t.{column} = r.{recorded}"));
            // What is equal and not the same are two keys.
            if !is_exact(name) {
                groups.push(format!("{recorded}::text COLLATE \"C\""));
                same.push(format!("ROW(t.{column})::record *= ROW(r.{recorded})::record"));
            }
        }
        let (keys, same) =
            ((0..key.len()).map(key_column).collect::<Vec<_>>().join(", "), same.join(" AND "));
        let recorded = format!(
            "(SELECT {keys}, (array_agg(op ORDER BY number))[1] = 'i' AS fresh FROM {} WHERE {} AND op <> 't' GROUP BY {}) r",
            names.changes(table.oid()),
            at.is_new(),
            groups.join(", ")
        );
        let columns: Vec<String> = schema.columns.iter().map(|column| form("t", column)).collect();
        let there = format!(
            "COPY (SELECT r.fresh, {} FROM {own} JOIN {recorded} ON {same}) TO STDOUT (FORMAT binary)",
            columns.join(", ")
        );
        let told = read.gone_schema();
        let told = told.columns.iter().filter_map(|column| {
            let place = key.iter().position(|name| *name == column.name)?;
            Some(form("r", &Column { name: key_column(place), ..column.clone() }))
        });
        let gone = format!(
            "COPY (SELECT false, {} FROM {recorded} WHERE NOT EXISTS (SELECT FROM {own} WHERE {same})) TO STDOUT (FORMAT binary)",
            told.collect::<Vec<_>>().join(", ")
        );
        Sql { there, gone }
    }
}

/// A batch under construction.
#[derive(Default)]
struct Batch {
    changes: Vec<Changes>,
    memory: Option<Reservation>,
    reserved: u64,
    rows: usize,
    bytes: u64,
    micros: Option<i64>,
}

impl Batch {
    fn has_room(&self, bytes: u64) -> bool {
        self.memory.is_none() || self.rows < BATCH_ROWS && self.bytes + bytes <= self.reserved
    }

    /// With a position, it is the last one of a look.
    fn finish(mut self, position: Option<Position>) -> Logged {
        if let Some(memory) = &mut self.memory {
            memory.shrink_to(self.bytes);
        }
        Logged::Changes(LogBatch {
            changes: self.changes,
            transactions: u64::from(position.is_some()),
            position,
            committed_micros: self.micros,
            bytes: self.bytes,
            memory: self.memory,
        })
    }
}

/// Rows of one stream, of one kind at a time, on their way into columns.
struct Gathered {
    read: Arc<Read>,
    rows: Part,
    written: Vec<u64>,
    gone: Part,
    went: Vec<u64>,
    rejects: Vec<Reject>,
}

/// Columns with their decoder. The first says whether the row is new.
struct Part {
    decoder: RowDecoder,
    builders: Vec<ColumnBuilder>,
    schema: TableSchema,
}

/// Rows that columns have room for before they grow.
const ROWS_EXPECTED: usize = 64;

impl Part {
    fn new(schema: TableSchema, unencoded: bool) -> Self {
        let mut columns = vec![Column::new("fresh", LogicalType::Bool)];
        columns.extend(schema.columns.iter().cloned());
        let decoder = RowDecoder::new(&columns, unencoded);
        let builders = decoder.builders(ROWS_EXPECTED);
        Part { decoder, builders, schema }
    }

    fn finish(mut self, rows: usize) -> Result<(BooleanArray, RecordBatch)> {
        let broken = |reason: &dyn std::fmt::Display| {
            Error::new(&codes::BROKEN_INVARIANT, "gather changes", "").because(reason)
        };
        let fresh = self.builders.remove(0).finish()?;
        let fresh = fresh.as_any().downcast_ref::<BooleanArray>().cloned();
        let columns = self.builders.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.arrow(), columns, &options)
            .map_err(|error| broken(&error))?;
        Ok((fresh.ok_or_else(|| broken(&"a column is of another type"))?, batch))
    }
}

impl Gathered {
    fn new(read: &Arc<Read>, unencoded: bool) -> Self {
        Gathered {
            read: Arc::clone(read),
            rows: Part::new(read.logged_schema(), unencoded),
            written: vec![],
            gone: Part::new(read.gone_schema(), unencoded),
            went: vec![],
            rejects: vec![],
        }
    }

    /// Takes further rows of the same stream.
    fn go_on(&mut self) {
        self.rows.decoder.go_on();
        self.gone.decoder.go_on();
    }

    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.went.is_empty() && self.rejects.is_empty()
    }

    fn take(&mut self, row: &[u8], gone: bool, sequence: u64) -> Result<()> {
        let (part, told) = match gone {
            true => (&mut self.gone, &mut self.went),
            false => (&mut self.rows, &mut self.written),
        };
        match part.decoder.decode(row, &mut part.builders, told.len())? {
            Decoded::Row => told.push(sequence),
            // A row whose key cannot be read was never told: no target has it.
            Decoded::Rejected(_) if gone => {}
            Decoded::Rejected(error) => {
                let row = u32::try_from(self.rejects.len()).unwrap_or(u32::MAX);
                self.rejects.push(Reject { row, place: None, error });
            }
            Decoded::Nothing => {}
        }
        Ok(())
    }

    fn finish(self, stream: usize, truncated: Option<u64>) -> Result<Changes> {
        let columns = self.read.logged_schema().columns.len();
        let (fresh, rows) = self.rows.finish(self.written.len())?;
        let (_, gone) = self.gone.finish(self.went.len())?;
        let how = |row: usize| if fresh.value(row) { How::Insert } else { How::Update };
        let written = self
            .written
            .iter()
            .enumerate()
            .map(|(row, sequence)| Written { sequence: *sequence, how: how(row) });
        Ok(Changes {
            stream,
            rows,
            written: written.collect(),
            absent: (0..columns).map(|_| None).collect(),
            gone,
            went: self.went.iter().map(|sequence| Went { sequence: *sequence, moved: false }).collect(),
            truncated,
            rejects: self.rejects,
        })
    }
}
