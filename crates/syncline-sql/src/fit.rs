//! Whether values of one type always fit another, and whether a stream's columns fit a table.

use syncline_types::{Column, LogicalType, TableSchema};

/// How values of one type fit a column of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The same.
    Exact,
    /// Every value fits, unaltered.
    Widened,
    /// Some values may not fit: an error unless a `cast` says otherwise.
    Narrowed,
    /// They mean different things.
    Foreign,
}

/// How values of `from` fit a column of `to`.
pub fn fit(from: LogicalType, to: LogicalType) -> Fit {
    use LogicalType as L;
    if from == to {
        return Fit::Exact;
    }
    let wide = |fits: bool| if fits { Fit::Widened } else { Fit::Narrowed };
    match (from, to) {
        (from, to) if whole_range(from).is_some() && whole_range(to).is_some() => {
            let (a, b) = (whole_range(from).unwrap_or_default(), whole_range(to).unwrap_or_default());
            wide(b.0 <= a.0 && a.1 <= b.1)
        }
        (from, L::Decimal { precision, scale }) if from.is_integer() => {
            wide(precision - scale >= digits(from))
        }
        (L::Decimal { precision, scale }, L::Decimal { precision: to_precision, scale: to_scale }) => {
            wide(to_scale >= scale && to_precision - to_scale >= precision - scale)
        }
        (from, L::Numeric) if from.is_integer() || matches!(from, L::Decimal { .. }) => Fit::Widened,
        (L::Numeric | L::Decimal { .. }, to) if to.is_integer() || matches!(to, L::Decimal { .. }) => {
            Fit::Narrowed
        }
        (L::Float32, L::Float64) => Fit::Widened,
        (L::Float64, L::Float32) => Fit::Narrowed,
        (L::Int8 | L::Int16 | L::Int32 | L::UInt8 | L::UInt16 | L::UInt32, L::Float64)
        | (L::Int8 | L::Int16 | L::UInt8 | L::UInt16, L::Float32) => Fit::Widened,
        // A blank-padded column would pad the values of another, or cut the blanks of its own.
        (L::Text { length, padded: false }, L::Text { length: to, padded: false }) => {
            wide(to.is_none_or(|to| length.is_some_and(|length| length <= to)))
        }
        (L::Text { padded: true, .. }, L::Text { length: None, .. }) => Fit::Widened,
        (L::Text { length, padded: true }, L::Text { length: to, padded: true }) => wide(length == to),
        (L::Text { .. }, L::Text { .. }) => Fit::Narrowed,
        (L::Bits { length, .. }, L::Bits { length: to, varying: true }) => {
            wide(to.is_none_or(|to| length.is_some_and(|length| length <= to)))
        }
        (L::Bits { .. }, L::Bits { .. }) => Fit::Narrowed,
        (L::Time { precision }, L::Time { precision: to }) => wide(precision <= to),
        (L::Timestamp { zoned, precision }, L::Timestamp { zoned: to_zoned, precision: to })
            if zoned == to_zoned =>
        {
            wide(precision <= to)
        }
        // Kept as text here, normalised there: the same value, not always the same text.
        (L::Json { .. }, L::Json { .. }) => Fit::Widened,
        (L::Opaque, L::Text { .. }) => wide(matches!(to, L::Text { length: None, .. })),
        // Any value has one text form, which `syncline_types::text` describes.
        (from, L::Text { length: None, padded: false }) if from != L::Binary => Fit::Widened,
        _ => Fit::Foreign,
    }
}

/// The whole numbers of a type, as a closed range.
fn whole_range(logical: LogicalType) -> Option<(i128, i128)> {
    use LogicalType as L;
    Some(match logical {
        L::Int8 => (i8::MIN.into(), i8::MAX.into()),
        L::Int16 => (i16::MIN.into(), i16::MAX.into()),
        L::Int32 => (i32::MIN.into(), i32::MAX.into()),
        L::Int64 => (i64::MIN.into(), i64::MAX.into()),
        L::UInt8 => (0, u8::MAX.into()),
        L::UInt16 => (0, u16::MAX.into()),
        L::UInt32 => (0, u32::MAX.into()),
        L::UInt64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// Decimal digits that hold every whole number of a type.
fn digits(logical: LogicalType) -> u8 {
    use LogicalType as L;
    match logical {
        L::Int8 | L::UInt8 => 3,
        L::Int16 | L::UInt16 => 5,
        L::Int32 | L::UInt32 => 10,
        L::Int64 => 19,
        _ => 20,
    }
}

/// A stream's columns held against a table that is there.
#[derive(Debug, Default)]
pub struct Reconciled<'a> {
    /// In both, with how the stream's values fit.
    pub common: Vec<(&'a Column, &'a Column, Fit)>,
    /// Only in the stream.
    pub missing: Vec<&'a Column>,
    /// Only in the table, where it fills them in or leaves them NULL.
    pub filled: Vec<&'a Column>,
    /// Only in the table, which insists on a value.
    pub unfilled: Vec<&'a Column>,
}

/// Compares columns by name.
pub fn reconcile<'a>(stream: &'a TableSchema, table: &'a TableSchema) -> Reconciled<'a> {
    let mut reconciled = Reconciled::default();
    for column in &stream.columns {
        match table.column(&column.name) {
            Some(there) => reconciled.common.push((column, there, fit(column.logical, there.logical))),
            None => reconciled.missing.push(column),
        }
    }
    for column in table.columns.iter().filter(|column| stream.column(&column.name).is_none()) {
        let fills = column.nullable || column.default.is_some() || column.generated || column.identity;
        if fills {
            reconciled.filled.push(column);
        } else {
            reconciled.unfilled.push(column);
        }
    }
    reconciled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lossless_widening_is_told_from_narrowing() {
        use Fit::{Exact, Foreign, Narrowed, Widened};
        use LogicalType as L;
        let decimal = |precision, scale| L::Decimal { precision, scale };
        let text = |length| L::Text { length, padded: false };
        for (from, to, expected) in [
            (L::Int32, L::Int32, Exact),
            (L::Int32, L::Int64, Widened),
            (L::Int64, L::Int32, Narrowed),
            (L::UInt32, L::Int64, Widened),
            (L::UInt64, L::Int64, Narrowed),
            (L::Int8, L::UInt64, Narrowed),
            (L::UInt64, decimal(20, 0), Widened),
            (L::Int64, decimal(20, 2), Narrowed),
            (decimal(12, 2), decimal(14, 4), Widened),
            (decimal(12, 2), decimal(12, 4), Narrowed),
            (decimal(12, 2), L::Numeric, Widened),
            (L::Numeric, decimal(38, 10), Narrowed),
            (L::Float32, L::Float64, Widened),
            (L::Int64, L::Float64, Foreign),
            (text(Some(10)), text(Some(20)), Widened),
            (text(None), text(Some(20)), Narrowed),
            (L::Text { length: Some(3), padded: true }, L::TEXT, Widened),
            (L::TEXT, L::Text { length: Some(3), padded: true }, Narrowed),
            (L::Timestamp { zoned: false, precision: 3 }, L::TIMESTAMP, Widened),
            (L::TIMESTAMP, L::TIMESTAMPTZ, Foreign),
            (L::Date, L::TIMESTAMP, Foreign),
            (L::JSON, L::Json { normalized: true }, Widened),
            (L::Uuid, L::TEXT, Widened),
            (L::Binary, L::TEXT, Foreign),
            (L::TEXT, L::Binary, Foreign),
            (L::Bool, L::Int32, Foreign),
        ] {
            assert_eq!(fit(from, to), expected, "{from} into {to}");
        }
    }

    #[test]
    fn columns_are_compared_by_name() {
        let stream = TableSchema::new(
            "a",
            vec![Column::new("x", LogicalType::Int32), Column::new("y", LogicalType::TEXT)],
        );
        let mut identity = Column::new("id", LogicalType::Int64).required();
        identity.identity = true;
        let table = TableSchema::new(
            "b",
            vec![
                Column::new("x", LogicalType::Int64),
                identity,
                Column::new("z", LogicalType::TEXT).required(),
            ],
        );
        let reconciled = reconcile(&stream, &table);
        assert_eq!(reconciled.common.len(), 1);
        assert_eq!(reconciled.missing[0].name, "y");
        assert_eq!(reconciled.filled[0].name, "id");
        assert_eq!(reconciled.unfilled[0].name, "z");
    }
}
