//! Opening the file: for looking, for reading and for writing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use syncline_types::{Error, Result, codes};

use crate::{
    config::{Dates, SqliteConfig},
    error::Explain,
};

/// A connection that only looks cannot change anything by mistake.
const LOOKING: &str = "PRAGMA query_only = ON";

/// A commit is on the disk when it returns. Foreign keys are kept. With the old way of renaming, views and triggers that
/// are broken already do not stop a table from being renamed, and none are rewritten. Pages are kept
/// up to 16 MiB, so that keys that come in no order are not read from the disk each time.
const WRITING: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA legacy_alter_table = ON; PRAGMA cache_size = -16384";

/// What is kept for following is written beside an application's own writing, and as briefly as can be: a
/// commit that a power cut takes back is done again.
const FOLLOWING: &str = "PRAGMA synchronous = NORMAL; PRAGMA legacy_alter_table = ON";

/// Statements kept prepared for each connection.
const STATEMENTS_MAX: usize = 64;

/// A database file and how it is to be opened.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) path: PathBuf,
    busy: Duration,
    pub(crate) dates: Dates,
}

impl Database {
    pub(crate) fn new(config: &SqliteConfig) -> Result<Self> {
        let path = config.file()?;
        Ok(Database { path, busy: Duration::from_secs(config.busy_seconds), dates: config.dates })
    }

    /// The path, for messages.
    pub(crate) fn place(&self) -> String {
        format!("`{}`", self.path.display())
    }

    /// Whether there is a file.
    ///
    /// # Errors
    /// When its folder does not exist, it is a folder itself, or we may not look.
    pub(crate) fn exists(&self) -> Result<bool> {
        let refused = |error: &io::Error| {
            Error::new(&codes::PERMISSION_DENIED, "look at", self.place())
                .because(error)
                .hint("Check the permissions of the file and of its folder")
        };
        match fs::metadata(&self.path) {
            Ok(file) if file.is_dir() => {
                Err(Error::new(&codes::DATABASE_MISSING, "open the database", self.place())
                    .because("it is a folder")
                    .hint("Name a file in it"))
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = self.path.parent().unwrap_or(Path::new("/"));
                if folder.is_dir() {
                    return Ok(false);
                }
                Err(Error::new(&codes::DATABASE_MISSING, "open the database", self.place())
                    .because(format!("there is no folder `{}`", folder.display()))
                    .hint("Create the folder, or check the path"))
            }
            Err(error) => Err(refused(&error)),
        }
    }

    /// That there is a file to read from.
    pub(crate) fn must_exist(&self) -> Result<()> {
        if self.exists()? {
            return Ok(());
        }
        Err(Error::new(&codes::DATABASE_MISSING, "open the database", self.place())
            .because("there is no such file")
            .hint("Check the path; it counts from the folder that the command runs in"))
    }

    /// A connection that changes nothing. It may still write to the file where SQLite itself has to,
    /// after a crash for one; where it may not, SQLite opens the file for reading only.
    pub(crate) fn look(&self) -> Result<Connection> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(LOOKING).explain("open the database", self.place())?;
        Ok(connection)
    }

    /// A connection that only holds others back for a moment, for which SQLite wants one that could
    /// write.
    pub(crate) fn guard(&self) -> Result<Connection> {
        self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// The connection that writes. A file that it creates gets a write-ahead log, so that readers
    /// and the writer do not wait for each other; what is there keeps the journal it has.
    pub(crate) fn write(&self) -> Result<Connection> {
        let is_new = !self.exists()?;
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        if is_new {
            connection
                .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
                .explain("create the database", self.place())?;
        }
        connection.execute_batch(WRITING).explain("open the database", self.place())?;
        Ok(connection)
    }

    /// As [`Database::follow`], but that it waits no longer than this for others.
    pub(crate) fn follow_waiting_only(&self, wait: Duration) -> Result<Connection> {
        Database { busy: self.busy.min(wait), ..self.clone() }.follow()
    }

    /// A connection that writes what following needs into a file that is there.
    pub(crate) fn follow(&self) -> Result<Connection> {
        self.must_exist()?;
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(FOLLOWING).explain("open the database", self.place())?;
        Ok(connection)
    }

    fn open(&self, flags: OpenFlags) -> Result<Connection> {
        let open = || {
            let connection =
                Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(self.busy)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            // The file itself is read only now: whether it is a database shows here.
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(connection)
        };
        open().explain("open the database", self.place())
    }
}

/// The name of the journal mode, such as `wal` or `delete`.
pub(crate) fn journal_mode(connection: &Connection, database: &Database) -> Result<String> {
    connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .explain("ask for the journal mode of", database.place())
}

/// Runs `work` in one transaction that keeps other writers out from its beginning. What fails leaves
/// nothing behind.
pub(crate) fn transact<T>(
    connection: &Connection,
    database: &Database,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    begin(connection, database)?;
    let result = work().and_then(|value| commit(connection, database).map(|()| value));
    if result.is_err() {
        roll_back(connection);
    }
    result
}

/// Begins a transaction that keeps other writers out.
pub(crate) fn begin(connection: &Connection, database: &Database) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE").explain("begin to write to", database.place())
}

/// Commits.
pub(crate) fn commit(connection: &Connection, database: &Database) -> Result<()> {
    connection.execute_batch("COMMIT").explain("commit to", database.place())
}

/// Rolls back what is open, if anything is. If this fails too, closing the connection does it.
pub(crate) fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
}
