//! What the server is asked of its log.

use std::collections::BTreeSet;

use syncline_types::{Error, Result, codes};

use super::{
    gtid::GtidSet,
    place::{Place, number},
};
use crate::{client::Client, dialect::text_constant, error::unreachable};

const ASK: &str = "ask for the log of";

/// Who the server is: its UUID (MySQL) or number (MariaDB).
pub(super) async fn identity(client: &mut Client) -> Result<String> {
    let place = client.config().place();
    let sql = if client.server.is_mariadb() { "SELECT @@server_id" } else { "SELECT @@server_uuid" };
    let told = client.text(sql, ASK, &place).await?;
    told.ok_or_else(|| unreachable("the server does not say who it is", ASK, &place))
}

/// Whether MySQL gives every transaction an id; MariaDB always does.
pub(super) async fn has_gtids(client: &mut Client) -> Result<bool> {
    if client.server.is_mariadb() {
        return Ok(true);
    }
    let place = client.config().place();
    Ok(client.text("SELECT @@GLOBAL.gtid_mode", ASK, &place).await?.as_deref() == Some("ON"))
}

/// Where the log ends now.
///
/// # Errors
/// [`codes::UNSUPPORTED`] when the server keeps none.
pub(crate) async fn head(client: &mut Client) -> Result<Place> {
    let server = identity(client).await?;
    let place = client.config().place();
    let newer = !client.server.is_mariadb() && client.server.version >= (8, 2, 0);
    let sql = if newer { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
    let row = client.texts(sql, ASK, &place).await?.into_iter().next().unwrap_or_default();
    let text = |at: usize| row.get(at).cloned().flatten();
    let (Some(file), Some(position)) = (text(0), text(1).and_then(|text| text.parse().ok())) else {
        return Err(is_off(&place));
    };
    let gtids = match has_gtids(client).await? {
        true if client.server.is_mariadb() => state_at(client, &file, position).await?,
        true => text(4).and_then(|set| GtidSet::parse(&set, client.server.family)),
        false => None,
    };
    Ok(Place { server, file, position, begun: None, prepared: BTreeSet::new(), gtids })
}

pub(super) fn is_off(place: &str) -> Error {
    Error::new(&codes::UNSUPPORTED, "follow the log of", place)
        .because("it keeps no binary log (log_bin is off)")
        .hint("Start the server with --log-bin --binlog-format=ROW and a server_id, or use sync: incremental")
}

/// The transactions before a place in MariaDB's log.
async fn state_at(client: &mut Client, file: &str, position: u64) -> Result<Option<GtidSet>> {
    let place = client.config().place();
    let sql = format!("SELECT BINLOG_GTID_POS({}, {position})", text_constant(file));
    let state = client.text(&sql, ASK, &place).await?;
    Ok(state.and_then(|state| GtidSet::parse(&state, client.server.family)))
}

/// The files of the log, with their lengths.
pub(super) async fn files(client: &mut Client) -> Result<Vec<(String, u64)>> {
    let place = client.config().place();
    let rows = client.texts("SHOW BINARY LOGS", ASK, &place).await?;
    let file = |row: Vec<Option<String>>| {
        let mut row = row.into_iter();
        Some((row.next()??, row.next()??.parse().ok()?))
    };
    Ok(rows.into_iter().filter_map(file).collect())
}

/// How long to wait until a transaction that is in the log is seen by others, where the server gives no
/// way to know.
const SEEN_AFTER_SECONDS: &str = "0.2";
/// How long a lock may take, which holds back others.
const LOCK_SECONDS: u32 = 3;

/// A place of which is known that everything before it is seen by whoever begins to read now. The log
/// has transactions a moment before they are seen.
pub(super) async fn seen(client: &mut Client) -> Result<Place> {
    if client.server.is_mariadb() {
        return seen_by_snapshot(client).await;
    }
    let place = client.config().place();
    let now = head(client).await?;
    if now.gtids.is_some() {
        // What is not yet seen is not among the executed, and stands in the last file, since no other
        // begins while something is on its way.
        let executed = client.text("SELECT @@GLOBAL.gtid_executed", ASK, &place).await?;
        let gtids = executed.and_then(|set| GtidSet::parse(&set, client.server.family));
        if gtids.is_some() {
            return Ok(Place { position: FIRST_POSITION, gtids, ..now });
        }
    }
    let lock = format!("SET SESSION lock_wait_timeout = {LOCK_SECONDS}");
    client.run(&lock, ASK, &place).await?;
    if client.run("FLUSH TABLES WITH READ LOCK", ASK, &place).await.is_ok() {
        let locked = head(client).await;
        client.run("UNLOCK TABLES", ASK, &place).await?;
        return locked;
    }
    client.run(&format!("DO SLEEP({SEEN_AFTER_SECONDS})"), ASK, &place).await?;
    Ok(now)
}

/// Where a log's events begin.
const FIRST_POSITION: u64 = 4;

/// MariaDB says of a snapshot where in the log it is.
async fn seen_by_snapshot(client: &mut Client) -> Result<Place> {
    let place = client.config().place();
    client.run("START TRANSACTION WITH CONSISTENT SNAPSHOT", ASK, &place).await?;
    let seen = of_snapshot(client).await?;
    client.run("COMMIT", ASK, &place).await?;
    Ok(seen)
}

/// Which place in MariaDB's log the snapshot is that a connection has.
pub(crate) async fn of_snapshot(client: &mut Client) -> Result<Place> {
    let place = client.config().place();
    let server = identity(client).await?;
    let rows = client.texts("SHOW SESSION STATUS LIKE 'binlog_snapshot_%'", ASK, &place).await?;
    let value = |name: &str| {
        rows.iter().find_map(|row| match row.as_slice() {
            [Some(told), value] if told.eq_ignore_ascii_case(name) => value.clone(),
            _ => None,
        })
    };
    let file = value("binlog_snapshot_file").filter(|file| number(file).is_some());
    let position = value("binlog_snapshot_position").and_then(|text| text.parse().ok());
    let (Some(file), Some(position)) = (file, position) else { return Err(is_off(&place)) };
    let gtids = state_at(client, &file, position).await?;
    Ok(Place { server, file, position, begun: None, prepared: BTreeSet::new(), gtids })
}

/// Whether the server still has what comes after a place.
///
/// # Errors
/// [`codes::LOG_LOST`] when not.
pub(super) async fn check(client: &mut Client, known: &Place) -> Result<()> {
    let object = client.config().place();
    let lost = |reason: &str| {
        Error::new(&codes::LOG_LOST, "go on with the log of", &object).because(reason).hint(
            "Copy the streams again with --restart, and let the server keep its log for longer \
             (binlog_expire_logs_seconds)",
        )
    };
    let same_server = identity(client).await? == known.server;
    let by_gtid = known.gtids.is_some() && has_gtids(client).await?;
    if !same_server && !by_gtid {
        return Err(lost(
            "another server answers now, and its transactions have no ids by which the place could be found",
        )
        .hint("Name the server that was followed, or copy the streams again with --restart"));
    }
    if same_server {
        let files = files(client).await?;
        let there = files.iter().find(|(file, _)| *file == known.file);
        let is_later = files.last().is_none_or(|(last, _)| number(last) < number(&known.file));
        match there {
            Some((_, length)) if *length < known.position => {
                return Err(lost("its log ends before the place: it was begun anew"));
            }
            None if is_later => return Err(lost("its log ends before the place: it was begun anew")),
            None if !by_gtid || client.server.is_mariadb() => {
                return Err(lost(&format!("the server has deleted what comes next (file `{}`)", known.file)));
            }
            _ => {}
        }
    }
    if let Some(GtidSet::Mysql(set)) = known.gtids.as_ref().filter(|_| by_gtid) {
        let set = text_constant(&set.to_string());
        let sql = format!(
            "SELECT GTID_SUBSET({set}, @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, {set})"
        );
        let rows = client.texts(&sql, ASK, &object).await?;
        match rows.first().map(Vec::as_slice) {
            Some([Some(executed), Some(purged)]) if executed == "1" && purged == "1" => {}
            Some([Some(executed), _]) if executed == "1" => {
                return Err(lost("the server has deleted what comes next (gtid_purged)"));
            }
            _ => {
                return Err(lost(
                    "it does not have all transactions that were followed already: it is another one, or was begun anew",
                ));
            }
        }
    }
    Ok(())
}
