//! Operators between two values, and signs.

use sqlparser::{
    ast::{self, BinaryOperator, UnaryOperator},
    tokenizer::Location,
};
use syncline_types::{Comparison, LogicalType, Result};

use super::{
    Binder, boolean,
    call::{bound, rank, resolve},
    literal,
    typed::{Typed, comparable, exact_type, folded},
};
use crate::expr::{
    arithmetic::{self, Operator},
    calendar,
    functions::{self, Overload, Returns, Run},
    kind::Kind::{self, Date, Float8, Int4, Interval, Time, Timestamp, Timestamptz},
    node::{Call, Expr, Kernel, Node},
    operand::{Computed, binaries, texts},
    pattern,
    problem::Problem,
};

const fn strict(params: &'static [Kind], returns: LogicalType, run: Run) -> Overload {
    Overload { params, variadic: false, returns: Returns::Type(returns), strict: true, run }
}

const DATE: LogicalType = LogicalType::Date;
const TIME: LogicalType = LogicalType::TIME;
const TIMESTAMP: LogicalType = LogicalType::TIMESTAMP;
const TIMESTAMPTZ: LogicalType = LogicalType::TIMESTAMPTZ;
const SPAN: LogicalType = LogicalType::Interval;

/// `+` with a date or time; either order of the two sides is tried.
static PLUS: &[Overload] = &[
    strict(&[Date, Int4], DATE, calendar::date_plus_days),
    strict(&[Date, Time], TIMESTAMP, calendar::date_plus_time),
    strict(&[Date, Interval], TIMESTAMP, calendar::date_plus_interval),
    strict(&[Timestamp, Interval], TIMESTAMP, calendar::timestamp_plus_interval),
    strict(&[Timestamptz, Interval], TIMESTAMPTZ, calendar::timestamp_plus_interval),
    strict(&[Time, Interval], TIME, calendar::time_plus_interval),
    strict(&[Interval, Interval], SPAN, calendar::interval_plus_interval),
];

static MINUS: &[Overload] = &[
    strict(&[Date, Int4], DATE, calendar::date_minus_days),
    strict(&[Date, Date], LogicalType::Int32, calendar::date_minus_date),
    strict(&[Date, Interval], TIMESTAMP, calendar::date_minus_interval),
    strict(&[Timestamp, Interval], TIMESTAMP, calendar::timestamp_minus_interval),
    strict(&[Timestamptz, Interval], TIMESTAMPTZ, calendar::timestamp_minus_interval),
    strict(&[Timestamp, Timestamp], SPAN, calendar::timestamp_minus_timestamp),
    strict(&[Timestamptz, Timestamptz], SPAN, calendar::timestamp_minus_timestamp),
    strict(&[Time, Interval], TIME, calendar::time_minus_interval),
    strict(&[Time, Time], SPAN, calendar::time_minus_time),
    strict(&[Interval, Interval], SPAN, calendar::interval_minus_interval),
];

/// `*` with an interval; either order of the two sides is tried.
static TIMES: &[Overload] = &[strict(&[Interval, Float8], SPAN, calendar::interval_times)];

static DIVIDED: &[Overload] = &[strict(&[Interval, Float8], SPAN, calendar::interval_divided)];

impl Binder<'_> {
    pub(super) fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Typed, Problem> {
        use BinaryOperator as B;
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        match op {
            B::Eq => compare(Comparison::Equal, left, right),
            B::NotEq => compare(Comparison::NotEqual, left, right),
            B::Lt => compare(Comparison::Less, left, right),
            B::LtEq => compare(Comparison::LessOrEqual, left, right),
            B::Gt => compare(Comparison::Greater, left, right),
            B::GtEq => compare(Comparison::GreaterOrEqual, left, right),
            B::Plus => arithmetic(Operator::Add, left, right),
            B::Minus => arithmetic(Operator::Subtract, left, right),
            B::Multiply => arithmetic(Operator::Multiply, left, right),
            B::Divide => arithmetic(Operator::Divide, left, right),
            B::Modulo => arithmetic(Operator::Remainder, left, right),
            B::StringConcat => concatenated(left, right),
            B::Arrow => json(left, right, false),
            B::LongArrow => json(left, right, true),
            B::PGRegexMatch => regex(left, right, false, false),
            B::PGRegexIMatch => regex(left, right, true, false),
            B::PGRegexNotMatch => regex(left, right, false, true),
            B::PGRegexNotIMatch => regex(left, right, true, true),
            other => Err(Problem::new(left.at, format!("the operator `{other}` is not understood"))),
        }
    }

    pub(super) fn unary(&mut self, op: UnaryOperator, inner: &ast::Expr) -> Result<Typed, Problem> {
        if let (UnaryOperator::Minus, Some(negative)) = (op, literal::negative(inner)?) {
            return Ok(negative);
        }
        let value = self.expr(inner)?;
        let at = value.at;
        let numeric = value.kind().is_number() && !value.unknown;
        match op {
            UnaryOperator::Plus if numeric => Ok(value),
            UnaryOperator::Minus if numeric => {
                let kind = value.kind();
                let expr = value.into_kind(kind)?;
                let logical = expr.logical;
                call(Kernel::new(arithmetic::negate), vec![expr], logical, at)
            }
            UnaryOperator::Minus if value.kind() == Interval => {
                call(Kernel::new(calendar::interval_negated), vec![value.expr], SPAN, at)
            }
            UnaryOperator::Plus | UnaryOperator::Minus => {
                Err(Problem::new(at, format!("{} has no sign", value.type_name()))
                    .hint("Cast it to a number"))
            }
            other => Err(Problem::new(at, format!("the operator `{other}` is not understood"))),
        }
    }
}

/// A function that gives NULL just where it gets NULL.
fn call(
    kernel: Kernel,
    args: Vec<Expr>,
    logical: LogicalType,
    at: Option<Location>,
) -> Result<Typed, Problem> {
    let nullable = args.iter().any(|arg| arg.nullable);
    let node = Node::Call { kernel, args };
    Ok(Typed::known(folded(Expr { node, logical, nullable }, at)?, at))
}

/// `left <op> right`
pub(super) fn compare(op: Comparison, left: Typed, right: Typed) -> Result<Typed, Problem> {
    let at = left.at;
    let (left, right) = comparable(left, right)?;
    let nullable = left.nullable || right.nullable;
    boolean(Node::Compare { op, left: Box::new(left), right: Box::new(right) }, nullable, at)
}

fn arithmetic(op: Operator, left: Typed, right: Typed) -> Result<Typed, Problem> {
    // A bare string beside a typed value is read as one of its type; two of them are of no type.
    let (left, right) = match (left.unknown, right.unknown) {
        (false, true) => {
            let right = like(right, &left)?;
            (left, right)
        }
        (true, false) => {
            let left = like(left, &right)?;
            (left, right)
        }
        _ => (left, right),
    };
    if !left.unknown && left.kind().is_number() && right.kind().is_number() {
        return numbers(op, left, right);
    }
    calendar_arithmetic(op, left, right)
}

/// An untyped constant in the type of the other side.
fn like(constant: Typed, other: &Typed) -> Result<Typed, Problem> {
    let at = constant.at;
    let logical = match other.kind() {
        Kind::Number => exact_type(&constant),
        kind => kind.logical(),
    };
    Ok(Typed::known(constant.cast(logical)?, at))
}

fn numbers(op: Operator, left: Typed, right: Typed) -> Result<Typed, Problem> {
    let at = left.at;
    let kind = left.kind().arithmetic(right.kind()).ok_or_else(|| no_operator(op, &left, &right))?;
    if kind.is_float() && op == Operator::Remainder {
        return Err(no_operator(op, &left, &right).hint("Cast both sides to numeric"));
    }
    let (args, logical) = if kind == Kind::Number {
        let (left, right) = (left.tight()?, right.tight()?);
        let logical = arithmetic::exact_result(op, left.logical, right.logical);
        (vec![left, right], logical)
    } else {
        (vec![left.into_kind(kind)?, right.into_kind(kind)?], kind.logical())
    };
    call(Kernel::new(move |call| arithmetic::binary(op, call)), args, logical, at)
}

fn calendar_arithmetic(op: Operator, left: Typed, right: Typed) -> Result<Typed, Problem> {
    let (overloads, either_order) = match op {
        Operator::Add => (PLUS, true),
        Operator::Subtract => (MINUS, false),
        Operator::Multiply => (TIMES, true),
        Operator::Divide => (DIVIDED, false),
        Operator::Remainder => (&[][..], false),
    };
    let at = left.at;
    let problem = no_operator(op, &left, &right);
    let hint = "Cast one side, as in `x::numeric` or `interval '1 day'`";
    if left.unknown || right.unknown {
        return Err(problem.hint(hint));
    }
    let (straight, turned) = (vec![left.clone(), right.clone()], vec![right, left]);
    let found = resolve(overloads, &straight).map(|overload| (overload, straight));
    let found_turned =
        resolve(overloads, &turned).filter(|_| either_order).map(|overload| (overload, turned));
    // Either order may need conversions that the other does not.
    let best = found_turned.into_iter().chain(found).max_by_key(|(overload, args)| rank(overload, args));
    match best {
        Some((overload, args)) => bound(overload, args, at),
        None => Err(problem.hint(hint)),
    }
}

fn no_operator(op: Operator, left: &Typed, right: &Typed) -> Problem {
    let (left_type, right_type) = (left.type_name(), right.type_name());
    Problem::new(left.at, format!("there is no `{}` between {left_type} and {right_type}", op.symbol()))
}

/// `||`: text with anything, bytes with bytes, bits with bits.
fn concatenated(left: Typed, right: Typed) -> Result<Typed, Problem> {
    let at = left.at;
    let is = |value: &Typed, kind| value.kind() == kind && !value.unknown;
    let both =
        |kind| (is(&left, kind) && (is(&right, kind) || right.unknown)) || (left.unknown && is(&right, kind));
    if both(Kind::Binary) {
        let args = vec![left.into_kind(Kind::Binary)?, right.into_kind(Kind::Binary)?];
        return call(Kernel::new(join_bytes), args, LogicalType::Binary, at);
    }
    if both(Kind::Bits) {
        let args = vec![left.into_kind(Kind::Bits)?, right.into_kind(Kind::Bits)?];
        return call(Kernel::new(join_texts), args, Kind::Bits.logical(), at);
    }
    if left.kind() != Kind::Text && right.kind() != Kind::Text {
        let reason = format!("there is no `||` between {} and {}", left.type_name(), right.type_name());
        return Err(Problem::new(at, reason).hint("Cast one side to text, or use concat()"));
    }
    let args = vec![left.cast(LogicalType::TEXT)?, right.cast(LogicalType::TEXT)?];
    call(Kernel::new(join_texts), args, LogicalType::TEXT, at)
}

fn join_texts(call: &Call<'_>) -> Result<Computed> {
    let (left, right) = (call.text(0)?, call.text(1)?);
    texts(call.rows, |row, out| {
        Ok(left.get(row).zip(right.get(row)).map(|(left, right)| {
            out.push_str(left);
            out.push_str(right);
        }))
    })
}

fn join_bytes(call: &Call<'_>) -> Result<Computed> {
    let (left, right) = (call.binary(0)?, call.binary(1)?);
    Ok(binaries(call.rows, |row| {
        Ok(left.get(row).zip(right.get(row)).map(|(left, right)| [left, right].concat()))
    }))
}

/// `->` and `->>`
fn json(document: Typed, key: Typed, as_text: bool) -> Result<Typed, Problem> {
    let at = document.at;
    if document.kind() != Kind::Json || document.unknown {
        let reason = format!("`->` takes a part of JSON, and this is {}", document.type_name());
        return Err(Problem::new(at, reason).hint("Cast it: `x::json`"));
    }
    let by_field = key.unknown || key.kind() == Kind::Text;
    let logical = if as_text { LogicalType::TEXT } else { document.logical() };
    let (run, kind): (Run, _) = match (by_field, as_text) {
        (true, false) => (functions::field, Kind::Text),
        (true, true) => (functions::field_text, Kind::Text),
        (false, false) => (functions::element, Int4),
        (false, true) => (functions::element_text, Int4),
    };
    if !by_field && !key.kind().becomes(Int4) {
        let reason = format!("a part of JSON is named by text or integer, and this is {}", key.type_name());
        return Err(Problem::new(key.at, reason));
    }
    let node = Node::Call { kernel: Kernel::new(run), args: vec![document.expr, key.into_kind(kind)?] };
    Ok(Typed::known(folded(Expr { node, logical, nullable: true }, at)?, at))
}

/// `~`, `~*`, `!~`, `!~*`
fn regex(value: Typed, pattern: Typed, ignore_case: bool, negated: bool) -> Result<Typed, Problem> {
    let (at, pattern_at) = (value.at, pattern.at);
    if value.kind() != Kind::Text {
        let reason = format!("a regular expression matches text, and this is {}", value.type_name());
        return Err(Problem::new(at, reason).hint("Cast it to text"));
    }
    let Some(text) = pattern.string() else {
        return Err(Problem::new(pattern_at, "a regular expression must be a constant string"));
    };
    if !pattern::valid_regex(text) {
        return Err(Problem::new(pattern_at, "this is not a regular expression that is understood")
            .hint("Back-references and look-around are not"));
    }
    let kernel = pattern::regex(text, ignore_case, negated);
    call(kernel, vec![value.into_kind(Kind::Text)?], LogicalType::Bool, at)
}
