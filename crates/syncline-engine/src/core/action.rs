//! What the core asks for, and what it is told.

use std::ops::Range;

use syncline_connect::{ProgressDelta, TargetProgress};
use syncline_state::SavedRun;
use syncline_types::{ErrorKind, Position, Retry, Split, SplitId};

use super::StreamPhase;

/// Who an action is for. Each has at most one action under way; different ones run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The run as a whole.
    Run,
    /// A stream, by its number.
    Stream(usize),
    /// A lane, by its number.
    Lane(usize),
}

/// One action for one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Who it is for.
    pub scope: Scope,
    /// What to do.
    pub action: Action,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Read what the state knows of this pipeline: [`Answer::State`].
    LoadState,
    /// [`syncline_connect::Sink::lock`]: [`Answer::Epoch`].
    Lock {
        /// The highest epoch that the state knows.
        epoch_min: u64,
    },
    /// [`syncline_connect::Sink::progress`]: [`Answer::Target`].
    LoadTarget,
    /// [`syncline_connect::Sink::close`].
    CloseTarget,
    /// Save a new run in the place of any that the state has.
    CreateRun {
        /// Its id.
        run: String,
        /// Its first epoch.
        epoch: u64,
    },
    /// Save that an unfinished run goes on under another epoch, and what only the target knew.
    ResumeRun {
        /// The run's id.
        run: String,
        /// The epoch it goes on under.
        epoch: u64,
        /// Progress that the state lacks.
        deltas: Vec<ProgressDelta>,
        /// Streams that are published, by their number. Were they not saved here, the knowledge
        /// would be gone once the target is closed.
        published: Vec<u32>,
    },
    /// [`syncline_connect::Source::begin`], in the place of any session.
    BeginSession,
    /// Save that the run is finished.
    FinishRun,
    /// Come back after so long.
    Wait {
        /// Milliseconds.
        millis: u64,
    },
    /// For a stream.
    Stream(StreamAction),
    /// For a lane.
    Lane(LaneAction),
}

/// What is to be done for one stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamAction {
    /// [`syncline_connect::Sink::apply`] for everything planned before the first row.
    Prepare,
    /// [`syncline_connect::Sink::reset`].
    ResetTarget,
    /// Forget the stream's splits and their progress.
    ResetState,
    /// The next split behind the last one known: [`Answer::Planned`].
    PlanSplit {
        /// The last split known.
        after: Option<Split>,
    },
    /// Save a split before it is read.
    SaveSplit(Split),
    /// Save that there are no more splits.
    SavePlanned,
    /// [`syncline_connect::Sink::finish`].
    Finish,
    /// Save how far the stream is.
    SavePhase(StreamPhase),
    /// Remove what the source no longer has from the table that is published: [`Answer::Removed`]. What
    /// this run has removed before is not done again.
    RemoveVanished,
}

/// What is to be done on one lane.
#[derive(Clone, Debug, PartialEq)]
pub enum LaneAction {
    /// [`syncline_connect::Sink::writer`].
    OpenWriter,
    /// Forget dead letters of a split that were saved by an attempt that did not commit.
    ForgetLetters {
        /// The stream's number.
        stream: usize,
        /// The split.
        split: SplitId,
        /// Where the attempt began.
        at: Option<Position>,
    },
    /// [`syncline_connect::Session::open`].
    OpenReader {
        /// The stream's number.
        stream: usize,
        /// The split.
        split: Split,
        /// Where to begin.
        at: Option<Position>,
    },
    /// The next batch, with the steps applied: [`Answer::Batch`], [`Answer::Idle`] or [`Answer::End`].
    Read,
    /// Write the batch that was read, or a part of it: [`Answer::Written`].
    Write {
        /// The rows; `None` for all.
        part: Option<Range<u32>>,
    },
    /// Write again the rows that the last write was told to send again: [`Answer::Written`].
    WriteAgain,
    /// [`syncline_connect::Writer::flush`].
    Flush,
    /// [`syncline_connect::Writer::abort`].
    Abort,
    /// Save the batch's rejected rows as dead letters, those known from reading and writing and
    /// these: [`Answer::Lettered`].
    SaveLetters {
        /// Rows of the batch found by bisecting.
        found: Vec<u32>,
    },
    /// [`syncline_connect::Writer::commit`].
    Commit {
        /// What becomes durable.
        delta: ProgressDelta,
        /// The split that the lane reads next, by its stream. It may be opened meanwhile, so that
        /// nobody waits for the first rows later; if that fails, nothing has happened.
        next: Option<(usize, Split)>,
    },
    /// Save progress that the target has committed.
    SaveProgress(ProgressDelta),
    /// [`syncline_connect::Reader::confirm`].
    Confirm(Position),
    /// Drop the reader.
    CloseReader,
    /// Drop reader and writer.
    Close,
    /// [`syncline_connect::Sink::progress`], after a failure whose outcome is unknown: [`Answer::Target`].
    Reload,
}

impl Action {
    /// What it is called in the log. What it carries may hold keys of rows, and those are not logged.
    pub fn name(&self) -> &'static str {
        match self {
            Action::LoadState => "load state",
            Action::Lock { .. } => "lock",
            Action::LoadTarget => "load target",
            Action::CloseTarget => "close target",
            Action::CreateRun { .. } => "create run",
            Action::ResumeRun { .. } => "resume run",
            Action::BeginSession => "begin session",
            Action::FinishRun => "finish run",
            Action::Wait { .. } => "wait",
            Action::Stream(StreamAction::Prepare) => "prepare",
            Action::Stream(StreamAction::ResetTarget) => "reset target",
            Action::Stream(StreamAction::ResetState) => "reset state",
            Action::Stream(StreamAction::PlanSplit { .. }) => "plan split",
            Action::Stream(StreamAction::SaveSplit(_)) => "save split",
            Action::Stream(StreamAction::SavePlanned) => "save planned",
            Action::Stream(StreamAction::Finish) => "finish",
            Action::Stream(StreamAction::SavePhase(_)) => "save phase",
            Action::Stream(StreamAction::RemoveVanished) => "remove vanished rows",
            Action::Lane(LaneAction::OpenWriter) => "open writer",
            Action::Lane(LaneAction::ForgetLetters { .. }) => "forget letters",
            Action::Lane(LaneAction::OpenReader { .. }) => "open reader",
            Action::Lane(LaneAction::Read) => "read",
            Action::Lane(LaneAction::Write { .. }) => "write",
            Action::Lane(LaneAction::WriteAgain) => "write again",
            Action::Lane(LaneAction::Flush) => "flush",
            Action::Lane(LaneAction::Abort) => "abort",
            Action::Lane(LaneAction::SaveLetters { .. }) => "save letters",
            Action::Lane(LaneAction::Commit { .. }) => "commit",
            Action::Lane(LaneAction::SaveProgress(_)) => "save progress",
            Action::Lane(LaneAction::Confirm(_)) => "confirm",
            Action::Lane(LaneAction::CloseReader) => "close reader",
            Action::Lane(LaneAction::Close) => "close",
            Action::Lane(LaneAction::Reload) => "reload",
        }
    }
}

/// How an action ended.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose action it was.
    pub scope: Scope,
    /// What came of it.
    pub outcome: Result<Answer, Failure>,
}

/// What came of an action.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// What the state knows.
    State(Option<SavedRun>),
    /// The epoch taken.
    Epoch(u64),
    /// What the target knows; `None` when it keeps no progress.
    Target(Option<TargetProgress>),
    /// The next split, or that there are no more.
    Planned(Option<Split>),
    /// So many rows have been removed in this run.
    Removed(u64),
    /// A batch was read and the steps have run.
    Batch {
        /// Rows left after the steps.
        rows: u32,
        /// Bytes of the batch.
        bytes: u64,
        /// Where reading can go on after it.
        position: Option<Position>,
        /// The first row that could not be read or failed in a step.
        rejected: Option<Failure>,
    },
    /// Nothing for now.
    Idle(Position),
    /// The split is read.
    End,
    /// The target has taken the rows, but for these.
    Written {
        /// The first row it refused for good.
        refused: Option<Failure>,
        /// It wants some rows again after so many milliseconds; the error should that never end.
        again: Option<(u64, Failure)>,
    },
    /// Dead letters are saved.
    Lettered {
        /// Rows that failed in the reader or in a step, and so were not in the batch.
        before: u32,
        /// Rows of the batch that the target refused.
        refused: u32,
    },
}

/// What the core has to know of an error. The shell keeps the error itself under `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Names the error to the shell.
    pub id: usize,
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whether trying again may help.
    pub retry: Retry,
    /// The row at fault, counted within what was written since the last flush.
    pub row: Option<u32>,
}
