//! Values of a key as text, and back into conditions: bounds of chunks, and places to go on from.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use syncline_connect::{Read, SplitOrder};
use syncline_sql::{Dialect, key_range_condition};
use syncline_types::{Error, KeyRange, LogicalType, Position, Result, civil, codes, text};

use crate::{
    dialect::{ByIndex, Sqlite},
    schema::{Key, Table},
};

/// A key's text in a bound or a position is not longer than this: it is saved with every split.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Each NUL makes a constant one expression deeper, which SQLite bears only so often.
const NULS_MAX: usize = 16;

/// The collations that SQLite itself knows.
const KNOWN_COLLATIONS: &[&str] = &["BINARY", "NOCASE", "RTRIM"];

/// The collation by which rows of an index are told apart here. What is different by any collation is
/// different byte by byte too, so that this one can stand for those that only their own program has.
pub(crate) fn known_collation(of_index: &str) -> &'static str {
    KNOWN_COLLATIONS.iter().find(|known| of_index.eq_ignore_ascii_case(known)).copied().unwrap_or("BINARY")
}

/// The key by which a stream is cut, as its table has it.
pub(super) struct ChunkKey<'a> {
    read: &'a Read,
    pub(super) key: &'a Key,
    /// For the columns that must be told how to compare.
    collations: BTreeMap<String, String>,
}

impl<'a> ChunkKey<'a> {
    /// The key that the stream was planned to be cut by.
    pub(super) fn new(table: &'a Table, read: &'a Read) -> Result<Self> {
        let SplitOrder::Key(columns) = &read.stream.order else { return Err(garbled(read)) };
        let key = table.keys.iter().find(|key| key.columns == *columns).ok_or_else(|| {
            Error::new(&codes::SCHEMA_CHANGED, "read table", format!("`{}`", read.stream.name))
                .because(format!("({}) is no key of it any more", columns.join(", ")))
                .hint("Begin again, so that the run is planned with the table as it is now")
        })?;
        let collations = key.columns.iter().zip(&key.collations).filter_map(|(column, of_index)| {
            let own = table.column(column)?.column.collation.as_deref().unwrap_or("BINARY");
            let wanted = known_collation(of_index);
            (!own.eq_ignore_ascii_case(wanted)).then(|| (column.clone(), wanted.to_owned()))
        });
        Ok(ChunkKey { read, key, collations: collations.collect() })
    }

    /// The rows of a range.
    pub(super) fn condition(&self, range: &KeyRange) -> Result<String> {
        let schema = &self.read.stream.schema;
        key_range_condition(&ByIndex(&self.collations), schema, &self.key.columns, range)
            .ok_or_else(|| garbled(self.read))
    }

    /// The rows behind a position.
    pub(super) fn behind(&self, at: &Position) -> Result<String> {
        let after: Vec<String> = serde_json::from_str(&at.0).map_err(|_| garbled(self.read))?;
        self.condition(&KeyRange { after: Some(after), upto: None })
    }

    /// The columns to order by.
    pub(super) fn order(&self) -> String {
        ByIndex(&self.collations).list(&self.key.columns)
    }

    /// What each column means.
    pub(super) fn logicals(&self) -> Result<Vec<LogicalType>> {
        let schema = &self.read.stream.schema;
        let logical = |name: &String| schema.column(name).map(|column| column.logical);
        self.key.columns.iter().map(logical).collect::<Option<_>>().ok_or_else(|| garbled(self.read))
    }

    /// The columns as they are selected.
    pub(super) fn list(&self) -> String {
        Sqlite.list(&self.key.columns)
    }
}

/// The position behind a row with these key values.
pub(super) fn position(texts: &[String]) -> Position {
    Position(serde_json::to_string(texts).expect("texts serialise"))
}

/// A key value as the text that SQLite compares it by. `None` when it is not of its column's class:
/// such values come in an order of their own.
pub(super) fn text_form(value: ValueRef<'_>, logical: LogicalType) -> Option<String> {
    use LogicalType as L;
    match (logical, value) {
        (L::Int64, ValueRef::Integer(value)) => Some(value.to_string()),
        (L::Bool, ValueRef::Integer(value @ 0..=1)) => Some((value == 1).to_string()),
        (L::Binary, ValueRef::Blob(bytes)) if bytes.len() <= TEXT_BYTES_MAX => {
            let mut hex = String::new();
            text::write_hex(bytes, &mut hex);
            Some(hex)
        }
        (L::Int64 | L::Bool | L::Binary, _) => None,
        (_, ValueRef::Text(bytes)) if bytes.len() <= TEXT_BYTES_MAX => {
            let text = std::str::from_utf8(bytes).ok()?;
            (text.matches('\0').count() <= NULS_MAX).then(|| text.to_owned())
        }
        _ => None,
    }
}

/// Whether a text is the one form of its value that every system knows. A date written in another
/// form would be another bound elsewhere.
pub(super) fn is_canonical(value: &str, logical: LogicalType) -> bool {
    use LogicalType as L;
    let mut canonical = String::new();
    match logical {
        L::Date => match civil::parse_date(value) {
            Some(days) => civil::write_date(days, &mut canonical),
            None => return false,
        },
        L::Timestamp { zoned, .. } => match civil::parse_timestamp(value) {
            Some((micros, has_zone)) if has_zone == zoned => {
                civil::write_timestamp(micros, zoned, &mut canonical);
            }
            _ => return false,
        },
        L::Uuid => match text::parse_uuid(value) {
            Some(bytes) => text::write_uuid(&bytes, &mut canonical),
            None => return false,
        },
        _ => return true,
    }
    canonical == value
}

pub(super) fn garbled(read: &Read) -> Error {
    Error::new(&codes::BAD_BYTES, "read a split of", format!("`{}`", read.stream.name))
        .because("it is not as it was written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_of_the_columns_class_are_bounds() {
        use LogicalType as L;
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        for (value, logical, expected) in [
            (ValueRef::Integer(-5), L::Int64, Some("-5")),
            (ValueRef::Real(5.0), L::Int64, None),
            (ValueRef::Text(b"5"), L::Int64, None),
            (ValueRef::Integer(1), L::Bool, Some("true")),
            (ValueRef::Integer(2), L::Bool, None),
            (ValueRef::Text(b"a"), L::TEXT, Some("a")),
            (ValueRef::Text(&[0xFF]), L::TEXT, None),
            (ValueRef::Text(long.as_bytes()), L::TEXT, None),
            (ValueRef::Blob(b"a"), L::TEXT, None),
            (ValueRef::Blob(&[0, 255]), L::Binary, Some("\\x00ff")),
            (ValueRef::Null, L::TEXT, None),
        ] {
            assert_eq!(text_form(value, logical).as_deref(), expected, "{value:?} in {logical}");
        }
    }

    #[test]
    fn other_forms_of_a_value_are_no_bounds() {
        use LogicalType as L;
        for (text, logical, expected) in [
            ("2024-01-01", L::Date, true),
            ("2024-01-01 10:00:00", L::TIMESTAMP, true),
            ("2024-01-01T10:00:00", L::TIMESTAMP, false),
            ("2024-01-01 10:00", L::TIMESTAMP, false),
            ("2024-01-01 10:00:00", L::TIMESTAMPTZ, false),
            ("2024-01-01 10:00:00+00:00", L::TIMESTAMPTZ, true),
            ("2024-01-01 12:00:00+02:00", L::TIMESTAMPTZ, false),
            ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", L::Uuid, true),
            ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", L::Uuid, false),
            ("x", L::TEXT, true),
        ] {
            assert_eq!(is_canonical(text, logical), expected, "{text} as {logical}");
        }
    }
}
