//! Puts right what differs between both ends, and nothing else: rows that the target lacks or has
//! otherwise are read again and merged, rows that the source lacks are deleted by key.
//!
//! No run of the pipeline works meanwhile, unless it follows. Each stream is compared, put right and
//! compared again; only the last look says whether it is equal. A repair that is cut short is simply
//! begun again.
//!
//! A pipeline that follows and runs goes on meanwhile. Only rows that differ although it is past them are
//! put right, from the source as it is then. Should it have applied a newer change in between, the next
//! look finds the older row that was put over it, and puts it right in turn: whatever was written is
//! looked at once more after the pipeline is past the moment of its being written. One that does not run
//! is kept from running, and told from where on the target is a moment of the source again.

pub(crate) mod gone;
mod guard;
mod letters;
mod picked;
mod replay;
mod small;
pub(crate) mod spill;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use syncline_config::{Deletes, Pipeline};
use syncline_connect::{Context, Origin, Read, Sink, Source, Target, Task, WriteMode};
use syncline_state::{StateDirectory, Store};
use syncline_types::{Error, ErrorKind, Result, codes};
use tokio_util::sync::CancellationToken;

use crate::{
    between::Between,
    shell::{Registry, StreamWork, removal::now_micros, work::broken},
    verify::{
        self, Ends, FollowedUpTo, StreamVerdict, compare,
        look::Lookup,
        pair::{Pair, Side, keys_only},
        place::Place,
        rows,
        settle::{self, Looked, Unnamed},
        wanted::Wanted,
    },
};
pub use replay::{Outcome, Replayed, replay};

use guard::Guard;
use picked::{Pick, Picked};
use small::{Desk, live_repair_of, repair_of};

/// Rows that are put right between two looks: their hashes are held in memory, 16 bytes each. If
/// more differ, it takes more looks.
const ROWS_MAX: usize = 4_000_000;

/// Looks at a stream of a pipeline that runs. More are needed only where a newer row was written over,
/// and that is rare.
const LIVE_LOOKS_MAX: usize = 6;

/// Is told what is found and done.
pub trait Observer: verify::Observer {
    /// So many rows are about to be written, and so many to be deleted.
    fn repairing(&mut self, stream: &str, rows: u64, gone: u64);
}

/// What became of one stream.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// At the first look.
    pub before: StreamVerdict,
    /// At the last look.
    pub after: StreamVerdict,
    /// Rows written.
    pub written: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows that the target refused, which are dead letters now.
    pub rejected: u64,
    /// Why not all of it could be put right.
    pub problem: Option<Error>,
}

/// What became of a pipeline.
#[derive(Clone, Debug)]
pub struct Repairs {
    /// Stream by stream.
    pub streams: Vec<Repaired>,
    /// Where it follows, and is known to have.
    pub followed: Option<FollowedUpTo>,
}

/// How a pipeline that is repaired follows.
#[derive(Clone, Copy)]
enum Following<'a> {
    /// Not at all.
    Not,
    /// It does not run, and is kept from it.
    Stopped(&'a Place),
    /// It runs. Rows are looked at again for so long, for each stream.
    Running(&'a Place, Duration),
}

/// Repairs every stream of a pipeline. Where it follows and runs, rows that differ are looked at again
/// for as long as `settle` says, for each look at a stream.
///
/// # Errors
/// When it cannot begin: a run works on the pipeline or is not finished, the target takes no single
/// rows; or when a stream cannot be compared. What keeps a stream from being put right is in its
/// [`Repaired`].
pub async fn repair(
    pipeline: &Pipeline,
    registry: Registry,
    cx: &Context,
    state: &StateDirectory,
    settle: Duration,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Repairs> {
    let to = registry(&pipeline.to.scheme)?;
    if !to.capabilities().sink.is_some_and(|sink| sink.keyed && sink.merge) {
        return Err(Error::new(&codes::UNSUPPORTED, "repair", format!("`{}`", pipeline.to))
            .because(format!("`{}` cannot change single rows", to.name()))
            .hint("Copy the table again"));
    }
    let shared = to.capabilities().sink.is_some_and(|sink| sink.shared);
    let ends = Ends::open(pipeline, registry, cx).await?;
    ends.tell(observer);
    let config = to.configure(&pipeline.to)?;
    let store = state.open(true)?.ok_or_else(|| broken("the state was not created"))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let place = verify::followed(pipeline, registry, cx, ends.source.as_ref(), state).await?;
    let holder: Arc<dyn Sink> = Arc::from(to.sink(&config, cx.clone()).await?);
    let guard = Guard::take(&pipeline.id, "repair", state, store.as_ref(), holder).await;
    let (name, following, guard) = match (guard, &place) {
        (Ok(guard), Some(place)) => (repair_of(&pipeline.id), Following::Stopped(place), Ok(guard)),
        (Ok(guard), None) => (repair_of(&pipeline.id), Following::Not, Ok(guard)),
        (Err(error), Some(place))
            if *error.code() == codes::ALREADY_RUNNING && follows(&ends, place).await? =>
        {
            if !shared {
                return Err(Error::new(&codes::ALREADY_RUNNING, "repair", format!("`{}`", pipeline.id))
                    .because(format!(
                        "nobody else may write into `{}` while it is followed into",
                        pipeline.to
                    ))
                    .hint("Stop the pipeline, repair, and run it again: it goes on from where it was"));
            }
            // Nobody else repairs it meanwhile.
            let name = live_repair_of(&pipeline.id);
            let lock = state.lock(&name)?;
            (name, Following::Running(place, settle), Err(lock))
        }
        (Err(error), _) => return Err(error),
    };
    let moment = match &place {
        Some(place) => Some(place.moment().await?),
        None => None,
    };
    let sink: Arc<dyn Sink> = Arc::from(to.sink(&config, cx.clone()).await?);
    let scratch = Scratch::create(state.path().join(format!("repair-{name}")))?;
    let origin = origin_of(ends.source.as_ref(), &ends.works, sink.as_ref()).await?;
    let desk = Desk { pipeline, name, sink, store, origin, cx, stop };
    // What an earlier repair has left that was cut short.
    let cleared = desk.sink.close(&desk.name).await;
    let result = match cleared {
        Err(error) => Err(error),
        Ok(()) => tokio::select! {
            result = all(&desk, &ends, following, &scratch.0, observer) => result,
            () = stop.cancelled() => Err(Error::new(&codes::INTERRUPTED, "repair", format!("`{}`", pipeline.id))
                .because("it was asked to stop")
                .hint("The same command does what is left")),
        },
    };
    let closed = desk.sink.close(&desk.name).await;
    let released = match guard {
        Ok(guard) => guard.release().await,
        Err(_) => Ok(()),
    };
    let streams = result?;
    closed.and(released)?;
    let followed = match (&place, moment) {
        (Some(place), Some(moment)) => Some(FollowedUpTo { moment, standing: place.standing().await? }),
        _ => None,
    };
    Ok(Repairs { streams, followed })
}

/// What rows have come through that are put right.
pub(crate) async fn origin_of(source: &dyn Source, works: &[StreamWork], sink: &dyn Sink) -> Result<Origin> {
    let reads: Vec<_> = works.iter().map(|work| Arc::clone(&work.read)).collect();
    let targets: Vec<_> = works.iter().map(|work| Arc::clone(&work.target)).collect();
    Between::of(source, &reads, sink, &targets, true).await?.onward(&Origin::default())
}

/// Whether every stream is copied already: what is being copied is nobody else's.
async fn follows(ends: &Ends, place: &Place) -> Result<bool> {
    for work in &ends.works {
        if !place.keeps_up(&work.target.source).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A folder that goes with whoever made it. What another one left there is removed first: whoever
/// makes it holds the pipeline's lock.
struct Scratch(PathBuf);

impl Scratch {
    fn create(path: PathBuf) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(&codes::STATE_FAILED, "keep keys in", path.display())
                .because(error)
                .hint("Make room there, or name another directory with --state DIR")
        };
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::create_dir_all(&path).map_err(failed)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next repair.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every stream; those that could not be put right once more when another one was, for a foreign key
/// may have kept them from it.
async fn all(
    desk: &Desk<'_>,
    ends: &Ends,
    following: Following<'_>,
    scratch: &Path,
    observer: &mut dyn Observer,
) -> Result<Vec<Repaired>> {
    let mut done: Vec<Option<Repaired>> = ends.works.iter().map(|_| None).collect();
    loop {
        let mut changed = false;
        for (work, slot) in ends.works.iter().zip(&mut done) {
            if slot.as_ref().is_some_and(|repaired| repaired.problem.is_none()) {
                continue;
            }
            let mut repaired = Stream { desk, ends, work, following, scratch }.repair(observer).await?;
            changed |= repaired.written + repaired.deleted > 0;
            if let Some(earlier) = slot.take() {
                repaired.before = earlier.before;
                repaired.written += earlier.written;
                repaired.deleted += earlier.deleted;
            }
            *slot = Some(repaired);
        }
        let failed = done.iter().flatten().any(|repaired| repaired.problem.is_some());
        if !changed || !failed {
            return Ok(done.into_iter().flatten().collect());
        }
    }
}

/// A stream that is to be put right.
struct Stream<'a> {
    desk: &'a Desk<'a>,
    ends: &'a Ends,
    work: &'a StreamWork,
    following: Following<'a>,
    scratch: &'a Path,
}

impl Stream<'_> {
    async fn repair(&self, observer: &mut dyn Observer) -> Result<Repaired> {
        let (mut pair, mut wanted, verdict) = self.look(observer).await?;
        let mut repaired = Repaired {
            before: verdict.clone(),
            after: verdict,
            written: 0,
            deleted: 0,
            rejected: 0,
            problem: None,
        };
        let mut looks = 1;
        while !repaired.after.equal() {
            let runs = matches!(self.following, Following::Running(..));
            // What may be on its way is not to be put right.
            if runs && repaired.after.differing() == 0 {
                break;
            }
            let more = wanted.truncated || runs && looks < LIVE_LOOKS_MAX;
            if let Err(problem) = self.put_right(pair, wanted, &mut repaired, observer).await {
                if matches!(problem.kind(), ErrorKind::Interrupted | ErrorKind::Fenced | ErrorKind::Internal)
                {
                    return Err(problem);
                }
                repaired.problem = Some(problem);
            }
            (pair, wanted, repaired.after) = self.look(observer).await?;
            looks += 1;
            if !more || repaired.problem.is_some() {
                break;
            }
        }
        Ok(repaired)
    }

    async fn look(&self, observer: &mut dyn Observer) -> Result<(Pair, Wanted, StreamVerdict)> {
        let Desk { pipeline, .. } = self.desk;
        let hashes = self.scratch.join("hashes");
        if let Following::Running(place, settle) = self.following {
            let lookup = Lookup { pipeline, work: self.work, ends: self.ends };
            let Looked { verdict, wanted } =
                settle::compare_moving(&lookup, place, settle, &hashes, observer).await?;
            let pair = Pair::open(pipeline, self.work, &self.ends.source, &self.ends.target).await?;
            return Ok((pair, wanted, verdict));
        }
        let pair = Pair::open(pipeline, self.work, &self.ends.source, &self.ends.target).await?;
        // What is deleted at the source may be there for good.
        let keeps = self.work.passage.as_ref().is_some_and(|passage| passage.keeps());
        let mut wanted = Wanted::up_to(ROWS_MAX).leaving_extra(keeps);
        if !keeps {
            let verdict = compare(&pair, pipeline.parallel, &hashes, &mut wanted, observer).await?;
            return Ok((pair, wanted, verdict));
        }
        let mut unnamed = Unnamed { observer, only_extra: true };
        let mut verdict = compare(&pair, pipeline.parallel, &hashes, &mut wanted, &mut unnamed).await?;
        verdict.keep_extra();
        Ok((pair, wanted, verdict))
    }

    /// Deletes first: a row that is too much may have what is unique in one that is missing.
    async fn put_right(
        &self,
        pair: Pair,
        mut wanted: Wanted,
        repaired: &mut Repaired,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        self.check(&pair, &repaired.before)?;
        let mut problem = None;
        if wanted.source_unreadable > 0 && !wanted.at_target.keys.is_empty() {
            problem = self.spare(&pair, &mut wanted).await?;
        }
        let (rows, gone) = (wanted.at_source.sorted().len(), wanted.at_target.sorted().len());
        observer.repairing(&pair.name, rows as u64, gone as u64);
        let soft = self.work.deletes == Deletes::Soft;
        let deleted_at = soft.then(now_micros);
        let extra = gone::keep(&pair, wanted.at_target, self.scratch, deleted_at).await?;
        let Pair { source, target, pairing, .. } = pair;
        // From here on the table is only written to.
        drop(target);
        let keys = syncline_types::fingerprint::RowHasher::new(&source.schema, &pairing)?;
        let splits = wanted.at_source.splits.into_values().collect();
        let read = Arc::clone(&source.read);
        let pick = Pick { side: source, keys, wanted: wanted.at_source.keys, splits };
        let load: (Arc<dyn Source>, Arc<Read>) = match self.following {
            Following::Not => (Arc::new(Picked::new(&self.ends.source, pick)), read),
            // The source is behind us then, and it is known up to where it may have been read.
            Following::Stopped(_) | Following::Running(..) => {
                let kept = picked::keep(pick, self.scratch).await?;
                let read = kept.read(&self.work.target.source);
                (Arc::new(kept), read)
            }
        };
        if let Following::Stopped(place) = self.following {
            place.touched().await?;
        }
        if extra.rows() > 0 {
            let task = if soft { Task::Update } else { Task::Delete };
            let target = Target { schema: extra.schema().clone(), ..self.target(task) };
            let read = extra.read(&target.source);
            let done = self.desk.run(Arc::new(extra), read, target).await?;
            repaired.deleted += done.rows;
            repaired.rejected += done.rejected;
        }
        if rows > 0 {
            let done = self.desk.run(load.0, load.1, self.target(Task::Load)).await?;
            repaired.written += done.rows;
            repaired.rejected += done.rejected;
        }
        problem.map_or(Ok(()), Err)
    }

    /// The target for the rows of a task.
    fn target(&self, task: Task) -> Target {
        let target = Target::clone(&self.work.target);
        Target {
            stream: 0,
            task,
            write: WriteMode::Merge,
            staged: true,
            overwrite_said: false,
            cursor: None,
            ..target
        }
    }

    fn check(&self, pair: &Pair, before: &StreamVerdict) -> Result<()> {
        if pair.key.is_empty() || pair.pairing.len() != pair.key.len() {
            return Err(Error::new(&codes::KEY_MISSING, "repair", format!("`{}`", pair.name))
                .because("it has no key, so nobody can say which row is which")
                .hint("Name a unique key with --key COL,... (key: [COL]), or copy it again"));
        }
        if before.source_rows == 0 && before.target_rows > 0 && !self.desk.pipeline.allow_empty {
            return Err(Error::new(&codes::EMPTY_SOURCE, "repair", format!("`{}`", self.work.target.name))
                .because(format!("`{}` gave no rows, and the target has some", pair.name))
                .hint("If it is to be emptied, say --allow-empty (allow_empty: true)"));
        }
        Ok(())
    }

    /// Takes out of the rows that seem to be too much those that the source has, and that only cannot be
    /// read or fail in a step. Where not even their keys can be had, none is deleted, and that is said.
    async fn spare(&self, pair: &Pair, wanted: &mut Wanted) -> Result<Option<Error>> {
        let extra = wanted.at_target.sorted().to_vec();
        let (known, unreadable) =
            keys_there(self.desk.pipeline, self.work, &self.ends.source, pair, &extra).await?;
        wanted.at_target.keys.retain(|key| !known.contains(key));
        if unreadable == 0 || wanted.at_target.keys.is_empty() {
            return Ok(None);
        }
        wanted.at_target.keys.clear();
        Ok(Some(
            Error::new(&codes::VALUE_UNREADABLE, "delete rows of", format!("`{}`", self.work.target.name))
                .because(format!(
                    "the keys of {unreadable} rows at the source cannot be read, and they may be among those"
                ))
                .hint("Correct those rows at the source"),
        ))
    }
}

/// Which of these keys, sorted, the source has, looking at nothing but the key and the filters; and of
/// how many rows not even that can be read.
async fn keys_there(
    pipeline: &Pipeline,
    work: &StreamWork,
    source: &Arc<dyn Source>,
    pair: &Pair,
    keys: &[u128],
) -> Result<(std::collections::HashSet<u128>, u64)> {
    let work = keys_only(work)?;
    let (read, limits) = (Arc::clone(&work.read), &pair.source.limits);
    let side = Side::new(source, read, Some(&work), &pair.pairing, pipeline.parallel, limits, false).await?;
    let (mut known, mut unreadable) = (std::collections::HashSet::new(), 0);
    let mut splitter = side.session.splitter(&side.read, None).await?;
    while let Some(split) = splitter.next().await? {
        unreadable += rows::each_batch(&side, &split, |batch| {
            let hashes = side.rows.hash(batch)?;
            known.extend(hashes.into_iter().filter(|hash| keys.binary_search(hash).is_ok()));
            Ok(())
        })
        .await?;
    }
    Ok((known, unreadable))
}
