//! Bound values on their way up the tree, and how two types meet.

use std::sync::Arc;

use arrow_array::{Array, StringArray, cast::AsArray, new_null_array};
use sqlparser::tokenizer::Location;
use syncline_types::{LogicalType, decimal::Digits, text::Values};

use crate::expr::{
    cast, compare, eval,
    kind::{self, Kind},
    node::{Expr, Kernel, Node},
    problem::Problem,
};

/// A bound value. A bare string or NULL is of no type yet: it takes that of what it meets.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) unknown: bool,
    /// Where it begins, where that is known.
    pub(super) at: Option<Location>,
}

impl Typed {
    pub(super) fn known(expr: Expr, at: Option<Location>) -> Self {
        Typed { expr, unknown: false, at }
    }

    /// A string as it is written, or NULL.
    pub(super) fn unknown(text: Option<&str>, at: Option<Location>) -> Self {
        let value = Arc::new(StringArray::from(vec![text]));
        Typed { expr: Expr::literal(value, LogicalType::TEXT), unknown: true, at }
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::of(self.expr.logical)
    }

    pub(super) fn logical(&self) -> LogicalType {
        self.expr.logical
    }

    /// How an error names its type.
    pub(super) fn type_name(&self) -> String {
        if self.unknown { "an untyped string".to_owned() } else { self.kind().to_string() }
    }

    /// The text of a constant string.
    pub(super) fn string(&self) -> Option<&str> {
        match &self.expr.node {
            Node::Literal(value) if self.kind() == Kind::Text && value.is_valid(0) => {
                value.as_string_opt::<i32>().map(|array| array.value(0))
            }
            _ => None,
        }
    }

    /// Turned into a type, whatever it is now.
    pub(super) fn cast(self, to: LogicalType) -> Result<Expr, Problem> {
        let Typed { expr, unknown, at } = self;
        if unknown && Kind::of(to) == Kind::Opaque && !expr.is_null_literal() {
            return Err(Problem::new(at, "a constant cannot be of a type that only its source knows")
                .hint("Cast the other side to text"));
        }
        if expr.is_null_literal() {
            return Ok(Expr::literal(new_null_array(&to.arrow(), 1), to));
        }
        if expr.logical == to && !unknown {
            return Ok(expr);
        }
        let nullable = expr.nullable;
        folded(Expr { node: Node::Cast(Box::new(expr)), logical: to, nullable }, at)
    }

    /// Turned into a kind, as an argument that must be of it. Integers may stand for exact numbers
    /// as they are.
    pub(super) fn into_kind(self, kind: Kind) -> Result<Expr, Problem> {
        let logical = self.logical();
        if self.unknown {
            return if kind == Kind::Number { self.into_exact() } else { self.cast(kind.logical()) };
        }
        let own = self.kind();
        let keeps = match kind {
            Kind::Number => (own == Kind::Number && logical != LogicalType::UInt64) || own.is_integer(),
            Kind::Text => own == kind && !matches!(logical, LogicalType::Text { padded: true, .. }),
            Kind::Int2 | Kind::Int4 | Kind::Int8 => logical == kind.logical(),
            kind => own == kind,
        };
        match (keeps, logical) {
            (true, _) => Ok(self.expr),
            (false, LogicalType::UInt64) => {
                let exact = exact_type(&self);
                self.cast(exact)
            }
            (false, _) => self.cast(kind.logical()),
        }
    }

    /// An untyped constant as the exact number that it says, with just its own digits.
    fn into_exact(self) -> Result<Expr, Problem> {
        let logical = exact_type(&self);
        self.cast(logical)
    }

    /// A constant integer as the decimal with just its digits, so that `price * 2` has two digits
    /// more at most and not ten. Everything else as it is.
    pub(super) fn tight(self) -> Result<Expr, Problem> {
        if self.unknown || (self.expr.is_literal() && self.kind().is_integer()) {
            return self.into_exact();
        }
        Ok(self.expr)
    }
}

/// The exact type of a number; of a constant, just its own digits.
pub(super) fn exact_type(value: &Typed) -> LogicalType {
    let logical = value.logical();
    if let Node::Literal(array) = &value.expr.node {
        let text = Values::new(array, logical).ok().and_then(|values| values.text(0));
        let Some(text) = text else { return LogicalType::Decimal { precision: 1, scale: 0 } };
        let Some(digits) = Digits::parse(text.trim()) else { return LogicalType::Numeric };
        return digits_type(&digits);
    }
    match kind::digits(logical) {
        Some((precision, scale)) => LogicalType::Decimal { precision, scale },
        None => LogicalType::Numeric,
    }
}

/// The type with just the digits of one number.
pub(super) fn digits_type(digits: &Digits) -> LogicalType {
    let scale = digits.scale.max(0);
    let whole = i32::try_from(digits.digits.len()).unwrap_or(i32::MAX).saturating_sub(digits.scale).max(0);
    match (u8::try_from(whole), u8::try_from(scale)) {
        (Ok(whole), Ok(scale)) => kind::exact(whole, scale),
        _ => LogicalType::Numeric,
    }
}

/// Computes what is made of constants only.
pub(super) fn folded(expr: Expr, at: Option<Location>) -> Result<Expr, Problem> {
    let parts = expr.parts();
    if expr.is_literal() || parts.is_empty() || !parts.iter().all(|part| part.is_literal()) {
        return Ok(expr);
    }
    let broken = |error: syncline_types::Error| Problem::new(at, error.reason().to_owned());
    let value = eval::evaluate(&expr, &[], 1).map_err(broken)?;
    if let Some(fault) = value.faults.first() {
        return Err(Problem::new(at, fault.0));
    }
    let array = value.values.expanded(1).map_err(broken)?;
    Ok(Expr::literal(array, expr.logical))
}

/// The type that all values turn into, as for the branches of CASE.
pub(super) fn common_type(values: &[&Typed]) -> Result<LogicalType, Problem> {
    let known: Vec<&&Typed> = values.iter().filter(|value| !value.unknown).collect();
    let Some(first) = known.first() else { return Ok(LogicalType::TEXT) };
    let alike = known.iter().all(|value| value.logical() == first.logical());
    if alike && known.len() == values.len() {
        return Ok(first.logical());
    }
    let kind = known.iter().skip(1).try_fold(first.kind(), |kind, value| {
        kind.common(value.kind()).ok_or_else(|| {
            Problem::new(value.at, format!("{} and {kind} have no type in common", value.type_name()))
                .hint("Cast one of them")
        })
    })?;
    Ok(match kind {
        Kind::Number => {
            let types =
                values.iter().filter(|value| !value.expr.is_null_literal()).map(|value| exact_type(value));
            types.reduce(kind::exact_union).unwrap_or(LogicalType::Numeric)
        }
        kind => kind.logical(),
    })
}

/// Two values made ready to be compared.
pub(super) fn comparable(left: Typed, right: Typed) -> Result<(Expr, Expr), Problem> {
    let incomparable = |value: &&Typed| !value.unknown && !compare::comparable(value.logical());
    if let Some(value) = [&left, &right].into_iter().find(incomparable) {
        let reason = format!("values that are {} have no order and no equality", value.kind());
        return Err(Problem::new(value.at, reason)
            .hint("Compare their text: `->>` takes a field out of JSON, `::text` casts"));
    }
    match (left.unknown, right.unknown) {
        (false, false) => between_known(left, right),
        (true, true) => Ok((left.cast(LogicalType::TEXT)?, right.cast(LogicalType::TEXT)?)),
        (false, true) => known_and_constant(left, right),
        (true, false) => known_and_constant(right, left).map(|(right, left)| (left, right)),
    }
}

/// A typed value beside an untyped constant, which takes its type.
fn known_and_constant(known: Typed, constant: Typed) -> Result<(Expr, Expr), Problem> {
    match known.logical() {
        LogicalType::Text { padded: true, .. } => Ok((unpadded(known)?, unpadded_constant(constant)?)),
        logical if Kind::of(logical) == Kind::Number => exact_pair(known, constant),
        logical if logical.is_integer() => Ok((known.expr, constant.cast(logical)?)),
        // Without the column's length or precision: a constant must not be cut to fit.
        logical => Ok((known.expr, constant.cast(Kind::of(logical).logical())?)),
    }
}

fn between_known(left: Typed, right: Typed) -> Result<(Expr, Expr), Problem> {
    let (left_kind, right_kind) = (left.kind(), right.kind());
    if left_kind.is_number() && right_kind.is_number() {
        return numbers(left, right);
    }
    if left_kind == Kind::Text && right_kind == Kind::Text {
        return texts(left, right);
    }
    let Some(kind) = left_kind.common(right_kind) else {
        return Err(Problem::new(
            left.at,
            format!("{} cannot be compared with {}", left.type_name(), right.type_name()),
        )
        .hint("Cast one side"));
    };
    Ok((as_comparable(left, kind)?, as_comparable(right, kind)?))
}

/// A value in the kind it is compared in. A date may lie beyond what timestamps reach.
fn as_comparable(value: Typed, kind: Kind) -> Result<Expr, Problem> {
    if value.kind() != Kind::Date || kind == Kind::Date {
        return value.into_kind(kind);
    }
    let Typed { expr, at, .. } = value;
    let nullable = expr.nullable;
    let node = Node::Call { kernel: Kernel::new(cast::comparable_midnight), args: vec![expr] };
    folded(Expr { node, logical: kind.logical(), nullable }, at)
}

fn numbers(left: Typed, right: Typed) -> Result<(Expr, Expr), Problem> {
    if left.logical() == right.logical() {
        return Ok((left.expr, right.expr));
    }
    // A constant that fits the column's own type spares converting the column.
    if let Some(constant) = constant_as(&right, left.logical()) {
        return Ok((left.expr, constant));
    }
    if let Some(constant) = constant_as(&left, right.logical()) {
        return Ok((constant, right.expr));
    }
    match left.kind().arithmetic(right.kind()) {
        Some(Kind::Number) => exact_pair(left, right),
        Some(kind) => Ok((left.into_kind(kind)?, right.into_kind(kind)?)),
        None => Err(Problem::new(left.at, "these numbers cannot be compared")),
    }
}

/// A constant integer in another integer type, if it fits.
fn constant_as(constant: &Typed, to: LogicalType) -> Option<Expr> {
    let both = constant.logical().is_integer() && to.is_integer();
    if both && constant.expr.is_literal() { constant.clone().cast(to).ok() } else { None }
}

/// Two exact numbers in the type that holds both.
fn exact_pair(left: Typed, right: Typed) -> Result<(Expr, Expr), Problem> {
    let logical = kind::exact_union(exact_type(&left), exact_type(&right));
    Ok((left.cast(logical)?, right.cast(logical)?))
}

/// `char(n)` beside `char(n)` or `varchar(n)`: blanks at either end do not count. Beside `text`, which
/// has no length, those of `text` do.
fn texts(left: Typed, right: Typed) -> Result<(Expr, Expr), Problem> {
    let padded = |value: &Typed| matches!(value.logical(), LogicalType::Text { padded: true, .. });
    let sized = |value: &Typed| matches!(value.logical(), LogicalType::Text { length: Some(_), .. });
    let both = (padded(&left) && sized(&right)) || (sized(&left) && padded(&right));
    let trim = |value: Typed| if both || padded(&value) { unpadded(value) } else { Ok(value.expr) };
    Ok((trim(left)?, trim(right)?))
}

/// Text without the blanks at its end.
fn unpadded(value: Typed) -> Result<Expr, Problem> {
    let Typed { expr, at, .. } = value;
    let nullable = expr.nullable;
    let node = Node::Call { kernel: Kernel::new(cast::unpadded), args: vec![expr] };
    folded(Expr { node, logical: LogicalType::TEXT, nullable }, at)
}

/// A constant beside padded text is padded text too: blanks at its end do not count.
fn unpadded_constant(constant: Typed) -> Result<Expr, Problem> {
    let trimmed = constant.string().map(|text| text.trim_end_matches(' ').to_owned());
    Typed::unknown(trimmed.as_deref(), constant.at).cast(LogicalType::TEXT)
}
