//! One process of the engine, whose actions are done one by one in any order.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use syncline_config::Deletes;
use syncline_connect::{Read, Replace, Sink, Target, Task, WriteMode};
use syncline_engine::{
    core::{Action, Answer, Core, Ending, Event, Job, LaneAction, Scope, Step, StreamAction},
    incremental::{Cursor, Kind},
    shell::{Incremental, LaneState, ReadBack, StreamState, StreamWork, Work},
};
use syncline_steps::Chain;
use syncline_types::{LogicalType, Result};

use super::{
    back::SimBack,
    sink::SimSink,
    source::{SimSource, stream},
    store::SimStore,
    world::{Mistake, Shared},
};

pub(crate) struct Process {
    world: Shared,
    work: Work,
    core: Core,
    pending: Vec<Step>,
    streams: HashMap<usize, StreamState>,
    lanes: HashMap<usize, LaneState>,
    /// Who it is to the target's lock.
    me: u64,
    /// Letters that a mistaken engine saves too late, by lane.
    late_letters: HashMap<usize, LaneAction>,
    /// It has ended in the middle of an action.
    pub(crate) crashed: bool,
}

/// Simulated futures never wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a simulated future waits for nobody"),
    }
}

impl Process {
    pub(crate) fn start(world: &Shared, job: Job, chunk_rows: u64) -> Self {
        let mut streams: Vec<StreamWork> = {
            let world = world.get();
            let tables = world.tables.iter().enumerate();
            tables.map(|(number, table)| stream_work(number, table, chunk_rows)).collect()
        };
        let state = world.get().states.len() - 1;
        let sink = SimSink::new(world);
        let me = sink.me();
        let targets: Vec<Arc<Target>> = streams.iter().map(|stream| Arc::clone(&stream.target)).collect();
        for (stream, plan) in streams.iter_mut().zip(now(sink.plan(&targets)).unwrap()) {
            stream.before = plan.before;
        }
        let mut work = Work::new(
            "p".into(),
            ("sim:".into(), "sim:".into()),
            job.fingerprint.clone(),
            Arc::new(SimSource(world.clone(), state)),
            Arc::new(sink),
            Arc::new(SimStore(world.clone(), state)),
            None,
            streams,
        );
        work.read_back = Some(ReadBack {
            opener: Arc::new(SimBack(world.clone())),
            scratch: std::env::temp_dir().join(format!("syncline-sim-{}-{me}", std::process::id())),
            allow_empty: true,
        });
        let (core, pending) = Core::start(job);
        Process {
            world: world.clone(),
            work,
            core,
            pending,
            streams: HashMap::new(),
            lanes: HashMap::new(),
            me,
            late_letters: HashMap::new(),
            crashed: false,
        }
    }

    /// Does one of the actions under way. `None` once the run has ended.
    pub(crate) fn step(&mut self) -> Option<()> {
        if self.core.ending().is_some() || self.pending.is_empty() {
            return None;
        }
        let pick = self.world.get().dice.below(self.pending.len() as u64) as usize;
        let Step { scope, action } = self.pending.swap_remove(pick);
        let shown = std::env::var("SYNCLINE_TRACE").is_ok().then(|| format!("{scope:?} {action:?}"));
        let result = self.perform(scope, action);
        if let Some(shown) = shown {
            println!("  {shown} -> {result:?}");
        }
        let outcome = result.map_err(|error| self.work.failure(error));
        self.pending.extend(self.core.on(Event { scope, outcome }));
        Some(())
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.core.ending()
    }

    /// Whether it has begun to copy, and needs the target's lock no more.
    pub(crate) fn copies(&self) -> bool {
        self.core.snapshots() > 0
    }

    pub(crate) fn explain(&self) -> String {
        let errors: Vec<String> = match self.core.ending() {
            Some(Ending::Failed(failure)) => vec![self.work.error(failure).to_string()],
            _ => self
                .core
                .views()
                .iter()
                .filter_map(|view| match view.failed {
                    Some(syncline_engine::core::StreamFailure::Failed(failure)) => {
                        Some(self.work.error(failure).to_string())
                    }
                    _ => None,
                })
                .collect(),
        };
        format!("{:?} {}", self.core.ending(), errors.join("; "))
    }

    /// Its connection to the target's lock breaks, and it does not know yet.
    pub(crate) fn lose_lock(&self) {
        self.world.get().target.let_go(self.me);
    }

    fn perform(&mut self, scope: Scope, action: Action) -> Result<Answer> {
        let answer = self.planted(scope, &action);
        if let Some(answer) = answer {
            return answer;
        }
        match (scope, action) {
            (_, Action::Wait { .. }) => Ok(Answer::Done),
            (Scope::Lane(lane), Action::Lane(action)) => {
                let state = self.lanes.entry(lane).or_default();
                now(self.work.perform_lane(state, action))
            }
            (Scope::Stream(number), Action::Stream(action)) => {
                let state = self.streams.entry(number).or_default();
                now(self.work.perform_stream(number, state, action))
            }
            (_, action) => now(self.work.perform_run(action)),
        }
    }

    /// What an engine with a mistake does instead.
    fn planted(&mut self, scope: Scope, action: &Action) -> Option<Result<Answer>> {
        let mistake = self.world.get().mistake?;
        match (mistake, scope, action) {
            (
                Mistake::StateBeforeCommit,
                Scope::Lane(lane),
                Action::Lane(LaneAction::Commit { delta, .. }),
            ) => {
                let state = self.lanes.entry(lane).or_default();
                let saved = now(self.work.perform_lane(state, LaneAction::SaveProgress(delta.clone())));
                self.crashed = self.world.get().dice.chance(100);
                saved.err().map(Err).or_else(|| self.crashed.then_some(Ok(Answer::Done)))
            }
            (
                Mistake::ConfirmBeforeCommit,
                Scope::Lane(lane),
                Action::Lane(LaneAction::Commit { delta, .. }),
            ) => {
                if let syncline_types::Progress::At(position) = &delta.row.progress {
                    let state = self.lanes.entry(lane).or_default();
                    let confirm = LaneAction::Confirm(position.clone());
                    return now(self.work.perform_lane(state, confirm)).err().map(Err);
                }
                None
            }
            (Mistake::TrustState, _, Action::LoadTarget)
            | (Mistake::CommitAssumedFailed, _, Action::Lane(LaneAction::Reload)) => {
                let saved = now(self.work.store.load("p")).ok().flatten();
                Some(now(self.work.sink.progress("p")).map(|target| {
                    Answer::Target(target.map(|mut target| {
                        target.splits.clear();
                        for (number, stream) in
                            saved.iter().flat_map(|saved| saved.streams.iter().enumerate())
                        {
                            for split in &stream.splits {
                                if let Some(row) = &split.row {
                                    target.splits.insert((number as u32, split.split.id), row.clone());
                                }
                            }
                        }
                        target
                    }))
                }))
            }
            (Mistake::SplitsForgotten, _, Action::Stream(StreamAction::PlanSplit { after: Some(_) })) => {
                self.world.get().dice.chance(200).then_some(Ok(Answer::Planned(None)))
            }
            (Mistake::NotLockedAgain, _, Action::Lock { .. }) if self.core.epoch() > 0 => {
                Some(Ok(Answer::Epoch(self.core.epoch())))
            }
            (Mistake::VanishedKept, _, Action::Stream(StreamAction::RemoveVanished)) => {
                self.world.get().dice.chance(300).then_some(Ok(Answer::Removed(0)))
            }
            (Mistake::SnapshotsMixed, _, Action::Stream(StreamAction::ResetTarget)) => Some(Ok(Answer::Done)),
            (
                Mistake::LettersAfterCommit,
                Scope::Lane(lane),
                Action::Lane(action @ LaneAction::SaveLetters { found }),
            ) => {
                let refused = found.len() as u32;
                self.late_letters.insert(lane, action.clone());
                Some(Ok(Answer::Lettered { before: 0, refused }))
            }
            (
                Mistake::LettersAfterCommit,
                Scope::Lane(lane),
                Action::Lane(LaneAction::CloseReader | LaneAction::Read),
            ) => {
                let letters = self.late_letters.remove(&lane)?;
                self.crashed = self.world.get().dice.chance(100);
                if self.crashed {
                    return Some(Ok(Answer::Done));
                }
                let state = self.lanes.entry(lane).or_default();
                now(self.work.perform_lane(state, letters)).err().map(Err)
            }
            _ => None,
        }
    }
}

fn stream_work(number: usize, table: &super::world::SourceTable, chunk_rows: u64) -> StreamWork {
    let stream = Arc::new(stream(number, table.keyed));
    let columns = stream.schema.columns.iter().map(|column| column.name.clone()).collect();
    let appends = table.write == WriteMode::Append;
    let incremental = table.lookback.map(|lookback| {
        let kind = Kind::of(LogicalType::Int64).unwrap();
        let cursor = Cursor { column: "value".into(), kind, lookback: lookback.into(), appends };
        Arc::new(Incremental { cursor, steps: vec![], input: stream.schema.clone(), mask_key: None })
    });
    let target = Target {
        stream: number as u32,
        source: stream.name.clone(),
        name: stream.name.clone(),
        schema: stream.schema.clone(),
        write: table.write,
        key: stream.schema.key.clone(),
        staged: table.staged,
        replace: Replace::Auto,
        overwrite_said: true,
        task: Task::Load,
        cursor: (table.lookback.is_some() && !appends).then(|| "value".into()),
    };
    StreamWork {
        chain: Arc::new(Chain::bind(&[], &stream.schema, None, "t").unwrap()),
        read: Arc::new(Read { stream, columns, filter: None, chunk_rows }),
        target: Arc::new(target),
        before: vec![],
        deletes: if table.removes { Deletes::Apply } else { Deletes::Ignore },
        incremental,
        passage: None,
    }
}
