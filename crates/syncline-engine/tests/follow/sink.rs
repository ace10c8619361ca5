//! The target: what is committed, and what a transaction holds until it is.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use async_trait::async_trait;
use syncline_connect::{
    Action, Applier, Delivery, LOG_MARK, Lanes, Marking, NetChanges, Published, RunRef, Sink, Target,
    TargetPlan, TargetProgress, Writer,
};
use syncline_engine::follow::FollowMark;
use syncline_types::{Error, Result, codes};

use crate::world::{Mistake, Tables, World, table_of};

pub(crate) struct SimSink(pub(crate) World);

const COPIED: &str = "the copy is done";

#[async_trait]
impl Sink for SimSink {
    async fn applier(&self, run: &RunRef) -> Result<Box<dyn Applier>> {
        self.0.step().await;
        self.0.may_fail("open the target of")?;
        Ok(Box::new(SimApplier { world: self.0.clone(), epoch: run.epoch, open: None }))
    }

    async fn marks(&self, _: &str) -> Result<Option<BTreeMap<String, String>>> {
        let world = self.0.get();
        let mark = world.target_mark.clone().filter(|_| world.mistake != Some(Mistake::MarkUntold));
        let text = mark.map(|mark| (LOG_MARK.to_owned(), serde_json::to_string(&mark).unwrap()));
        Ok(Some(text.into_iter().collect()))
    }

    fn guarantee(&self, _: &Target) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn lanes(&self) -> Lanes {
        Lanes::One
    }

    async fn plan(&self, _: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        unreachable!("{COPIED}")
    }

    async fn lock(&self, _: &str, _: u64) -> Result<u64> {
        unreachable!("{COPIED}")
    }

    async fn apply(&self, _: &RunRef, _: &Arc<Target>, _: &Action) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn progress(&self, _: &str) -> Result<Option<TargetProgress>> {
        unreachable!("{COPIED}")
    }

    async fn writer(&self, _: &RunRef) -> Result<Box<dyn Writer>> {
        unreachable!("{COPIED}")
    }

    async fn finish(&self, _: &RunRef, _: &Arc<Target>, _: Marking<'_>) -> Result<Published> {
        unreachable!("{COPIED}")
    }

    async fn reset(&self, _: &RunRef, _: &Arc<Target>) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn close(&self, _: &str) -> Result<()> {
        unreachable!("{COPIED}")
    }
}

struct SimApplier {
    world: World,
    epoch: u64,
    /// The tables as the open transaction has them.
    open: Option<Tables>,
}

impl SimApplier {
    fn holds(&self) -> Result<()> {
        let mut world = self.world.get();
        if world.epoch == self.epoch || world.mistake == Some(Mistake::NoFence) {
            return Ok(());
        }
        world.counts.fenced += 1;
        Err(Error::new(&codes::FENCED, "write for pipeline", "the simulation"))
    }

    fn begin(&mut self) -> Result<&mut Tables> {
        if self.open.is_none() {
            self.holds()?;
        }
        let now = self.world.get().target.clone();
        Ok(self.open.get_or_insert(now))
    }
}

fn numbers(rows: &RecordBatch, name: &str) -> Option<Vec<i64>> {
    Some(rows.column_by_name(name)?.as_primitive::<Int64Type>().values().to_vec())
}

#[async_trait]
impl Applier for SimApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        self.world.step().await;
        self.world.may_fail("write to")?;
        let rows = &mut self.begin()?[table_of(target)];
        let mut missed = 0;
        if changes.emptied {
            rows.clear();
        }
        for id in numbers(&changes.deletes, "id").unwrap() {
            rows.remove(&id);
        }
        for update in &changes.updates {
            for (at, id) in numbers(update, "id").unwrap().into_iter().enumerate() {
                let Some(row) = rows.get_mut(&id) else {
                    missed += 1;
                    continue;
                };
                row.0 = numbers(update, "a").map_or(row.0, |a| a[at]);
                row.1 = numbers(update, "b").map_or(row.1, |b| b[at]);
            }
        }
        let (a, b) = (numbers(&changes.rows, "a").unwrap(), numbers(&changes.rows, "b").unwrap());
        for (at, id) in numbers(&changes.rows, "id").unwrap().into_iter().enumerate() {
            rows.insert(id, (a[at], b[at]));
        }
        Ok(missed)
    }

    async fn commit(&mut self, mark: &str) -> Result<()> {
        self.world.step().await;
        self.world.may_fail("commit to")?;
        self.begin()?;
        self.holds()?;
        let mark: FollowMark = serde_json::from_str(mark).unwrap();
        {
            let mut world = self.world.get();
            world.target = self.open.take().unwrap();
            if world.mistake != Some(Mistake::MarkLeftOut) || !world.random.one_in(3) {
                world.target_mark = Some(mark);
            }
            world.counts.commits += 1;
        }
        self.world.look();
        // The answer may be lost when the deed is done.
        self.world.step().await;
        self.world.may_fail("commit to")
    }

    async fn abort(&mut self) -> Result<()> {
        self.open = None;
        Ok(())
    }
}
