//! The types of the language: PostgreSQL's, without lengths and precisions.
//!
//! Integers that PostgreSQL lacks are read as the next wider one that it has. Which kinds turn into
//! which by themselves, and which of two wins, is PostgreSQL's `pg_cast` and
//! `select_common_type`.

use std::fmt;

use syncline_types::LogicalType;

/// A type as the language tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    /// `numeric`, of known size or not.
    Number,
    Float4,
    Float8,
    Text,
    Binary,
    Bits,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Json,
    Uuid,
    Opaque,
}

impl Kind {
    pub(crate) fn of(logical: LogicalType) -> Kind {
        use LogicalType as L;
        match logical {
            L::Bool => Kind::Bool,
            L::Int8 | L::UInt8 | L::Int16 => Kind::Int2,
            L::UInt16 | L::Int32 => Kind::Int4,
            L::UInt32 | L::Int64 => Kind::Int8,
            L::UInt64 | L::Decimal { .. } | L::Numeric => Kind::Number,
            L::Float32 => Kind::Float4,
            L::Float64 => Kind::Float8,
            L::Text { .. } => Kind::Text,
            L::Binary => Kind::Binary,
            L::Bits { .. } => Kind::Bits,
            L::Date => Kind::Date,
            L::Time { .. } => Kind::Time,
            L::Timestamp { zoned: false, .. } => Kind::Timestamp,
            L::Timestamp { zoned: true, .. } => Kind::Timestamptz,
            L::Interval => Kind::Interval,
            L::Json { .. } => Kind::Json,
            L::Uuid => Kind::Uuid,
            L::Opaque => Kind::Opaque,
        }
    }

    /// The type that carries values of this kind, `numeric` of any size.
    pub(crate) fn logical(self) -> LogicalType {
        use LogicalType as L;
        match self {
            Kind::Bool => L::Bool,
            Kind::Int2 => L::Int16,
            Kind::Int4 => L::Int32,
            Kind::Int8 => L::Int64,
            Kind::Number => L::Numeric,
            Kind::Float4 => L::Float32,
            Kind::Float8 => L::Float64,
            Kind::Text => L::TEXT,
            Kind::Binary => L::Binary,
            Kind::Bits => L::Bits { length: None, varying: true },
            Kind::Date => L::Date,
            Kind::Time => L::TIME,
            Kind::Timestamp => L::TIMESTAMP,
            Kind::Timestamptz => L::TIMESTAMPTZ,
            Kind::Interval => L::Interval,
            Kind::Json => L::JSON,
            Kind::Uuid => L::Uuid,
            Kind::Opaque => L::Opaque,
        }
    }

    /// Rank among numbers, lowest first; `None` for what is no number.
    fn number_rank(self) -> Option<u8> {
        match self {
            Kind::Int2 => Some(0),
            Kind::Int4 => Some(1),
            Kind::Int8 => Some(2),
            Kind::Number => Some(3),
            Kind::Float4 => Some(4),
            Kind::Float8 => Some(5),
            _ => None,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        self.number_rank().is_some()
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Kind::Int2 | Kind::Int4 | Kind::Int8)
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Kind::Float4 | Kind::Float8)
    }

    /// Whether a value turns into `to` without being asked to.
    pub(crate) fn becomes(self, to: Kind) -> bool {
        if self == to {
            return true;
        }
        match (self.number_rank(), to.number_rank()) {
            (Some(from), Some(to)) => from < to,
            _ => matches!(
                (self, to),
                (Kind::Date, Kind::Timestamp | Kind::Timestamptz)
                    | (Kind::Timestamp, Kind::Timestamptz)
                    | (Kind::Time, Kind::Interval)
            ),
        }
    }

    /// Whether this is the kind that PostgreSQL prefers among its like where a call is ambiguous.
    pub(crate) fn is_preferred(self) -> bool {
        matches!(self, Kind::Bool | Kind::Float8 | Kind::Text | Kind::Timestamptz | Kind::Interval)
    }

    /// The kind that both turn into, as for the branches of CASE.
    pub(crate) fn common(self, other: Kind) -> Option<Kind> {
        if other.becomes(self) {
            Some(self)
        } else if self.becomes(other) {
            Some(other)
        } else {
            None
        }
    }

    /// The kind in which two numbers are added or compared: as [`Kind::common`], but a float of 4
    /// bytes with anything but its own kind is computed in 8.
    pub(crate) fn arithmetic(self, other: Kind) -> Option<Kind> {
        let common = self.common(other)?;
        Some(if common == Kind::Float4 && self != other { Kind::Float8 } else { common })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bool => "boolean",
            Kind::Int2 => "smallint",
            Kind::Int4 => "integer",
            Kind::Int8 => "bigint",
            Kind::Number => "numeric",
            Kind::Float4 => "real",
            Kind::Float8 => "double precision",
            Kind::Text => "text",
            Kind::Binary => "bytea",
            Kind::Bits => "bit",
            Kind::Date => "date",
            Kind::Time => "time",
            Kind::Timestamp => "timestamp",
            Kind::Timestamptz => "timestamptz",
            Kind::Interval => "interval",
            Kind::Json => "json",
            Kind::Uuid => "uuid",
            Kind::Opaque => "of a type only its source knows",
        })
    }
}

/// Digits in all and after the point that hold every value of an exact number's type; `None` where
/// there is no limit.
pub(crate) fn digits(logical: LogicalType) -> Option<(u8, u8)> {
    use LogicalType as L;
    match logical {
        L::Int8 | L::UInt8 => Some((3, 0)),
        L::Int16 | L::UInt16 => Some((5, 0)),
        L::Int32 | L::UInt32 => Some((10, 0)),
        L::Int64 => Some((19, 0)),
        L::UInt64 => Some((20, 0)),
        L::Decimal { precision, scale } => Some((precision, scale)),
        _ => None,
    }
}

/// The exact type with so many digits before and after the point, `Numeric` beyond what a decimal holds.
pub(crate) fn exact(whole: u8, scale: u8) -> LogicalType {
    match whole.checked_add(scale) {
        Some(precision @ 1..=76) => LogicalType::Decimal { precision, scale },
        Some(0) => LogicalType::Decimal { precision: 1, scale: 0 },
        _ => LogicalType::Numeric,
    }
}

/// The exact type that holds the values of both.
pub(crate) fn exact_union(a: LogicalType, b: LogicalType) -> LogicalType {
    match (digits(a), digits(b)) {
        (Some((a_digits, a_scale)), Some((b_digits, b_scale))) => {
            let whole = (a_digits.saturating_sub(a_scale)).max(b_digits.saturating_sub(b_scale));
            exact(whole, a_scale.max(b_scale))
        }
        _ => LogicalType::Numeric,
    }
}

/// Whether every value of `from` is a value of `to` as well, so that comparing in `to` is comparing
/// in `from`.
pub(crate) fn holds(to: LogicalType, from: LogicalType) -> bool {
    use LogicalType as L;
    match (digits(to), digits(from)) {
        _ if to == from => true,
        // Among integers the digits of signed and unsigned ones do not tell; the ranges do.
        _ if to.is_integer() && from.is_integer() => match Kind::of(to) {
            Kind::Int2 => matches!(to, L::Int16) && matches!(from, L::Int8 | L::UInt8),
            Kind::Int4 => matches!(to, L::Int32) && Kind::of(from).becomes(Kind::Int4),
            Kind::Int8 => matches!(to, L::Int64) && Kind::of(from).becomes(Kind::Int8),
            _ => false,
        },
        (Some((to_digits, to_scale)), Some((digits, scale))) if !to.is_integer() => {
            to_scale >= scale && to_digits.saturating_sub(to_scale) >= digits.saturating_sub(scale)
        }
        (None, Some(_)) => to == L::Numeric,
        _ => to == L::TEXT && matches!(from, L::Text { padded: false, .. }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_meet_as_in_postgres() {
        use Kind as K;
        for (a, b, common, arithmetic) in [
            (K::Int2, K::Int4, K::Int4, K::Int4),
            (K::Int4, K::Number, K::Number, K::Number),
            (K::Int4, K::Float4, K::Float4, K::Float8),
            (K::Number, K::Float4, K::Float4, K::Float8),
            (K::Float4, K::Float4, K::Float4, K::Float4),
            (K::Float4, K::Float8, K::Float8, K::Float8),
        ] {
            assert_eq!((a.common(b), b.common(a)), (Some(common), Some(common)));
            assert_eq!((a.arithmetic(b), b.arithmetic(a)), (Some(arithmetic), Some(arithmetic)));
        }
        assert_eq!(K::Text.common(K::Int4), None);
        assert_eq!(K::Date.common(K::Timestamptz), Some(K::Timestamptz));
    }

    #[test]
    fn a_type_holds_the_values_of_narrower_ones() {
        use LogicalType as L;
        let decimal = |precision, scale| L::Decimal { precision, scale };
        for (to, from, expected) in [
            (L::Int64, L::UInt32, true),
            (L::Int32, L::UInt32, false),
            (L::Int16, L::UInt16, false),
            (L::UInt64, L::Int64, false),
            (decimal(20, 0), L::UInt64, true),
            (decimal(10, 1), decimal(12, 2), false),
            (decimal(12, 2), decimal(10, 1), true),
            (L::Numeric, decimal(76, 10), true),
            (L::TEXT, L::Text { length: Some(5), padded: false }, true),
            (L::TEXT, L::Text { length: Some(5), padded: true }, false),
            (L::Float64, L::Int32, false),
            (L::Int32, decimal(5, 0), false),
        ] {
            assert_eq!(holds(to, from), expected, "{to} holds {from}");
        }
    }

    #[test]
    fn decimals_unite_without_loss_or_become_numeric() {
        let decimal = |precision, scale| LogicalType::Decimal { precision, scale };
        assert_eq!(exact_union(decimal(12, 2), LogicalType::Int32), decimal(12, 2));
        assert_eq!(exact_union(decimal(4, 4), decimal(3, 0)), decimal(7, 4));
        assert_eq!(exact_union(decimal(76, 0), decimal(2, 1)), LogicalType::Numeric);
        assert_eq!(exact_union(decimal(2, 1), LogicalType::Numeric), LogicalType::Numeric);
    }
}
