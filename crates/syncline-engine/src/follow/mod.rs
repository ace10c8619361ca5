//! Copies streams and then keeps them in step by the source's log, until it is asked to stop.
//!
//! The place in the log comes first and is saved; then the streams are copied, by an ordinary run;
//! then everything is applied that the log has told since. A change that the copy had already seen is
//! applied again, which by key changes nothing in the end.

mod gather;
mod live;
mod mark;
mod net;
mod passage;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use syncline_config::Pipeline;
use syncline_connect::{Finding, Log, Read, RunRef, Sink, Source};
use syncline_state::{StateDirectory, Store};
use syncline_types::{Error, Position, Result, Retry, codes};
use tokio_util::sync::CancellationToken;

use self::mark::{Copying, LOG};
pub use self::{
    gather::{Counted, Followed},
    live::{Live, Observer as LiveObserver, Stopped},
    mark::FollowMark,
    passage::Passage,
};
use crate::{
    core::RetryPolicy,
    shell::{
        self, Limits, Outcome, Prepared, RunOptions, StreamWork, prepare::fingerprint, run::run_id,
        work::broken,
    },
};

/// Is told how a pipeline goes that copies and then follows.
pub trait Observer: shell::Observer + LiveObserver {
    /// The copy is done (`None` where there was nothing to copy), and following begins.
    fn following(&mut self, copied: Option<&Outcome>, position: &Position);
}

/// How a pipeline is to be followed, beyond what it says itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct FollowOptions {
    /// Throw away everything that is known, and copy again.
    pub restart: bool,
    /// End when everything is applied that was in the log when following began.
    pub until_caught_up: bool,
}

/// What stands in the way of following these streams, or weakens it. Changes nothing.
pub(crate) async fn inspect(
    pipeline: &Pipeline,
    source: &dyn Source,
    works: &[StreamWork],
) -> Result<Vec<Finding>> {
    let log = source.log(&pipeline.id).await?;
    let reads: Vec<Arc<Read>> = works.iter().map(|work| Arc::clone(&work.read)).collect();
    let mut findings = log.inspect(&reads).await?;
    for (work, lacking) in works.iter().zip(log.lacks(&reads).await?) {
        let name = &work.target.source;
        if work.target.key.is_empty() {
            findings.push(Finding::blocker(
                Error::new(&codes::KEY_MISSING, "follow stream", format!("`{name}`"))
                    .because("without a key nobody can tell which of its rows a change is of")
                    .hint("Name a unique key that is never NULL with --key COL,... (key: [COL])"),
            ));
        }
        let needed = work.passage.as_ref().and_then(|passage| passage.needs_told(&lacking));
        if let Some(column) = needed {
            findings.push(Finding::blocker(
                Error::new(&codes::LOG_INCOMPLETE, "follow stream", format!("`{name}`")).because(format!(
                    "its steps look at rows as a whole, and an update that leaves `{column}` alone does not tell it"
                )),
            ));
        }
    }
    Ok(findings)
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
    let streams = followed(&prepared)?;
    let names: BTreeMap<String, String> = prepared
        .streams
        .iter()
        .map(|stream| (stream.work.target.source.to_string(), fingerprint([&stream.work].into_iter())))
        .collect();
    if options.restart {
        log.release().await?;
        store.save_mark(&pipeline.id, LOG, None).await?;
    }
    let known = if options.restart { None } else { known(&prepared, store.as_ref()).await? };
    let reads: Vec<_> = streams.iter().map(|stream| Arc::clone(&stream.read)).collect();
    if let Some(mark) = &known {
        refuse_changed(mark, &names)?;
        refuse_forgotten(mark, &streams, &log.keeps(&reads).await?)?;
    }
    // The source may wait for transactions that are under way, and they may take long.
    let position = tokio::select! {
        kept = log.keep(&reads, known.as_ref().map(|mark| &mark.position)) => kept?,
        () = stop.cancelled() => return Err(
            Error::new(&codes::INTERRUPTED, "begin to follow with pipeline", format!("`{}`", pipeline.id))
                .because("it was asked to stop"),
        ),
    };
    let mut mark = known.unwrap_or(FollowMark {
        life: run_id(RandomState::new().hash_one(std::process::id())),
        position,
        copied: BTreeMap::new(),
        steady_from: None,
        copying: None,
    });
    let is_missing = |name: &&String| !mark.copied.contains_key(*name);
    let missing: BTreeSet<String> = names.keys().filter(is_missing).cloned().collect();
    let mut copied = None;
    let (cx, sink) = (prepared.cx.clone(), Arc::clone(&prepared.sink));
    // Connections end before the process does.
    let mut left = Some(prepared);
    if let Some(mut prepared) = left.take_if(|_| !missing.is_empty()) {
        prepared.keep_only(&missing);
        let saved = store.load(&pipeline.id).await?;
        let epoch = saved.as_ref().map_or(0, |saved| saved.epoch);
        let done = mark.copying.as_ref().zip(saved.as_ref()).is_some_and(|(copying, saved)| {
            saved.finished
                && saved.fingerprint == prepared.fingerprint
                && copying.fingerprint == prepared.fingerprint
                && saved.epoch > copying.epoch
        });
        if !done {
            if mark.copying.as_ref().is_none_or(|copying| copying.fingerprint != prepared.fingerprint) {
                mark.copying = Some(Copying { fingerprint: prepared.fingerprint.clone(), epoch });
                store.save_mark(&pipeline.id, LOG, Some(&mark.write())).await?;
            }
            let run = RunOptions { restart: options.restart };
            let store = Arc::clone(&store);
            copied = Some(shell::run::run_locked(prepared, state, store, run, stop, observer).await);
        }
        if let Some(error) = copied.as_ref().and_then(Outcome::error) {
            return Err(error);
        }
        mark.copied.clone_from(&names);
        mark.copying = None;
        mark.steady_from = Some(log.head().await?);
        store.save_mark(&pipeline.id, LOG, Some(&mark.write())).await?;
    }
    drop(left);
    // Streams that are no longer wanted are forgotten: to come back, they are copied again.
    let copied_before = mark.copied.len();
    mark.copied.retain(|name, _| names.contains_key(name));
    if mark.copied.len() < copied_before {
        store.save_mark(&pipeline.id, LOG, Some(&mark.write())).await?;
    }
    observer.following(copied.as_ref(), &mark.position);
    let epoch_min = store.load(&pipeline.id).await?.map_or(0, |saved| saved.epoch);
    let epoch = sink.lock(&pipeline.id, epoch_min).await?;
    let run = RunRef { pipeline: pipeline.id.clone(), run: LOG.to_owned(), epoch };
    let upto = match options.until_caught_up {
        true => Some(log.head().await?),
        false => None,
    };
    let limits = Limits::new(pipeline.limits.rows_per_second, pipeline.limits.bytes_per_second);
    let on_error = pipeline.on_error;
    let mut live = Live { run, log, sink, store, streams, on_error, limits, mark };
    let stopped = persist(&mut live, upto.as_ref(), stop, observer).await;
    let epoch_kept = live.sink.close(&pipeline.id).await;
    drop(live);
    cx.close().await;
    let stopped = stopped?;
    epoch_kept?;
    Ok(stopped)
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
) -> Result<Stopped> {
    let policy = RetryPolicy::default();
    let mut failures = 0_u32;
    loop {
        let began_at = live.mark.position.clone();
        let error = match live.go_on(upto, stop, observer).await {
            Ok(stopped) => return Ok(stopped),
            Err(error) if error.retry() == Retry::Backoff => error,
            Err(error) => return Err(error),
        };
        failures = if live.mark.position == began_at { failures.saturating_add(1) } else { 1 };
        let pause = Duration::from_millis(policy.step_millis(failures));
        tracing::info!(%error, "failed, and is tried again");
        observer.waiting(&error, pause);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(Stopped::Asked),
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
        (Some(saved), Some(target)) if saved.life == target.life => {
            Some(FollowMark { position: target.position, ..saved })
        }
        (None, Some(target)) => Some(target),
        (saved, _) => saved,
    })
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
