//! What is there: tables, their columns and keys, as `information_schema` tells.

mod columns;
mod keys;
mod list;

use syncline_connect::{SplitOrder, Stream};
use syncline_types::{Column, LogicalType, Result, StreamName, TableSchema};

pub(crate) use self::list::{find, list};
use crate::{
    client::Client,
    dialect::NAME,
    types::{Meaning, base, is_geometry},
};

/// A table as the server lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: StreamName,
    pub(crate) is_view: bool,
    pub(crate) engine: Option<String>,
    rows_estimate: Option<u64>,
    bytes_estimate: Option<u64>,
}

/// A column with what only these servers have to know of it.
#[derive(Clone, Debug)]
pub(crate) struct MysqlColumn {
    pub(crate) column: Column,
    /// The character set of a text.
    pub(crate) charset: Option<String>,
    /// Whether it has a default that is computed.
    pub(crate) computed_default: bool,
}

/// A key that is unique and never NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) columns: Vec<String>,
    pub(crate) primary: bool,
    pub(crate) name: String,
    /// Whether its index knows an order.
    pub(crate) ordered: bool,
}

/// All there is to know of a table for reading and writing it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) listed: Listed,
    pub(crate) columns: Vec<MysqlColumn>,
    /// The primary key first.
    pub(crate) keys: Vec<Key>,
}

impl MysqlColumn {
    /// Its type, in the one form for all servers.
    pub(crate) fn type_name(&self) -> &str {
        self.column.native.as_deref().unwrap_or_default()
    }
}

impl Table {
    pub(crate) fn schema(&self) -> TableSchema {
        let columns = self.columns.iter().map(|column| column.column.clone()).collect();
        let (primary, unique): (Vec<&Key>, Vec<&Key>) = self.keys.iter().partition(|key| key.primary);
        TableSchema {
            dialect: NAME.into(),
            columns,
            key: primary.first().map(|key| key.columns.clone()).unwrap_or_default(),
            unique: unique.into_iter().map(|key| key.columns.clone()).collect(),
        }
    }

    pub(crate) fn order(&self) -> SplitOrder {
        let by = |name: &String| {
            let column = self.columns.iter().find(|column| column.column.name == *name);
            column.is_some_and(|column| cuts(&column.column))
        };
        let key = self.keys.iter().find(|key| key.ordered && key.columns.iter().all(by));
        match key {
            Some(key) if !self.listed.is_view => SplitOrder::Key(key.columns.clone()),
            _ => SplitOrder::Whole,
        }
    }

    pub(crate) fn stream(&self, default_database: Option<&str>) -> Stream {
        Stream {
            in_default_namespace: self.listed.name.namespace.as_deref() == default_database,
            name: self.listed.name.clone(),
            schema: self.schema(),
            order: self.order(),
            rows_estimate: self.listed.rows_estimate,
            bytes_estimate: self.listed.bytes_estimate,
        }
    }
}

/// Whether a column of a key can be a bound: its values have a text that means the same value, in
/// an order in which the index has them too. Labels are ordered by their number and compared as
/// texts; MariaDB orders UUIDs in a way of its own.
fn cuts(column: &Column) -> bool {
    use LogicalType as L;
    let native = column.native.as_deref().map(base).unwrap_or_default();
    match column.logical {
        L::Bool => native == "tinyint",
        L::Text { .. } => !matches!(native, "enum" | "set"),
        L::Binary => !is_geometry(native),
        L::Decimal { .. } | L::Date | L::Timestamp { .. } => true,
        logical => logical.is_integer(),
    }
}

/// Columns and keys of these tables.
pub(crate) async fn describe(
    client: &mut Client,
    listed: Vec<Listed>,
    meaning: Meaning,
) -> Result<Vec<Table>> {
    let mut tables = Vec::with_capacity(listed.len());
    for listed in listed {
        let keys = keys::keys(client, &listed.name).await?;
        let columns = columns::columns(client, &listed.name, &keys, meaning).await?;
        tables.push(Table { listed, columns, keys });
    }
    Ok(tables)
}
