//! The statements that read records, and the rows that they are about.

use syncline_connect::Read;
use syncline_sql::{quote_double, quote_text};
use syncline_types::Column;

use super::install::{self, Names, key_column};
use crate::{
    client::Client,
    dialect::qualified,
    log::Followed,
    types::{equal_is_same, reads_as_text, text_of},
};

/// What a record says that it has come through. Anybody may set it to anything, which then says nothing.
pub(super) const SAID: &str = "coalesce(substring(origin FROM '^[0-9a-f ]*$'), '')";

/// The statements that read a stream's changes.
pub(super) struct Sql {
    pub(super) there: String,
    pub(super) gone: String,
}

impl Sql {
    pub(super) fn new(
        names: &Names,
        client: &Client,
        read: &Read,
        table: &Followed,
        (wanted, only): (&str, Option<&str>),
    ) -> Self {
        let schema = read.schema();
        let key = install::key(table);
        let form = |of: &str, column: &Column| {
            let name = format!("{of}.{}", quote_double(&column.name));
            if reads_as_text(column.logical) { text_of(&name) } else { name }
        };
        let own = format!("ONLY {} t", qualified(&read.stream.name, &client.config.schema));
        // A collation of the column's own may hold different texts to be equal.
        let is_exact = |name: &String| {
            let column = schema.column(name).filter(|column| column.collation.is_none());
            column.and_then(|column| column.native.as_deref()).is_some_and(equal_is_same)
        };
        let (mut groups, mut same) = (vec![], vec![]);
        for (place, name) in key.iter().enumerate() {
            let (recorded, column) = (key_column(place), quote_double(name));
            groups.push(recorded.clone());
            same.push(format!("t.{column} = r.{recorded}"));
            // What is equal and not the same are two keys.
            if !is_exact(name) {
                groups.push(format!("{recorded}::text COLLATE \"C\""));
                same.push(format!("ROW(t.{column})::record *= ROW(r.{recorded})::record"));
            }
        }
        let (keys, same) =
            ((0..key.len()).map(key_column).collect::<Vec<_>>().join(", "), same.join(" AND "));
        let recorded = format!(
            "(SELECT {keys}, (array_agg(op ORDER BY number))[1] = 'i' AS fresh FROM {} WHERE {wanted} AND op <> 't' GROUP BY {}{}) r",
            names.changes(table.oid()),
            groups.join(", "),
            of_origin(only),
        );
        let columns: Vec<String> = schema.columns.iter().map(|column| form("t", column)).collect();
        let there = format!(
            "COPY (SELECT r.fresh, {} FROM {own} JOIN {recorded} ON {same}) TO STDOUT (FORMAT binary)",
            columns.join(", ")
        );
        let told = read.gone_schema();
        let told = told.columns.iter().filter_map(|column| {
            let place = key.iter().position(|name| *name == column.name)?;
            Some(form("r", &Column { name: key_column(place), ..column.clone() }))
        });
        let gone = format!(
            "COPY (SELECT false, {} FROM {recorded} WHERE NOT EXISTS (SELECT FROM {own} WHERE {same})) TO STDOUT (FORMAT binary)",
            told.collect::<Vec<_>>().join(", ")
        );
        Sql { there, gone }
    }
}

/// A condition for groups of records, of which the last one counts.
fn of_origin(only: Option<&str>) -> String {
    let Some(said) = only else { return String::new() };
    format!(" HAVING (array_agg({SAID} ORDER BY number DESC))[1] = {}", quote_text(said))
}
