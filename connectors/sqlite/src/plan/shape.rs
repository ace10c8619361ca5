//! Tables as they are to be made: in a stream's own shape, or like a table that is there.

use syncline_connect::{Target, Task};
use syncline_sql::{Dialect, bookkeeping::stage, quote_double, quote_text};
use syncline_types::{Column, DefaultValue, LogicalType, civil, decimal::Digits, text};

use crate::{
    dialect::{NAME, Sqlite, blob, qualified, text_constant, tokens},
    schema::{Key, Table},
    types::{Affinity, column_type, same_affinity, strict_type},
};

/// `(columns[, key])` of a table in the stream's shape.
pub(crate) fn own(target: &Target) -> String {
    let schema = &target.schema;
    let only_key = match target.key.as_slice() {
        [only] => schema.column(only),
        _ => None,
    };
    // The row's own number, if it is written so; nothing else may stand between.
    let numbered =
        only_key.filter(|column| column_type(column, &schema.dialect).eq_ignore_ascii_case("INTEGER"));
    let mut parts: Vec<String> = schema
        .columns
        .iter()
        .map(|column| match numbered {
            Some(key) if key.name == column.name => {
                let counts = if column.identity { " AUTOINCREMENT" } else { "" };
                format!("{} INTEGER PRIMARY KEY{counts} NOT NULL", Sqlite.quote(&column.name))
            }
            _ => definition(column, &schema.dialect, target.key.contains(&column.name)),
        })
        .collect();
    if numbered.is_none() && !target.key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", Sqlite.list(&target.key)));
    }
    format!("({})", parts.join(", "))
}

fn definition(column: &Column, dialect: &str, in_key: bool) -> String {
    let declared = column_type(column, dialect);
    let mut part = format!("{} {declared}", Sqlite.quote(&column.name));
    if !column.nullable || in_key {
        part.push_str(" NOT NULL");
    }
    // Another system's collation is unknown here even where it has the same name.
    if let Some(collation) = column.collation.as_deref().filter(|_| dialect == NAME)
        && ["NOCASE", "RTRIM"].contains(&collation)
    {
        part.push_str(&format!(" COLLATE {collation}"));
    }
    if let Some(default) = column.default.as_ref().and_then(|default| constant(default, column, &declared)) {
        part.push_str(&format!(" DEFAULT {default}"));
    }
    part
}

/// A default as this column keeps it; `None` when it is no value of the column, or not one that is
/// written the same way everywhere.
fn constant(default: &DefaultValue, column: &Column, declared: &str) -> Option<String> {
    use LogicalType as L;
    let given = match default {
        DefaultValue::Bool(value) => value.to_string(),
        DefaultValue::Number(text) | DefaultValue::Text(text) => text.clone(),
    };
    let mut canonical = String::new();
    match column.logical {
        L::Bool => match given.as_str() {
            "true" | "t" | "1" => return Some("1".into()),
            "false" | "f" | "0" => return Some("0".into()),
            _ => return None,
        },
        L::UInt64 | L::Decimal { .. } | L::Numeric => {
            Digits::parse(&given)?;
            return Some(match Affinity::of(declared) {
                Affinity::Text => quote_text(&given),
                _ => given,
            });
        }
        logical if logical.is_integer() => return given.parse::<i64>().ok().map(|value| value.to_string()),
        L::Float32 | L::Float64 => {
            let value: f64 = given.parse().ok()?;
            return value.is_finite().then(|| format!("{value:?}"));
        }
        L::Binary => return text::parse_hex(&given).map(|bytes| blob(&bytes)),
        L::Date => civil::write_date(civil::parse_date(&given)?, &mut canonical),
        L::Time { .. } => civil::write_time(civil::parse_time(&given)?, &mut canonical),
        L::Timestamp { zoned, .. } => {
            let (micros, has_zone) = civil::parse_timestamp(&given)?;
            if zoned != has_zone {
                return None;
            }
            civil::write_timestamp(micros, zoned, &mut canonical);
        }
        L::Uuid => text::write_uuid(&text::parse_uuid(&given)?, &mut canonical),
        L::Interval | L::Bits { .. } | L::Opaque => return None,
        _ => canonical = given,
    }
    (!canonical.contains('\0')).then(|| text_constant(&canonical))
}

/// A column to add to a table that is there. Rows that it has get NULL.
pub(crate) fn added(column: &Column, dialect: &str, table: &Table) -> String {
    match table.strict {
        true => strict_type(column).to_owned(),
        false => column_type(column, dialect),
    }
}

/// Statements that make staging like a table: each is tried until one succeeds. The first is the
/// table's own, with its checks; a check that names the table cannot be taken along.
pub(crate) fn like(table: &Table, refers: bool, target: &Target) -> Vec<String> {
    // A row's foreign keys are looked at when all rows are where they belong. Only whole rows fit into
    // the table's own shape.
    let own = tokens::body(&table.sql).filter(|_| !refers && target.task == Task::Load).map(str::to_owned);
    own.into_iter().chain([parts(table, target)]).collect()
}

/// The columns written, as far as the table would refuse a single row for them.
fn parts(table: &Table, target: &Target) -> String {
    let written =
        |name: &str| target.schema.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let columns = table.columns.iter().filter(|there| written(&there.column.name) && !there.column.generated);
    let mut parts: Vec<String> = columns
        .map(|there| {
            let column = &there.column;
            let required = if column.nullable { "" } else { " NOT NULL" };
            let collation = column
                .collation
                .as_deref()
                .map_or(String::new(), |name| format!(" COLLATE {}", quote_double(name)));
            format!("{} {}{required}{collation}", Sqlite.quote(&column.name), same_affinity(&there.declared))
        })
        .collect();
    // A key to be deleted may be named twice.
    let keys = table.keys.iter().filter(|_| target.task != Task::Delete);
    for key in keys.filter(|key| key.columns.iter().all(|name| written(name))) {
        let word = if key.primary { "PRIMARY KEY" } else { "UNIQUE" };
        parts.push(format!("{word} ({})", key_list(key)));
    }
    format!("({})", parts.join(", "))
}

/// The columns of a key as its index compares them.
fn key_list(key: &Key) -> String {
    let columns = key.columns.iter().zip(&key.collations);
    let columns = columns.map(|(name, collation)| match collation.eq_ignore_ascii_case("BINARY") {
        true => Sqlite.quote(name),
        false => format!("{} COLLATE {}", Sqlite.quote(name), quote_double(collation)),
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// The statement that gives staging a unique set of the table's, so that two rows with the same
/// values are found when the second one arrives.
pub(crate) fn unique_index(run: &str, stream: u32, number: usize, key: &Key) -> String {
    let name = stage(run, stream);
    format!(
        "CREATE UNIQUE INDEX IF NOT EXISTS {} ON {} ({})",
        qualified(&format!("{name}_u{number}")),
        quote_double(&name),
        key_list(key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_as_their_column_keeps_them() {
        use LogicalType as L;
        let text = |text: &str| DefaultValue::Text(text.into());
        let number = |text: &str| DefaultValue::Number(text.into());
        for (default, logical, expected) in [
            (number("5"), L::Int32, Some("5")),
            (text("-1"), L::Int32, Some("-1")),
            (number("1.5"), L::Int32, None),
            (text("x); DROP TABLE y"), L::Int32, None),
            (number("0.50"), L::Decimal { precision: 5, scale: 2 }, Some("'0.50'")),
            (number("1.5"), L::Float64, Some("1.5")),
            (text("t"), L::Bool, Some("1")),
            (DefaultValue::Bool(false), L::Bool, Some("0")),
            (text("it's"), L::TEXT, Some("'it''s'")),
            (text("2024-01-01T00:00"), L::TIMESTAMP, Some("'2024-01-01 00:00:00'")),
            (text("today"), L::Date, None),
            (text("\\x00ff"), L::Binary, Some("x'00ff'")),
            (
                text("A0EEBC999C0B4EF8BB6D6BB9BD380A11"),
                L::Uuid,
                Some("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
            ),
        ] {
            let column = Column::new("c", logical);
            let declared = column_type(&column, "other");
            assert_eq!(
                constant(&default, &column, &declared).as_deref(),
                expected,
                "{default:?} of {logical}"
            );
        }
    }
}
