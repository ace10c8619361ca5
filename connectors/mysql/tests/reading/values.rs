//! Every type, its extremes, and what has no place elsewhere.

use std::sync::Arc;

use syncline_connect::Read;
use syncline_testkit::servers::mysql::Product;
use syncline_types::{Comparison, DefaultValue, LogicalType, Predicate, codes};

use crate::table::{config, discover, odd_server, open, products, read, read_all, table};

/// Types, their extremes from the lowest to the highest, and what they mean here.
const TYPES: &[(&str, &[&str], &[&str])] = &[
    ("tinyint(1)", &["0", "1"], &["false", "true"]),
    ("tinyint", &["-128", "127"], &["-128", "127"]),
    ("tinyint unsigned", &["0", "255"], &["0", "255"]),
    ("smallint", &["-32768", "32767"], &["-32768", "32767"]),
    ("smallint unsigned", &["65535"], &["65535"]),
    ("mediumint", &["-8388608", "8388607"], &["-8388608", "8388607"]),
    ("mediumint unsigned", &["16777215"], &["16777215"]),
    ("int", &["-2147483648", "2147483647"], &["-2147483648", "2147483647"]),
    ("int(7) unsigned zerofill", &["5", "4294967295"], &["5", "4294967295"]),
    (
        "bigint",
        &["-9223372036854775808", "9223372036854775807"],
        &["-9223372036854775808", "9223372036854775807"],
    ),
    ("bigint unsigned", &["18446744073709551615"], &["18446744073709551615"]),
    ("decimal(10,2)", &["-99999999.99", "0", "-0.01"], &["-99999999.99", "0.00", "-0.01"]),
    (
        "decimal(38,0) unsigned",
        &["99999999999999999999999999999999999999"],
        &["99999999999999999999999999999999999999"],
    ),
    (
        "decimal(65,30)",
        &["-99999999999999999999999999999999999.999999999999999999999999999999"],
        &["-99999999999999999999999999999999999.999999999999999999999999999999"],
    ),
    ("float", &["0.1", "-3.4e38"], &["0.1", "-3.4e38"]),
    ("double", &["1.7976931348623157e308", "-0.0", "0.1"], &["1.7976931348623157e308", "0", "0.1"]),
    ("bit(1)", &["b'0'", "b'1'"], &["false", "true"]),
    ("bit(10)", &["b'1000000001'", "b'0'"], &["1000000001", "0000000000"]),
    (
        "bit(64)",
        &["b'1000000000000000000000000000000000000000000000000000000000000001'"],
        &["1000000000000000000000000000000000000000000000000000000000000001"],
    ),
    ("date", &["'1000-01-01'", "'9999-12-31'", "'2024-02-29'"], &["1000-01-01", "9999-12-31", "2024-02-29"]),
    ("datetime", &["'2024-03-31 02:30:00'"], &["2024-03-31 02:30:00"]),
    ("datetime(6)", &["'9999-12-31 23:59:59.999999'"], &["9999-12-31 23:59:59.999999"]),
    // The session that writes them is in UTC.
    (
        "timestamp null",
        &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
        &["1970-01-01 00:00:01+00:00", "2038-01-19 03:14:07+00:00"],
    ),
    ("timestamp(6) null", &["'2024-07-01 12:00:00.000001'"], &["2024-07-01 12:00:00.000001+00:00"]),
    ("time", &["'838:59:59'", "'-838:59:59'", "'00:00:00'"], &["PT838H59M59S", "PT-838H-59M-59S", "PT0S"]),
    ("time(6)", &["'-00:00:00.000001'"], &["PT-0.000001S"]),
    ("year", &["1901", "2155", "0"], &["1901", "2155", "0"]),
    ("char(5)", &["'ab'", "''"], &["ab", ""]),
    ("varchar(20) character set utf8mb4", &["'ab  '", "x'F09F9880'"], &["ab  ", "\u{1F600}"]),
    ("varchar(10) character set latin1", &["_latin1 x'E4F6FC'"], &["\u{e4}\u{f6}\u{fc}"]),
    ("varchar(10) character set utf16", &["_utf8mb4 x'C3A4'"], &["\u{e4}"]),
    ("longtext character set utf8mb4", &["x'610A09005C27'"], &["a\n\t\0\\'"]),
    ("binary(4)", &["x'6100'", "''"], &["\\x61000000", "\\x00000000"]),
    ("varbinary(10)", &["x'6100'", "''"], &["\\x6100", "\\x"]),
    ("longblob", &["x'00FF5C27'"], &["\\x00ff5c27"]),
    ("enum('a','b''c','')", &["'a'", "'b''c'", "''"], &["a", "b'c", ""]),
    ("set('x','y')", &["'x,y'", "''"], &["x,y", ""]),
    ("geometry", &["ST_GeomFromText('POINT(1 2)')"], &["\\x0101000000000000000000f03f0000000000000040"]),
];

#[tokio::test]
async fn every_type_and_its_extremes() {
    for product in products() {
        let server = odd_server(product);
        let database = server.create_database();
        let mut own = TYPES.to_vec();
        match product {
            Product::Mysql => own.extend([
                (
                    "json",
                    &[r#"'{"b":1, "a":[1,2]}'"#, "'null'"][..],
                    &[r#"{"a": [1, 2], "b": 1}"#, "null"][..],
                ),
                ("vector(2)", &["STRING_TO_VECTOR('[1,2.5]')"], &["[1.00000e+00,2.50000e+00]"]),
                (
                    "point srid 4326",
                    &["ST_GeomFromText('POINT(1 2)', 4326)"],
                    // The server keeps the longitude first.
                    &["\\x0101000020e61000000000000000000040000000000000f03f"],
                ),
            ]),
            Product::Mariadb => own.extend([
                ("json", &[r#"'{"b":1, "a":[1,2]}'"#][..], &[r#"{"b":1, "a":[1,2]}"#][..]),
                (
                    "uuid",
                    &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
                    &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
                ),
                ("inet6", &["'2001:db8::1'"], &["2001:db8::1"]),
                (
                    "point",
                    &["ST_GeomFromText('POINT(1 2)', 4326)"],
                    &["\\x0101000020e6100000000000000000f03f0000000000000040"],
                ),
            ]),
        }
        for (at, (native, values, expected)) in own.iter().enumerate() {
            let name = format!("t{at}");
            let rows = values.iter().enumerate().map(|(row, value)| format!("({row}, {value})"));
            let rows: Vec<String> = rows.collect();
            server.sql(
                &database,
                &format!(
                    "SET sql_mode = '', time_zone = '+00:00';
                     CREATE TABLE {name} (id int primary key, v {native});
                     INSERT INTO {name} VALUES {}, (99, NULL);",
                    rows.join(", ")
                ),
            );
            let read = table(config(server.port(), &database, ""), &name).await;
            let texts: Vec<Option<&str>> = read.rows.iter().map(|row| row[1].as_deref()).collect();
            let expected: Vec<Option<&str>> = expected.iter().map(|text| Some(*text)).chain([None]).collect();
            assert_eq!(texts, expected, "{native} on {product:?}");
            assert!(read.rejects.is_empty(), "{native} on {product:?}: {:?}", read.rejects);
        }
    }
}

#[tokio::test]
async fn values_without_a_place_are_set_aside_or_read_as_the_options_say() {
    for product in products() {
        let server = odd_server(product);
        let database = server.create_database();
        server.sql(
            &database,
            "SET sql_mode = '';
             CREATE TABLE bad (id int primary key, flag tinyint(1), d date NOT NULL, dt datetime(3));
             INSERT INTO bad VALUES (1, 1, '2024-01-01', '2024-01-01'), (2, 2, '2024-01-01', NULL),
               (3, 0, '0000-00-00', NULL), (4, 0, '2024-01-01', '2024-00-00 10:00:00'), (5, NULL, '2024-01-01', NULL)",
        );
        let ids = |rows: &[Vec<Option<String>>]| -> Vec<String> {
            rows.iter().filter_map(|row| row[0].clone()).collect()
        };
        let read = table(config(server.port(), &database, ""), "bad").await;
        assert_eq!(ids(&read.rows), ["1", "5"], "{product:?}");
        let reasons: Vec<String> = read.rejects.iter().map(|reject| reject.error.to_string()).collect();
        assert_eq!(reasons.len(), 3);
        for (reason, (column, hint)) in reasons.iter().zip([
            ("`flag`", "tinyint1=int"),
            ("`d`", "zero_dates=null"),
            ("`dt`", "zero_dates"),
        ]) {
            assert!(
                reason.contains(column) && reason.contains(hint) && reason.contains("SYN-4002"),
                "{reason}"
            );
        }
        let options = r#", "tinyint1": "int", "zero_dates": "null""#;
        let read = table(config(server.port(), &database, options), "bad").await;
        assert_eq!(ids(&read.rows), ["1", "2", "3", "4", "5"], "{product:?}");
        assert_eq!(
            (read.rows[1][1].as_deref(), &read.rows[2][2], &read.rows[3][3]),
            (Some("2"), &None, &None)
        );
        let options = r#", "tinyint1": "int", "zero_dates": "text""#;
        let read = table(config(server.port(), &database, options), "bad").await;
        assert_eq!(read.rows[2][2].as_deref(), Some("0000-00-00"), "{product:?}");
        assert_eq!(read.rows[3][3].as_deref(), Some("2024-00-00 10:00:00.000"), "{product:?}");
    }
}

#[tokio::test]
async fn columns_are_described_as_they_are() {
    for product in products() {
        let server = odd_server(product);
        let database = server.create_database();
        server.sql(
            &database,
            "CREATE TABLE d (id bigint unsigned auto_increment primary key, name varchar(9) character set utf8mb4
               collate utf8mb4_bin NOT NULL DEFAULT 'it''s', n int DEFAULT -5, p decimal(5,2) DEFAULT 1.50,
               flag tinyint(1) DEFAULT 1, at timestamp NULL DEFAULT current_timestamp, day date DEFAULT '2024-01-01',
               twice int AS (n * 2) STORED, shown int INVISIBLE, e enum('x', 'y''z'), UNIQUE (name), UNIQUE (n));
             CREATE TABLE _syncline_checkpoint (a int);
             CREATE VIEW v AS SELECT id FROM d;
             INSERT INTO d (n) VALUES (4)",
        );
        let source = open(config(server.port(), &database, "")).await;
        let stream = discover(source.as_ref(), "d").await;
        let schema = &stream.schema;
        let column = |name: &str| schema.column(name).unwrap_or_else(|| panic!("{name} is there")).clone();
        assert_eq!(
            (schema.key.as_slice(), schema.unique.as_slice()),
            (&["id".to_owned()][..], &[vec!["name".to_owned()]][..])
        );
        assert!(column("id").identity && !column("id").nullable);
        assert_eq!(column("id").native.as_deref(), Some("bigint unsigned"));
        assert_eq!(column("name").default, Some(DefaultValue::Text("it's".into())));
        assert_eq!(column("name").collation.as_deref(), Some("utf8mb4_bin"));
        assert_eq!(column("n").default, Some(DefaultValue::Number("-5".into())));
        assert_eq!(column("p").default, Some(DefaultValue::Number("1.50".into())));
        assert_eq!(column("flag").default, Some(DefaultValue::Bool(true)));
        assert_eq!(column("day").default, Some(DefaultValue::Text("2024-01-01".into())));
        assert_eq!(
            (column("at").default, column("at").logical),
            (None, LogicalType::Timestamp { zoned: true, precision: 0 })
        );
        assert!(column("twice").generated && column("twice").default.is_none());
        assert_eq!(column("e").labels, Some(vec!["x".to_owned(), "y'z".to_owned()]));
        // The invisible one is read too, and so is what is computed.
        let read = table(config(server.port(), &database, ""), "d").await;
        assert_eq!((read.rows[0][7].as_deref(), read.rows[0].len()), (Some("8"), 10));
        let all = source.discover(&syncline_connect::Selection::Default).await.expect("there are tables");
        let names: Vec<&str> = all.iter().map(|stream| stream.name.table.as_str()).collect();
        assert_eq!(names, ["d"], "views and what is ours are not among them");
        let view = discover(source.as_ref(), "v").await;
        assert_eq!(view.schema.columns.len(), 1);
    }
}

#[tokio::test]
async fn how_far_a_column_goes() {
    for product in products() {
        let server = odd_server(product);
        let database = server.create_database();
        server.sql(
            &database,
            "SET time_zone = '+00:00';
             CREATE TABLE e (id bigint unsigned primary key, at timestamp(3) NULL, d date, n decimal(5,2), t text);
             INSERT INTO e VALUES (18446744073709551615, '2024-01-01 10:00:00.5', NULL, -1.5, 'x'), (1, NULL, NULL, NULL, 'y')",
        );
        let source = open(config(server.port(), &database, "")).await;
        let stream = discover(source.as_ref(), "e").await;
        for (column, highest, nulls) in [
            ("id", Some("18446744073709551615"), 0),
            ("at", Some("2024-01-01 10:00:00.5+00:00"), 1),
            ("d", None, 2),
            ("n", Some("-1.50"), 1),
        ] {
            let edge = source.edge(&stream, column).await.expect("it can be told");
            assert_eq!((edge.highest.as_deref(), edge.nulls), (highest, nulls), "{column} on {product:?}");
        }
        let error = source.edge(&stream, "t").await.expect_err("texts have no order everywhere");
        assert_eq!(error.code(), &codes::UNSUPPORTED);
    }
}

/// What the server selects by each condition that it is given.
#[tokio::test]
async fn conditions_select_what_they_say() {
    let compare = |column: &str, op, constant: &str| Predicate::Compare {
        column: column.into(),
        op,
        constant: constant.into(),
    };
    let null = |column: &str, negated| Predicate::IsNull { column: column.into(), negated };
    for product in products() {
        let server = odd_server(product);
        let database = server.create_database();
        server.sql(
            &database,
            "SET sql_mode = '', time_zone = '+00:00';
             CREATE TABLE c (id int primary key, big bigint unsigned, n decimal(10,2), flag tinyint(1), d date NOT NULL,
               at timestamp(6) NULL, dt datetime, t varchar(9), f float);
             INSERT INTO c VALUES
               (1, 0, -1.50, 0, '2024-01-01', '2024-01-01 00:00:00', '2024-01-01', 'a', 0.1),
               (2, 18446744073709551615, 1.5, 1, '2024-02-29', '2024-01-01 00:00:00.000001', NULL, 'A', 0.2),
               (3, NULL, NULL, NULL, '2024-03-01', NULL, NULL, NULL, NULL)",
        );
        let source = open(config(server.port(), &database, "")).await;
        let stream = discover(source.as_ref(), "c").await;
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        for (filter, expected) in [
            (compare("big", Greater, "9223372036854775807"), &["2"][..]),
            (compare("big", Equal, "18446744073709551615"), &["2"]),
            (compare("n", LessOrEqual, "-1.5"), &["1"]),
            (compare("n", NotEqual, "1.50"), &["1"]),
            (compare("flag", Equal, "true"), &["2"]),
            (compare("d", GreaterOrEqual, "2024-02-29"), &["2", "3"]),
            (compare("at", Greater, "2024-01-01 00:00:00+00:00"), &["2"]),
            (compare("at", Less, "2024-01-01 00:00:00.000001+00:00"), &["1"]),
            (compare("dt", Equal, "2024-01-01 00:00:00"), &["1"]),
            (null("at", false), &["3"]),
            (null("t", true), &["1", "2"]),
            (Predicate::Or(vec![compare("id", Equal, "3"), compare("n", Less, "0")]), &["1", "3"]),
            (Predicate::And(vec![compare("id", Greater, "1"), null("big", true)]), &["2"]),
        ] {
            assert!(source.evaluates(&stream, &filter), "{filter:?}");
            let read = Arc::new(Read { filter: Some(filter.clone()), ..(*read(stream.clone(), 2)).clone() });
            let rows = read_all(source.as_ref(), &read).await.expect("it is read").rows;
            let ids: Vec<&str> = rows.iter().filter_map(|row| row[0].as_deref()).collect();
            assert_eq!(ids, expected, "{filter:?} on {product:?}");
        }
        for filter in [
            compare("t", Equal, "a"),
            compare("f", Equal, "0.1"),
            compare("flag", Greater, "false"),
            // The server would take a day that is none for NULL here.
            null("d", false),
        ] {
            assert!(!source.evaluates(&stream, &filter), "{filter:?}");
        }
        let nulled = open(config(server.port(), &database, r#", "zero_dates": "null""#)).await;
        assert!(!nulled.evaluates(&stream, &compare("d", Less, "2024-02-29")), "what is no day is NULL here");
    }
}
