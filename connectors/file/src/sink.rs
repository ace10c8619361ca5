//! Writing: who may write (lock and epoch), what is prepared, how far everything is, what is left to
//! clear away.

pub(crate) mod followed;
pub(crate) mod journal;
mod lock;
pub(crate) mod tidy;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use syncline_connect::{
    Action, Applier, ColumnChange, Context, Delivery, Evolution, Finding, LOG_MARK, Lanes, Marking, Origin,
    Published, RunRef, Sink, Target, TargetPlan, TargetProgress, WriteMode, Writer,
};
use syncline_types::{Error, Result, codes};

use crate::{
    applier::FileApplier,
    client::{look, names, sync_folder},
    config::FileConfig,
    error::Explain,
    manifest::{self, Manifest},
    plan::{Seen, Step, plan},
    publish,
    schema::name::folder_name,
    types::Layout,
    writer::FileWriter,
};
use followed::Followed;
use journal::{Entry, Journal, fenced};
use lock::Lock;

/// A folder as a sink.
pub(crate) struct FileSink(Arc<SinkShared>);

/// What writers need too.
pub(crate) struct SinkShared {
    pub(crate) cx: Context,
    /// In which the streams' folders are.
    pub(crate) root: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) part_bytes: u64,
    pub(crate) merge_keys_max: u64,
    /// While following, how long changes are gathered.
    pub(crate) commit_seconds: u64,
    /// Writers that were opened, for the names of their parts.
    pub(crate) lanes: AtomicU32,
    /// Held by whoever replaces a manifest.
    pub(crate) publishing: Mutex<()>,
    /// The pipeline whose turn it is, for as long as the sink lives.
    held: Mutex<Option<Held>>,
}

/// A pipeline that this sink works for.
struct Held {
    pipeline: String,
    epoch: u64,
    lock: Lock,
}

impl FileSink {
    /// Opens nothing yet: a dry run must not make a folder.
    pub(crate) fn new(shared: SinkShared) -> Self {
        FileSink(Arc::new(shared))
    }

    async fn work<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&SinkShared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.0);
        self.0.cx.blocking(name, move || work(&shared)).await
    }
}

impl Drop for FileSink {
    /// Another may take over at once, whatever writers are left: the epoch keeps them from writing.
    fn drop(&mut self) {
        drop(self.0.held().take());
    }
}

impl SinkShared {
    pub(crate) fn new(cx: Context, root: PathBuf, layout: Layout, config: &FileConfig) -> Self {
        SinkShared {
            cx,
            root,
            layout,
            part_bytes: config.part_bytes,
            merge_keys_max: config.merge_keys_max,
            commit_seconds: config.commit_seconds,
            lanes: AtomicU32::new(0),
            publishing: Mutex::default(),
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that no part has: `part-RUN-EPOCH-LANE-NUMBER.EXTENSION`.
    pub(crate) fn part_name(&self, run: &RunRef, folder: &Path, lane: u32, parts_made: &mut u32) -> String {
        loop {
            let (RunRef { run, epoch, .. }, number) = (run, *parts_made);
            let name = format!("part-{run}-{epoch}-{lane}-{number}.{}", self.layout.extension());
            *parts_made += 1;
            // A run's id may come again where its journal has gone.
            if !folder.join(&name).exists() {
                return name;
            }
        }
    }

    /// The journal of a run that is still its pipeline's.
    pub(crate) fn journal(&self, run: &RunRef) -> Result<Journal> {
        let journal = Journal::open(&self.root, &run.pipeline)?.ok_or_else(|| fenced(&run.pipeline))?;
        journal.fence(run.epoch)?;
        Ok(journal)
    }

    fn lock(&self, pipeline: &str, epoch_min: u64) -> Result<u64> {
        make_folder(&self.root)?;
        let mut held = self.held();
        let lock = match held.take() {
            Some(Held { pipeline: same, lock, .. }) if same == pipeline => lock,
            _ => Lock::take(&self.root, pipeline)?,
        };
        let mut journal = Journal::make(&self.root, pipeline)?;
        let epoch = journal.take_epoch(epoch_min)?;
        let run = RunRef {
            pipeline: pipeline.to_owned(),
            run: journal.known.run.clone().unwrap_or_default(),
            epoch,
            origin: Origin::default(),
        };
        publish::show_all(self, &run, &journal.known)?;
        Followed::publish_pending(self, &run)?;
        tidy::unrecorded(&self.root, &journal.known)?;
        *held = Some(Held { pipeline: pipeline.to_owned(), epoch, lock });
        Ok(epoch)
    }

    fn apply(&self, run: &RunRef, target: &Target, step: Step) -> Result<()> {
        let mut journal = self.journal(run)?;
        match step {
            Step::Begin => {
                let mut entries = vec![];
                if journal.known.run.is_none() {
                    entries.push(Entry::Run { run: run.run.clone() });
                }
                let folder = self.root.join(folder_name(&target.name.table)?);
                // It may be published already, and be no more as it was.
                if !journal.known.landings.contains_key(&target.stream) {
                    let seen = Seen::of(&self.root, target)?;
                    publish::must_fit(target, &seen, &self.layout)?;
                    entries.push(Entry::Landing {
                        stream: target.stream,
                        landing: seen.landing(target, token(&run.run)),
                    });
                }
                if !entries.is_empty() {
                    journal.add(run.epoch, &entries)?;
                }
                make_folder(&folder)
            }
            Step::Create => publish::create(self, run, target),
        }
    }

    fn reset(&self, run: &RunRef, target: &Target) -> Result<()> {
        let mut journal = self.journal(run)?;
        journal.add(run.epoch, &[Entry::Reset { stream: target.stream }])?;
        match journal.known.landings.get(&target.stream) {
            Some(landing) => tidy::staged(&self.root.join(&landing.folder), &run.run),
            None => Ok(()),
        }
    }

    fn close(&self, pipeline: &str) -> Result<()> {
        let mut held = self.held();
        let ours = held.take_if(|held| held.pipeline == pipeline);
        let Some(journal) = Journal::open(&self.root, pipeline)? else { return Ok(()) };
        if let Some(held) = &ours {
            if journal.known.epoch > held.epoch {
                return Err(fenced(pipeline));
            }
            let run = journal.known.run.clone().unwrap_or_default();
            publish::show_all(
                self,
                &RunRef { pipeline: pipeline.to_owned(), run, epoch: held.epoch, origin: Origin::default() },
                &journal.known,
            )?;
        }
        for landing in journal.known.landings.values() {
            publish::clear_drafts(&self.root.join(&landing.folder))?;
        }
        tidy::everything(&self.root, &journal.known)?;
        journal.remove(ours.as_ref().map(|held| held.epoch))?;
        // Until here nobody else may begin.
        drop(ours);
        sync_folder(&self.root)
    }

    /// The manifests of all streams here.
    fn manifests(&self) -> Result<Vec<Manifest>> {
        if !look(&self.root)?.is_some_and(|found| found.is_dir()) {
            return Ok(vec![]);
        }
        let mut manifests = vec![];
        for name in names(&self.root)? {
            manifests.extend(manifest::read(&self.root.join(name))?);
        }
        Ok(manifests)
    }
}

/// A run's id may come again where its journal has gone; this moment does not.
fn token(run: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{run}-{now:x}-{:x}", std::process::id())
}

/// Makes a folder, and those it is in, unless it is there.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    if look(folder)?.is_some_and(|found| found.is_dir()) {
        return Ok(());
    }
    fs::create_dir_all(folder).explain("make the folder", folder)?;
    match folder.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

#[async_trait]
impl Sink for FileSink {
    fn guarantee(&self, _: &Target) -> Delivery {
        // Rows are the run's by the entry that keeps its progress, whatever the mode.
        Delivery::ExactlyOnce
    }

    fn lanes(&self) -> Lanes {
        Lanes::Many
    }

    async fn plan(&self, targets: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        let targets = targets.to_vec();
        self.work("plan", move |shared| {
            let mut plans = vec![];
            let mut folders: BTreeMap<String, &Target> = BTreeMap::new();
            for target in &targets {
                let mut one = plan(&shared.root, &shared.layout, target)?;
                // On many disks, names that differ in capitals only are one.
                if let Some(first) = folders.insert(target.name.table.to_lowercase(), target) {
                    one.findings.push(Finding::blocker(
                        Error::new(&codes::NAME_TAKEN, "write to the folder of", format!("`{}`", target.name))
                            .because(format!(
                                "both `{}` and `{}` would land in it, since many disks do not tell capitals apart",
                                first.source, target.source
                            ))
                            .hint("Give one another name, as in --stream SRC=DST (to: DST)"),
                    ));
                }
                plans.push(one);
            }
            Ok(plans)
        })
        .await
    }

    async fn lock(&self, pipeline: &str, epoch_min: u64) -> Result<u64> {
        let pipeline = pipeline.to_owned();
        self.work("lock the pipeline", move |shared| shared.lock(&pipeline, epoch_min)).await
    }

    async fn apply(&self, run: &RunRef, target: &Arc<Target>, action: &Action) -> Result<()> {
        let step: Step = serde_json::from_str(&action.statement).map_err(|_| {
            Error::new(&codes::BROKEN_INVARIANT, "prepare the folder of", format!("`{}`", target.name))
                .because("the action is not one that was planned here")
        })?;
        let (run, target) = (run.clone(), Arc::clone(target));
        self.work("prepare a folder", move |shared| shared.apply(&run, &target, step)).await
    }

    async fn progress(&self, pipeline: &str) -> Result<Option<TargetProgress>> {
        let pipeline = pipeline.to_owned();
        self.work("read the progress", move |shared| {
            let known = Journal::look(&shared.root, &pipeline)?;
            Ok(Some(known.map_or_else(TargetProgress::default, |known| known.progress())))
        })
        .await
    }

    async fn writer(&self, run: &RunRef) -> Result<Box<dyn Writer>> {
        let (shared, wanted) = (Arc::clone(&self.0), run.clone());
        let writer = self.work("begin to write", move |_| FileWriter::new(shared, wanted)).await?;
        Ok(Box::new(writer))
    }

    async fn applier(&self, run: &RunRef) -> Result<Box<dyn Applier>> {
        let (shared, run) = (Arc::clone(&self.0), run.clone());
        let applier = self.work("begin to apply changes", move |_| FileApplier::open(shared, &run)).await?;
        Ok(Box::new(applier))
    }

    /// Columns come with the first rows that have them, and stay when they go. Another name is another column: what
    /// rows have under the old one is to be copied, but where the folder is a log of changes. Whether values of
    /// another type fit is for the plan to say.
    async fn evolve(&self, target: &Arc<Target>, changes: &[ColumnChange]) -> Result<Evolution> {
        let is_renamed = changes.iter().any(|change| matches!(change, ColumnChange::Renamed { .. }));
        Ok(Evolution { actions: vec![], alters_values: is_renamed && target.write != WriteMode::Append })
    }

    async fn finish(&self, run: &RunRef, target: &Arc<Target>, marking: Marking<'_>) -> Result<Published> {
        let (run, target) = (run.clone(), Arc::clone(target));
        let marking = publish::OwnedMarking::of(marking);
        self.work("publish a stream", move |shared| publish::finish(shared, &run, &target, &marking)).await
    }

    async fn marks(&self, pipeline: &str) -> Result<Option<BTreeMap<String, String>>> {
        let pipeline = pipeline.to_owned();
        self.work("read the marks", move |shared| {
            let manifests = shared.manifests()?;
            let marks = manifests.into_iter().filter_map(|mut manifest| manifest.marks.remove(&pipeline));
            let followed = Followed::read(shared, &pipeline)?;
            let log = followed.map(|followed| (LOG_MARK.to_owned(), followed.mark));
            Ok(Some(marks.flatten().chain(log).collect()))
        })
        .await
    }

    async fn reset(&self, run: &RunRef, target: &Arc<Target>) -> Result<()> {
        let (run, target) = (run.clone(), Arc::clone(target));
        self.work("begin a stream again", move |shared| shared.reset(&run, &target)).await
    }

    async fn close(&self, pipeline: &str) -> Result<()> {
        let pipeline = pipeline.to_owned();
        self.work("clear away after the pipeline", move |shared| shared.close(&pipeline)).await
    }
}
