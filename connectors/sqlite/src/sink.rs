//! Writing: who may write (lock and epoch), what is prepared, how far everything is, what is left to
//! clear away.

pub(crate) mod checkpoint;
pub(crate) mod landing;
mod lock;
mod prepare;
pub(crate) mod statement;
pub(crate) mod turn;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use syncline_connect::{
    Action, Applier, ColumnChange, Context, Delivery, Evolution, Finding, Lanes, Marking, Published, RunRef,
    Sink, Target, TargetPlan, TargetProgress, Writer,
};
use syncline_sql::bookkeeping;
use syncline_types::{Error, Result, codes};

use crate::{
    applier::SqliteApplier,
    client::Database,
    dialect::{MAIN, qualified},
    error::Explain,
    origin,
    plan::{Step, evolve, plan},
    publish,
    writer::SqliteWriter,
};
use lock::Lock;
use turn::{Line, Turn};

/// SQLite as a sink.
pub(crate) struct SqliteSink(Arc<SinkShared>);

/// What writers need too.
pub(crate) struct SinkShared {
    pub(crate) cx: Context,
    pub(crate) line: Line,
    /// The pipeline whose turn it is, for as long as the sink lives.
    held: Mutex<Option<Held>>,
}

/// A pipeline that this sink works for.
struct Held {
    pipeline: String,
    epoch: u64,
    lock: Lock,
}

impl SqliteSink {
    /// Opens nothing yet: a dry run must not create a file.
    pub(crate) async fn open(database: Database, cx: Context) -> Result<Self> {
        let file = database.clone();
        cx.blocking("open the database", move || {
            if file.exists()? {
                file.look()?;
            }
            Ok(())
        })
        .await?;
        let line = Line::new(database);
        Ok(SqliteSink(Arc::new(SinkShared { cx, line, held: Mutex::default() })))
    }

    /// Works with the writing connection on a thread that may block.
    async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&SinkShared, &mut Turn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.0);
        let mut turn = self.0.line.turn().await;
        self.0.cx.blocking(name, move || work(&shared, &mut turn)).await
    }

    /// Looks into the file, if there is one.
    async fn look<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(Option<&rusqlite::Connection>, &Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.0.line.database().clone();
        let look = move || match database.exists()? {
            true => work(Some(&database.look()?), &database),
            false => work(None, &database),
        };
        self.0.cx.blocking(name, look).await
    }

    /// Fails when a newer epoch has begun.
    async fn may_write(&self, run: &RunRef) -> Result<()> {
        let wanted = run.clone();
        self.look("begin to write", move |connection, _| match connection {
            Some(connection) => checkpoint::fence(connection, &wanted),
            None => Err(checkpoint::fenced(&wanted.pipeline)),
        })
        .await
    }
}

impl Drop for SqliteSink {
    /// Another may take over at once, whatever writers are left: the epoch keeps them from writing.
    fn drop(&mut self) {
        drop(self.0.held().take());
    }
}

impl SinkShared {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`Marking`] that goes to another thread.
enum Owned {
    Keep,
    Save(String),
    Clear,
}

impl From<Marking<'_>> for Owned {
    fn from(marking: Marking<'_>) -> Self {
        match marking {
            Marking::Keep => Owned::Keep,
            Marking::Save(mark) => Owned::Save(mark.to_owned()),
            Marking::Clear => Owned::Clear,
        }
    }
}

impl Owned {
    fn borrowed(&self) -> Marking<'_> {
        match self {
            Owned::Keep => Marking::Keep,
            Owned::Save(mark) => Marking::Save(mark),
            Owned::Clear => Marking::Clear,
        }
    }
}

#[async_trait]
impl Sink for SqliteSink {
    fn guarantee(&self, _: &Target) -> Delivery {
        // Progress is in the transaction of the rows, whatever the mode.
        Delivery::ExactlyOnce
    }

    fn lanes(&self) -> Lanes {
        Lanes::One
    }

    async fn plan(&self, targets: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        let targets = targets.to_vec();
        self.look("plan", move |connection, database| {
            let mut plans = vec![];
            let mut names: BTreeMap<String, &Target> = BTreeMap::new();
            for target in &targets {
                let mut one = plan(connection, database, target)?;
                // To SQLite, names that differ in capitals only are one.
                if let Some(first) = names.insert(target.name.table.to_ascii_lowercase(), target) {
                    one.findings.push(Finding::blocker(
                        Error::new(&codes::NAME_TAKEN, "write to table", format!("`{}`", target.name))
                            .because(format!(
                                "both `{}` and `{}` would land in it",
                                first.source, target.source
                            ))
                            .hint("Give one another name, as in --stream SRC=DST (to: DST)"),
                    ));
                }
                plans.push(one);
            }
            if let (Some(connection), Some(first)) = (connection, plans.first_mut())
                && connection.is_readonly(MAIN).explain("look at", database.place())?
            {
                first.findings.push(Finding::blocker(
                    Error::new(&codes::PERMISSION_DENIED, "write to", database.place())
                        .because("the file cannot be written")
                        .hint("Make the file and its folder writable for this user"),
                ));
            }
            Ok(plans)
        })
        .await
    }

    async fn databases(&self, _: &[Arc<Target>], _: bool) -> Result<Vec<String>> {
        self.look("look who the file is", |connection, _| connection.map_or(Ok(vec![]), origin::databases))
            .await
    }

    async fn lock(&self, pipeline: &str, epoch_min: u64) -> Result<u64> {
        let pipeline = pipeline.to_owned();
        self.write("lock the pipeline", move |shared, turn| {
            let mut held = shared.held();
            let lock = match held.take() {
                Some(Held { pipeline: same, lock, .. }) if same == pipeline => lock,
                _ => Lock::take(&turn.database, &pipeline)?,
            };
            let epoch = turn.transact(|connection| {
                checkpoint::create(connection)?;
                checkpoint::take_epoch(connection, &pipeline, epoch_min)
            })?;
            *held = Some(Held { pipeline, epoch, lock });
            Ok(epoch)
        })
        .await
    }

    async fn apply(&self, run: &RunRef, target: &Arc<Target>, action: &Action) -> Result<()> {
        let step: Step = serde_json::from_str(&action.statement).map_err(|_| {
            Error::new(&codes::BROKEN_INVARIANT, "prepare table", format!("`{}`", target.name))
                .because("the action is not one that was planned here")
        })?;
        let (run, target) = (run.clone(), Arc::clone(target));
        self.write("prepare a table", move |_, turn| prepare::apply(turn, &run, &target, &step)).await
    }

    async fn progress(&self, pipeline: &str) -> Result<Option<TargetProgress>> {
        let pipeline = pipeline.to_owned();
        self.look("read the progress", move |connection, _| match connection {
            Some(connection) => checkpoint::progress(connection, &pipeline).map(Some),
            None => Ok(Some(TargetProgress::default())),
        })
        .await
    }

    async fn writer(&self, run: &RunRef) -> Result<Box<dyn Writer>> {
        self.may_write(run).await?;
        Ok(Box::new(SqliteWriter::new(Arc::clone(&self.0), run.clone())))
    }

    async fn applier(&self, run: &RunRef) -> Result<Box<dyn Applier>> {
        self.may_write(run).await?;
        Ok(Box::new(SqliteApplier::new(Arc::clone(&self.0), run.clone())))
    }

    async fn marks(&self, pipeline: &str) -> Result<Option<BTreeMap<String, String>>> {
        let pipeline = pipeline.to_owned();
        self.look("read the marks", move |connection, _| match connection {
            Some(connection) => checkpoint::marks(connection, &pipeline).map(Some),
            None => Ok(Some(BTreeMap::new())),
        })
        .await
    }

    async fn evolve(&self, target: &Arc<Target>, changes: &[ColumnChange]) -> Result<Evolution> {
        let (target, changes) = (Arc::clone(target), changes.to_vec());
        self.look("look at the columns of a table", move |connection, database| {
            evolve(connection, database, &target, &changes)
        })
        .await
    }

    async fn finish(&self, run: &RunRef, target: &Arc<Target>, marking: Marking<'_>) -> Result<Published> {
        let (run, target) = (run.clone(), Arc::clone(target));
        let marking = Owned::from(marking);
        self.write("publish a table", move |_, turn| publish::finish(turn, &run, &target, marking.borrowed()))
            .await
    }

    async fn reset(&self, run: &RunRef, target: &Arc<Target>) -> Result<()> {
        let (run, target) = (run.clone(), Arc::clone(target));
        self.write("begin a stream again", move |_, turn| {
            turn.transact(|connection| {
                checkpoint::fence(connection, &run)?;
                let stage = bookkeeping::stage(&run.run, target.stream);
                if checkpoint::exists(connection, &stage)? {
                    connection
                        .execute_batch(&format!("DELETE FROM {}", qualified(&stage)))
                        .explain("empty the staging of", format!("`{}`", target.name))?;
                }
                checkpoint::forget_splits(connection, &run, target.stream)
            })
        })
        .await
    }

    async fn close(&self, pipeline: &str) -> Result<()> {
        let pipeline = pipeline.to_owned();
        self.write("clear away after the pipeline", move |shared, turn| {
            let mut held = shared.held();
            let ours = held.take_if(|held| held.pipeline == pipeline);
            if turn.database.exists()? {
                turn.transact(|connection| {
                    if !checkpoint::exists(connection, bookkeeping::CHECKPOINT)? {
                        return Ok(());
                    }
                    if let Some(held) = &ours {
                        checkpoint::fence_newer(connection, &pipeline, held.epoch)?;
                    }
                    publish::clear(connection, &pipeline)
                })?;
            }
            Ok(())
        })
        .await
    }
}
