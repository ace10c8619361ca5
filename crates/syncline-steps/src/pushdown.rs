//! What a source could check of a filter itself, so that it need not send the other rows.
//!
//! Only what every system decides alike is offered: columns as the source gives them against
//! constants that their types hold exactly. Text is only compared for equality, because each system
//! orders it by rules of its own, and floats are not compared at all, because of NaN. A part of an
//! AND may be offered alone: a row for which it is not true cannot pass. The filter is evaluated
//! here all the same.

use syncline_types::{Column, Comparison, LogicalType, Predicate, civil, text::Values};

use crate::{
    expr::{
        kind::holds,
        node::{Expr, Node},
        number::Number,
    },
    frame::{Form, Frame, FrameColumn},
};

/// The years that every system writes alike.
const YEARS: std::ops::RangeInclusive<i64> = 1..=9_999;

/// The parts of a condition, joined by AND, that a source could check.
pub(crate) fn predicates(condition: &Expr, frame: &Frame) -> Vec<Predicate> {
    let columns = Columns { frame };
    match &condition.node {
        Node::And(parts) => parts.iter().filter_map(|part| columns.predicate(part, false)).collect(),
        _ => columns.predicate(condition, false).into_iter().collect(),
    }
}

/// All of them in one.
pub(crate) fn all(mut predicates: Vec<Predicate>) -> Option<Predicate> {
    match predicates.len() {
        0 | 1 => predicates.pop(),
        _ => Some(Predicate::And(predicates)),
    }
}

struct Columns<'a> {
    frame: &'a Frame,
}

impl Columns<'_> {
    /// A predicate that is true just where `expr` is true, or false if `negated`.
    fn predicate(&self, expr: &Expr, negated: bool) -> Option<Predicate> {
        match &expr.node {
            Node::And(parts) | Node::Or(parts) => {
                let parts: Vec<Predicate> =
                    parts.iter().map(|part| self.predicate(part, negated)).collect::<Option<_>>()?;
                let all = matches!(expr.node, Node::And(_)) != negated;
                Some(if all { Predicate::And(parts) } else { Predicate::Or(parts) })
            }
            Node::Not(inner) => self.predicate(inner, !negated),
            Node::IsNull { value, negated: not_null } => {
                let column = self.name(value)?;
                Some(Predicate::IsNull { column, negated: *not_null != negated })
            }
            Node::IsTruth { value, truth, negated: is_not } => {
                let is = self.boolean(value, *truth)?;
                if *is_not == negated {
                    return Some(is);
                }
                let column = self.name(value)?;
                let other = self.boolean(value, !*truth)?;
                Some(Predicate::Or(vec![other, Predicate::IsNull { column, negated: false }]))
            }
            Node::Compare { op, left, right } => self.comparison(*op, left, right, negated),
            _ => self.boolean(expr, !negated),
        }
    }

    /// A boolean column that must have this value.
    fn boolean(&self, expr: &Expr, value: bool) -> Option<Predicate> {
        let column = self.source_column(expr)?;
        if column.logical != LogicalType::Bool {
            return None;
        }
        let constant = value.to_string();
        Some(Predicate::Compare { column: column.name.clone(), op: Comparison::Equal, constant })
    }

    fn comparison(&self, op: Comparison, left: &Expr, right: &Expr, negated: bool) -> Option<Predicate> {
        let op = if negated { opposite(op) } else { op };
        let (column, literal, op) = match (self.source_column(left), self.source_column(right)) {
            (Some(column), None) => (column, right, op),
            (None, Some(column)) => (column, left, mirrored(op)),
            _ => return None,
        };
        let constant = constant(column, literal, op)?;
        Some(Predicate::Compare { column: column.name.clone(), op, constant })
    }

    fn name(&self, expr: &Expr) -> Option<String> {
        self.source_column(expr).map(|column| column.name.clone())
    }

    /// The source's column that an expression is, as it is read or in a type that holds all its
    /// values.
    fn source_column(&self, expr: &Expr) -> Option<&Column> {
        match &expr.node {
            Node::Column(slot) => {
                let is = |column: &&FrameColumn| {
                    column.slot == *slot && matches!(column.lineage.carries, Some((_, Form::Same)))
                };
                let column = self.frame.columns.iter().find(is)?;
                let (input, _) = column.lineage.carries?;
                self.frame.input.columns.get(input)
            }
            Node::Cast(inner) if holds(expr.logical, inner.logical) => self.source_column(inner),
            _ => None,
        }
    }
}

fn opposite(op: Comparison) -> Comparison {
    match op {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// The same with the sides exchanged.
fn mirrored(op: Comparison) -> Comparison {
    match op {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        op => op,
    }
}

/// The constant in the text form of the column's type, if the type holds it and the comparison is
/// one that all systems decide alike.
fn constant(column: &Column, literal: &Expr, op: Comparison) -> Option<String> {
    use LogicalType as L;
    let Node::Literal(array) = &literal.node else { return None };
    let text = Values::new(array, literal.logical).ok()?.text(0)?;
    let equality = matches!(op, Comparison::Equal | Comparison::NotEqual);
    let same = literal.logical == column.logical;
    match column.logical {
        logical if logical.is_integer() || matches!(logical, L::Decimal { .. } | L::Numeric) => {
            number_text(&text, logical)
        }
        L::Bool | L::Uuid => same.then_some(text),
        L::Date => (same && YEARS.contains(&year(&text)?)).then_some(text),
        L::Timestamp { zoned, precision } => {
            let L::Timestamp { zoned: literal_zoned, .. } = literal.logical else { return None };
            let (micros, _) = civil::parse_timestamp(&text)?;
            let unit = 10_i64.pow(u32::from(6_u8.checked_sub(precision)?));
            let fits = literal_zoned == zoned && micros % unit == 0 && YEARS.contains(&year(&text)?);
            fits.then_some(text)
        }
        L::Text { padded: false, .. } => {
            let known = column.labels.as_ref().is_none_or(|labels| labels.contains(&text));
            (equality && known && !text.contains('\0')).then_some(text)
        }
        _ => None,
    }
}

/// An exact number in the text form of a type, if the type holds it.
fn number_text(text: &str, logical: LogicalType) -> Option<String> {
    let number = Number::parse(text).ok()?;
    let mut out = String::new();
    match logical {
        LogicalType::Decimal { precision, scale } => {
            let units = number.at_scale(u32::from(scale)).ok()?;
            let fitted = number.fitted(precision, scale).ok()?;
            (units == fitted).then_some(())?;
            Number::new(fitted, u32::from(scale)).ok()?.write(&mut out);
        }
        LogicalType::Numeric => number.write(&mut out),
        logical => {
            let whole = number.at_scale(0).ok()?.to_i128()?;
            integers(logical)?.contains(&whole).then_some(())?;
            out = whole.to_string();
        }
    }
    Some(out)
}

/// The values of an integer type.
fn integers(logical: LogicalType) -> Option<std::ops::RangeInclusive<i128>> {
    use LogicalType as L;
    Some(match logical {
        L::Int8 => i8::MIN.into()..=i8::MAX.into(),
        L::Int16 => i16::MIN.into()..=i16::MAX.into(),
        L::Int32 => i32::MIN.into()..=i32::MAX.into(),
        L::Int64 => i64::MIN.into()..=i64::MAX.into(),
        L::UInt8 => 0..=u8::MAX.into(),
        L::UInt16 => 0..=u16::MAX.into(),
        L::UInt32 => 0..=u32::MAX.into(),
        L::UInt64 => 0..=u64::MAX.into(),
        _ => return None,
    })
}

/// The year that a date or timestamp begins with; none for an infinite one or one before Christ.
fn year(text: &str) -> Option<i64> {
    if text.ends_with(" BC") {
        return None;
    }
    text.split('-').next()?.parse().ok()
}
