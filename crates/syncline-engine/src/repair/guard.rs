//! Keeps runs of a pipeline away, in the state and at the target, while rows of it are put right.

use std::sync::Arc;

use syncline_connect::Sink;
use syncline_state::{PipelineLock, StateDirectory, Store};
use syncline_types::{Error, Result, codes};

use crate::follow::is_copying;

/// Held for as long as it lives.
pub(crate) struct Guard {
    sink: Arc<dyn Sink>,
    pipeline: String,
    _lock: PipelineLock,
}

impl Guard {
    /// Takes the pipeline, unless a run works on it or is left unfinished: what that one has staged
    /// and marked belongs to it alone.
    pub(crate) async fn take(
        pipeline: &str,
        operation: &str,
        state: &StateDirectory,
        store: &dyn Store,
        sink: Arc<dyn Sink>,
    ) -> Result<Self> {
        let unfinished = || {
            Error::new(&codes::RUN_UNFINISHED, operation, format!("`{pipeline}`"))
                .because("a run of it is not finished, and will write rows itself")
                .hint("Let the same command go on with that run first, or throw it away with --restart")
        };
        let lock = state.lock(pipeline)?;
        let saved = store.load(pipeline).await?;
        if saved.as_ref().is_some_and(|saved| !saved.finished) || is_copying(store, pipeline).await? {
            return Err(unfinished());
        }
        let epoch_min = saved.map_or(0, |saved| saved.epoch);
        sink.lock(pipeline, epoch_min).await?;
        if sink.progress(pipeline).await?.is_some_and(|progress| progress.run.is_some()) {
            return Err(unfinished());
        }
        Ok(Guard { sink, pipeline: pipeline.to_owned(), _lock: lock })
    }

    /// Lets go of it, and leaves nothing behind at the target.
    pub(crate) async fn release(self) -> Result<()> {
        self.sink.close(&self.pipeline).await
    }
}
