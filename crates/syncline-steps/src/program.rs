//! What a bound chain does to a batch: computes values into slots and drops rows.
//!
//! Renaming and dropping columns cost nothing here; they have become the list of slots that go out.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, cast::AsArray,
};
use arrow_schema::Schema;
use arrow_select::filter::{FilterBuilder, FilterPredicate};
use syncline_connect::Reject;
use syncline_types::{Error, Result, codes};

use crate::{
    expr::{eval::evaluate, fault::Faults, node::Expr, operand::broken, rejects},
    validate::RowCheck,
};

/// One operation.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Computes values, all from the slots as they were before.
    Set(Vec<Assignment>),
    /// Keeps the rows for which the condition is true.
    Filter {
        condition: Expr,
        /// How errors name the step.
        object: String,
    },
    /// Keeps the rows that a schema accepts.
    Validate(RowCheck),
}

/// A value and the slot it goes to.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) slot: usize,
    pub(crate) value: Expr,
    /// How errors name it.
    pub(crate) object: String,
}

/// Operations in order, and what goes out after them.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Each with the slots that are still needed behind it.
    steps: Vec<(Op, BTreeSet<usize>)>,
    slots: usize,
    output: Vec<usize>,
    schema: Arc<Schema>,
    /// The slots that must be filled at the start.
    needed: BTreeSet<usize>,
}

/// What a chain makes of a batch.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The rows that go on, in the columns of [`crate::Chain::output`].
    pub rows: RecordBatch,
    /// The rows on which a step failed, by their place in the batch that was given.
    pub rejects: Vec<Reject>,
    /// The place in the batch that was given of each row that goes on; `None` when all do.
    pub source_rows: Option<Vec<u32>>,
}

impl Op {
    fn reads(&self, into: &mut BTreeSet<usize>) {
        match self {
            Op::Set(assignments) => assignments.iter().for_each(|assignment| assignment.value.slots(into)),
            Op::Filter { condition, .. } => condition.slots(into),
            Op::Validate(check) => into.extend(&check.slots),
        }
    }
}

impl Program {
    /// Works out which slots are needed where.
    pub(crate) fn new(ops: Vec<Op>, slots: usize, output: Vec<usize>, schema: Arc<Schema>) -> Self {
        let mut live: BTreeSet<usize> = output.iter().copied().collect();
        let mut steps = vec![];
        for op in ops.into_iter().rev() {
            let behind = live.clone();
            if let Op::Set(assignments) = &op {
                assignments.iter().for_each(|assignment| {
                    live.remove(&assignment.slot);
                });
            }
            op.reads(&mut live);
            steps.push((op, behind));
        }
        steps.reverse();
        Program { steps, slots, output, schema, needed: live }
    }

    /// What is needed for some of the columns that go out, by their places. Filters stay as they are.
    pub(crate) fn only(&self, places: &[usize], schema: Arc<Schema>) -> Self {
        let output: Vec<usize> = places.iter().filter_map(|place| self.output.get(*place)).copied().collect();
        let mut live: BTreeSet<usize> = output.iter().copied().collect();
        let mut ops = vec![];
        for (op, _) in self.steps.iter().rev() {
            let mut op = op.clone();
            match &mut op {
                Op::Set(assignments) => assignments.retain(|assignment| live.remove(&assignment.slot)),
                Op::Filter { .. } => {}
                // It makes no values, and a row that it rejects is there all the same.
                Op::Validate(_) => continue,
            }
            if matches!(&op, Op::Set(assignments) if assignments.is_empty()) {
                continue;
            }
            op.reads(&mut live);
            ops.push(op);
        }
        ops.reverse();
        Program::new(ops, self.slots, output, schema)
    }

    /// The slots that must be filled at the start.
    pub(crate) fn needed(&self) -> &BTreeSet<usize> {
        &self.needed
    }

    /// Runs over columns given in their slots.
    pub(crate) fn run(&self, columns: Vec<Option<ArrayRef>>, rows: usize) -> Result<Applied> {
        let mut batch = Rows { slots: columns, count: rows, source: None, rejects: vec![] };
        batch.slots.resize(self.slots, None);
        for (op, live) in &self.steps {
            match op {
                Op::Set(assignments) => batch.set(assignments, live)?,
                Op::Filter { condition, object } => batch.filter(condition, object, live)?,
                Op::Validate(check) => batch.validate(check, live)?,
            }
        }
        let columns = self.output.iter().map(|slot| batch.column(*slot)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.count));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        batch.rejects.sort_by_key(|reject| reject.row);
        Ok(Applied { rows: rows.map_err(broken)?, rejects: batch.rejects, source_rows: batch.source })
    }
}

/// A batch on its way through the program.
struct Rows {
    slots: Vec<Option<ArrayRef>>,
    count: usize,
    source: Option<Vec<u32>>,
    rejects: Vec<Reject>,
}

impl Rows {
    fn column(&self, slot: usize) -> Result<ArrayRef> {
        self.slots.get(slot).cloned().flatten().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "run the steps", "")
                .because(format!("slot {slot} holds no column"))
        })
    }

    fn set(&mut self, assignments: &[Assignment], live: &BTreeSet<usize>) -> Result<()> {
        let mut failed = Faults::default();
        let mut values = vec![];
        for Assignment { slot, value, object } in assignments {
            let value = evaluate(value, &self.slots, self.count)?;
            self.reject(&value.faults, &failed, object);
            failed = failed.and(value.faults);
            values.push((*slot, value.values.expanded(self.count)?));
        }
        for (slot, value) in values {
            self.slots[slot] = Some(value);
        }
        if !failed.is_empty() {
            let kept = BooleanArray::from_iter((0..self.count).map(|row| Some(failed.get(row).is_none())));
            self.keep(&kept, live)?;
        }
        self.forget(live);
        Ok(())
    }

    fn filter(&mut self, condition: &Expr, object: &str, live: &BTreeSet<usize>) -> Result<()> {
        let value = evaluate(condition, &self.slots, self.count)?;
        self.reject(&value.faults, &Faults::default(), object);
        let array = value.values.expanded(self.count)?;
        let truths = array.as_boolean();
        let kept = if value.faults.is_empty() && truths.null_count() == 0 {
            truths.clone()
        } else {
            let is_kept = |row| truths.is_valid(row) && truths.value(row) && value.faults.get(row).is_none();
            BooleanArray::from_iter((0..self.count).map(|row| Some(is_kept(row))))
        };
        self.forget(live);
        self.keep(&kept, live)
    }

    fn validate(&mut self, check: &RowCheck, live: &BTreeSet<usize>) -> Result<()> {
        let columns = check.slots.iter().map(|slot| self.column(*slot)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let rows = RecordBatch::try_new_with_options(check.schema.arrow(), columns, &options);
        let rejects = check.rejects(&rows.map_err(broken)?)?;
        let mut kept = vec![true; self.count];
        for mut reject in rejects {
            kept[reject.row as usize] = false;
            reject.row = self.source_row(reject.row);
            reject.error = reject.error.at_row(reject.row);
            self.rejects.push(reject);
        }
        self.forget(live);
        self.keep(&BooleanArray::from(kept), live)
    }

    /// The place in the batch that was given of a row that is left.
    fn source_row(&self, row: u32) -> u32 {
        self.source.as_ref().and_then(|source| source.get(row as usize).copied()).unwrap_or(row)
    }

    /// Rejects the rows that failed, unless they have failed in this step before.
    fn reject(&mut self, faults: &Faults, before: &Faults, object: &str) {
        for reject in rejects(faults, object) {
            if before.get(reject.row as usize).is_none() {
                let row = self.source_row(reject.row);
                self.rejects.push(Reject { row, error: reject.error.at_row(row), place: None });
            }
        }
    }

    /// Lets go of columns that nothing behind needs.
    fn forget(&mut self, live: &BTreeSet<usize>) {
        for (slot, column) in self.slots.iter_mut().enumerate() {
            if !live.contains(&slot) {
                *column = None;
            }
        }
    }

    fn keep(&mut self, kept: &BooleanArray, live: &BTreeSet<usize>) -> Result<()> {
        if kept.true_count() == self.count {
            return Ok(());
        }
        let predicate: FilterPredicate = FilterBuilder::new(kept).optimize().build();
        for slot in live {
            if let Some(column) = self.slots.get_mut(*slot).and_then(Option::as_mut) {
                *column = predicate.filter(column.as_ref()).map_err(broken)?;
            }
        }
        let source = match self.source.take() {
            Some(source) => UInt32Array::from(source),
            None => UInt32Array::from_iter_values(0..u32::try_from(self.count).unwrap_or(u32::MAX)),
        };
        let source = predicate.filter(&source).map_err(broken)?;
        self.source = Some(source.as_primitive::<arrow_array::types::UInt32Type>().values().to_vec());
        self.count = predicate.count();
        Ok(())
    }
}
