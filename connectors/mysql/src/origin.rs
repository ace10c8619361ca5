//! Which databases there are, and how transactions say what their changes have come through: to those who
//! read the log by a row of a table of ours, which is the first that they change, to triggers by a variable.
//!
//! MySQL tells who it is. MariaDB does not, so there each database keeps a text of its own.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use syncline_connect::{ORIGIN, Origin, RunRef, identity};
use syncline_types::{ErrorKind, Result, StreamName};

use crate::{
    client::Client,
    dialect::{qualified, text_constant},
    sink::{SinkShared, exists},
};

/// The table whose rows say it.
pub(crate) const MARK: &str = "_syncline_origin";
/// Its columns, and which of them says it.
pub(crate) const MARK_COLUMNS: usize = 4;
pub(crate) const MARK_COLUMN: usize = 3;

/// What a database of MariaDB is.
pub(crate) const IDENTITY: &str = "_syncline_identity";

const ASK: &str = "ask for the identity of";

/// The databases of these tables.
async fn databases_of<'a>(
    client: &mut Client,
    tables: impl Iterator<Item = &'a StreamName>,
) -> Result<BTreeSet<String>> {
    let place = client.config().place();
    let folds_case =
        client.text("SELECT @@lower_case_table_names", ASK, &place).await?.as_deref() != Some("0");
    let default = client.config().database().map(str::to_owned);
    let names = tables.filter_map(|name| name.namespace.clone().or_else(|| default.clone()));
    Ok(names.map(|name| if folds_case { name.to_lowercase() } else { name }).collect())
}

/// Their identities, as far as they have any.
pub(crate) async fn databases<'a>(
    client: &mut Client,
    tables: impl Iterator<Item = &'a StreamName>,
) -> Result<Vec<String>> {
    let place = client.config().place();
    let mut identities = vec![];
    let server = match client.server.is_mariadb() {
        true => None,
        false => client.text("SELECT @@server_uuid", ASK, &place).await?,
    };
    for database in databases_of(client, tables).await? {
        let own = match &server {
            Some(server) => Some(format!("{server}/{database}")),
            None => own_text(client, &database).await?,
        };
        identities.extend(own.map(|own| identity("mysql", &own)));
    }
    Ok(identities)
}

async fn own_text(client: &mut Client, database: &str) -> Result<Option<String>> {
    let table = StreamName::new(database, IDENTITY);
    if !exists(client, &table).await? {
        return Ok(None);
    }
    let sql = format!("SELECT identity FROM {}", qualified(&table, database));
    match client.text(&sql, ASK, database).await {
        Err(error) if error.kind() == ErrorKind::Permission => Ok(None),
        told => told,
    }
}

/// Gives databases what tells them apart, where they lack it and the user may.
pub(crate) async fn identify<'a>(
    client: &mut Client,
    tables: impl Iterator<Item = &'a StreamName>,
) -> Result<()> {
    if !client.server.is_mariadb() {
        return Ok(());
    }
    for database in databases_of(client, tables).await? {
        if own_text(client, &database).await?.is_some() {
            continue;
        }
        match make(client, &database).await {
            Err(error) if error.kind() == ErrorKind::Permission => {
                tracing::warn!(%error, database, "it cannot be told from other databases");
            }
            made => made?,
        }
    }
    Ok(())
}

async fn make(client: &mut Client, database: &str) -> Result<()> {
    let table = qualified(&StreamName::new(database, IDENTITY), database);
    // As a constant, since no two servers would make the same of the expression.
    let Some(own) = client.text("SELECT UUID()", ASK, database).await? else { return Ok(()) };
    for sql in [
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (number tinyint NOT NULL PRIMARY KEY, \
             identity varchar(64) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB"
        ),
        format!("INSERT IGNORE INTO {table} (number, identity) VALUES (1, {})", text_constant(&own)),
    ] {
        client.run(&sql, "make an identity for", database).await?;
    }
    Ok(())
}

/// Whether the database of some of these tables is yet to get what tells it apart.
pub(crate) async fn lacks_identity<'a>(
    client: &mut Client,
    tables: impl Iterator<Item = &'a StreamName>,
) -> Result<Option<String>> {
    if client.server.is_mariadb() {
        for database in databases_of(client, tables).await? {
            if own_text(client, &database).await?.is_none() {
                return Ok(Some(database));
            }
        }
    }
    Ok(None)
}

/// What makes the table of marks.
pub(crate) fn create(table: &str) -> String {
    const EXACT: &str = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (pipeline varchar(255) {EXACT}, stream int NOT NULL, \
         split bigint NOT NULL, said varchar(2000) CHARACTER SET ascii NOT NULL, \
         PRIMARY KEY (pipeline, stream, split)) ENGINE = InnoDB"
    )
}

/// A statement that says, in the transaction under way, what comes behind it has come through. Whoever writes at
/// the same time for the same pipeline has a row of his own, by stream and split.
pub(crate) fn say(shared: &SinkShared, run: &RunRef, (stream, split): (i64, i64), origin: &Origin) -> String {
    format!(
        "INSERT INTO {} (pipeline, stream, split, said) VALUES ({}, {stream}, {split}, {}) \
         ON DUPLICATE KEY UPDATE said = VALUES(said)",
        shared.ours.origins,
        text_constant(&run.pipeline),
        text_constant(&said(origin))
    )
}

/// A statement that says it to triggers, of all that the session does from here on.
pub(crate) fn set(origin: &Origin) -> String {
    format!("SET @{} = {}", ORIGIN.replace('.', "_"), text_constant(&origin.write()))
}

/// What is said begins with a number that is another one each time: a row that stays as it is is not in the
/// log.
fn said(origin: &Origin) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}:{}", now.as_nanos(), origin.write())
}

/// Reads what was said.
pub(crate) fn heard(said: &[u8]) -> Option<Origin> {
    let (_, origin) = std::str::from_utf8(said).ok()?.split_once(':')?;
    Origin::read(origin)
}

/// Forgets what a pipeline's runs have said.
pub(crate) fn forget(table: &str, pipeline: &str) -> String {
    format!("DELETE FROM {table} WHERE pipeline = {}", text_constant(pipeline))
}

#[cfg(test)]
mod tests {
    use syncline_sql::bookkeeping::is_ours;

    use super::*;

    #[test]
    fn what_is_said_is_heard_and_new_each_time() {
        assert!(is_ours(MARK) && is_ours(IDENTITY));
        let origin = Origin::default().through(&[identity("mysql", "a"), identity("mysql", "b")]).unwrap();
        assert_eq!(heard(said(&origin).as_bytes()), Some(origin.clone()));
        assert_eq!(heard(said(&Origin::default()).as_bytes()), Some(Origin::default()));
        for other in ["", "x", "1;abc", "1:somebody"] {
            assert_eq!(heard(other.as_bytes()), None, "{other}");
        }
    }
}
