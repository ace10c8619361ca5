//! Evaluates a bound expression over a batch, a column at a time.

use std::sync::Arc;

use arrow_arith::boolean;
use arrow_array::{ArrayRef, BooleanArray, cast::AsArray};
use syncline_types::{Error, LogicalType, Result, codes};

use super::{
    cast, choose, compare,
    fault::Faults,
    node::{Call, Expr, Node},
    operand::{Operand, broken},
};

/// Values and the rows on which they could not be had.
#[derive(Clone, Debug)]
pub(crate) struct Evaluated {
    pub(crate) values: Operand,
    pub(crate) faults: Faults,
}

/// Evaluates `expr` over columns kept in slots.
///
/// # Errors
/// Only for broken invariants: what a row can cause is a fault of that row.
pub(crate) fn evaluate(expr: &Expr, slots: &[Option<ArrayRef>], rows: usize) -> Result<Evaluated> {
    Evaluator { slots, rows, locals: vec![] }.value(expr)
}

struct Evaluator<'a> {
    slots: &'a [Option<ArrayRef>],
    rows: usize,
    /// Values of the `Let`s around, by number.
    locals: Vec<Option<Evaluated>>,
}

impl Evaluator<'_> {
    fn value(&mut self, expr: &Expr) -> Result<Evaluated> {
        match &expr.node {
            Node::Column(slot) => self.column(*slot),
            Node::Literal(value) => Ok(well(Operand::constant(Arc::clone(value)))),
            Node::Let { local, value, body } => self.bound(*local, value, body),
            Node::Local(local) => self.local(*local),
            Node::And(parts) => self.junction(parts, false),
            Node::Or(parts) => self.junction(parts, true),
            Node::Not(value) => self.not(value),
            Node::IsNull { value, negated } => self.is_null(value, *negated),
            Node::IsTruth { value, truth, negated } => {
                let Evaluated { values, faults } = self.value(value)?;
                let array = choose::is_truth(&values, *truth, *negated, self.rows);
                Ok(Evaluated { values: Operand::column(array), faults })
            }
            Node::Compare { op, left, right } => self.pair(left, right, |left, right, logical, rows| {
                compare::compare(*op, left, right, logical, rows)
            }),
            Node::Distinct { left, right, negated } => {
                self.pair(left, right, |left, right, logical, rows| {
                    compare::distinct(left, right, logical, rows, *negated)
                })
            }
            Node::Case { branches, otherwise } => self.case(branches, otherwise.as_deref(), expr.logical),
            Node::Coalesce(values) => {
                let values = self.values(values)?;
                choose::coalesce(&values, expr.logical, self.rows).map(computed)
            }
            Node::Cast(value) => {
                let from = value.logical;
                let Evaluated { values, faults } = self.value(value)?;
                let (array, own) = cast::cast(&values, from, expr.logical, self.rows)?;
                Ok(Evaluated { values: Operand::column(array), faults: faults.and(own) })
            }
            Node::Call { kernel, args } => {
                let types: Vec<LogicalType> = args.iter().map(|arg| arg.logical).collect();
                let (args, faults) = self.arguments(args)?;
                let call = Call { args: &args, types: &types, returns: expr.logical, rows: self.rows };
                let (array, own) = kernel.run(&call)?;
                Ok(Evaluated { values: Operand::column(array), faults: faults.and(own) })
            }
        }
    }

    fn column(&self, slot: usize) -> Result<Evaluated> {
        let column = self.slots.get(slot).and_then(Option::as_ref).ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "evaluate an expression", "")
                .because(format!("slot {slot} holds no column"))
        })?;
        Ok(well(Operand::column(Arc::clone(column))))
    }

    fn bound(&mut self, local: usize, value: &Expr, body: &Expr) -> Result<Evaluated> {
        let value = self.value(value)?;
        if self.locals.len() <= local {
            self.locals.resize(local + 1, None);
        }
        self.locals[local] = Some(value);
        let result = self.value(body);
        self.locals[local] = None;
        result
    }

    fn local(&self, local: usize) -> Result<Evaluated> {
        self.locals.get(local).cloned().flatten().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "evaluate an expression", "")
                .because(format!("value {local} is not bound"))
        })
    }

    fn values(&mut self, parts: &[Expr]) -> Result<Vec<Evaluated>> {
        parts.iter().map(|part| self.value(part)).collect()
    }

    /// All arguments; a row on which one of them failed has failed.
    fn arguments(&mut self, args: &[Expr]) -> Result<(Vec<Operand>, Faults)> {
        let mut faults = Faults::default();
        let mut operands = Vec::with_capacity(args.len());
        for arg in args {
            let value = self.value(arg)?;
            faults = faults.and(value.faults);
            operands.push(value.values);
        }
        Ok((operands, faults))
    }

    fn junction(&mut self, parts: &[Expr], deciding: bool) -> Result<Evaluated> {
        let parts = self.values(parts)?;
        choose::junction(&parts, deciding, self.rows).map(computed)
    }

    fn not(&mut self, value: &Expr) -> Result<Evaluated> {
        let Evaluated { values, faults } = self.value(value)?;
        let array = boolean::not(values.expanded(self.rows)?.as_boolean()).map_err(broken)?;
        Ok(Evaluated { values: Operand::column(Arc::new(array)), faults })
    }

    fn is_null(&mut self, value: &Expr, negated: bool) -> Result<Evaluated> {
        let Evaluated { values, faults } = self.value(value)?;
        let array = values.expanded(self.rows)?;
        let kernel = if negated { boolean::is_not_null } else { boolean::is_null };
        let array: ArrayRef = Arc::new(kernel(&array).map_err(broken)?);
        Ok(Evaluated { values: Operand::column(array), faults })
    }

    fn pair(
        &mut self,
        left: &Expr,
        right: &Expr,
        run: impl FnOnce(&Operand, &Operand, LogicalType, usize) -> Result<(BooleanArray, Faults)>,
    ) -> Result<Evaluated> {
        let logical = left.logical;
        let (left, right) = (self.value(left)?, self.value(right)?);
        // Two constants would give one value: the kernels are to give one a row.
        let left_values = match (left.values.is_constant(), right.values.is_constant()) {
            (true, true) => Operand::column(left.values.expanded(self.rows)?),
            _ => left.values,
        };
        let (array, own) = run(&left_values, &right.values, logical, self.rows)?;
        let faults = left.faults.and(right.faults).and(own);
        Ok(Evaluated { values: Operand::column(Arc::new(array)), faults })
    }

    fn case(
        &mut self,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        logical: LogicalType,
    ) -> Result<Evaluated> {
        let branches = branches
            .iter()
            .map(|(when, then)| Ok((self.value(when)?, self.value(then)?)))
            .collect::<Result<Vec<_>>>()?;
        let otherwise = otherwise.map(|value| self.value(value)).transpose()?;
        choose::case(&branches, otherwise.as_ref(), logical, self.rows).map(computed)
    }
}

fn well(values: Operand) -> Evaluated {
    Evaluated { values, faults: Faults::default() }
}

fn computed((array, faults): (ArrayRef, Faults)) -> Evaluated {
    Evaluated { values: Operand::column(array), faults }
}
