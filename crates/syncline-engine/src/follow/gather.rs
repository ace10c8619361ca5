//! Changes on their way: gathered until they are applied, all streams together.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    vec,
};

use syncline_config::OnError;
use syncline_connect::{Changes, LogBatch, NetChanges, Origin, Read, Reject, Reservation, Target, WriteMode};
use syncline_state::NewLetter;
use syncline_steps::Chain;
use syncline_types::{Error, Position, Result};

use super::{
    alone::{Alone, apart},
    net::Net,
    passage::Passage,
    story::{Page, Story},
    tally::Tally,
};
use crate::shell::removal::now_micros;

/// What is gathered is applied after so many bytes of the log at the latest.
const GATHER_BYTES: u64 = 8 << 20;
/// The same inside of a transaction. Nobody sees any of it before its end, and each part costs the target several
/// statements for every table that it is about.
const PART_BYTES: u64 = 20 << 20;

/// A stream that is followed.
#[derive(Clone)]
pub struct Followed {
    /// What is read.
    pub read: Arc<Read>,
    /// What it becomes.
    pub target: Arc<Target>,
    /// What happens to its changes.
    pub passage: Arc<Passage>,
    /// The same steps as a copy has them, for dead letters.
    pub chain: Arc<Chain>,
}

/// Changes that are to be applied together.
#[derive(Default)]
pub(crate) struct Gather {
    streams: BTreeMap<usize, Gathered>,
    /// Held until they are applied.
    memory: Vec<Reservation>,
    /// Behind the last whole transaction, where nothing of another one is here.
    pub(crate) position: Option<Position>,
    pub(crate) letters: Vec<(usize, NewLetter)>,
    pub(crate) counted: Counted,
    /// The highest place in the order of the log.
    pub(crate) last: Option<u64>,
    /// What everything here has come through; `None` while there are no changes.
    pub(crate) origin: Option<Origin>,
    /// Changes that are applied one by one, behind all others, in their order.
    alone: Vec<(u64, usize, Gathered)>,
}

/// What the changes of a stream are gathered into.
enum Gathered {
    Net(Box<Net>),
    Tally(Box<Tally>),
    Story(Story),
}

/// What is to be done to each target, made out one after the other: the next one while a target is at work.
pub(crate) struct Together<'a> {
    streams: &'a [Followed],
    rest: vec::IntoIter<(Option<u64>, usize, Gathered)>,
    /// What is to be done behind the last one that was made out.
    notes: Option<OneNet>,
    _memory: Vec<Reservation>,
}

/// What is to be done to one target.
pub(crate) struct OneNet {
    /// The stream.
    pub(crate) number: usize,
    pub(crate) net: NetChanges,
    /// Whether rows that it is to change may not be there.
    pub(crate) lenient: bool,
    /// Where it stands in the order of the log, if it is a single change.
    pub(crate) alone: Option<u64>,
}

/// What has gone by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Changes of rows, as the log tells them.
    pub changes: u64,
    /// Transactions.
    pub transactions: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Rows that went to the dead letters.
    pub rejected: u64,
    /// When the last transaction was committed at the source, in microseconds since 1970.
    pub committed_micros: Option<i64>,
    /// By stream, for those that have any.
    pub streams: BTreeMap<String, OfStream>,
}

/// What has gone by of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfStream {
    /// Changes of rows.
    pub changes: u64,
    /// When the last of them was committed at the source, in microseconds since 1970.
    pub committed_micros: Option<i64>,
}

impl OfStream {
    fn add(&mut self, more: OfStream) {
        self.changes += more.changes;
        self.committed_micros = more.committed_micros.or(self.committed_micros);
    }
}

impl Counted {
    /// Both together.
    pub fn add(&mut self, more: Counted) {
        self.changes += more.changes;
        self.transactions += more.transactions;
        self.bytes += more.bytes;
        self.rejected += more.rejected;
        self.committed_micros = more.committed_micros.or(self.committed_micros);
        for (stream, more) in more.streams {
            self.streams.entry(stream).or_default().add(more);
        }
    }
}

impl Followed {
    fn gathered(&self) -> Result<Gathered> {
        Ok(match self.target.write {
            WriteMode::Append => Gathered::Story(Story::default()),
            _ if self.passage.by_values() => Gathered::Tally(Box::new(Tally::new(&self.target)?)),
            WriteMode::Merge | WriteMode::Overwrite => {
                Gathered::Net(Box::new(Net::new(&self.target, self.passage.marks())?))
            }
        })
    }
}

impl Gather {
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.alone.is_empty() && self.position.is_none() && self.letters.is_empty()
    }

    /// Whether these changes have come the way of those that are here.
    pub(crate) fn goes_with(&self, batch: &LogBatch) -> bool {
        batch.changes.is_empty() || self.origin.as_ref().is_none_or(|origin| *origin == batch.origin)
    }

    /// Whether there are changes that are applied one by one.
    pub(crate) fn is_apart(&self) -> bool {
        !self.alone.is_empty()
    }

    /// Whether there is nothing but a part of one transaction, not its end.
    pub(crate) fn is_inside(&self) -> bool {
        self.position.is_none() && self.counted.transactions == 0
    }

    /// Whether more may be gathered before it is applied.
    pub(crate) fn has_room(&self) -> bool {
        self.counted.bytes < if self.is_inside() { PART_BYTES } else { GATHER_BYTES }
    }

    /// Takes what a log has told, through the steps; but not of streams that are `foreign`. Where the target is
    /// to be treated with care, each change stands alone, and those that it has refused become dead letters.
    ///
    /// # Errors
    /// When a step fails on a row and the pipeline stops for it.
    pub(crate) fn add(
        &mut self,
        streams: &[Followed],
        batch: LogBatch,
        on_error: OnError,
        foreign: &[bool],
        page: Page<'_>,
        careful: Option<&BTreeMap<u64, Error>>,
    ) -> Result<()> {
        let LogBatch { changes, origin, position, committed_micros, transactions, bytes, memory } = batch;
        if !changes.is_empty() {
            self.origin = Some(origin);
        }
        let mut alone = vec![];
        for changes in changes {
            let number = changes.stream;
            let Some(stream) = streams.get(number).filter(|_| !foreign[number]) else { continue };
            let count = changes.rows.num_rows() + changes.gone.num_rows() + changes.rejects.len();
            self.counted.changes += count as u64;
            let more = OfStream { changes: count as u64, committed_micros };
            self.counted.streams.entry(stream.target.source.to_string()).or_default().add(more);
            for reject in &changes.rejects {
                self.refuse(stream, number, reject, serde_json::Value::Null, on_error)?;
            }
            let position = position.as_ref().map_or(page.position, |position| &position.0);
            let page = Page { committed_micros, position, ..page };
            match careful {
                None => self.pass(stream, number, &changes, on_error, page)?,
                Some(_) => alone.extend(apart(&changes).into_iter().map(|one| (number, one))),
            }
        }
        alone.sort_unstable_by_key(|(_, one)| one.sequence);
        for (number, Alone { sequence, changes }) in alone {
            let Some(stream) = streams.get(number) else { continue };
            if let Some(error) = careful.and_then(|refused| refused.get(&sequence)) {
                let payload = match changes.rows.num_rows() {
                    0 => serde_json::Value::Null,
                    _ => stream.chain.letter(&changes.rows, 0)?,
                };
                let reject = Reject { row: 0, place: None, error: error.clone() };
                self.refuse(stream, number, &reject, payload, on_error)?;
                self.last = self.last.max(Some(sequence));
                continue;
            }
            let mut gather = Gather::default();
            gather.pass(stream, number, &changes, on_error, Page { committed_micros, ..page })?;
            self.last = self.last.max(gather.last);
            self.counted.rejected += gather.counted.rejected;
            self.letters.extend(gather.letters);
            self.alone.extend(gather.streams.into_iter().map(|(number, net)| (sequence, number, net)));
        }
        self.position = position;
        self.memory.extend(memory);
        self.counted.add(Counted { transactions, bytes, committed_micros, ..Counted::default() });
        Ok(())
    }

    /// Takes changes of one stream through its steps.
    fn pass(
        &mut self,
        stream: &Followed,
        number: usize,
        changes: &Changes,
        on_error: OnError,
        page: Page<'_>,
    ) -> Result<()> {
        let (passed, refused) = stream.passage.pass(changes)?;
        for reject in refused {
            let payload = stream.chain.letter(&changes.rows, reject.row as usize)?;
            self.refuse(stream, number, &reject, payload, on_error)?;
        }
        let places = passed.written.iter().map(|written| written.sequence);
        let places = places.chain(passed.went.iter().map(|went| went.sequence)).chain(passed.truncated);
        self.last = self.last.max(places.max());
        let gathered = match self.streams.entry(number) {
            Entry::Occupied(gathered) => gathered.into_mut(),
            Entry::Vacant(place) => place.insert(stream.gathered()?),
        };
        match gathered {
            Gathered::Net(net) => net.add(passed, page.committed_micros.unwrap_or_else(now_micros)),
            Gathered::Tally(tally) => tally.add(&stream.target, passed),
            Gathered::Story(story) => story.add(&stream.target, &passed, page),
        }
    }

    /// A row goes to the dead letters, or stops the pipeline.
    fn refuse(
        &mut self,
        stream: &Followed,
        number: usize,
        reject: &Reject,
        payload: serde_json::Value,
        on_error: OnError,
    ) -> Result<()> {
        if on_error == OnError::Stop {
            return Err(reject.error.clone());
        }
        self.counted.rejected += 1;
        self.letters.push((number, letter(stream, reject, payload)));
        Ok(())
    }

    /// What it all comes to; `None` where it cannot be told of all changes together.
    pub(crate) fn finish(self, streams: &[Followed]) -> Option<Together<'_>> {
        let mixed = |gathered: &Gathered| matches!(gathered, Gathered::Net(net) if net.is_mixed());
        if self.streams.values().any(mixed) {
            return None;
        }
        let together = self.streams.into_iter().map(|(number, gathered)| (None, number, gathered));
        let alone = self.alone.into_iter().map(|(sequence, number, one)| (Some(sequence), number, one));
        let rest = together.chain(alone).collect::<Vec<_>>().into_iter();
        Some(Together { streams, rest, notes: None, _memory: self.memory })
    }
}

impl Together<'_> {
    /// What is to be done next.
    pub(crate) fn next(&mut self) -> Result<Option<OneNet>> {
        loop {
            if let Some(notes) = self.notes.take() {
                return Ok(Some(notes));
            }
            let Some((alone, number, gathered)) = self.rest.next() else { return Ok(None) };
            let Some(stream) = self.streams.get(number) else { continue };
            let (net, notes) = match gathered {
                Gathered::Net(net) => net.finish(&stream.target)?,
                Gathered::Tally(tally) => (tally.finish()?, None),
                Gathered::Story(story) => (story.finish(&stream.target)?, None),
            };
            let one = |net, lenient| OneNet { number, net, lenient, alone };
            self.notes = notes.filter(|notes| !notes.is_empty()).map(|notes| one(notes, true));
            if !net.is_empty() {
                return Ok(Some(one(net, false)));
            }
        }
    }
}

fn letter(stream: &Followed, reject: &Reject, payload: serde_json::Value) -> NewLetter {
    NewLetter {
        source: stream.target.source.to_string(),
        row: reject.place.clone(),
        code: reject.error.code().to_string(),
        reason: reject.error.sentence(),
        payload,
    }
}
