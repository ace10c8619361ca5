//! A bound expression: names are places, types are settled, conversions are written out.

use std::{collections::BTreeSet, fmt, sync::Arc};

use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int32Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use syncline_types::{Comparison, LogicalType, Result};

use super::operand::{Computed, Operand, View};

/// An expression with its type.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) node: Node,
    pub(crate) logical: LogicalType,
    /// Whether NULL may come out.
    pub(crate) nullable: bool,
}

/// What an expression does.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// The column in this slot.
    Column(usize),
    /// An array of one value.
    Literal(ArrayRef),
    /// Computes `value` once and gives it to every [`Node::Local`] of this number in `body`.
    Let {
        local: usize,
        value: Box<Expr>,
        body: Box<Expr>,
    },
    /// A value that a [`Node::Let`] around here has computed.
    Local(usize),
    /// All are true, asked from left to right.
    And(Vec<Expr>),
    /// One is true, asked from left to right.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        value: Box<Expr>,
        negated: bool,
    },
    /// `IS [NOT] TRUE` and `IS [NOT] FALSE`.
    IsTruth {
        value: Box<Expr>,
        truth: bool,
        negated: bool,
    },
    /// Both sides have one type.
    Compare {
        op: Comparison,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// `IS [NOT] DISTINCT FROM`; both sides have one type.
    Distinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    /// The value beside the first condition that is true.
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// The first that is not NULL.
    Coalesce(Vec<Expr>),
    /// To the type of the expression.
    Cast(Box<Expr>),
    /// A function of its arguments' values.
    Call {
        kernel: Kernel,
        args: Vec<Expr>,
    },
}

/// The code of a function or operator.
#[derive(Clone)]
pub(crate) struct Kernel(Arc<Run>);

type Run = dyn Fn(&Call<'_>) -> Result<Computed> + Send + Sync;

impl Kernel {
    pub(crate) fn new(run: impl Fn(&Call<'_>) -> Result<Computed> + Send + Sync + 'static) -> Self {
        Kernel(Arc::new(run))
    }

    pub(crate) fn run(&self, call: &Call<'_>) -> Result<Computed> {
        (self.0)(call)
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kernel")
    }
}

/// What a function is given.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) args: &'a [Operand],
    pub(crate) types: &'a [LogicalType],
    /// The type that must come out.
    pub(crate) returns: LogicalType,
    pub(crate) rows: usize,
}

impl Call<'_> {
    pub(crate) fn int32(&self, arg: usize) -> Result<View<'_, Int32Array>> {
        self.args[arg].view()
    }

    pub(crate) fn float64(&self, arg: usize) -> Result<View<'_, Float64Array>> {
        self.args[arg].view()
    }

    pub(crate) fn text(&self, arg: usize) -> Result<View<'_, StringArray>> {
        self.args[arg].view()
    }

    pub(crate) fn binary(&self, arg: usize) -> Result<View<'_, BinaryArray>> {
        self.args[arg].view()
    }

    pub(crate) fn date(&self, arg: usize) -> Result<View<'_, Date32Array>> {
        self.args[arg].view()
    }

    pub(crate) fn time(&self, arg: usize) -> Result<View<'_, Time64MicrosecondArray>> {
        self.args[arg].view()
    }

    pub(crate) fn timestamp(&self, arg: usize) -> Result<View<'_, TimestampMicrosecondArray>> {
        self.args[arg].view()
    }

    /// Intervals and UUIDs.
    pub(crate) fn sixteen(&self, arg: usize) -> Result<View<'_, FixedSizeBinaryArray>> {
        self.args[arg].view()
    }
}

impl Expr {
    pub(crate) fn column(slot: usize, logical: LogicalType, nullable: bool) -> Self {
        Expr { node: Node::Column(slot), logical, nullable }
    }

    /// A constant, given as an array of one value.
    pub(crate) fn literal(value: ArrayRef, logical: LogicalType) -> Self {
        let nullable = value.is_null(0);
        Expr { node: Node::Literal(value), logical, nullable }
    }

    pub(crate) fn is_literal(&self) -> bool {
        matches!(self.node, Node::Literal(_))
    }

    pub(crate) fn is_null_literal(&self) -> bool {
        matches!(&self.node, Node::Literal(value) if value.is_null(0))
    }

    /// The direct parts.
    pub(crate) fn parts(&self) -> Vec<&Expr> {
        match &self.node {
            Node::Column(_) | Node::Literal(_) | Node::Local(_) => vec![],
            Node::Let { value, body, .. } => vec![value, body],
            Node::And(parts) | Node::Or(parts) | Node::Coalesce(parts) => parts.iter().collect(),
            Node::Not(value)
            | Node::IsNull { value, .. }
            | Node::IsTruth { value, .. }
            | Node::Cast(value) => vec![value],
            Node::Compare { left, right, .. } | Node::Distinct { left, right, .. } => vec![left, right],
            Node::Case { branches, otherwise } => {
                let branches = branches.iter().flat_map(|(when, then)| [when, then]);
                branches.chain(otherwise.as_deref()).collect()
            }
            Node::Call { args, .. } => args.iter().collect(),
        }
    }

    /// Adds every slot it reads.
    pub(crate) fn slots(&self, into: &mut BTreeSet<usize>) {
        if let Node::Column(slot) = self.node {
            into.insert(slot);
        }
        self.parts().into_iter().for_each(|part| part.slots(into));
    }
}
