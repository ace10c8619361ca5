//! All types in one table: a column for each, and a row for each value, in which every other column is
//! NULL. So a row that is rejected tells which value it was, and a route of all types is one copy.

use std::collections::BTreeMap;

use syncline_testkit::servers::{mysql, postgres};

use crate::{
    lite::{self, Kept},
    matrix::{Case, MysqlType, Native},
    my, own,
};

/// The table's name.
pub(crate) const TABLE: &str = "every_type";

/// Numbers of rows: a thousand for each column.
const COLUMN_ROWS: i64 = 1000;

/// Where a table is.
pub(crate) enum Place {
    Postgres(postgres::Database),
    Mysql(mysql::Database),
    Sqlite(lite::File),
}

/// What a table holds: of each column its type, and by row the values that are not NULL, as the
/// system's own text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) columns: BTreeMap<String, (String, BTreeMap<i64, String>)>,
    pub(crate) rows: u64,
}

/// A column of the table.
pub(crate) struct Wide {
    pub(crate) name: String,
    declared: String,
    /// As the system's SQL.
    values: Vec<String>,
}

/// The number of a column's row; both count from 0.
pub(crate) fn id(column: usize, value: usize) -> i64 {
    let number = |at| i64::try_from(at).expect("a table is not that large");
    (number(column) + 1) * COLUMN_ROWS + number(value)
}

pub(crate) fn of_postgres(cases: &[Case]) -> Vec<Wide> {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let column = |case: &Case| Wide {
        name: case.name.to_owned(),
        declared: case.declared.to_owned(),
        values: case.values.iter().map(|value| literal(&value.literal)).collect(),
    };
    cases.iter().map(column).collect()
}

pub(crate) fn of_mysql(types: &[MysqlType]) -> Vec<Wide> {
    let column = |one: &MysqlType| Wide {
        name: one.name.to_owned(),
        declared: format!("{} NULL", one.declared),
        values: one.values.iter().map(|value| value.sql.clone()).collect(),
    };
    types.iter().map(column).collect()
}

/// Those of SQLite that are not about the table as a whole.
pub(crate) fn of_sqlite(natives: &[Native]) -> Vec<Wide> {
    let column = |native: &Native| Wide {
        name: native.name.to_owned(),
        declared: native.declared.to_owned(),
        values: native.values.iter().map(|value| value.sql.to_owned()).collect(),
    };
    natives.iter().filter(|native| native.suffix.is_empty()).map(column).collect()
}

/// The statement that makes the table.
fn create(columns: &[Wide], table_options: &str) -> String {
    let declared = columns.iter().map(|Wide { name, declared, .. }| format!(", {name} {declared}"));
    let declared = declared.collect::<String>();
    format!("CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY{declared}){table_options};\n")
}

/// The statements that fill it. Its first row is NULL in all columns.
fn insert(columns: &[Wide]) -> String {
    let mut sql = format!("INSERT INTO {TABLE} (id) VALUES (0);\n");
    for (at, Wide { name, values, .. }) in
        columns.iter().enumerate().filter(|(_, one)| !one.values.is_empty())
    {
        let rows =
            values.iter().enumerate().map(|(value, literal)| format!("({}, {literal})", id(at, value)));
        let rows: Vec<String> = rows.collect();
        sql.push_str(&format!("INSERT INTO {TABLE} (id, {name}) VALUES {};\n", rows.join(", ")));
    }
    sql
}

impl Place {
    pub(crate) fn url(&self) -> String {
        match self {
            Place::Postgres(database) => database.url().to_owned(),
            Place::Mysql(database) => database.url().to_owned(),
            Place::Sqlite(file) => file.url(),
        }
    }

    /// Makes the table, and fills it.
    pub(crate) fn fill(&self, columns: &[Wide]) {
        self.create(columns);
        self.insert(columns);
    }

    /// Makes the table, without rows.
    pub(crate) fn create(&self, columns: &[Wide]) {
        self.run(&create(
            columns,
            if matches!(self, Place::Mysql(_)) { " CHARACTER SET utf8mb4" } else { "" },
        ));
    }

    pub(crate) fn insert(&self, columns: &[Wide]) {
        self.run(&insert(columns));
    }

    /// Runs statements in one transaction.
    pub(crate) fn run(&self, sql: &str) {
        match self {
            Place::Postgres(database) => {
                let sql = format!("BEGIN; {sql} COMMIT;");
                database.try_sql(&sql).unwrap_or_else(|error| panic!("{error}"));
            }
            Place::Mysql(database) => {
                my::run(database, &format!("START TRANSACTION; {sql} COMMIT;"));
            }
            Place::Sqlite(file) => file.sql(&format!("BEGIN; {sql} COMMIT;")),
        }
    }

    /// What a table holds.
    pub(crate) fn held(&self, table: &str) -> Held {
        match self {
            Place::Postgres(database) => own::wide(database, table),
            Place::Mysql(database) => my::held(database, table),
            Place::Sqlite(file) => file.wide(table),
        }
    }
}

/// SQLite's value as a text that tells all of them apart.
pub(crate) fn kept(value: &Kept) -> String {
    match value {
        Kept::Null => "NULL".to_owned(),
        Kept::Integer(value) => format!("integer {value}"),
        Kept::Real(value) => format!("real {value:?}"),
        Kept::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("text {text}"),
            Err(_) => format!("text of bytes {bytes:?}"),
        },
        Kept::Blob(bytes) => format!("blob {bytes:?}"),
    }
}
