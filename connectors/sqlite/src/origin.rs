//! Which file it is, and how transactions say what their changes have come through: by a row that is there for
//! as long as they are open. Nobody else writes meanwhile, and triggers see it.

use rusqlite::{Connection, OptionalExtension};
use syncline_connect::{Origin, identity};
use syncline_sql::bookkeeping;
use syncline_types::Result;

use crate::error::Explain;

const OWN: &str = "the file's identity";

const MARK: &str = "_syncline_origin";

/// What triggers read, in a statement.
pub(crate) const SAID: &str = "(SELECT said FROM _syncline_origin)";

/// What tells the file from others.
const IDENTIFY: &str = "CREATE TABLE IF NOT EXISTS main._syncline_identity (
        number INTEGER PRIMARY KEY CHECK (number = 1), identity TEXT NOT NULL);
    INSERT OR IGNORE INTO main._syncline_identity VALUES (1, lower(hex(randomblob(16))))";

/// Makes what is missing of that.
pub(crate) fn identify(connection: &Connection) -> Result<()> {
    connection.execute_batch(IDENTIFY).explain("make", OWN)
}

/// The same, and the table that triggers read.
pub(crate) fn create(connection: &Connection) -> Result<()> {
    identify(connection)?;
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS main._syncline_origin (
                number INTEGER PRIMARY KEY CHECK (number = 1), said TEXT NOT NULL)",
        )
        .explain("make", "a table for where changes come from")
}

/// Removes it, where nobody follows the file any more; what tells it from others stays where somebody has
/// written to it.
pub(crate) fn remove(connection: &Connection) -> Result<()> {
    let mut sql = "DROP TABLE IF EXISTS main._syncline_origin;".to_owned();
    if !exists(connection, bookkeeping::MADE)? {
        sql.push_str("DROP TABLE IF EXISTS main._syncline_identity");
    }
    connection.execute_batch(&sql).explain("drop", OWN)
}

fn exists(connection: &Connection, table: &str) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1")
        .and_then(|mut statement| statement.exists([table]))
        .explain("look for", format!("`{table}`"))
}

/// The identity of the file, if it has one.
pub(crate) fn databases(connection: &Connection) -> Result<Vec<String>> {
    if !exists(connection, "_syncline_identity")? {
        return Ok(vec![]);
    }
    let own: Option<String> = connection
        .query_row("SELECT identity FROM main._syncline_identity", [], |row| row.get(0))
        .optional()
        .explain("read", OWN)?;
    Ok(own.iter().map(|own| identity("sqlite", own)).collect())
}

/// Says, in the transaction under way, what comes behind it has come through, if anybody follows.
pub(crate) fn say(connection: &Connection, origin: &Origin) -> Result<()> {
    if !exists(connection, MARK)? {
        return Ok(());
    }
    let said = origin.write();
    connection
        .prepare_cached("INSERT OR REPLACE INTO main._syncline_origin VALUES (1, ?1)")
        .and_then(|mut statement| statement.execute([said]))
        .map(drop)
        .explain("say where changes come from in", "the transaction")
}

/// Takes it back, before the end of the transaction: what others write later has come from nowhere else.
pub(crate) fn unsay(connection: &Connection) -> Result<()> {
    if !exists(connection, MARK)? {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM main._syncline_origin")
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .explain("say where changes come from in", "the transaction")
}
