//! Following: triggers write which rows of a table have changed, in the writer's own transaction, and a
//! reader tells those rows as they are at one moment.
//!
//! Recorded is the key alone. What the row is now is read from the table in the same transaction as the
//! records, so everything up to the last of them, taken together, is the file as it was at that moment:
//! values are as exact as a copy's, and a column that is added, renamed or dropped concerns no trigger.
//! What a row was in between two looks is not told.
//!
//! Where there is no key whole rows are recorded, and what is told is what was recorded.

mod inspect;
mod look;
mod place;
mod reader;
mod rows;
mod stream;
mod trigger;
mod unique;

use std::{cmp::Ordering, sync::Arc};

use async_trait::async_trait;
use rusqlite::Connection;
use syncline_connect::{Context, Finding, Log, LogReader, Read, Session};
use syncline_types::{Error, Position, Result, codes};

use self::{
    place::{Names, Place},
    reader::SqliteLogReader,
    trigger::{Since, Whose},
};
use crate::{
    client::{Database, transact},
    origin,
    snapshot::begin_asking,
};

/// One pipeline's place in the changes of a file.
pub(crate) struct SqliteLog {
    database: Database,
    cx: Context,
    names: Names,
}

impl SqliteLog {
    pub(crate) fn new(database: &Database, cx: &Context, pipeline: &str) -> Self {
        SqliteLog { database: database.clone(), cx: cx.clone(), names: Names::of(pipeline) }
    }

    async fn with<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Database, &Names) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (database, names) = (self.database.clone(), self.names.clone());
        self.cx.blocking(name, move || work(&database, &names)).await
    }
}

/// Takes a place, of which nothing is known yet.
fn begin(database: &Database, names: &Names, reads: &[Arc<Read>]) -> Result<Place> {
    let connection = database.follow()?;
    transact(&connection, database, || {
        if place::life(&connection, names)?.is_some() || place::is_there(&connection, &names.changes)? {
            return Err(Error::new(&codes::LOG_LOST, "begin to follow with pipeline", names.quoted())
                .because(format!(
                    "its table `{}` is there already, and nothing is known of how far it was followed",
                    names.changes
                ))
                .hint("Use the --state it was followed with, or begin again with --restart"));
        }
        let place = place::create(&connection, names)?;
        trigger::cover(&connection, database, names, reads, Since::Never, Whose::All)?;
        Ok(place)
    })
}

/// Goes on with a place.
fn go_on(database: &Database, names: &Names, reads: &[Arc<Read>], known: &Place) -> Result<()> {
    let connection = database.follow()?;
    transact(&connection, database, || {
        place::check(&connection, names, known)?;
        origin::create(&connection)?;
        trigger::cover(&connection, database, names, reads, Since::Place(known.number), Whose::All)
    })
}

#[async_trait]
impl Log for SqliteLog {
    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        let reads = reads.to_vec();
        self.with("inspect tables", move |database, names| inspect::inspect(database, names, &reads)).await
    }

    async fn keeps(&self, reads: &[Arc<Read>]) -> Result<Vec<bool>> {
        let reads = reads.to_vec();
        let keeps = move |database: &Database, names: &Names| {
            let connection = database.look()?;
            reads.iter().map(|read| trigger::tell(&connection, database, names, read)).collect()
        };
        self.with("look at the triggers", keeps).await
    }

    async fn keep(&self, reads: &[Arc<Read>], known: Option<&Position>) -> Result<Position> {
        let known = known.map(Place::of).transpose()?;
        let reads = reads.to_vec();
        let keep = move |database: &Database, names: &Names| {
            inspect::refuse(database, names, &reads)?;
            match known {
                None => begin(database, names, &reads).map(|place| place.position()),
                Some(known) => go_on(database, names, &reads, &known).map(|()| known.position()),
            }
        };
        self.with("keep the place in the changes", keep).await
    }

    /// A condition of a read holds for a copy only: here a row that leaves it has to be told as well.
    async fn open(
        &self,
        reads: &[Arc<Read>],
        at: &Position,
        not_from: &[String],
    ) -> Result<Box<dyn LogReader>> {
        let at = Place::of(at)?;
        let (own, cx, not_from) = (reads.to_vec(), self.cx.clone(), not_from.to_vec());
        let open = move |database: &Database, names: &Names| {
            let look = look::Look::new(database, names, &own, at, not_from)?;
            Ok(SqliteLogReader::new(look, database, names, &cx))
        };
        self.with("begin to read the changes", open).await.map(|reader| Box::new(reader) as _)
    }

    async fn head(&self) -> Result<Position> {
        let head = |database: &Database, names: &Names| place::head(&database.look()?, names);
        self.with("find the last change", head).await.map(|place| place.position())
    }

    async fn snapshot(&self, _: &[Arc<Read>], parallel: usize) -> Result<(Box<dyn Session>, Position)> {
        let names = self.names.clone();
        let head = move |connection: &Connection| place::head(connection, &names);
        let (session, place) = begin_asking(&self.database, &self.cx, parallel, head).await?;
        Ok((Box::new(session), place.position()))
    }

    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering> {
        let (one, other) = (Place::of(one)?, Place::of(other)?);
        if one.life != other.life {
            return Err(place::lost(&self.names, "the changes were kept anew"));
        }
        Ok(one.number.cmp(&other.number))
    }

    fn distance(&self, _: &Position, _: &Position) -> Option<u64> {
        // Changes are counted, and their bytes are not.
        None
    }

    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
        Ok(reads.iter().map(|_| vec![]).collect())
    }

    fn passes_over(&self) -> bool {
        true
    }

    fn tells_every_change(&self) -> bool {
        false
    }

    async fn release(&self) -> Result<()> {
        let release = |database: &Database, names: &Names| {
            if !database.exists()? {
                return Ok(());
            }
            let connection = database.follow()?;
            transact(&connection, database, || {
                trigger::drop_all(&connection, names)?;
                place::drop_place(&connection, names)
            })
        };
        self.with("give up the place in the changes", release).await
    }
}
