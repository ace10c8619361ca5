//! The target: what is committed, and what a transaction holds until it is.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use async_trait::async_trait;
use syncline_connect::{
    Action, Applier, Delivery, LOG_MARK, Lanes, Marking, NetChanges, Origin, Published, RunRef, Sink, Target,
    TargetPlan, TargetProgress, Writer,
};
use syncline_engine::follow::FollowMark;
use syncline_types::{Error, Result, codes};

use crate::world::{BAG, Bag, Mistake, NAMES, Rows, Tables, World, column, index, table_of};

pub(crate) struct SimSink(pub(crate) World);

const COPIED: &str = "the copy is done";

#[async_trait]
impl Sink for SimSink {
    async fn applier(&self, run: &RunRef) -> Result<Box<dyn Applier>> {
        self.0.step().await;
        self.0.may_fail("open the target of")?;
        Ok(Box::new(SimApplier { world: self.0.clone(), epoch: run.epoch, open: None, touched: [false; 3] }))
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
    /// Which of them it has to do with.
    touched: [bool; 3],
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

/// Returns how many rows are not there that go.
fn apply_without_key(bag: &mut Bag, changes: &NetChanges) -> u64 {
    let rows = |batch: &RecordBatch| {
        let (a, b) = (numbers(batch, "a").unwrap(), numbers(batch, "b").unwrap());
        a.into_iter().zip(b).collect::<Vec<_>>()
    };
    if changes.emptied.is_some() {
        bag.clear();
    }
    let mut missed = 0;
    for row in rows(&changes.deletes) {
        match bag.get_mut(&row) {
            Some(copies) => *copies -= 1,
            None => missed += 1,
        }
        bag.retain(|_, copies| *copies > 0);
    }
    for row in rows(&changes.rows) {
        *bag.entry(row).or_default() += 1;
    }
    missed
}

/// Fails where values are unique, and another row has this one.
fn taken(world: &World, target: &Target, rows: &Rows, a: i64) -> Result<()> {
    let mut world = world.get();
    if !world.unique || table_of(target) != 0 || rows.values().filter(|row| row.0 == a).count() < 2 {
        return Ok(());
    }
    world.counts.refused += 1;
    Err(Error::new(&codes::DUPLICATE_KEY, "write to", "the simulation"))
}

#[async_trait]
impl Applier for SimApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        self.world.step().await;
        self.world.may_fail("write to")?;
        self.touched[table_of(target)] = true;
        if table_of(target) == BAG {
            return Ok(apply_without_key(&mut self.begin()?.bag, changes));
        }
        let b = column(self.world.get().target_versions[table_of(target)]);
        if changes.rows.column_by_name(&b).is_none() {
            // One that was replaced is stopped by that, and not by the fence alone.
            self.holds()?;
            self.world
                .get()
                .wrong
                .get_or_insert_with(|| format!("the target has `{b}`, and is not given it"));
        }
        let shared = self.world.clone();
        let rows = &mut self.begin()?.keyed[table_of(target)];
        let mut missed = 0;
        if changes.emptied.is_some() {
            rows.clear();
        }
        if let Some(moved) = &changes.moved {
            shared.get().counts.moved += 1;
            let (from, to) = (numbers(&moved.from, "id").unwrap()[0], numbers(&moved.to, "id").unwrap()[0]);
            match rows.remove(&from) {
                Some(row) => drop(rows.entry(to).or_insert(row)),
                None if rows.contains_key(&to) => {}
                None => missed += 1,
            }
            if let Some(row) = rows.get_mut(&to) {
                row.0 = numbers(&moved.to, "a").map_or(row.0, |a| a[0]);
                row.1 = numbers(&moved.to, &b).map_or(row.1, |b| b[0]);
                let a = row.0;
                taken(&shared, target, rows, a)?;
            }
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
                row.1 = numbers(update, &b).map_or(row.1, |b| b[at]);
                let a = row.0;
                taken(&shared, target, rows, a)?;
            }
        }
        let a = numbers(&changes.rows, "a").unwrap();
        let b = numbers(&changes.rows, &b).unwrap_or_else(|| vec![0; a.len()]);
        for (at, id) in numbers(&changes.rows, "id").unwrap().into_iter().enumerate() {
            rows.insert(id, (a[at], b[at]));
            taken(&shared, target, rows, a[at])?;
        }
        Ok(missed)
    }

    fn come_through(&mut self, _: &Origin) {}

    async fn commit(&mut self, mark: &str) -> Result<()> {
        self.world.step().await;
        self.world.may_fail("commit to")?;
        self.begin()?;
        self.holds()?;
        let mut mark: FollowMark = serde_json::from_str(mark).unwrap();
        {
            let mut world = self.world.get();
            let tables = self.open.take().unwrap();
            for (table, name) in NAMES.iter().enumerate() {
                // Another one may have been copied meanwhile.
                if std::mem::take(&mut self.touched[table]) {
                    world.target.take(table, tables.clone());
                }
                let until = world.copied_until[table];
                let has_caught_up = !mark.behind.contains_key(*name) && index(&mark.position) >= until;
                if has_caught_up && !world.settled[table] && mark.turns > 0 && world.recopied == Some(table) {
                    world.counts.joined += 1;
                }
                world.settled[table] |= has_caught_up;
            }
            if world.mistake == Some(Mistake::BehindForgotten) {
                mark.behind.clear();
            }
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
        (self.open, self.touched) = (None, [false; 3]);
        Ok(())
    }
}
