//! An SQLite end: a file of the test's own, looked into with SQLite itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, types::ValueRef};

use crate::{
    matrix::Native,
    own::NULL_ID,
    wide::{Held, kept},
};

/// A value as SQLite keeps it.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// To the bit: an infinity, or a 1 and a 1.0, are told apart.
impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Kept::Null, Kept::Null) => true,
            (Kept::Integer(a), Kept::Integer(b)) => a == b,
            (Kept::Real(a), Kept::Real(b)) => a.to_bits() == b.to_bits(),
            (Kept::Text(a), Kept::Text(b)) | (Kept::Blob(a), Kept::Blob(b)) => a == b,
            _ => false,
        }
    }
}

impl Kept {
    fn new(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Kept::Null,
            ValueRef::Integer(value) => Kept::Integer(value),
            ValueRef::Real(value) => Kept::Real(value),
            ValueRef::Text(bytes) => Kept::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Kept::Blob(bytes.to_vec()),
        }
    }
}

/// What a table's column `v` holds: its declared type, and each value by `id`.
pub(crate) type Column = (String, BTreeMap<i64, Kept>);

/// A database file.
pub(crate) struct File {
    path: PathBuf,
}

impl File {
    /// A file in this folder, which need not exist yet.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        File { path: folder.join(name) }
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    pub(crate) fn sql(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap_or_else(|error| panic!("{error}"));
    }

    fn connection(&self) -> Connection {
        Connection::open(&self.path).expect("the folder can be written")
    }

    /// The values of a query's first row.
    pub(crate) fn row(&self, sql: &str) -> Vec<Kept> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}\nof: {sql}"));
        let count = statement.column_count();
        let row =
            statement.query_row([], |row| (0..count).map(|at| Ok(Kept::new(row.get_ref(at)?))).collect());
        row.unwrap_or_else(|error| panic!("{error}\nof: {sql}"))
    }

    /// What an expression is to SQLite.
    pub(crate) fn value(&self, expression: &str) -> Kept {
        self.row(&format!("SELECT {expression}")).remove(0)
    }

    /// Makes one table a type: a NULL, and its values from 1 on.
    pub(crate) fn fill(&self, natives: &[Native]) {
        let mut sql = String::new();
        for Native { name, declared, suffix, values, .. } in natives {
            sql.push_str(&format!(
                "CREATE TABLE {name} (id INTEGER PRIMARY KEY, v {declared}) {suffix}; INSERT INTO {name} VALUES ({NULL_ID}, NULL)"
            ));
            for (value, id) in values.iter().zip(1..) {
                sql.push_str(&format!(", ({id}, {})", value.sql));
            }
            sql.push_str(";\n");
        }
        self.sql(&sql);
    }

    /// All tables with a column `v`, by name.
    pub(crate) fn columns(&self) -> BTreeMap<String, Column> {
        let connection = self.connection();
        let mut found = connection
            .prepare("SELECT t.name, c.type FROM pragma_table_list t JOIN pragma_table_xinfo(t.name) c WHERE c.name = 'v'")
            .expect("SQLite lists its tables");
        let found = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it can be asked");
        let found: Vec<(String, String)> = found.collect::<Result<_, _>>().expect("names are texts");
        let read = |(name, declared): (String, String)| {
            let mut rows = connection.prepare(&format!("SELECT id, v FROM {name}")).expect("it is there");
            let rows = rows.query_map([], |row| Ok((row.get(0)?, Kept::new(row.get_ref(1)?))));
            let rows = rows.expect("it can be read").collect::<Result<_, _>>().expect("it has numbers");
            (name, (declared, rows))
        };
        found.into_iter().map(read).collect()
    }

    /// What a table holds, but for its column `id`.
    pub(crate) fn wide(&self, table: &str) -> Held {
        let connection = self.connection();
        let mut found = connection
            .prepare("SELECT name, type FROM pragma_table_xinfo(?) WHERE name <> 'id'")
            .expect("SQLite lists columns");
        let found = found.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).expect("it can be asked");
        let found: Vec<(String, String)> = found.collect::<Result<_, _>>().expect("names are texts");
        let mut held = Held::default();
        for (name, declared) in found {
            let sql = format!("SELECT id, {name} FROM {table} WHERE {name} IS NOT NULL");
            let mut rows = connection.prepare(&sql).expect("it is there");
            let rows = rows.query_map([], |row| Ok((row.get(0)?, kept(&Kept::new(row.get_ref(1)?)))));
            let rows = rows.expect("it can be read").collect::<Result<_, _>>().expect("it has numbers");
            held.columns.insert(name, (declared, rows));
        }
        let Kept::Integer(rows) = self.row(&format!("SELECT count(*) FROM {table}")).remove(0) else {
            panic!("a count is a number")
        };
        held.rows = u64::try_from(rows).expect("a count is not negative");
        held
    }
}
