//! A whole run: how it begins, which lane works on what, what a failure leads to, when it ends.

use syncline_connect::{ProgressDelta, WriteMode};
use syncline_state::SavedRun;
use syncline_types::{ErrorKind, Progress, Retry, Split, SplitId};

use super::{
    Action, Answer, Event, Failure, Job, LaneAction, Scope, Step, StreamAction, StreamPhase, StreamView,
    backoff::Jitter,
    lane::{Lane, LaneDoing, LaneNext, LanePolicy, Work},
    start::{Resume, Start, decide},
    stream::{Removal, Stream, StreamDoing, StreamFailure},
};

pub use super::start::Refusal;

/// Splits planned ahead of the lanes, so that none waits for planning.
const SPLITS_AHEAD: usize = 2;

/// The decisions of one run in one process.
#[derive(Debug)]
pub struct Core {
    job: Job,
    phase: Phase,
    streams: Vec<Stream>,
    lanes: Vec<Lane>,
    run: String,
    epoch: u64,
    saved: Option<SavedRun>,
    session: Session,
    jitter: Jitter,
    out: Vec<Step>,
    ending: Option<Ending>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every stream is published.
    Done,
    /// Some streams failed; [`StreamView::failed`] says why. The others are published.
    StreamsFailed,
    /// The run as a whole cannot go on.
    Failed(Failure),
    /// It was not begun.
    Refused(Refusal),
    /// It was asked to stop.
    Interrupted,
}

/// Where the run as a whole is.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    LoadingState,
    Locking,
    LoadingTarget,
    CleaningTarget,
    LockingAgain,
    Creating,
    Resuming,
    Copying,
    ClosingTarget,
    Finishing,
    Ended,
}

/// The source's snapshot.
#[derive(Debug, Default)]
struct Session {
    open: bool,
    /// What is under way: beginning, or pausing before it begins.
    busy: Option<SessionDoing>,
    /// Lanes are recalled because the snapshot is gone.
    renewing: bool,
    /// How many have been begun by this process.
    begun: u32,
    /// Failures without any commit between them.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum SessionDoing {
    Beginning,
    Pausing,
}

impl Core {
    /// Begins; the first thing to do is returned.
    pub fn start(job: Job) -> (Core, Vec<Step>) {
        let core = Core {
            phase: Phase::LoadingState,
            streams: job.streams.iter().map(|stream| Stream::new(*stream)).collect(),
            lanes: (0..job.lanes.max(1)).map(|_| Lane::default()).collect(),
            run: job.run_new.clone(),
            epoch: 0,
            saved: None,
            session: Session::default(),
            jitter: Jitter(job.seed),
            out: vec![],
            ending: None,
            job,
        };
        (core, vec![Step { scope: Scope::Run, action: Action::LoadState }])
    }

    /// Takes what came of an action; returns what to do next.
    pub fn on(&mut self, event: Event) -> Vec<Step> {
        if self.ending.is_none() {
            match (event.scope, event.outcome) {
                (Scope::Run, Ok(answer)) => self.run_done(answer),
                (Scope::Run, Err(failure)) => self.run_failed(failure),
                (Scope::Stream(stream), Ok(answer)) => self.stream_done(stream, answer),
                (Scope::Stream(stream), Err(failure)) => self.stream_step_failed(stream, failure),
                (Scope::Lane(lane), Ok(answer)) => self.lane_done(lane, answer),
                (Scope::Lane(lane), Err(failure)) => self.lane_failed(lane, failure),
            }
        }
        if self.phase == Phase::Copying && self.ending.is_none() {
            self.pump();
        }
        std::mem::take(&mut self.out)
    }

    /// Ends the run here. Nothing is lost: the same command goes on with it.
    pub fn interrupt(&mut self) {
        self.end(Ending::Interrupted);
    }

    /// How it ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// How far each stream is.
    pub fn views(&self) -> Vec<StreamView> {
        self.streams.iter().map(Stream::view).collect()
    }

    /// The run's id: a new one, or that of the run which goes on.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The epoch taken by this process.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many snapshots this process has read from.
    pub fn snapshots(&self) -> u32 {
        self.session.begun
    }

    fn end(&mut self, ending: Ending) {
        self.phase = Phase::Ended;
        self.ending.get_or_insert(ending);
        self.out.clear();
    }

    fn act(&mut self, scope: Scope, action: Action) {
        self.out.push(Step { scope, action });
    }

    fn lane_act(&mut self, lane: usize, action: LaneAction) {
        self.act(Scope::Lane(lane), Action::Lane(action));
    }

    fn stream_act(&mut self, stream: usize, doing: StreamDoing, action: StreamAction) {
        self.streams[stream].doing = doing;
        self.act(Scope::Stream(stream), Action::Stream(action));
    }

    fn policy(&self) -> LanePolicy {
        LanePolicy {
            on_error: self.job.on_error,
            commit_bytes: self.job.commit_bytes,
            attempts_max: self.job.retry.attempts_max,
        }
    }
}

/// Beginning and ending.
impl Core {
    fn run_done(&mut self, answer: Answer) {
        match (self.phase.clone(), answer) {
            (Phase::LoadingState, Answer::State(saved)) => {
                let epoch_min = saved.as_ref().map_or(0, |saved| saved.epoch);
                self.saved = saved;
                self.phase = Phase::Locking;
                self.act(Scope::Run, Action::Lock { epoch_min });
            }
            (Phase::Locking, Answer::Epoch(epoch)) => {
                self.epoch = epoch;
                self.phase = Phase::LoadingTarget;
                self.act(Scope::Run, Action::LoadTarget);
            }
            (Phase::LoadingTarget, Answer::Target(target)) => {
                match decide(&self.job, self.saved.as_ref(), target.as_ref()) {
                    Start::Refuse(refusal) => self.end(Ending::Refused(refusal)),
                    Start::New { clean: true } => {
                        self.phase = Phase::CleaningTarget;
                        self.act(Scope::Run, Action::CloseTarget);
                    }
                    Start::New { clean: false } => self.create(),
                    Start::Resume(resume) => self.resume(resume),
                }
            }
            (Phase::CleaningTarget, _) => {
                // What was cleared away holds the epoch too.
                self.phase = Phase::LockingAgain;
                self.act(Scope::Run, Action::Lock { epoch_min: self.epoch });
            }
            (Phase::LockingAgain, Answer::Epoch(epoch)) => {
                self.epoch = epoch;
                self.create();
            }
            (Phase::Creating | Phase::Resuming, _) => self.phase = Phase::Copying,
            (Phase::Copying, _) => self.session_done(),
            (Phase::ClosingTarget, _) => {
                self.phase = Phase::Finishing;
                self.act(Scope::Run, Action::FinishRun);
            }
            (Phase::Finishing, _) => self.end(Ending::Done),
            // The answer is not named: it may hold keys of rows.
            (phase, _) => unreachable!("{phase:?} cannot end with such an answer"),
        }
    }

    fn create(&mut self) {
        self.phase = Phase::Creating;
        let (run, epoch) = (self.run.clone(), self.epoch);
        self.act(Scope::Run, Action::CreateRun { run, epoch });
    }

    fn resume(&mut self, resume: Resume) {
        let saved = self.saved.take().expect("only a saved run is resumed");
        for (stream, saved) in self.streams.iter_mut().zip(&saved.streams) {
            stream.restore(saved);
        }
        for (number, stream) in self.streams.iter_mut().enumerate() {
            let id = u32::try_from(number).expect("streams are numbered in 32 bits");
            for (split, state) in &mut stream.splits {
                state.row = resume.rows.get(&(id, *split)).cloned();
            }
            if resume.published.contains(&number) {
                stream.phase = StreamPhase::Published;
            }
            stream.rows_resumed = stream.rows();
            // Where a snapshot or the staging is lost, the stream begins again before anything else.
            stream.needs_reset = stream.bound_to_snapshot() || resume.reset.contains(&number);
        }
        self.run.clone_from(&saved.run);
        self.phase = Phase::Resuming;
        let published = resume
            .published
            .iter()
            .map(|number| u32::try_from(*number).expect("streams are numbered in 32 bits"))
            .collect();
        let (run, epoch, deltas) = (saved.run, self.epoch, resume.deltas);
        self.act(Scope::Run, Action::ResumeRun { run, epoch, deltas, published });
    }

    fn run_failed(&mut self, failure: Failure) {
        // Only the session's beginning is tried again: the rest of a start is seen by the user.
        if self.phase != Phase::Copying || failure.retry == Retry::Never {
            return self.end(Ending::Failed(failure));
        }
        self.session.busy = None;
        self.session.failures += 1;
        if self.session.failures > self.job.retry.attempts_max {
            return self.end(Ending::Failed(failure));
        }
        let millis = self.job.retry.pause_millis(self.session.failures, &mut self.jitter);
        self.session.busy = Some(SessionDoing::Pausing);
        self.act(Scope::Run, Action::Wait { millis });
    }

    fn session_done(&mut self) {
        match self.session.busy.take() {
            Some(SessionDoing::Beginning) => {
                self.session.open = true;
                self.session.begun += 1;
            }
            Some(SessionDoing::Pausing) | None => {}
        }
    }

    /// The snapshot is gone: everybody stops, a new one is taken, and streams that cannot go on in
    /// another snapshot begin again.
    fn renew_session(&mut self) {
        self.session.renewing = true;
        self.session.open = false;
        for lane in &mut self.lanes {
            lane.recalled = true;
        }
    }

    fn all_quiet(&self) -> bool {
        self.lanes.iter().all(|lane| matches!(lane.doing, LaneDoing::Nothing))
            && self.streams.iter().all(|stream| stream.doing == StreamDoing::Nothing)
    }
}

/// Finding work.
impl Core {
    /// Gives every free lane and stream its next action.
    fn pump(&mut self) {
        if self.session.renewing {
            if !self.all_quiet() {
                return;
            }
            self.session.renewing = false;
            for lane in 0..self.lanes.len() {
                self.lanes[lane].recalled = false;
                self.release_next(lane);
            }
            for stream in &mut self.streams {
                stream.needs_reset |= stream.bound_to_snapshot();
            }
        }
        for stream in 0..self.streams.len() {
            self.advance_stream(stream);
        }
        if self.streams.iter().all(Stream::settled) && self.all_quiet() {
            return self.conclude();
        }
        if self.streams.iter().all(|stream| stream.published() || stream.failed.is_some()) && self.all_quiet()
        {
            return self.remove_vanished();
        }
        let reading_left = self.streams.iter().any(Stream::wants_reading);
        if reading_left && !self.session.open && self.session.busy.is_none() {
            self.session.busy = Some(SessionDoing::Beginning);
            self.act(Scope::Run, Action::BeginSession);
        }
        if self.session.open {
            self.assign_lanes();
        }
    }

    /// What a stream needs that does not depend on free lanes.
    fn advance_stream(&mut self, number: usize) {
        let stream = &self.streams[number];
        if stream.doing != StreamDoing::Nothing || stream.failed.is_some() || stream.published() {
            return;
        }
        if stream.needs_reset {
            return self.stream_act(number, StreamDoing::ResettingTarget, StreamAction::ResetTarget);
        }
        if !stream.all_done() {
            return;
        }
        let emptied = stream.job.write == WriteMode::Overwrite && stream.rows() == 0;
        if emptied && stream.job.target_has_rows && !self.job.allow_empty {
            self.streams[number].failed = Some(StreamFailure::EmptySource);
            return;
        }
        if stream.prepared {
            self.stream_act(number, StreamDoing::Finishing, StreamAction::Finish);
        } else {
            self.stream_act(number, StreamDoing::Preparing, StreamAction::Prepare);
        }
    }

    /// Everything is published: one stream after the other loses what its source no longer has, the last
    /// first, for it is more likely to refer to one before it than the other way round.
    fn remove_vanished(&mut self) {
        let done = self.streams.iter().filter(|stream| matches!(stream.removal, Removal::Done(_))).count();
        let again = |removal: Removal| match removal {
            Removal::Failed { others_done, .. } => others_done < done,
            Removal::Open | Removal::Done(_) => true,
        };
        let open = (0..self.streams.len()).rev().filter(|number| self.streams[*number].removes());
        let open: Vec<usize> = open.collect();
        if let Some(number) = open.iter().find(|number| again(self.streams[**number].removal)) {
            return self.stream_act(*number, StreamDoing::Removing, StreamAction::RemoveVanished);
        }
        for number in open {
            if let Removal::Failed { failure, .. } = self.streams[number].removal {
                self.fail_stream(number, failure);
            }
        }
        self.conclude();
    }

    /// Gives free lanes their splits, in the order of the streams, and keeps some splits planned.
    fn assign_lanes(&mut self) {
        for lane in 0..self.lanes.len() {
            self.begin_reserved(lane);
        }
        let mut free: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].idle()).collect();
        // Streams further down are touched only while lanes would otherwise have nothing to do.
        let mut unserved = free.len();
        for number in 0..self.streams.len() {
            let active = self.streams[number].splits.values().any(|split| split.lane.is_some());
            if unserved == 0 && !active {
                break;
            }
            if !self.streams[number].wants_reading() || self.streams[number].needs_reset {
                continue;
            }
            if !self.streams[number].prepared {
                if self.streams[number].doing == StreamDoing::Nothing {
                    self.stream_act(number, StreamDoing::Preparing, StreamAction::Prepare);
                }
                unserved = unserved.saturating_sub(1);
                continue;
            }
            while let (Some(lane), Some(split)) = (free.last().copied(), self.streams[number].next_pending())
            {
                free.pop();
                unserved = unserved.saturating_sub(1);
                self.begin_split(lane, number, split);
            }
            if self.plan_ahead(number) {
                unserved = unserved.saturating_sub(1);
            }
        }
    }

    /// Begins the split that was set aside for a lane, if its stream still goes on.
    fn begin_reserved(&mut self, lane: usize) {
        if !self.lanes[lane].idle() {
            return;
        }
        if let Some((stream, split)) = self.lanes[lane].next {
            self.release_next(lane);
            if self.streams[stream].wants_reading() && !self.streams[stream].needs_reset {
                self.begin_split(lane, stream, split);
            }
        }
    }

    fn begin_split(&mut self, lane: usize, stream: usize, split: SplitId) {
        let policy = self.policy();
        let state = self.streams[stream].splits.get_mut(&split).expect("the split is pending");
        state.lane = Some(lane);
        let work = Work::new(stream, state.split.clone(), state.row.as_ref());
        let action = self.lanes[lane].begin(work, policy);
        self.lane_act(lane, action);
    }

    /// Plans one more split where too few wait. True when planning is under way.
    fn plan_ahead(&mut self, number: usize) -> bool {
        let stream = &self.streams[number];
        if stream.planned {
            return false;
        }
        if stream.doing == StreamDoing::Nothing && stream.pending().count() < SPLITS_AHEAD {
            let after = stream.splits.values().next_back().map(|state| state.split.clone());
            self.stream_act(number, StreamDoing::Planning, StreamAction::PlanSplit { after });
        }
        true
    }

    /// Nothing is left to do.
    fn conclude(&mut self) {
        if self.streams.iter().all(|stream| stream.published() && stream.failed.is_none()) {
            self.phase = Phase::ClosingTarget;
            self.act(Scope::Run, Action::CloseTarget);
        } else {
            self.end(Ending::StreamsFailed);
        }
    }
}

/// What comes of a stream's actions.
impl Core {
    fn stream_done(&mut self, number: usize, answer: Answer) {
        let stream = &mut self.streams[number];
        let doing = std::mem::replace(&mut stream.doing, StreamDoing::Nothing);
        if !matches!(doing, StreamDoing::Pausing) {
            stream.failures = 0;
        }
        match (doing, answer) {
            (StreamDoing::Preparing, _) => stream.prepared = true,
            (StreamDoing::ResettingTarget, _) => {
                self.stream_act(number, StreamDoing::ResettingState, StreamAction::ResetState);
            }
            (StreamDoing::ResettingState, _) => stream.clear(),
            (StreamDoing::Planning, Answer::Planned(Some(split))) => {
                self.stream_act(
                    number,
                    StreamDoing::SavingSplit(split.clone()),
                    StreamAction::SaveSplit(split),
                );
            }
            (StreamDoing::Planning, _) => {
                self.stream_act(number, StreamDoing::SavingPlanned, StreamAction::SavePlanned);
            }
            (StreamDoing::SavingSplit(split), _) => stream.add(split),
            (StreamDoing::SavingPlanned, _) => stream.planned = true,
            (StreamDoing::Finishing, _) => self.stream_act(
                number,
                StreamDoing::SavingPublished,
                StreamAction::SavePhase(StreamPhase::Published),
            ),
            (StreamDoing::SavingPublished, _) => stream.phase = StreamPhase::Published,
            (StreamDoing::Removing, Answer::Removed(rows)) => stream.removal = Removal::Done(rows),
            (StreamDoing::Removing, _) => unreachable!("a removal says how many rows it removed"),
            (StreamDoing::Pausing | StreamDoing::Nothing, _) => {}
        }
    }

    fn stream_step_failed(&mut self, number: usize, failure: Failure) {
        let stream = &mut self.streams[number];
        let doing = std::mem::replace(&mut stream.doing, StreamDoing::Nothing);
        if doing.saves_state() || ends_run(failure.kind) {
            return self.end(Ending::Failed(failure));
        }
        if failure.kind == ErrorKind::PositionLost {
            stream.failures += 1;
            if stream.failures <= self.job.retry.attempts_max {
                return self.renew_session();
            }
        } else if failure.retry == Retry::Backoff {
            stream.failures += 1;
            if stream.failures <= self.job.retry.attempts_max {
                let millis = self.job.retry.pause_millis(stream.failures, &mut self.jitter);
                stream.doing = StreamDoing::Pausing;
                return self.act(Scope::Stream(number), Action::Wait { millis });
            }
        }
        if doing == StreamDoing::Removing {
            let done =
                self.streams.iter().filter(|stream| matches!(stream.removal, Removal::Done(_))).count();
            self.streams[number].removal = Removal::Failed { failure, others_done: done };
            return;
        }
        self.fail_stream(number, failure);
    }

    /// The stream does not go on in this process; lanes that work on it let go of it.
    fn fail_stream(&mut self, number: usize, failure: Failure) {
        self.streams[number].failed.get_or_insert(StreamFailure::Failed(failure));
        for lane in &mut self.lanes {
            if lane.work.as_ref().is_some_and(|work| work.stream == number) {
                lane.recalled = true;
            }
        }
    }
}

/// What comes of a lane's actions.
impl Core {
    fn lane_done(&mut self, number: usize, answer: Answer) {
        let policy = self.policy();
        match std::mem::take(&mut self.lanes[number].doing) {
            LaneDoing::Closing(failure) => self.lane_closed(number, failure),
            LaneDoing::Pausing => {
                self.lanes[number].doing = LaneDoing::Reloading;
                self.lane_act(number, LaneAction::Reload);
            }
            LaneDoing::Reloading => self.lane_reloaded(number, answer),
            LaneDoing::SavingReloaded(delta) => {
                self.take_progress(&delta);
                self.release_split(number);
            }
            doing => {
                self.lanes[number].doing = doing;
                let next = self.lanes[number].on(answer, policy);
                self.lane_next(number, next);
            }
        }
    }

    fn lane_next(&mut self, number: usize, next: LaneNext) {
        let action = match next {
            LaneNext::Saved(delta) => {
                self.take_progress(&delta);
                self.session.failures = 0;
                Some(self.lanes[number].saved(&delta.row.progress))
            }
            LaneNext::Do(LaneAction::Commit { delta, .. }) => {
                let next = self.reserve_next(number, &delta);
                Some(LaneAction::Commit { delta, next })
            }
            LaneNext::Do(action) => Some(action),
            LaneNext::Wait(millis) if !self.lanes[number].recalled => {
                return self.act(Scope::Lane(number), Action::Wait { millis });
            }
            LaneNext::Wait(_) | LaneNext::Free => None,
            LaneNext::Fail(failure) => return self.lane_failed(number, failure),
        };
        match action {
            // What is committed is also saved before the lane lets go.
            Some(action @ LaneAction::SaveProgress(_)) => self.lane_act(number, action),
            _ if self.lanes[number].recalled => {
                let action = self.lanes[number].close(None);
                self.lane_act(number, action);
            }
            Some(action) => self.lane_act(number, action),
            None => {}
        }
    }

    fn take_progress(&mut self, delta: &ProgressDelta) {
        let stream = &mut self.streams[delta.stream as usize];
        if let Some(split) = stream.splits.get_mut(&delta.split) {
            split.row = Some(delta.row.clone());
            if delta.row.progress == Progress::Done {
                split.lane = None;
            }
        }
    }

    fn lane_failed(&mut self, number: usize, failure: Failure) {
        let policy = self.policy();
        let lane = &mut self.lanes[number];
        if lane.saves_state() || ends_run(failure.kind) {
            return self.end(Ending::Failed(failure));
        }
        if failure.kind == ErrorKind::Value && lane.can_isolate(policy) && !lane.recalled {
            let action = lane.isolate(failure);
            return self.lane_act(number, action);
        }
        let action = lane.close(Some(failure));
        self.lane_act(number, action);
    }

    /// Reader and writer are gone. What was committed last may not be known: the target is asked.
    fn lane_closed(&mut self, number: usize, failure: Option<Failure>) {
        let Some(failure) = failure else {
            // Recalled between two actions of its own, so everything committed is known.
            return self.release_split(number);
        };
        let stream = self.lanes[number].work.as_ref().map(|work| work.stream);
        if failure.kind == ErrorKind::PositionLost {
            self.session.failures += 1;
            if self.session.failures <= self.job.retry.attempts_max {
                self.renew_session();
                return self.release_split(number);
            }
        } else if failure.retry == Retry::Backoff {
            self.lanes[number].failures += 1;
            let failures = self.lanes[number].failures;
            if failures <= self.job.retry.attempts_max {
                let millis = self.job.retry.pause_millis(failures, &mut self.jitter);
                self.lanes[number].doing = LaneDoing::Pausing;
                return self.act(Scope::Lane(number), Action::Wait { millis });
            }
        }
        if let Some(stream) = stream {
            self.fail_stream(stream, failure);
        }
        self.release_split(number);
    }

    fn lane_reloaded(&mut self, number: usize, answer: Answer) {
        let Some(work) = &self.lanes[number].work else { return };
        let (stream, split) = (work.stream, work.split_id());
        let id = u32::try_from(stream).expect("streams are numbered in 32 bits");
        let Answer::Target(Some(target)) = answer else {
            return self.release_split(number);
        };
        let known = self.streams[stream].splits.get(&split).and_then(|state| state.row.as_ref());
        match target.splits.get(&(id, split)) {
            Some(row) if known != Some(row) => {
                let delta = ProgressDelta { stream: id, split, row: row.clone() };
                self.lanes[number].doing = LaneDoing::SavingReloaded(delta.clone());
                self.lane_act(number, LaneAction::SaveProgress(delta));
            }
            _ => self.release_split(number),
        }
    }

    /// Sets a split aside for a lane that is about to finish one, if there is one ready.
    fn reserve_next(&mut self, number: usize, delta: &ProgressDelta) -> Option<(usize, Split)> {
        if delta.row.progress != Progress::Done || self.lanes[number].recalled || self.session.renewing {
            return None;
        }
        let ready = |stream: &Stream| stream.prepared && stream.wants_reading() && !stream.needs_reset;
        let (stream, split) = self.streams.iter().enumerate().find_map(|(stream, state)| {
            state.next_pending().filter(|_| ready(state)).map(|split| (stream, split))
        })?;
        let state = self.streams[stream].splits.get_mut(&split)?;
        state.lane = Some(number);
        self.lanes[number].next = Some((stream, split));
        // What is half done is opened at its place, once the lane gets to it.
        state.row.is_none().then(|| (stream, state.split.clone()))
    }

    /// Gives back what was set aside for a lane.
    fn release_next(&mut self, number: usize) {
        if let Some((stream, split)) = self.lanes[number].next.take()
            && let Some(state) = self.streams[stream].splits.get_mut(&split)
        {
            state.lane = None;
        }
    }

    /// The lane's split is free for any lane, from where it durably stands.
    fn release_split(&mut self, number: usize) {
        self.release_next(number);
        let lane = &mut self.lanes[number];
        lane.doing = LaneDoing::Nothing;
        lane.recalled = self.session.renewing;
        if let Some(work) = lane.work.take()
            && let Some(split) = self.streams[work.stream].splits.get_mut(&work.split_id())
        {
            split.lane = None;
        }
    }
}

/// Failures after which nothing in this process should go on.
fn ends_run(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Fenced | ErrorKind::Interrupted | ErrorKind::Internal)
}
