//! The publication: which tables' changes the server sends.
//!
//! It names its tables one by one, whole: with a list of columns the table's owner could no longer
//! drop one of them, nor choose another replica identity, and a new column would stay unseen.

use std::{collections::BTreeSet, time::Duration};

use syncline_sql::{quote_double, quote_text};
use syncline_types::{Error, Result, codes};
use tokio::time::sleep;

use super::relation::Followed;
use crate::{client::Client, dialect::qualified};

/// Whoever writes to a table that is new to the publication is waited for; how often to look.
const WRITERS_LOOK_EVERY: Duration = Duration::from_millis(100);

/// Everything that can happen to a row, and the changes of partitions as those of the table that they are
/// partitions of.
const OPTIONS: &str = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true";

/// A publication as the server lists it.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    /// Whether it tells of inserts, updates, deletes and truncation alike.
    pub(super) whole: bool,
    pub(super) via_root: bool,
    /// The tables that it names.
    tables: BTreeSet<u32>,
}

/// A table as a publication publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) table: u32,
    /// The columns, where only some are.
    pub(super) columns: Option<Vec<String>>,
    /// Whether only some rows are.
    pub(super) filtered: bool,
}

/// The publication of that name.
pub(super) async fn look(client: &Client, name: &str) -> Result<Option<Publication>> {
    let sql = format!(
        "SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot,
                (SELECT string_agg(r.prrelid::text, ',') FROM pg_publication_rel r WHERE r.prpubid = p.oid)
         FROM pg_publication p WHERE p.pubname = {}",
        quote_text(name)
    );
    let rows = client.texts(&sql, "look up the publication", name).await?;
    Ok(rows.into_iter().next().map(|row| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten().unwrap_or_default();
        let (whole, via_root) = (next() == "t", next() == "t");
        let tables = next().split(',').filter_map(|oid| oid.parse().ok()).collect();
        Publication { whole, via_root, tables }
    }))
}

/// The tables that a publication publishes, by whatever rule.
pub(super) async fn published(client: &Client, name: &str, version: u32) -> Result<Vec<Published>> {
    let parts = if version >= 150_000 {
        "(SELECT string_agg(a.attname, E'\\x01' ORDER BY a.attnum) FROM pg_attribute a
          WHERE a.attrelid = t.relid AND a.attnum = ANY (t.attrs)), t.attrs IS NOT NULL, t.qual IS NOT NULL"
    } else {
        "NULL, false, false"
    };
    let sql = format!("SELECT t.relid, {parts} FROM pg_get_publication_tables({}) t", quote_text(name));
    let rows = client.texts(&sql, "look up the tables of the publication", name).await?;
    let published = rows.into_iter().filter_map(|row| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let (table, columns) = (next()?.parse().ok()?, next());
        let (listed, filtered) = (next().as_deref() == Some("t"), next().as_deref() == Some("t"));
        let columns = columns.unwrap_or_default().split('\u{1}').map(str::to_owned).collect();
        Some(Published { table, columns: listed.then_some(columns), filtered })
    });
    Ok(published.collect())
}

/// The tables that a publication publishes, by their numbers; none where there is no such publication.
pub(super) async fn tables(client: &Client, name: &str) -> Result<BTreeSet<u32>> {
    if look(client, name).await?.is_none() {
        return Ok(BTreeSet::new());
    }
    let sql = format!("SELECT t.relid FROM pg_get_publication_tables({}) t", quote_text(name));
    let rows = client.texts(&sql, "look up the tables of the publication", name).await?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next()??.parse().ok()).collect())
}

/// Makes a publication of these tables, or lets one be of just these.
pub(super) async fn ensure(client: &Client, name: &str, followed: &[Followed]) -> Result<()> {
    let there = look(client, name).await?;
    let named = there.as_ref().map(|there| there.tables.clone()).unwrap_or_default();
    let wanted: BTreeSet<u32> = followed.iter().map(Followed::oid).collect();
    let new: BTreeSet<u32> = wanted.difference(&named).copied().collect();
    let list = |oids: &BTreeSet<u32>| {
        let mut oids = oids.clone();
        let tables = followed.iter().filter(|table| oids.remove(&table.oid()));
        tables
            // A table's inheritance children are tables of their own.
            .map(|table| format!("ONLY {}", qualified(&table.table.listed.name, &client.config.schema)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let quoted = quote_double(name);
    if there.is_none() {
        let sql = format!("CREATE PUBLICATION {quoted} FOR TABLE {} WITH ({OPTIONS})", list(&wanted));
        return client.run(&sql, "make the publication", name).await;
    }
    for table in named.difference(&wanted) {
        // Nobody follows it any more, and its owner should not be bound by it.
        let sql = format!("SELECT {table}::regclass::text");
        let found = client.text(&sql, "look up a table of the publication", name).await?;
        let table = found.unwrap_or_default();
        client
            .run(
                &format!("ALTER PUBLICATION {quoted} DROP TABLE ONLY {table}"),
                "leave a table out of the publication",
                name,
            )
            .await?;
    }
    if new.is_empty() {
        return Ok(());
    }
    let sql = format!("ALTER PUBLICATION {quoted} ADD TABLE {}", list(&new));
    client.run(&sql, "add tables to the publication", name).await?;
    wait_for_writers(client, name, &new).await
}

/// Waits for transactions that may have written to a table before it was published and end after
/// that: the server does not send such rows, and a copy that is made meanwhile does not see them.
async fn wait_for_writers(client: &Client, name: &str, tables: &BTreeSet<u32>) -> Result<()> {
    let oids = tables.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT DISTINCT l.virtualtransaction FROM pg_locks l
         WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
           AND l.relation IN (SELECT unnest(array[{oids}]::oid[])
                              UNION SELECT p.relid FROM unnest(array[{oids}]::oid[]) t, pg_partition_tree(t) p)"
    );
    let writers = || async {
        let rows = client.texts(&sql, "wait for writers of the tables of the publication", name).await?;
        Ok::<BTreeSet<String>, Error>(rows.into_iter().flatten().flatten().collect())
    };
    let before = writers().await?;
    while !writers().await?.is_disjoint(&before) {
        sleep(WRITERS_LOOK_EVERY).await;
    }
    Ok(())
}

/// Drops a publication, if it is there.
pub(super) async fn drop_publication(client: &Client, name: &str) -> Result<()> {
    let sql = format!("DROP PUBLICATION IF EXISTS {}", quote_double(name));
    client.run(&sql, "drop the publication", name).await
}

/// The error of a publication that was made for this and is gone.
pub(super) fn gone(name: &str) -> Error {
    Error::new(&codes::LOG_LOST, "go on with the publication", format!("`{name}`"))
        .because("somebody has dropped it, and what has changed since is told by nothing")
        .hint("Copy the streams again with --restart")
}
