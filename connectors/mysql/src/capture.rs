//! Following by triggers, for servers whose log one may not read: they record the keys of rows that change,
//! in the writer's own transaction, and a reader tells those rows as they are at one moment.
//!
//! Records are numbered in the order in which they were written, which is not that of commits, so no number
//! can be a place. Each look has a snapshot of its own and tells of every record in it that was not told yet;
//! a record is deleted, by its number, once what was told of it is durable at the target. A place counts
//! looks, and asks for the end of the changes: see `place.rs`.

mod batch;
mod catalogue;
mod inspect;
mod install;
mod look;
mod news;
mod place;
mod reader;
mod tell;
mod told;

use std::{cmp::Ordering, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{Context, Delivery, Finding, Log, LogReader, Read};
use syncline_types::{Position, Result};

use self::{
    install::Names,
    look::{Look, Reading},
    place::{Place, lost},
    reader::CaptureReader,
};
use crate::{
    client::{Client, connect},
    config::MysqlConfig,
    origin,
    schema::{Table, describe, find},
    types::Meaning,
};

/// One pipeline's place in the changes that triggers record.
pub(crate) struct CaptureLog {
    config: Arc<MysqlConfig>,
    cx: Context,
    names: Names,
}

impl CaptureLog {
    pub(crate) fn new(config: &Arc<MysqlConfig>, cx: &Context, pipeline: &str) -> Result<Self> {
        let names = Names::of(config, pipeline)?;
        Ok(CaptureLog { config: Arc::clone(config), cx: cx.clone(), names })
    }

    async fn connect(&self) -> Result<Client> {
        connect(&self.config, &self.cx).await
    }
}

/// The tables that are followed, as they are now.
async fn followed(client: &mut Client, names: &Names, reads: &[Arc<Read>]) -> Result<Vec<Table>> {
    let meaning = Meaning::new(client.server.family, client.config());
    let mut listed = vec![];
    for read in reads {
        let name = &read.stream.name;
        let found = find(client, name).await?;
        listed.push(found.ok_or_else(|| lost(names, format!("table `{name}` is gone")))?);
    }
    describe(client, listed, meaning).await
}

#[async_trait]
impl Log for CaptureLog {
    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        inspect::inspect(&mut self.connect().await?, &self.names, reads).await
    }

    async fn keeps(&self, reads: &[Arc<Read>]) -> Result<Vec<bool>> {
        let mut client = self.connect().await?;
        let life = place::life(&mut client, &self.names).await?;
        let tables = followed(&mut client, &self.names, reads).await?;
        install::whole(&mut client, &self.names, life.as_deref(), &tables).await
    }

    async fn keep(&self, reads: &[Arc<Read>], known: Option<&Position>) -> Result<Position> {
        let mut client = self.connect().await?;
        let known = known.map(Place::of).transpose()?;
        if let Some(known) = &known {
            place::check(&mut client, &self.names, known).await?;
        }
        inspect::refuse(&mut client, &self.names, reads).await?;
        origin::identify(&mut client, reads.iter().map(|read| &read.stream.name)).await?;
        let tables = followed(&mut client, &self.names, reads).await?;
        let life = match &known {
            Some(known) => known.life.clone(),
            None => place::begin(&mut client, &self.names).await?,
        };
        let made = install::ensure(&mut client, &self.names, &life, &tables).await;
        if made.is_err() && known.is_none() {
            // So that it can be begun again once the reason is mended, which is what is told.
            install::drop_all(&mut client, &self.names).await?;
            place::give_up(&mut client, &self.names).await?;
        }
        made?;
        match known {
            // Making a trigger has waited for whoever was writing: what comes later is recorded.
            None => place::mark(&mut client, &self.names).await.map(|place| place.position()),
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
        let mut client = self.connect().await?;
        let at = Place::of(at)?;
        place::check(&mut client, &self.names, &at).await?;
        let tables = followed(&mut client, &self.names, reads).await?;
        let notes = install::notes(&mut client, &self.names, &at.life, &tables).await?;
        let look = Look::new(client, &self.names, Reading { reads, notes, at, not_from }).await?;
        let writer = self.connect().await?;
        Ok(Box::new(CaptureReader::start(look, writer, &self.names, &self.cx).await?))
    }

    async fn head(&self) -> Result<Position> {
        place::head(&mut self.connect().await?, &self.names).await.map(|place| place.position())
    }

    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering> {
        let (one, other) = (Place::of(one)?, Place::of(other)?);
        if one.life != other.life {
            return Err(lost(&self.names, "the changes were kept anew"));
        }
        Ok(one.moment().cmp(&other.moment()))
    }

    fn distance(&self, _: &Position, _: &Position) -> Option<u64> {
        // Looks are counted, and the bytes of what they tell are not.
        None
    }

    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
        Ok(reads.iter().map(|_| vec![]).collect())
    }

    /// What was told is deleted after it is durable at the target: a crash in between tells it again.
    fn delivery(&self) -> Delivery {
        Delivery::Idempotent
    }

    fn tells_every_change(&self) -> bool {
        false
    }

    async fn release(&self) -> Result<()> {
        let mut client = self.connect().await?;
        install::drop_all(&mut client, &self.names).await?;
        place::give_up(&mut client, &self.names).await
    }
}
