//! Follows: reads the log, applies what it tells, and says how far that is, over and over.
//!
//! Order of every step: dead letters, then the target's commit with the mark in it, then our state,
//! then the source's confirmation. While one part is applied the next is gathered, so that parts
//! grow by themselves when the target is slow and are single transactions when it is not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use syncline_config::OnError;
use syncline_connect::{Applier, Log, LogReader, Logged, RunRef, SchemaChange, Sink};
use syncline_state::{LetterPlace, NewLetter, Store};
use syncline_types::{Column, Error, ErrorKind, Position, Result, SplitId, codes};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    gather::{Counted, Followed, Gather, OneNet},
    known_mark,
    mark::{FollowMark, LOG},
    story::Page,
    watch::Lag,
};
use crate::shell::Limits;

/// What is gathered is applied after so many bytes of the log at the latest.
const GATHER_BYTES: u64 = 8 << 20;
/// How often the reader is told to keep its connection alive while nothing is read.
const TICK: Duration = Duration::from_secs(5);
/// How often the mark is moved while there is nothing to apply.
const IDLE_EVERY: Duration = Duration::from_secs(2);
/// How long the target has for what it was given when it is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A pipeline that follows, its streams copied.
pub struct Live {
    /// The pipeline, under the epoch that was taken.
    pub run: RunRef,
    /// The source's log.
    pub log: Arc<dyn Log>,
    /// The target.
    pub sink: Arc<dyn Sink>,
    /// The state.
    pub store: Arc<dyn Store>,
    /// In the order in which the log is opened for them.
    pub streams: Vec<Followed>,
    /// What happens to rows that cannot go on.
    pub on_error: OnError,
    /// How fast changes may go on.
    pub limits: Limits,
    /// How far it is.
    pub mark: FollowMark,
}

/// Is told how it goes.
pub trait Observer: Send {
    /// Changes were applied and are durable at the target.
    fn applied(&mut self, counted: &Counted, position: &Position);
    /// Something failed and is tried again after a pause.
    fn waiting(&mut self, error: &Error, pause: Duration);
    /// It waits for the source now, or for the target.
    fn turned(&mut self, turn: Turn) {
        let _ = turn;
    }
    /// How far behind it is.
    fn lags(&mut self, lag: &Lag) {
        let _ = lag;
    }
    /// Something is worth a warning.
    fn warned(&mut self, what: &str) {
        let _ = what;
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// What the source tells.
    Reading,
    /// The target.
    Applying,
}

/// Why following has stopped without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to.
    Asked,
    /// It has come to the position that it was to go to.
    Reached,
    /// It is to be prepared again, since what it follows is not what it was.
    Again,
}

/// Why applying has ended without a failure.
#[derive(Debug)]
pub enum Halt {
    /// It was asked to.
    Asked,
    /// It has come to the position that it was to go to.
    Reached,
    /// Everything before it is applied that can be, and a stream has other columns behind it.
    Schema(Box<SchemaChange>),
    /// The place in the log is to be given up, for this reason.
    Release(Error),
}

/// How one reading of the log ended.
enum Ended {
    Halt(Halt),
    /// It is to be read again in other parts.
    Cut,
    /// It is to be read again, and applied change by change.
    Carefully,
}

/// What is known while the log is read.
#[derive(Default)]
struct Reading {
    /// Where a batch is to end, so that everything before it can be committed.
    cut: Option<Position>,
    /// Streams that the log still tells of as they were before they were copied.
    foreign: Vec<bool>,
    /// A stream's columns are others behind everything gathered.
    schema: Option<Box<SchemaChange>>,
    /// How many changes there were before those that are read now.
    base: u64,
    /// Changes are applied one by one up to the next commit, but for those that the target has refused, which are
    /// known by their place in the order of the log behind the last commit.
    careful: Option<BTreeMap<u64, Error>>,
}

/// What becomes of a part that was applied.
enum Part {
    /// It ends with a whole transaction, and is committed.
    Committed,
    /// More of its transaction follows.
    Open,
    /// The target does not take it: perhaps this single change.
    Refused(Error, Option<u64>),
}

impl Live {
    /// Follows until `stop`, or until everything before `upto` is applied. What was applied stays so;
    /// what was not is read again by the next call.
    ///
    /// # Errors
    /// Whatever the source, a step, the target or the state fails with.
    pub async fn go_on(
        &mut self,
        upto: Option<&Position>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Halt> {
        let (mut cut, mut careful) = (None, None);
        loop {
            let foreign = vec![false; self.streams.len()];
            let (cut_now, careful_now) = (cut.take(), careful.take());
            let mut reading = Reading { cut: cut_now, foreign, careful: careful_now, ..Reading::default() };
            match self.read_on(&mut reading, upto, stop, observer).await? {
                Ended::Halt(halt) => return Ok(halt),
                Ended::Cut => cut = reading.schema.map(|change| change.position),
                Ended::Carefully => careful = reading.careful,
            }
        }
    }

    async fn read_on(
        &mut self,
        reading: &mut Reading,
        upto: Option<&Position>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Ended> {
        // Whether the last commit came to its end may not be known here, and is known there.
        if let Some(mark) =
            known_mark(Some(self.mark.clone()), self.sink.as_ref(), &self.run.pipeline).await?
        {
            self.mark = mark;
        }
        // Letters of an attempt that did not commit come again, perhaps gathered otherwise.
        for number in 0..self.streams.len() {
            self.store.forget_letters(&self.place(number)).await?;
        }
        let reads: Vec<_> = self.streams.iter().map(|stream| Arc::clone(&stream.read)).collect();
        let mut reader = self.log.open(&reads, &self.mark.position).await?;
        if let Some(cut) = &reading.cut {
            reader.cut_at(cut);
        }
        reading.base = self.mark.changes;
        let mut applier = self.sink.applier(&self.run).await?;
        let mut gather = Gather::default();
        // Letters of a part whose transaction is not yet at its end are saved with it.
        let mut open = Open::default();
        let mut idle_at = Instant::now();
        // Said while a part was being applied.
        let mut idle = None;
        loop {
            if self.reached(upto)? {
                return Ok(Ended::Halt(Halt::Reached));
            }
            // What is gathered, or open at the target, is read again by the next one.
            if stop.is_cancelled() {
                return Ok(Ended::Halt(Halt::Asked));
            }
            while gather.is_empty() {
                if let Some(change) = &reading.schema {
                    // As near to it as can be: what is read on from there by the new columns has them.
                    if !open.is_open && self.moves(&change.position)? {
                        open.whole = Some(change.position.clone());
                    }
                    // The target is shown so even if the copy is of a later time: nothing can be written
                    // behind this place before its columns have changed.
                    if let Some(position) = open.whole.take() {
                        self.commit(applier.as_mut(), &position, &open, reading.base).await?;
                        let changes = open.changes(reading.base, self.mark.changes);
                        self.committed(reading, reader.as_mut(), position, changes).await?;
                        observer.applied(&std::mem::take(&mut open).counted, &self.mark.position);
                    }
                    return self.barrier(reading, open.is_open);
                }
                let logged = match idle.take() {
                    Some(position) => Logged::Idle(position),
                    None => tokio::select! {
                        logged = reader.next() => logged?,
                        () = stop.cancelled() => return Ok(Ended::Halt(Halt::Asked)),
                    },
                };
                if let Logged::Idle(position) = &logged {
                    let due = upto.is_some() || open.is_open || idle_at.elapsed() >= IDLE_EVERY;
                    let wanted = upto.is_some() || applier.wants_commit();
                    if due && wanted && self.moves(position)? && self.is_steady(position)? {
                        idle_at = Instant::now();
                        self.commit(applier.as_mut(), position, &open, reading.base).await?;
                        let changes = open.changes(reading.base, self.mark.changes);
                        self.committed(reading, reader.as_mut(), position.clone(), changes).await?;
                        observer.applied(&std::mem::take(&mut open).counted, position);
                        if self.reached(upto)? {
                            return Ok(Ended::Halt(Halt::Reached));
                        }
                    }
                    continue;
                }
                self.take(reading, &mut gather, logged)?;
            }
            let part = std::mem::take(&mut gather);
            open.add(&part);
            let position = part.position.clone();
            observer.turned(Turn::Applying);
            let (done, more) = {
                let apply = self.apply(applier.as_mut(), part, upto, &open, reading.base);
                tokio::pin!(apply);
                let mut more = Gather::default();
                let mut tick = tokio::time::interval_at(Instant::now() + TICK, TICK);
                let patience = patience(stop);
                tokio::pin!(patience);
                let done = loop {
                    tokio::select! {
                        done = &mut apply => break done,
                        logged = reader.next(), if reading.schema.is_none() && more.bytes() < GATHER_BYTES => match logged? {
                            Logged::Idle(position) => idle = Some(position).filter(|_| more.is_empty()),
                            logged => {
                                idle = None;
                                self.take(reading, &mut more, logged)?;
                            }
                        },
                        _ = tick.tick() => reader.tick().await?,
                        // What the target has not taken by then is read again by the next one.
                        () = &mut patience => return Ok(Ended::Halt(Halt::Asked)),
                    }
                };
                (done, more)
            };
            gather = more;
            observer.turned(Turn::Reading);
            match (done?, position) {
                (Part::Refused(error, alone), _) => return self.refused(reading, error, alone),
                (Part::Committed, Some(position)) => {
                    reading.careful = None;
                    let counted = open.counted;
                    let changes = open.changes(reading.base, self.mark.changes);
                    open = Open::default();
                    self.committed(reading, reader.as_mut(), position, changes).await?;
                    observer.applied(&counted, &self.mark.position);
                    idle_at = Instant::now();
                }
                (_, position) => (open.is_open, open.whole) = (true, position),
            }
        }
    }

    /// The target does not take what it was given. Together they may be what it does not take, so they are
    /// given to it one by one; then it is clear which one it refuses.
    fn refused(&self, reading: &mut Reading, error: Error, alone: Option<u64>) -> Result<Ended> {
        match (&mut reading.careful, alone) {
            (None, _) => reading.careful = Some(BTreeMap::new()),
            (Some(refused), Some(sequence)) if self.on_error == OnError::DeadLetter => {
                refused.insert(sequence, error);
            }
            (Some(_), _) => return Err(error),
        }
        Ok(Ended::Carefully)
    }

    fn reached(&self, upto: Option<&Position>) -> Result<bool> {
        match upto {
            Some(upto) => Ok(self.log.compare(&self.mark.position, upto)?.is_ge()),
            None => Ok(false),
        }
    }

    fn take(&self, reading: &mut Reading, gather: &mut Gather, logged: Logged) -> Result<()> {
        match logged {
            Logged::Changes(batch) => {
                let (position, base) = (self.mark.position.0.as_str(), reading.base);
                let page = Page { position, base, committed_micros: None };
                gather.add(
                    &self.streams,
                    batch,
                    self.on_error,
                    &reading.foreign,
                    page,
                    reading.careful.as_ref(),
                )
            }
            Logged::Idle(_) => Ok(()),
            Logged::Schema(change) => {
                let Some(stream) = self.streams.get(change.stream) else { return Ok(()) };
                let since = self.mark.since.get(&stream.target.source.to_string());
                if let Some(since) = since
                    && self.log.compare(&change.at, since)?.is_lt()
                {
                    // The copy is of a later time, and has what the log tells up to there.
                    reading.foreign[change.stream] = !is_as_copied(stream, &change);
                    return Ok(());
                }
                reading.schema = Some(Box::new(change));
                Ok(())
            }
        }
    }

    /// Everything gathered is applied, and behind it a stream has other columns.
    fn barrier(&self, reading: &mut Reading, is_open: bool) -> Result<Ended> {
        let Some(change) = reading.schema.take() else { return Ok(Ended::Cut) };
        if is_open && self.log.compare(&self.mark.position, &change.position)?.is_lt() {
            // Whole transactions wait at the target together with a part of the one that has changed them.
            reading.schema = Some(change);
            return Ok(Ended::Cut);
        }
        let stream = self.streams.get(change.stream).map(|stream| stream.target.source.to_string());
        let stream = stream.unwrap_or_default();
        if self.mark.evolved.get(&stream) == Some(&self.mark.position) {
            return Err(Error::new(&codes::SCHEMA_CHANGED, "follow stream", format!("`{stream}`"))
                .because("one transaction has changed its rows, then its columns, and then rows again")
                .hint("Copy it again: --restart"));
        }
        Ok(Ended::Halt(Halt::Schema(change)))
    }

    /// Applies a part; commits where it ends with a whole transaction, and the target may be shown so.
    async fn apply(
        &self,
        applier: &mut dyn Applier,
        part: Gather,
        upto: Option<&Position>,
        open: &Open,
        base: u64,
    ) -> Result<Part> {
        let position = part.position.clone();
        let position = match position {
            Some(position) if self.is_steady(&position)? => Some(position),
            _ => None,
        };
        self.limits.pass(part.counted.changes, part.counted.bytes).await;
        let together = part.finish(&self.streams)?;
        for OneNet { number, net, lenient, alone } in &together.nets {
            let Some(stream) = self.streams.get(*number) else { continue };
            let missed = match applier.apply(&stream.target, net).await {
                Err(error) if error.kind() == ErrorKind::Value => return Ok(Part::Refused(error, *alone)),
                missed => missed?,
            };
            // A copy may be of a later moment, at which such a row was gone again.
            if missed > 0 && !lenient && self.mark.steady_from.is_none() {
                let name = stream.target.name.to_string();
                let error = Error::new(&codes::LOG_INCOMPLETE, "update rows of", format!("`{name}`"))
                    .because(format!(
                        "{missed} of them are not there, and the log does not repeat the values that were left alone"
                    ))
                    .hint("Look at who deletes rows from it; `syncline verify --repair` puts them back");
                return Ok(Part::Refused(error, *alone));
            }
        }
        drop(together);
        let Some(position) = position else { return Ok(Part::Open) };
        let is_last = match upto {
            Some(upto) => self.log.compare(&position, upto)?.is_ge(),
            None => false,
        };
        if !is_last && !applier.wants_commit() {
            return Ok(Part::Open);
        }
        match self.commit(applier, &position, open, base).await {
            Err(error) if error.kind() == ErrorKind::Value => Ok(Part::Refused(error, None)),
            committed => committed.map(|()| Part::Committed),
        }
    }

    async fn commit(
        &self,
        applier: &mut dyn Applier,
        position: &Position,
        open: &Open,
        base: u64,
    ) -> Result<()> {
        self.save_letters(&open.letters).await?;
        let changes = open.changes(base, self.mark.changes);
        let mark = FollowMark { position: position.clone(), changes, ..self.mark.clone() };
        applier.commit(&mark.for_target()).await
    }

    /// Where the letters of a stream come from that are saved with the next commit.
    fn place(&self, number: usize) -> LetterPlace {
        LetterPlace {
            pipeline: self.run.pipeline.clone(),
            run: LOG.to_owned(),
            stream: u32::try_from(number).unwrap_or(u32::MAX),
            split: SplitId(0),
            at: Some(self.mark.position.clone()),
        }
    }

    /// Letters come before the commit.
    async fn save_letters(&self, letters: &[(usize, NewLetter)]) -> Result<()> {
        for number in 0..self.streams.len() {
            let own: Vec<NewLetter> =
                letters.iter().filter(|(of, _)| *of == number).map(|(_, letter)| letter.clone()).collect();
            if own.is_empty() {
                continue;
            }
            self.store.save_letters(&self.place(number), &own).await?;
        }
        Ok(())
    }

    async fn committed(
        &mut self,
        reading: &Reading,
        reader: &mut dyn LogReader,
        position: Position,
        changes: u64,
    ) -> Result<()> {
        if self.is_steady(&position)? {
            self.mark.steady_from = None;
        }
        self.passed(reading, &position)?;
        (self.mark.position, self.mark.changes) = (position, changes);
        self.mark.evolved.clear();
        self.store.save_mark(&self.run.pipeline, LOG, Some(&self.mark.write())).await?;
        reader.confirm(&self.mark.position).await
    }

    /// Streams whose copy is of a time before this position are as the log tells of them.
    fn passed(&mut self, reading: &Reading, position: &Position) -> Result<()> {
        if self.mark.since.is_empty() {
            return Ok(());
        }
        for (stream, foreign) in self.streams.iter().zip(&reading.foreign) {
            let name = stream.target.source.to_string();
            let Some(since) = self.mark.since.get(&name) else { continue };
            if self.log.compare(position, since)?.is_lt() {
                continue;
            }
            if *foreign {
                return Err(Error::new(&codes::SCHEMA_CHANGED, "follow stream", format!("`{name}`"))
                    .because("its columns have changed at the source just before it was copied again")
                    .hint("Copy it once more: syncline recopy, or --restart"));
            }
            self.mark.since.remove(&name);
        }
        Ok(())
    }

    /// Whether the mark goes forward by it.
    fn moves(&self, position: &Position) -> Result<bool> {
        Ok(self.log.compare(position, &self.mark.position)?.is_gt())
    }

    /// Whether the target may be shown as the source was at this position.
    fn is_steady(&self, position: &Position) -> Result<bool> {
        match &self.mark.steady_from {
            Some(steady) => Ok(self.log.compare(position, steady)?.is_ge()),
            None => Ok(true),
        }
    }
}

/// Comes back when it was asked to stop, and what is under way has had time to come to its end.
async fn patience(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_PATIENCE).await;
}

/// Whether a stream is as it was when it was copied.
fn is_as_copied(stream: &Followed, change: &SchemaChange) -> bool {
    let (one, other) = (&stream.read.stream.schema.columns, &change.schema.columns);
    let same = |(one, other): (&Column, &Column)| {
        one.name == other.name && one.logical == other.logical && one.native == other.native
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// What was applied of a transaction that is not committed.
#[derive(Default)]
struct Open {
    is_open: bool,
    /// Behind it, where it is whole and waits only until the target may be shown so.
    whole: Option<Position>,
    letters: Vec<(usize, NewLetter)>,
    counted: Counted,
    /// The highest place in the order of the log.
    last: Option<u64>,
}

impl Open {
    /// How many changes there are with it, of a reader before which there were `base`.
    fn changes(&self, base: u64, before: u64) -> u64 {
        self.last.map_or(before, |last| base + last + 1)
    }

    fn add(&mut self, part: &Gather) {
        self.last = self.last.max(part.last);
        self.letters.extend(part.letters.iter().cloned());
        self.counted.add(part.counted);
    }
}
