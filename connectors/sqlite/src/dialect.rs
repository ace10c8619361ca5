//! How SQLite writes names and constants.

pub(crate) mod tokens;

use std::collections::BTreeMap;

use syncline_sql::{Dialect, quote_double, quote_text};
use syncline_types::{Column, LogicalType, text};

use crate::types::Affinity;

/// The name that schemas of this connector carry.
pub(crate) const NAME: &str = "sqlite";

/// SQLite's only namespace that we speak of.
pub(crate) const MAIN: &str = "main";

/// SQLite's way of writing SQL.
pub(crate) struct Sqlite;

impl Dialect for Sqlite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn quote(&self, name: &str) -> String {
        quote_double(name)
    }

    /// Only what compares exactly has a constant: a float's shortest text is not what SQLite must
    /// read it as, and neither is a decimal where SQLite keeps numbers.
    fn constant(&self, column: &Column, value: &str) -> Option<String> {
        use LogicalType as L;
        match column.logical {
            logical if logical.is_integer() => value.parse::<i64>().ok().map(|value| value.to_string()),
            L::Bool => match value {
                "true" => Some("1".into()),
                "false" => Some("0".into()),
                _ => None,
            },
            L::Binary => text::parse_hex(value).map(|bytes| blob(&bytes)),
            L::Float32 | L::Float64 => None,
            L::Decimal { .. } | L::Numeric if !keeps_text(column) => None,
            _ => Some(text_constant(value)),
        }
    }
}

/// Whether a column's values stay texts when they look like numbers.
pub(crate) fn keeps_text(column: &Column) -> bool {
    column.native.as_deref().is_some_and(|native| Affinity::of(native) == Affinity::Text)
}

/// A text. One in quotes would end at a NUL; and bytes that are cast to a text are taken to be in the
/// file's own encoding.
pub(crate) fn text_constant(value: &str) -> String {
    if !value.contains('\0') {
        return quote_text(value);
    }
    let parts: Vec<String> = value.split('\0').map(quote_text).collect();
    format!("({})", parts.join(" || char(0) || "))
}

/// `x'00ff'`
pub(crate) fn blob(bytes: &[u8]) -> String {
    let mut hex = String::new();
    text::write_hex(bytes, &mut hex);
    format!("x'{}'", hex.trim_start_matches("\\x"))
}

/// The same dialect, where columns of a key are compared as the key's own index does. A column may
/// have another collation than its index; then its rows would not come in the index's order, and
/// two keys that are different could be equal.
pub(crate) struct ByIndex<'a>(pub(crate) &'a BTreeMap<String, String>);

impl Dialect for ByIndex<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn quote(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(collation) => format!("{} COLLATE {collation}", quote_double(name)),
            None => quote_double(name),
        }
    }

    fn constant(&self, column: &Column, value: &str) -> Option<String> {
        Sqlite.constant(column, value)
    }
}

/// `"main"."table"`
pub(crate) fn qualified(table: &str) -> String {
    format!("{MAIN}.{}", quote_double(table))
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, types::Value};

    use super::*;

    #[test]
    fn constants_are_what_they_say() {
        use LogicalType as L;
        let connection = Connection::open_in_memory().unwrap();
        let value = |logical: L, native: &str, text: &str| {
            let sql = Sqlite.constant(&Column::new("c", logical).native(native), text)?;
            Some(connection.query_row(&format!("SELECT {sql}"), [], |row| row.get::<_, Value>(0)).unwrap())
        };
        let text = |text: &str| Some(Value::Text(text.into()));
        for (logical, native, constant, expected) in [
            (L::Int64, "INT", "-9223372036854775808", Some(Value::Integer(i64::MIN))),
            (L::Int64, "INT", "9223372036854775807", Some(Value::Integer(i64::MAX))),
            (L::Int64, "INT", "1; DROP TABLE x", None),
            (L::Int64, "INT", "9223372036854775808", None),
            (L::Bool, "BOOL", "true", Some(Value::Integer(1))),
            (L::Bool, "BOOL", "1", None),
            (L::TEXT, "TEXT", "it's", text("it's")),
            (L::TEXT, "TEXT", "a\0b", text("a\0b")),
            (L::TEXT, "TEXT", "", text("")),
            (L::Binary, "BLOB", "\\x00ff", Some(Value::Blob(vec![0, 255]))),
            (L::Binary, "BLOB", "\\x", Some(Value::Blob(vec![]))),
            (L::Float64, "REAL", "1.5", None),
            (L::Numeric, "NUMERIC", "1.5", None),
            (L::Numeric, "NUMERIC_TEXT", "1.50", text("1.50")),
            (L::Date, "DATE", "2024-01-01", text("2024-01-01")),
        ] {
            assert_eq!(value(logical, native, constant), expected, "{logical} {constant}");
        }
    }
}
