//! Values: every type through sink and source, and what is refused on either side.

use syncline_connect::WriteMode;
use syncline_sqlite::Dates;
use syncline_types::{LogicalType as L, TableSchema};

use crate::rig::{Rig, Row, batch, blockers, copy, plan_of, row, rows, schema, target};

/// Each type with its extremes and with what an affinity could mistake for a number, and the class
/// that SQLite keeps it in.
fn extremes() -> Vec<(L, &'static str, Vec<&'static str>)> {
    let decimal = |precision, scale| L::Decimal { precision, scale };
    let bits = |length, varying| L::Bits { length, varying };
    let numbers = ["0", "1", "-1"];
    let and = |more: &[&'static str]| [&numbers[..], more].concat();
    vec![
        (L::Bool, "integer", vec!["true", "false"]),
        (L::Int8, "integer", and(&["-128", "127"])),
        (L::Int16, "integer", and(&["-32768", "32767"])),
        (L::Int32, "integer", and(&["-2147483648", "2147483647"])),
        (L::Int64, "integer", and(&["-9223372036854775808", "9223372036854775807"])),
        (L::UInt8, "integer", vec!["0", "255"]),
        (L::UInt16, "integer", vec!["0", "65535"]),
        (L::UInt32, "integer", vec!["0", "4294967295"]),
        (L::UInt64, "text", vec!["0", "9223372036854775808", "18446744073709551615"]),
        (L::Float32, "real", and(&["0.1", "3.4028235e38", "1e-45", "Infinity", "-Infinity", "16777216"])),
        (
            L::Float64,
            "real",
            and(&[
                "0.1",
                "1.7976931348623157e308",
                "5e-324",
                "Infinity",
                "-Infinity",
                "9007199254740993e3",
                "0.30000000000000004",
                "123456789.12345679",
            ]),
        ),
        (decimal(12, 2), "text", vec!["0.00", "9999999999.99", "-9999999999.99", "0.10"]),
        (decimal(20, 0), "text", vec!["99999999999999999999", "-1", "0"]),
        (decimal(38, 38), "text", vec!["0.99999999999999999999999999999999999999"]),
        (
            decimal(76, 10),
            "text",
            vec![
                "999999999999999999999999999999999999999999999999999999999999999999.9999999999",
                "-0.0000000001",
            ],
        ),
        (
            L::Numeric,
            "text",
            vec!["0", "1.10", "-0.000", "1e5", "NaN", "Infinity", "123456789012345678901234567890.5"],
        ),
        (
            L::TEXT,
            "text",
            vec![
                "", "123", "1e5", " 1 ", "0x10", "NaN", "it's", "\"q\"", "a\0b", "é🚀", "x'00'", "true",
                "-0", "inf",
            ],
        ),
        (L::Text { length: Some(5), padded: false }, "text", vec!["12345", ""]),
        (L::Text { length: Some(5), padded: true }, "text", vec!["1    ", "12345"]),
        (L::Binary, "blob", vec!["\\x", "\\x00ff00", "\\x313233"]),
        (bits(Some(3), false), "text", vec!["101", "000"]),
        (bits(None, false), "text", vec!["1", "0101"]),
        (bits(Some(8), true), "text", vec!["", "1", "01010101"]),
        (bits(None, true), "text", vec!["", "1111111111111111111111111111111111111111"]),
        (L::Date, "text", vec!["0001-01-01", "1970-01-01", "2024-02-29", "9999-12-31"]),
        (L::TIME, "text", vec!["00:00:00", "23:59:59.999999", "24:00:00"]),
        (L::Time { precision: 3 }, "text", vec!["12:00:00.123"]),
        (
            L::TIMESTAMP,
            "text",
            vec!["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.5"],
        ),
        (L::Timestamp { zoned: false, precision: 0 }, "text", vec!["2024-01-01 00:00:00"]),
        (L::TIMESTAMPTZ, "text", vec!["0001-01-01 00:00:00+00:00", "9999-12-31 23:59:59.999999+00:00"]),
        (
            L::Interval,
            "text",
            vec!["PT0S", "P1Y2M3DT4H5M6.5S", "P-178956970Y-8M-2147483648DT-2562047788H-54.775808S"],
        ),
        (
            L::JSON,
            "text",
            vec!["123", "1e5", "1.0", " 12 ", "null", "\"x\"", "{\"a\": 1}", "12345678901234567890123"],
        ),
        (L::Json { normalized: true }, "text", vec!["123", "[]"]),
        (
            L::Uuid,
            "text",
            vec![
                "00000000-0000-0000-0000-000000000012",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "12345678-9012-3456-7890-123456789012",
            ],
        ),
        (L::Opaque, "text", vec!["123", "(1,2)", ""]),
    ]
}

#[tokio::test]
async fn every_value_of_every_type_comes_back() {
    for (logical, class, values) in extremes() {
        let rig = Rig::new();
        let schema = schema(&[("id", L::Int32, false), ("v", logical, true)], &["id"]);
        let mut rows: Vec<Row> =
            values.iter().enumerate().map(|(id, value)| row(&[&id.to_string(), value])).collect();
        rows.push(row(&[&values.len().to_string(), "NULL"]));
        // What a float is shown as is the shortest text, which need not be the one it was given as.
        let expected: Vec<Row> = crate::rig::texts(&schema, &batch(&schema, &rows).rows);
        copy(&rig, "r1", target("t", schema, WriteMode::Overwrite), &rows).await;
        assert_eq!(rig.rows("t").await, expected, "{logical}");
        let classes = rig.query("SELECT DISTINCT typeof(v) FROM t WHERE v IS NOT NULL");
        assert_eq!(classes, crate::rig::rows(&[&[class]]), "{logical}");
        assert_eq!(rig.one("SELECT typeof(v) FROM t ORDER BY id DESC"), "null");
    }
}

/// SQLite to SQLite, declared types as they are, in which SQLite converts as it did at the source.
#[tokio::test]
async fn declared_types_and_values_are_copied_between_files() {
    let from = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a VARCHAR(20) COLLATE NOCASE NOT NULL DEFAULT 'x',
           b DECIMAL(12,2) DEFAULT 1.5, c NUMERIC, d JSON, e DATETIME, f BOOLEAN DEFAULT TRUE, g DOUBLE PRECISION,
           h, i BLOB, j UUID, k DATE, l DECIMAL(30,0));
         INSERT INTO t VALUES
          (1, 'a', 1.1, 5, '123', '2024-01-01 10:00:00', 1, 1, 7, x'00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2024-01-01', 5),
          (2, '', 12345678.91, 0.1, '1.5', NULL, 0, 2.5, 8, x'', NULL, NULL, 12345678901234567890),
          (9, 'é', -3, 1e300, '{\"a\": 1}', '2024-01-01T10:00', NULL, NULL, 9, NULL, NULL, NULL, NULL),
          (10, 'z', 0, 12345678901234567890, 'true', NULL, NULL, 1e300, NULL, NULL, NULL, NULL, -0.0);
         DELETE FROM t WHERE id = 10",
    );
    let stream = from.stream("t").await;
    let rows = from.rows("t").await;
    assert_eq!(rows.len(), 3);
    let to = Rig::new();
    let mut copied = target("t", stream.schema.clone(), WriteMode::Overwrite);
    copied.source = stream.name.clone();
    copy(&to, "r1", copied, &rows).await;
    assert_eq!(to.rows("t").await, rows);
    let values = "SELECT id, a, b, c, d, f, g, h, i, j, k, l,
        typeof(b), typeof(c), typeof(d), typeof(g), typeof(h), typeof(l) FROM t ORDER BY id";
    assert_eq!(to.query(values), from.query(values));
    // The form of a date may change, its value not.
    assert_eq!(to.one("SELECT e FROM t WHERE id = 9"), "2024-01-01 10:00:00");
    let declared =
        "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('t') WHERE name <> 'h'";
    assert_eq!(
        to.query(declared).iter().map(|row| &row[..2]).collect::<Vec<_>>(),
        from.query(declared).iter().map(|row| &row[..2]).collect::<Vec<_>>()
    );
    to.run("INSERT INTO t (h) VALUES (1)");
    assert_eq!(
        to.query("SELECT id, a, b, f FROM t ORDER BY id DESC LIMIT 1"),
        crate::rig::rows(&[&["10", "x", "1.5", "1"]])
    );
    assert_eq!(to.one("SELECT count(*) FROM t WHERE a = 'A'"), "1", "the collation came along");
}

#[tokio::test]
async fn what_sqlite_would_alter_is_refused_at_the_sink() {
    for (logical, values, words) in [
        (L::Float64, vec!["NaN"], "NaN"),
        (L::Float32, vec!["NaN"], "NaN"),
        (L::Decimal { precision: 5, scale: 2 }, vec!["NaN"], "NaN"),
        (L::Decimal { precision: 50, scale: 2 }, vec!["NaN"], "NaN"),
        (L::Date, vec!["infinity", "0044-03-15 BC", "10000-01-01"], "a date"),
        (L::TIMESTAMP, vec!["infinity", "0001-12-31 23:59:59 BC", "10000-01-01 00:00:00"], "a date"),
        (L::TIMESTAMPTZ, vec!["infinity"], "a date"),
    ] {
        let rig = Rig::new();
        let schema = schema(&[("id", L::Int64, false), ("v", logical, true)], &["id"]);
        let run = crate::rig::Run::begin(&rig, "r1", target("t", schema, WriteMode::Overwrite)).await;
        let rows: Vec<Row> =
            values.iter().enumerate().map(|(id, value)| row(&[&id.to_string(), value])).collect();
        let refused = run.load(0, &rows).await;
        assert_eq!(refused.len(), values.len(), "{logical}: {refused:?}");
        for (_, message) in refused {
            assert!(
                message.contains("`t.v`") && message.contains(words) && message.contains("4001"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn numbers_go_into_a_users_own_column_exactly_or_not_at_all() {
    let decimal = L::Decimal { precision: 30, scale: 10 };
    for (declared, logical, value, expected) in [
        ("NUMERIC", decimal, "12.5000000000", Some(("real", "12.5"))),
        ("NUMERIC", decimal, "5.0000000000", Some(("integer", "5"))),
        ("NUMERIC", decimal, "12345678901234567890.0000000000", None),
        ("NUMERIC", decimal, "0.1234567890", Some(("real", "0.123456789"))),
        ("NUMERIC", decimal, "1234567890123.1234567891", None),
        ("NUMERIC", L::Numeric, "9223372036854775807", Some(("integer", "9223372036854775807"))),
        ("NUMERIC", L::Numeric, "1e300", Some(("real", "1e300"))),
        ("NUMERIC", L::Numeric, "NaN", None),
        ("NUMERIC", L::UInt64, "18446744073709551615", None),
        ("NUMERIC", L::UInt64, "7", Some(("integer", "7"))),
        ("NUMERIC_TEXT", L::UInt64, "18446744073709551615", Some(("text", "18446744073709551615"))),
        ("REAL", L::Int32, "5", Some(("real", "5.0"))),
        ("JSON", L::JSON, "123", Some(("integer", "123"))),
        ("JSON", L::JSON, "1.0", None),
        ("JSON", L::JSON, "1.5", Some(("real", "1.5"))),
        ("JSON", L::JSON, " 12", None),
        ("JSON", L::JSON, "\"12\"", Some(("text", "\"12\""))),
        ("TEXT", L::Date, "infinity", Some(("text", "infinity"))),
        ("TEXT", L::Float64, "NaN", Some(("text", "NaN"))),
        ("TEXT", L::Bool, "true", Some(("text", "true"))),
        ("", L::Int64, "5", Some(("integer", "5"))),
        (
            "",
            L::Uuid,
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            Some(("text", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t (v {declared})"));
        let mut append = target("t", schema(&[("v", logical, true)], &[]), WriteMode::Append);
        append.staged = false;
        let run = crate::rig::Run::begin(&rig, "r1", append).await;
        let refused = run.load(0, &rows(&[&[value]])).await;
        let kept = rig.query("SELECT typeof(v), v FROM t");
        match expected {
            Some((class, shown)) => {
                assert_eq!(kept, rows(&[&[class, shown]]), "{value} in {declared}: {refused:?}")
            }
            None => assert!(kept.is_empty() && refused.len() == 1, "{value} in {declared}: {kept:?}"),
        }
    }
}

/// Dirty values: each row but the first is refused with its number, column and class, and no value.
#[tokio::test]
async fn values_of_another_type_than_their_columns_are_rejected() {
    for (declared, good, bad) in [
        ("INTEGER", "5", vec![("'secret'", "text"), ("5.5", "a real"), ("x'53'", "a blob")]),
        ("INT", "-1", vec![("'12a'", "text")]),
        ("TEXT", "'5'", vec![("x'53'", "a blob"), ("CAST(x'ff' AS TEXT)", "UTF-8")]),
        ("BLOB", "x'00'", vec![("'secret'", "text"), ("5", "an integer")]),
        ("REAL", "1.5", vec![("'secret'", "text"), ("x'00'", "a blob")]),
        ("FLOAT4", "1.5", vec![("0.1", "32 bits")]),
        ("BOOLEAN", "1", vec![("2", "an integer other"), ("'true'", "text"), ("0.5", "a real")]),
        (
            "DATE",
            "'2024-01-01'",
            vec![("'2024-13-01'", "no date"), ("5", "an integer"), ("'2024-01-01 10:00'", "no date")],
        ),
        (
            "DATETIME",
            "'2024-01-01 10:00'",
            vec![("'2024-01-01T10:00Z'", "with a zone"), ("1700000000", "an integer")],
        ),
        ("TIMESTAMPTZ", "'2024-01-01T10:00+02:00'", vec![("'x'", "no date with a time")]),
        ("TIMESTAMP(3)", "'2024-01-01 10:00:00.123'", vec![("'2024-01-01 10:00:00.1234'", "more digits")]),
        ("TIME", "'10:00'", vec![("'25:00'", "no time"), ("10.5", "a real")]),
        (
            "DECIMAL(5,2)",
            "1.25",
            vec![("'secret'", "no number"), ("1.255", "exactly"), ("1000", "exactly"), ("x'00'", "a blob")],
        ),
        ("DECIMAL_TEXT(5,2)", "'1.25'", vec![("'secret'", "no number"), ("'1.255'", "exactly")]),
        ("NUMERIC", "1.25", vec![("'secret'", "no number"), ("x'00'", "a blob")]),
        (
            "UUID",
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
            vec![("'secret'", "no UUID"), ("12", "an integer")],
        ),
        ("INTERVAL", "'P1D'", vec![("'1 day'", "no interval")]),
        ("BIT_TEXT(3)", "'101'", vec![("'10'", "bits"), ("'1x1'", "bits")]),
        ("JSON", "'{}'", vec![("x'00'", "a blob")]),
    ] {
        let rig =
            Rig::with(&format!("CREATE TABLE t (v {declared}); INSERT INTO t (rowid, v) VALUES (7, {good})"));
        for (place, (value, _)) in bad.iter().enumerate() {
            rig.run(&format!("INSERT INTO t (rowid, v) VALUES ({}, {value})", 17 + place));
        }
        let got = rig.read("t", 1_000).await;
        assert_eq!(got.rows.len(), 1, "{declared}: {got:?}");
        assert_eq!(got.rejects.len(), bad.len(), "{declared}: {got:?}");
        for ((place, (value, words)), (found, message)) in bad.iter().enumerate().zip(got.refusals()) {
            assert_eq!(found, format!("rowid {}", 17 + place), "{declared}");
            assert_eq!(got.rejects[place].row, place as u32);
            assert!(
                message.contains(words) && message.contains("`t.v`") && message.contains("4002"),
                "{value} in {declared}: {message}"
            );
            assert!(!message.contains("secret"), "{message}");
        }
    }
}

#[tokio::test]
async fn what_loses_nothing_is_read() {
    for (declared, value, logical, expected) in [
        ("REAL", "5", L::Float64, "5"),
        ("", "9007199254740992.0", L::Float64, "9007199254740992"),
        ("DECIMAL(5,2)", "5", L::Decimal { precision: 5, scale: 2 }, "5.00"),
        ("DECIMAL(5,2)", "1.1", L::Decimal { precision: 5, scale: 2 }, "1.10"),
        ("DECIMAL_TEXT(5,2)", "'1.1'", L::Decimal { precision: 5, scale: 2 }, "1.10"),
        ("DECIMAL_TEXT(5,2)", "'+1.100'", L::Decimal { precision: 5, scale: 2 }, "1.10"),
        ("DECIMAL(60,2)", "1e20", L::Decimal { precision: 60, scale: 2 }, "100000000000000000000.00"),
        ("NUMERIC", "0.1", L::Numeric, "0.1"),
        ("NUMERIC_TEXT", "'NaN'", L::Numeric, "NaN"),
        ("DATETIME", "'2024-01-01'", L::TIMESTAMP, "2024-01-01 00:00:00"),
        ("TIMESTAMPTZ", "'2024-01-01 10:00'", L::TIMESTAMPTZ, "2024-01-01 10:00:00+00:00"),
        ("TIMESTAMPTZ", "'2024-01-01T10:00+02:00'", L::TIMESTAMPTZ, "2024-01-01 08:00:00+00:00"),
        ("JSON", "'123'", L::JSON, "123"),
        ("BOOLEAN", "1.0", L::Bool, "true"),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t (v {declared}); INSERT INTO t VALUES ({value})"));
        assert_eq!(rig.stream("t").await.schema.columns[0].logical, logical, "{declared}");
        assert_eq!(rig.rows("t").await, rows(&[&[expected]]), "{value} in {declared}");
    }
}

#[tokio::test]
async fn dates_can_be_read_as_text() {
    let mut rig = Rig::with(
        "CREATE TABLE t (a DATETIME, b DATE, c INTEGER);
         INSERT INTO t VALUES ('yesterday', '2024', 1), (1700000000, 2024.5, 2)",
    );
    rig.dates = Dates::Text;
    let stream = rig.stream("t").await;
    assert_eq!(stream.schema.columns[0].logical, L::TEXT);
    let expected = rows(&[&["yesterday", "2024", "1"], &["1700000000", "2024.5", "2"]]);
    assert_eq!(rig.rows("t").await, expected);
    // The declared type means something else than what travels: a new table gets a text column.
    let to = Rig::new();
    copy(&to, "r1", target("t", stream.schema, WriteMode::Overwrite), &expected).await;
    assert_eq!(to.rows("t").await, expected);
}

#[tokio::test]
async fn a_column_without_a_type_means_what_it_holds() {
    for (values, logical, warned) in [
        ("(1), (2), (NULL)", L::Int64, false),
        ("(1.5), (2.0)", L::Float64, false),
        ("('a'), ('1')", L::TEXT, false),
        ("(x'00')", L::Binary, false),
        ("(1), (1.5)", L::Numeric, false),
        ("(1), ('a')", L::TEXT, true),
        ("(x'00'), ('a')", L::TEXT, true),
        ("(NULL)", L::TEXT, false),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t (v); INSERT INTO t VALUES {values}"));
        let stream = rig.stream("t").await;
        assert_eq!(
            (stream.schema.columns[0].logical, &stream.schema.columns[0].native),
            (logical, &Some("ANY".to_owned())),
            "{values}"
        );
        let read = crate::rig::read_of(stream, 10);
        let findings = rig.source().await.inspect(&[read]).await.unwrap();
        let found = crate::rig::messages(&findings).iter().any(|message| message.contains("several kinds"));
        assert_eq!(found, warned, "{values}");
        let got = rig.read("t", 10).await;
        assert_eq!(got.rejects.is_empty(), !warned, "{values}");
    }
    let rig = Rig::with("CREATE TABLE t (v)");
    assert_eq!(rig.stream("t").await.schema.columns[0].logical, L::TEXT, "an empty table");
}

/// What does not fit is told before anything is touched.
#[tokio::test]
async fn narrowing_is_a_blocker_that_names_cast() {
    for (declared, logical, fits) in [
        ("INTEGER", L::Int32, true),
        ("INTEGER", L::UInt64, false),
        ("INTEGER", L::TEXT, false),
        ("TEXT", L::Int64, true),
        ("TEXT", L::Binary, false),
        ("DECIMAL(5,2)", L::Decimal { precision: 6, scale: 2 }, false),
        ("DATE", L::TIMESTAMP, false),
        ("TIMESTAMP(3)", L::TIMESTAMP, false),
        ("TIMESTAMP", L::Timestamp { zoned: false, precision: 3 }, true),
        ("BOOLEAN", L::Bool, true),
        ("BLOB", L::TEXT, false),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t (v {declared})"));
        let target = target("t", schema(&[("v", logical, true)], &[]), WriteMode::Append);
        let plan = plan_of(&rig, target).await;
        assert_eq!(blockers(&plan).is_empty(), fits, "{logical} into {declared}: {:?}", plan.findings);
        if !fits {
            assert_eq!(blockers(&plan)[0].number, 3003);
            assert!(plan.findings[0].message.contains("cast: {v: "), "{:?}", plan.findings);
        }
    }
}

#[test]
fn the_rig_writes_what_it_is_told() {
    let schema: TableSchema = schema(&[("a", L::Int64, true)], &[]);
    assert_eq!(
        crate::rig::texts(&schema, &batch(&schema, &rows(&[&["5"], &["NULL"]])).rows),
        rows(&[&["5"], &["NULL"]])
    );
}
