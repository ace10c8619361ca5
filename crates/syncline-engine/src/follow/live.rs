//! Follows: reads the log, applies what it tells, and says how far that is, over and over.
//!
//! Order of every step: dead letters, then the target's commit with the mark in it, then our state,
//! then the source's confirmation. While one part is applied the next is gathered, so that parts
//! grow by themselves when the target is slow and are single transactions when it is not.

use std::{sync::Arc, time::Duration};

use syncline_config::OnError;
use syncline_connect::{Applier, Log, LogReader, Logged, RunRef, Sink};
use syncline_state::{LetterPlace, NewLetter, Store};
use syncline_types::{Error, Position, Result, SplitId, codes};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    gather::{Counted, Followed, Gather},
    known_mark,
    mark::{FollowMark, LOG},
};
use crate::shell::Limits;

/// What is gathered is applied after so many bytes of the log at the latest.
const GATHER_BYTES: u64 = 8 << 20;
/// How often the reader is told to keep its connection alive while nothing is read.
const TICK: Duration = Duration::from_secs(5);
/// How often the mark is moved while there is nothing to apply.
const IDLE_EVERY: Duration = Duration::from_secs(2);

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
}

/// Why following has stopped without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to.
    Asked,
    /// It has come to the position that it was to go to.
    Reached,
}

/// What becomes of a part that was applied.
enum Part {
    /// It ends with a whole transaction, and is committed.
    Committed,
    /// More of its transaction follows.
    Open,
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
    ) -> Result<Stopped> {
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
        let mut applier = self.sink.applier(&self.run).await?;
        let mut gather = Gather::default();
        // Letters of a part whose transaction is not yet at its end are saved with it.
        let mut open = Open::default();
        let mut idle_at = Instant::now();
        // Said while a part was being applied.
        let mut idle = None;
        loop {
            if self.reached(upto)? {
                return Ok(Stopped::Reached);
            }
            // What is gathered, or open at the target, is read again by the next one.
            if stop.is_cancelled() {
                return Ok(Stopped::Asked);
            }
            while gather.is_empty() {
                let logged = match idle.take() {
                    Some(position) => Logged::Idle(position),
                    None => tokio::select! {
                        logged = reader.next() => logged?,
                        () = stop.cancelled() => return Ok(Stopped::Asked),
                    },
                };
                if let Logged::Idle(position) = &logged {
                    let due = upto.is_some() || open.is_open || idle_at.elapsed() >= IDLE_EVERY;
                    let wanted = upto.is_some() || applier.wants_commit();
                    if due && wanted && self.moves(position)? && self.is_steady(position)? {
                        idle_at = Instant::now();
                        self.commit(applier.as_mut(), position, &open.letters).await?;
                        self.committed(reader.as_mut(), position.clone()).await?;
                        observer.applied(&std::mem::take(&mut open).counted, position);
                        if self.reached(upto)? {
                            return Ok(Stopped::Reached);
                        }
                    }
                    continue;
                }
                self.take(&mut gather, logged)?;
            }
            let part = std::mem::take(&mut gather);
            open.add(&part);
            let position = part.position.clone();
            let (done, more) = {
                let apply = self.apply(applier.as_mut(), part, upto, &open.letters);
                tokio::pin!(apply);
                let mut more = Gather::default();
                let mut tick = tokio::time::interval_at(Instant::now() + TICK, TICK);
                let done = loop {
                    tokio::select! {
                        done = &mut apply => break done,
                        logged = reader.next(), if more.bytes() < GATHER_BYTES => match logged? {
                            Logged::Idle(position) => idle = Some(position).filter(|_| more.is_empty()),
                            logged => {
                                idle = None;
                                self.take(&mut more, logged)?;
                            }
                        },
                        _ = tick.tick() => reader.tick().await?,
                    }
                };
                (done, more)
            };
            gather = more;
            match (done?, position) {
                (Part::Committed, Some(position)) => {
                    let counted = open.counted;
                    open = Open::default();
                    self.committed(reader.as_mut(), position).await?;
                    observer.applied(&counted, &self.mark.position);
                    idle_at = Instant::now();
                }
                _ => open.is_open = true,
            }
        }
    }

    fn reached(&self, upto: Option<&Position>) -> Result<bool> {
        match upto {
            Some(upto) => Ok(self.log.compare(&self.mark.position, upto)?.is_ge()),
            None => Ok(false),
        }
    }

    fn take(&self, gather: &mut Gather, logged: Logged) -> Result<()> {
        match logged {
            Logged::Changes(batch) => gather.add(&self.streams, batch, self.on_error),
            Logged::Idle(_) => Ok(()),
            Logged::Schema(change) => {
                let stream = self.streams.get(change.stream).map(|stream| stream.target.source.to_string());
                Err(Error::new(&codes::SCHEMA_CHANGED, "follow stream", stream.unwrap_or_default())
                    .because("its columns at the source are not those that it had when it was copied")
                    .hint("Copy it again: --restart"))
            }
        }
    }

    /// Applies a part; commits where it ends with a whole transaction.
    async fn apply(
        &self,
        applier: &mut dyn Applier,
        part: Gather,
        upto: Option<&Position>,
        letters: &[(usize, NewLetter)],
    ) -> Result<Part> {
        let position = part.position.clone();
        let position = match position {
            Some(position) if self.is_steady(&position)? => Some(position),
            _ => None,
        };
        self.limits.pass(part.counted.changes, part.counted.bytes).await;
        let together = part.finish(&self.streams)?;
        for (number, net) in &together.nets {
            let Some(stream) = self.streams.get(*number) else { continue };
            let missed = applier.apply(&stream.target, net).await?;
            // A copy may be of a later moment, at which such a row was gone again.
            if missed > 0 && self.mark.steady_from.is_none() {
                let name = stream.target.name.to_string();
                return Err(Error::new(&codes::LOG_INCOMPLETE, "update rows of", format!("`{name}`"))
                    .because(format!(
                        "{missed} of them are not there, and the log does not repeat the values that were left alone"
                    ))
                    .hint("Look at who deletes rows from it; `syncline verify --repair` puts them back"));
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
        self.commit(applier, &position, letters).await?;
        Ok(Part::Committed)
    }

    async fn commit(
        &self,
        applier: &mut dyn Applier,
        position: &Position,
        letters: &[(usize, NewLetter)],
    ) -> Result<()> {
        self.save_letters(letters).await?;
        let mark = FollowMark { position: position.clone(), ..self.mark.clone() };
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

    async fn committed(&mut self, reader: &mut dyn LogReader, position: Position) -> Result<()> {
        self.mark.position = position;
        self.mark.steady_from = None;
        self.store.save_mark(&self.run.pipeline, LOG, Some(&self.mark.write())).await?;
        reader.confirm(&self.mark.position).await
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

/// What was applied of a transaction that is not committed.
#[derive(Default)]
struct Open {
    is_open: bool,
    letters: Vec<(usize, NewLetter)>,
    counted: Counted,
}

impl Open {
    fn add(&mut self, part: &Gather) {
        self.letters.extend(part.letters.iter().cloned());
        self.counted.add(part.counted);
    }
}
