//! Following: a pipeline's place in the server's log, kept by a replication slot, and what was changed
//! since, as the plugin `pgoutput` tells it for the tables of a publication.

mod export;
mod gather;
mod inspect;
mod intake;
mod login;
mod lsn;
mod message;
mod publication;
mod reader;
mod relation;
mod session;
mod slot;
mod value;
mod wire;

#[cfg(any(test, fuzzing))]
pub(crate) use self::intake::look_into;
pub(crate) use self::{
    gather::fits,
    relation::{Followed, followed},
};

use std::{cmp::Ordering, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{Context, Finding, Log, LogReader, Read, Session};
use syncline_types::{Error, Position, Result, codes, fingerprint::hash_text};

use self::{
    lsn::Lsn,
    reader::{Opening, PostgresLogReader},
};
use crate::{
    client::{Client, connect},
    config::PostgresConfig,
    snapshot,
};

/// The server's limit of a name.
const NAME_BYTES_MAX: usize = 63;

/// One pipeline's place in the log.
pub(crate) struct PostgresLog {
    config: Arc<PostgresConfig>,
    cx: Context,
    pipeline: String,
    names: Names,
}

/// What holds the place, and whether an administrator has made it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Names {
    slot: String,
    slot_given: bool,
    publication: String,
    publication_given: bool,
}

impl Names {
    fn of(config: &PostgresConfig, pipeline: &str) -> Self {
        let own = own_name(pipeline, config.database().or(config.user.as_deref()).unwrap_or_default());
        Names {
            slot: config.slot.clone().unwrap_or_else(|| own.clone()),
            slot_given: config.slot.is_some(),
            publication: config.publication.clone().unwrap_or(own),
            publication_given: config.publication.is_some(),
        }
    }
}

/// What Syncline's own slots and publications are called: letters, digits and `_`, as slots must be; the
/// hash keeps apart what looks the same then, and pipelines of one name in two databases of a server.
fn own_name(pipeline: &str, database: &str) -> String {
    let hash = hash_text(&format!("{pipeline}\n{database}")) & 0xFFFF_FFFF;
    let room = NAME_BYTES_MAX - "syncline__".len() - 8;
    let plain: String = pipeline
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .take(room)
        .collect();
    format!("syncline_{plain}_{hash:08x}")
}

impl PostgresLog {
    pub(crate) fn new(config: &Arc<PostgresConfig>, cx: &Context, pipeline: &str) -> Self {
        let names = Names::of(config, pipeline);
        PostgresLog { config: Arc::clone(config), cx: cx.clone(), pipeline: pipeline.to_owned(), names }
    }

    async fn connect(&self) -> Result<Client> {
        connect(&self.config, &self.cx).await
    }

    /// Takes a place, of which nothing is known yet.
    async fn begin(&self, client: &Client, reads: &[Arc<Read>]) -> Result<Lsn> {
        let Names { slot, slot_given, publication, publication_given } = &self.names;
        let there = slot::wait_until_free(client, slot).await?;
        if there.is_some() && !slot_given {
            return Err(Error::new(&codes::LOG_LOST, "begin to follow with pipeline", format!("`{}`", self.pipeline))
                .because(format!(
                    "its replication slot `{slot}` is there already, and nothing is known of how far it was followed"
                ))
                .hint("Use the --state it was followed with, or begin again with --restart"));
        }
        // First: what the server decodes must find the publication as it was then.
        if !publication_given {
            publication::ensure(client, publication, &followed(client, reads).await?).await?;
        }
        match there {
            None => slot::create(client, slot).await,
            // What it has kept was changed before the copy.
            Some(_) => slot::advance(client, slot, slot::head(client).await?).await,
        }
    }

    /// Goes on with a place.
    async fn go_on(&self, client: &Client, reads: &[Arc<Read>], known: Lsn) -> Result<()> {
        let Names { slot, publication, publication_given, .. } = &self.names;
        if !publication_given {
            if publication::look(client, publication).await?.is_none() {
                return Err(publication::gone(publication));
            }
            publication::ensure(client, publication, &followed(client, reads).await?).await?;
        }
        tracing::debug!(slot, %known, "the place in the log is kept");
        Ok(())
    }

    /// Whether the server has everything that comes after a place, and nobody else reads it.
    async fn check_place(&self, client: &Client, known: Lsn) -> Result<()> {
        let name = &self.names.slot;
        let Some(there) = slot::wait_until_free(client, name).await? else {
            return Err(slot::lost(name, "somebody has dropped it"));
        };
        there.check_kind(name)?;
        there.check_kept(name)?;
        there.check_known(name, known, slot::head(client).await?)
    }
}

#[async_trait]
impl Log for PostgresLog {
    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        let client = self.connect().await?;
        inspect::inspect(&client, &self.names, reads).await
    }

    async fn keeps(&self, reads: &[Arc<Read>]) -> Result<Vec<bool>> {
        let client = self.connect().await?;
        let tables = publication::tables(&client, &self.names.publication).await?;
        Ok(followed(&client, reads).await?.iter().map(|table| tables.contains(&table.oid())).collect())
    }

    async fn keep(&self, reads: &[Arc<Read>], known: Option<&Position>) -> Result<Position> {
        let client = self.connect().await?;
        let known = known.map(Lsn::of).transpose()?;
        if let Some(known) = known {
            // A slot that is gone is not to be told as one that could be made.
            self.check_place(&client, known).await?;
        }
        inspect::refuse(&client, &self.names, reads).await?;
        match known {
            None => self.begin(&client, reads).await.map(Lsn::position),
            Some(known) => self.go_on(&client, reads, known).await.map(|()| known.position()),
        }
    }

    /// A condition of a read holds for a copy only: here a row that leaves it has to be told as well.
    async fn open(
        &self,
        reads: &[Arc<Read>],
        at: &Position,
        not_from: &[String],
    ) -> Result<Box<dyn LogReader>> {
        let client = self.connect().await?;
        let at = Lsn::of(at)?;
        self.check_place(&client, at).await?;
        let followed = followed(&client, reads).await?;
        let encoding =
            client.text("SHOW server_encoding", "read the encoding of", &self.config.place()).await?;
        let reader = PostgresLogReader::open(Opening {
            config: &self.config,
            cx: &self.cx,
            slot: &self.names.slot,
            publication: &self.names.publication,
            reads,
            followed: &followed,
            at,
            not_from,
            unencoded: encoding.as_deref() == Some("SQL_ASCII"),
        });
        Ok(Box::new(reader.await?))
    }

    async fn head(&self) -> Result<Position> {
        let client = self.connect().await?;
        slot::head(&client).await.map(Lsn::position)
    }

    async fn snapshot(&self, reads: &[Arc<Read>], _: usize) -> Result<(Box<dyn Session>, Position)> {
        let client = self.connect().await?;
        let exported = export::export(&self.config, &self.cx, &client).await?;
        let session = snapshot::begin(&self.config, &self.cx, reads, Some(&exported.snapshot)).await?;
        Ok((session, exported.place.position()))
    }

    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering> {
        Ok(Lsn::of(one)?.cmp(&Lsn::of(other)?))
    }

    fn distance(&self, from: &Position, to: &Position) -> Option<u64> {
        let (from, to) = (Lsn::of(from).ok()?, Lsn::of(to).ok()?);
        Some(to.0.saturating_sub(from.0))
    }

    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
        inspect::lacks(&self.connect().await?, reads).await
    }

    fn passes_over(&self) -> bool {
        true
    }

    async fn release(&self) -> Result<()> {
        let client = self.connect().await?;
        let Names { slot, slot_given, publication, publication_given } = &self.names;
        if !slot_given {
            slot::drop_slot(&client, slot).await?;
        }
        if !publication_given {
            publication::drop_publication(&client, publication).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_slots_may_have() {
        let name = own_name("Shop orders/eu", "shop");
        assert!(name.starts_with("syncline_shop_orders_eu_"), "{name}");
        assert_eq!(name.len(), "syncline_shop_orders_eu_".len() + 8);
        assert_ne!(name, own_name("shop orders/eu", "shop"));
        assert_ne!(name, own_name("Shop orders/eu", "other"));
        let long = own_name(&"ä".repeat(100), "shop");
        assert_eq!(long.len(), NAME_BYTES_MAX);
        assert!(long.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
    }
}
