//! A small run of its own for one stream: the same decisions and deeds as a whole run, but that
//! nothing of it is kept. Should it be cut short, it is simply done again.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Instant,
};

use syncline_config::{Deletes, Pipeline};
use syncline_connect::{Context, Lanes, Origin, Read, Sink, Source, Target};
use syncline_state::{NewLetter, Store};
use syncline_steps::Chain;
use syncline_types::{Error, Result};
use tokio_util::sync::CancellationToken;

use super::letters::{Caught, LettersOnly, locked};
use crate::{
    core::{Job, RetryPolicy, Scope, StreamJob, StreamView},
    shell::{Observer, StreamWork, Work, drive, run},
};

/// Where small runs of a pipeline write, and how.
pub(crate) struct Desk<'a> {
    pub(crate) pipeline: &'a Pipeline,
    /// What the target calls these runs.
    pub(crate) name: String,
    /// Of its own: the pipeline's lock is held by another one.
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) store: Arc<dyn Store>,
    /// What the rows have come through.
    pub(crate) origin: Origin,
    pub(crate) cx: &'a Context,
    pub(crate) stop: &'a CancellationToken,
}

/// What a small run did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
}

/// What a target calls the small runs of a pipeline. No pipeline has such a name.
pub(crate) fn repair_of(pipeline: &str) -> String {
    format!("{pipeline}+repair")
}

/// What it calls those that are done while the pipeline itself runs.
pub(crate) fn live_repair_of(pipeline: &str) -> String {
    format!("{pipeline}+live")
}

impl Desk<'_> {
    /// Copies what a source gives into a target, whose columns are those of its rows. What is left of
    /// an earlier one that was cut short is thrown away first.
    pub(crate) async fn run(&self, source: Arc<dyn Source>, read: Arc<Read>, target: Target) -> Result<Done> {
        self.run_with(source, read, target, None).await
    }

    /// The same, but that rows which the target refuses are given back and not saved.
    pub(crate) async fn run_catching(
        &self,
        source: Arc<dyn Source>,
        read: Arc<Read>,
        target: Target,
    ) -> Result<Vec<NewLetter>> {
        let caught = Caught::default();
        self.run_with(source, read, target, Some(Arc::clone(&caught))).await?;
        let caught = std::mem::take(&mut *locked(&caught));
        Ok(caught.into_iter().map(|(_, letter)| letter).collect())
    }

    async fn run_with(
        &self,
        source: Arc<dyn Source>,
        read: Arc<Read>,
        target: Target,
        caught: Option<Caught>,
    ) -> Result<Done> {
        let target = Arc::new(target);
        let before = self.plan(&target).await?;
        let name = self.name.clone();
        let random = RandomState::new().hash_one(std::process::id());
        let outlives_snapshot = read.stream.order.outlives_snapshot();
        let chain = Arc::new(Chain::bind(&[], &target.schema, None, &target.source.table)?);
        let stream = StreamWork {
            read,
            chain,
            target: Arc::clone(&target),
            before,
            deletes: Deletes::Ignore,
            incremental: None,
            passage: None,
        };
        let store =
            LettersOnly { store: Arc::clone(&self.store), pipeline: self.pipeline.id.clone(), caught };
        let mut work = Work::new(
            name.clone(),
            (self.pipeline.from.to_string(), self.pipeline.to.to_string()),
            String::new(),
            source,
            Arc::clone(&self.sink),
            Arc::new(store),
            Some(self.cx.clone()),
            vec![stream],
        );
        work.parallel = self.pipeline.parallel;
        work.origin = Some(self.origin.clone());
        let job = Job {
            run_new: run::run_id(random),
            fingerprint: String::new(),
            restart: true,
            lanes: match self.sink.lanes() {
                Lanes::One => 1,
                Lanes::Many => self.pipeline.parallel,
            },
            on_error: self.pipeline.on_error,
            allow_empty: true,
            commit_bytes: run::COMMIT_BYTES,
            retry: RetryPolicy::default(),
            seed: random,
            streams: vec![StreamJob {
                outlives_snapshot,
                staged: true,
                write: target.write,
                target_has_rows: true,
                removes: false,
            }],
        };
        let work = Arc::new(work);
        let core = drive(Arc::clone(&work), job, self.stop, &mut Quiet).await;
        let outcome = run::outcome(&work, &core, &[(None, None)], Instant::now());
        let done = outcome
            .summary
            .streams
            .first()
            .map_or_else(Done::default, |stream| Done { rows: stream.rows, rejected: stream.rejected });
        match outcome.error() {
            None => Ok(done),
            Some(error) => {
                // What it was about to publish is of no use to anybody.
                if let Err(error) = self.sink.close(&name).await {
                    tracing::warn!(%error, "staging is left; the next repair removes it");
                }
                Err(error)
            }
        }
    }

    /// What is done before the first row, unless something stands in the way.
    async fn plan(&self, target: &Arc<Target>) -> Result<Vec<syncline_connect::Action>> {
        let mut plans = self.sink.plan(std::slice::from_ref(target)).await?;
        let Some(plan) = plans.pop() else { return Ok(vec![]) };
        match plan.findings.iter().find_map(|finding| finding.error.clone()) {
            Some(blocker) => Err(blocker),
            None => Ok(plan.before),
        }
    }
}

/// What happens on the way is logged, and not shown.
struct Quiet;

impl Observer for Quiet {
    fn progress(&mut self, _: &[StreamView]) {}

    fn retrying(&mut self, scope: Scope, error: &Error) {
        tracing::warn!(?scope, %error, "failed, and is tried again");
    }
}
