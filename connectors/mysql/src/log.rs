//! Following: a pipeline's place in the server's binary log, and what was changed since, as the rows in
//! it tell. Nothing is made at the server: it keeps its log for everybody, and for so long as it is told to.

mod ahead;
mod cells;
mod charset;
mod event;
mod fields;
mod fill;
mod gather;
mod gtid;
mod inspect;
mod intake;
mod json;
mod labels;
#[cfg(any(test, fuzzing))]
mod look;
mod moment;
mod names;
mod number;
mod place;
mod reader;
mod rows;
mod server;
mod session;
mod statement;
mod streams;
mod table_map;
mod unpack;
mod value;

#[cfg(any(test, fuzzing))]
pub(crate) use self::look::look_into;
pub(crate) use self::{
    place::Place,
    server::{head, of_snapshot},
};

use std::{
    cmp::Ordering,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use syncline_connect::{Context, Finding, Log, LogReader, Read, Session};
use syncline_types::{Position, Result};

use self::reader::{MysqlLogReader, Opening};
use crate::{
    client::{Client, Family, connect},
    config::MysqlConfig,
    origin, snapshot,
    types::Meaning,
};

/// One pipeline's place in the log.
pub(crate) struct MysqlLog {
    config: Arc<MysqlConfig>,
    cx: Context,
    family: Family,
    /// The files of the log with their lengths, as they were when its end was last asked for.
    files: Mutex<Vec<(String, u64)>>,
}

impl MysqlLog {
    pub(crate) fn new(config: &Arc<MysqlConfig>, cx: &Context, family: Family) -> Self {
        MysqlLog { config: Arc::clone(config), cx: cx.clone(), family, files: Mutex::default() }
    }

    async fn connect(&self) -> Result<Client> {
        connect(&self.config, &self.cx).await
    }

    fn place(&self, position: &Position) -> Result<Place> {
        Place::of(position, self.family)
    }
}

#[async_trait]
impl Log for MysqlLog {
    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        inspect::inspect(&mut self.connect().await?, reads).await
    }

    /// The log has the changes of all tables. Of one that was made anew it tells when that was.
    async fn keeps(&self, reads: &[Arc<Read>]) -> Result<Vec<bool>> {
        Ok(reads.iter().map(|_| true).collect())
    }

    async fn keep(&self, reads: &[Arc<Read>], known: Option<&Position>) -> Result<Position> {
        let mut client = self.connect().await?;
        let findings = inspect::inspect(&mut client, reads).await?;
        if let Some(error) = findings.into_iter().find_map(|finding| finding.error) {
            return Err(error);
        }
        origin::identify(&mut client, reads.iter().map(|read| &read.stream.name)).await?;
        match known {
            None => Ok(server::seen(&mut client).await?.to_position()),
            Some(known) => {
                session::check(&self.config, &self.cx, &self.place(known)?).await?;
                Ok(known.clone())
            }
        }
    }

    /// A condition of a read holds for a copy only: here a row that leaves it has to be told as well.
    async fn open(
        &self,
        reads: &[Arc<Read>],
        at: &Position,
        not_from: &[String],
    ) -> Result<Box<dyn LogReader>> {
        let opening = Opening { config: &self.config, cx: &self.cx, reads, at: self.place(at)?, not_from };
        Ok(Box::new(MysqlLogReader::open(opening).await?))
    }

    async fn head(&self) -> Result<Position> {
        let mut client = self.connect().await?;
        let head = server::head(&mut client).await?;
        let files = server::files(&mut client).await?;
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        Ok(head.to_position())
    }

    async fn snapshot(&self, reads: &[Arc<Read>], parallel: usize) -> Result<(Box<dyn Session>, Position)> {
        let meaning = Meaning::new(self.family, &self.config);
        let (session, place) =
            snapshot::begin_exactly(&self.config, &self.cx, meaning, reads, parallel).await?;
        Ok((session, place.to_position()))
    }

    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering> {
        self.place(one)?.compare(&self.place(other)?)
    }

    fn distance(&self, from: &Position, to: &Position) -> Option<u64> {
        let (from, to) = (self.place(from).ok()?, self.place(to).ok()?);
        if from.server != to.server {
            return None;
        }
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let before = |place: &Place| {
            let at = files.iter().position(|(file, _)| *file == place.file)?;
            Some(files[..at].iter().map(|(_, bytes)| bytes).sum::<u64>())
        };
        match from.file == to.file {
            true => Some(to.position.saturating_sub(from.position)),
            false => (before(&to)? + to.position).checked_sub(before(&from)? + from.position),
        }
    }

    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
        inspect::lacks(&mut self.connect().await?, reads).await
    }

    fn passes_over(&self) -> bool {
        true
    }

    async fn release(&self) -> Result<()> {
        Ok(())
    }
}
