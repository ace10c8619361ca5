//! The statement that reads a split, and what its columns are.

use std::sync::Arc;

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};
use syncline_connect::Read;
use syncline_sql::{Dialect, predicate_condition, quote_double};
use syncline_types::{Error, Extent, LogicalType, Position, Predicate, Result, Split, codes};

use super::key::{ChunkKey, garbled};
use crate::{
    decode::Decoder,
    dialect::{Sqlite, qualified},
    schema::Table,
};

/// What is read, and how.
pub(super) struct ReadSql {
    pub(super) sql: String,
    /// The table, for messages.
    pub(super) name: String,
    pub(super) schema: Arc<Schema>,
    pub(super) logicals: Vec<LogicalType>,
    /// For the first columns of the statement, which are those wanted.
    pub(super) decoders: Vec<Decoder>,
    /// Where in the statement each column of the key is, and what it means; none when reading cannot
    /// go on from a place.
    pub(super) key: Vec<(usize, LogicalType)>,
    /// Where in the statement the row's number is.
    pub(super) rowid: Option<usize>,
}

/// Rows by their number: those in `(after, upto]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbers {
    pub(super) after: Option<i64>,
    pub(super) upto: Option<i64>,
}

impl Numbers {
    pub(super) fn condition(self, rowid: &str) -> String {
        let rowid = quote_double(rowid);
        let after = self.after.map(|after| format!("{rowid} > {after}"));
        let upto = self.upto.map(|upto| format!("{rowid} <= {upto}"));
        let parts: Vec<String> = after.into_iter().chain(upto).collect();
        if parts.is_empty() { "true".into() } else { parts.join(" AND ") }
    }

    pub(super) fn read(text: &str, read: &Read) -> Result<Self> {
        serde_json::from_str(text).map_err(|_| garbled(read))
    }

    pub(super) fn write(self) -> String {
        serde_json::to_string(&self).expect("two numbers serialise")
    }
}

impl ReadSql {
    /// For the rows of a split behind `at`.
    pub(super) fn new(table: &Table, read: &Read, split: &Split, at: Option<&Position>) -> Result<Self> {
        let schema = read.schema();
        if schema.columns.len() != read.columns.len() {
            return Err(Error::new(
                &codes::BROKEN_INVARIANT,
                "read table",
                format!("`{}`", read.stream.name),
            )
            .because("a column is wanted that the stream does not have"));
        }
        let mut columns: Vec<String> = read.columns.clone();
        let mut conditions = vec![];
        let mut order = None;
        let mut key = vec![];
        match &split.extent {
            Extent::Whole => {}
            Extent::Keys(range) => {
                let by = ChunkKey::new(table, read)?;
                conditions.push(by.condition(range)?);
                if let Some(at) = at {
                    conditions.push(by.behind(at)?);
                }
                order = Some(by.order());
                let logicals = by.logicals()?;
                key = by.key.columns.iter().map(|name| place_of(name, &mut columns)).zip(logicals).collect();
            }
            Extent::Own(spec) => {
                let rowid = table.rowid().ok_or_else(|| garbled(read))?;
                conditions.push(Numbers::read(spec, read)?.condition(rowid));
                order = Some(quote_double(rowid));
            }
        }
        // Only ranges of a key are read from a place inside.
        if at.is_some() && key.is_empty() {
            return Err(garbled(read));
        }
        let rowid = table.rowid().map(|rowid| place_of(rowid, &mut columns));
        if let Some(filter) = &read.filter {
            conditions.push(filter_condition(table, read, filter)?);
        }
        let mut sql = format!("SELECT {} FROM {}", Sqlite.list(&columns), qualified(&table.name));
        if !conditions.is_empty() {
            let parts: Vec<String> = conditions.iter().map(|part| format!("({part})")).collect();
            sql.push_str(&format!(" WHERE {}", parts.join(" AND ")));
        }
        if let Some(order) = order {
            sql.push_str(&format!(" ORDER BY {order}"));
        }
        let decoders =
            read.columns.iter().filter_map(|name| table.column(name)).map(|c| Decoder::new(&table.name, c));
        Ok(ReadSql {
            sql,
            name: read.stream.name.to_string(),
            schema: schema.arrow(),
            logicals: schema.columns.iter().map(|column| column.logical).collect(),
            decoders: decoders.collect(),
            key,
            rowid,
        })
    }
}

/// Where a column is selected, adding it where it is not.
fn place_of(name: &str, columns: &mut Vec<String>) -> usize {
    let known = columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    known.unwrap_or_else(|| {
        columns.push(name.to_owned());
        columns.len() - 1
    })
}

/// The condition, or that a column of it does not hold what it should: then the row is read, and
/// refused as it would be without a condition.
fn filter_condition(table: &Table, read: &Read, filter: &Predicate) -> Result<String> {
    let condition = predicate_condition(&Sqlite, &read.stream.schema, filter).ok_or_else(|| garbled(read))?;
    let mut columns = filter.columns();
    columns.sort_unstable();
    columns.dedup();
    let mut parts = vec![format!("({condition})")];
    if !table.strict {
        let loose = columns.into_iter().filter(|name| table.alias.as_deref() != Some(name));
        parts.extend(loose.map(|name| format!("typeof({}) NOT IN ('integer', 'null')", quote_double(name))));
    }
    Ok(parts.join(" OR "))
}
