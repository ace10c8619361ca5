//! What a new row has in a column that the log leaves out: what the table fills in. Logs with images of
//! rows that are not full do that.

use syncline_types::{DefaultValue, LogicalType, build::ColumnBuilder, civil, decimal};

use crate::schema::MysqlColumn;

/// What a table fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Null,
    Constant(DefaultValue),
    /// The server computes it, or makes something of a column that takes no NULL and has no default.
    Unknown,
}

impl Fill {
    pub(super) fn of(column: &MysqlColumn) -> Self {
        let computed = column.computed_default || column.column.generated || column.column.identity;
        match &column.column.default {
            _ if computed => Fill::Unknown,
            Some(value) => Fill::Constant(value.clone()),
            None if column.column.nullable => Fill::Null,
            None => Fill::Unknown,
        }
    }

    /// Appends it; false where it is not known.
    pub(super) fn push(&self, logical: LogicalType, builder: &mut ColumnBuilder) -> bool {
        match self {
            Fill::Null => {
                builder.push_null();
                true
            }
            Fill::Constant(value) => constant(value, logical, builder).is_some(),
            Fill::Unknown => false,
        }
    }
}

fn constant(value: &DefaultValue, logical: LogicalType, builder: &mut ColumnBuilder) -> Option<()> {
    use ColumnBuilder as B;
    match (builder, value, logical) {
        (B::Bool(out), DefaultValue::Bool(value), _) => out.push(*value),
        (B::Int8(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::Int16(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::Int32(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::Int64(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::UInt8(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::UInt16(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::UInt32(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::UInt64(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::Float32(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::Float64(out), DefaultValue::Number(digits), _) => out.push(digits.parse().ok()?),
        (B::Decimal128(out), DefaultValue::Number(digits), LogicalType::Decimal { precision, scale }) => {
            out.push(decimal::parse_128(digits, precision, scale)?);
        }
        (B::Decimal256(out), DefaultValue::Number(digits), LogicalType::Decimal { precision, scale }) => {
            out.push(decimal::parse_256(digits, precision, scale)?);
        }
        (B::Text(out), DefaultValue::Text(text), LogicalType::Text { .. }) => out.push(text.as_bytes()),
        (B::Date(out), DefaultValue::Text(text), _) => {
            out.push(i32::try_from(civil::parse_date(text)?).ok()?);
        }
        // One with a zone is told in that of whoever asks.
        (B::Timestamp(out), DefaultValue::Text(text), LogicalType::Timestamp { zoned: false, .. }) => {
            out.push(civil::parse_timestamp(text)?.0);
        }
        _ => return None,
    }
    Some(())
}
