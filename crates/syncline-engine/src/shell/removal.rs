//! Removes rows from a table that is published when its source no longer has them: keys of both ends
//! are compared as `verify` compares rows, in sessions that begin after the publication, and those
//! that only the target has are deleted or marked as deleted.
//!
//! They are staged and published like rows, under stream numbers of their own. So the target itself
//! remembers what this run has removed, and a run that is cut short finds it done or does it again.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use syncline_config::Deletes;
use syncline_connect::{
    Marking, Next, Outcome, ProgressDelta, ProgressRow, RunRef, Sink, Source, Target, TargetProgress, Task,
    WriteMode,
};
use syncline_steps::StepSpec;
use syncline_types::{Column, Error, Extent, LogicalType, Progress, Result, Split, SplitId, codes};

use super::work::{StreamWork, Work, broken};
use crate::{
    repair::{gone, spill::Spilled},
    verify::{self, Difference, compare, pair::Pair, wanted::Wanted},
};

/// The column that says since when a row counts as deleted.
pub(crate) const DELETED_AT: &str = "_deleted_at";

/// Keys that are removed at once: their hashes are held in memory, 16 bytes each.
const KEYS_MAX: usize = 4_000_000;

/// Opens the target once more, for reading above all.
#[async_trait]
pub trait Reopen: Send + Sync {
    /// As it is now.
    ///
    /// # Errors
    /// When it cannot be opened.
    async fn open(&self) -> Result<Arc<dyn Source>>;

    /// Once more for writing, where somebody else may write while a pipeline follows into it.
    ///
    /// # Errors
    /// When it cannot be opened.
    async fn sink(&self) -> Result<Option<Arc<dyn Sink>>> {
        Ok(None)
    }
}

/// How the target is read.
#[derive(Clone)]
pub struct ReadBack {
    /// Opens it.
    pub opener: Arc<dyn Reopen>,
    /// A folder of this pipeline's own, for keys that wait.
    pub scratch: PathBuf,
    /// Whether an empty source may empty a filled target.
    pub allow_empty: bool,
}

/// The step that makes a row count as there.
pub(super) fn not_deleted() -> StepSpec {
    let nothing = (DELETED_AT.to_owned(), "cast(null as timestamptz)".to_owned());
    StepSpec::Set([nothing].into_iter().collect())
}

/// The target for keys of rows that are to go; `None` where they stay.
pub(crate) fn removal_target(work: &StreamWork, stream: u32) -> Option<Target> {
    let task = match work.deletes {
        Deletes::Ignore | Deletes::Told => return None,
        Deletes::Soft => Task::Update,
        Deletes::Apply => Task::Delete,
    };
    let mut target = Target::clone(&work.target);
    let key = target.key.clone();
    target.schema.columns.retain(|column| key.contains(&column.name));
    if task == Task::Update {
        target.schema.columns.push(Column::new(DELETED_AT, LogicalType::TIMESTAMPTZ));
    }
    Some(Target { stream, task, write: WriteMode::Merge, staged: true, cursor: None, ..target })
}

/// Now, in microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A folder that goes with whoever made it.
struct Scratch<'a>(&'a Path);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What cannot be removed is keys and hashes; the next run makes the folder anew.
        let _ = fs::remove_dir_all(self.0);
    }
}

/// Nobody is told of single rows here.
struct Silent;

impl verify::Observer for Silent {
    fn comparing(&mut self, _: &str, _: &str) {}
    fn progress(&mut self, _: &str, _: u64) {}
    fn difference(&mut self, _: &str, _: &Difference) {}
    fn settling(&mut self, _: &str, _: u64) {}
    fn unsettled(&mut self, _: &str, _: &Difference) {}

    fn passed_over(&mut self, _: &str) {}
}

impl Work {
    /// Removes what the source no longer has. Returns how many rows this run has removed, in earlier
    /// processes too.
    pub(super) async fn remove_vanished(&self, number: usize) -> Result<u64> {
        // The whole stream, whatever the run's window is: rows outside of it are not gone.
        let stream = self.streams.get(number).ok_or_else(|| broken("there is no such stream"))?;
        let read_back = self.read_back.as_ref().ok_or_else(|| broken("the target cannot be read"))?;
        let number = u32::try_from(number).map_err(|_| broken("there are too many streams"))?;
        let streams = u32::try_from(self.streams.len()).map_err(|_| broken("there are too many streams"))?;
        let mut removed = 0;
        for round in 1.. {
            let id = round * streams + number;
            let progress = self.sink.progress(&self.pipeline).await?.unwrap_or_default();
            if let Some(rows) = published(&progress, id) {
                removed += rows;
                continue;
            }
            let _ = fs::remove_dir_all(&read_back.scratch);
            fs::create_dir_all(&read_back.scratch).map_err(|error| {
                Error::new(&codes::STATE_FAILED, "keep keys in", read_back.scratch.display()).because(error)
            })?;
            let scratch = Scratch(&read_back.scratch);
            let (gone, more) = self.find_vanished(stream, read_back).await?;
            if gone.rows() > 0 {
                let target = removal_target(stream, id).ok_or_else(|| broken("no rows are to be removed"))?;
                self.publish_removal(&gone, Target { schema: gone.schema().clone(), ..target }).await?;
                removed += gone.rows();
            }
            drop(scratch);
            if !more {
                return Ok(removed);
            }
        }
        Ok(removed)
    }

    /// The keys that only the target has, and whether there are more of them.
    async fn find_vanished(&self, stream: &StreamWork, read_back: &ReadBack) -> Result<(Spilled, bool)> {
        let target = read_back.opener.open().await?;
        let pair = Pair::of_keys(stream, &self.source, &target, self.parallel, &self.limits).await?;
        let mut wanted = Wanted::up_to(KEYS_MAX);
        let hashes = read_back.scratch.join("hashes");
        let verdict = compare(&pair, self.parallel, &hashes, &mut wanted, &mut Silent).await?;
        let name = || format!("`{}`", stream.target.name);
        if verdict.extra > 0 && wanted.source_unreadable > 0 {
            return Err(Error::new(&codes::VALUE_UNREADABLE, "remove rows from", name())
                .because(format!(
                    "the keys of {} rows at the source cannot be read, and they may be among those",
                    wanted.source_unreadable
                ))
                .hint("Correct those rows at the source, or set `deletes: ignore`"));
        }
        if verdict.extra > 0 && verdict.source_rows == 0 && !read_back.allow_empty {
            return Err(Error::new(&codes::EMPTY_SOURCE, "remove rows from", name())
                .because(format!("`{}` has no rows, and the target has some", stream.target.source))
                .hint("If it is to be emptied, say --allow-empty (allow_empty: true)"));
        }
        wanted.at_target.sorted();
        let deleted_at = (stream.deletes == Deletes::Soft).then(now_micros);
        let gone = gone::keep(&pair, wanted.at_target, &read_back.scratch, deleted_at).await?;
        Ok((gone, wanted.truncated))
    }

    /// Stages keys and publishes what is to become of their rows.
    async fn publish_removal(&self, gone: &Spilled, target: Target) -> Result<()> {
        let (run, target) = (self.run()?, Arc::new(target));
        let plan = self.sink.plan(std::slice::from_ref(&target)).await?.pop();
        let plan = plan.ok_or_else(|| broken("a target has no plan"))?;
        if let Some(blocker) = plan.findings.iter().find_map(|finding| finding.error.clone()) {
            return Err(blocker);
        }
        for action in &plan.before {
            self.sink.apply(&run, &target, action).await?;
        }
        // An attempt that failed may have staged some.
        self.sink.reset(&run, &target).await?;
        self.stage(gone, &run, &target).await?;
        self.sink.finish(&run, &target, Marking::Keep).await.map(drop)
    }

    async fn stage(&self, gone: &Spilled, run: &RunRef, target: &Arc<Target>) -> Result<()> {
        let read = gone.read(&target.source);
        let session = gone.begin(std::slice::from_ref(&read), 1).await?;
        let split = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
        let mut reader = session.open(&read, &split, None).await?;
        let mut writer = self.sink.writer(run).await?;
        let mut row = ProgressRow { progress: Progress::Done, rows: 0, bytes: 0, rejected: 0 };
        while let Next::Batch(batch) = reader.next().await? {
            row.rows += batch.rows.num_rows() as u64;
            row.bytes += batch.bytes;
            match writer.write(target, split.id, &batch).await?.into_iter().next() {
                None => {}
                // Nothing is committed, so all of it is tried again.
                Some(Outcome::Again { .. }) => {
                    return Err(Error::new(
                        &codes::SERVER_BUSY,
                        "remove rows from",
                        format!("`{}`", target.name),
                    )
                    .because("it puts some keys off"));
                }
                Some(Outcome::Reject(reject)) => return Err(reject.error),
            }
        }
        writer.commit(&[ProgressDelta { stream: target.stream, split: split.id, row }]).await
    }
}

/// How many keys were removed under a stream's number, if that is done.
fn published(progress: &TargetProgress, id: u32) -> Option<u64> {
    let splits = progress.splits.range((id, SplitId(0))..=(id, SplitId(u32::MAX)));
    progress.published.contains(&id).then(|| splits.map(|(_, row)| row.rows).sum())
}
