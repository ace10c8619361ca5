//! The statement that reads a split.

use std::sync::Arc;

use syncline_connect::{Read, SplitOrder};
use syncline_sql::{Dialect, order_by, predicate_condition};
use syncline_types::{Extent, KeyRange, Position, Result, Split};

use super::garbled;
use crate::{
    client::Family,
    dialect::{Mysql, key_range, qualified},
    types::expression,
};

/// What is read, and how.
pub(super) struct ReadSql {
    pub(super) sql: String,
    /// The table, for messages.
    pub(super) name: String,
    /// Where in the batch each column of the key is; none when reading cannot go on from a place.
    pub(super) key: Vec<usize>,
}

impl ReadSql {
    /// For the rows of a split behind `at`.
    pub(super) fn new(
        read: &Arc<Read>,
        split: &Split,
        at: Option<&Position>,
        family: Family,
    ) -> Result<Self> {
        let schema = &read.stream.schema;
        let mut conditions = vec![];
        let (mut order, mut places) = (None, vec![]);
        match (&split.extent, &read.stream.order) {
            (Extent::Whole, _) if at.is_none() => {}
            (Extent::Keys(range), SplitOrder::Key(key)) => {
                let after = match at {
                    Some(at) => Some(serde_json::from_str(&at.0).map_err(|_| garbled())?),
                    None => range.after.clone(),
                };
                let range = KeyRange { after, upto: range.upto.clone() };
                conditions.push(key_range(schema, key, &range).ok_or_else(garbled)?);
                order = Some(order_by(&Mysql, key));
                let known: Option<Vec<usize>> =
                    key.iter().map(|name| read.columns.iter().position(|column| column == name)).collect();
                places = known.unwrap_or_default();
            }
            _ => return Err(garbled()),
        }
        if let Some(filter) = &read.filter {
            conditions.push(predicate_condition(&Mysql, schema, filter).ok_or_else(garbled)?);
        }
        let fields: Option<Vec<String>> = read
            .columns
            .iter()
            .map(|name| schema.column(name).map(|column| expression(column, family)))
            .collect();
        let mut sql = format!("SELECT {} FROM {}", fields.ok_or_else(garbled)?.join(", "), table_of(read));
        if !conditions.is_empty() {
            let parts: Vec<String> = conditions.iter().map(|part| format!("({part})")).collect();
            sql.push_str(&format!(" WHERE {}", parts.join(" AND ")));
        }
        if let Some(order) = order {
            sql.push_str(&format!(" ORDER BY {order}"));
        }
        Ok(ReadSql { sql, name: read.stream.name.to_string(), key: places })
    }
}

/// The table, with the index to go by: for a large part of a table the servers would rather sort it.
pub(super) fn table_of(read: &Read) -> String {
    let stream = &read.stream;
    // A stream's name always has its database.
    let table = qualified(&stream.name, "");
    let by_primary = match &stream.order {
        SplitOrder::Key(key) => *key == stream.schema.key,
        _ => false,
    };
    if by_primary { format!("{table} FORCE INDEX ({})", Mysql.quote("PRIMARY")) } else { table }
}
