//! A simulated target: transactional with staging, or one that applies rows by key at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arrow_array::{Array, Int64Array, RecordBatch};
use async_trait::async_trait;
use syncline_connect::{
    Action, Batch, Delivery, Lanes, Outcome, ProgressDelta, Published, Reject, RunRef, Sink, Target,
    TargetPlan, TargetProgress, WriteMode, Writer,
};
use syncline_types::{Error, Result, SplitId, codes};

use super::world::{Mistake, Row, Shared, World, unreachable_now};

static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) struct SimSink {
    world: Shared,
    /// Tells processes apart.
    me: u64,
}

impl SimSink {
    pub(crate) fn new(world: &Shared) -> Self {
        SimSink { world: world.clone(), me: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn me(&self) -> u64 {
        self.me
    }

    /// Whatever was made in a name that is not the target's current epoch is refused.
    fn fenced(&self, run: &RunRef) -> Result<()> {
        fenced(&self.world.get(), run)
    }
}

fn fenced(world: &World, run: &RunRef) -> Result<()> {
    if world.target.transactional
        && world.target.checkpoint.epoch != run.epoch
        && !world.has(Mistake::NoFence)
    {
        return Err(Error::new(&codes::FENCED, "write", "the simulated target"));
    }
    Ok(())
}

#[async_trait]
impl Sink for SimSink {
    fn guarantee(&self, _: &Target) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn lanes(&self) -> Lanes {
        Lanes::Many
    }

    async fn plan(&self, _: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        unreachable!("the simulation is planned")
    }

    async fn lock(&self, _: &str, epoch_min: u64) -> Result<u64> {
        let mut world = self.world.get();
        if world.target.holder.is_some_and(|holder| holder != self.me) {
            return Err(Error::new(&codes::ALREADY_RUNNING, "lock", "the simulated target"));
        }
        world.target.holder = Some(self.me);
        let epoch = world.target.checkpoint.epoch.max(epoch_min) + 1;
        world.target.checkpoint.epoch = epoch;
        Ok(epoch)
    }

    async fn apply(&self, run: &RunRef, target: &Arc<Target>, _: &Action) -> Result<()> {
        self.world.shake("prepare")?;
        self.fenced(run)?;
        let mut world = self.world.get();
        if !world.target.transactional {
            return Ok(());
        }
        world.target.checkpoint.run = Some(run.run.clone());
        if target.staged {
            world.target.staging.entry((run.run.clone(), target.stream)).or_default();
        }
        Ok(())
    }

    async fn progress(&self, _: &str) -> Result<Option<TargetProgress>> {
        let world = self.world.get();
        if !world.target.transactional {
            return Ok(None);
        }
        let checkpoint = world.target.checkpoint.clone();
        Ok(Some(TargetProgress {
            run: checkpoint.run,
            epoch: checkpoint.epoch,
            splits: checkpoint.splits,
            published: checkpoint.published.into_iter().collect(),
        }))
    }

    async fn writer(&self, run: &RunRef) -> Result<Box<dyn Writer>> {
        self.world.shake("open a writer")?;
        self.fenced(run)?;
        Ok(Box::new(SimWriter {
            world: self.world.clone(),
            run: run.clone(),
            taken: vec![],
            flushed: 0,
            target: None,
        }))
    }

    async fn finish(&self, run: &RunRef, target: &Arc<Target>) -> Result<Published> {
        self.world.shake("publish")?;
        self.fenced(run)?;
        let mut world = self.world.get();
        if !world.target.transactional || world.target.checkpoint.published.contains(&target.stream) {
            return Ok(Published::default());
        }
        if target.staged {
            let staged = world.target.staging.remove(&(run.run.clone(), target.stream));
            let Some(rows) = staged else {
                world.complain("there is nothing staged to publish");
                return Err(unreachable_now("publish"));
            };
            publish(&mut world, target, rows);
        }
        if !world.has(Mistake::PublishForgotten) {
            world.target.checkpoint.published.insert(target.stream);
        }
        let chaos = world.chaos;
        if world.dice.chance(chaos) {
            return Err(unreachable_now("hear whether it was published"));
        }
        Ok(Published::default())
    }

    async fn reset(&self, run: &RunRef, target: &Arc<Target>) -> Result<()> {
        self.world.shake("reset")?;
        self.fenced(run)?;
        let mut world = self.world.get();
        if let Some(rows) = world.target.staging.get_mut(&(run.run.clone(), target.stream)) {
            rows.clear();
        }
        world.target.checkpoint.splits.retain(|(stream, _), _| *stream != target.stream);
        Ok(())
    }

    async fn close(&self, _: &str) -> Result<()> {
        self.world.shake("close")?;
        let mut world = self.world.get();
        if !world.has(Mistake::StagingLeft) {
            world.target.staging.clear();
        }
        world.target.checkpoint = super::world::Checkpoint::default();
        Ok(())
    }
}

fn publish(world: &mut World, target: &Target, rows: Vec<Row>) {
    let two_steps = world.has(Mistake::PublishInTwoSteps);
    let visible = world.target.visible.entry(target.stream).or_default();
    match target.write {
        WriteMode::Overwrite if two_steps && !visible.is_empty() && !rows.is_empty() => {
            visible.clear();
            // Somebody looks just now.
            world.complain("a reader saw an empty table during an overwrite");
        }
        WriteMode::Overwrite => *visible = rows,
        WriteMode::Append => visible.extend(rows),
        WriteMode::Merge => rows.into_iter().for_each(|row| upsert(visible, row)),
    }
}

fn upsert(rows: &mut Vec<Row>, (key, value): Row) {
    match rows.iter_mut().find(|(known, _)| *known == key) {
        Some(row) => row.1 = value,
        None => rows.push((key, value)),
    }
}

struct SimWriter {
    world: Shared,
    run: RunRef,
    /// Rows of the transaction; those before `flushed` are accepted.
    taken: Vec<Row>,
    flushed: usize,
    target: Option<Arc<Target>>,
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |at: usize| batch.column(at).as_any().downcast_ref::<Int64Array>().unwrap();
    (0..column(0).len()).map(|row| (column(0).value(row), column(1).value(row))).collect()
}

fn refusal(row: Option<u32>) -> Error {
    let error = Error::new(&codes::VALUE_REFUSED, "write a row to", "the simulated target");
    row.map_or(error.clone(), |row| error.at_row(row))
}

#[async_trait]
impl Writer for SimWriter {
    async fn write(&mut self, target: &Arc<Target>, _: SplitId, batch: &Batch) -> Result<Vec<Outcome>> {
        self.world.shake("write")?;
        self.target = Some(Arc::clone(target));
        let mut world = self.world.get();
        let mut outcomes = vec![];
        let chaos = world.chaos;
        for (at, row) in rows_of(&batch.rows).into_iter().enumerate() {
            let at = at as u32;
            // Half of the refusals are told row by row, the others when all is flushed.
            if world.target.refuses.contains(&row.1) && row.1 % 2 == 0 {
                outcomes.push(Outcome::Reject(Reject { row: at, place: None, error: refusal(None) }));
            } else if world.dice.chance(chaos / 8) {
                if !world.has(Mistake::AgainIgnored) {
                    outcomes.push(Outcome::Again { row: at, after_millis: 5 });
                }
            } else {
                self.taken.push(row);
            }
        }
        Ok(outcomes)
    }

    async fn flush(&mut self) -> Result<()> {
        self.world.shake("flush")?;
        let world = self.world.get();
        let new = &self.taken[self.flushed..];
        if let Some(at) = new.iter().position(|(_, value)| world.target.refuses.contains(value)) {
            // A target that says which row is told apart by the value, so that both are met.
            let known = new[at].1 % 4 == 1 && new.len() == at + 1;
            return Err(refusal(known.then_some(at as u32).filter(|_| at == 0)));
        }
        drop(world);
        self.apply_at_once();
        self.flushed = self.taken.len();
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        self.world.shake("abort")?;
        self.taken.truncate(self.flushed);
        Ok(())
    }

    async fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()> {
        self.world.shake("commit")?;
        {
            let world = self.world.get();
            fenced(&world, &self.run)?;
            let refused = |(_, value): &Row| world.target.refuses.contains(value);
            if self.taken[self.flushed..].iter().any(refused) {
                return Err(refusal(None));
            }
        }
        self.apply_at_once();
        let mut world = self.world.get();
        if world.target.transactional {
            if let Some(target) = &self.target {
                let rows = match target.staged {
                    true => world.target.staging.entry((self.run.run.clone(), target.stream)).or_default(),
                    false => world.target.visible.entry(target.stream).or_default(),
                };
                rows.append(&mut self.taken);
            }
            for delta in deltas {
                world.target.checkpoint.splits.insert((delta.stream, delta.split), delta.row.clone());
            }
        }
        self.taken.clear();
        self.flushed = 0;
        let chaos = world.chaos;
        if world.dice.chance(chaos) {
            return Err(unreachable_now("hear whether it was committed"));
        }
        Ok(())
    }
}

impl SimWriter {
    /// A target without transactions has its rows as soon as they are flushed.
    fn apply_at_once(&mut self) {
        let mut world = self.world.get();
        if let (false, Some(target)) = (world.target.transactional, &self.target) {
            let new: Vec<Row> = self.taken.split_off(self.flushed);
            let visible = world.target.visible.entry(target.stream).or_default();
            new.into_iter().for_each(|row| upsert(visible, row));
        }
        drop(world);
        self.flushed = self.flushed.min(self.taken.len());
    }
}
