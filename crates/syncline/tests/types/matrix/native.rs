//! SQLite's own types: what is declared, and what any column may hold all the same.

use super::{Copied, Native, REFUSED, UNREADABLE};

/// PostgreSQL writes all digits of a numeric.
const NUMBER_1E300: &str = "1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

/// All declared types of SQLite that mean something of their own.
pub(crate) fn natives() -> Vec<Native> {
    [plain(), read_by_name(), dates(), without_type(), strict()].into_iter().flatten().collect()
}

/// The four storage classes, under names that SQLite itself derives them from.
fn plain() -> Vec<Native> {
    vec![
        Native::new("n_integer", "INTEGER", "bigint")
            .arrive(&[
                ("-9223372036854775808", "-9223372036854775808"),
                ("9223372036854775807", "9223372036854775807"),
                // Its affinity makes integers of these before anybody reads them.
                ("'5'", "5"),
                ("5.0", "5"),
            ])
            .unreadable(&["'five'", "5.5", "x'35'", "9223372036854775808"]),
        Native::new("n_bigint_unsigned", "UNSIGNED BIG INT", "bigint").arrive(&[("-1", "-1")]),
        Native::new("n_tinyint", "TINYINT(1)", "bigint").arrive(&[("1", "1"), ("300", "300")]),
        // It contains INT, so SQLite takes it for one.
        Native::new("n_point", "POINT", "bigint").arrive(&[("1", "1")]).unreadable(&["'(1,2)'"]),
        Native::new("n_real", "REAL", "double precision")
            .arrive(&[
                ("5", "5"),
                ("0.1", "0.1"),
                ("0.30000000000000004", "0.30000000000000004"),
                ("9e999", "Infinity"),
                ("-9e999", "-Infinity"),
                ("5e-324", "5e-324"),
                ("1.7976931348623157e308", "1.7976931348623157e+308"),
                // SQLite has dropped the sign itself.
                ("-0.0", "0"),
                ("9007199254740993", "9.007199254740992e+15"),
            ])
            .unreadable(&["'much'", "x'00'"]),
        Native::new("n_double", "DOUBLE PRECISION", "double precision").arrive(&[("2.5", "2.5")]),
        Native::new("n_float4", "FLOAT4", "real")
            .arrive(&[("0.5", "0.5"), ("-3", "-3")])
            .unreadable(&["0.1"]),
        Native::new("n_text", "TEXT", "text")
            .arrive(&[
                ("''", ""),
                ("'5'", "5"),
                ("5", "5"),
                ("5.0", "5.0"),
                ("'\\N'", "\\N"),
                ("'a' || char(10) || char(9) || '🦀' || char(1)", "a\n\t🦀\u{1}"),
                ("char(101, 769)", "e\u{301}"),
            ])
            // PostgreSQL has no place for the character NUL.
            .value("'a' || char(0) || 'b'", Err(REFUSED), Copied::Same)
            .unreadable(&[
                "CAST(x'ff' AS TEXT)",
                "CAST(x'61c3' AS TEXT)",
                "CAST(x'eda080' AS TEXT)",
                "x'61'",
            ]),
        Native::new("n_varchar", "VARCHAR(3)", "text").arrive(&[("'longer'", "longer"), ("'a  '", "a  ")]),
        Native::new("n_char", "NATIVE CHARACTER(70)", "text").arrive(&[("'a'", "a")]),
        Native::new("n_clob", "CLOB", "text").arrive(&[("'a'", "a")]),
        Native::new("n_blob", "BLOB", "bytea")
            .arrive(&[("x''", "\\x"), ("x'00ff0a5c'", "\\x00ff0a5c"), ("zeroblob(3)", "\\x000000")])
            .unreadable(&["'text'", "5", "1.5"]),
    ]
}

/// Names that are read as more than SQLite sees in them.
fn read_by_name() -> Vec<Native> {
    vec![
        Native::new("n_boolean", "BOOLEAN", "boolean")
            .arrive(&[("0", "f"), ("1", "t"), ("TRUE", "t"), ("'1'", "t")])
            .unreadable(&["2", "-1", "'true'", "'t'", "0.5"]),
        Native::new("n_decimal", "DECIMAL(10,2)", "numeric(10,2)")
            .arrive(&[
                ("1.5", "1.50"),
                ("7", "7.00"),
                ("'1.25'", "1.25"),
                ("-99999999.99", "-99999999.99"),
                ("0.1", "0.10"),
                ("1e3", "1000.00"),
            ])
            .unreadable(&["1.255", "100000000", "'1,50'", "x'00'", "9e999"]),
        Native::new("n_decimal_text", "DECIMAL_TEXT(30,2)", "numeric(30,2)")
            .arrive(&[("'1234567890123456789012345678.90'", "1234567890123456789012345678.90")])
            // Digits are written in the column's own scale.
            .rewritten("'1.5'", "1.50", "'1.50'")
            .rewritten("'+007'", "7.00", "'7.00'")
            .unreadable(&["'NaN'", "''"]),
        Native::new("n_numeric", "NUMERIC", "numeric")
            .arrive(&[
                ("5", "5"),
                ("0.1", "0.1"),
                ("-2.50", "-2.5"),
                ("9223372036854775807", "9223372036854775807"),
                // More digits than SQLite keeps: it has made a float of it.
                ("12345678901234567890", "12345678901234567000"),
                ("1e-7", "0.0000001"),
            ])
            .unreadable(&["'NaN'", "'five'", "9e999", "x'00'"]),
        Native::new("n_numeric_text", "NUMERIC_TEXT", "numeric").arrive(&[
            ("'1.10'", "1.10"),
            ("'NaN'", "NaN"),
            ("'-Infinity'", "-Infinity"),
            ("'123456789012345678901234567890.5'", "123456789012345678901234567890.5"),
        ]),
        // No word that SQLite knows.
        Native::new("n_currency", "CURRENCY", "numeric").arrive(&[("5", "5")]).unreadable(&["'five'"]),
        Native::new("n_json", "JSON", "json")
            .arrive(&[
                ("'{\"b\": 1,  \"a\":1.10}'", "{\"b\": 1,  \"a\":1.10}"),
                ("'[1e400]'", "[1e400]"),
                ("'\"a\"'", "\"a\""),
                ("'12'", "12"),
                ("'1.50'", "1.5"),
                ("'null'", "null"),
            ])
            .value("'{a: 1}'", Err(REFUSED), Copied::Same)
            .unreadable(&["x'0b'"]),
        Native::new("n_uuid", "UUID", "uuid")
            .arrive(&[("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")])
            .rewritten(
                "'A0EEBC999C0B4EF8BB6D6BB9BD380A12'",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12",
                "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'",
            )
            .unreadable(&["'a0ee'", "5", "randomblob(16)"]),
        Native::new("n_bits", "BIT_TEXT(3)", "bit(3)")
            .arrive(&[("'101'", "101")])
            .unreadable(&["'10'", "'121'"]),
        Native::new("n_interval", "INTERVAL", "interval")
            .arrive(&[("'P1Y2M3DT4H5M6.5S'", "1 year 2 mons 3 days 04:05:06.5"), ("'PT0S'", "00:00:00")])
            .rewritten("'P2W'", "14 days", "'P14D'")
            .unreadable(&["'1 day'", "5"]),
    ]
}

/// Dates, as text and as whatever else programs keep in such columns.
fn dates() -> Vec<Native> {
    vec![
        Native::new("n_date", "DATE", "date")
            .arrive(&[
                ("'2024-02-29'", "2024-02-29"),
                ("'0001-01-01'", "0001-01-01"),
                ("'9999-12-31'", "9999-12-31"),
            ])
            .unreadable(&[
                "'2023-02-29'",
                "'29.2.2024'",
                "1709164800",
                "2460369.5",
                "''",
                "'2024-02-29 10:00:00'",
            ]),
        Native::new("n_datetime", "DATETIME", "timestamp without time zone")
            .arrive(&[
                ("'2024-02-29 23:59:59'", "2024-02-29 23:59:59"),
                ("'2024-02-29 23:59:59.000001'", "2024-02-29 23:59:59.000001"),
            ])
            .rewritten("'2024-02-29T23:59:59.500'", "2024-02-29 23:59:59.5", "'2024-02-29 23:59:59.5'")
            .rewritten("'2024-02-29 23:59'", "2024-02-29 23:59:00", "'2024-02-29 23:59:00'")
            .rewritten("'2024-02-29'", "2024-02-29 00:00:00", "'2024-02-29 00:00:00'")
            .unreadable(&[
                "1709164800",
                "'now'",
                "'2024-02-29T23:59:59Z'",
                "'2024-02-29 23:59:59.0000001'",
                "'24-02-29 10:00'",
            ]),
        Native::new("n_timestamp_3", "TIMESTAMP(3)", "timestamp(3) without time zone")
            .arrive(&[("'2024-02-29 23:59:59.125'", "2024-02-29 23:59:59.125")])
            .unreadable(&["'2024-02-29 23:59:59.1255'"]),
        Native::new("n_timestamptz", "TIMESTAMPTZ", "timestamp with time zone")
            .arrive(&[("'2024-02-29 23:59:59.5+00:00'", "2024-02-29 23:59:59.5+00")])
            .rewritten("'2024-02-29T23:59:59+05:45'", "2024-02-29 18:14:59+00", "'2024-02-29 18:14:59+00:00'")
            .rewritten("'2024-02-29 23:59:59'", "2024-02-29 23:59:59+00", "'2024-02-29 23:59:59+00:00'")
            .unreadable(&["'soon'"]),
        Native::new("n_time", "TIME", "time without time zone")
            .arrive(&[("'23:59:59.999999'", "23:59:59.999999"), ("'24:00:00'", "24:00:00")])
            .rewritten("'10:00'", "10:00:00", "'10:00:00'")
            .unreadable(&["'25:00'", "0.5"]),
    ]
}

/// Columns of which only the values tell what they hold.
fn without_type() -> Vec<Native> {
    vec![
        Native::new("n_any_integers", "", "bigint")
            .copied("INTEGER")
            .arrive(&[("1", "1"), ("-9223372036854775808", "-9223372036854775808")]),
        Native::new("n_any_reals", "", "double precision")
            .copied("REAL")
            .arrive(&[("1.5", "1.5"), ("5.0", "5")]),
        Native::new("n_any_numbers", "", "numeric")
            .copied("NUMERIC")
            .arrive(&[
                ("1", "1"),
                ("2.5", "2.5"),
                ("-9223372036854775808", "-9223372036854775808"),
                ("1e300", NUMBER_1E300),
            ])
            // Kept as the number it is, in its shortest form.
            .rewritten("5.0", "5", "5")
            .unreadable(&["-9e999"]),
        Native::new("n_any_texts", "", "text").copied("TEXT").arrive(&[("'1'", "1"), ("''", "")]),
        Native::new("n_any_blobs", "", "bytea").copied("BLOB").arrive(&[("x'00'", "\\x00")]),
        Native::new("n_any_mixed", "", "text")
            .copied("TEXT")
            .warned("has no type and holds values of several kinds")
            .arrive(&[("'text'", "text")])
            .unreadable(&["1", "1.5", "x'00'"]),
        Native::new("n_any_nothing", "", "text").copied("TEXT"),
    ]
}

/// Tables that keep only what is declared, and tables without row numbers.
fn strict() -> Vec<Native> {
    vec![
        Native::new("n_strict_int", "INT", "bigint").suffix("STRICT").arrive(&[("5", "5")]),
        Native::new("n_strict_real", "REAL", "double precision")
            .suffix("STRICT")
            .arrive(&[("5", "5"), ("0.1", "0.1")]),
        Native::new("n_strict_text", "TEXT", "text")
            .suffix("STRICT")
            .arrive(&[("'a'", "a"), ("5", "5")])
            .unreadable(&["CAST(x'ff' AS TEXT)"]),
        Native::new("n_strict_blob", "BLOB", "bytea").suffix("STRICT").arrive(&[("x'00'", "\\x00")]),
        Native::new("n_strict_any", "ANY", "text")
            .suffix("STRICT")
            .copied("TEXT")
            .warned("has no type and holds values of several kinds")
            .arrive(&[("'a'", "a")])
            .value("5", Err(UNREADABLE), Copied::Rejected(UNREADABLE)),
        Native::new("n_no_rowid", "NUMERIC", "numeric")
            .suffix("WITHOUT ROWID")
            .arrive(&[("5", "5"), ("0.5", "0.5")]),
    ]
}
