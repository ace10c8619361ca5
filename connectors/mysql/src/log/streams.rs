//! How streams' columns are read out of the log, and whether their tables are still what they were.

use std::{collections::HashMap, sync::Arc};

use syncline_connect::Read;
use syncline_types::{Column, DefaultValue, Error, LogicalType, Result, TableSchema, codes};

use super::{charset::Charset, fill::Fill, gather::Shape, labels, value::Reading};
use crate::{
    client::Client,
    config::{MysqlConfig, ZeroDates},
    schema::{Table, describe, find},
    types::Meaning,
};

/// Knows the character sets that were met.
pub(super) struct Readings {
    zero_dates_null: bool,
    charsets: HashMap<String, Charset>,
}

impl Readings {
    pub(super) fn new(config: &Arc<MysqlConfig>) -> Self {
        Readings { zero_dates_null: config.zero_dates == ZeroDates::Null, charsets: HashMap::new() }
    }

    /// Whether the server takes names for equal that differ in their case only.
    pub(super) async fn folds_case(client: &mut Client) -> Result<bool> {
        let place = client.config().place();
        let sql = "SELECT @@lower_case_table_names";
        Ok(client.text(sql, "ask for the settings of", &place).await?.as_deref() != Some("0"))
    }

    /// How a stream's rows are read.
    ///
    /// # Errors
    /// [`codes::UNSUPPORTED`] when a column cannot be read out of the log.
    pub(super) async fn shape(&mut self, client: &mut Client, read: &Read) -> Result<Shape> {
        let mut readings = vec![];
        let table = table(client, read).await?;
        for column in &read.logged_schema().columns {
            let charset = self.charset(client, column).await?;
            let described = table.columns.iter().find(|described| described.column.name == column.name);
            let fill = described.map_or(Fill::Unknown, Fill::of);
            let column = &labels::exact(client, &read.stream.name, column).await?;
            let reading = Reading::of(column, self.zero_dates_null, charset, fill).ok_or_else(|| {
                let native = column.native.as_deref().unwrap_or("?");
                Error::new(&codes::UNSUPPORTED, "follow table", format!("`{}`", read.stream.name))
                    .because(format!(
                        "column `{}` is of type {native}, whose form in the log is not known",
                        column.name
                    ))
                    .hint("Leave the column out with a `drop` step or --columns, or use sync: incremental")
            })?;
            readings.push(reading);
        }
        Shape::new(read, readings)
    }

    async fn charset(&mut self, client: &mut Client, column: &Column) -> Result<Charset> {
        let name = charset_of(column);
        if let Some(known) = self.charsets.get(name) {
            return Ok(known.clone());
        }
        let found = Charset::find(client, name).await?;
        self.charsets.insert(name.to_owned(), found.clone());
        Ok(found)
    }
}

/// The character set of a column's texts, which its collation's name begins with. Labels are told by the
/// server itself.
fn charset_of(column: &Column) -> &str {
    let is_text = matches!(column.logical, LogicalType::Text { .. }) && column.labels.is_none();
    let collation = column.collation.as_deref().filter(|_| is_text).unwrap_or("utf8mb4");
    collation.split('_').next().unwrap_or("utf8mb4")
}

/// A stream's table as the server describes it now.
pub(super) async fn now(client: &mut Client, read: &Read) -> Result<TableSchema> {
    Ok(table(client, read).await?.schema())
}

async fn table(client: &mut Client, read: &Read) -> Result<Table> {
    let name = &read.stream.name;
    let gone = || {
        Error::new(&codes::SCHEMA_CHANGED, "follow table", format!("`{name}`"))
            .because("it is there no more")
            .hint("Leave it out, or copy it again: --restart")
    };
    let listed = find(client, name).await?.ok_or_else(gone)?;
    let meaning = Meaning::new(client.server.family, client.config());
    let described = describe(client, vec![listed], meaning).await?;
    described.into_iter().next().ok_or_else(gone)
}

/// In what two schemas of a table differ, as far as its rows are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Differs {
    /// Indexes, comments: nothing that matters to rows.
    Nothing,
    /// The columns stand in another order, or new rows get something else where nothing is said: rows are
    /// to be read in another way, and mean the same.
    Form,
    Columns,
}

impl Differs {
    pub(super) fn between(known: &TableSchema, now: &TableSchema) -> Self {
        let same = |one: &Column, other: &Column| {
            one.native == other.native
                && one.logical == other.logical
                && one.nullable == other.nullable
                && one.labels == other.labels
                && charset_of(one) == charset_of(other)
        };
        let all = known.columns.len() == now.columns.len()
            && known.columns.iter().all(|one| now.column(&one.name).is_some_and(|other| same(one, other)));
        if !all {
            return Differs::Columns;
        }
        let form = |schema: &TableSchema| -> Vec<(String, Option<DefaultValue>)> {
            schema.columns.iter().map(|column| (column.name.clone(), column.default.clone())).collect()
        };
        if form(known) == form(now) { Differs::Nothing } else { Differs::Form }
    }
}
