//! How far a pipeline has followed its source's log, as seen from outside: its mark at the target, and
//! where the log ends.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use syncline_config::Pipeline;
use syncline_connect::{LOG_MARK, Log, Sink, Source};
use syncline_state::{SqliteStore, StateDirectory, Store};
use syncline_types::{Error, Position, Result, StreamName, codes};
use tokio::time::Instant;

use crate::{
    follow::{FollowMark, known_mark},
    shell::removal::now_micros,
};

/// A pipeline that runs moves its mark more often than this, as long as nothing large is being applied;
/// one whose mark stands still for longer, and that nobody is seen to run, does not run.
const STILL_AFTER: Duration = Duration::from_secs(6);

/// A pipeline that follows, watched.
pub(crate) struct Place {
    log: Box<dyn Log>,
    sink: Arc<dyn Sink>,
    state: StateDirectory,
    store: Option<SqliteStore>,
    pipeline: String,
    watched: Mutex<Watched>,
}

/// The mark as it was seen last.
struct Watched {
    mark: Position,
    since: Instant,
    /// Whether it was seen to move.
    moved: bool,
}

/// A moment of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Where the log ended.
    pub position: Position,
    /// When, in microseconds since 1970 by the clock here.
    pub micros: i64,
}

/// How far a pipeline is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Everything before it is applied.
    pub mark: Position,
    /// Bytes of log from there to the end, where that can be told.
    pub behind: Option<u64>,
    /// Whether somebody runs it, as far as can be seen from here.
    pub runs: bool,
}

impl Place {
    /// Of a pipeline; `None` when nothing is known of its ever having followed.
    pub(crate) async fn open(
        pipeline: &Pipeline,
        source: &dyn Source,
        sink: Arc<dyn Sink>,
        state: &StateDirectory,
    ) -> Result<Option<Self>> {
        let store = state.open(false)?;
        let id = &pipeline.id;
        let Some(mark) = known_mark(saved(store.as_ref(), id).await?, sink.as_ref(), id).await? else {
            return Ok(None);
        };
        let log = source.log(id).await?;
        let watched = Watched { mark: mark.position, since: Instant::now(), moved: false };
        let (state, pipeline) = (state.clone(), id.clone());
        Ok(Some(Place { log, sink, state, store, pipeline, watched: Mutex::new(watched) }))
    }

    /// How far it is.
    async fn mark(&self) -> Result<FollowMark> {
        let saved = saved(self.store.as_ref(), &self.pipeline).await?;
        let known = known_mark(saved, self.sink.as_ref(), &self.pipeline).await?;
        known.ok_or_else(|| gone(&self.pipeline))
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the mark is where it is, as far as it was watched.
    fn still_for(&self) -> Duration {
        self.watched().since.elapsed()
    }

    /// The end of the log.
    pub(crate) async fn head(&self) -> Result<Position> {
        self.log.head().await
    }

    /// The source as it is now: every change that was committed before lies before it.
    pub(crate) async fn moment(&self) -> Result<Moment> {
        let micros = now_micros();
        Ok(Moment { position: self.head().await?, micros })
    }

    /// The mark as it is now, looked at whether it has moved.
    async fn look(&self) -> Result<FollowMark> {
        let mark = self.mark().await?;
        let mut watched = self.watched();
        if watched.mark != mark.position {
            *watched = Watched { mark: mark.position.clone(), since: Instant::now(), moved: true };
        }
        Ok(mark)
    }

    /// Up to where everything of a stream is applied: one that is behind is not as far as the others.
    pub(crate) async fn position(&self, stream: &StreamName) -> Result<Position> {
        Ok(self.look().await?.place_of(&stream.to_string()).clone())
    }

    /// Whether everything before a position is applied at a mark.
    pub(crate) fn is_past(&self, mark: &Position, position: &Position) -> Result<bool> {
        Ok(self.log.compare(mark, position)?.is_ge())
    }

    /// Whether nobody runs it, as far as can be seen from here.
    pub(crate) fn stands_still(&self) -> bool {
        self.still_for() >= STILL_AFTER && !self.state.is_locked(&self.pipeline)
    }

    /// Where it stands.
    pub(crate) async fn standing(&self) -> Result<Standing> {
        let mark = self.look().await?.position;
        let behind = self.log.distance(&mark, &self.head().await?);
        let moves = self.watched().moved && self.still_for() < STILL_AFTER;
        Ok(Standing { mark, behind, runs: moves || self.state.is_locked(&self.pipeline) })
    }

    /// Whether a stream is followed, if some way behind the others.
    pub(crate) async fn follows(&self, stream: &StreamName) -> Result<bool> {
        let (mark, name) = (self.mark().await?, stream.to_string());
        Ok(mark.copied.contains_key(&name) || mark.behind.contains_key(&name))
    }

    /// Whether a stream is copied and as far as the others, so that its changes are applied with theirs.
    pub(crate) async fn keeps_up(&self, stream: &StreamName) -> Result<bool> {
        let (mark, name) = (self.mark().await?, stream.to_string());
        Ok(mark.copied.contains_key(&name) && !mark.behind.contains_key(&name))
    }

    /// Rows at the target are about to be as they were at the source at any time up to now, while the
    /// pipeline does not run: going on, it applies everything up to here in one transaction, so that
    /// nobody sees them become older again.
    pub(crate) async fn touched(&self) -> Result<()> {
        let saved = saved(self.store.as_ref(), &self.pipeline).await?;
        let (Some(store), true) = (&self.store, saved.is_some()) else {
            return Err(Error::new(
                &codes::STATE_LOST,
                "write rows of pipeline",
                format!("`{}`", self.pipeline),
            )
            .because("it is followed with another state, which has to know of it")
            .hint("Use the --state that it is followed with"));
        };
        let mark = self.mark().await?;
        let steady_from = Some(self.head().await?);
        let mark = FollowMark { steady_from, unsteady: BTreeSet::new(), ..mark };
        store.save_mark(&self.pipeline, LOG_MARK, Some(&mark.write())).await
    }
}

async fn saved(store: Option<&SqliteStore>, pipeline: &str) -> Result<Option<FollowMark>> {
    let Some(store) = store else { return Ok(None) };
    store.marks(pipeline).await?.remove(LOG_MARK).map(|text| FollowMark::read(&text)).transpose()
}

fn gone(pipeline: &str) -> Error {
    Error::new(&codes::STATE_LOST, "watch pipeline", format!("`{pipeline}`"))
        .because("its mark is gone, so it was begun anew")
        .hint("Wait until it follows again, and repeat the command")
}
