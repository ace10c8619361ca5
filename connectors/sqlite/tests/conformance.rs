//! The connector against what it claims, on real files.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use syncline_connect::{Connector, Context, Memory, Sink, Source};
use syncline_sqlite::{Dates, Sqlite, SqliteConfig};
use syncline_testkit::conformance::{Fixture, Row, prove};
use tempfile::TempDir;

struct File {
    folder: TempDir,
    journal_mode: &'static str,
    tables: AtomicU32,
}

impl File {
    /// A file of this journal mode, whose folder is empty but for it.
    fn new(journal_mode: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        File { folder, journal_mode, tables: AtomicU32::new(0) }
    }

    fn config(&self) -> SqliteConfig {
        let path = self.folder.path().join("test.db").display().to_string();
        SqliteConfig { path, busy_seconds: 10, dates: Dates::Typed }
    }

    /// Looks into the file as somebody else, who waits for whoever holds it.
    fn connection(&self) -> Connection {
        let connection = Connection::open(self.config().path).expect("the folder can be written");
        connection.busy_timeout(Duration::from_secs(10)).expect("it can be told to wait");
        connection.pragma_update(None, "journal_mode", self.journal_mode).expect("the mode is known");
        connection
    }

    fn run(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap_or_else(|error| panic!("{error}\nof: {sql}"));
    }

    /// The first column of a query's rows.
    fn names(&self, sql: &str) -> Vec<String> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}\nof: {sql}"));
        let names = statement.query_map([], |row| row.get(0)).expect("it can be asked");
        names.collect::<Result<_, _>>().expect("they are texts")
    }
}

fn context() -> Context {
    Context::new(Memory::new(32 << 20), Duration::from_secs(20))
}

#[async_trait]
impl Fixture for File {
    async fn create(&self, keyed: bool) -> String {
        let table = format!("t{}", self.tables.fetch_add(1, Ordering::Relaxed));
        let key = if keyed { "PRIMARY KEY" } else { "" };
        self.run(&format!("CREATE TABLE {table} (id INTEGER NOT NULL {key}, value INTEGER)"));
        table
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let rows: Vec<String> = rows
            .iter()
            .map(|(id, value)| format!("({id}, {})", value.map_or("NULL".into(), |value| value.to_string())))
            .collect();
        self.run(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
    }

    async fn rows(&self, table: &str) -> Option<Vec<Row>> {
        let there = self.names(&format!("SELECT name FROM sqlite_schema WHERE name = '{table}'"));
        if there.is_empty() {
            return None;
        }
        let connection = self.connection();
        // NULL is the least of all in SQLite.
        let sql = format!("SELECT id, value FROM {table} ORDER BY id, value");
        let mut statement = connection.prepare(&sql).expect("the table is there");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it can be read");
        Some(rows.collect::<Result<_, _>>().expect("they are whole numbers"))
    }

    /// Staging, progress, and files beside the database that are not SQLite's own.
    async fn leftovers(&self) -> Vec<String> {
        let mut left =
            self.names("SELECT name FROM sqlite_schema WHERE name LIKE '\\_syncline\\_stage%' ESCAPE '\\'");
        if !self.names("SELECT name FROM sqlite_schema WHERE name = '_syncline_checkpoint'").is_empty() {
            left.extend(
                self.names("SELECT pipeline || ' ' || stream || ' ' || split FROM _syncline_checkpoint"),
            );
        }
        let files = self.folder.path().read_dir().expect("the folder is there").flatten();
        let files = files.map(|file| file.file_name().to_string_lossy().into_owned());
        left.extend(files.filter(|name| !["test.db", "test.db-wal", "test.db-shm"].contains(&name.as_str())));
        left
    }

    async fn source(&self) -> Option<Box<dyn Source>> {
        // A source has to be there; a sink would make it.
        drop(self.connection());
        Some(Sqlite::source(self.config(), context()).await.expect("the file can be read"))
    }

    async fn sink(&self) -> Option<Box<dyn Sink>> {
        Some(Sqlite::sink(self.config(), context()).await.expect("the file can be written"))
    }

    /// Without WAL whoever reads keeps others from committing, so nothing changes under a session.
    fn can_change(&self) -> bool {
        self.journal_mode == "wal"
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_claim_holds() {
    prove(&File::new("wal"), Sqlite::CAPABILITIES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_claim_holds_in_a_file_that_readers_lock() {
    prove(&File::new("delete"), Sqlite::CAPABILITIES).await;
}
