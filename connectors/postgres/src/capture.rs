//! Following by triggers, for servers whose log one may not read: they record the keys of rows that change,
//! in the writer's own transaction, and a reader tells those rows as they are at one moment.
//!
//! Transactions commit in another order than they write in, so no number of a record can be a place. A
//! place is a snapshot of the server: new is what it does not see and the present one does. The rows are read
//! in the same transaction as their records, so all of a look together is the database as it was then.

mod batch;
mod inspect;
mod install;
mod look;
mod place;
mod reader;
mod sql;

use std::{cmp::Ordering, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{Context, Finding, Log, LogReader, Read};
use syncline_types::{Error, Position, Result, codes};

use self::{
    install::Names,
    look::Look,
    place::{Place, lost},
    reader::CaptureReader,
};
use crate::{
    client::{Client, connect},
    config::PostgresConfig,
    log::followed,
};

/// One pipeline's place in the changes that triggers record.
pub(crate) struct CaptureLog {
    config: Arc<PostgresConfig>,
    cx: Context,
    names: Names,
}

impl CaptureLog {
    pub(crate) fn new(config: &Arc<PostgresConfig>, cx: &Context, pipeline: &str) -> Result<Self> {
        let of_the_log = [("slot", &config.slot), ("publication", &config.publication)];
        if let Some((option, _)) = of_the_log.iter().find(|(_, given)| given.is_some()) {
            return Err(Error::new(&codes::BAD_VALUE, "use option", format!("`{option}`"))
                .because("changes are recorded by triggers (capture=triggers), which need none")
                .hint("Leave it out, or leave capture= out to follow the server's log"));
        }
        let names = Names::of(config, pipeline);
        Ok(CaptureLog { config: Arc::clone(config), cx: cx.clone(), names })
    }

    async fn connect(&self) -> Result<Client> {
        connect(&self.config, &self.cx).await
    }
}

#[async_trait]
impl Log for CaptureLog {
    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        inspect::inspect(&self.connect().await?, &self.names, reads).await
    }

    async fn keeps(&self, reads: &[Arc<Read>]) -> Result<Vec<bool>> {
        let client = self.connect().await?;
        let tables = followed(&client, reads).await?;
        install::whole(&client, &self.names, &tables).await
    }

    async fn keep(&self, reads: &[Arc<Read>], known: Option<&Position>) -> Result<Position> {
        let client = self.connect().await?;
        let known = known.map(Place::of).transpose()?;
        if let Some(known) = &known {
            place::check(&client, &self.names, known).await?;
        }
        inspect::refuse(&client, &self.names, reads).await?;
        let tables = followed(&client, reads).await?;
        if known.is_none() {
            place::begin(&client, &self.names).await?;
        }
        let made = install::ensure(&client, &self.names, &tables).await;
        if made.is_err() && known.is_none() {
            // So that it can be begun again once the reason is mended, which is what is told.
            install::drop_all(&client, &self.names).await?;
            place::give_up(&client, &self.names).await?;
        }
        made?;
        match known {
            // Making a trigger has waited for whoever was writing: what comes later is recorded.
            None => place::head(&client, &self.names).await.map(|place| place.position()),
            Some(known) => Ok(known.position()),
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
        let at = Place::of(at)?;
        place::check(&client, &self.names, &at).await?;
        let tables = followed(&client, reads).await?;
        let oids = tables.iter().map(crate::log::Followed::oid).collect();
        let encoding =
            client.text("SHOW server_encoding", "read the encoding of", &self.config.place()).await?;
        let unencoded = encoding.as_deref() == Some("SQL_ASCII");
        if unencoded {
            client
                .run("SET client_encoding = 'SQL_ASCII'", "set up a session on", &self.config.place())
                .await?;
        }
        let look = Look::new(client, self.names.clone(), reads, oids, at, (unencoded, not_from));
        let writer = self.connect().await?;
        Ok(Box::new(CaptureReader::start(look, writer, &self.names, &self.cx)))
    }

    async fn head(&self) -> Result<Position> {
        place::head(&self.connect().await?, &self.names).await.map(|place| place.position())
    }

    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering> {
        let (one, other) = (Place::of(one)?, Place::of(other)?);
        if one.life != other.life {
            return Err(lost(&self.names, "the changes were kept anew"));
        }
        Ok(one.moment().cmp(&other.moment()))
    }

    fn distance(&self, _: &Position, _: &Position) -> Option<u64> {
        // Transactions are counted, and their bytes are not.
        None
    }

    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
        Ok(reads.iter().map(|_| vec![]).collect())
    }

    fn tells_every_change(&self) -> bool {
        false
    }

    async fn release(&self) -> Result<()> {
        let client = self.connect().await?;
        install::drop_all(&client, &self.names).await?;
        place::give_up(&client, &self.names).await
    }
}
