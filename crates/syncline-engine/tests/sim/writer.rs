//! A simulated target's writer: a transaction, or rows that are applied by key when they are flushed.

use std::sync::Arc;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use async_trait::async_trait;
use syncline_connect::{Batch, Outcome, ProgressDelta, Reject, RunRef, Target, Writer};
use syncline_testkit::conformance::Row;
use syncline_types::{Error, Result, SplitId, codes};

use super::{
    sink::{fenced, table_of},
    world::{Mistake, Shared, World, unreachable_now},
};

pub(crate) struct SimWriter {
    world: Shared,
    run: RunRef,
    /// Rows of the transaction; those before `flushed` are accepted.
    taken: Vec<Row>,
    flushed: usize,
    target: Option<Arc<Target>>,
}

impl SimWriter {
    pub(crate) fn new(world: &Shared, run: &RunRef) -> Self {
        SimWriter { world: world.clone(), run: run.clone(), taken: vec![], flushed: 0, target: None }
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |at: usize| batch.column(at).as_primitive::<Int64Type>();
    match batch.num_columns() {
        // Keys of rows that are to go.
        1 => column(0).values().iter().map(|key| (*key, None)).collect(),
        _ => column(0).values().iter().copied().zip(column(1)).collect(),
    }
}

pub(crate) fn refusal(row: Option<u32>) -> Error {
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
            if world.target.refuses(&row) && row.1.is_some_and(|value| value % 2 == 0) {
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
        let shared = self.world.clone();
        let mut world = shared.get();
        if self.is_refused(&mut world)? {
            // Of single rows half are told by their number, so that the engine meets both.
            let told = matches!(self.taken[self.flushed..], [(_, Some(value))] if value % 4 == 1);
            return Err(refusal(told.then_some(0)));
        }
        if !world.target.transactional {
            self.put(&mut world)?;
        }
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
        let shared = self.world.clone();
        let mut world = shared.get();
        fenced(&mut world, &self.run)?;
        if self.is_refused(&mut world)? {
            return Err(refusal(None));
        }
        self.put(&mut world)?;
        self.flushed = 0;
        if world.target.transactional {
            let splits = &mut world.target.pipeline(&self.run.pipeline).progress.splits;
            splits.extend(deltas.iter().map(|delta| ((delta.stream, delta.split), delta.row.clone())));
        }
        let chaos = world.chaos;
        if world.dice.chance(chaos) {
            return Err(unreachable_now("hear whether it was committed"));
        }
        Ok(())
    }
}

impl SimWriter {
    /// The target of the rows taken, if there are any.
    fn target(&self) -> Option<&Target> {
        self.target.as_deref().filter(|_| !self.taken.is_empty())
    }

    /// Whether the target refuses any row taken: for its value, or for a key that is there already.
    fn is_refused(&self, world: &mut World) -> Result<bool> {
        let Some(target) = self.target() else { return Ok(false) };
        let refused = self.taken[self.flushed..].iter().any(|row| world.target.refuses(row));
        let updates = !world.target.transactional;
        // Of several rows with one key the last one wins when they are published.
        let any_key = updates || target.cursor.is_some();
        Ok(refused || !(any_key || table_of(world, &self.run, target)?.fits(&self.taken)))
    }

    /// Gives all rows taken to the target.
    fn put(&mut self, world: &mut World) -> Result<()> {
        let Some(target) = self.target() else { return Ok(()) };
        let updates = !world.target.transactional;
        let table = table_of(world, &self.run, target)?;
        match updates {
            true => self.taken.drain(..).for_each(|row| table.upsert(row)),
            false => table.rows.append(&mut self.taken),
        }
        Ok(())
    }
}
