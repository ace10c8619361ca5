//! A table as the sink sees it: what reading knows of it, and how it is stored.

use syncline_sql::bookkeeping;
use syncline_types::{DefaultValue, Result, StreamName, TableSchema};

use crate::{
    client::Client,
    dialect::{NAME, text_constant},
    schema::{self, MysqlColumn, describe},
    types::Meaning,
};

/// What is there under a name.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: StreamName,
    pub(crate) columns: Vec<MysqlColumn>,
    /// The columns of each unique key that is never NULL.
    keys: Vec<Vec<String>>,
    pub(crate) is_view: bool,
    /// `BASE TABLE`, where it is just a table.
    pub(crate) kind: String,
    pub(crate) engine: String,
    /// Whether what is written can be taken back.
    pub(crate) transactional: bool,
    pub(crate) rows_estimate: Option<u64>,
    /// The number that the next row gets, where it numbers its rows.
    pub(crate) next_number: Option<u64>,
    pub(crate) comment: String,
}

impl Table {
    /// Its columns, where one with a computed default counts as one with a default.
    pub(crate) fn schema(&self) -> TableSchema {
        let columns = self.columns.iter().map(|there| {
            let mut column = there.column.clone();
            if there.computed_default {
                column.default = Some(DefaultValue::Text("computed".into()));
            }
            column
        });
        TableSchema::new(NAME, columns.collect())
    }

    pub(crate) fn column(&self, name: &str) -> Option<&MysqlColumn> {
        self.columns.iter().find(|there| there.column.name == name)
    }

    /// Whether these columns are a key of the table.
    pub(crate) fn has_key(&self, key: &[String]) -> bool {
        let sorted = |columns: &[String]| {
            let mut columns = columns.to_vec();
            columns.sort();
            columns
        };
        !key.is_empty() && self.keys.iter().any(|known| sorted(known) == sorted(key))
    }
}

/// A database's name, as the name of a table has it.
pub(crate) fn database<'a>(client: &'a Client, name: &'a StreamName) -> &'a str {
    name.namespace.as_deref().or(client.config().database()).unwrap_or_default()
}

/// The condition for one table, in a view of `information_schema`.
pub(crate) fn is_table(client: &Client, name: &StreamName) -> String {
    let database = text_constant(database(client, name));
    format!("table_schema = {database} AND table_name = {}", text_constant(&name.table))
}

/// Looks a table up by its name.
pub(crate) async fn find(client: &mut Client, name: &StreamName) -> Result<Option<Table>> {
    let Some(listed) = schema::find(client, name).await? else { return Ok(None) };
    let meaning = Meaning::new(client.server.family, client.config());
    let is_view = listed.is_view;
    let Some(described) = describe(client, vec![listed], meaning).await?.pop() else { return Ok(None) };
    let sql = format!(
        "SELECT table_type, engine, table_rows, auto_increment, table_comment,
                COALESCE((SELECT transactions FROM information_schema.engines e WHERE e.engine = t.engine), 'NO')
         FROM information_schema.tables t WHERE {}",
        is_table(client, name)
    );
    let rows = client.texts(&sql, "look up table", &name.to_string()).await?;
    let mut facts = rows.into_iter().next().unwrap_or_default().into_iter();
    let mut next = || facts.next().flatten();
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
    Ok(Some(Table {
        name: name.clone(),
        columns: described.columns,
        // What is only kept apart by a hash is no key of an index that could be made alike.
        keys: described.keys.into_iter().filter(|key| key.ordered).map(|key| key.columns).collect(),
        is_view,
        kind: next().unwrap_or_default(),
        engine: next().unwrap_or_default(),
        rows_estimate: number(next()),
        next_number: number(next()),
        comment: next().unwrap_or_default(),
        transactional: next().as_deref() == Some("YES"),
    }))
}

/// What a table that we make says of itself: the run that made it, and the stream's number in it. A
/// table that somebody else makes under the same name says nothing.
pub(crate) fn made_comment(run: &str, stream: u32) -> String {
    format!("{MADE_BY_RUN}{run}{OF_STREAM}{stream}")
}

const MADE_BY_RUN: &str = "Made by Syncline, run ";
const OF_STREAM: &str = " stream ";

/// The table that lists the tables we made, with what each says of itself.
pub(crate) fn made(client: &Client) -> String {
    crate::dialect::qualified(
        &StreamName::bare(bookkeeping::MADE),
        client.config().database().unwrap_or_default(),
    )
}

/// Whether we made a table: it is listed, and says so itself. A copy of ours by `CREATE TABLE ...
/// LIKE` says so too and is not listed.
pub(crate) async fn is_made_by_us(client: &mut Client, table: &Table) -> Result<bool> {
    let (name, made) = (table.name.to_string(), made(client));
    let listed = StreamName::bare(bookkeeping::MADE);
    let exists = format!("SELECT 1 FROM information_schema.tables WHERE {}", is_table(client, &listed));
    if table.comment.is_empty() || client.text(&exists, "look up who made", &name).await?.is_none() {
        return Ok(false);
    }
    let comment = text_constant(&table.comment);
    let sql = format!("SELECT 1 FROM {made} WHERE {} AND comment = {comment}", is_table(client, &table.name));
    if client.text(&sql, "look up who made", &name).await?.is_some() {
        return Ok(true);
    }
    // Its run may have ended right after the table got its name, and goes on.
    let database = client.config().database().unwrap_or_default();
    let checkpoint = crate::dialect::qualified(&StreamName::bare(bookkeeping::CHECKPOINT), database);
    let sql = format!(
        "SELECT 1 FROM {checkpoint} WHERE split = {} AND CONCAT('{MADE_BY_RUN}', run, '{OF_STREAM}', stream) = {comment}",
        bookkeeping::NO_SPLIT
    );
    Ok(client.text(&sql, "look up who made", &name).await?.is_some())
}
