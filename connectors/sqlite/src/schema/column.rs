//! Columns: what is declared of each, and what those without a type hold.

use rusqlite::Connection;
use syncline_types::{Column, DefaultValue, LogicalType, decimal::Digits};

use super::{Kind, Table};
use crate::{
    config::Dates,
    dialect::{MAIN, qualified},
    types::{ANY, is_date_like, logical},
};

/// A column with what only SQLite has to know of it.
#[derive(Clone, Debug)]
pub(crate) struct TableColumn {
    pub(crate) column: Column,
    /// The type's words, as declared; empty for none.
    pub(crate) declared: String,
    /// Whether nothing says what it holds but its values.
    pub(crate) untyped: bool,
    /// Whether the table fills it in.
    pub(crate) has_default: bool,
    /// Without a type, and with values of several kinds.
    pub(crate) mixed: bool,
}

/// Adds the table's columns. Those of the primary key are returned, in key order.
pub(super) fn read(
    connection: &Connection,
    table: &mut Table,
    dates: Dates,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid",
    )?;
    let mut rows = statement.query([&table.name])?;
    let mut primary: Vec<(i64, String)> = vec![];
    while let Some(row) = rows.next()? {
        let (name, declared, required): (String, String, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (default, place, hidden): (Option<String>, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
        // A virtual table's hidden columns are its module's parameters.
        if hidden == 1 {
            continue;
        }
        if place > 0 {
            primary.push((place, name.clone()));
        }
        let meaning = logical(&declared);
        let mut column = Column::new(&name, meaning.unwrap_or(LogicalType::TEXT));
        if dates == Dates::Text && is_date_like(column.logical) {
            column.logical = LogicalType::TEXT;
        }
        column.native = Some(if meaning.is_some() { declared.clone() } else { ANY.into() });
        column.nullable = !required;
        column.default = default.as_deref().and_then(|text| constant_default(text, column.logical));
        column.generated = hidden > 1;
        let has_default = default.as_deref().is_some_and(|text| !text.trim().eq_ignore_ascii_case("null"));
        table.columns.push(TableColumn {
            column,
            declared,
            untyped: meaning.is_none(),
            has_default,
            mixed: false,
        });
    }
    if matches!(table.kind, Kind::Table | Kind::WithoutRowid) {
        for column in &mut table.columns {
            let name = column.column.name.as_str();
            let (_, collation, _, _, autoincrement) =
                connection.column_metadata(Some(MAIN), table.name.as_str(), name)?;
            column.column.identity = autoincrement;
            let collation = collation.and_then(|name| name.to_str().ok()).unwrap_or("BINARY");
            column.column.collation =
                (!collation.eq_ignore_ascii_case("BINARY")).then(|| collation.to_ascii_uppercase());
        }
    }
    primary.sort();
    Ok(primary.into_iter().map(|(_, name)| name).collect())
}

/// A statement returns at most 2,000 values, and four are asked for of each column.
const COLUMNS_AT_ONCE: usize = 400;

/// Decides what columns without a type hold, by one look at all their values.
pub(super) fn look_through(connection: &Connection, table: &mut Table) -> rusqlite::Result<()> {
    let name = qualified(&table.name);
    let mut untyped: Vec<&mut TableColumn> =
        table.columns.iter_mut().filter(|column| column.untyped).collect();
    for columns in untyped.chunks_mut(COLUMNS_AT_ONCE) {
        let classes: Vec<String> = columns
            .iter()
            .flat_map(|column| {
                let column = syncline_sql::quote_double(&column.column.name);
                ["integer", "real", "text", "blob"].map(|class| format!("max(typeof({column}) = '{class}')"))
            })
            .collect();
        let sql = format!("SELECT {} FROM {name}", classes.join(", "));
        connection.query_row(&sql, [], |row| {
            for (number, column) in columns.iter_mut().enumerate() {
                // Of no rows there is no most; nothing is found then.
                let has = |class: usize| {
                    row.get::<_, Option<bool>>(number * 4 + class).map(Option::unwrap_or_default)
                };
                (column.column.logical, column.mixed) = meaning(has(0)?, has(1)?, has(2)?, has(3)?);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What a column means that holds integers, reals, texts or blobs, and whether it holds too much.
fn meaning(integer: bool, real: bool, text: bool, blob: bool) -> (LogicalType, bool) {
    match (integer, real, text, blob) {
        (true, false, false, false) => (LogicalType::Int64, false),
        (false, true, false, false) => (LogicalType::Float64, false),
        (true, true, false, false) => (LogicalType::Numeric, false),
        (false, false, false, true) => (LogicalType::Binary, false),
        (false, false, _, false) => (LogicalType::TEXT, false),
        _ => (LogicalType::TEXT, true),
    }
}

/// A default that is a constant: `0`, `'x'`, `TRUE`. Anything computed is none.
fn constant_default(expression: &str, logical: LogicalType) -> Option<DefaultValue> {
    let bare = expression.trim();
    if let Some(inside) = bare.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        // A single quote inside a text is doubled; one alone ends it, and more follows.
        let rest = inside.replace("''", "");
        return (!rest.contains('\'')).then(|| DefaultValue::Text(inside.replace("''", "'")));
    }
    let truth = [("true", true), ("false", false)].into_iter();
    if let Some((_, value)) = truth.into_iter().find(|(word, _)| bare.eq_ignore_ascii_case(word)) {
        return Some(DefaultValue::Bool(value));
    }
    let number = bare.strip_prefix('+').unwrap_or(bare);
    Digits::parse(number)?;
    match (logical, number) {
        (LogicalType::Bool, "0" | "1") => Some(DefaultValue::Bool(number == "1")),
        _ => Some(DefaultValue::Number(number.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_constants_are_defaults() {
        let text = |text: &str| Some(DefaultValue::Text(text.into()));
        let number = |text: &str| Some(DefaultValue::Number(text.into()));
        for (expression, expected) in [
            ("0", number("0")),
            ("-1.50", number("-1.50")),
            ("+5", number("5")),
            ("1e3", number("1e3")),
            ("'it''s'", text("it's")),
            ("''", text("")),
            ("TRUE", Some(DefaultValue::Bool(true))),
            ("'a' || 'b'", None),
            ("1+2", None),
            ("x'00'", None),
            ("\"word\"", None),
            ("CURRENT_TIMESTAMP", None),
            ("null", None),
        ] {
            assert_eq!(constant_default(expression, LogicalType::TEXT), expected, "{expression}");
        }
        assert_eq!(constant_default("1", LogicalType::Bool), Some(DefaultValue::Bool(true)));
    }
}
