//! Reading: one exported snapshot for all connections, splits by ranges of the key or of pages,
//! rows by binary COPY.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as TaskContext, Poll, ready},
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream as _;
use serde::{Deserialize, Serialize};
use syncline_connect::{
    Batch, Context, Digest, Finding, Next, Read, Reader, Reject, Reservation, Selection, Session, Source,
    SplitOrder, Splitter, Stream,
};
use syncline_sql::{Dialect, key_range_condition, order_by, predicate_condition, quote_text};
use syncline_types::{
    Comparison, Error, ErrorKind, Extent, KeyRange, LogicalType, Position, Predicate, Result, Split, SplitId,
    build::ColumnBuilder, codes,
};
use tokio_postgres::CopyOutStream;

use crate::{
    client::{Client, connect},
    config::PostgresConfig,
    decode::{Decoded, RowDecoder},
    dialect::{Postgres, qualified},
    error::translate,
    schema::{Listed, describe, find, list},
    types::{reads_as_text, text_of},
};

/// A batch ends after so many rows or bytes, whichever comes first: large enough that nothing is
/// paid per batch, small enough to stay in the processor's caches.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: u64 = 1 << 20;

/// Rows on a page when the server has never counted them.
const ROWS_PER_PAGE_GUESS: u64 = 60;

/// PostgreSQL as a source.
pub(crate) struct PostgresSource {
    config: Arc<PostgresConfig>,
    cx: Context,
    client: Client,
}

impl PostgresSource {
    pub(crate) async fn open(config: PostgresConfig, cx: Context) -> Result<Self> {
        let config = Arc::new(config);
        let client = connect(&config, &cx).await?;
        Ok(PostgresSource { config, cx, client })
    }
}

#[async_trait]
impl Source for PostgresSource {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        let tables = describe(&self.client, list(&self.client, selection).await?).await?;
        Ok(tables.iter().map(|table| table.stream(&self.config.schema)).collect())
    }

    /// Floats and decimals are left out: their NaN is a number to the server and none to us. So is
    /// the order of texts, which is the collation's, and any text whose equality may be.
    fn evaluates(&self, stream: &Stream, filter: &Predicate) -> bool {
        use LogicalType as L;
        match filter {
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().all(|part| self.evaluates(stream, part))
            }
            // A row of nothing but NULLs is one to the server, and a text to us.
            Predicate::IsNull { column, .. } => {
                stream.schema.column(column).is_some_and(|column| column.logical != L::Opaque)
            }
            Predicate::Compare { column, op, .. } => stream.schema.column(column).is_some_and(|column| {
                let equality = matches!(op, Comparison::Equal | Comparison::NotEqual);
                match column.logical {
                    L::Text { padded: false, .. } => {
                        equality && column.labels.is_none() && column.collation.is_none()
                    }
                    logical => {
                        logical.is_integer()
                            || matches!(logical, L::Bool | L::Date | L::Timestamp { .. } | L::Uuid)
                    }
                }
            }),
        }
    }

    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        let mut findings = vec![];
        for read in reads {
            let name = &read.stream.name;
            let table = qualified(name, &self.config.schema);
            let schema = name.namespace.as_deref().unwrap_or(&self.config.schema);
            let sql = format!(
                "SELECT current_user, has_schema_privilege({}, 'USAGE'), has_table_privilege({}, 'SELECT') \
                 OR has_any_column_privilege({}, 'SELECT')",
                quote_text(schema),
                quote_text(&table),
                quote_text(&table)
            );
            let rows = self.client.texts(&sql, "look up the grants on", &name.to_string()).await?;
            let Some([Some(user), usage, select]) = rows.first().map(Vec::as_slice) else { continue };
            for (granted, grant) in [
                (
                    usage,
                    format!("GRANT USAGE ON SCHEMA {} TO {}", Postgres.quote(schema), Postgres.quote(user)),
                ),
                (select, format!("GRANT SELECT ON {table} TO {}", Postgres.quote(user))),
            ] {
                if granted.as_deref() != Some("t") {
                    findings.push(Finding::blocker(
                        Error::new(&codes::PERMISSION_DENIED, "read table", format!("`{name}`"))
                            .because(format!("user `{user}` may not"))
                            .hint(format!("Run: {grant}")),
                    ));
                }
            }
            for column in read.schema().columns.iter().filter(|column| reads_as_text(column.logical)) {
                let native = column.native.as_deref().unwrap_or("?");
                findings.push(Finding::note(format!(
                    "column `{}` of `{name}` is of type {native}, which travels as text",
                    column.name
                )));
            }
        }
        Ok(findings)
    }

    async fn begin(&self, reads: &[Arc<Read>], _: usize) -> Result<Box<dyn Session>> {
        let exporter = connect(&self.config, &self.cx).await?;
        let place = self.config.place();
        // Asked on this connection and not in the transaction: what is listed only helps planning.
        let mut tables = BTreeMap::new();
        for read in reads {
            let name = &read.stream.name;
            let found = find(&exporter, name).await?.ok_or_else(|| {
                Error::new(&codes::STREAM_MISSING, "read table", format!("`{name}`"))
                    .because("it was there when the run was planned, and is no more")
            })?;
            tables.insert(name.clone(), found);
        }
        exporter
            .run(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_sort = off",
                "begin a snapshot of",
                &place,
            )
            .await?;
        let snapshot = exporter.text("SELECT pg_export_snapshot()", "export a snapshot of", &place).await?;
        let encoding = exporter.text("SHOW server_encoding", "read the encoding of", &place).await?;
        Ok(Box::new(PostgresSession(Arc::new(Shared {
            config: Arc::clone(&self.config),
            cx: self.cx.clone(),
            exporter,
            snapshot: snapshot.unwrap_or_default(),
            unencoded: encoding.as_deref() == Some("SQL_ASCII"),
            tables,
            idle: Mutex::default(),
        }))))
    }

    fn digest_method(&self, read: &Read) -> Option<String> {
        let schema = read.schema();
        let types: Option<Vec<&str>> = schema.columns.iter().map(|column| column.native.as_deref()).collect();
        Some(format!("postgres hashtextextended of ({})", types?.join(", ")))
    }
}

/// One snapshot, held by the connection that exported it.
struct PostgresSession(Arc<Shared>);

struct Shared {
    config: Arc<PostgresConfig>,
    cx: Context,
    exporter: Client,
    snapshot: String,
    /// Whether the database takes any bytes as text, so that some may be something else than UTF-8.
    unencoded: bool,
    tables: BTreeMap<syncline_types::StreamName, Listed>,
    /// Connections in the snapshot that nobody reads from just now.
    idle: Mutex<Vec<Client>>,
}

impl Shared {
    fn lost(&self) -> Error {
        Error::new(&codes::SNAPSHOT_LOST, "go on reading from", self.config.place())
            .because("the connection that held the snapshot is gone")
    }

    /// A connection in the snapshot.
    async fn connection(&self) -> Result<Client> {
        if self.exporter.inner.is_closed() {
            return Err(self.lost());
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(client) = idle.filter(|client| !client.inner.is_closed()) {
            return Ok(client);
        }
        let client = connect(&self.config, &self.cx).await?;
        // Such a server would fail the whole COPY for one text that is not UTF-8.
        let as_it_is = if self.unencoded { "; SET client_encoding = 'SQL_ASCII'" } else { "" };
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}{as_it_is}",
            quote_text(&self.snapshot)
        );
        let joined = client.run(&sql, "join the snapshot of", &self.config.place()).await;
        match joined {
            // `invalid snapshot identifier`: whoever exported it is gone.
            Err(error) if error.kind() == ErrorKind::Value => Err(self.lost()),
            joined => joined.map(|()| client),
        }
    }

    /// Asks how a table is to be cut. Not over the connection that exported the snapshot: one statement
    /// that fails would end it, and with it all other streams.
    async fn ask(&self, sql: &str, name: &str) -> Result<Vec<Vec<Option<String>>>> {
        let client = self.connection().await?;
        let rows = client.texts(sql, "cut into chunks the table", name).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        Ok(rows)
    }

    fn listed(&self, read: &Read) -> Result<&Listed> {
        self.tables.get(&read.stream.name).ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "read table", &read.stream.name)
                .because("the session does not know it")
        })
    }

    /// The part of a table that a split is, as what follows FROM.
    fn part_of_table(&self, read: &Read, split: &Split) -> Result<String> {
        let table = qualified(&read.stream.name, &self.config.schema);
        // A table's inheritance children are streams of their own; a partitioned table's are its rows.
        let only = if self.listed(read)?.kind == 'r' { "ONLY " } else { "" };
        let filter = match &read.filter {
            Some(filter) => {
                Some(predicate_condition(&Postgres, &read.stream.schema, filter).ok_or_else(garbled)?)
            }
            None => None,
        };
        let (table, range) = match &split.extent {
            Extent::Whole => (format!("{only}{table}"), None),
            Extent::Keys(range) => {
                let key = key(read)?;
                let condition =
                    key_range_condition(&Postgres, &read.stream.schema, key, range).ok_or_else(garbled)?;
                (format!("{only}{table}"), Some(condition))
            }
            Extent::Own(spec) => {
                let pages: Pages = serde_json::from_str(spec).map_err(|_| garbled())?;
                (format!("ONLY {}", pages.table), pages.condition())
            }
        };
        let conditions: Vec<String> =
            range.into_iter().chain(filter).map(|part| format!("({part})")).collect();
        match conditions.is_empty() {
            true => Ok(table),
            false => Ok(format!("{table} WHERE {}", conditions.join(" AND "))),
        }
    }
}

fn garbled() -> Error {
    Error::new(&codes::BAD_BYTES, "read a split", "").because("it is not as it was written")
}

fn key(read: &Read) -> Result<&[String]> {
    match &read.stream.order {
        SplitOrder::Key(key) => Ok(key),
        _ => Err(garbled()),
    }
}

/// A range of pages of one table or partition.
#[derive(Debug, Serialize, Deserialize)]
struct Pages {
    /// Quoted, with its schema.
    table: String,
    from: u64,
    /// `None`: to the end, wherever that is by now.
    upto: Option<u64>,
}

impl Pages {
    fn condition(&self) -> Option<String> {
        let from = (self.from > 0).then(|| format!("ctid >= '({},0)'::tid", self.from));
        let upto = self.upto.map(|upto| format!("ctid < '({upto},0)'::tid"));
        let parts: Vec<String> = from.into_iter().chain(upto).collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }
}

#[async_trait]
impl Session for PostgresSession {
    fn describe(&self) -> String {
        format!("one snapshot ({})", self.0.snapshot)
    }

    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        let shared = Arc::clone(&self.0);
        let chunk = read.chunk_rows.max(1);
        let next_id = last.map_or(0, |last| last.id.0 + 1);
        let (read, last) = (Arc::clone(read), last.map(|last| last.extent.clone()));
        match read.stream.order {
            SplitOrder::Key(_) => Ok(Box::new(KeySplitter { shared, read, chunk, last, next_id })),
            SplitOrder::Place => Ok(Box::new(PageSplitter { shared, read, chunk, planned: None })),
            SplitOrder::Whole => Ok(Box::new(WholeSplitter { done: last.is_some() })),
        }
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        if at.is_some() {
            // No batch has a position, so nothing can have stopped at one.
            return Err(garbled());
        }
        let shared = &self.0;
        let client = shared.connection().await?;
        let schema = read.schema();
        let fields: Vec<String> = schema
            .columns
            .iter()
            .map(|column| match reads_as_text(column.logical) {
                true => text_of(&Postgres.quote(&column.name)),
                false => Postgres.quote(&column.name),
            })
            .collect();
        let name = read.stream.name.to_string();
        let sql = format!(
            "COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)",
            fields.join(", "),
            shared.part_of_table(read, split)?
        );
        let stream = client.answer("read table", &name, client.inner.copy_out(&sql)).await?;
        Ok(Box::new(PostgresReader {
            stream: Box::pin(stream),
            decoder: RowDecoder::new(&schema.columns, shared.unencoded),
            schema: schema.arrow(),
            building: None,
            held: None,
            rows_expected: BATCH_ROWS,
            ended: false,
            name,
            client: Some(client),
            shared: Arc::clone(shared),
        }))
    }

    async fn digest(&self, read: &Arc<Read>, split: &Split) -> Result<Digest> {
        let shared = &self.0;
        let client = shared.connection().await?;
        let name = read.stream.name.to_string();
        let row = format!("ROW({})::text COLLATE \"C\"", Postgres.list(&read.columns));
        let sql = format!(
            "SELECT count(*), coalesce(sum(hashtextextended({row}, 0)), 0) FROM {}",
            shared.part_of_table(read, split)?
        );
        let rows = client.texts(&sql, "compute a checksum of", &name).await?;
        let digest = match rows.into_iter().next().as_deref() {
            Some([Some(rows), Some(checksum)]) => {
                rows.parse().ok().map(|rows| Digest { rows, checksum: checksum.clone() })
            }
            _ => None,
        };
        shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        digest.ok_or_else(garbled)
    }
}

/// Cuts by the key: each chunk ends at the key that lies so many rows behind the last.
struct KeySplitter {
    shared: Arc<Shared>,
    read: Arc<Read>,
    chunk: u64,
    last: Option<Extent>,
    next_id: u32,
}

#[async_trait]
impl Splitter for KeySplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        let after = match &self.last {
            None => None,
            Some(Extent::Keys(KeyRange { upto: Some(upto), .. })) => Some(upto.clone()),
            Some(_) => return Ok(None),
        };
        let upto = self.bound(after.as_ref()).await?;
        let extent = Extent::Keys(KeyRange { after, upto });
        self.last = Some(extent.clone());
        let id = SplitId(self.next_id);
        self.next_id += 1;
        Ok(Some(Split { id, extent, rows_estimate: Some(self.chunk) }))
    }
}

impl KeySplitter {
    /// The key of the row that is the chunk's last; `None` when fewer are left.
    async fn bound(&self, after: Option<&Vec<String>>) -> Result<Option<Vec<String>>> {
        let shared = &self.shared;
        let (schema, key) = (&self.read.stream.schema, key(&self.read)?);
        let range = KeyRange { after: after.cloned(), upto: None };
        let condition = key_range_condition(&Postgres, schema, key, &range).ok_or_else(garbled)?;
        // Named otherwise than the columns: ORDER BY would take the text of that name for the key.
        let texts: Vec<String> = key
            .iter()
            .enumerate()
            .map(|(at, column)| format!("{}::text AS bound_{at}", Postgres.quote(column)))
            .collect();
        let only = if shared.listed(&self.read)?.kind == 'r' { "ONLY " } else { "" };
        let sql = format!(
            "SELECT {} FROM {only}{} WHERE {condition} ORDER BY {} OFFSET {} LIMIT 1",
            texts.join(", "),
            qualified(&self.read.stream.name, &shared.config.schema),
            order_by(&Postgres, key),
            self.chunk - 1
        );
        let name = self.read.stream.name.to_string();
        let rows = shared.ask(&sql, &name).await;
        let rows =
            rows.map_err(|error| if shared.exporter.inner.is_closed() { shared.lost() } else { error })?;
        rows.into_iter()
            .next()
            .map(|row| row.into_iter().collect::<Option<Vec<_>>>().ok_or_else(garbled))
            .transpose()
    }
}

/// Cuts by pages, partition by partition.
struct PageSplitter {
    shared: Arc<Shared>,
    read: Arc<Read>,
    chunk: u64,
    /// What is left, the next one last.
    planned: Option<Vec<Split>>,
}

#[async_trait]
impl Splitter for PageSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        if self.planned.is_none() {
            self.planned = Some(self.plan().await?);
        }
        Ok(self.planned.as_mut().and_then(Vec::pop))
    }
}

impl PageSplitter {
    async fn plan(&self) -> Result<Vec<Split>> {
        let oid = self.shared.listed(&self.read)?.oid;
        let sql = format!(
            "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind,
                    pg_relation_size(c.oid) / current_setting('block_size')::bigint, greatest(c.reltuples, 0)::bigint
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = {oid} AND c.relkind <> 'p'
                OR c.oid IN (SELECT relid FROM pg_partition_tree({oid}) WHERE isleaf)
             ORDER BY c.oid"
        );
        let name = self.read.stream.name.to_string();
        let rows = self.shared.ask(&sql, &name).await?;
        let mut splits = vec![];
        for row in rows {
            let [Some(table), Some(kind), Some(pages), Some(rows)] = row.as_slice() else {
                return Err(garbled());
            };
            let (pages, rows): (u64, u64) =
                (pages.parse().map_err(|_| garbled())?, rows.parse().map_err(|_| garbled())?);
            // A foreign table has no pages to cut by.
            let step = if kind == "f" { u64::MAX } else { pages_per_chunk(self.chunk, pages, rows) };
            let mut from = 0_u64;
            loop {
                // The last chunk of each is open, for pages that have come since they were counted.
                let upto = from.checked_add(step).filter(|upto| *upto < pages);
                let spec = serde_json::to_string(&Pages { table: table.clone(), from, upto });
                let id = SplitId(u32::try_from(splits.len()).map_err(|_| garbled())?);
                let extent = Extent::Own(spec.expect("a range of pages serialises"));
                splits.push(Split { id, extent, rows_estimate: Some(self.chunk) });
                match upto {
                    Some(upto) => from = upto,
                    None => break,
                }
            }
        }
        splits.reverse();
        Ok(splits)
    }
}

fn pages_per_chunk(chunk_rows: u64, pages: u64, rows: u64) -> u64 {
    let rows_per_page = if pages == 0 || rows == 0 { ROWS_PER_PAGE_GUESS } else { (rows / pages).max(1) };
    (chunk_rows / rows_per_page).max(1)
}

/// Does not cut.
struct WholeSplitter {
    done: bool,
}

#[async_trait]
impl Splitter for WholeSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        let split =
            (!self.done).then_some(Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None });
        self.done = true;
        Ok(split)
    }
}

/// Reads one split.
struct PostgresReader {
    stream: Pin<Box<CopyOutStream>>,
    decoder: RowDecoder,
    schema: Arc<arrow_schema::Schema>,
    /// The batch under construction; kept here so that being cancelled loses nothing.
    building: Option<Building>,
    /// A row for which there was no room.
    held: Option<Bytes>,
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
    fn poll_fill(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<Filled>> {
        let Some(building) = &mut self.building else { return Poll::Ready(Ok(Filled::Full)) };
        let mut progress = false;
        loop {
            let message = match self.held.take() {
                Some(message) => message,
                None => match self.stream.as_mut().poll_next(task) {
                    Poll::Pending if progress => return Poll::Ready(Ok(Filled::Dry)),
                    polled => match ready!(polled) {
                        Some(Ok(message)) => message,
                        Some(Err(error)) => {
                            return Poll::Ready(Err(translate(&error, "read table", &self.name)));
                        }
                        None => return Poll::Ready(Ok(Filled::End)),
                    },
                },
            };
            progress = true;
            let bytes = message.len() as u64;
            if let Some(filled) = building.make_room(bytes, &self.shared.cx) {
                self.held = Some(message);
                return Poll::Ready(Ok(filled));
            }
            match self.decoder.decode(&message, &mut building.columns, building.rows) {
                Ok(Decoded::Row) => {
                    building.rows += 1;
                    building.bytes += bytes;
                }
                Ok(Decoded::Rejected(error)) => {
                    let row = u32::try_from(building.rejects.len()).unwrap_or(u32::MAX);
                    building.rejects.push(Reject { row, place: None, error });
                }
                Ok(Decoded::Nothing) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            if building.rows >= BATCH_ROWS || building.bytes >= BATCH_BYTES {
                return Poll::Ready(Ok(Filled::Full));
            }
        }
    }
}

impl Building {
    /// Takes memory for a row, or says why it has to wait.
    fn make_room(&mut self, bytes: u64, cx: &Context) -> Option<Filled> {
        let missing = (self.bytes + bytes).saturating_sub(self.reserved);
        if missing == 0 {
            return None;
        }
        match cx.memory().try_reserve(missing) {
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
}

#[async_trait]
impl Reader for PostgresReader {
    async fn next(&mut self) -> Result<Next> {
        if self.ended {
            // The connection stays in the snapshot for whoever reads next.
            if let Some(client) = self.client.take() {
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

impl Drop for PostgresReader {
    fn drop(&mut self) {
        // Left alone, the driver would read the rest of the rows for nobody.
        if let Some(client) = self.client.take() {
            client.hang_up();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_rows_on_them() {
        assert_eq!(pages_per_chunk(100_000, 0, 0), 1_666);
        assert_eq!(pages_per_chunk(100_000, 1_000, 100_000), 1_000);
        assert_eq!(pages_per_chunk(10, 1_000, 100_000), 1);
        assert_eq!(pages_per_chunk(10, 1_000, 10), 10);
    }

    #[test]
    fn a_range_of_pages_is_a_condition() {
        let pages = |from, upto| Pages { table: "t".into(), from, upto }.condition();
        assert_eq!(pages(0, None), None);
        assert_eq!(pages(5, Some(9)).unwrap(), "ctid >= '(5,0)'::tid AND ctid < '(9,0)'::tid");
    }
}
