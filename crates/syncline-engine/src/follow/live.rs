//! Follows: reads the log, applies what it tells, and says how far that is, over and over.
//!
//! Order of every step: dead letters, then the target's commit with the mark in it, then our state,
//! then the source's confirmation. While one part is applied the next is gathered, so that parts
//! grow by themselves when the target is slow and are single transactions when it is not.

mod places;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use syncline_config::{Echoes, OnError};
use syncline_connect::{Applier, Changes, Log, LogBatch, LogReader, Logged, RunRef, SchemaChange, Sink};
use syncline_state::{LetterPlace, NewLetter, Store};
use syncline_types::{Column, Error, ErrorKind, Position, Result, SplitId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    gather::{Counted, Followed, Gather, OneNet},
    known_mark,
    mark::{FollowMark, LOG},
    recent::Recent,
    story::Page,
    values,
    watch::Lag,
    whole::{self, Rows},
};
use crate::{
    between::Between,
    shell::{Limits, work::broken},
};

/// For so long more of a transaction is waited for. What is gathered may hold the memory that it needs.
const PART_PATIENCE: Duration = Duration::from_millis(20);
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
    /// The source's rows.
    pub rows: Arc<dyn Rows>,
    /// Where it is noted which changes were read.
    pub recent: Option<Arc<Recent>>,
    /// The databases at both ends.
    pub between: Between,
    /// What happens to changes that have come through the target's.
    pub echoes: Echoes,
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
    /// Streams that were copied beside the others are as far as these from here on.
    fn joined(&mut self, streams: &[String]) {
        let _ = streams;
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
    /// A stream is to be copied again, since what has become of its rows cannot be taken from the log: a
    /// transaction has changed rows, then columns, and then rows again, or nobody knows what its columns were.
    CopyAgain(usize),
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
    /// Changes of another origin than those that are gathered, which are applied before, or with rows that are to
    /// be read from the source, while nobody else needs the memory for it.
    held: Option<LogBatch>,
    /// How many changes there were before those that are read now.
    base: u64,
    /// Changes are applied one by one up to the next commit, but for those that the target has refused, which are
    /// known by their place in the order of the log behind the last commit.
    careful: Option<BTreeMap<u64, Error>>,
}

impl Reading {
    /// Whether what comes next can be gathered with what is.
    fn takes_more(&self) -> bool {
        self.schema.is_none() && self.held.is_none()
    }
}

/// What becomes of a part that was applied.
enum Part {
    /// It ends with a whole transaction, and is committed.
    Committed,
    /// More of its transaction follows.
    Open,
    /// The target does not take it: perhaps this single change.
    Refused(Error, Option<u64>),
    /// It can only be applied change by change.
    Mixed,
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
                // The one may have to be done for the sake of the other, and neither is to undo the other.
                Ended::Cut => {
                    (cut, careful) = (reading.schema.map(|change| change.position), reading.careful);
                }
                Ended::Carefully => (cut, careful) = (reading.cut, reading.careful),
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
        let from = self.reached_by_all()?;
        for number in 0..self.streams.len() {
            self.store.forget_letters(&self.place(number, &from)).await?;
        }
        let reads: Vec<_> = self.streams.iter().map(|stream| Arc::clone(&stream.read)).collect();
        let not_from = match self.echoes {
            Echoes::Skip => self.between.passed_over(),
            Echoes::Apply => &[],
        };
        let mut reader = self.log.open(&reads, &from, not_from).await?;
        for (number, stream) in self.streams.iter().enumerate() {
            let place = values::place_in(self.log.as_ref(), stream, &self.mark)?;
            if *place != from {
                reader.pass_over(number, place)?;
            }
            if let Some(since) = self.mark.since.get(&stream.target.source.to_string())
                && self.log.compare(&from, since)?.is_lt()
            {
                reader.doubt(number, since)?;
            }
        }
        if let Some(cut) = &reading.cut {
            reader.cut_at(cut);
        }
        reading.base = self.mark.changes;
        let mut applier = self.sink.applier(&self.run).await?;
        if from == self.mark.position && self.catching_up().next().is_some() && self.is_steady(&from)? {
            // Nothing has happened meanwhile, and perhaps nothing will for long.
            self.commit(applier.as_mut(), &from, &Open::default(), reading.base).await?;
            self.committed(reader.as_mut(), from, self.mark.changes, observer).await?;
        }
        let mut gather = Gather::default();
        // Letters of a part whose transaction is not yet at its end are saved with it.
        let mut open = Open::default();
        let mut idle_at = Instant::now();
        // Said while a part was being applied.
        let mut idle = None;
        // Said too soon after the last time that the mark was moved.
        let mut later = None;
        loop {
            if self.reached(upto)? {
                return Ok(Ended::Halt(Halt::Reached));
            }
            // What is gathered, or open at the target, is read again by the next one.
            if stop.is_cancelled() {
                return Ok(Ended::Halt(Halt::Asked));
            }
            while gather.is_empty() {
                if let Some(mut batch) = reading.held.take() {
                    self.complete(reading, &mut batch).await?;
                    self.take(reading, &mut gather, Logged::Changes(batch))?;
                    continue;
                }
                if let Some(change) = &reading.schema {
                    // The target is shown so even if the copy is of a later time: nothing can be written
                    // behind this place before its columns have changed.
                    // As near to it as can be: what is read on from there by the new columns has them.
                    let is_whole = open.whole.take().is_some() || !open.is_open;
                    if is_whole && self.moves(&change.position)? {
                        let position = change.position.clone();
                        if let Some(stream) = self.is_late(reading, &position)? {
                            return Ok(Ended::Halt(Halt::CopyAgain(stream)));
                        }
                        self.commit(applier.as_mut(), &position, &open, reading.base).await?;
                        let changes = open.changes(reading.base, self.mark.changes);
                        self.committed(reader.as_mut(), position, changes, observer).await?;
                        observer.applied(&std::mem::take(&mut open).counted, &self.mark.position);
                    }
                    return self.barrier(reading, open.is_open);
                }
                let logged = match idle.take() {
                    Some(position) => Logged::Idle(position),
                    None => tokio::select! {
                        logged = reader.next() => logged?,
                        position = at(idle_at + IDLE_EVERY, &mut later) => Logged::Idle(position),
                        () = stop.cancelled() => return Ok(Ended::Halt(Halt::Asked)),
                    },
                };
                if let Logged::Idle(position) = &logged {
                    let due = upto.is_some() || open.is_open || idle_at.elapsed() >= IDLE_EVERY;
                    let wanted = upto.is_some() || applier.wants_commit();
                    let is_due = due && wanted && self.is_steady(position)?;
                    if self.moves(position)? && (is_due || self.is_cut(reading, position)?) {
                        if let Some(stream) = self.is_late(reading, position)? {
                            return Ok(Ended::Halt(Halt::CopyAgain(stream)));
                        }
                        idle_at = Instant::now();
                        self.commit(applier.as_mut(), position, &open, reading.base).await?;
                        let changes = open.changes(reading.base, self.mark.changes);
                        self.committed(reader.as_mut(), position.clone(), changes, observer).await?;
                        observer.applied(&std::mem::take(&mut open).counted, position);
                        if self.reached(upto)? {
                            return Ok(Ended::Halt(Halt::Reached));
                        }
                        continue;
                    }
                    if open.is_open {
                        open.whole = Some(position.clone());
                    }
                    if self.moves(position)? {
                        // The source may have nothing to say for a long time.
                        later = Some(position.clone());
                        if due {
                            idle_at = Instant::now();
                        }
                    }
                    continue;
                }
                later = None;
                self.take(reading, &mut gather, logged)?;
            }
            if idle.is_none() {
                idle = self.fill(reading, reader.as_mut(), &mut gather).await?;
            }
            let part = std::mem::take(&mut gather);
            open.add(&part);
            let position = part.position.clone();
            if let Some(position) = &position
                && let Some(stream) = self.is_late(reading, position)?
            {
                return Ok(Ended::Halt(Halt::CopyAgain(stream)));
            }
            observer.turned(Turn::Applying);
            let (done, more) = {
                let cut = reading.cut.clone();
                let apply = self.apply(applier.as_mut(), part, (upto, cut.as_ref()), &open, reading.base);
                tokio::pin!(apply);
                let mut more = Gather::default();
                let mut tick = tokio::time::interval_at(Instant::now() + TICK, TICK);
                let patience = patience(stop);
                tokio::pin!(patience);
                let done = loop {
                    tokio::select! {
                        // The target is told first what it is to do, and what comes is read while it does it.
                        biased;
                        done = &mut apply => break done,
                        // What the target has not taken by then is read again by the next one.
                        () = &mut patience => return Ok(Ended::Halt(Halt::Asked)),
                        _ = tick.tick() => reader.tick().await?,
                        logged = next_behind(reader.as_mut()), if reading.takes_more() && more.has_room() => match logged? {
                            // It is behind what is gathered.
                            Logged::Idle(position) => idle = Some(position),
                            logged => {
                                idle = None;
                                self.take(reading, &mut more, logged)?;
                            }
                        },
                    }
                };
                (done, more)
            };
            gather = more;
            observer.turned(Turn::Reading);
            match (done?, position) {
                (Part::Refused(error, alone), _) => return self.refused(reading, error, alone),
                (Part::Mixed, _) => {
                    reading.careful = Some(BTreeMap::new());
                    return Ok(Ended::Carefully);
                }
                (Part::Committed, Some(position)) => {
                    reading.careful = None;
                    let changes = open.changes(reading.base, self.mark.changes);
                    let counted = std::mem::take(&mut open).counted;
                    self.committed(reader.as_mut(), position, changes, observer).await?;
                    observer.applied(&counted, &self.mark.position);
                    idle_at = Instant::now();
                }
                (_, position) => (open.is_open, open.whole) = (true, position),
            }
        }
    }

    /// Whether everything up to a position is to be committed in any case.
    fn is_cut(&self, reading: &Reading, position: &Position) -> Result<bool> {
        match &reading.cut {
            Some(cut) => Ok(self.log.compare(position, cut)?.is_ge()),
            None => Ok(false),
        }
    }

    /// Notes what was read, for those who ask.
    fn note(&self, reading: &Reading, batch: &LogBatch) -> Result<()> {
        let Some(recent) = &self.recent else { return Ok(()) };
        for changes in batch.changes.iter().filter(|changes| !reading.foreign[changes.stream]) {
            let Some(stream) = self.streams.get(changes.stream) else { continue };
            recent.note(&stream.read, changes, reading.base, batch.committed_micros)?;
        }
        Ok(())
    }

    /// Whether there are rows that the copy may not have, and that the log does not tell whole.
    fn wants_rows(&self, reading: &Reading, batch: &LogBatch) -> Result<bool> {
        let wanted = |changes: &Changes| self.is_wanted(reading, changes);
        Ok(batch.changes.iter().any(wanted) && !self.is_steady(&self.reached_by_all()?)?)
    }

    /// Whether it is so of one stream, if the target is not steady. Others are as they were all the same.
    fn is_wanted(&self, reading: &Reading, changes: &Changes) -> bool {
        let Some(stream) = self.streams.get(changes.stream) else { return false };
        let is_unsteady = self.mark.is_unsteady(&stream.target.source.to_string());
        let keyed = !stream.passage.by_values();
        is_unsteady && keyed && !reading.foreign[changes.stream] && whole::is_wanted(changes)
    }

    /// Reads such rows from the source. They are of a later moment, up to which everything is to be applied
    /// before anybody sees it.
    async fn complete(&mut self, reading: &Reading, batch: &mut LogBatch) -> Result<()> {
        if !self.wants_rows(reading, batch)? {
            return Ok(());
        }
        // Nobody is to wait for memory who holds some that others need: these few rows are uncounted for a while.
        batch.memory = None;
        for changes in &mut batch.changes {
            let Some(stream) = self.streams.get(changes.stream) else { continue };
            if self.is_wanted(reading, changes) {
                whole::complete(self.rows.as_ref(), &stream.read, changes).await?;
            }
        }
        self.mark.steady_from = Some(self.log.head().await?);
        self.store.save_mark(&self.run.pipeline, LOG, Some(&self.mark.write())).await
    }

    /// Gathers more of a transaction that is not at its end, where that comes at once. Says where the log has come
    /// to if nothing more of it is ours.
    async fn fill(
        &self,
        reading: &mut Reading,
        reader: &mut dyn LogReader,
        gather: &mut Gather,
    ) -> Result<Option<Position>> {
        while gather.is_inside() && gather.has_room() && reading.takes_more() {
            match tokio::time::timeout(PART_PATIENCE, reader.next()).await {
                Ok(Ok(Logged::Idle(position))) => return Ok(Some(position)),
                Ok(logged) => self.take(reading, gather, logged?)?,
                Err(_) => break,
            }
        }
        Ok(None)
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

    fn take(&self, reading: &mut Reading, gather: &mut Gather, logged: Logged) -> Result<()> {
        match logged {
            Logged::Changes(batch) if !gather.goes_with(&batch) || self.wants_rows(reading, &batch)? => {
                reading.held = Some(batch);
                Ok(())
            }
            Logged::Changes(batch) => {
                // What goes on behind single changes is applied behind them only as such.
                let single = BTreeMap::new();
                let careful = reading.careful.as_ref().or(gather.is_apart().then_some(&single));
                self.note(reading, &batch)?;
                let (position, base) = (self.mark.position.0.as_str(), reading.base);
                let page = Page { position, base, committed_micros: None };
                gather.add(&self.streams, batch, self.on_error, &reading.foreign, page, careful)
            }
            Logged::Idle(_) => Ok(()),
            Logged::Schema(change) => {
                let Some(stream) = self.streams.get(change.stream) else { return Ok(()) };
                let name = stream.target.source.to_string();
                if let Some(since) = self.mark.since.get(&name)
                    && self.log.compare(&change.at, since)?.is_lt()
                {
                    // The copy is of a later time, and has what the log tells up to there; but not where it is of
                    // some of the rows.
                    let foreign = &mut reading.foreign[change.stream];
                    let is_lost = *foreign && self.mark.parts.contains(&name);
                    *foreign = change.unread || !is_as_copied(stream, &change) || is_lost;
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
        if is_open && self.log.compare(&self.reached_by_all()?, &change.position)?.is_lt() {
            // Whole transactions wait at the target together with a part of the one that has changed them.
            reading.schema = Some(change);
            return Ok(Ended::Cut);
        }
        let stream = self.streams.get(change.stream).map(|stream| stream.target.source.to_string());
        let stream = stream.unwrap_or_default();
        // There is no moment between rows of both shapes at which the target could change.
        let is_mixed = self.mark.evolved.get(&stream) == Some(self.mark.place_of(&stream));
        Ok(Ended::Halt(match is_mixed || change.unread {
            true => Halt::CopyAgain(change.stream),
            false => Halt::Schema(change),
        }))
    }

    /// Applies a part; commits where it ends with a whole transaction, and the target may be shown so or, at the
    /// cut, has to be.
    async fn apply(
        &self,
        applier: &mut dyn Applier,
        part: Gather,
        (upto, cut): (Option<&Position>, Option<&Position>),
        open: &Open,
        base: u64,
    ) -> Result<Part> {
        let is_cut = part.position.as_ref().is_some_and(|position| cut == Some(position));
        let position = match part.position.clone() {
            Some(position) if is_cut || self.is_steady(&position)? => Some(position),
            _ => None,
        };
        self.limits.pass(part.counted.changes, part.counted.bytes).await;
        if let Some(origin) = &part.origin {
            applier.come_through(&self.between.onward(origin)?);
        }
        let Some(mut together) = part.finish(&self.streams) else { return Ok(Part::Mixed) };
        let mut next = together.next()?;
        while let Some(OneNet { number, net, lenient, alone }) = next {
            let Some(stream) = self.streams.get(number) else {
                return Err(broken("there is no such stream"));
            };
            let (missed, following) = tokio::join!(biased; applier.apply(&stream.target, &net), async {
                // Once what was said is on its way.
                tokio::task::yield_now().await;
                together.next()
            });
            let missed = match missed {
                Err(error) if error.kind() == ErrorKind::Value => return Ok(Part::Refused(error, alone)),
                missed => missed?,
            };
            next = following?;
            let by_values = stream.passage.by_values();
            // A copy may be of a later moment, at which such a row was gone again; but not where there is no key.
            if missed > 0 && !lenient && (by_values || self.mark.steady_from.is_none()) {
                return Ok(Part::Refused(values::missed(&stream.target, by_values, missed), alone));
            }
        }
        drop(together);
        let Some(position) = position else { return Ok(Part::Open) };
        let is_last = match upto {
            Some(upto) => self.log.compare(&position, upto)?.is_ge(),
            None => false,
        };
        if !is_last && !is_cut && !applier.wants_commit() {
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
        let (mark, _) = self.gone_on(position, changes)?;
        applier.commit(&mark.for_target()).await
    }

    /// Where the letters of a stream come from that are saved with the next commit.
    fn place(&self, number: usize, at: &Position) -> LetterPlace {
        let number = self.streams.get(number).map_or(u32::MAX, |stream| stream.target.stream);
        letters_at(&self.run.pipeline, number, at)
    }

    /// Letters come before the commit.
    async fn save_letters(&self, letters: &[(usize, NewLetter)]) -> Result<()> {
        let at = self.reached_by_all()?;
        for number in 0..self.streams.len() {
            let own: Vec<NewLetter> =
                letters.iter().filter(|(of, _)| *of == number).map(|(_, letter)| letter.clone()).collect();
            if own.is_empty() {
                continue;
            }
            self.store.save_letters(&self.place(number, &at), &own).await?;
        }
        Ok(())
    }

    async fn committed(
        &mut self,
        reader: &mut dyn LogReader,
        position: Position,
        changes: u64,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if self.is_steady(&position)? {
            self.mark.steady_from = None;
            self.mark.unsteady.clear();
        }
        self.passed(&position)?;
        let (mark, joined) = self.gone_on(&position, changes)?;
        self.mark = mark;
        self.mark.evolved.clear();
        self.store.save_mark(&self.run.pipeline, LOG, Some(&self.mark.write())).await?;
        if !joined.is_empty() {
            observer.joined(&joined);
        }
        // Who is behind still has to be told what has happened since.
        match self.mark.behind.is_empty() {
            true => reader.confirm(&self.mark.position).await,
            false => Ok(()),
        }
    }
}

/// Where the letters of a stream come from that are saved with the commit that goes on from a position.
pub(super) fn letters_at(pipeline: &str, stream: u32, at: &Position) -> LetterPlace {
    let (pipeline, run) = (pipeline.to_owned(), LOG.to_owned());
    LetterPlace { pipeline, run, stream, split: SplitId(0), at: Some(at.clone()) }
}

/// Comes back with what there is, when it is time for it; never while there is nothing.
async fn at(time: Instant, what: &mut Option<Position>) -> Position {
    tokio::time::sleep_until(time).await;
    match what.take() {
        Some(position) => position,
        None => std::future::pending().await,
    }
}

/// As [`LogReader::next`], once what the target is to be told is on its way: whoever sends it may have been given to
/// this thread, which is busy as long as there is something to read.
async fn next_behind(reader: &mut dyn LogReader) -> Result<Logged> {
    tokio::task::yield_now().await;
    reader.next().await
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
    /// Up to where it is whole, where it is and waits only until the target may be shown so.
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
        self.counted.add(part.counted.clone());
    }
}
