//! One lane: reads a split batch by batch, writes, commits, saves, confirms. One action at a time.

use syncline_connect::{ProgressDelta, ProgressRow};
use syncline_types::{Position, Progress, Split, SplitId};

use super::{Answer, Failure, LaneAction, OnError, bisect::Bisect};

/// A lane as the core keeps it.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The split it works on.
    pub(super) work: Option<Work>,
    /// The split it works on next, while the last one is being committed.
    pub(super) next: Option<(usize, SplitId)>,
    pub(super) doing: LaneDoing,
    pub(super) has_writer: bool,
    /// Failures without a commit between them.
    pub(super) failures: u32,
    /// Everything is to be closed as soon as what is under way has ended.
    pub(super) recalled: bool,
}

/// The split a lane works on, and what it has read of it since the last commit.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) stream: usize,
    pub(super) split: Split,
    /// Where it stands, durably.
    at: Option<Position>,
    base: Counts,
    /// Since then.
    since: Counts,
    batch: BatchState,
}

/// What has been dealt with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) rejected: u64,
}

/// The batch under way.
#[derive(Debug, Default)]
struct BatchState {
    rows: u32,
    bytes: u64,
    position: Option<Position>,
    /// Whether some row is known not to go on.
    rejects: bool,
    /// How often the target has asked for rows again.
    agains: u32,
}

/// What is under way on a lane. A [`Bisect`] is there while rows at fault are searched for.
#[derive(Debug, Default)]
pub(super) enum LaneDoing {
    #[default]
    Nothing,
    OpeningWriter,
    ForgettingLetters,
    OpeningReader,
    Reading,
    Writing(Option<Bisect>),
    PausingAgain(Option<Bisect>),
    Flushing(Option<Bisect>),
    Aborting(Bisect),
    SavingLetters,
    Committing(ProgressDelta),
    SavingProgress(ProgressDelta),
    Confirming,
    ClosingReader,
    /// The rest is what the run does with a lane that failed or was recalled.
    Closing(Option<Failure>),
    Pausing,
    Reloading,
    SavingReloaded(ProgressDelta),
}

/// What a lane does next.
#[derive(Debug)]
pub(super) enum LaneNext {
    /// This action.
    Do(LaneAction),
    /// Come back after so many milliseconds.
    Wait(u64),
    /// This is durable and saved; then on with [`Lane::saved`].
    Saved(ProgressDelta),
    /// The split is finished; the lane is free.
    Free,
    /// It cannot go on.
    Fail(Failure),
}

/// What a lane needs to know of the run's policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct LanePolicy {
    pub(super) on_error: OnError,
    pub(super) commit_bytes: u64,
    pub(super) attempts_max: u32,
}

impl Work {
    /// Begins a split, or goes on with one of which `row` is durable.
    pub(super) fn new(stream: usize, split: Split, row: Option<&ProgressRow>) -> Self {
        let mut work = Work {
            stream,
            split,
            at: None,
            base: Counts::default(),
            since: Counts::default(),
            batch: BatchState::default(),
        };
        if let Some(row) = row {
            work.committed(row);
        }
        work
    }

    pub(super) fn split_id(&self) -> SplitId {
        self.split.id
    }

    fn delta(&self, progress: Progress) -> ProgressDelta {
        let (base, since) = (self.base, self.since);
        ProgressDelta {
            stream: u32::try_from(self.stream).expect("streams are numbered in 32 bits"),
            split: self.split.id,
            row: ProgressRow {
                progress,
                rows: base.rows + since.rows,
                bytes: base.bytes + since.bytes,
                rejected: base.rejected + since.rejected,
            },
        }
    }

    fn committed(&mut self, row: &ProgressRow) {
        self.base = Counts { rows: row.rows, bytes: row.bytes, rejected: row.rejected };
        self.since = Counts::default();
        if let Progress::At(position) = &row.progress {
            self.at = Some(position.clone());
        }
    }
}

impl Lane {
    pub(super) fn idle(&self) -> bool {
        matches!(self.doing, LaneDoing::Nothing) && self.work.is_none() && !self.recalled
    }

    /// Whether it writes to the state: when that fails, nothing in this process may go on.
    pub(super) fn saves_state(&self) -> bool {
        matches!(
            self.doing,
            LaneDoing::ForgettingLetters
                | LaneDoing::SavingLetters
                | LaneDoing::SavingProgress(_)
                | LaneDoing::SavingReloaded(_)
        )
    }

    /// Begins a split.
    pub(super) fn begin(&mut self, work: Work, policy: LanePolicy) -> LaneAction {
        self.work = Some(work);
        if self.has_writer {
            return self.forget_or_open(policy);
        }
        self.doing = LaneDoing::OpeningWriter;
        LaneAction::OpenWriter
    }

    fn forget_or_open(&mut self, policy: LanePolicy) -> LaneAction {
        if policy.on_error == OnError::Stop {
            return self.open_reader();
        }
        self.doing = LaneDoing::ForgettingLetters;
        let work = self.work_mut();
        LaneAction::ForgetLetters { stream: work.stream, split: work.split.id, at: work.at.clone() }
    }

    fn open_reader(&mut self) -> LaneAction {
        self.doing = LaneDoing::OpeningReader;
        let work = self.work_mut();
        LaneAction::OpenReader { stream: work.stream, split: work.split.clone(), at: work.at.clone() }
    }

    fn work_mut(&mut self) -> &mut Work {
        self.work.as_mut().expect("a busy lane has a split")
    }

    /// What follows an action that went well.
    pub(super) fn on(&mut self, answer: Answer, policy: LanePolicy) -> LaneNext {
        match (std::mem::take(&mut self.doing), answer) {
            (LaneDoing::OpeningWriter, _) => {
                self.has_writer = true;
                LaneNext::Do(self.forget_or_open(policy))
            }
            (LaneDoing::ForgettingLetters, _) => LaneNext::Do(self.open_reader()),
            (LaneDoing::OpeningReader | LaneDoing::Confirming, _) => self.read(),
            (LaneDoing::Reading, answer) => self.was_read(answer, policy),
            (LaneDoing::Writing(bisect), Answer::Written { refused, again }) => {
                self.written(bisect, refused, again, policy)
            }
            (LaneDoing::PausingAgain(bisect), _) => {
                self.doing = LaneDoing::Writing(bisect);
                LaneNext::Do(LaneAction::WriteAgain)
            }
            (LaneDoing::Flushing(None), _) => self.taken(vec![], policy),
            (LaneDoing::Flushing(Some(mut bisect)), _) => {
                bisect.taken();
                self.next_part(bisect, policy)
            }
            (LaneDoing::Aborting(bisect), _) => self.next_part(bisect, policy),
            (LaneDoing::SavingLetters, Answer::Lettered { before, refused }) => {
                let since = &mut self.work_mut().since;
                since.rejected += u64::from(before) + u64::from(refused);
                since.rows -= u64::from(refused);
                self.accepted(policy)
            }
            (LaneDoing::Committing(delta), _) => {
                self.failures = 0;
                self.doing = LaneDoing::SavingProgress(delta.clone());
                LaneNext::Do(LaneAction::SaveProgress(delta))
            }
            (LaneDoing::SavingProgress(delta), _) => {
                self.work_mut().committed(&delta.row);
                LaneNext::Saved(delta)
            }
            (LaneDoing::ClosingReader, _) => {
                self.work = None;
                LaneNext::Free
            }
            // Neither is named: they may hold keys of rows.
            _ => unreachable!("what a lane does cannot end with such an answer"),
        }
    }

    fn read(&mut self) -> LaneNext {
        self.doing = LaneDoing::Reading;
        LaneNext::Do(LaneAction::Read)
    }

    fn was_read(&mut self, answer: Answer, policy: LanePolicy) -> LaneNext {
        match answer {
            Answer::Batch { rejected: Some(failure), .. } if policy.on_error == OnError::Stop => {
                LaneNext::Fail(failure)
            }
            Answer::Batch { rows, bytes, position, rejected } => {
                let rejects = rejected.is_some();
                self.work_mut().batch = BatchState { rows, bytes, position, rejects, agains: 0 };
                if rows == 0 {
                    return self.taken(vec![], policy);
                }
                self.doing = LaneDoing::Writing(None);
                LaneNext::Do(LaneAction::Write { part: None })
            }
            Answer::Idle(position) => {
                let work = self.work_mut();
                let nothing_new = work.since.rows + work.since.rejected == 0;
                if nothing_new && work.at.as_ref() == Some(&position) {
                    return self.read();
                }
                self.commit(Progress::At(position))
            }
            _ => self.commit(Progress::Done),
        }
    }

    fn written(
        &mut self,
        bisect: Option<Bisect>,
        refused: Option<Failure>,
        again: Option<(u64, Failure)>,
        policy: LanePolicy,
    ) -> LaneNext {
        match refused {
            Some(failure) if policy.on_error == OnError::Stop => return LaneNext::Fail(failure),
            Some(_) => self.work_mut().batch.rejects = true,
            None => {}
        }
        if let Some((millis, failure)) = again {
            let batch = &mut self.work_mut().batch;
            batch.agains += 1;
            if batch.agains > policy.attempts_max {
                return LaneNext::Fail(failure);
            }
            self.doing = LaneDoing::PausingAgain(bisect);
            return LaneNext::Wait(millis);
        }
        if policy.on_error == OnError::Stop {
            return self.taken(vec![], policy);
        }
        // Whether the target takes the rows shows now, while the batch is still at hand.
        self.doing = LaneDoing::Flushing(bisect);
        LaneNext::Do(LaneAction::Flush)
    }

    /// Tries the next part of a batch of which some row is at fault.
    fn next_part(&mut self, bisect: Bisect, policy: LanePolicy) -> LaneNext {
        match bisect.part() {
            Some(part) => {
                self.doing = LaneDoing::Writing(Some(bisect));
                LaneNext::Do(LaneAction::Write { part: Some(part) })
            }
            None => self.taken(bisect.into_rejected(), policy),
        }
    }

    /// The batch is at the target, but for the rows `found` by bisecting.
    fn taken(&mut self, found: Vec<u32>, policy: LanePolicy) -> LaneNext {
        let work = self.work_mut();
        work.since.rows += u64::from(work.batch.rows);
        work.since.bytes += work.batch.bytes;
        if !work.batch.rejects && found.is_empty() {
            return self.accepted(policy);
        }
        self.doing = LaneDoing::SavingLetters;
        LaneNext::Do(LaneAction::SaveLetters { found })
    }

    /// The batch is dealt with: commit here if it is time and possible.
    fn accepted(&mut self, policy: LanePolicy) -> LaneNext {
        let work = self.work_mut();
        match work.batch.position.take() {
            Some(position) if work.since.bytes >= policy.commit_bytes => self.commit(Progress::At(position)),
            _ => self.read(),
        }
    }

    fn commit(&mut self, progress: Progress) -> LaneNext {
        let delta = self.work_mut().delta(progress);
        self.doing = LaneDoing::Committing(delta.clone());
        LaneNext::Do(LaneAction::Commit { delta, next: None })
    }

    /// What follows once progress is saved.
    pub(super) fn saved(&mut self, progress: &Progress) -> LaneAction {
        match progress {
            Progress::At(position) => {
                self.doing = LaneDoing::Confirming;
                LaneAction::Confirm(position.clone())
            }
            Progress::Done => {
                self.doing = LaneDoing::ClosingReader;
                LaneAction::CloseReader
            }
        }
    }

    /// Whether a failure speaks of a row of the batch at hand, which bisecting can find.
    pub(super) fn can_isolate(&self, policy: LanePolicy) -> bool {
        policy.on_error == OnError::DeadLetter
            && matches!(self.doing, LaneDoing::Writing(_) | LaneDoing::Flushing(_))
    }

    /// Some row of the batch, or of the part just tried, is at fault.
    pub(super) fn isolate(&mut self, failure: Failure) -> LaneAction {
        let bisect = match std::mem::take(&mut self.doing) {
            LaneDoing::Writing(Some(mut bisect)) | LaneDoing::Flushing(Some(mut bisect)) => {
                bisect.refused(failure.row);
                bisect
            }
            _ => Bisect::new(self.work_mut().batch.rows, failure.row),
        };
        self.doing = LaneDoing::Aborting(bisect);
        LaneAction::Abort
    }

    /// Lets go of the split after a failure or a recall. Returns it, for others to work on.
    pub(super) fn close(&mut self, failure: Option<Failure>) -> LaneAction {
        self.doing = LaneDoing::Closing(failure);
        self.has_writer = false;
        LaneAction::Close
    }
}
