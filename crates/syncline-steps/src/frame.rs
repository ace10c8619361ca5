//! The columns as they stand between two steps while a chain is being bound, and the operations
//! that the steps so far have come to.
//!
//! Every value that a step computes gets a slot of its own; renaming and dropping only change which
//! slots have which names. So a column whose slot is one of the input's still holds the input's
//! own values.

use std::collections::BTreeSet;

use syncline_connect::nearest;
use syncline_types::{Column, Error, LogicalType, Predicate, Result, TableSchema, codes};

use crate::{
    expr::{
        bind::ScopeColumn,
        node::{Expr, Node},
    },
    program::{Assignment, Op},
};

/// A column between two steps.
#[derive(Clone, Debug)]
pub(crate) struct FrameColumn {
    pub(crate) column: Column,
    pub(crate) slot: usize,
    pub(crate) lineage: Lineage,
}

/// Where a column's values come from, in input columns by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// Every input column that has a part in it.
    pub(crate) origins: BTreeSet<usize>,
    /// The one input column whose values it holds, and in which form.
    pub(crate) carries: Option<(usize, Form)>,
}

/// The form in which a column holds an input column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Same,
    /// Converted to another type.
    Converted,
    /// Hashed or encrypted as they were.
    Hidden,
}

/// The state of binding.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The schema that the chain began with.
    pub(crate) input: TableSchema,
    pub(crate) columns: Vec<FrameColumn>,
    pub(crate) key: Vec<String>,
    pub(crate) unique: Vec<Vec<String>>,
    pub(crate) slots: usize,
    pub(crate) ops: Vec<Op>,
    /// Input columns that a mask has touched.
    pub(crate) masked: BTreeSet<usize>,
    /// Conditions that the source could check as well.
    pub(crate) pushed: Vec<Predicate>,
}

impl Frame {
    /// The input itself.
    pub(crate) fn new(input: &TableSchema) -> Self {
        let column = |(slot, column): (usize, &Column)| FrameColumn {
            column: column.clone(),
            slot,
            lineage: Lineage { origins: BTreeSet::from([slot]), carries: Some((slot, Form::Same)) },
        };
        Frame {
            input: input.clone(),
            columns: input.columns.iter().enumerate().map(column).collect(),
            key: input.key.clone(),
            unique: input.unique.clone(),
            slots: input.columns.len(),
            ops: vec![],
            masked: BTreeSet::new(),
            pushed: vec![],
        }
    }

    /// The schema as it stands.
    pub(crate) fn schema(&self) -> TableSchema {
        TableSchema {
            dialect: self.input.dialect.clone(),
            columns: self.columns.iter().map(|column| column.column.clone()).collect(),
            key: self.key.clone(),
            unique: self.unique.clone(),
        }
    }

    /// The columns that an expression may name.
    pub(crate) fn scope(&self) -> Vec<ScopeColumn> {
        self.columns
            .iter()
            .map(|FrameColumn { column, slot, .. }| ScopeColumn {
                name: column.name.clone(),
                slot: *slot,
                logical: column.logical,
                nullable: column.nullable,
            })
            .collect()
    }

    /// The place of a column that a step names; `object` names the step.
    pub(crate) fn find(&self, name: &str, object: &str) -> Result<usize> {
        self.columns.iter().position(|column| column.column.name == name).ok_or_else(|| {
            let known = || self.columns.iter().map(|column| column.column.name.as_str());
            let error = Error::new(&codes::UNKNOWN_COLUMN, "understand", object)
                .because(format!("there is no column `{name}`"));
            match nearest(name, known()) {
                Some(near) => error.hint(format!("Did you mean `{near}`?")),
                None => error.hint(format!("The columns are: {}", known().collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// A slot for a new value.
    pub(crate) fn new_slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    /// Where the values of an expression come from.
    pub(crate) fn lineage(&self, expr: &Expr) -> Lineage {
        let mut slots = BTreeSet::new();
        expr.slots(&mut slots);
        let read = || self.columns.iter().filter(|column| slots.contains(&column.slot));
        let carries = match expr.node {
            Node::Column(slot) => self
                .columns
                .iter()
                .find(|column| column.slot == slot)
                .and_then(|column| column.lineage.carries),
            _ => None,
        };
        Lineage { origins: read().flat_map(|column| column.lineage.origins.clone()).collect(), carries }
    }

    /// Adds the operation that computes values, and gives back their slots.
    pub(crate) fn assign(&mut self, values: Vec<(Expr, String)>) -> Vec<usize> {
        let assignments: Vec<Assignment> = values
            .into_iter()
            .map(|(value, object)| Assignment { slot: self.new_slot(), value, object })
            .collect();
        let slots = assignments.iter().map(|assignment| assignment.slot).collect();
        self.ops.push(Op::Set(assignments));
        slots
    }

    /// Forgets the primary key and the other keys that `name` is part of.
    pub(crate) fn forget_keys(&mut self, name: &str) {
        if self.key.iter().any(|column| column == name) {
            self.key.clear();
        }
        self.forget_unique(name);
    }

    /// Forgets the keys that `name` is part of, but not the primary key.
    pub(crate) fn forget_unique(&mut self, name: &str) {
        self.unique.retain(|columns| !columns.iter().any(|column| column == name));
    }
}

/// A column that a step has made: the source's own type name, default and labels no longer hold.
pub(crate) fn computed(name: &str, logical: LogicalType, nullable: bool) -> Column {
    Column { nullable, ..Column::new(name, logical) }
}

/// How errors name one column of a step.
pub(crate) fn object(step: &str, column: &str) -> String {
    format!("{step} of `{column}`")
}

/// A step that cannot be as it is written.
pub(crate) fn refused(object: &str, reason: impl Into<String>) -> Error {
    Error::new(&codes::BAD_VALUE, "understand", object).because(reason.into())
}

/// Refuses a step that names nothing.
pub(crate) fn not_empty(count: usize, object: &str) -> Result<()> {
    if count == 0 { Err(refused(object, "it names no column")) } else { Ok(()) }
}
