//! Copies of streams beside a pipeline that goes on following the others.
//!
//! The streams stay behind, at the place in the log that all have come to, and the source is asked to keep
//! everything from there on. They are copied by a run that has another name, so that neither its lock nor what
//! it stages is the pipeline's own. When they are copied the others stop for a moment; then all are followed by
//! one reader, which tells each stream what it has not been told.

use std::{collections::BTreeSet, sync::Arc};

use syncline_connect::Sink;
use syncline_state::StateDirectory;
use syncline_types::{Result, codes};
use tokio_util::sync::CancellationToken;

use super::{Following, Observer, live::letters_at, mark::FollowMark};
use crate::shell::{self, Outcome, Prepared, RunOptions};

/// What comes behind a pipeline's name where its streams are copied beside it. No pipeline has such a name.
const COPY: &str = "+copy";

/// What the state and the target call the copies beside a pipeline.
pub fn copy_of(pipeline: &str) -> String {
    format!("{pipeline}{COPY}")
}

/// The pipeline that a run belongs to, which has its dead letters.
pub(crate) fn owner_of(pipeline: &str) -> &str {
    pipeline.strip_suffix(COPY).unwrap_or(pipeline)
}

/// Streams that are to be copied while the others go on.
pub(super) struct Beside {
    prepared: Prepared,
    streams: BTreeSet<String>,
    /// Whether what an earlier one has left is of no use.
    restart: bool,
}

impl Beside {
    /// As [`Prepared::sizes`].
    pub(super) fn sizes(&self) -> Vec<(String, Option<u64>)> {
        self.prepared.sizes()
    }
}

/// What became of them.
pub(super) struct Copied {
    streams: BTreeSet<String>,
    outcome: Outcome,
}

impl Following {
    /// Where copies beside the pipeline are written to, if there can be any: somebody is to go on meanwhile, the
    /// log can be read from several places, and the target lets others write.
    pub(super) async fn room_beside(
        &self,
        prepared: &Prepared,
        mark: &FollowMark,
    ) -> Result<Option<Arc<dyn Sink>>> {
        let is_followed = |name: &String| mark.copied.contains_key(name);
        if self.names.keys().all(is_followed)
            || !self.names.keys().any(is_followed)
            || !self.log.passes_over()
        {
            return Ok(None);
        }
        // What was begun in its own name is gone on with so.
        match self.store.load(&self.pipeline.id).await? {
            Some(saved) if saved.finished => prepared.reopen.sink().await,
            _ => Ok(None),
        }
    }

    /// Gets ready to copy these streams beside the others. `None` when that has been done already.
    pub(super) async fn stay_behind(
        &self,
        mut prepared: Prepared,
        sink: Arc<dyn Sink>,
        missing: BTreeSet<String>,
        mark: &mut FollowMark,
    ) -> Result<Option<Beside>> {
        for stream in self.streams.iter().filter(|one| missing.contains(&one.target.source.to_string())) {
            // Of an attempt that did not commit: it is told again later on.
            let place = letters_at(&self.pipeline.id, stream.target.stream, &mark.position);
            self.store.forget_letters(&place).await?;
        }
        mark.leave(&missing);
        self.save(mark).await?;
        // Those that are being copied come to their end first, and others wait.
        let under_way = mark.copying.as_ref().map(|copying| &copying.streams);
        let streams = match under_way.filter(|streams| !streams.is_empty() && streams.is_subset(&missing)) {
            Some(streams) => streams.clone(),
            None => missing,
        };
        prepared.pipeline.id = copy_of(&self.pipeline.id);
        prepared.sink = sink;
        match self.begin_copy(&mut prepared, mark, &streams).await? {
            Begun::Done => {
                self.take_in(mark, &streams).await?;
                Ok(None)
            }
            Begun::Anew => Ok(Some(Beside { prepared, streams, restart: true })),
            Begun::Again => Ok(Some(Beside { prepared, streams, restart: false })),
        }
    }

    /// Copies until that is done, or until `stop`; where there is nothing to be copied, waits for that alone.
    pub(super) async fn copy_beside(
        &self,
        beside: Option<Beside>,
        state: &StateDirectory,
        stop: &CancellationToken,
        observer: &mut dyn shell::Observer,
    ) -> Option<Copied> {
        let Some(Beside { prepared, streams, restart }) = beside else {
            stop.cancelled().await;
            return None;
        };
        let (store, options) = (Arc::clone(&self.store), RunOptions { restart });
        let mut outcome = shell::run::run_locked(prepared, state, store, options, stop, observer).await;
        outcome.summary.pipeline.clone_from(&self.pipeline.id);
        Some(Copied { streams, outcome })
    }

    /// The streams are followed from here on, if they are copied. One that was interrupted is gone on with.
    pub(super) async fn end_copy(
        &self,
        copied: Copied,
        mark: &mut FollowMark,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        match copied.outcome.error() {
            None => {
                observer.copied(&copied.outcome);
                self.take_in(mark, &copied.streams).await
            }
            Some(error) if *error.code() == codes::INTERRUPTED => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Throws away what copies beside the pipeline have left at the target.
    pub(super) async fn clear_beside(&self, prepared: &Prepared) -> Result<()> {
        match prepared.reopen.sink().await? {
            // Where nothing was ever written the lock makes what is closed.
            Some(sink) => {
                let copy = copy_of(&self.pipeline.id);
                sink.lock(&copy, 0).await?;
                sink.close(&copy).await
            }
            None => Ok(()),
        }
    }
}

/// How a copy begins.
pub(super) enum Begun {
    /// It is done already.
    Done,
    /// It is a new one.
    Anew,
    /// One that was cut short is gone on with.
    Again,
}
