//! What is kept in SQLite is what was given: tried with SQLite itself.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use proptest::prelude::*;
use rusqlite::{Connection, types::ValueRef};
use syncline_types::Column;

use super::*;
use crate::types::tests::ALL;

fn declared(name: &str) -> TableColumn {
    let logical = crate::types::logical(name);
    TableColumn {
        column: Column::new("c", logical.unwrap_or(LogicalType::TEXT)).native(name),
        declared: name.into(),
        untyped: logical.is_none(),
        has_default: false,
        mixed: false,
    }
}

/// Keeps a text in a column that is declared so, and reads it back as its digits.
fn kept(connection: &Connection, type_name: &str, from: LogicalType, text: &str) -> Result<String, Refusal> {
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let values = Values::new(&array, from).unwrap();
    let store = store(from, &declared(type_name)).unwrap();
    let mut scratch = String::new();
    let cell = store.cell(&values, 0, &mut scratch)?;
    let mut statement = connection.prepare_cached("UPDATE t SET v = ?").unwrap();
    match cell {
        Cell::Null => statement.raw_bind_parameter(1, rusqlite::types::Null),
        Cell::Integer(value) => statement.raw_bind_parameter(1, value),
        Cell::Real(value) => statement.raw_bind_parameter(1, value),
        Cell::Text(value) => statement.raw_bind_parameter(1, value),
        Cell::Blob(value) => statement.raw_bind_parameter(1, value),
    }
    .unwrap();
    statement.raw_execute().unwrap();
    let read = connection.query_row("SELECT v FROM t", [], |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => {
                let mut text = String::new();
                write_real(value, &mut text);
                text
            }
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("{other:?}"),
        })
    });
    Ok(read.unwrap())
}

fn table(type_name: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(&format!("CREATE TABLE t (v {type_name}); INSERT INTO t VALUES (NULL)"))
        .unwrap();
    connection
}

fn value(text: &str) -> Option<Digits> {
    Digits::parse(text).map(Digits::normalized)
}

/// Every type has a way into the column that we would declare for it.
#[test]
fn every_type_is_kept_in_its_own_column() {
    for logical in ALL {
        let own = crate::types::column_type(&Column::new("c", *logical), "test");
        assert!(store(*logical, &declared(&own)).is_some(), "{logical} in {own}");
        assert!(store(*logical, &declared("")).is_some(), "{logical} in a column without a type");
        let in_text = store(*logical, &declared("TEXT"));
        assert_eq!(in_text.is_some(), *logical != LogicalType::Binary, "{logical} in a text");
    }
    assert_eq!(store(LogicalType::TEXT, &declared("INTEGER")), None);
    assert_eq!(store(LogicalType::Date, &declared("TIMESTAMP")), None);
}

proptest! {
    #[test]
    fn a_number_is_kept_exactly_or_not_at_all(text in "-?[0-9]{1,25}([.][0-9]{1,25})?(e-?[0-9]{1,3})?") {
        thread_local!(static TABLE: Connection = table("NUMERIC"));
        if let Ok(back) = TABLE.with(|table| kept(table, "NUMERIC", LogicalType::Numeric, &text)) {
            prop_assert_eq!(value(&back), value(&text), "{} came back as {}", text, back);
        }
    }

    #[test]
    fn small_numbers_are_always_kept(whole in -999_999_999_i64..1_000_000_000, fraction in 0_u32..1_000_000) {
        thread_local!(static TABLE: Connection = table("DECIMAL(15,6)"));
        let text = format!("{whole}.{fraction:06}");
        let back = TABLE.with(|table| kept(table, "DECIMAL(15,6)", LogicalType::Numeric, &text)).unwrap();
        prop_assert_eq!(value(&back), value(&text));
    }

    #[test]
    fn a_json_text_comes_back_as_it_was_or_is_refused(text in "[ \t\n\r]?[-+]?[0-9]{0,20}[.]?[0-9]{0,20}([eE][-+]?[0-9]{0,3})?[ \n]?|\\PC{0,10}|inf|nan|Infinity|0x1F") {
        thread_local!(static TABLE: Connection = table("JSON"));
        if let Ok(back) = TABLE.with(|table| kept(table, "JSON", LogicalType::JSON, &text)) {
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn any_text_comes_back_from_a_text_column(text in "\\PC{0,20}|[-+0-9.eE \0]{0,20}") {
        for (type_name, from) in [("TEXT", LogicalType::TEXT), ("JSON_TEXT", LogicalType::JSON), ("", LogicalType::TEXT)] {
            let connection = table(type_name);
            prop_assert_eq!(kept(&connection, type_name, from, &text).unwrap(), text.clone(), "{}", type_name);
        }
    }
}
