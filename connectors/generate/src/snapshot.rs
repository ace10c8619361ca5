//! Reading made-up rows: split by number, resumable anywhere.

use std::{sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use syncline_connect::{
    Batch, Context, Digest, Edge, Finding, Next, Read, Reader, Selection, Session, Source, SplitOrder,
    Splitter, Stream,
};
use syncline_types::{
    Error, Extent, KeyRange, Position, Predicate, Result, Split, SplitId, StreamName, build::ColumnBuilder,
    codes,
};
use tokio::time::Instant;

use crate::{
    config::GenerateConfig,
    schema::{Table, tables},
    value,
};

/// A batch ends after so many rows or bytes, whichever comes first.
const BATCH_ROWS: u64 = 8_192;
const BATCH_BYTES: u64 = 2 << 20;

/// A reader that has had nothing for so long says so.
const IDLE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct GenerateSource {
    tables: Arc<Vec<Table>>,
    seed: u64,
    rate: Option<u64>,
    cx: Context,
}

impl GenerateSource {
    pub(crate) fn new(config: &GenerateConfig, cx: Context) -> Result<Self> {
        let tables = Arc::new(tables(config)?);
        Ok(GenerateSource { tables, seed: config.seed, rate: config.rate, cx })
    }

    fn stream(&self, table: &Table) -> Stream {
        let schema = table.schema();
        let order = match schema.key.is_empty() {
            true => SplitOrder::Place,
            false => SplitOrder::Key(schema.key.clone()),
        };
        Stream {
            name: StreamName::bare(&table.name),
            in_default_namespace: true,
            schema,
            order,
            rows_estimate: Some(table.rows),
            bytes_estimate: None,
        }
    }

    fn table(&self, read: &Read) -> Result<&Table> {
        let name = &read.stream.name;
        self.tables.iter().find(|table| table.name == name.table).ok_or_else(|| missing(name))
    }
}

fn missing(name: &StreamName) -> Error {
    Error::new(&codes::STREAM_MISSING, "read table", format!("`{name}`"))
        .because("the URL does not make it up")
        .hint("Name it in the URL, as in generate:orders,narrow")
}

#[async_trait]
impl Source for GenerateSource {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        let streams = self.tables.iter().map(|table| self.stream(table));
        match selection {
            Selection::Default => Ok(streams.collect()),
            Selection::Name(name) => match streams.into_iter().find(|stream| stream.name.table == name.table)
            {
                Some(stream) if name.namespace.is_none() => Ok(vec![stream]),
                _ => Err(missing(name)),
            },
            Selection::Glob(glob) => {
                let glob = syncline_connect::NameGlob::new(glob)?;
                Ok(streams.filter(|stream| glob.matches(&stream.name, true)).collect())
            }
        }
    }

    fn evaluates(&self, _: &Stream, _: &Predicate) -> bool {
        false
    }

    async fn inspect(&self, _: &[Arc<Read>]) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    async fn begin(&self, _: &[Arc<Read>], _: usize) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }

    /// Only of the column that counts: the others would have to be made up to the last row.
    async fn edge(&self, stream: &Stream, column: &str) -> Result<Edge> {
        let table = self.tables.iter().find(|table| table.name == stream.name.table);
        let table = table.ok_or_else(|| missing(&stream.name))?;
        if table.key().is_none_or(|key| key.name != column) {
            let object = format!("`{}.{column}`", stream.name);
            return Err(Error::new(&codes::UNSUPPORTED, "find the highest value of", object)
                .because("only the highest value of a `sequence` is known"));
        }
        let highest = (table.rows > 0).then(|| table.rows.to_string());
        Ok(Edge { highest, nulls: 0 })
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

#[async_trait]
impl Session for GenerateSource {
    fn describe(&self) -> String {
        "the same rows every time".into()
    }

    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        let table = self.table(read)?;
        let (next_row, next_id) = match last {
            Some(last) => (rows_of(&last.extent, table.rows)?.1, last.id.0 + 1),
            None => (0, 0),
        };
        Ok(Box::new(GenerateSplitter {
            rows: table.rows,
            chunk: read.chunk_rows.max(1),
            keyed: table.key().is_some(),
            next_row,
            next_id,
        }))
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        let table = self.table(read)?.clone();
        let (from, upto) = rows_of(&split.extent, table.rows)?;
        let from = match at {
            Some(at) => number(&at.0)?.max(from),
            None => from,
        };
        let columns = read
            .columns
            .iter()
            .map(|name| table.columns.iter().position(|column| column.name == *name))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| missing(&read.stream.name))?;
        Ok(Box::new(GenerateReader {
            source: self.clone(),
            read: Arc::clone(read),
            table,
            columns,
            next: from,
            upto,
            began: None,
            made: 0,
        }))
    }

    async fn digest(&self, read: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(Error::new(&codes::UNSUPPORTED, "compute a checksum of", &read.stream.name))
    }
}

/// First row and the row behind the last, counted from 0.
fn rows_of(extent: &Extent, rows: u64) -> Result<(u64, u64)> {
    let bound = |bound: &Option<Vec<String>>| match bound.as_deref() {
        Some([only]) => number(only).map(Some),
        Some(_) => Err(garbled()),
        None => Ok(None),
    };
    let (from, upto) = match extent {
        Extent::Whole => (None, None),
        Extent::Keys(KeyRange { after, upto }) => (bound(after)?, bound(upto)?),
        Extent::Own(spec) => {
            let (from, upto) = spec.split_once("..").ok_or_else(garbled)?;
            (Some(number(from)?), Some(number(upto)?))
        }
    };
    Ok((from.unwrap_or(0), upto.unwrap_or(rows).min(rows)))
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| garbled())
}

fn garbled() -> Error {
    Error::new(&codes::BAD_BYTES, "read a split of", "`generate:`").because("it is not as it was written")
}

struct GenerateSplitter {
    rows: u64,
    chunk: u64,
    keyed: bool,
    next_row: u64,
    next_id: u32,
}

#[async_trait]
impl Splitter for GenerateSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        if self.next_row >= self.rows {
            return Ok(None);
        }
        let (from, upto) = (self.next_row, self.next_row.saturating_add(self.chunk).min(self.rows));
        // The key counts from 1, so the row behind the last one is the last one's key.
        let extent = match self.keyed {
            true => Extent::Keys(KeyRange {
                after: (from > 0).then(|| vec![from.to_string()]),
                upto: Some(vec![upto.to_string()]),
            }),
            false => Extent::Own(format!("{from}..{upto}")),
        };
        let split = Split { id: SplitId(self.next_id), extent, rows_estimate: Some(upto - from) };
        (self.next_row, self.next_id) = (upto, self.next_id + 1);
        Ok(Some(split))
    }
}

struct GenerateReader {
    source: GenerateSource,
    read: Arc<Read>,
    table: Table,
    /// Places of the columns wanted among the table's.
    columns: Vec<usize>,
    next: u64,
    upto: u64,
    /// When the first row was asked for, and how many have been made since, for the rate.
    began: Option<Instant>,
    made: u64,
}

impl GenerateReader {
    /// Rows that have come into being and are not yet given out, after waiting a while for one.
    async fn due(&mut self) -> u64 {
        let Some(rate) = self.source.rate.filter(|rate| *rate > 0) else { return u64::MAX };
        let began = *self.began.get_or_insert_with(Instant::now);
        let due = || ((began.elapsed().as_secs_f64() * rate as f64) as u64 + 1).saturating_sub(self.made);
        if due() == 0 {
            let next = Duration::from_secs_f64(self.made as f64 / rate as f64);
            tokio::time::sleep_until((began + next).min(Instant::now() + IDLE)).await;
        }
        due()
    }
}

#[async_trait]
impl Reader for GenerateReader {
    async fn next(&mut self) -> Result<Next> {
        if self.next >= self.upto {
            return Ok(Next::End);
        }
        let rows = self.due().await.min(self.upto - self.next).min(BATCH_ROWS);
        if rows == 0 {
            return Ok(Next::Idle(Position(self.next.to_string())));
        }
        let mut memory = self.source.cx.memory().reserve(BATCH_BYTES).await;
        let mut reserved = BATCH_BYTES;
        let schema = self.read.schema();
        let mut builders: Vec<ColumnBuilder> =
            schema.columns.iter().map(|column| ColumnBuilder::new(column.logical, rows as usize)).collect();
        let (mut bytes, mut made) = (0, 0);
        while made < rows && bytes < BATCH_BYTES {
            let before = bytes;
            for (place, builder) in self.columns.iter().zip(&mut builders) {
                bytes += value::push(
                    &self.table.columns[*place],
                    *place,
                    self.source.seed,
                    self.next + made,
                    builder,
                );
            }
            made += 1;
            // One row that is larger than a batch takes its memory too, if there is any.
            if bytes > reserved
                && let Some(more) = self.source.cx.memory().try_reserve(bytes - before)
            {
                memory.merge(more);
                reserved += bytes - before;
            }
        }
        let columns = builders.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
        let rows = RecordBatch::try_new(schema.arrow(), columns).map_err(|error| {
            Error::new(&codes::BROKEN_INVARIANT, "make up", &self.table.name).because(error)
        })?;
        self.next += made;
        self.made += made;
        let position = Some(Position(self.next.to_string()));
        Ok(Next::Batch(Batch { rows, bytes, position, rejects: vec![], memory: Some(memory) }))
    }

    async fn confirm(&mut self, _: &Position) -> Result<()> {
        // Nothing is kept that could be let go of.
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        // There is no connection.
        Ok(())
    }
}
