//! Copies streams and then keeps them in step by the source's log, until it is asked to stop.
//!
//! The place in the log comes first and is saved; then the streams are copied, by an ordinary run;
//! then everything is applied that the log has told since. A change that the copy had already seen is
//! applied again, which by key changes nothing in the end.

mod alone;
mod beside;
mod evolve;
mod gather;
mod inspect;
mod live;
mod mark;
mod net;
mod passage;
pub(crate) mod recent;
mod recopy;
pub(crate) mod story;
mod tally;
mod values;
mod watch;
mod whole;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use syncline_config::{Pipeline, StreamChoice};
use syncline_connect::{ColumnChange, Log, Origin, RunRef, Selection, Sink, Source};
use syncline_state::{StateDirectory, Store};
use syncline_types::{Error, Position, Result, Retry, TableSchema, codes};
use tokio_util::sync::CancellationToken;

pub use self::{
    beside::copy_of,
    evolve::Known,
    gather::{Counted, Followed, OfStream},
    live::{Halt, Live, Observer as LiveObserver, Stopped, Turn},
    mark::{Behind, FollowMark},
    passage::Passage,
    recent::{Done, LastChange, Recent, Told},
    recopy::{Wish, ask as ask_for_copy, check as check_wish},
    watch::{LIVE_MARK, Lag, StreamLag},
    whole::Rows,
};
pub(crate) use self::{
    beside::owner_of,
    evolve::{as_known, known_streams},
    inspect::inspect,
    values::save_place,
};
use self::{
    beside::{Begun, Beside},
    evolve::evolve,
    mark::{Copying, LOG},
    watch::{Forward, Shared, Wanted, Watch},
};
use crate::{
    between::Between,
    core::RetryPolicy,
    shell::{
        self, Limits, Outcome, Prepared, RunOptions, StreamWork,
        prepare::{bind, fingerprint},
        run::run_id,
        work::broken,
    },
};

/// Where it stands in the state that the place in the log is being taken.
const TAKING: &str = "+taking";
/// How often it is tried to give up a place from which somebody still seems to read.
const RELEASE_ATTEMPTS: u32 = 8;

/// Is told how a pipeline goes that copies and then follows.
pub trait Observer: shell::Observer + LiveObserver {
    /// The copy is done (`None` where there was nothing to copy), and following begins.
    fn following(&mut self, copied: Option<&Outcome>, position: &Position);
    /// These streams are copied from now on, with how many rows they have as far as that is known; `beside`
    /// others, which are followed meanwhile.
    fn copying(&mut self, streams: &[(String, Option<u64>)], beside: bool) {
        let _ = (streams, beside);
    }
    /// Streams are copied that were copied beside others. They have yet to catch up.
    fn copied(&mut self, outcome: &Outcome) {
        let _ = outcome;
    }
    /// A stream's columns have changed at the source as `told`, and at the target by `changes`; perhaps its
    /// rows are to be copied again.
    fn evolved(&mut self, stream: &str, told: &[String], changes: &[ColumnChange], copy_again: bool) {
        let _ = (stream, told, changes, copy_again);
    }
}

/// How a pipeline is to be followed, beyond what it says itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct FollowOptions {
    /// Throw away everything that is known, and copy again.
    pub restart: bool,
    /// End when everything is applied that was in the log when following began.
    pub until_caught_up: bool,
}

/// Copies what is not yet copied, and follows until `stop`.
///
/// # Errors
/// When it cannot begin, when a stream cannot be copied, or when following fails for a reason that
/// waiting does not mend.
pub async fn follow(
    prepared: Prepared,
    state: &StateDirectory,
    options: FollowOptions,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Stopped> {
    if let Some(blocker) = prepared.blocker() {
        return Err(blocker.clone());
    }
    let pipeline = prepared.pipeline.clone();
    let _lock = state.lock(&pipeline.id)?;
    let store: Arc<dyn Store> =
        Arc::new(state.open(true)?.ok_or_else(|| broken("the state was not created"))?);
    let log: Arc<dyn Log> = Arc::from(prepared.source.log(&pipeline.id).await?);
    let cx = prepared.cx.clone();
    let recent = Arc::new(Recent::open(state.path(), &pipeline.id, options.restart)?);
    let following = Following {
        recent,
        log,
        store,
        source: Arc::clone(&prepared.source),
        sink: Arc::clone(&prepared.sink),
        plans: prepared.streams.iter().map(|stream| (stream.choice.clone(), stream.work.clone())).collect(),
        streams: followed(&prepared)?,
        names: fingerprints(&prepared),
        pipeline,
    };
    let stopped = following.run(prepared, state, options, stop, observer).await;
    drop(following);
    cx.close().await;
    stopped
}

fn fingerprints(prepared: &Prepared) -> BTreeMap<String, String> {
    let of = |work: &StreamWork| (work.target.source.to_string(), fingerprint([work].into_iter()));
    prepared.streams.iter().map(|stream| of(&stream.work)).collect()
}

/// A pipeline that follows, from before its place is taken.
struct Following {
    pipeline: Pipeline,
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    /// What is said of each stream, and how it is worked on.
    plans: Vec<(StreamChoice, StreamWork)>,
    /// In the same order.
    streams: Vec<Followed>,
    /// What each stream is copied as, by its name.
    names: BTreeMap<String, String>,
    /// Where it is noted which changes were read.
    recent: Arc<Recent>,
}

impl Following {
    async fn run(
        &self,
        prepared: Prepared,
        state: &StateDirectory,
        options: FollowOptions,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Stopped> {
        let id = &self.pipeline.id;
        if options.restart {
            self.log.release().await?;
            self.store.save_mark(id, LOG, None).await?;
            recopy::forget(self.store.as_ref(), id).await?;
            self.clear_beside(&prepared).await?;
        }
        let mut known = match options.restart {
            true => None,
            false => known(&prepared, self.store.as_ref()).await?,
        };
        if let Some(mark) = &mut known
            && self.take_wishes(mark).await?
        {
            return Ok(Stopped::Again);
        }
        let mut mark = self.take_place(known, stop).await?;
        let is_missing = |name: &&String| !mark.copied.contains_key(*name);
        let missing: BTreeSet<String> = self.names.keys().filter(is_missing).cloned().collect();
        let (copied, beside) = match self.room_beside(&prepared, &mark).await? {
            Some(sink) => (None, self.stay_behind(prepared, sink, missing, &mut mark).await?),
            None => (self.copy(prepared, state, options, missing, &mut mark, stop, observer).await?, None),
        };
        // Streams that are no longer wanted are forgotten: to come back, they are copied again.
        let before = mark.clone();
        mark.copied.retain(|name, _| self.names.contains_key(name));
        mark.streams.retain(|name, _| self.names.contains_key(name));
        mark.behind.retain(|name, _| self.names.contains_key(name));
        if mark != before {
            self.save(&mark).await?;
        }
        observer.following(copied.as_ref(), &mark.position);
        self.go_live(mark, beside, state, options, stop, observer).await
    }

    async fn save(&self, mark: &FollowMark) -> Result<()> {
        self.store.save_mark(&self.pipeline.id, LOG, Some(&mark.write())).await
    }

    /// Streams that somebody wants to be copied again count as not copied. They are what the source says
    /// that they are by now, so everything is to be prepared again.
    async fn take_wishes(&self, mark: &mut FollowMark) -> Result<bool> {
        let wishes = recopy::wishes(self.store.as_ref(), &self.pipeline.id).await?;
        // One copy comes to its end before the next begins.
        if wishes.is_empty() || !mark.behind.is_empty() {
            return Ok(false);
        }
        for (stream, wish) in wishes {
            if mark.copied.remove(&stream).is_some() {
                mark.again.insert(stream, wish);
            }
        }
        mark.copying = None;
        self.save(mark).await?;
        recopy::forget(self.store.as_ref(), &self.pipeline.id).await?;
        Ok(true)
    }

    /// Takes the place in the log, or goes on with it.
    async fn take_place(&self, known: Option<FollowMark>, stop: &CancellationToken) -> Result<FollowMark> {
        let reads: Vec<_> = self.streams.iter().map(|stream| Arc::clone(&stream.read)).collect();
        if let Some(mark) = &known {
            refuse_changed(mark, &self.names)?;
            refuse_forgotten(mark, &self.streams, &self.log.keeps(&reads).await?)?;
        }
        if known.is_none() {
            self.begin_to_take().await?;
        }
        // The source may wait for transactions that are under way, and they may take long.
        let position = tokio::select! {
            kept = self.log.keep(&reads, known.as_ref().map(|mark| &mark.position)) => kept,
            () = stop.cancelled() => return Err(
                Error::new(&codes::INTERRUPTED, "begin to follow with pipeline", format!("`{}`", self.pipeline.id))
                    .because("it was asked to stop"),
            ),
        };
        if let Some(known) = known {
            return position.map(|_| known);
        }
        if position.as_ref().is_err_and(|error| error.code() == &codes::LOG_LOST) {
            // What is there is somebody else's.
            self.store.save_mark(&self.pipeline.id, TAKING, None).await?;
        }
        let position = position?;
        let mark = FollowMark::new(run_id(RandomState::new().hash_one(std::process::id())), position);
        self.save(&mark).await?;
        self.store.save_mark(&self.pipeline.id, TAKING, None).await?;
        Ok(mark)
    }

    /// Whoever was killed after the source had made something, and before that was saved, has copied nothing
    /// yet: what he has left is given up, and taken anew.
    async fn begin_to_take(&self) -> Result<()> {
        let id = &self.pipeline.id;
        if self.store.marks(id).await?.contains_key(TAKING) {
            self.log.release().await?;
        }
        self.store.save_mark(id, TAKING, Some("")).await
    }

    /// Copies the streams that are not yet copied, while no other is followed.
    #[expect(clippy::too_many_arguments, reason = "each is one part of a run, and all are needed")]
    async fn copy(
        &self,
        mut prepared: Prepared,
        state: &StateDirectory,
        options: FollowOptions,
        missing: BTreeSet<String>,
        mark: &mut FollowMark,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Option<Outcome>> {
        if missing.is_empty() {
            return Ok(None);
        }
        if !mark.behind.is_empty() {
            // They were to be copied beside others, of which there is none any more.
            self.clear_beside(&prepared).await?;
        }
        let begun = self.begin_copy(&mut prepared, mark, &missing).await?;
        let mut copied = None;
        if !matches!(begun, Begun::Done) {
            let run = RunOptions { restart: options.restart };
            let store = Arc::clone(&self.store);
            observer.copying(&prepared.sizes(), false);
            copied = Some(shell::run::run_locked(prepared, state, store, run, stop, observer).await);
        }
        if let Some(error) = copied.as_ref().and_then(Outcome::error) {
            return Err(error);
        }
        self.take_in(mark, &missing).await?;
        Ok(copied)
    }

    /// Gets everything ready for a copy of these streams by the run that is `prepared`.
    async fn begin_copy(
        &self,
        prepared: &mut Prepared,
        mark: &mut FollowMark,
        streams: &BTreeSet<String>,
    ) -> Result<Begun> {
        self.only_parts(prepared, mark)?;
        prepared.keep_only(streams);
        if prepared.streams.iter().any(|stream| stream.work.by_values()) {
            prepared.exact = Some(Arc::clone(&self.log));
        }
        let saved = self.store.load(&prepared.pipeline.id).await?;
        let epoch = saved.as_ref().map_or(0, |saved| saved.epoch);
        let done = mark.copying.as_ref().zip(saved.as_ref()).is_some_and(|(copying, saved)| {
            saved.finished
                && saved.fingerprint == prepared.fingerprint
                && copying.fingerprint == prepared.fingerprint
                && saved.epoch > copying.epoch
        });
        if done {
            return Ok(Begun::Done);
        }
        if mark.copying.as_ref().is_some_and(|copying| copying.fingerprint == prepared.fingerprint) {
            return Ok(Begun::Again);
        }
        let (fingerprint, streams) = (prepared.fingerprint.clone(), streams.clone());
        mark.copying = Some(Copying { fingerprint, epoch, since: self.log.head().await?, streams });
        self.save(mark).await?;
        Ok(Begun::Anew)
    }

    /// These streams are copied.
    async fn take_in(&self, mark: &mut FollowMark, streams: &BTreeSet<String>) -> Result<()> {
        let since = mark.copying.take().map(|copying| copying.since);
        for (_, work) in &self.plans {
            let name = work.target.source.to_string();
            let Some(fingerprint) = self.names.get(&name).filter(|_| streams.contains(&name)) else {
                continue;
            };
            let known = Known { schema: work.read.stream.schema.clone(), columns: None };
            mark.streams.insert(name.clone(), known);
            mark.copied.insert(name.clone(), fingerprint.clone());
            let exact = values::place(self.store.as_ref(), &self.pipeline.id, work).await?;
            if let Some(since) = exact.or_else(|| since.clone()) {
                mark.since.insert(name.clone(), since);
            }
            match mark.again.remove(&name).is_some_and(|wish| wish.filter.is_some()) {
                true => mark.parts.insert(name),
                false => mark.parts.remove(&name),
            };
        }
        // Nobody else has come further than that either.
        mark.copied_until(streams, self.log.head().await?);
        self.save(mark).await
    }

    /// Where only a part of a stream is wanted, only that is copied.
    fn only_parts(&self, prepared: &mut Prepared, mark: &FollowMark) -> Result<()> {
        for stream in &mut prepared.streams {
            let name = stream.work.target.source.to_string();
            let Some(filter) = mark.again.get(&name).and_then(|wish| wish.filter.as_ref()) else { continue };
            let choice = recopy::only(&stream.choice, filter);
            let about = stream.work.read.stream.as_ref().clone();
            let work = bind(&self.pipeline, &choice, about, stream.work.target.stream, self.source.as_ref())?;
            stream.work = StreamWork { before: stream.work.before.clone(), ..work };
        }
        Ok(())
    }

    /// Follows, until it is stopped or has to be prepared again.
    async fn go_live(
        &self,
        mark: FollowMark,
        beside: Option<Beside>,
        state: &StateDirectory,
        options: FollowOptions,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Stopped> {
        let id = &self.pipeline.id;
        let epoch_min = self.store.load(id).await?.map_or(0, |saved| saved.epoch);
        let epoch = self.sink.lock(id, epoch_min).await?;
        let is_followed = |stream: &&Followed| mark.copied.contains_key(&stream.target.source.to_string());
        let streams: Vec<Followed> = self.streams.iter().filter(is_followed).cloned().collect();
        let reads: Vec<_> = streams.iter().map(|stream| Arc::clone(&stream.read)).collect();
        let targets: Vec<_> = streams.iter().map(|stream| Arc::clone(&stream.target)).collect();
        let between = Between::of(self.source.as_ref(), &reads, self.sink.as_ref(), &targets, true).await?;
        let origin = between.onward(&Origin::default())?;
        let run = RunRef { pipeline: id.clone(), run: LOG.to_owned(), epoch, origin };
        // What is being copied has to catch up as well.
        let upto = match options.until_caught_up && beside.is_none() {
            true => Some(self.log.head().await?),
            false => None,
        };
        let limits = Limits::new(self.pipeline.limits.rows_per_second, self.pipeline.limits.bytes_per_second);
        let mut live = Live {
            run,
            log: Arc::clone(&self.log),
            rows: Arc::new(Arc::clone(&self.source)),
            recent: Some(Arc::clone(&self.recent)),
            between,
            echoes: self.pipeline.follow.echoes,
            sink: Arc::clone(&self.sink),
            store: Arc::clone(&self.store),
            streams,
            on_error: self.pipeline.on_error,
            limits,
            mark,
        };
        if let Some(beside) = &beside {
            observer.copying(&beside.sizes(), true);
        }
        let stopped = self.watched(&mut live, beside, state, upto.as_ref(), stop, observer).await;
        let epoch_kept = self.sink.close(id).await;
        let stopped = stopped?;
        epoch_kept?;
        match stopped {
            // Somebody has wished for something while a copy was under way.
            Stopped::Reached if recopy::is_asked(self.store.as_ref(), id).await? => Ok(Stopped::Again),
            stopped => Ok(stopped),
        }
    }

    /// Follows while somebody looks after it.
    async fn watched(
        &self,
        live: &mut Live,
        beside: Option<Beside>,
        state: &StateDirectory,
        upto: Option<&Position>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Stopped> {
        let pause = stop.child_token();
        let names: BTreeSet<String> = self.names.keys().cloned().collect();
        let behind = live.mark.behind.clone();
        let (halt, copied) = {
            let shared = Shared::new(observer, live.mark.position.clone(), behind);
            let watch = Watch {
                pipeline: &self.pipeline,
                source: self.source.as_ref(),
                log: Arc::clone(&self.log),
                store: Arc::clone(&self.store),
                names: &names,
                shared: &shared,
            };
            let (mut forward, mut progress) = (Forward(&shared), Forward(&shared));
            let following = persist(live, upto, &pause, &mut forward);
            let copying = self.copy_beside(beside, state, &pause, &mut progress);
            tokio::pin!(following);
            tokio::pin!(copying);
            // What is under way comes to its end first.
            let ended = tokio::select! {
                halt = &mut following => {
                    pause.cancel();
                    (halt, copying.await)
                }
                copied = &mut copying => {
                    pause.cancel();
                    (following.await, copied)
                }
                wanted = watch.run() => {
                    pause.cancel();
                    let halt = match wanted {
                        Ok(Wanted::Again) => following.await,
                        Ok(Wanted::Release(error)) => Ok(Halt::Release(error)),
                        Err(error) => Err(error),
                    };
                    (halt, copying.await)
                }
            };
            if matches!(ended, (Ok(Halt::Reached), _)) {
                watch.end().await?;
            }
            ended
        };
        let halt = halt?;
        if let Some(copied) = copied.filter(|_| !matches!(halt, Halt::Release(_))) {
            self.end_copy(copied, &mut live.mark, observer).await?;
        }
        match halt {
            Halt::Reached => Ok(Stopped::Reached),
            Halt::Asked if stop.is_cancelled() => Ok(Stopped::Asked),
            Halt::Asked => Ok(Stopped::Again),
            Halt::Release(error) => {
                self.release().await?;
                Err(error)
            }
            Halt::Schema(change) => {
                self.evolve(live, change.stream, change.schema, false, observer).await?;
                Ok(Stopped::Again)
            }
            Halt::CopyAgain(stream) => {
                let schema = self.schema_now(live, stream).await?;
                self.evolve(live, stream, schema, true, observer).await?;
                Ok(Stopped::Again)
            }
        }
    }

    /// What a stream is at the source by now.
    async fn schema_now(&self, live: &Live, stream: usize) -> Result<TableSchema> {
        let unknown = || broken("a stream that nobody follows has changed");
        let name =
            live.streams.get(stream).map(|stream| stream.read.stream.name.clone()).ok_or_else(unknown)?;
        let found = self.source.discover(&Selection::Name(name)).await?;
        found.into_iter().next().map(|stream| stream.schema).ok_or_else(unknown)
    }

    /// Gives up the place in the log, once the source has noticed that nobody reads from it.
    async fn release(&self) -> Result<()> {
        let policy = RetryPolicy::default();
        for attempt in 1_u32.. {
            match self.log.release().await {
                Err(_) if attempt < RELEASE_ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(policy.step_millis(attempt))).await;
                }
                released => return released,
            }
        }
        Ok(())
    }

    /// Lets the target follow a stream whose columns have changed; perhaps its rows are to be copied again in any
    /// case.
    async fn evolve(
        &self,
        live: &mut Live,
        stream: usize,
        schema: TableSchema,
        copy_again: bool,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let name = live.streams.get(stream).map(|stream| &stream.target.source);
        let (choice, before) = self
            .plans
            .iter()
            .find(|(_, work)| Some(&work.target.source) == name)
            .ok_or_else(|| broken("a stream that nobody follows has changed"))?;
        let mut evolved = evolve(
            &self.pipeline,
            choice,
            before,
            schema,
            self.source.as_ref(),
            self.sink.as_ref(),
            &live.run,
        )
        .await?;
        evolved.copy_again |= copy_again;
        let name = before.target.source.to_string();
        let mark = &mut live.mark;
        mark.evolved.insert(name.clone(), mark.place_of(&name).clone());
        mark.streams.insert(name.clone(), evolved.known);
        if evolved.copy_again {
            mark.copied.remove(&name);
            mark.again.insert(name.clone(), Wish::default());
        } else {
            mark.copied.insert(name.clone(), fingerprint([&evolved.work].into_iter()));
        }
        self.save(mark).await?;
        observer.evolved(&name, &evolved.told, &evolved.changes, evolved.copy_again);
        Ok(())
    }
}

/// What is at the target was made of other columns or by other steps: its rows and those to come would not
/// belong together.
fn refuse_changed(mark: &FollowMark, names: &BTreeMap<String, String>) -> Result<()> {
    let other = |(name, now): &(&String, &String)| mark.copied.get(*name).is_some_and(|then| then != *now);
    let Some((name, _)) = names.iter().find(other) else { return Ok(()) };
    Err(Error::new(&codes::RUN_CHANGED, "go on following stream", format!("`{name}`"))
        .because("its columns, its steps or its target are not those that it was copied with")
        .hint("Change them back, or copy again with --restart"))
}

/// What was copied and is followed no more has changed since.
fn refuse_forgotten(mark: &FollowMark, streams: &[Followed], kept: &[bool]) -> Result<()> {
    let forgotten = |(stream, kept): &(&Followed, &bool)| {
        !**kept && mark.copied.contains_key(&stream.target.source.to_string())
    };
    let Some((stream, _)) = streams.iter().zip(kept).find(forgotten) else { return Ok(()) };
    Err(Error::new(&codes::LOG_LOST, "go on following stream", format!("`{}`", stream.target.source))
        .because(
            "the source does not keep its changes any more: it was made anew, or left out of the publication",
        )
        .hint("Copy it again with --restart"))
}

/// Follows on after every failure that may pass.
async fn persist(
    live: &mut Live,
    upto: Option<&Position>,
    stop: &CancellationToken,
    observer: &mut dyn LiveObserver,
) -> Result<Halt> {
    let policy = RetryPolicy::default();
    let mut failures = 0_u32;
    loop {
        let began_at = live.mark.position.clone();
        let error = match live.go_on(upto, stop, observer).await {
            Ok(halt) => return Ok(halt),
            Err(error) if error.retry() == Retry::Backoff => error,
            Err(error) => return Err(error),
        };
        failures = if live.mark.position == began_at { failures.saturating_add(1) } else { 1 };
        let pause = Duration::from_millis(policy.step_millis(failures));
        tracing::info!(%error, "failed, and is tried again");
        observer.waiting(&error, pause);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(Halt::Asked),
        }
    }
}

/// How far the pipeline has come; what the target says outranks what the state says.
///
/// # Errors
/// When one of them cannot be read.
pub async fn known_mark(
    saved: Option<FollowMark>,
    sink: &dyn Sink,
    pipeline: &str,
) -> Result<Option<FollowMark>> {
    let at_target = match sink.marks(pipeline).await? {
        Some(mut marks) => marks.remove(LOG).map(|text| FollowMark::read(&text)).transpose()?,
        None => return Ok(saved),
    };
    Ok(match (saved, at_target) {
        (Some(saved), Some(target)) if saved.life == target.life => Some(saved.told(target)),
        (None, Some(target)) => Some(target),
        (saved, _) => saved,
    })
}

/// Whether streams of a pipeline are being copied beside others, or have not caught up since.
pub(crate) async fn is_copying(store: &dyn Store, pipeline: &str) -> Result<bool> {
    let saved = store.marks(pipeline).await?.remove(LOG).map(|text| FollowMark::read(&text)).transpose()?;
    Ok(saved.is_some_and(|mark| !mark.behind.is_empty()))
}

async fn known(prepared: &Prepared, store: &dyn Store) -> Result<Option<FollowMark>> {
    let pipeline = &prepared.pipeline.id;
    let saved = store.marks(pipeline).await?.remove(LOG).map(|text| FollowMark::read(&text)).transpose()?;
    known_mark(saved, prepared.sink.as_ref(), pipeline).await
}

fn followed(prepared: &Prepared) -> Result<Vec<Followed>> {
    prepared
        .streams
        .iter()
        .map(|stream| {
            let work = &stream.work;
            let passage = work.passage.clone().ok_or_else(|| {
                Error::new(&codes::BROKEN_INVARIANT, "follow stream", format!("`{}`", work.target.source))
                    .because("its steps were not bound for changes")
            })?;
            let (read, target, chain) =
                (Arc::clone(&work.read), Arc::clone(&work.target), Arc::clone(&work.chain));
            Ok(Followed { read, target, passage, chain })
        })
        .collect()
}
