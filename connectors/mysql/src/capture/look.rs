//! One look at the changes: what was recorded and not told yet, and the rows that it is about as they are at
//! that moment, read in one snapshot.
//!
//! The snapshot is taken before the tables are held against new definitions: where one was altered in between
//! the servers say so, and the look begins again.

use std::{sync::Arc, time::Duration};

use syncline_connect::{Logged, LookedBatch, Origin, Read, SchemaChange};
use syncline_types::{Error, Result, StreamName, TableSchema, codes};
use tokio::time::Instant;

use super::{
    catalogue::{Standing, standing},
    followed, inspect,
    install::{self, LOCK_TIMEOUT, NOTE, Names, Note, ROWS_COUNTED_MAX, broken, is_whole},
    news::{News, Recorded},
    place::{Place, lost, mark_query, seen_mark},
    tell::{Out, Sql, Teller, Which, give},
    told::{StreamTold, Told},
};
use crate::{client::Client, dialect::qualified, schema::Table};

/// How often tables are looked at of which nothing is recorded.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For how long a look may fail because somebody else alters or locks a table.
const STUCK_MAX: Duration = Duration::from_secs(120);

/// For how long a look waits until enough of what was told is deleted, so that none of it is told again.
const DELETION_WAIT: Duration = Duration::from_secs(3);

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
const LOOK: &str = "look for changes of pipeline";

/// Looks again and again, from a place on.
pub(super) struct Look {
    client: Client,
    names: Names,
    pub(super) told: Arc<Told>,
    streams: Vec<Followed>,
    /// Changes that have come through these databases are passed over.
    not_from: Vec<String>,
    at: Place,
    /// The place of a row in the order of what this has told.
    sequence: u64,
    looked_at: Option<Instant>,
    stuck_since: Option<Instant>,
}

/// What is read, and from where on.
pub(super) struct Reading<'a> {
    pub(super) reads: &'a [Arc<Read>],
    pub(super) notes: Vec<Note>,
    pub(super) at: Place,
    pub(super) not_from: &'a [String],
}

/// A stream as it was when it was last looked at.
struct Followed {
    read: Arc<Read>,
    table: Table,
    /// What the catalogue said of its columns.
    columns: Vec<String>,
    note: Note,
}

/// How a look has ended.
enum Looked {
    /// This is to be given out last, once its transaction has ended.
    Told(Logged),
    Nothing,
    /// A table has just been altered: only a little later it shows whether that was all.
    TooSoon,
}

impl Look {
    pub(super) async fn new(mut client: Client, names: &Names, reading: Reading<'_>) -> Result<Self> {
        let Reading { reads, notes, at, not_from } = reading;
        client.run(LOCK_TIMEOUT, "set up a session on", &names.database).await?;
        let tables = followed(&mut client, names, reads).await?;
        let told = Arc::new(Told::new(notes.clone()));
        let streams = reads.iter().zip(tables).zip(notes).map(|((read, table), note)| Followed {
            read: Arc::clone(read),
            table,
            columns: vec![],
            note,
        });
        Ok(Look {
            client,
            names: names.clone(),
            told,
            streams: streams.collect(),
            not_from: not_from.to_vec(),
            at,
            sequence: 0,
            looked_at: None,
            stuck_since: None,
        })
    }

    /// The tables that are followed.
    pub(super) fn tables(&self) -> Vec<StreamName> {
        self.streams.iter().map(|stream| stream.read.stream.name.clone()).collect()
    }

    /// Gives out everything that has happened since the last look; false when that is nothing.
    pub(super) async fn look(&mut self, out: &Out) -> Result<bool> {
        if !self.is_due().await? {
            return Ok(false);
        }
        let untold: Vec<(String, bool)> = (0..self.streams.len()).map(|at| self.told.untold(at)).collect();
        if untold.iter().any(|(_, is_exact)| !is_exact)
            && self.looked_at.is_some_and(|at| at.elapsed() < DELETION_WAIT)
        {
            return Ok(false);
        }
        self.run(BEGIN).await?;
        let mut has_given = false;
        let looked = self.look_in_snapshot(&untold, out, &mut has_given).await;
        match looked {
            Ok(looked) => {
                self.run("COMMIT").await?;
                self.stuck_since = None;
                match looked {
                    Looked::Told(last) => {
                        give(out, last).await;
                        Ok(true)
                    }
                    Looked::Nothing => Ok(false),
                    Looked::TooSoon => {
                        self.looked_at = None;
                        Ok(false)
                    }
                }
            }
            Err(error) if !has_given && self.may_pass(&error) => {
                self.run("ROLLBACK").await?;
                self.looked_at = None;
                Ok(false)
            }
            Err(error) if error.code() == &codes::STREAM_MISSING => Err(lost(
                &self.names,
                format!("a table that it follows or writes to is gone: {}", error.reason()),
            )),
            Err(error) => Err(error),
        }
    }

    async fn run(&mut self, sql: &str) -> Result<()> {
        self.client.run(sql, LOOK, &self.names.quoted()).await.map(drop)
    }

    /// Whether somebody else is in the way of a look, who may be gone at the next.
    fn may_pass(&mut self, error: &Error) -> bool {
        let passes = [&codes::SNAPSHOT_LOST, &codes::LOCKED, &codes::SERVER_BUSY].contains(&error.code());
        let since = *self.stuck_since.get_or_insert_with(Instant::now);
        passes && self.client.is_usable() && since.elapsed() < STUCK_MAX
    }

    /// Whether there is anything to look at, as far as that can be told at once.
    async fn is_due(&mut self) -> Result<bool> {
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            return Ok(true);
        }
        let mut parts = vec![format!("({})", mark_query(&self.names))];
        for (at, stream) in self.streams.iter().enumerate() {
            let changes = self.names.changes(&stream.read.stream.name);
            parts.push(format!("EXISTS (SELECT 1 FROM {changes} WHERE {})", self.told.untold(at).0));
        }
        let sql = format!("SELECT {}", parts.join(", "));
        let rows = self.client.texts(&sql, LOOK, &self.names.quoted()).await;
        let rows = match rows {
            // A look says what is the matter.
            Err(error) if error.code() == &codes::STREAM_MISSING => return Ok(true),
            rows => rows?,
        };
        let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
        let mark = row.next().flatten();
        let is_moved = mark != Some(format!("{}/{}", self.at.life, self.at.mark));
        Ok(is_moved || row.any(|exists| exists.as_deref() == Some("1")))
    }

    async fn look_in_snapshot(
        &mut self,
        untold: &[(String, bool)],
        out: &Out,
        has_given: &mut bool,
    ) -> Result<Looked> {
        let (quoted, query) = (self.names.quoted(), mark_query(&self.names));
        let answer = self.client.text(&query, LOOK, &quoted).await?;
        let (life, mark) = seen_mark(&self.names, answer.as_deref())?;
        if life != self.at.life || mark < self.at.mark {
            return Err(lost(&self.names, "its changes were kept anew"));
        }
        self.hold().await?;
        let Some(altered) = self.check(out, has_given).await? else { return Ok(Looked::TooSoon) };
        self.looked_at = Some(Instant::now());
        let mut batch = LookedBatch::default();
        let mut told = vec![];
        for (at, altered) in altered.into_iter().enumerate() {
            told.push(self.tell(at, &untold[at], altered, (&mut batch, out, &mut *has_given)).await?);
        }
        let is_new = *has_given || !batch.changes.is_empty();
        let known = told.iter().zip(&self.streams);
        let is_known =
            known.into_iter().all(|(told, known)| told.ranges.is_empty() && told.note == known.note);
        if mark == self.at.mark && !is_new && is_known {
            return Ok(Looked::Nothing);
        }
        self.at = match mark > self.at.mark {
            true => Place { mark, look: 0, ..self.at.clone() },
            false => Place { look: self.at.look + 1, ..self.at.clone() },
        };
        for (stream, told) in self.streams.iter_mut().zip(&told) {
            stream.note = told.note.clone();
        }
        self.told.add(self.at.moment(), told);
        let position = self.at.position();
        Ok(Looked::Told(if is_new { batch.finish(Some(position)) } else { Logged::Idle(position) }))
    }

    /// Holds the tables as they are until the look is over.
    async fn hold(&mut self) -> Result<()> {
        let tables = self.streams.iter().flat_map(|stream| {
            let name = &stream.read.stream.name;
            [qualified(name, ""), self.names.changes(name)]
        });
        let parts: Vec<String> = tables.map(|table| format!("(SELECT 1 FROM {table} LIMIT 0)")).collect();
        let quoted = self.names.quoted();
        self.client.run(&parts.join(" UNION ALL "), LOOK, &quoted).await.map(drop)
    }

    /// Looks whether everything is as it was made. Of each stream, when it was altered if that was since the last
    /// look; `None` when that cannot be told yet.
    async fn check(&mut self, out: &Out, has_given: &mut bool) -> Result<Option<Vec<Option<String>>>> {
        let tables = self.tables();
        let standing = standing(&mut self.client, &self.names, &tables).await?;
        let mut altered = vec![];
        for (at, standing) in standing.iter().enumerate() {
            let time = standing.altered.clone().unwrap_or_default();
            let is_altered = time != self.streams[at].note.altered;
            if is_altered && !standing.is_settled {
                return Ok(None);
            }
            altered.push(is_altered.then_some(time));
        }
        for (at, standing) in standing.iter().enumerate() {
            let is_known = altered[at].is_none() && self.streams[at].columns == standing.columns;
            let change = if is_known { None } else { self.see(at, standing).await? };
            self.check_records(at, standing).await?;
            if let Some(change) = change {
                *has_given = true;
                give(out, Logged::Schema(change)).await;
            }
        }
        Ok(Some(altered))
    }

    /// Looks at a table that may be another one.
    async fn see(&mut self, at: usize, standing: &Standing) -> Result<Option<SchemaChange>> {
        let read = Arc::clone(&self.streams[at].read);
        let reads = [Arc::clone(&read)];
        let tables = followed(&mut self.client, &self.names, &reads).await?;
        let Some(table) = tables.into_iter().next() else { return Ok(None) };
        if let Some(error) = inspect::refusal(&mut self.client, &read, &table).await? {
            return Err(lost(&self.names, format!("`{}` was altered: {}", read.stream.name, error.reason())));
        }
        let schema = table.schema();
        let is_other = !fits(&read, &schema);
        let stream = &mut self.streams[at];
        (stream.table, stream.columns) = (table, standing.columns.clone());
        if !is_other {
            return Ok(None);
        }
        stream.read = Arc::new(read.altered(&schema, |_| true));
        let (position, at_place) = (self.at.position(), self.at.position());
        Ok(Some(SchemaChange { stream: at, schema, position, at: at_place, unread: false }))
    }

    async fn check_records(&mut self, at: usize, standing: &Standing) -> Result<()> {
        let Followed { read, table, note, .. } = &self.streams[at];
        let name = &read.stream.name;
        let there = format!("SELECT 1 FROM {} WHERE number = {NOTE}", self.names.changes(name));
        let there = self.client.text(&there, LOOK, &self.names.quoted()).await?;
        match there.is_some() && is_whole(&self.names, table, note, standing) {
            true => Ok(()),
            false => Err(broken(&self.names, name)),
        }
    }

    /// Tells what is new of a stream.
    async fn tell(
        &mut self,
        at: usize,
        (untold, is_exact): &(String, bool),
        altered: Option<String>,
        (batch, out, has_given): (&mut LookedBatch, &Out, &mut bool),
    ) -> Result<StreamTold> {
        let Look { client, names, streams, sequence, not_from, .. } = self;
        let Followed { read, table, note, .. } = &streams[at];
        let key = install::key(table);
        let recorded = Recorded { names, table, key: &key, untold };
        let news: News = recorded.news(client).await?;
        let before = note.rows.filter(|_| *is_exact);
        let (is_emptied, rows) = recorded.emptied(client, &news, before).await?;
        let origins = recorded.origins(client, &news).await?;
        batch.micros = batch.micros.max(news.micros);
        let family = client.server.family;
        let read_origin = |text: &String| Origin::read(text).unwrap_or_default();
        // Where it was not counted how many rows there were, records of deletions may be all that has emptied it.
        let emptied_by = match origins.as_slice() {
            _ if !is_emptied || before.is_some() => Origin::default(),
            [] => Origin::default(),
            [one] if !read_origin(one).is_from(not_from) => read_origin(one),
            _ => return Err(lost(names, unclear(&read.stream.name))),
        };
        let mut teller = Teller { client, read, stream: at, sequence, batch, out, has_given };
        if altered.is_some() || is_emptied {
            // An alteration may have changed any value, which is recorded by nobody; a row that has come from
            // whom it is told to is gone there with all others.
            teller.begin(emptied_by).await;
            let which = if altered.is_some() { Which::All } else { Which::Recorded };
            if is_emptied {
                teller.empty();
            }
            teller.tell(&Sql::new(&recorded, read, family, &which)).await?;
        } else if !news.ranges.is_empty() {
            let (passed, told): (Vec<String>, Vec<String>) =
                origins.into_iter().partition(|text| read_origin(text).is_from(not_from));
            for origin in &told {
                let which = match (told.as_slice(), passed.as_slice()) {
                    ([_], []) => Which::Recorded,
                    _ => Which::Of { origin, passed: &passed },
                };
                teller.begin(read_origin(origin)).await;
                teller.tell(&Sql::new(&recorded, read, family, &which)).await?;
            }
        }
        let altered = altered.unwrap_or_else(|| note.altered.clone());
        Ok(StreamTold { ranges: news.ranges, note: Note { altered, rows, ..note.clone() } })
    }
}

/// Were it told that the table was emptied, rows would go where these deletions have come from that have come to be
/// there since.
fn unclear(table: &StreamName) -> String {
    format!(
        "`{table}` had more than {ROWS_COUNTED_MAX} rows and has none of them now, and it does not show whether it was \
         truncated or deletions that have come from elsewhere have done it"
    )
}

/// Whether the columns that are read are those that were planned, and none has come.
fn fits(read: &Read, schema: &TableSchema) -> bool {
    let planned = &read.stream.schema;
    let same = |name: &String| {
        planned.column(name).zip(schema.column(name)).is_some_and(|(planned, here)| {
            planned.native == here.native
                && planned.logical == here.logical
                && planned.generated == here.generated
                && planned.collation == here.collation
        })
    };
    read.columns.iter().all(same) && schema.columns.iter().all(|column| same(&column.name))
}
