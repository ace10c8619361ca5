//! A pipeline's place: a snapshot of the server, everything that it sees being told.

use std::cmp::Reverse;

use syncline_sql::{quote_double, quote_text};
use syncline_types::{Error, Position, Result, codes};

use super::install::Names;
use crate::client::Client;

/// Whose the tables of changes are: one row a pipeline.
const FOLLOW: &str = "_syncline_follow";

/// A place in a pipeline's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which changes it is a place in: those that were kept anew have another.
    pub(super) life: String,
    /// As the server writes it: `xmin:xmax:xip,...`.
    pub(super) snapshot: String,
    /// Every transaction before it had ended.
    pub(super) xmin: u64,
    /// No transaction from it on had begun.
    xmax: u64,
    /// How many in between were under way.
    running: usize,
}

impl Place {
    pub(super) fn of(position: &Position) -> Result<Self> {
        let parse = || {
            let (life, snapshot) = position.0.split_once('/')?;
            let mut parts = snapshot.split(':');
            let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let running = parts.next()?.split(',').filter(|xid| !xid.is_empty());
            let running = running.map(str::parse::<u64>).collect::<std::result::Result<Vec<_>, _>>().ok()?;
            (parts.next().is_none() && !life.is_empty()).then(|| Place {
                life: life.to_owned(),
                snapshot: snapshot.to_owned(),
                xmin,
                xmax,
                running: running.len(),
            })
        };
        parse().ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, "go on from", format!("`{}`", position.0))
                .because("it is no place in the changes that triggers have recorded")
        })
    }

    pub(super) fn position(&self) -> Position {
        Position(format!("{}/{}", self.life, self.snapshot))
    }

    /// Later snapshots of one server are greater: transactions begin, and those under way end.
    pub(super) fn moment(&self) -> (u64, u64, Reverse<usize>) {
        (self.xmax, self.xmin, Reverse(self.running))
    }

    /// True of the records that are not told by this place.
    pub(super) fn is_new(&self) -> String {
        format!(
            "(xid >= '{}'::xid8 AND NOT pg_visible_in_snapshot(xid, {}::pg_snapshot))",
            self.xmin,
            quote_text(&self.snapshot)
        )
    }
}

/// The error of a place behind which something may be missing.
pub(super) fn lost(names: &Names, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::LOG_LOST, "go on following with pipeline", names.quoted())
        .because(reason)
        .hint("Copy the streams again with --restart")
}

fn table(names: &Names) -> String {
    format!("{}.{FOLLOW}", quote_double(&names.schema))
}

/// Notes that the pipeline's changes are kept from now on.
pub(super) async fn begin(client: &Client, names: &Names) -> Result<()> {
    if kept(client, names).await?.is_some() {
        return Err(Error::new(&codes::LOG_LOST, "begin to follow with pipeline", names.quoted())
            .because("its changes are recorded already, and nothing is known of how far they were followed")
            .hint("Use the --state it was followed with, or begin again with --restart"));
    }
    let table = table(names);
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {table} (pipeline text PRIMARY KEY, hash text NOT NULL, life text NOT NULL, confirmed xid8 NOT NULL);
         INSERT INTO {table} VALUES ({}, {}, substr(gen_random_uuid()::text, 1, 8), '0')",
        quote_text(&names.pipeline),
        quote_text(&names.hash)
    );
    client.run(&sql, "keep the changes of pipeline", &names.quoted()).await
}

/// What is noted of a pipeline.
struct Kept {
    life: String,
    /// Records of transactions before it are deleted.
    confirmed: u64,
    now: String,
}

async fn kept(client: &Client, names: &Names) -> Result<Option<Kept>> {
    let quoted = names.quoted();
    let look = "look for the changes of pipeline";
    let there = format!("SELECT to_regclass({}) IS NOT NULL", quote_text(&table(names)));
    if client.text(&there, look, &quoted).await?.as_deref() != Some("t") {
        return Ok(None);
    }
    let sql = format!(
        "SELECT life, confirmed, pg_current_snapshot() FROM {} WHERE pipeline = {}",
        table(names),
        quote_text(&names.pipeline)
    );
    let rows = client.texts(&sql, look, &quoted).await?;
    match rows.into_iter().next().as_deref() {
        None => Ok(None),
        Some([Some(life), Some(confirmed), Some(now)]) => Ok(Some(Kept {
            life: life.clone(),
            confirmed: confirmed.parse().unwrap_or(u64::MAX),
            now: now.clone(),
        })),
        Some(_) => Err(lost(names, "what is noted of it was changed")),
    }
}

/// Where the changes end now.
pub(super) async fn head(client: &Client, names: &Names) -> Result<Place> {
    let kept = kept(client, names).await?.ok_or_else(|| gone(names))?;
    Place::of(&Position(format!("{}/{}", kept.life, kept.now)))
}

fn gone(names: &Names) -> Error {
    lost(names, format!("`{FOLLOW}` has no row for it any more"))
}

/// That everything is there that has come behind a place.
pub(super) async fn check(client: &Client, names: &Names, known: &Place) -> Result<()> {
    let kept = kept(client, names).await?.ok_or_else(|| gone(names))?;
    let now = Place::of(&Position(format!("{}/{}", kept.life, kept.now)))?;
    if known.life != kept.life {
        return Err(lost(names, "its changes were kept anew"));
    }
    if known.moment() > now.moment() {
        return Err(lost(
            names,
            "the server is not yet as far as that: it has gone back in time, or is another one",
        ));
    }
    if known.xmin < kept.confirmed {
        return Err(lost(
            names,
            "records behind that place are deleted, since another process has read them",
        ));
    }
    Ok(())
}

/// Notes that records before a place may be deleted, and deletes a part of them; how many that were.
pub(super) async fn forget(
    client: &Client,
    names: &Names,
    oids: &[u32],
    upto: &Place,
    at_once: u64,
) -> Result<u64> {
    let (quoted, xmin) = (names.quoted(), upto.xmin);
    let noted = format!(
        "UPDATE {} SET confirmed = '{xmin}' WHERE pipeline = {} AND life = {} AND confirmed < '{xmin}'::xid8",
        table(names),
        quote_text(&names.pipeline),
        quote_text(&upto.life)
    );
    client.run(&noted, "note how far is read of pipeline", &quoted).await?;
    let mut most = 0;
    for oid in oids {
        let changes = names.changes(*oid);
        let sql = format!(
            "WITH gone AS (DELETE FROM {changes} WHERE ctid = ANY (ARRAY(
               SELECT ctid FROM {changes} WHERE xid < '{xmin}'::xid8 LIMIT {at_once})) RETURNING 1)
             SELECT count(*) FROM gone"
        );
        let count = client.text(&sql, "delete changes that were read of pipeline", &quoted).await?;
        most = most.max(count.and_then(|count| count.parse().ok()).unwrap_or(0));
    }
    Ok(most)
}

/// Forgets the place, if there is one.
pub(super) async fn give_up(client: &Client, names: &Names) -> Result<()> {
    if kept(client, names).await?.is_none() {
        return Ok(());
    }
    let (table, quoted) = (table(names), names.quoted());
    let sql = format!("DELETE FROM {table} WHERE pipeline = {}", quote_text(&names.pipeline));
    client.run(&sql, "give up the changes of pipeline", &quoted).await?;
    let others = format!("SELECT count(*) FROM {table}");
    let others = client.text(&others, "look for the changes of other pipelines beside", &quoted).await?;
    match others.as_deref() {
        Some("0") => {
            client.run(&format!("DROP TABLE {table}"), "give up the changes of pipeline", &quoted).await
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place> {
        Place::of(&Position(text.into()))
    }

    #[test]
    fn later_snapshots_are_greater() {
        let order = ["a/5:5:", "a/5:9:5,7", "a/5:9:5", "a/6:9:6,7,8", "a/9:9:", "a/9:10:9"];
        let moments: Vec<_> = order.iter().map(|text| place(text).unwrap().moment()).collect();
        assert!(moments.is_sorted(), "{moments:?}");
        assert_eq!(place("a/5:9:5,7").unwrap().position().0, "a/5:9:5,7");
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in ["", "a/", "a/5", "a/5:6", "a/5:6:x", "/5:6:", "0/16B3748", "a/5:6:7:8"] {
            assert_eq!(place(text).unwrap_err().code(), &codes::BAD_BYTES, "{text}");
        }
    }
}
