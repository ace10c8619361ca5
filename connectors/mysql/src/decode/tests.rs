//! Every type's forms, and that no bytes panic.

use arrow_array::ArrayRef;
use proptest::prelude::*;
use syncline_types::text::Values;

use super::*;

fn column(native: &str, logical: LogicalType) -> Column {
    Column::new("c", logical).native(native)
}

/// The text of a column's only value, or why the row was refused.
fn one(native: &str, logical: LogicalType, field: &[u8]) -> Result<String, String> {
    let decoder = RowDecoder::new(&[column(native, logical)], false);
    let mut builders = decoder.builders(1);
    let row = [&[0, 0][..], field].concat();
    match decoder.decode(&row, &mut builders, 0).map_err(|error| error.to_string())? {
        Decoded::Rejected(error) => Err(error.reason().to_owned()),
        Decoded::Row => {
            let array: ArrayRef = builders.remove(0).finish().unwrap();
            Ok(Values::new(&array, logical).unwrap().text(0).unwrap())
        }
    }
}

#[test]
fn values_of_every_kind() {
    use LogicalType as L;
    let decimal = L::Decimal { precision: 10, scale: 2 };
    let large = L::Decimal { precision: 65, scale: 30 };
    let bits = L::Bits { length: Some(10), varying: false };
    for (native, logical, field, expected) in [
        ("tinyint", L::Int8, &[0x80][..], "-128"),
        ("bigint unsigned", L::UInt64, &[0xFF; 8], "18446744073709551615"),
        ("year", L::Int16, &[0x6B, 0x08], "2155"),
        ("tinyint(1)", L::Bool, &[1], "true"),
        ("bit(1)", L::Bool, &[1, 0], "false"),
        ("bit(10)", bits, &[2, 2, 5], "1000000101"),
        ("decimal(10,2)", decimal, b"\x05-1.50", "-1.50"),
        ("decimal(10,2)", decimal, b"\x010", "0.00"),
        ("decimal(65,30)", large, b"\x0a1234567.25", "1234567.250000000000000000000000000000"),
        ("date", L::Date, &[4, 0xE8, 7, 2, 29], "2024-02-29"),
        ("datetime", L::TIMESTAMP, &[4, 0xE8, 7, 1, 1], "2024-01-01 00:00:00"),
        (
            "datetime(6)",
            L::TIMESTAMP,
            &[11, 0xE8, 7, 1, 1, 23, 59, 59, 1, 0, 0, 0],
            "2024-01-01 23:59:59.000001",
        ),
        ("timestamp", L::TIMESTAMPTZ, &[7, 0xB2, 7, 1, 1, 0, 0, 1], "1970-01-01 00:00:01+00:00"),
        ("time", L::Interval, &[8, 1, 34, 0, 0, 0, 22, 59, 59], "PT-838H-59M-59S"),
        ("time", L::Interval, &[0], "PT0S"),
        ("varchar(9)", L::TEXT, b"\x02\xC3\xA4", "\u{e4}"),
        ("varbinary(9)", L::Binary, &[2, 0, 0xFF], "\\x00ff"),
        ("datetime(3)", L::TEXT, &[0], "0000-00-00 00:00:00.000"),
        ("date", L::TEXT, &[4, 0xE8, 7, 0, 0], "2024-00-00"),
        ("point", L::Binary, &[9, 0, 0, 0, 0, 1, 1, 0, 0, 0], "\\x0101000000"),
        ("point", L::Binary, &[9, 0xE6, 0x10, 0, 0, 1, 1, 0, 0, 0], "\\x0101000020e6100000"),
        (
            "uuid",
            L::Uuid,
            b"\x24a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
    ] {
        assert_eq!(one(native, logical, field).as_deref(), Ok(expected), "{native}");
    }
}

#[test]
fn what_has_no_place_is_refused_and_what_is_broken_is_an_error() {
    use LogicalType as L;
    for (native, logical, field) in [
        ("tinyint(1)", L::Bool, &[2][..]),
        ("date", L::Date, &[0]),
        ("date", L::Date, &[4, 0xE8, 7, 2, 30]),
        ("datetime", L::TIMESTAMP, &[4, 0xE8, 7, 0, 1]),
        ("varchar(9)", L::TEXT, &[1, 0xFF]),
    ] {
        assert!(!one(native, logical, field).unwrap_err().contains("SYN-6003"), "{native}");
    }
    for (native, logical, field) in [
        ("int", L::Int32, &[1, 2, 3][..]),
        ("int", L::Int32, &[1, 2, 3, 4, 5]),
        ("varchar(9)", L::TEXT, &[2, b'a']),
        ("varchar(9)", L::TEXT, &[0xFB]),
        ("date", L::Date, &[5, 0, 0, 0, 0, 0]),
        ("decimal(10,2)", L::Decimal { precision: 10, scale: 2 }, b"\x05 1.50"),
        ("bit(10)", L::Bits { length: Some(10), varying: false }, &[1, 2]),
        ("point", L::Binary, &[5, 1, 0, 0, 0, 7]),
    ] {
        assert!(one(native, logical, field).unwrap_err().contains("SYN-6003"), "{native}");
    }
}

#[test]
fn a_row_that_cannot_be_held_leaves_the_others() {
    let decoder = RowDecoder::new(
        &[column("varchar(9)", LogicalType::TEXT), column("tinyint(1)", LogicalType::Bool)],
        false,
    );
    let mut builders = decoder.builders(4);
    let row = |flag: u8| vec![0, 0, 1, b'x', flag];
    assert!(matches!(decoder.decode(&row(1), &mut builders, 0).unwrap(), Decoded::Row));
    assert!(matches!(decoder.decode(&row(7), &mut builders, 1).unwrap(), Decoded::Rejected(_)));
    // Both are NULL: the bits begin with the third.
    assert!(matches!(decoder.decode(&[0, 0b1100], &mut builders, 1).unwrap(), Decoded::Row));
    let columns: Vec<ArrayRef> = builders.into_iter().map(|builder| builder.finish().unwrap()).collect();
    assert!(columns.iter().all(|column| (column.len(), column.null_count()) == (2, 1)));
}

#[test]
fn a_date_that_is_no_day_becomes_null_where_that_is_wanted() {
    let decoder = RowDecoder::new(&[column("date", LogicalType::Date)], true);
    let mut builders = decoder.builders(1);
    assert!(matches!(decoder.decode(&[0, 0, 0], &mut builders, 0).unwrap(), Decoded::Row));
    assert_eq!(builders.remove(0).finish().unwrap().null_count(), 1);
}

fn every_type() -> Vec<Column> {
    use LogicalType as L;
    [
        ("tinyint", L::Int8),
        ("tinyint(1)", L::Bool),
        ("bit(1)", L::Bool),
        ("bit(64)", L::Bits { length: Some(64), varying: false }),
        ("double", L::Float64),
        ("decimal(38,0)", L::Decimal { precision: 38, scale: 0 }),
        ("decimal(65,30)", L::Decimal { precision: 65, scale: 30 }),
        ("date", L::Date),
        ("datetime(6)", L::TIMESTAMP),
        ("datetime(6)", L::TEXT),
        ("time(6)", L::Interval),
        ("text", L::TEXT),
        ("blob", L::Binary),
        ("geometry", L::Binary),
        ("uuid", L::Uuid),
        ("json", L::JSON),
    ]
    .map(|(native, logical)| column(native, logical))
    .to_vec()
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        for columns in [every_type(), every_type().split_off(5)] {
            let decoder = RowDecoder::new(&columns, false);
            let mut builders = decoder.builders(1);
            let _ = decoder.decode(&bytes, &mut builders, 0);
        }
    }

    #[test]
    fn no_field_panics(field in proptest::collection::vec(any::<u8>(), 0..40), length in 0..40_u8) {
        for column in every_type() {
            let native = column.native.clone().unwrap_or_default();
            let _ = one(&native, column.logical, &field);
            let _ = one(&native, column.logical, &[&[length], field.as_slice()].concat());
        }
    }

    #[test]
    fn decimals_are_exact(value in -99_999_999_999_999_999_999_999_999_999_999_999_999_i128..99_999_999_999_999_999_999_999_999_999_999_999_999, scale in 0..30_u8) {
        let mut text = String::new();
        syncline_types::decimal::write_128(value, scale, &mut text);
        let field = [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let logical = LogicalType::Decimal { precision: 38, scale };
        prop_assert_eq!(one("decimal", logical, &field), Ok(text));
    }
}
