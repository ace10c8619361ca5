//! Everything a run works with, and how each action on the run or on a stream is done.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use syncline_config::Deletes;
use syncline_connect::{
    Action as TargetAction, Context, Log, Origin, Read, RunRef, Session, Sink, Source, Splitter, Target,
};
use syncline_state::{NewRun, NewStream, Store};
use syncline_steps::Chain;
use syncline_types::{Error, Position, Result, codes};

use super::{
    Limits, ReadBack,
    incremental::{Incremental, Within},
};
use crate::{
    between::Between,
    core::{Action, Answer, Failure, StreamAction, StreamPhase},
    follow::{Passage, save_place},
};

/// What a run works with. Shared by everything that is done for it.
pub struct Work {
    /// The pipeline's id.
    pub pipeline: String,
    /// The source, without secrets.
    pub from: String,
    /// The target, without secrets.
    pub to: String,
    /// Changes whenever streams, schemas, steps or modes do.
    pub fingerprint: String,
    /// Where rows come from.
    pub source: Arc<dyn Source>,
    /// Where they go.
    pub sink: Arc<dyn Sink>,
    /// Where progress is kept.
    pub store: Arc<dyn Store>,
    /// What connectors are lent; `None` reads without reading ahead.
    pub cx: Option<Context>,
    /// The streams, by their number.
    pub streams: Vec<StreamWork>,
    /// How many connections to the source may be open.
    pub parallel: usize,
    /// How fast rows may go on.
    pub limits: Limits,
    /// How the target is read, where rows are to be removed that the source no longer has.
    pub read_back: Option<ReadBack>,
    /// Each stream within the run's window, where it has one.
    pub(super) windows: Vec<OnceLock<Within>>,
    /// The log of which the place of a copy without a key has to be known.
    pub(crate) exact: Option<Arc<dyn Log>>,
    /// What the rows have come through; asked for where nobody says.
    pub(crate) origin: Option<Origin>,
    /// The run, once it has begun, and its session.
    pub(super) now: Mutex<Now>,
    /// Every error that the core has been told of, by its number.
    pub(super) errors: Mutex<Vec<Error>>,
}

/// What one stream is made of.
#[derive(Clone)]
pub struct StreamWork {
    /// What is read.
    pub read: Arc<Read>,
    /// What happens to it.
    pub chain: Arc<Chain>,
    /// What it becomes.
    pub target: Arc<Target>,
    /// What the sink does before the first row.
    pub before: Vec<TargetAction>,
    /// What happens to rows at the target that the source no longer has.
    pub deletes: Deletes,
    /// Only in an incremental run.
    pub incremental: Option<Arc<Incremental>>,
    /// Only where changes are followed once it is copied.
    pub passage: Option<Arc<Passage>>,
}

/// What is known only once a run has begun.
#[derive(Default)]
pub(super) struct Now {
    run: Option<RunRef>,
    session: Option<Arc<dyn Session>>,
    /// Which place in the log the session's snapshot is, where that has to be known.
    place: Option<Position>,
}

/// What is kept for a stream between its actions.
#[derive(Default)]
pub struct StreamState {
    splitter: Option<Box<dyn Splitter>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is replaced whole, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StreamWork {
    /// Whether it is followed without a key: see [`Passage::by_values`].
    pub(crate) fn by_values(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| passage.by_values())
    }
}

impl Work {
    /// For a run that has not begun.
    #[expect(clippy::too_many_arguments, reason = "each is one part of a run, and all are needed")]
    pub fn new(
        pipeline: String,
        ends: (String, String),
        fingerprint: String,
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
        store: Arc<dyn Store>,
        cx: Option<Context>,
        streams: Vec<StreamWork>,
    ) -> Self {
        Work {
            pipeline,
            from: ends.0,
            to: ends.1,
            fingerprint,
            source,
            sink,
            store,
            cx,
            windows: streams.iter().map(|_| OnceLock::new()).collect(),
            streams,
            parallel: 1,
            limits: Limits::default(),
            read_back: None,
            exact: None,
            origin: None,
            now: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    /// The error behind a failure.
    pub fn error(&self, failure: Failure) -> Error {
        locked(&self.errors).get(failure.id).cloned().unwrap_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "explain a failure", "").because("its error was not kept")
        })
    }

    /// Keeps an error; the core is told only what it acts on.
    pub fn failure(&self, error: Error) -> Failure {
        let mut errors = locked(&self.errors);
        let failure =
            Failure { id: errors.len(), kind: error.kind(), retry: error.retry(), row: error.row() };
        errors.push(error);
        failure
    }

    /// The run that is under way.
    pub(super) fn run(&self) -> Result<RunRef> {
        locked(&self.now).run.clone().ok_or_else(|| broken("no run has begun"))
    }

    pub(super) fn session(&self) -> Result<Arc<dyn Session>> {
        locked(&self.now).session.clone().ok_or_else(|| broken("no session is open"))
    }

    pub(super) fn stream(&self, number: usize) -> Result<&StreamWork> {
        if let Some(within) = self.windows.get(number).and_then(|slot| slot.get()) {
            return Ok(&within.work);
        }
        self.streams.get(number).ok_or_else(|| broken("there is no such stream"))
    }

    /// Does an action of the run as a whole.
    ///
    /// # Errors
    /// What the source, sink or store fails with.
    pub async fn perform_run(&self, action: Action) -> Result<Answer> {
        match action {
            Action::LoadState => return Ok(Answer::State(self.store.load(&self.pipeline).await?)),
            Action::Lock { epoch_min } => {
                return Ok(Answer::Epoch(self.sink.lock(&self.pipeline, epoch_min).await?));
            }
            Action::LoadTarget => return Ok(Answer::Target(self.sink.progress(&self.pipeline).await?)),
            Action::CloseTarget => self.sink.close(&self.pipeline).await?,
            Action::CreateRun { run, epoch } => {
                let mut new = self.new_run(&run, epoch);
                self.new_windows(&mut new.streams).await?;
                self.store.create(&new).await?;
                self.begin_run(run, epoch).await?;
            }
            Action::ResumeRun { run, epoch, deltas, published } => {
                self.saved_windows(&run, &published).await?;
                self.store.resume(&run, epoch, &deltas, &published).await?;
                self.begin_run(run, epoch).await?;
            }
            Action::BeginSession => self.begin_session().await?,
            Action::FinishRun => self.store.finish(&self.run()?.run).await?,
            Action::Wait { .. } | Action::Stream(_) | Action::Lane(_) => {
                return Err(broken("the action is not one of the run"));
            }
        }
        Ok(Answer::Done)
    }

    async fn begin_run(&self, run: String, epoch: u64) -> Result<()> {
        let origin = match &self.origin {
            Some(origin) => origin.clone(),
            None => {
                let reads: Vec<_> = self.streams.iter().map(|stream| Arc::clone(&stream.read)).collect();
                let targets: Vec<_> = self.streams.iter().map(|stream| Arc::clone(&stream.target)).collect();
                let (source, sink) = (self.source.as_ref(), self.sink.as_ref());
                Between::of(source, &reads, sink, &targets, true).await?.onward(&Origin::default())?
            }
        };
        let pipeline = self.pipeline.clone();
        locked(&self.now).run = Some(RunRef { pipeline, run, epoch, origin });
        Ok(())
    }

    async fn begin_session(&self) -> Result<()> {
        // The old snapshot is let go of before a new one is taken.
        locked(&self.now).session = None;
        let reads: Vec<Arc<Read>> = (0..self.streams.len())
            .map(|number| self.stream(number).map(|stream| Arc::clone(&stream.read)))
            .collect::<Result<_>>()?;
        let (session, place) = match &self.exact {
            Some(log) => {
                let (session, place) = log.snapshot(&reads, self.parallel).await?;
                (session, Some(place))
            }
            None => (self.source.begin(&reads, self.parallel).await?, None),
        };
        let mut now = locked(&self.now);
        (now.session, now.place) = (Some(Arc::from(session)), place);
        Ok(())
    }

    fn new_run(&self, run: &str, epoch: u64) -> NewRun {
        let streams = self
            .streams
            .iter()
            .map(|stream| NewStream {
                source: stream.target.source.to_string(),
                target: stream.target.name.to_string(),
                rows_estimate: stream.read.stream.rows_estimate,
                window: None,
            })
            .collect();
        NewRun {
            pipeline: self.pipeline.clone(),
            run: run.to_owned(),
            epoch,
            fingerprint: self.fingerprint.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            streams,
        }
    }

    /// Does an action of one stream.
    ///
    /// # Errors
    /// What the source, sink or store fails with.
    pub async fn perform_stream(
        &self,
        number: usize,
        state: &mut StreamState,
        action: StreamAction,
    ) -> Result<Answer> {
        let stream = self.stream(number)?;
        let id = stream.target.stream;
        let run = self.run()?;
        match action {
            StreamAction::Prepare => {
                for action in &stream.before {
                    self.sink.apply(&run, &stream.target, action).await?;
                }
            }
            StreamAction::ResetTarget => {
                state.splitter = None;
                self.sink.reset(&run, &stream.target).await?;
            }
            StreamAction::ResetState => {
                self.store.reset_stream(&run.run, id).await?;
                if let Some(sift) = self.sift(number) {
                    sift.clear();
                }
            }
            StreamAction::PlanSplit { after } => {
                let mut splitter = match state.splitter.take() {
                    Some(splitter) => splitter,
                    None => {
                        let session = self.session()?;
                        // A stream without a key is read from one snapshot only, or begun again.
                        if stream.by_values() && after.is_none() {
                            let place = locked(&self.now).place.clone();
                            let place =
                                place.ok_or_else(|| broken("the snapshot has no place in the log"))?;
                            save_place(self.store.as_ref(), &self.pipeline, stream, &place).await?;
                        }
                        session.splitter(&stream.read, after.as_ref()).await?
                    }
                };
                let split = splitter.next().await?;
                state.splitter = Some(splitter);
                return Ok(Answer::Planned(split));
            }
            StreamAction::SaveSplit(split) => self.store.save_split(&run.run, id, &split).await?,
            StreamAction::SavePlanned => {
                state.splitter = None;
                self.store.save_planned(&run.run, id).await?;
            }
            StreamAction::Finish => {
                let next = self.next_mark(number)?;
                self.sink.finish(&run, &stream.target, next.marking()).await?;
            }
            StreamAction::SavePhase(phase) => {
                if phase == StreamPhase::Published {
                    self.save_mark(number).await?;
                }
                self.store.save_phase(&run.run, id, phase).await?;
            }
            StreamAction::RemoveVanished => return self.remove_vanished(number).await.map(Answer::Removed),
        }
        Ok(Answer::Done)
    }
}

pub(crate) fn broken(reason: &str) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "do what was decided", "").because(reason)
}
