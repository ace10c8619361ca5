//! Reading: one exported snapshot for all connections, splits by ranges of the key or of pages,
//! rows by binary COPY.

mod edge;
mod reader;
mod splitter;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use syncline_connect::{
    Context, Digest, Edge, Finding, Log, Read, Reader, Selection, Session, Source, SplitOrder, Splitter,
    Stream,
};
use syncline_sql::{Dialect, key_range_condition, predicate_condition, quote_text};
use syncline_types::{
    Comparison, Error, ErrorKind, Extent, LogicalType, Position, Predicate, Result, Split, codes,
};

use self::{
    reader::PostgresReader,
    splitter::{KeySplitter, PageSplitter, Pages, WholeSplitter},
};
use crate::{
    capture::CaptureLog,
    client::{Client, connect},
    config::{Capture, PostgresConfig},
    dialect::{Postgres, qualified},
    log::PostgresLog,
    origin,
    schema::{Listed, describe, find, list},
    types::{reads_as_text, text_of},
};

/// How long a table is waited for with the snapshot held. Whoever wants a table to himself, to truncate or alter
/// it, waits for the snapshot, and everybody else, we too, waits behind him: it would go on so until somebody's
/// patience ends. So the snapshot is let go of, he has his way, and reading goes on in a new one.
const LOCK_WAIT: &str = "5s";

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
                    let error = Error::new(&codes::PERMISSION_DENIED, "read table", format!("`{name}`"))
                        .because(format!("user `{user}` may not"))
                        .hint(format!("Run: {grant}"));
                    findings.push(Finding::blocker(error).of(name));
                }
            }
            for column in read.schema().columns.iter().filter(|column| reads_as_text(column.logical)) {
                let native = column.native.as_deref().unwrap_or("?");
                let note = format!("column `{}` is of type {native}, which travels as text", column.name);
                findings.push(Finding::note(note).of(name));
            }
        }
        Ok(findings)
    }

    async fn databases(&self, _: &[Arc<Read>]) -> Result<Vec<String>> {
        origin::databases(&self.client).await
    }

    async fn begin(&self, reads: &[Arc<Read>], _: usize) -> Result<Box<dyn Session>> {
        begin(&self.config, &self.cx, reads, None).await
    }

    async fn edge(&self, stream: &Stream, column: &str) -> Result<Edge> {
        edge::find(&self.client, &self.config, stream, column).await
    }

    async fn log(&self, pipeline: &str) -> Result<Box<dyn Log>> {
        Ok(match self.config.capture {
            Capture::Log => Box::new(PostgresLog::new(&self.config, &self.cx, pipeline)),
            Capture::Triggers => Box::new(CaptureLog::new(&self.config, &self.cx, pipeline)?),
        })
    }

    fn digest_method(&self, read: &Read) -> Option<String> {
        let schema = read.schema();
        let types: Option<Vec<&str>> = schema.columns.iter().map(|column| column.native.as_deref()).collect();
        Some(format!("postgres hashtextextended of ({})", types?.join(", ")))
    }
}

/// Takes a snapshot, or goes on with one that somebody has exported, and exports it in turn.
pub(crate) async fn begin(
    config: &Arc<PostgresConfig>,
    cx: &Context,
    reads: &[Arc<Read>],
    exported: Option<&str>,
) -> Result<Box<dyn Session>> {
    let exporter = connect(config, cx).await?;
    let place = config.place();
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
    let join = exported.map(|name| format!("; SET TRANSACTION SNAPSHOT {}", quote_text(name)));
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY{}; SET LOCAL enable_sort = off",
        join.unwrap_or_default()
    );
    exporter.run(&sql, "begin a snapshot of", &place).await?;
    let snapshot = exporter.text("SELECT pg_export_snapshot()", "export a snapshot of", &place).await?;
    let encoding = exporter.text("SHOW server_encoding", "read the encoding of", &place).await?;
    Ok(Box::new(PostgresSession(Arc::new(Shared {
        config: Arc::clone(config),
        cx: cx.clone(),
        exporter,
        snapshot: snapshot.unwrap_or_default(),
        unencoded: encoding.as_deref() == Some("SQL_ASCII"),
        tables,
        idle: Mutex::default(),
    }))))
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
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}{as_it_is}; \
             SET LOCAL lock_timeout = '{LOCK_WAIT}'",
            quote_text(&self.snapshot)
        );
        let joined = client.run(&sql, "join the snapshot of", &self.config.place()).await;
        match joined {
            // `invalid snapshot identifier`: whoever exported it is gone.
            Err(error) if error.kind() == ErrorKind::Value => Err(self.lost()),
            joined => joined.map(|()| client),
        }
    }

    /// What came of reading: where a table could not be had, the snapshot is given up.
    fn given_up<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error.code() == &codes::LOCKED {
            true => Error::new(&codes::SNAPSHOT_LOST, "go on reading from", self.config.place())
                .because(format!(
                    "the snapshot was given up after waiting {LOCK_WAIT} for a table that another session locks: {}",
                    error.sentence()
                ))
                .hint("Reading goes on in a new one"),
            false => error,
        })
    }

    /// Asks how a table is to be cut. Not over the connection that exported the snapshot: one statement
    /// that fails would end it, and with it all other streams.
    async fn ask(&self, sql: &str, name: &str) -> Result<Vec<Vec<Option<String>>>> {
        let client = self.connection().await?;
        let rows = self.given_up(client.texts(sql, "cut into chunks the table", name).await)?;
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
            SplitOrder::Whole | SplitOrder::Part => Ok(Box::new(WholeSplitter { done: last.is_some() })),
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
        let opened = PostgresReader::open(Arc::clone(shared), client, &schema, &sql, name).await;
        Ok(Box::new(shared.given_up(opened)?))
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
        let rows = shared.given_up(client.texts(&sql, "compute a checksum of", &name).await)?;
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
