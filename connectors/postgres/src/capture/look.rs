//! One look at the changes: what was recorded behind a place, and the rows that it is about as they are at
//! that moment, read in one transaction.
//!
//! The tables are locked against changes of their definition before the transaction has its snapshot: a
//! table that is rewritten later would look empty in it.

use std::{collections::BTreeSet, pin::pin, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use syncline_connect::{Logged, LookedBatch, Origin, Read, SchemaChange};
use syncline_sql::quote_text;
use syncline_types::{Result, TableSchema, codes};
use tokio::{sync::mpsc, time::Instant};

use super::{
    batch::Gathered,
    install::{self, Names},
    place::{Place, lost},
    sql::{SAID, Sql},
};
use crate::{
    client::Client,
    dialect::qualified,
    error::translate,
    log::{Followed, fits, followed},
};

/// How often a place is told at which nothing has changed.
const IDLE_EVERY: Duration = Duration::from_millis(200);

/// Where what was found goes to.
type Out = mpsc::Sender<Result<Logged>>;

/// Looks again and again, from a place on.
pub(super) struct Look {
    client: Client,
    names: Names,
    reads: Vec<Arc<Read>>,
    /// The tables when following began: one of the same name may be another later.
    pub(super) oids: Vec<u32>,
    at: Place,
    unencoded: bool,
    /// Changes that have come through one of these databases are passed over.
    not_from: Vec<String>,
    /// The place of a row in the order of what this has told.
    sequence: u64,
    told_at: Option<Instant>,
    /// Whether the place has moved since it was last told.
    is_untold: bool,
}

/// What there is to tell of a stream.
struct News {
    truncated: bool,
    rows: bool,
    micros: Option<i64>,
    /// What its records have come through, as they say it.
    origins: Vec<String>,
}

impl Look {
    pub(super) fn new(
        client: Client,
        names: Names,
        reads: &[Arc<Read>],
        oids: Vec<u32>,
        at: Place,
        (unencoded, not_from): (bool, &[String]),
    ) -> Self {
        let (reads, not_from) = (reads.to_vec(), not_from.to_vec());
        Look {
            client,
            names,
            reads,
            oids,
            at,
            unencoded,
            not_from,
            sequence: 0,
            told_at: None,
            is_untold: false,
        }
    }

    /// Gives out everything that has happened since the last look.
    pub(super) async fn look(&mut self, out: &Out) -> Result<()> {
        self.begin().await?;
        let looked = self.look_in_transaction(out).await;
        let ended = self.client.run("COMMIT", "end a look at", &self.client.config.place()).await;
        let last = looked?;
        ended?;
        match last {
            Some(last) => give(out, last).await,
            None => Ok(()),
        }
    }

    async fn begin(&self) -> Result<()> {
        let schema = &self.client.config.schema;
        let tables: Vec<String> =
            self.reads.iter().map(|read| qualified(&read.stream.name, schema)).collect();
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY {} IN ACCESS SHARE MODE",
            tables.join(", ONLY ")
        );
        let begun = self.client.run(&sql, "look for changes of pipeline", &self.names.quoted()).await;
        match begun {
            Err(error) if error.code() == &codes::STREAM_MISSING => {
                Err(lost(&self.names, "a table that it follows is gone"))
            }
            begun => begun,
        }
    }

    /// What is to be given out last, once the transaction has ended.
    async fn look_in_transaction(&mut self, out: &Out) -> Result<Option<Logged>> {
        let tables = followed(&self.client, &self.reads).await?;
        let now = self.check(&tables).await?;
        let mut changes = vec![];
        for (stream, (read, table)) in self.reads.iter_mut().zip(&tables).enumerate() {
            let schema = table.table.schema();
            if fits(read, &read.stream.schema, &schema.columns) && are_those(read, &schema) {
                continue;
            }
            *read = Arc::new(read.altered(&schema, |_| true));
            let (position, at) = (self.at.position(), self.at.position());
            changes.push(SchemaChange { stream, schema, position, at, unread: false });
        }
        for change in changes {
            give(out, Logged::Schema(change)).await?;
        }
        let news = self.news(&tables).await?;
        let micros = news.iter().filter_map(|news| news.micros).max();
        let mut batch = LookedBatch::default();
        batch.micros = micros;
        self.truncations(&news, &mut batch)?;
        let has_given = self.tell_all(&news, &tables, &mut batch, out).await?;
        let is_new = has_given || !batch.changes.is_empty();
        self.is_untold |= is_new || now.moment() != self.at.moment();
        if !self.is_untold {
            return Ok(None);
        }
        self.at = now;
        if is_new {
            (self.told_at, self.is_untold) = (Some(Instant::now()), false);
            return Ok(Some(batch.finish(Some(self.at.position()))));
        }
        if self.told_at.is_some_and(|at| at.elapsed() < IDLE_EVERY) {
            return Ok(None);
        }
        (self.told_at, self.is_untold) = (Some(Instant::now()), false);
        Ok(Some(Logged::Idle(self.at.position())))
    }

    /// Tells which tables were emptied, which is before everything else.
    fn truncations(&mut self, news: &[News], batch: &mut LookedBatch) -> Result<()> {
        for (stream, _) in news.iter().enumerate().filter(|(_, news)| news.truncated) {
            self.sequence += 1;
            let read = Arc::clone(&self.reads[stream]);
            batch.changes.push(Gathered::new(&read, self.unencoded).finish(stream, Some(self.sequence))?);
        }
        Ok(())
    }

    /// Tells all rows, those apart that have come through something else. Whether a part was given out.
    async fn tell_all(
        &mut self,
        news: &[News],
        tables: &[Followed],
        batch: &mut LookedBatch,
        out: &Out,
    ) -> Result<bool> {
        let origins: BTreeSet<&String> = news.iter().flat_map(|news| &news.origins).collect();
        let mut has_given = false;
        for said in &origins {
            let origin = Origin::read(said).unwrap_or_default();
            if batch.origin != origin && !batch.changes.is_empty() {
                give(out, batch.take_part()).await?;
                has_given = true;
            }
            batch.origin = origin;
            let only = (origins.len() > 1).then_some(said.as_str());
            for (stream, (news, table)) in news.iter().zip(tables).enumerate() {
                if (news.rows || news.truncated) && news.origins.contains(said) {
                    self.tell(stream, table, only, batch, out).await?;
                }
            }
        }
        Ok(has_given)
    }

    /// True of the records that are to be told.
    fn is_wanted(&self) -> String {
        let new = self.at.is_new();
        match self.not_from.as_slice() {
            [] => new,
            not_from => {
                let list: Vec<String> = not_from.iter().map(|one| quote_text(one)).collect();
                let through = format!("string_to_array({SAID}, ' ') && ARRAY[{}]", list.join(", "));
                format!("({new} AND NOT {through})")
            }
        }
    }

    /// The present place, everything that has come since the last one being recorded.
    async fn check(&self, tables: &[Followed]) -> Result<Place> {
        let another = tables.iter().zip(&self.oids).position(|(table, oid)| table.oid() != *oid);
        let whole = install::whole(&self.client, &self.names, tables).await?;
        let broken = another.or_else(|| whole.iter().position(|whole| !whole));
        if let Some(read) = broken.and_then(|stream| self.reads.get(stream)) {
            return Err(lost(
                &self.names,
                format!(
                    "the triggers of `{}` are gone or not as they were made, so its changes since are told by nothing",
                    read.stream.name
                ),
            ));
        }
        // Notices, too, that the pipeline was released meanwhile.
        let now = super::place::head(&self.client, &self.names).await?;
        match now.life == self.at.life {
            true => Ok(now),
            false => Err(lost(&self.names, "its changes were kept anew")),
        }
    }

    /// What is new of each stream.
    async fn news(&self, tables: &[Followed]) -> Result<Vec<News>> {
        let wanted = self.is_wanted();
        let parts = tables.iter().map(|table| {
            format!(
                "SELECT coalesce(bool_or(op = 't'), false), coalesce(bool_or(op <> 't'), false),
                        (extract(epoch FROM max(at)) * 1000000)::bigint,
                        string_agg(DISTINCT {SAID}, ',') FROM {} WHERE {wanted}",
                self.names.changes(table.oid())
            )
        });
        let sql = parts.collect::<Vec<_>>().join(" UNION ALL ");
        let rows = self.client.texts(&sql, "look for changes of pipeline", &self.names.quoted()).await?;
        let news = rows.into_iter().map(|row| {
            let is = |place: usize| row.get(place).and_then(Option::as_deref) == Some("t");
            let micros = row.get(2).cloned().flatten().and_then(|micros| micros.parse().ok());
            let origins = row.get(3).cloned().flatten();
            let origins = origins.iter().flat_map(|all| all.split(',')).map(str::to_owned).collect();
            News { truncated: is(0), rows: is(1), micros, origins }
        });
        Ok(news.collect())
    }

    /// Tells the rows of a stream: first those that are gone, then those that are there; where an origin is named,
    /// those of which the last record says it.
    async fn tell(
        &mut self,
        stream: usize,
        table: &Followed,
        only: Option<&str>,
        batch: &mut LookedBatch,
        out: &Out,
    ) -> Result<()> {
        let read = Arc::clone(&self.reads[stream]);
        let sql = Sql::new(&self.names, &self.client, &read, table, (&self.is_wanted(), only));
        for (what, gone) in [(&sql.gone, true), (&sql.there, false)] {
            let name = read.stream.name.to_string();
            let copying =
                self.client.answer("read changes of table", &name, self.client.inner.copy_out(what)).await?;
            let mut rows = pin!(copying);
            let mut gathered = Gathered::new(&read, self.unencoded);
            loop {
                let next = async {
                    rows.try_next().await.map_err(|error| translate(&error, "read changes of table", &name))
                };
                let Some(row) = self.client.cx.deadline("read changes of table", &name, next).await? else {
                    break;
                };
                let bytes = row.len() as u64;
                if !batch.has_room(bytes) {
                    let full = std::mem::replace(&mut gathered, Gathered::new(&read, self.unencoded));
                    gathered.go_on();
                    batch.changes.push(full.finish(stream, None)?);
                    give(out, batch.take_part()).await?;
                }
                batch.reserve(self.client.cx.memory(), bytes).await;
                self.sequence += 1;
                gathered.take(&row, gone, self.sequence)?;
                batch.add(bytes);
            }
            if !gathered.is_empty() {
                batch.changes.push(gathered.finish(stream, None)?);
            }
        }
        Ok(())
    }
}

async fn give(out: &Out, logged: Logged) -> Result<()> {
    // Whoever has gone wants nothing any more, and this task ends with them.
    let _ = out.send(Ok(logged)).await;
    Ok(())
}

/// Whether the columns are those that they were, and not others of their names.
fn are_those(read: &Read, schema: &TableSchema) -> bool {
    schema.columns.iter().all(|here| {
        let known = read.stream.schema.column(&here.name).and_then(|known| known.id);
        known.zip(here.id).is_none_or(|(known, here)| known == here)
    })
}
