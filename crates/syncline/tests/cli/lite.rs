//! SQLite files as the other end, opened by this test's own connections.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Batch, Connection, fallible_iterator::FallibleIterator, types::ValueRef};

/// Longer than any run here keeps a file to itself.
const BUSY_MAX: Duration = Duration::from_secs(30);

/// A database file. Each question is asked on a connection of its own, as strangers do.
#[derive(Clone, Debug)]
pub(crate) struct Lite {
    path: PathBuf,
}

impl Lite {
    /// A file that may not be there yet.
    pub(crate) fn at(path: impl AsRef<Path>) -> Self {
        Lite { path: path.as_ref().to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    pub(crate) fn open(&self) -> Connection {
        let connection = Connection::open(&self.path).expect("the file can be opened");
        connection.busy_timeout(BUSY_MAX).expect("a pause can be set");
        connection
    }

    /// Runs statements. Rows come one a line, columns parted by `|`.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{}: {error}\nof: {sql}", self.path.display()))
    }

    pub(crate) fn try_sql(&self, sql: &str) -> rusqlite::Result<String> {
        ask(&self.open(), sql)
    }

    /// The rows of a query with the types that SQLite keeps them as, in an order of their own.
    pub(crate) fn typed(&self, query: &str) -> Vec<String> {
        let connection = self.open();
        let statement = connection.prepare(query).expect("a query");
        let types: Vec<String> =
            statement.column_names().map(|name| format!("typeof(\"{name}\"), quote(\"{name}\")")).collect();
        let mut rows: Vec<String> = ask(&connection, &format!("SELECT {} FROM ({query})", types.join(", ")))
            .expect("the query runs")
            .lines()
            .map(str::to_owned)
            .collect();
        rows.sort_unstable();
        rows
    }

    /// Fails if staging or progress of a run that is over is still there, or the file is damaged.
    pub(crate) fn nothing_left(&self) {
        let made =
            self.sql("SELECT name FROM sqlite_schema WHERE name LIKE '\\_syncline\\_stage%' ESCAPE '\\'");
        assert!(made.is_empty(), "staging is left: {made}");
        if self.sql("SELECT count(*) FROM sqlite_schema WHERE name = '_syncline_checkpoint'") == "1" {
            assert_eq!(self.sql("SELECT count(*) FROM _syncline_checkpoint"), "0", "progress is left");
        }
        assert_eq!(self.sql("PRAGMA integrity_check"), "ok");
    }

    /// All that stands in the file, to see whether anything was changed.
    pub(crate) fn content(&self) -> Option<Vec<String>> {
        if !self.path.exists() {
            return None;
        }
        let tables = self.sql("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1");
        let mut content = vec![self.sql("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2")];
        for table in tables.lines() {
            content.extend(self.typed(&format!("SELECT * FROM \"{table}\"")));
        }
        Some(content)
    }
}

/// Runs statements on a connection, as [`Lite::sql`] does.
pub(crate) fn ask(connection: &Connection, sql: &str) -> rusqlite::Result<String> {
    let mut lines = vec![];
    let mut batch = Batch::new(connection, sql);
    while let Some(mut statement) = batch.next()? {
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let cells: Result<Vec<String>, _> =
                (0..columns).map(|column| row.get_ref(column).map(text)).collect();
            lines.push(cells?.join("|"));
        }
    }
    Ok(lines.join("\n"))
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
