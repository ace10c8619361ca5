//! Values of every class into columns of every type.

use proptest::prelude::*;
use rusqlite::types::Value;
use syncline_types::{Column, text::Values};

use super::*;

/// A column declared so.
fn column(declared: &str) -> TableColumn {
    let logical = crate::types::logical(declared).unwrap_or(LogicalType::TEXT);
    let mut column = Column::new("c", logical).native(declared);
    column.nullable = true;
    TableColumn { column, declared: declared.into(), untyped: false, has_default: false, mixed: false }
}

/// The text form of what is read, or the reason why nothing is.
fn read(declared: &str, value: &Value) -> Result<Option<String>, String> {
    let column = column(declared);
    let decoder = Decoder::new("t", &column);
    let mut builder = ColumnBuilder::new(column.column.logical, 1);
    let mut scratch = String::new();
    decoder.push(value.into(), &mut builder, &mut scratch).map_err(|error| error.reason().to_owned())?;
    let array = builder.finish().unwrap();
    Ok(Values::new(&array, column.column.logical).unwrap().text(0))
}

const DECLARED: &[&str] = &[
    "INTEGER",
    "REAL",
    "FLOAT4",
    "TEXT",
    "BLOB",
    "BOOLEAN",
    "DATE",
    "TIME(3)",
    "DATETIME",
    "TIMESTAMPTZ",
    "DECIMAL(12,2)",
    "DECIMAL(60,30)",
    "DECIMAL_TEXT(38,10)",
    "NUMERIC",
    "NUMERIC_TEXT",
    "JSON",
    "JSON_TEXT",
    "UUID",
    "INTERVAL",
    "BIT_TEXT(4)",
    "VARBIT_TEXT",
];

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-3_i64..3).prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        "[-+0-9.e:T P]{0,24}".prop_map(Value::Text),
        "\\PC{0,12}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
    ]
}

#[test]
fn a_null_where_none_may_be_is_refused() {
    let mut column = column("INTEGER");
    column.column.nullable = false;
    let mut builder = ColumnBuilder::new(LogicalType::Int64, 1);
    let decoder = Decoder::new("t", &column);
    let error = decoder.push(ValueRef::Null, &mut builder, &mut String::new()).unwrap_err();
    assert!(error.to_string().contains("holds NULL"), "{error}");
}

#[test]
fn bounds_of_what_is_exact() {
    let integer = |value| Value::Integer(value);
    assert_eq!(read("REAL", &integer(1 << 53)), Ok(Some("9007199254740992".into())));
    assert!(read("REAL", &integer((1 << 53) + 1)).is_err());
    assert!(read("REAL", &integer(i64::MIN)).is_err());
    assert_eq!(read("FLOAT4", &integer(1 << 24)), Ok(Some("16777216".into())));
    assert!(read("FLOAT4", &integer((1 << 24) + 1)).is_err());
    assert_eq!(read("DECIMAL(19,0)", &integer(i64::MIN)), Ok(Some("-9223372036854775808".into())));
    assert!(read("DECIMAL(18,0)", &integer(i64::MIN)).is_err());
    assert_eq!(
        read("DECIMAL(38,19)", &integer(i64::MAX)),
        Ok(Some("9223372036854775807.0000000000000000000".into()))
    );
    assert!(read("DECIMAL(38,20)", &integer(i64::MAX)).is_err());
    assert!(read("NUMERIC", &Value::Real(f64::INFINITY)).is_err());
    assert_eq!(read("REAL", &Value::Real(f64::INFINITY)), Ok(Some("Infinity".into())));
}

proptest! {
    /// Whatever the value, it is read or refused with a reason that does not hold it; and a row that
    /// is taken back leaves nothing.
    #[test]
    fn any_value_is_read_or_refused(value in any_value(), place in 0..DECLARED.len()) {
        let column = column(DECLARED[place]);
        let logical = column.column.logical;
        let decoder = Decoder::new("t", &column);
        let mut builder = ColumnBuilder::new(logical, 2);
        let mut scratch = String::new();
        builder.push_null();
        if let Err(error) = decoder.push((&value).into(), &mut builder, &mut scratch) {
            builder.truncate(1);
            if let Value::Text(text) = &value
                && text.len() > 12
            {
                prop_assert!(!error.to_string().contains(text.as_str()));
            }
        }
        prop_assert!(matches!(builder.finish().unwrap().len(), 1 | 2));
    }

    /// The short way of reading decimals gives what the long one does.
    #[test]
    fn plain_decimals_are_read_as_any_others(text in "-?[0-9]{0,30}[.]?[0-9]{0,20}", scale in 0_u8..=38, more in 0_u8..=38) {
        let precision = (scale + more).clamp(1, 38);
        let declared = format!("DECIMAL_TEXT({precision},{scale})");
        let mut expected = String::new();
        let found = decimal::parse_128(&text, precision, scale);
        if let Some(value) = found {
            decimal::write_128(value, scale, &mut expected);
        }
        let read = read(&declared, &Value::Text(text));
        prop_assert_eq!(read.ok(), found.map(|_| Some(expected)));
    }

    /// A real in a column of numbers is its shortest text, by which it can be found again.
    #[test]
    fn reals_keep_their_value_as_numbers(value: f64) {
        prop_assume!(value.is_finite());
        let text = read("NUMERIC", &Value::Real(value)).unwrap().unwrap();
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
    }
}
