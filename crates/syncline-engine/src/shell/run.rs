//! A whole run of a prepared pipeline, from its lock to its summary.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Instant,
};

use syncline_config::Deletes;
use syncline_connect::Lanes;
use syncline_state::{StateDirectory, Store};
use syncline_types::{Error, Result, codes};
use tokio_util::sync::CancellationToken;

use super::{
    Limits, Prepared, StreamSummary, Summary, WindowSummary,
    ahead::without,
    drive::{Observer, drive},
    removal::ReadBack,
    work::Work,
};
use crate::core::{
    Core, Ending, Job, Refusal, RetryPolicy, Scope, StreamFailure, StreamJob, StreamPhase, StreamView,
};

/// Commits inside a split come after so many bytes, where the source says from where it could go on.
pub(crate) const COMMIT_BYTES: u64 = 32 << 20;

/// How a run is to be done, beyond what the pipeline says.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Throw away what an unfinished run has left, and begin again.
    pub restart: bool,
}

/// What came of a run.
pub struct Outcome {
    /// What it did.
    pub summary: Summary,
    /// Why streams failed, by their name at the source.
    pub failed: Vec<(String, Error)>,
    /// Why the run as a whole ended early.
    pub ended: Option<Error>,
}

impl Outcome {
    /// The error to end with, if any.
    pub fn error(&self) -> Option<Error> {
        if self.ended.is_some() {
            return self.ended.clone();
        }
        match self.failed.as_slice() {
            [] => None,
            [(_, error)] => Some(error.clone()),
            failed => Some(
                Error::new(
                    &codes::STREAMS_FAILED,
                    "copy",
                    format!("{} streams of `{}`", failed.len(), self.summary.pipeline),
                )
                .because("each has said why")
                .hint("The same command goes on with them once that is mended"),
            ),
        }
    }
}

/// Runs a prepared pipeline to its end, or until `stop`.
///
/// # Errors
/// When it cannot begin: something stands in the way, or another process works on it. What happens
/// afterwards is in the [`Outcome`].
pub async fn run(
    prepared: Prepared,
    state: &StateDirectory,
    options: RunOptions,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    if let Some(blocker) = prepared.blocker() {
        return Err(blocker.clone());
    }
    let _lock = state.lock(&prepared.pipeline.id)?;
    let store = state.open(true)?.ok_or_else(|| super::work::broken("the state was not created"))?;
    let cx = prepared.cx.clone();
    let outcome = run_locked(prepared, state, Arc::new(store), options, stop, observer).await;
    cx.close().await;
    Ok(outcome)
}

/// Runs a pipeline whose lock in the state is held.
pub(crate) async fn run_locked(
    prepared: Prepared,
    state: &StateDirectory,
    store: Arc<dyn Store>,
    options: RunOptions,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Outcome {
    let began = Instant::now();
    let job = job(&prepared, options);
    let read_back = ReadBack {
        opener: Arc::clone(&prepared.reopen),
        scratch: state.path().join(format!("vanished-{}", prepared.pipeline.id)),
        allow_empty: prepared.pipeline.allow_empty,
    };
    let mut work = work(prepared, store);
    work.read_back = Some(read_back);
    let work = Arc::new(work);
    let mut timed = Timed::new(observer, work.streams.len());
    let core = drive(Arc::clone(&work), job, stop, &mut timed).await;
    let times = timed.times;
    let outcome = outcome(&work, &core, &times, began);
    // Connections end before the process does.
    drop(work);
    outcome
}

fn job(prepared: &Prepared, options: RunOptions) -> Job {
    let pipeline = &prepared.pipeline;
    let random = RandomState::new().hash_one(std::process::id());
    let streams = prepared
        .streams
        .iter()
        .map(|stream| StreamJob {
            outlives_snapshot: stream.work.read.stream.order.outlives_snapshot() && !stream.work.by_values(),
            staged: stream.work.target.staged,
            write: stream.work.target.write,
            removes: stream.work.deletes != Deletes::Ignore,
            target_has_rows: stream.plan.existing.as_ref().is_some_and(|existing| existing.has_rows),
        })
        .collect();
    Job {
        run_new: run_id(random),
        fingerprint: prepared.fingerprint.clone(),
        restart: options.restart,
        lanes: match prepared.sink.lanes() {
            Lanes::One => 1,
            Lanes::Many => pipeline.parallel,
        },
        on_error: pipeline.on_error,
        allow_empty: pipeline.allow_empty,
        commit_bytes: COMMIT_BYTES,
        retry: RetryPolicy::default(),
        seed: random,
        streams,
    }
}

/// Eight letters and digits, fit for a part of a table's name.
pub(crate) fn run_id(random: u64) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    (0..8).map(|at| char::from(LETTERS[(random >> (at * 5) & 31) as usize])).collect()
}

fn work(prepared: Prepared, store: Arc<dyn Store>) -> Work {
    let pipeline = &prepared.pipeline;
    let mut work = Work::new(
        pipeline.id.clone(),
        (pipeline.from.to_string(), pipeline.to.to_string()),
        prepared.fingerprint,
        prepared.source,
        prepared.sink,
        store,
        Some(prepared.cx),
        prepared.streams.into_iter().map(|stream| stream.work).collect(),
    );
    work.parallel = pipeline.parallel;
    work.exact = prepared.exact;
    work.limits = Limits::new(pipeline.limits.rows_per_second, pipeline.limits.bytes_per_second);
    work
}

/// Notes when each stream began and ended, on the way to the observer.
struct Timed<'a> {
    inner: &'a mut dyn Observer,
    times: Vec<(Option<Instant>, Option<Instant>)>,
}

impl<'a> Timed<'a> {
    fn new(inner: &'a mut dyn Observer, streams: usize) -> Self {
        Timed { inner, times: vec![(None, None); streams] }
    }
}

impl Observer for Timed<'_> {
    fn progress(&mut self, views: &[StreamView]) {
        for (view, (began, ended)) in views.iter().zip(&mut self.times) {
            if view.splits_known > 0 {
                began.get_or_insert_with(Instant::now);
            }
            if view.phase == StreamPhase::Published {
                ended.get_or_insert_with(Instant::now);
            }
        }
        self.inner.progress(views);
    }

    fn retrying(&mut self, scope: Scope, error: &Error) {
        self.inner.retrying(scope, error);
    }
}

pub(crate) fn outcome(
    work: &Work,
    core: &Core,
    times: &[(Option<Instant>, Option<Instant>)],
    began: Instant,
) -> Outcome {
    let now = Instant::now();
    let mut failed = vec![];
    let mut streams = vec![];
    for (number, ((view, stream), (start, end))) in
        core.views().into_iter().zip(&work.streams).zip(times).enumerate()
    {
        let name = stream.target.source.to_string();
        let error =
            view.failed.map(|failure| stream_error(work, &name, stream.target.name.to_string(), failure));
        let outcome = match (&error, view.phase) {
            (Some(_), _) => "failed",
            (None, StreamPhase::Published) => "published",
            (None, StreamPhase::Copying) => "unfinished",
        };
        if let Some(error) = error {
            failed.push((name.clone(), error));
        }
        let seconds = start.map_or(0.0, |start| (end.unwrap_or(now) - start).as_secs_f64());
        streams.push(StreamSummary {
            stream: name,
            target: stream.target.name.to_string(),
            rows: view.rows - view.rows_resumed,
            rows_resumed: view.rows_resumed,
            bytes: view.bytes,
            rejected: view.rejected,
            deleted: view.deleted,
            seconds,
            outcome,
            window: work.window(number).map(|(cursor, window)| WindowSummary {
                cursor: cursor.column.clone(),
                from: window.from.clone(),
                upto: window.upto.clone(),
                nulls: window.nulls,
                warning: (window.before.is_some() && window.nulls > 0).then(|| without(cursor, window.nulls)),
            }),
        });
    }
    let resumed = streams.iter().any(|stream| stream.rows_resumed > 0);
    let error = match core.ending() {
        Some(Ending::Done | Ending::StreamsFailed) => None,
        Some(Ending::Failed(failure)) => Some(work.error(failure)),
        Some(Ending::Refused(refusal)) => Some(refused(work, refusal)),
        Some(Ending::Interrupted) | None => Some(
            Error::new(&codes::INTERRUPTED, "finish", format!("`{}`", work.pipeline))
                .because("it was asked to stop")
                .hint("The same command goes on from here"),
        ),
    };
    let summary = Summary {
        pipeline: work.pipeline.clone(),
        streams,
        snapshots: core.snapshots(),
        resumed,
        seconds: began.elapsed().as_secs_f64(),
    };
    Outcome { summary, failed, ended: error }
}

fn stream_error(work: &Work, source: &str, target: String, failure: StreamFailure) -> Error {
    match failure {
        StreamFailure::Failed(failure) => work.error(failure),
        StreamFailure::EmptySource => Error::new(&codes::EMPTY_SOURCE, "overwrite", format!("`{target}`"))
            .because(format!("`{source}` gave no rows, and the target has some"))
            .hint("If it is to be emptied, say --allow-empty (allow_empty: true)"),
    }
}

fn refused(work: &Work, refusal: Refusal) -> Error {
    let pipeline = format!("`{}`", work.pipeline);
    match refusal {
        Refusal::StateLost => Error::new(&codes::STATE_LOST, "run pipeline", pipeline)
            .because("the target holds an unfinished run of it that this state directory does not know")
            .hint("Use the state directory of that run (--state DIR), or throw the run away with --restart"),
        Refusal::TargetLost => Error::new(&codes::STATE_LOST, "go on with pipeline", pipeline)
            .because("the target no longer knows which rows have arrived, and some of them stand in your own table")
            .hint("Look at the target, delete what the run has added, and begin again with --restart"),
        Refusal::Changed => Error::new(&codes::RUN_CHANGED, "go on with pipeline", pipeline)
            .because("its streams, their schemas or its steps are not those of the unfinished run")
            .hint("Change them back, or throw the unfinished run away with --restart"),
    }
}
