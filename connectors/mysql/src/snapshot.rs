//! Reading: connections that began at one point, splits by ranges of the key, rows by the binary
//! protocol.

mod edge;
mod inspect;
mod pool;
mod read_sql;
mod reader;
mod splitter;
mod take;

use std::sync::Arc;

use async_trait::async_trait;
use syncline_connect::{
    Context, Digest, Edge, Finding, Log, Read, Reader, Selection, Session, Source, SplitOrder, Splitter,
    Stream,
};
use syncline_types::{Comparison, Error, LogicalType, Position, Predicate, Result, Split, StreamName, codes};
use tokio::sync::Mutex;

pub(crate) use self::inspect::{gives, grants, user_name};
use self::{
    pool::Pool,
    read_sql::ReadSql,
    reader::MysqlReader,
    splitter::{KeySplitter, WholeSplitter},
    take::Way,
};
use crate::{
    capture::CaptureLog,
    client::{Client, Family, connect},
    config::{Capture, MysqlConfig, ZeroDates},
    log::{MysqlLog, Place},
    origin,
    schema::{describe, find, list},
    types::Meaning,
};

/// MySQL or MariaDB as a source.
pub(crate) struct MysqlSource {
    config: Arc<MysqlConfig>,
    cx: Context,
    /// For questions between runs; one at a time.
    client: Mutex<Client>,
    meaning: Meaning,
}

impl MysqlSource {
    pub(crate) async fn open(config: MysqlConfig, cx: Context) -> Result<Self> {
        let config = Arc::new(config);
        let client = connect(&config, &cx).await?;
        let meaning = Meaning::new(client.server.family, &config);
        Ok(MysqlSource { config, cx, client: Mutex::new(client), meaning })
    }

    /// The connection for questions: another one when the last has broken.
    async fn client(&self) -> Result<tokio::sync::MutexGuard<'_, Client>> {
        let mut client = self.client.lock().await;
        if client.ping("ask", &self.config.place()).await.is_err() {
            *client = connect(&self.config, &self.cx).await?;
        }
        Ok(client)
    }
}

#[async_trait]
impl Source for MysqlSource {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        let mut client = self.client().await?;
        let listed = list(&mut client, selection).await?;
        let tables = describe(&mut client, listed, self.meaning).await?;
        Ok(tables.iter().map(|table| table.stream(self.config.database())).collect())
    }

    /// Texts are left out: whether they are equal is the collation's. So are floats, which have no
    /// exact constant, and dates where what is no day becomes NULL. A day that is none counts as NULL
    /// to the server where the column is never NULL.
    fn evaluates(&self, stream: &Stream, filter: &Predicate) -> bool {
        use LogicalType as L;
        let dates = |logical: LogicalType| matches!(logical, L::Date | L::Timestamp { .. });
        let may_be_null = self.config.zero_dates == ZeroDates::Null;
        match filter {
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().all(|part| self.evaluates(stream, part))
            }
            Predicate::IsNull { column, .. } => stream.schema.column(column).is_some_and(|column| {
                column.logical != L::Opaque && !(dates(column.logical) && (may_be_null || !column.nullable))
            }),
            Predicate::Compare { column, op, .. } => stream.schema.column(column).is_some_and(|column| {
                let equality = matches!(op, Comparison::Equal | Comparison::NotEqual);
                match column.logical {
                    L::Bool => equality,
                    L::Decimal { .. } => true,
                    logical if dates(logical) => !may_be_null,
                    logical => logical.is_integer(),
                }
            }),
        }
    }

    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        let mut client = self.client().await?;
        inspect::inspect(&mut client, reads).await
    }

    async fn databases(&self, reads: &[Arc<Read>]) -> Result<Vec<String>> {
        let mut client = self.client().await?;
        origin::databases(&mut client, reads.iter().map(|read| &read.stream.name)).await
    }

    async fn begin(&self, reads: &[Arc<Read>], parallel: usize) -> Result<Box<dyn Session>> {
        check_same(&mut *self.client().await?, self.meaning, reads).await?;
        let tables = names(reads);
        let (clients, way) = take::take(&self.config, &self.cx, &tables, parallel.max(1)).await?;
        Ok(session(&self.config, &self.cx, self.meaning, clients, way))
    }

    async fn edge(&self, stream: &Stream, column: &str) -> Result<Edge> {
        let mut client = self.client().await?;
        edge::edge(&mut client, stream, column).await
    }

    async fn log(&self, pipeline: &str) -> Result<Box<dyn Log>> {
        Ok(match self.config.capture {
            Capture::Log => Box::new(MysqlLog::new(&self.config, &self.cx, self.meaning.family)),
            Capture::Triggers => Box::new(CaptureLog::new(&self.config, &self.cx, pipeline)?),
        })
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

/// Takes a snapshot of which is known which place in the log it is.
pub(crate) async fn begin_exactly(
    config: &Arc<MysqlConfig>,
    cx: &Context,
    meaning: Meaning,
    reads: &[Arc<Read>],
    parallel: usize,
) -> Result<(Box<dyn Session>, Place)> {
    let mut client = connect(config, cx).await?;
    check_same(&mut client, meaning, reads).await?;
    for read in reads.iter().filter(|read| read.schema().key.is_empty()) {
        let name = &read.stream.name;
        let engine = find(&mut client, name).await?.and_then(|listed| listed.engine).unwrap_or_default();
        if !matches!(engine.to_ascii_lowercase().as_str(), "innodb" | "rocksdb") {
            return Err(Error::new(&codes::KEY_MISSING, "follow table", format!("`{name}`"))
                .because(format!(
                    "it has no primary key, and a copy of a table of engine {engine} is of no single moment"
                ))
                .hint("Give it a primary key, or let it be of InnoDB"));
        }
    }
    let (clients, way, place) = take::take_exactly(config, cx, &names(reads), parallel.max(1)).await?;
    Ok((session(config, cx, meaning, clients, way), place))
}

fn names(reads: &[Arc<Read>]) -> Vec<StreamName> {
    reads.iter().map(|read| read.stream.name.clone()).collect()
}

fn session(
    config: &Arc<MysqlConfig>,
    cx: &Context,
    meaning: Meaning,
    clients: Vec<Client>,
    way: Way,
) -> Box<dyn Session> {
    Box::new(MysqlSession(Arc::new(Shared {
        config: Arc::clone(config),
        cx: cx.clone(),
        family: meaning.family,
        pool: Pool::new(clients, config.place()),
        way,
    })))
}

/// That tables are as they were when they were planned.
async fn check_same(client: &mut Client, meaning: Meaning, reads: &[Arc<Read>]) -> Result<()> {
    for read in reads {
        let name = &read.stream.name;
        let listed = find(client, name).await?.ok_or_else(|| {
            Error::new(&codes::STREAM_MISSING, "read table", format!("`{name}`"))
                .because("it was there when the run was planned, and is no more")
        })?;
        let now = describe(client, vec![listed], meaning).await?;
        let now = now.first().map(|table| (table.schema(), table.order()));
        let planned = |column: &String| read.stream.schema.column(column);
        let same = now.as_ref().is_some_and(|(schema, order)| {
            *order == read.stream.order
                && read.columns.iter().all(|name| schema.column(name) == planned(name))
        });
        if !same {
            return Err(changed(name));
        }
    }
    Ok(())
}

fn changed(name: impl std::fmt::Display) -> Error {
    Error::new(&codes::SCHEMA_CHANGED, "read table", format!("`{name}`"))
        .because("it is not as it was when the run was planned")
        .hint("Begin again, so that the run is planned with the table as it is now")
}

fn garbled() -> Error {
    Error::new(&codes::BAD_BYTES, "read a split", "").because("it is not as it was written")
}

/// One snapshot, held by every connection of the pool.
struct MysqlSession(Arc<Shared>);

struct Shared {
    config: Arc<MysqlConfig>,
    cx: Context,
    family: Family,
    pool: Pool,
    way: Way,
}

#[async_trait]
impl Session for MysqlSession {
    fn describe(&self) -> String {
        self.0.way.to_string()
    }

    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        match read.stream.order {
            SplitOrder::Key(_) => {
                let shared = &self.0;
                // Where a chunk ends is no part of the snapshot, and the pool is for readers.
                let client = connect(&shared.config, &shared.cx).await?;
                Ok(Box::new(KeySplitter::new(client, Arc::clone(read), last)))
            }
            SplitOrder::Place | SplitOrder::Part | SplitOrder::Whole => {
                Ok(Box::new(WholeSplitter { done: last.is_some() }))
            }
        }
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        let shared = &self.0;
        let sql = ReadSql::new(read, split, at, shared.family)?;
        let lease = shared.pool.lease().await?;
        let zero_dates_null = shared.config.zero_dates == ZeroDates::Null;
        Ok(Box::new(MysqlReader::open(lease, &shared.cx, &read.schema(), sql, zero_dates_null).await?))
    }

    async fn digest(&self, read: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(Error::new(&codes::UNSUPPORTED, "compute a checksum of", format!("`{}`", read.stream.name)))
    }
}
