//! One stream of a run: its splits, and how far it is.

use std::collections::BTreeMap;

use syncline_connect::ProgressRow;
use syncline_state::SavedStream;
pub use syncline_state::StreamPhase;
use syncline_types::{Progress, Split, SplitId};

use super::{Failure, StreamJob};

/// A stream as the core keeps it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) job: StreamJob,
    pub(super) phase: StreamPhase,
    /// Whether the target is prepared by this process.
    pub(super) prepared: bool,
    /// Whether all splits are known.
    pub(super) planned: bool,
    pub(super) splits: BTreeMap<SplitId, SplitState>,
    /// Why it will not go on in this process.
    pub(super) failed: Option<StreamFailure>,
    /// What it has so far is of no use: it begins again before anything else is done for it.
    pub(super) needs_reset: bool,
    /// What is under way for it.
    pub(super) doing: StreamDoing,
    /// Failures in a row of what is done for the stream as a whole.
    pub(super) failures: u32,
    /// Rows that were durable before this process began.
    pub(super) rows_resumed: u64,
    /// What has become of rows that the source no longer has.
    pub(super) removal: Removal,
}

/// Removing rows that the source no longer has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Removal {
    /// It is yet to be done, where the job asks for it.
    Open,
    /// It failed, when so many other streams were done. Others may refer to its rows, so it is worth
    /// another attempt once one more is.
    Failed { failure: Failure, others_done: usize },
    /// So many rows have been removed.
    Done(u64),
}

/// What is under way for a stream as a whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StreamDoing {
    Nothing,
    Preparing,
    ResettingTarget,
    ResettingState,
    Planning,
    SavingSplit(Split),
    SavingPlanned,
    Finishing,
    SavingPublished,
    Removing,
    /// Waiting to try again.
    Pausing,
}

impl StreamDoing {
    /// Whether it writes to the state: when that fails, nothing in this process may go on.
    pub(super) fn saves_state(&self) -> bool {
        matches!(
            self,
            StreamDoing::ResettingState
                | StreamDoing::SavingSplit(_)
                | StreamDoing::SavingPlanned
                | StreamDoing::SavingPublished
        )
    }
}

/// Why a stream does not go on in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFailure {
    /// Something failed, and trying again does not help.
    Failed(Failure),
    /// It has no rows, and would have emptied a target that has some.
    EmptySource,
}

/// One split of a stream.
#[derive(Debug)]
pub(super) struct SplitState {
    pub(super) split: Split,
    /// What is durable at the target; `None` before the first commit.
    pub(super) row: Option<ProgressRow>,
    /// The lane that works on it.
    pub(super) lane: Option<usize>,
}

impl SplitState {
    pub(super) fn done(&self) -> bool {
        matches!(self.row, Some(ProgressRow { progress: Progress::Done, .. }))
    }
}

/// How far a stream is, for progress bars and summaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// Which phase.
    pub phase: StreamPhase,
    /// Rows durable at the target, resumed ones too.
    pub rows: u64,
    /// Rows of these that earlier processes committed.
    pub rows_resumed: u64,
    /// Bytes of values in `rows`.
    pub bytes: u64,
    /// Rows that went to the dead letters.
    pub rejected: u64,
    /// Rows removed that the source no longer has.
    pub deleted: u64,
    /// Splits that are done.
    pub splits_done: usize,
    /// Splits known so far.
    pub splits_known: usize,
    /// Whether all splits are known.
    pub planned: bool,
    /// Why it failed.
    pub failed: Option<StreamFailure>,
}

impl Stream {
    pub(super) fn new(job: StreamJob) -> Self {
        Stream {
            job,
            phase: StreamPhase::Copying,
            prepared: false,
            planned: false,
            splits: BTreeMap::new(),
            failed: None,
            needs_reset: false,
            doing: StreamDoing::Nothing,
            failures: 0,
            rows_resumed: 0,
            removal: Removal::Open,
        }
    }

    /// Takes over what the state has saved of it.
    pub(super) fn restore(&mut self, saved: &SavedStream) {
        self.phase = saved.phase;
        self.planned = saved.planned;
        self.splits = saved
            .splits
            .iter()
            .map(|saved| {
                let state = SplitState { split: saved.split.clone(), row: saved.row.clone(), lane: None };
                (saved.split.id, state)
            })
            .collect();
    }

    /// Begins again: every split is forgotten.
    pub(super) fn clear(&mut self) {
        self.splits.clear();
        self.planned = false;
        self.needs_reset = false;
        self.rows_resumed = 0;
    }

    /// Takes a split that is saved.
    pub(super) fn add(&mut self, split: Split) {
        self.splits.insert(split.id, SplitState { split, row: None, lane: None });
    }

    /// Whether some of it is still to be read.
    pub(super) fn wants_reading(&self) -> bool {
        !self.published() && self.failed.is_none() && !self.all_done()
    }

    /// Whether some of it is read, and cannot be completed from another snapshot.
    pub(super) fn bound_to_snapshot(&self) -> bool {
        !self.job.outlives_snapshot && !self.published() && !self.splits.is_empty() && !self.all_done()
    }

    pub(super) fn published(&self) -> bool {
        self.phase == StreamPhase::Published
    }

    /// Whether nothing more will be done for it in this process.
    pub(super) fn settled(&self) -> bool {
        let idle = self.doing == StreamDoing::Nothing;
        (self.published() && !self.removes()) || (self.failed.is_some() && idle)
    }

    /// Whether rows are still to be removed that the source no longer has.
    pub(super) fn removes(&self) -> bool {
        self.job.removes
            && self.published()
            && self.failed.is_none()
            && !matches!(self.removal, Removal::Done(_))
    }

    pub(super) fn all_done(&self) -> bool {
        self.planned && self.splits.values().all(SplitState::done)
    }

    /// The next split that nobody works on.
    pub(super) fn next_pending(&self) -> Option<SplitId> {
        self.pending().next()
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = SplitId> + '_ {
        self.splits.iter().filter(|(_, state)| state.lane.is_none() && !state.done()).map(|(id, _)| *id)
    }

    pub(super) fn rows(&self) -> u64 {
        self.sum(|row| row.rows)
    }

    fn sum(&self, what: impl Fn(&ProgressRow) -> u64) -> u64 {
        self.splits.values().filter_map(|state| state.row.as_ref()).map(what).sum()
    }

    pub(super) fn view(&self) -> StreamView {
        StreamView {
            phase: self.phase,
            rows: self.rows(),
            rows_resumed: self.rows_resumed,
            bytes: self.sum(|row| row.bytes),
            rejected: self.sum(|row| row.rejected),
            deleted: match self.removal {
                Removal::Done(rows) => rows,
                Removal::Open | Removal::Failed { .. } => 0,
            },
            splits_done: self.splits.values().filter(|state| state.done()).count(),
            splits_known: self.splits.len(),
            planned: self.planned,
            failed: self.failed,
        }
    }
}
