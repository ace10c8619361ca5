//! What is in the file: tables, views, their columns and keys.

mod column;

use rusqlite::{Connection, OptionalExtension};
use syncline_connect::{NameGlob, Selection, SplitOrder, Stream, nearest};
use syncline_sql::bookkeeping::is_ours;
use syncline_types::{Error, LogicalType, Result, StreamName, TableSchema, codes};

pub(crate) use column::TableColumn;

use crate::{
    client::Database,
    config::Dates,
    dialect::{MAIN, NAME, keeps_text, qualified},
    error::Explain,
};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A table whose rows have a number.
    Table,
    /// A table that is its primary key's index.
    WithoutRowid,
    /// A view.
    View,
    /// A table that a module makes up.
    Virtual,
}

/// Something with rows, as the file lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether its columns take their types' values only.
    strict: bool,
    /// Whether a module keeps its own rows in it.
    shadow: bool,
}

/// A key or another unique set of plain columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) columns: Vec<String>,
    /// By which its index compares each column.
    pub(crate) collations: Vec<String>,
    pub(crate) primary: bool,
    /// Whether no column of it is ever NULL, as far as was looked.
    pub(crate) required: bool,
}

/// All there is to know of a table for reading and writing it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) strict: bool,
    /// Its CREATE statement.
    pub(crate) sql: String,
    pub(crate) columns: Vec<TableColumn>,
    /// The primary key first, then those with fewer columns.
    pub(crate) keys: Vec<Key>,
    /// The column that is the row's number: the INTEGER PRIMARY KEY.
    pub(crate) alias: Option<String>,
}

/// Whether the rows are looked through where what is declared does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// What do columns without a type hold, and does a key that may hold NULLs do so?
    Values,
    /// Only what is declared counts.
    Declared,
}

/// The tables and views that match, ours and SQLite's left out.
pub(crate) fn list(
    connection: &Connection,
    database: &Database,
    selection: &Selection,
) -> Result<Vec<Listed>> {
    let all = everything(connection, database)?;
    let base = |listed: &Listed| matches!(listed.kind, Kind::Table | Kind::WithoutRowid) && !listed.shadow;
    match selection {
        Selection::Name(name) => {
            let in_main =
                name.namespace.as_deref().is_none_or(|namespace| namespace.eq_ignore_ascii_case(MAIN));
            match all.iter().find(|listed| listed.name.eq_ignore_ascii_case(&name.table)) {
                Some(found) if in_main => Ok(vec![found.clone()]),
                _ => Err(missing(name, in_main, &all, database)),
            }
        }
        Selection::Default => Ok(all.into_iter().filter(base).collect()),
        Selection::Glob(glob) => {
            let glob = NameGlob::new(glob)?;
            let matches = |listed: &Listed| glob.matches(&stream_name(&listed.name), true);
            Ok(all.into_iter().filter(|listed| base(listed) && matches(listed)).collect())
        }
    }
}

fn stream_name(table: &str) -> StreamName {
    StreamName::new(MAIN, table)
}

fn missing(name: &StreamName, in_main: bool, all: &[Listed], database: &Database) -> Error {
    let error = Error::new(&codes::STREAM_MISSING, "find table", format!("`{name}`"));
    if !in_main {
        return error
            .because("an SQLite file has no other namespace than `main`")
            .hint(format!("Write `{}`", StreamName::bare(&name.table)));
    }
    let hint = match nearest(&name.table, all.iter().map(|listed| listed.name.as_str())) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => "Check the name and the path".to_owned(),
    };
    error.because(format!("there is no such table in {}", database.place())).hint(hint)
}

fn everything(connection: &Connection, database: &Database) -> Result<Vec<Listed>> {
    let read = || {
        let mut statement = connection.prepare(
            "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name",
        )?;
        let rows = statement.query_map([], |row| {
            let (name, kind, without_rowid): (String, String, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let shadow = kind == "shadow";
            let kind = match kind.as_str() {
                "view" => Kind::View,
                "virtual" => Kind::Virtual,
                _ if without_rowid => Kind::WithoutRowid,
                _ => Kind::Table,
            };
            Ok(Listed { name, kind, strict: row.get(3)?, shadow })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let all = read().explain("list the tables of", database.place())?;
    let own = |name: &str| {
        let lower = name.to_ascii_lowercase();
        lower.starts_with("sqlite_") || is_ours(&lower)
    };
    Ok(all.into_iter().filter(|listed| !own(&listed.name)).collect())
}

/// A table or view of any name, ours too.
pub(crate) fn find(connection: &Connection, name: &str) -> Result<Option<Listed>> {
    let found = connection
        .query_row(
            "SELECT name, type, wr, strict FROM pragma_table_list
             WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
            [name],
            |row| {
                let kind: String = row.get(1)?;
                let kind = match (kind.as_str(), row.get(2)?) {
                    ("view", _) => Kind::View,
                    ("virtual", _) => Kind::Virtual,
                    (_, true) => Kind::WithoutRowid,
                    (_, false) => Kind::Table,
                };
                Ok(Listed { name: row.get(0)?, kind, strict: row.get(3)?, shadow: false })
            },
        )
        .optional();
    found.explain("look for table", format!("`{name}`"))
}

/// Columns and keys.
pub(crate) fn describe(connection: &Connection, listed: &Listed, dates: Dates, look: Look) -> Result<Table> {
    let object = format!("`{}`", listed.name);
    let sql = connection
        .query_row(
            "SELECT sql FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ?1",
            [&listed.name],
            |row| row.get::<_, Option<String>>(0),
        )
        .optional()
        .explain("read the definition of", &object)?;
    let mut table = Table {
        name: listed.name.clone(),
        kind: listed.kind,
        strict: listed.strict,
        sql: sql.flatten().unwrap_or_default(),
        columns: vec![],
        keys: vec![],
        alias: None,
    };
    let primary = column::read(connection, &mut table, dates).explain("read the columns of", &object)?;
    if look == Look::Values {
        column::look_through(connection, &mut table).explain("look through", &object)?;
    }
    read_keys(connection, &mut table, &primary, look).explain("read the keys of", &object)?;
    Ok(table)
}

/// A table by its name, described.
pub(crate) fn find_table(
    connection: &Connection,
    database: &Database,
    name: &str,
    look: Look,
) -> Result<Option<Table>> {
    let dates = if look == Look::Values { database.dates } else { Dates::Typed };
    match find(connection, name)? {
        Some(listed) => describe(connection, &listed, dates, look).map(Some),
        None => Ok(None),
    }
}

/// `primary`: the columns of the primary key in key order.
fn read_keys(
    connection: &Connection,
    table: &mut Table,
    primary: &[String],
    look: Look,
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare("SELECT name, origin FROM pragma_index_list(?1, 'main') WHERE \"unique\" AND NOT partial")?;
    let indexes: Vec<(String, String)> = statement
        .query_map([&table.name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut keys = vec![];
    for (index, origin) in &indexes {
        let mut statement = connection
            .prepare("SELECT cid, name, coll FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno")?;
        let parts: Vec<(i64, Option<String>, String)> = statement
            .query_map([index], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        // An index over an expression is no key.
        if parts.iter().all(|(column, ..)| *column >= 0) {
            let (columns, collations) =
                parts.into_iter().filter_map(|(_, name, collation)| Some((name?, collation))).unzip();
            keys.push(Key { columns, collations, primary: origin == "pk", required: false });
        }
    }
    // The row's number has no index of its own. `INTEGER PRIMARY KEY DESC` has one, and is not it.
    if let ([only], Kind::Table, false) = (primary, table.kind, keys.iter().any(|key| key.primary)) {
        let columns = vec![only.clone()];
        keys.push(Key { columns, collations: vec!["BINARY".into()], primary: true, required: true });
        table.alias = Some(only.clone());
        if let Some(column) = table.column_mut(only) {
            column.column.nullable = false;
        }
    }
    for key in &mut keys {
        key.required = never_null(connection, table, key, look)?;
        if key.primary && key.required {
            for name in &key.columns {
                if let Some(column) = table.column_mut(name) {
                    column.column.nullable = false;
                }
            }
        }
    }
    keys.sort_by_key(|key| (!key.primary, key.columns.len()));
    table.keys = keys;
    Ok(())
}

/// SQLite lets the primary key of a table with row numbers hold NULLs unless told otherwise. Such a
/// key is one as long as none does, which only a look at the rows can tell.
fn never_null(connection: &Connection, table: &Table, key: &Key, look: Look) -> rusqlite::Result<bool> {
    let nullable = |name: &String| table.column(name).is_none_or(|column| column.column.nullable);
    if !key.columns.iter().any(nullable) {
        return Ok(true);
    }
    if !key.primary || look == Look::Declared {
        return Ok(false);
    }
    has_null(connection, &table.name, key).map(|found| found.is_none())
}

/// The first column of a key in which some row has a NULL.
pub(crate) fn has_null(connection: &Connection, table: &str, key: &Key) -> rusqlite::Result<Option<String>> {
    for name in &key.columns {
        let sql = format!(
            "SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1",
            qualified(table),
            syncline_sql::quote_double(name)
        );
        if connection.query_row(&sql, [], |_| Ok(())).optional()?.is_some() {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

impl Table {
    /// A column by its name, in any case.
    pub(crate) fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.column.name.eq_ignore_ascii_case(name))
    }

    fn column_mut(&mut self, name: &str) -> Option<&mut TableColumn> {
        self.columns.iter_mut().find(|column| column.column.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn schema(&self) -> TableSchema {
        let columns = self.columns.iter().map(|column| column.column.clone()).collect();
        let (primary, unique): (Vec<&Key>, Vec<&Key>) =
            self.keys.iter().filter(|key| key.required).partition(|key| key.primary);
        TableSchema {
            dialect: NAME.into(),
            columns,
            key: primary.first().map(|key| key.columns.clone()).unwrap_or_default(),
            unique: unique.into_iter().map(|key| key.columns.clone()).collect(),
        }
    }

    /// The key whose ranges cut the table. Floats, and decimals where SQLite keeps numbers, are none:
    /// a bound has a text form that SQLite need not read as the same number.
    pub(crate) fn chunk_key(&self) -> Option<&Key> {
        use LogicalType as L;
        let exact = |name: &String| {
            self.column(name).is_some_and(|column| match column.column.logical {
                L::Float32 | L::Float64 | L::Json { .. } => false,
                L::Decimal { .. } | L::Numeric => keeps_text(&column.column),
                _ => true,
            })
        };
        self.keys.iter().find(|key| key.required && key.columns.iter().all(exact))
    }

    /// The name by which a row's number is asked for, unless there is none or columns have taken all
    /// of them.
    pub(crate) fn rowid(&self) -> Option<&str> {
        if self.kind != Kind::Table {
            return None;
        }
        if let Some(alias) = &self.alias {
            return Some(alias);
        }
        ["rowid", "_rowid_", "oid"].into_iter().find(|name| self.column(name).is_none())
    }

    fn order(&self) -> SplitOrder {
        match (self.kind, self.chunk_key()) {
            (Kind::View | Kind::Virtual, _) => SplitOrder::Whole,
            (_, Some(key)) => SplitOrder::Key(key.columns.clone()),
            (_, None) if self.rowid().is_some() => SplitOrder::Place,
            (_, None) => SplitOrder::Whole,
        }
    }

    pub(crate) fn stream(&self, connection: &Connection) -> Stream {
        Stream {
            name: stream_name(&self.name),
            in_default_namespace: true,
            schema: self.schema(),
            order: self.order(),
            rows_estimate: rows_estimate(connection, self),
            bytes_estimate: None,
        }
    }
}

/// The least bytes of a file that a row takes.
const ROW_BYTES_MIN: i128 = 5;

/// Rows, as ANALYZE has counted them; else the span of the rows' numbers, which cannot be more than
/// the file has room for. Whatever fails here is only an estimate the less.
pub(crate) fn rows_estimate(connection: &Connection, table: &Table) -> Option<u64> {
    if matches!(table.kind, Kind::View | Kind::Virtual) {
        return None;
    }
    // Without ANALYZE there is no such table, and the question fails.
    let counted = connection.query_row(
        "SELECT stat FROM main.sqlite_stat1 WHERE tbl = ?1 COLLATE NOCASE AND stat IS NOT NULL LIMIT 1",
        [&table.name],
        |row| row.get::<_, String>(0),
    );
    if let Some(rows) = counted.ok().and_then(|stat| stat.split(' ').next()?.parse().ok()) {
        return Some(rows);
    }
    let rowid = syncline_sql::quote_double(table.rowid()?);
    let name = qualified(&table.name);
    let span = connection.query_row(
        &format!("SELECT (SELECT min({rowid}) FROM {name}), (SELECT max({rowid}) FROM {name})"),
        [],
        |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
    );
    let (Some(least), Some(most)) = span.ok()? else { return Some(0) };
    let file_bytes: i64 = connection
        .query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |row| {
            row.get(0)
        })
        .ok()?;
    let span = i128::from(most) - i128::from(least) + 1;
    u64::try_from(span.min(i128::from(file_bytes) / ROW_BYTES_MIN)).ok()
}
