//! The replication slot: what keeps the server's log for us from one connection to the next.

use std::time::Duration;

use syncline_sql::quote_text;
use syncline_types::{Error, Result, codes};
use tokio::time::{Instant, sleep};

use super::lsn::Lsn;
use crate::client::Client;

/// The plugin whose messages are understood; every server has it.
const PLUGIN: &str = "pgoutput";

/// How long a slot may still be held by a session that has ended. The server notices within some milliseconds
/// that the other side has closed its end, but not while it decodes a large transaction, and later where it is
/// busy: who starts a pipeline again that was killed should not have to do so twice.
const FREE_WAIT: Duration = Duration::from_secs(10);
const FREE_LOOK_EVERY: Duration = Duration::from_millis(50);

/// A slot as the server lists it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    plugin: Option<String>,
    database: Option<String>,
    /// The database that the question was asked in.
    here: String,
    /// Whose session reads from it.
    reader: Option<String>,
    status: Option<String>,
    restart: Option<Lsn>,
    pub(super) confirmed: Option<Lsn>,
}

/// The slot of that name.
pub(super) async fn look(client: &Client, name: &str) -> Result<Option<Slot>> {
    let sql = format!(
        "SELECT s.plugin, s.database, current_database(),
                CASE WHEN s.active THEN format('session %s of `%s` (%s)', s.active_pid, coalesce(a.usename, '?'),
                     coalesce(nullif(a.application_name, ''), 'without a name')) END,
                s.wal_status, s.restart_lsn, s.confirmed_flush_lsn
         FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = {}",
        quote_text(name)
    );
    let rows = client.texts(&sql, "look up the replication slot", name).await?;
    Ok(rows.into_iter().next().map(|row| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        Slot {
            plugin: next(),
            database: next(),
            here: next().unwrap_or_default(),
            reader: next(),
            status: next(),
            restart: next().as_deref().and_then(Lsn::parse),
            confirmed: next().as_deref().and_then(Lsn::parse),
        }
    }))
}

impl Slot {
    /// Whether it is of the kind that is read here, so that it may be ours.
    ///
    /// # Errors
    /// [`codes::NAME_TAKEN`] when it is not.
    pub(super) fn check_kind(&self, name: &str) -> Result<()> {
        let refused = |reason: String, hint: String| {
            Err(Error::new(&codes::NAME_TAKEN, "use the replication slot", format!("`{name}`"))
                .because(reason)
                .hint(hint))
        };
        if self.plugin.as_deref() != Some(PLUGIN) {
            let plugin = self.plugin.as_deref().map_or("it is a physical slot".to_owned(), |plugin| {
                format!("its plugin is `{plugin}`, and Syncline reads what `{PLUGIN}` writes")
            });
            return refused(plugin, "Name another one with slot=NAME".to_owned());
        }
        if self.database.as_deref() != Some(self.here.as_str()) {
            let database = self.database.as_deref().unwrap_or("?");
            return refused(
                format!("it belongs to database `{database}`, and this connection is to `{}`", self.here),
                "Give the pipeline another name, or name another slot with slot=NAME".to_owned(),
            );
        }
        Ok(())
    }

    /// Whether the server still keeps anything for it.
    ///
    /// # Errors
    /// [`codes::LOG_LOST`] when it does not.
    pub(super) fn check_kept(&self, name: &str) -> Result<()> {
        match self.status.as_deref() == Some("lost") || self.restart.is_none() {
            true => Err(lost(name, "the server has thrown away the log that it kept for it")),
            false => Ok(()),
        }
    }

    /// Whether it still has everything that comes after `known`.
    ///
    /// # Errors
    /// [`codes::LOG_LOST`] when it has not.
    pub(super) fn check_known(&self, name: &str, known: Lsn, head: Lsn) -> Result<()> {
        let beyond = self.restart.max(self.confirmed).filter(|place| *place > known);
        if let Some(place) = beyond {
            let reason = format!("it begins at {place}, behind {known}, up to where changes are applied");
            return Err(lost(name, &reason));
        }
        if known > head {
            let reason =
                format!("changes are applied up to {known}, and the server's log ends at {head} already");
            return Err(lost(name, &reason).hint(
                "This is another server, or one that was restored: copy the streams again with --restart",
            ));
        }
        Ok(())
    }
}

/// The error of a slot without what comes next.
pub(super) fn lost(name: &str, reason: &str) -> Error {
    Error::new(&codes::LOG_LOST, "go on with the replication slot", format!("`{name}`"))
        .because(reason)
        .hint("Copy the streams again with --restart; max_slot_wal_keep_size gives the log more room")
}

/// Waits until nobody reads from it, which for a session that has just ended is soon.
///
/// # Errors
/// [`codes::LOCKED`] when somebody goes on.
pub(super) async fn wait_until_free(client: &Client, name: &str) -> Result<Option<Slot>> {
    let until = Instant::now() + FREE_WAIT;
    loop {
        let slot = look(client, name).await?;
        let Some(reader) = slot.as_ref().and_then(|slot| slot.reader.clone()) else { return Ok(slot) };
        if Instant::now() >= until {
            return Err(Error::new(&codes::LOCKED, "use the replication slot", format!("`{name}`"))
                .because(format!("{reader} reads from it"))
                .hint("Stop it, or wait until the server has noticed that it is gone"));
        }
        sleep(FREE_LOOK_EVERY).await;
    }
}

/// Makes a slot. The server waits for every transaction that is under way, in whatever database.
pub(super) async fn create(client: &Client, name: &str) -> Result<Lsn> {
    tracing::info!(slot = name, "the server waits for transactions that are under way");
    let sql = format!("SELECT lsn FROM pg_create_logical_replication_slot({}, '{PLUGIN}')", quote_text(name));
    let rows = client.texts_long(&sql, "make the replication slot", name).await?;
    place(rows, "make the replication slot", name)
}

/// Lets go of everything before now.
pub(super) async fn advance(client: &Client, name: &str, upto: Lsn) -> Result<Lsn> {
    let sql = format!("SELECT end_lsn FROM pg_replication_slot_advance({}, '{upto}')", quote_text(name));
    let rows = client.texts_long(&sql, "move on the replication slot", name).await?;
    place(rows, "move on the replication slot", name)
}

/// Drops a slot that is ours, if it is there.
///
/// # Errors
/// As [`Slot::check_kind`] when it is somebody else's, and [`wait_until_free`] when it is in use.
pub(super) async fn drop_slot(client: &Client, name: &str) -> Result<()> {
    if let Some(slot) = wait_until_free(client, name).await? {
        slot.check_kind(name)?;
        let sql = format!("SELECT pg_drop_replication_slot({})", quote_text(name));
        client.run(&sql, "drop the replication slot", name).await?;
    }
    Ok(())
}

/// Where the log ends, so that every transaction committed before lies before it. What is not yet on
/// the server's disk is sent to nobody, so it is brought there.
pub(super) async fn head(client: &Client) -> Result<Lsn> {
    let place_name = client.config.place();
    let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
                      CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END,
                      current_setting('wal_block_size')";
    let rows = client.texts(sql, "ask for the end of the log of", &place_name).await?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
    let mut next = || row.next().flatten();
    let (flushed, inserted) =
        (next().as_deref().and_then(Lsn::parse), next().as_deref().and_then(Lsn::parse));
    let block = next().and_then(|block| block.parse().ok());
    match (flushed, inserted, block) {
        (Some(flushed), None, _) => return Ok(flushed),
        (Some(flushed), Some(inserted), Some(block)) if before_header(inserted, block) <= flushed => {
            return Ok(flushed);
        }
        _ => {}
    }
    // A transaction of our own, which waits for the disk as its commit does.
    let sql = "SET synchronous_commit = on; SET default_transaction_read_only = off;
               SELECT pg_logical_emit_message(true, 'syncline', '')";
    let rows = client.texts(sql, "ask for the end of the log of", &place_name).await?;
    place(rows, "ask for the end of the log of", &place_name)
}

/// The next record begins behind its page's header, and the last one ends before it.
fn before_header(place: Lsn, block: u64) -> Lsn {
    const SHORT: u64 = 24;
    const LONG: u64 = 40;
    match place.0.checked_rem(block) {
        Some(into @ (SHORT | LONG)) => Lsn(place.0 - into),
        _ => place,
    }
}

fn place(rows: Vec<Vec<Option<String>>>, operation: &str, object: &str) -> Result<Lsn> {
    let text = rows.into_iter().flatten().next().flatten();
    text.as_deref().and_then(Lsn::parse).ok_or_else(|| {
        Error::new(&codes::BAD_BYTES, operation, object).because("the server's answer is no place in its log")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_log_is_before_the_header_of_the_page_that_comes() {
        assert_eq!(before_header(Lsn(0x200_0018), 8_192), Lsn(0x200_0000));
        assert_eq!(before_header(Lsn(0x200_0028), 8_192), Lsn(0x200_0000));
        assert_eq!(before_header(Lsn(0x200_0030), 8_192), Lsn(0x200_0030));
    }
}
