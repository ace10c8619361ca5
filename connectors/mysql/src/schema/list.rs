//! Which tables there are.

use syncline_connect::{NameGlob, Selection, nearest};
use syncline_sql::bookkeeping::is_ours;
use syncline_types::{Error, Result, StreamName, codes};

use super::Listed;
use crate::{client::Client, dialect::text_constant};

/// Databases of the server itself are left out.
const LIST: &str = "
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH
FROM information_schema.TABLES
WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
  AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')";

/// The tables that match, ours left out.
pub(crate) async fn list(client: &mut Client, selection: &Selection) -> Result<Vec<Listed>> {
    let database = client.config().database().map(str::to_owned);
    let glob = match selection {
        Selection::Name(name) => {
            let name = full_name(client, name)?;
            return match find(client, &name).await?.filter(|found| !is_ours(&found.name.table)) {
                Some(found) => Ok(vec![found]),
                None => Err(missing(client, &name).await?),
            };
        }
        Selection::Glob(glob) => Some(NameGlob::new(glob)?),
        Selection::Default => None,
    };
    let sql = match (&glob, &database) {
        (None, Some(database)) => format!("{LIST} AND TABLE_SCHEMA = {}", text_constant(database)),
        (None, None) => return Err(no_database(client, "list tables of")),
        (Some(_), _) => LIST.to_owned(),
    };
    let mut tables = listed(client, &sql).await?;
    tables.retain(|table| {
        let in_default = table.name.namespace == database;
        !table.is_view
            && !is_ours(&table.name.table)
            && glob.as_ref().map_or(in_default, |glob| glob.matches(&table.name, in_default))
    });
    tables.sort_by(|a, b| (&a.name.namespace, &a.name.table).cmp(&(&b.name.namespace, &b.name.table)));
    Ok(tables)
}

/// A name with its database.
pub(crate) fn full_name(client: &Client, name: &StreamName) -> Result<StreamName> {
    match (client.config().database(), &name.namespace) {
        (_, Some(_)) => Ok(name.clone()),
        (Some(database), None) => Ok(name.within(database)),
        (None, None) => Err(no_database(client, "find table")),
    }
}

fn no_database(client: &Client, operation: &str) -> Error {
    Error::new(&codes::DATABASE_MISSING, operation, client.config().place())
        .because("the URL names no database")
        .hint("Write mysql://USER@HOST/DATABASE")
}

async fn missing(client: &mut Client, name: &StreamName) -> Result<Error> {
    let all = listed(client, LIST).await?;
    let names: Vec<String> = all.iter().map(|table| table.name.to_string()).collect();
    let hint = match nearest(&name.to_string(), names.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => "Check the name, and that the user may see the database".to_owned(),
    };
    Ok(Error::new(&codes::STREAM_MISSING, "find table", format!("`{name}`"))
        .because(format!("there is no such table in {}", client.config().place()))
        .hint(hint))
}

/// A table or view by its full name.
pub(crate) async fn find(client: &mut Client, name: &StreamName) -> Result<Option<Listed>> {
    let name = full_name(client, name)?;
    let database = name.namespace.as_deref().unwrap_or_default();
    let sql = format!(
        "{LIST} AND TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        text_constant(database),
        text_constant(&name.table)
    );
    let found = listed(client, &sql).await?;
    // Some servers compare names here without regard to case, and tell them apart everywhere else.
    Ok(found.into_iter().find(|table| table.name == name))
}

async fn listed(client: &mut Client, sql: &str) -> Result<Vec<Listed>> {
    let place = client.config().place();
    let rows = client.texts(sql, "list tables in", &place).await?;
    let tables = rows.into_iter().filter_map(|row| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let (database, table, kind) = (next()?, next()?, next()?);
        let is_view = kind == "VIEW";
        Some(Listed {
            name: StreamName::new(database, table),
            is_view,
            engine: next(),
            rows_estimate: next().and_then(|rows| rows.parse().ok()),
            bytes_estimate: next().and_then(|bytes| bytes.parse().ok()),
        })
    });
    Ok(tables.collect())
}
