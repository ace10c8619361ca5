//! A simulated target: transactional with staging, or one that applies rows by key at once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use syncline_connect::{
    Action, ColumnPlan, Delivery, Existing, Finding, Lanes, Marking, Published, RunRef, Sink, Target,
    TargetPlan, TargetProgress, Task, WriteMode, Writer,
};
use syncline_types::{Column, Error, Result, codes};

use super::{
    world::{Mistake, Shared, Table, World, unreachable_now},
    writer::{SimWriter, refusal},
};

static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) struct SimSink {
    world: Shared,
    /// Tells processes apart.
    me: u64,
    /// The last epoch it took; 0: none.
    epoch: AtomicU64,
}

impl SimSink {
    pub(crate) fn new(world: &Shared) -> Self {
        SimSink { world: world.clone(), me: NEXT.fetch_add(1, Ordering::Relaxed), epoch: AtomicU64::new(0) }
    }

    pub(crate) fn me(&self) -> u64 {
        self.me
    }
}

impl Drop for SimSink {
    fn drop(&mut self) {
        self.world.get().target.let_go(self.me);
    }
}

/// Whatever is done in a name that is not the target's current epoch is refused.
pub(crate) fn fenced(world: &mut World, run: &RunRef) -> Result<()> {
    let epoch = world.target.pipeline(&run.pipeline).progress.epoch;
    if world.target.transactional && epoch != run.epoch && !world.has(Mistake::NoFence) {
        return Err(fenced_off());
    }
    Ok(())
}

fn fenced_off() -> Error {
    Error::new(&codes::FENCED, "write", "the simulated target")
}

fn staging_key(run: &RunRef, target: &Target) -> (String, u32) {
    (run.run.clone(), target.stream)
}

/// Whether rows wait until all have arrived.
fn stages(world: &World, target: &Target) -> bool {
    world.target.transactional && target.staged
}

/// The table that a target's rows are written to.
pub(crate) fn table_of<'a>(world: &'a mut World, run: &RunRef, target: &Target) -> Result<&'a mut Table> {
    let table = if stages(world, target) {
        world.target.pipeline(&run.pipeline).staging.get_mut(&staging_key(run, target))
    } else {
        world.target.tables.get_mut(&target.name.table)
    };
    table.ok_or_else(|| Error::new(&codes::STREAM_MISSING, "write to", target.name.to_string()))
}

#[async_trait]
impl Sink for SimSink {
    fn guarantee(&self, _: &Target) -> Delivery {
        match self.world.get().target.transactional {
            true => Delivery::ExactlyOnce,
            false => Delivery::Idempotent,
        }
    }

    fn lanes(&self) -> Lanes {
        Lanes::Many
    }

    async fn plan(&self, targets: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        let world = self.world.get();
        Ok(targets.iter().map(|target| plan(&world, target)).collect())
    }

    async fn lock(&self, pipeline: &str, epoch_min: u64) -> Result<u64> {
        let mut world = self.world.get();
        let pipeline = world.target.pipeline(pipeline);
        if pipeline.holder.is_some_and(|holder| holder != self.me) {
            return Err(Error::new(&codes::ALREADY_RUNNING, "lock", "the simulated target"));
        }
        pipeline.holder = Some(self.me);
        pipeline.progress.epoch = pipeline.progress.epoch.max(epoch_min) + 1;
        self.epoch.store(pipeline.progress.epoch, Ordering::Relaxed);
        Ok(pipeline.progress.epoch)
    }

    async fn apply(&self, run: &RunRef, target: &Arc<Target>, _: &Action) -> Result<()> {
        self.world.shake("prepare")?;
        let mut world = self.world.get();
        fenced(&mut world, run)?;
        let empty = Table { keyed: !target.key.is_empty(), rows: vec![] };
        if stages(&world, target) {
            let staging = &mut world.target.pipeline(&run.pipeline).staging;
            staging.entry(staging_key(run, target)).or_insert(empty);
        } else {
            world.target.tables.entry(target.name.table.clone()).or_insert(empty);
        }
        if world.target.transactional {
            world.target.pipeline(&run.pipeline).progress.run = Some(run.run.clone());
        }
        Ok(())
    }

    async fn progress(&self, pipeline: &str) -> Result<Option<TargetProgress>> {
        let mut world = self.world.get();
        let kept = world.target.transactional;
        Ok(kept.then(|| world.target.pipeline(pipeline).progress.clone()))
    }

    async fn writer(&self, run: &RunRef) -> Result<Box<dyn Writer>> {
        self.world.shake("open a writer")?;
        fenced(&mut self.world.get(), run)?;
        Ok(Box::new(SimWriter::new(&self.world, run)))
    }

    async fn marks(&self, pipeline: &str) -> Result<Option<BTreeMap<String, String>>> {
        self.world.shake("read the marks")?;
        let world = self.world.get();
        let of = |((of, stream), mark): (&(String, String), &String)| {
            (of == pipeline).then(|| (stream.clone(), mark.clone()))
        };
        Ok(world.target.transactional.then(|| world.target.marks.iter().filter_map(of).collect()))
    }

    async fn finish(&self, run: &RunRef, target: &Arc<Target>, marking: Marking<'_>) -> Result<Published> {
        self.world.shake("publish")?;
        let mut world = self.world.get();
        fenced(&mut world, run)?;
        let pipeline = world.target.pipeline(&run.pipeline);
        let done = pipeline.progress.published.contains(&target.stream);
        if done || !world.target.transactional {
            return Ok(Published::default());
        }
        if target.staged {
            publish(&mut world, run, target)?;
        }
        let key = (run.pipeline.clone(), target.source.to_string());
        let forgotten = world.has(Mistake::MarkForgotten) && world.dice.chance(300);
        match marking {
            Marking::Keep => {}
            Marking::Save(_) if forgotten => {}
            Marking::Save(mark) => drop(world.target.marks.insert(key, mark.to_owned())),
            Marking::Clear => drop(world.target.marks.remove(&key)),
        }
        if !world.has(Mistake::PublishForgotten) {
            world.target.pipeline(&run.pipeline).progress.published.push(target.stream);
        }
        let chaos = world.chaos;
        if world.dice.chance(chaos) {
            return Err(unreachable_now("hear whether it was published"));
        }
        Ok(Published::default())
    }

    async fn reset(&self, run: &RunRef, target: &Arc<Target>) -> Result<()> {
        self.world.shake("reset")?;
        let mut world = self.world.get();
        fenced(&mut world, run)?;
        let pipeline = world.target.pipeline(&run.pipeline);
        if let Some(staged) = pipeline.staging.get_mut(&staging_key(run, target)) {
            staged.rows.clear();
        }
        pipeline.progress.splits.retain(|(stream, _), _| *stream != target.stream);
        Ok(())
    }

    async fn close(&self, pipeline: &str) -> Result<()> {
        self.world.shake("close")?;
        let mut world = self.world.get();
        let (fences, clears) = (!world.has(Mistake::NoFence), !world.has(Mistake::StagingLeft));
        let pipeline = world.target.pipeline(pipeline);
        // What a newer process has staged is not thrown away; who never took part may clear up.
        if fences && (1..pipeline.progress.epoch).contains(&self.epoch.load(Ordering::Relaxed)) {
            return Err(fenced_off());
        }
        if clears {
            pipeline.staging.clear();
        }
        pipeline.progress = TargetProgress::default();
        Ok(())
    }
}

fn plan(world: &World, target: &Target) -> TargetPlan {
    let table = world.target.tables.get(&target.name.table);
    let action = |verb, object: &str| Action {
        verb,
        object: format!("{object}{}", target.name),
        detail: String::new(),
        statement: String::new(),
    };
    let column = |column: &Column| ColumnPlan {
        name: column.name.clone(),
        logical: column.logical,
        source_type: column.native.clone(),
        target_type: "whole number".into(),
        note: None,
    };
    let before = match (stages(world, target), table) {
        (true, _) => action("create", "staging of "),
        (false, None) => action("create", ""),
        (false, Some(_)) => action("insert", "progress of "),
    };
    let mut findings = vec![];
    if !world.target.transactional && target.write != WriteMode::Merge {
        let error = Error::new(&codes::UNSUPPORTED, "write to", target.name.to_string());
        findings.push(Finding::blocker(error.because("rows are applied by key")));
    }
    TargetPlan {
        existing: table.map(|table| Existing {
            has_rows: !table.rows.is_empty(),
            rows_estimate: None,
            ours: false,
        }),
        columns: target.schema.columns.iter().map(column).collect(),
        before: vec![before],
        publish: if stages(world, target) { vec![action("insert", "")] } else { vec![] },
        findings,
    }
}

fn publish(world: &mut World, run: &RunRef, target: &Target) -> Result<()> {
    let staging = &mut world.target.pipeline(&run.pipeline).staging;
    let Some(staged) = staging.get(&staging_key(run, target)).cloned() else {
        world.complain("there is nothing staged to publish");
        return Err(unreachable_now("publish"));
    };
    let old = world.target.tables.get(&target.name.table);
    let mut table = old.cloned().unwrap_or(Table { keyed: staged.keyed, rows: vec![] });
    match target.write {
        _ if target.task == Task::Delete => {
            table.rows.retain(|(key, _)| !staged.rows.iter().any(|(gone, _)| gone == key));
        }
        WriteMode::Overwrite => {
            if world.has(Mistake::PublishInTwoSteps) && !table.rows.is_empty() && !staged.rows.is_empty() {
                // Somebody looks just now.
                world.complain("a reader saw an empty table during an overwrite");
            }
            table = staged;
        }
        WriteMode::Append if !table.fits(&staged.rows) => return Err(refusal(None)),
        WriteMode::Append => table.rows.extend(staged.rows),
        WriteMode::Merge => {
            let mut rows = staged.rows;
            if target.cursor.is_some() {
                // The last one stays; NULL comes before any value.
                rows.sort_by_key(|(_, value)| *value);
            }
            rows.into_iter().for_each(|row| table.upsert(row));
        }
    }
    world.target.pipeline(&run.pipeline).staging.remove(&staging_key(run, target));
    world.target.tables.insert(target.name.table.clone(), table);
    Ok(())
}
