//! Looks after a pipeline while it follows: how far behind it is, whether it makes progress, how much the
//! source keeps for it, and whether anybody wants something of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use syncline_config::{OverBudget, Pipeline, SchemaChanges};
use syncline_connect::{Log, Selection, Source};
use syncline_state::Store;
use syncline_types::{Error, Position, Result, codes};

use super::{
    gather::Counted,
    live::{Observer, Turn},
    mark::Behind,
    recopy::is_asked,
};
use crate::{
    core::{Scope, StreamView},
    shell::{self, prepare::choose},
};

const STEP: Duration = Duration::from_secs(1);
/// The source is asked this often how far its log has come, in steps.
const LOOK_STEPS: u64 = 5;
/// And this often whether there are new tables.
const TABLES_STEPS: u64 = 30;
/// Where in the state it stands how a pipeline goes that follows.
pub const LIVE_MARK: &str = "+live";

/// How a pipeline goes that follows, as it was when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lag {
    /// When, in seconds since 1970.
    pub at: u64,
    /// How many bytes of the log were not yet applied; `None` where that cannot be told.
    pub bytes: Option<u64>,
    /// How long ago the last transaction that is applied was committed at the source; nothing when all is.
    pub seconds: Option<f64>,
    /// Why it makes no progress, if it has made none for too long.
    pub stalled: Option<String>,
    /// The streams that are followed.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamLag>,
}

/// How one stream goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamLag {
    /// Changes that were applied since following began.
    pub changes: u64,
    /// When the last of them was applied, in seconds since 1970; `None` before the first.
    pub at: Option<u64>,
    /// How long that was after it was committed at the source; `None` where the source does not tell.
    pub seconds: Option<f64>,
    /// How many bytes of the log were not yet applied to it; `None` where that cannot be told. There is one log for
    /// all streams, and what of it is whose is known once it is read: it differs only where some are behind.
    pub bytes: Option<u64>,
}

/// What the following tells of itself, for its observer and for whoever looks after it.
pub(crate) struct Shared<'a> {
    observer: Mutex<&'a mut dyn super::Observer>,
    seen: Mutex<Seen>,
}

#[derive(Clone)]
struct Seen {
    position: Position,
    committed_micros: Option<i64>,
    progress_at: Instant,
    told_at: Option<Instant>,
    turn: Turn,
    error: Option<String>,
    streams: BTreeMap<String, StreamLag>,
    /// Streams that are not as far as the others, and where they are.
    behind: BTreeMap<String, Behind>,
}

/// Hands on what it is told.
pub(crate) struct Forward<'a, 'b>(pub(crate) &'b Shared<'a>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is replaced whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        observer: &'a mut dyn super::Observer,
        position: Position,
        behind: BTreeMap<String, Behind>,
    ) -> Self {
        let seen = Seen {
            position,
            committed_micros: None,
            progress_at: Instant::now(),
            told_at: None,
            turn: Turn::Reading,
            error: None,
            streams: BTreeMap::new(),
            behind,
        };
        Shared { observer: Mutex::new(observer), seen: Mutex::new(seen) }
    }
}

impl Observer for Forward<'_, '_> {
    fn applied(&mut self, counted: &Counted, position: &Position) {
        let mut seen = locked(&self.0.seen);
        seen.position = position.clone();
        seen.committed_micros = counted.committed_micros.or(seen.committed_micros);
        seen.progress_at = Instant::now();
        (seen.told_at, seen.error) = (None, None);
        let at = now_seconds();
        for (stream, counted) in &counted.streams {
            let lag = seen.streams.entry(stream.clone()).or_default();
            lag.changes += counted.changes;
            (lag.at, lag.seconds) = (Some(at), counted.committed_micros.and_then(seconds_since));
        }
        drop(seen);
        locked(&self.0.observer).applied(counted, position);
    }

    fn waiting(&mut self, error: &Error, pause: Duration) {
        locked(&self.0.seen).error = Some(error.sentence());
        locked(&self.0.observer).waiting(error, pause);
    }

    fn turned(&mut self, turn: Turn) {
        locked(&self.0.seen).turn = turn;
    }

    fn joined(&mut self, streams: &[String]) {
        locked(&self.0.seen).behind.retain(|name, _| !streams.contains(name));
        locked(&self.0.observer).joined(streams);
    }

    fn lags(&mut self, lag: &Lag) {
        locked(&self.0.observer).lags(lag);
    }

    fn warned(&mut self, what: &str) {
        locked(&self.0.observer).warned(what);
    }
}

impl shell::Observer for Forward<'_, '_> {
    fn progress(&mut self, views: &[StreamView]) {
        locked(&self.0.observer).progress(views);
    }

    fn retrying(&mut self, scope: Scope, error: &Error) {
        locked(&self.0.observer).retrying(scope, error);
    }
}

/// Why the following is to end.
pub(crate) enum Wanted {
    /// It is to be prepared again.
    Again,
    /// The place in the log is to be given up, for this reason.
    Release(Error),
}

/// Looks after a pipeline.
pub(crate) struct Watch<'a, 'b> {
    pub(crate) pipeline: &'b Pipeline,
    pub(crate) source: &'b dyn Source,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn Store>,
    /// What is followed.
    pub(crate) names: &'b BTreeSet<String>,
    pub(crate) shared: &'b Shared<'a>,
}

impl Watch<'_, '_> {
    /// Comes back when the following is to end.
    ///
    /// # Errors
    /// When positions of the log cannot be compared, or the state cannot be written.
    pub(crate) async fn run(&self) -> Result<Wanted> {
        let mut warned = false;
        for step in 1_u64.. {
            tokio::time::sleep(STEP).await;
            // One copy comes to its end before the next begins.
            let is_free = locked(&self.shared.seen).behind.is_empty();
            // What cannot be asked now is asked again; whoever follows notices if it lasts.
            if is_free && is_asked(self.store.as_ref(), &self.pipeline.id).await.unwrap_or(false) {
                return Ok(Wanted::Again);
            }
            if step % LOOK_STEPS == 0
                && let Ok(head) = self.log.head().await
                && let Some(wanted) = self.look(&head, &mut warned).await?
            {
                return Ok(wanted);
            }
            if is_free && step % TABLES_STEPS == 0 && self.has_new_streams().await {
                return Ok(Wanted::Again);
            }
        }
        Ok(Wanted::Again)
    }

    /// Looks once more, where the following has come to its end while the source could still be asked.
    ///
    /// # Errors
    /// As [`Watch::run`].
    pub(crate) async fn end(&self) -> Result<()> {
        if let Ok(head) = self.log.head().await {
            // Nothing is given up that has come to its end.
            self.look(&head, &mut false).await?;
        }
        Ok(())
    }

    async fn look(&self, head: &Position, warned: &mut bool) -> Result<Option<Wanted>> {
        let seen = locked(&self.shared.seen).clone();
        let is_behind = self.log.compare(&seen.position, head)?.is_lt();
        let bytes = self.log.distance(&seen.position, head);
        let seconds = match is_behind {
            true => seen.committed_micros.and_then(seconds_since),
            false => Some(0.0),
        };
        if !is_behind {
            locked(&self.shared.seen).progress_at = Instant::now();
        }
        let stalled = self.stalled(&seen, is_behind);
        let mut held = bytes;
        let mut streams = BTreeMap::new();
        for name in self.names {
            let place = seen.behind.get(name).map_or(&seen.position, |behind| &behind.position);
            let bytes = self.log.distance(place, head);
            held = held.max(bytes);
            let lag = seen.streams.get(name).copied().unwrap_or_default();
            streams.insert(name.clone(), StreamLag { bytes, ..lag });
        }
        let lag = Lag { at: now_seconds(), bytes, seconds, stalled, streams };
        self.store
            .save_mark(&self.pipeline.id, LIVE_MARK, serde_json::to_string(&lag).ok().as_deref())
            .await?;
        locked(&self.shared.observer).lags(&lag);
        // What who is behind has yet to read is kept for all.
        Ok(self.budget(held, warned))
    }

    /// Why there is no progress, when there has been none for too long.
    fn stalled(&self, seen: &Seen, is_behind: bool) -> Option<String> {
        let limit = Duration::from_secs(self.pipeline.follow.stall_seconds);
        let since = seen.progress_at.elapsed();
        if !is_behind || since < limit {
            return None;
        }
        let cause = match (&seen.error, seen.turn) {
            (Some(error), _) => error.clone(),
            (None, Turn::Applying) => "the target has not taken what it was given".to_owned(),
            (None, Turn::Reading) => "the source has not told of its changes".to_owned(),
        };
        let told = format!("no progress for {} s: {cause}", since.as_secs());
        let mut now = locked(&self.shared.seen);
        if now.told_at.is_none_or(|at| at.elapsed() >= limit) {
            now.told_at = Some(Instant::now());
            drop(now);
            locked(&self.shared.observer).warned(&told);
        }
        Some(cause)
    }

    /// Says so when the source has to keep much for the pipeline; when it is too much it is to let go of it.
    fn budget(&self, bytes: Option<u64>, warned: &mut bool) -> Option<Wanted> {
        let (budget, bytes) = self.pipeline.follow.log_budget_bytes.zip(bytes)?;
        let is_over = bytes > budget;
        if is_over && self.pipeline.follow.over_budget == OverBudget::Release {
            let error = Error::new(&codes::LOG_LOST, "follow with pipeline", format!("`{}`", self.pipeline.id))
                .because(format!(
                    "the source had to keep {bytes} bytes of its log for it, which is more than the {budget} that it \
                     may, so the place in the log was given up"
                ))
                .hint("Copy again with --restart, and raise log_budget (--log-budget) if that is too soon");
            return Some(Wanted::Release(error));
        }
        if bytes <= budget / 2 {
            *warned = false;
        } else if !*warned {
            *warned = true;
            let than = if is_over { "more than" } else { "more than half of" };
            let told = format!("the source keeps {bytes} bytes of its log, {than} the budget of {budget}");
            locked(&self.shared.observer).warned(&told);
        }
        None
    }

    /// Whether there are tables that the pipeline takes and does not know.
    async fn has_new_streams(&self) -> bool {
        let takes_all = |selection: &Selection| !matches!(selection, Selection::Name(_));
        if self.pipeline.follow.schema_changes != SchemaChanges::Apply
            || !self.pipeline.streams.iter().any(|choice| takes_all(&choice.selection))
        {
            return false;
        }
        // A failure to look is no news; it is looked again.
        let Ok(found) = choose(self.pipeline, self.source).await else { return false };
        found.iter().any(|(_, stream)| !self.names.contains(&stream.name.to_string()))
    }
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn seconds_since(micros: i64) -> Option<f64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_micros();
    Some(now.saturating_sub(u128::try_from(micros).ok()?) as f64 / 1e6)
}
