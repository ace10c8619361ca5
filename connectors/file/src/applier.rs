//! Applies changes: they are gathered in memory, at most one a key, and folded into the manifests to come,
//! whose new parts nobody sees before the commit. A commit is the replacement of one file, which holds the
//! mark and those manifests ([`Followed`]); then they are published, by whoever comes after a crash too.
//!
//! Parts are never changed, so whoever has a row at stake is written anew: this costs as much for one change
//! as for thousands. So the engine is asked to commit now and then only.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use syncline_connect::{Applier, Emptied, NetChanges, Origin, RunRef, Target};
use syncline_types::{Error, Result, codes};

use crate::{
    error::shown,
    manifest::Manifest,
    publish::{Fold, Pending},
    sink::{
        SinkShared,
        followed::{Followed, Next, run_name},
    },
};

/// Changes that wait in memory have at most so many bytes before they are folded.
const PENDING_BYTES_MAX: usize = 64 << 20;

pub(crate) struct FileApplier {
    /// `None` while a call is under way; who breaks one off, or meets an error, can only take everything back.
    work: Option<Work>,
    shared: Arc<SinkShared>,
    run: RunRef,
    /// When the first change since the last commit was applied.
    since: Option<Instant>,
    full: bool,
}

/// What waits for the commit.
struct Work {
    shared: Arc<SinkShared>,
    run: RunRef,
    /// By the target's number.
    pending: BTreeMap<u32, Pending>,
    folds: BTreeMap<u32, Fold>,
}

impl FileApplier {
    /// # Errors
    /// [`codes::FENCED`] when a newer epoch has begun.
    pub(crate) fn open(shared: Arc<SinkShared>, run: &RunRef) -> Result<Self> {
        shared.journal(run)?;
        Followed::publish_pending(&shared, run)?;
        let run = RunRef { run: run_name(&run.pipeline), ..run.clone() };
        let work = Work::new(&shared, &run);
        Ok(FileApplier { work: Some(work), shared, run, since: None, full: false })
    }

    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Work) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut own = self.work.take().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "apply changes to", shown(&self.shared.root))
                .because("the applier has failed before")
        })?;
        let worked =
            self.shared.cx.blocking("apply changes", move || work(&mut own).map(|value| (own, value)));
        let (own, value) = worked.await?;
        self.full = own.bytes() >= PENDING_BYTES_MAX || !own.folds.is_empty();
        self.work = Some(own);
        Ok(value)
    }
}

impl Work {
    fn new(shared: &Arc<SinkShared>, run: &RunRef) -> Self {
        Work {
            shared: Arc::clone(shared),
            run: run.clone(),
            pending: BTreeMap::new(),
            folds: BTreeMap::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.pending.values().map(Pending::bytes).sum()
    }

    fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        let pending = match self.pending.entry(target.stream) {
            Entry::Occupied(pending) => pending.into_mut(),
            Entry::Vacant(place) => place.insert(Pending::new(&self.shared, target)?),
        };
        if let Some(Emptied::Noted(note)) = &changes.emptied {
            fold(&self.shared, &self.run, target.stream, pending, &mut self.folds)?.note(
                &self.shared,
                &self.run,
                pending,
                note,
            )?;
        }
        let emptied = matches!(changes.emptied, Some(Emptied::Deleted));
        pending.remove(emptied, &changes.deletes)?;
        let mut missed = 0;
        if let Some(moved) = &changes.moved {
            let fold = fold(&self.shared, &self.run, target.stream, pending, &mut self.folds)?;
            missed += fold.move_row(&self.shared, &self.run, pending, moved)?;
        }
        for rows in &changes.updates {
            // Which rows are there is known only once everything before is folded in.
            let fold = fold(&self.shared, &self.run, target.stream, pending, &mut self.folds)?;
            missed += fold.update(&self.shared, &self.run, pending, rows)?;
        }
        pending.add(&changes.rows)?;
        if self.bytes() >= PENDING_BYTES_MAX {
            self.fold_all()?;
        }
        Ok(missed)
    }

    fn fold_all(&mut self) -> Result<()> {
        for (stream, pending) in &mut self.pending {
            fold(&self.shared, &self.run, *stream, pending, &mut self.folds)?;
        }
        Ok(())
    }

    fn commit(&mut self, mark: &str) -> Result<()> {
        self.fold_all()?;
        let folds = std::mem::take(&mut self.folds);
        self.pending.clear();
        let changed = folds.into_values().filter(|fold| fold.before != fold.manifest);
        let next: Vec<Next> = changed
            .map(|fold| {
                let mut manifest: Manifest = fold.manifest;
                manifest.run.clone_from(&self.run.run);
                manifest.replaces(Some(&fold.before));
                Next { folder: fold.folder, before: fold.before, manifest }
            })
            .collect();
        Followed { mark: mark.to_owned(), next }.commit(&self.shared, &self.run)
    }
}

/// Folds what waits into the manifest to come.
fn fold<'a>(
    shared: &SinkShared,
    run: &RunRef,
    stream: u32,
    pending: &mut Pending,
    folds: &'a mut BTreeMap<u32, Fold>,
) -> Result<&'a mut Fold> {
    let fold = match folds.entry(stream) {
        Entry::Occupied(fold) => fold.into_mut(),
        Entry::Vacant(place) => place.insert(Fold::begin(shared, run, pending.target())?),
    };
    fold.take(shared, run, pending)?;
    Ok(fold)
}

#[async_trait]
impl Applier for FileApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        self.since.get_or_insert_with(Instant::now);
        let (target, changes) = (Arc::clone(target), changes.clone());
        self.work(move |work| work.apply(&target, &changes)).await
    }

    /// Nobody follows the changes of a folder.
    fn come_through(&mut self, _: &Origin) {}

    fn wants_commit(&self) -> bool {
        let pause = Duration::from_secs(self.shared.commit_seconds);
        self.full || self.since.is_none_or(|since| since.elapsed() >= pause)
    }

    async fn commit(&mut self, mark: &str) -> Result<()> {
        let mark = mark.to_owned();
        self.work(move |work| work.commit(&mark)).await?;
        (self.since, self.full) = (None, false);
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        // Parts that were written for nothing are removed by whoever folds next.
        self.work = Some(Work::new(&self.shared, &self.run));
        (self.since, self.full) = (None, false);
        Ok(())
    }
}
