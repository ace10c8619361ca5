//! A session: the moment at which the file is looked at, and the connections that look.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use syncline_connect::{Context, Digest, Read, Reader, Session, Splitter};
use syncline_types::{Error, Position, Result, Split, codes};

use super::{
    pool::{Guard, Pool},
    read_sql::ReadSql,
    reader::SqliteReader,
    splitter::{self, SqliteSplitter},
};
use crate::{
    client::{Database, roll_back},
    error::{Explain, cannot_write},
    schema::{Look, Table, find_table},
};

/// More connections do not read faster than this many.
const CONNECTIONS_MAX: usize = 64;

/// One state of the file.
pub(crate) struct SqliteSession {
    database: Database,
    cx: Context,
    readers: Arc<Pool>,
    /// Cuts streams while readers read. In a file that cannot be written it is the readers' own, and
    /// everybody waits for its turn; nobody holds it while waiting for something else but room for
    /// what it reads, which the writing side makes on its own.
    planner: Arc<Pool>,
    how: String,
}

/// Takes the snapshot.
pub(crate) async fn begin(database: &Database, cx: &Context, parallel: usize) -> Result<SqliteSession> {
    begin_asking(database, cx, parallel, |_| Ok(())).await.map(|(session, ())| session)
}

/// Takes the snapshot, and asks something of it.
pub(crate) async fn begin_asking<T: Send + 'static>(
    database: &Database,
    cx: &Context,
    parallel: usize,
    ask: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
) -> Result<(SqliteSession, T)> {
    let file = database.clone();
    let take = move || {
        let opened = open(&file, parallel.clamp(1, CONNECTIONS_MAX))?;
        let one = opened.connections.first().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "take a snapshot of", file.place())
                .because("it has no connection")
        })?;
        let told = ask(one)?;
        Ok((opened, told))
    };
    let (opened, told) = cx.blocking("take a snapshot", take).await?;
    let Opened { guard, mut connections } = opened;
    let (how, planner) = match (&guard, connections.pop()) {
        (Some(_), Some(planner)) => {
            (format!("one snapshot, read over up to {} connections", connections.len()), Some(planner))
        }
        (_, only) => {
            connections.extend(only);
            ("one snapshot, read over a single connection since the file cannot be written".into(), None)
        }
    };
    let guard = Arc::new(Guard::new(guard));
    let readers = Pool::new(connections, &guard, database.place());
    let planner = match planner {
        Some(planner) => Pool::new(vec![planner], &guard, database.place()),
        None => Arc::clone(&readers),
    };
    Ok((SqliteSession { database: database.clone(), cx: cx.clone(), readers, planner, how }, told))
}

struct Opened {
    /// `None` where the file cannot be written.
    guard: Option<Connection>,
    /// Each in the snapshot.
    connections: Vec<Connection>,
}

/// How often all connections begin anew because somebody has committed meanwhile.
const ATTEMPTS_MAX: usize = 20;

/// Opens connections that all see one state: nobody has committed while they began to read. Where
/// somebody does each time, writers are kept out for that moment. That is the last resort, since
/// whoever is in the middle of a long transaction has to be waited for, and has committed nothing.
fn open(database: &Database, parallel: usize) -> Result<Opened> {
    database.must_exist()?;
    let guard = database.guard()?;
    let file = database.place();
    if guard.is_readonly(crate::dialect::MAIN).explain("open the database", &file)? {
        return alone(guard, database);
    }
    // One more, for cutting.
    let connections = (0..=parallel).map(|_| database.look()).collect::<Result<Vec<_>>>()?;
    let pin_all = || connections.iter().try_for_each(|connection| pin(connection, database));
    for _ in 0..ATTEMPTS_MAX {
        let before = commits(&guard, database)?;
        pin_all()?;
        if commits(&guard, database)? == before {
            return Ok(Opened { guard: Some(guard), connections });
        }
        connections.iter().for_each(roll_back);
    }
    match guard.execute_batch("BEGIN IMMEDIATE") {
        Ok(()) => {}
        Err(error) if cannot_write(&error) => return alone(guard, database),
        Err(error) => return Err(error).explain("keep writers out for a moment of", &file),
    }
    pin_all()?;
    roll_back(&guard);
    Ok(Opened { guard: Some(guard), connections })
}

/// A number that changes whenever another connection commits.
fn commits(connection: &Connection, database: &Database) -> Result<i64> {
    connection
        .query_row("PRAGMA data_version", [], |row| row.get(0))
        .explain("take a snapshot of", database.place())
}

fn alone(connection: Connection, database: &Database) -> Result<Opened> {
    pin(&connection, database)?;
    Ok(Opened { guard: None, connections: vec![connection] })
}

/// Begins a transaction that sees the present state until it ends. SQLite decides on the state when
/// something is read.
fn pin(connection: &Connection, database: &Database) -> Result<()> {
    connection
        .execute_batch("BEGIN")
        .and_then(|()| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())))
        .explain("take a snapshot of", database.place())
}

/// The table as it is in the snapshot.
pub(super) fn table_of(connection: &Connection, database: &Database, read: &Read) -> Result<Table> {
    let name = &read.stream.name;
    let changed = |reason: String| {
        Error::new(&codes::SCHEMA_CHANGED, "read table", format!("`{name}`"))
            .because(reason)
            .hint("Begin again, so that the run is planned with the table as it is now")
    };
    // What columns without a type hold was decided when the run was planned.
    let mut table = find_table(connection, database, &name.table, Look::Declared)?
        .ok_or_else(|| changed("it was there when the run was planned, and is no more".into()))?;
    for planned in &read.stream.schema.columns {
        let here = table.columns.iter_mut().find(|column| column.column.name == planned.name);
        let here = here.ok_or_else(|| changed(format!("column `{}` is there no more", planned.name)))?;
        let declared = here.column.native.as_deref();
        if declared != planned.native.as_deref() {
            return Err(changed(format!("column `{}` is now declared otherwise", planned.name)));
        }
        here.column.logical = planned.logical;
        here.column.nullable = planned.nullable;
    }
    Ok(table)
}

#[async_trait]
impl Session for SqliteSession {
    fn describe(&self) -> String {
        self.how.clone()
    }

    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        let lease = self.planner.lease().await?;
        let (database, read, last) = (self.database.clone(), Arc::clone(read), last.cloned());
        let plan = self
            .cx
            .blocking("begin to cut", move || {
                splitter::plan(lease.connection(), &database, &read, last.as_ref())
            })
            .await?;
        Ok(Box::new(SqliteSplitter::new(Arc::clone(&self.planner), self.cx.clone(), plan)))
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        let lease = self.readers.lease().await?;
        let (database, read) = (self.database.clone(), Arc::clone(read));
        let (split, at) = (split.clone(), at.cloned());
        let (lease, sql) = self
            .cx
            .blocking("begin to read", move || {
                let table = table_of(lease.connection(), &database, &read)?;
                let sql = ReadSql::new(&table, &read, &split, at.as_ref())?;
                Ok((lease, sql))
            })
            .await?;
        Ok(Box::new(SqliteReader::start(lease, sql, &self.cx)))
    }

    async fn digest(&self, read: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(Error::new(&codes::UNSUPPORTED, "compute a checksum of", format!("`{}`", read.stream.name))
            .because("SQLite has no function for it"))
    }
}
