//! Every type: what the log tells is what a copy reads.

use std::sync::Arc;

use syncline_connect::{Next, Read};
use syncline_testkit::servers::mysql::Product;

use crate::rig::{Rig, products, server, texts};

/// Types, and values of theirs from the lowest to the highest, and such as are special.
const TYPES: &[(&str, &[&str])] = &[
    ("tinyint(1)", &["0", "1"]),
    ("tinyint", &["-128", "127"]),
    ("tinyint unsigned", &["0", "255"]),
    ("smallint", &["-32768", "32767"]),
    ("smallint unsigned", &["65535"]),
    ("mediumint", &["-8388608", "8388607", "-1"]),
    ("mediumint unsigned", &["16777215"]),
    ("int", &["-2147483648", "2147483647"]),
    ("int(7) unsigned zerofill", &["5", "4294967295"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("bigint unsigned", &["18446744073709551615"]),
    ("decimal(10,2)", &["-99999999.99", "0", "-0.01", "1234567.8"]),
    ("decimal(5,5)", &["-0.00001", "0.99999"]),
    ("decimal(38,0) unsigned", &["99999999999999999999999999999999999999"]),
    ("decimal(65,30)", &["-99999999999999999999999999999999999.999999999999999999999999999999", "0.1"]),
    ("float", &["0.1", "-3.4e38"]),
    ("double", &["1.7976931348623157e308", "0.1", "-5e-324"]),
    ("bit(1)", &["b'0'", "b'1'"]),
    ("bit(10)", &["b'1000000001'", "b'0'"]),
    ("bit(64)", &["b'1000000000000000000000000000000000000000000000000000000000000001'"]),
    ("date", &["'1000-01-01'", "'9999-12-31'", "'2024-02-29'"]),
    ("datetime", &["'2024-03-31 02:30:00'", "'1000-01-01 00:00:00'"]),
    ("datetime(1)", &["'2024-03-31 02:30:00.9'"]),
    ("datetime(4)", &["'2024-03-31 02:30:00.1234'"]),
    ("datetime(6)", &["'9999-12-31 23:59:59.999999'"]),
    ("timestamp null", &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"]),
    ("timestamp(3) null", &["'2024-07-01 12:00:00.120'"]),
    ("timestamp(6) null", &["'2024-07-01 12:00:00.000001'"]),
    ("time", &["'838:59:59'", "'-838:59:59'", "'00:00:00'", "'-00:00:01'"]),
    ("time(2)", &["'-00:00:00.01'", "'10:00:00.99'"]),
    ("time(6)", &["'-00:00:00.000001'", "'-01:02:03.5'"]),
    ("year", &["1901", "2155", "0"]),
    ("char(5)", &["'ab'", "''", "'a b'"]),
    ("char(200) character set utf8mb4", &["'äb'", "REPEAT('ä', 200)"]),
    ("varchar(20) character set utf8mb4", &["'ab  '", "x'F09F9880'"]),
    ("varchar(300)", &["REPEAT('x', 300)"]),
    ("varchar(10) character set latin1", &["_latin1 x'E4F6FC80'"]),
    ("char(10) character set latin2", &["_latin2 x'B1E6EA'"]),
    ("varchar(10) character set cp1251", &["_cp1251 x'CFF0'"]),
    ("varchar(10) character set utf16", &["_utf8mb4 x'C3A4F09F9880'"]),
    ("char(10) character set utf32", &["_utf8mb4 x'C3A4'"]),
    ("varchar(10) character set ucs2", &["_utf8mb4 x'C3A4'"]),
    ("varchar(10) character set utf16le", &["_utf8mb4 x'C3A4'"]),
    ("text character set latin1", &["_latin1 x'E4'"]),
    ("longtext character set utf8mb4", &["x'610A09005C27'"]),
    ("tinytext", &["'t'"]),
    ("mediumtext", &["REPEAT('m', 70000)"]),
    ("binary(4)", &["x'6100'", "''", "x'FFFFFFFF'"]),
    ("varbinary(10)", &["x'6100'", "''"]),
    ("tinyblob", &["x'00'"]),
    ("longblob", &["x'00FF5C27'"]),
    ("enum('a','b''c','')", &["'a'", "'b''c'", "''"]),
    ("set('x','y')", &["'x,y'", "''"]),
    ("set('1','2','3','4','5','6','7','8','9','ten')", &["'1,ten'"]),
    ("geometry", &["ST_GeomFromText('POINT(1 2)')"]),
    ("int AS (id * 2) STORED", &[]),
];

const OF_MYSQL: &[(&str, &[&str])] = &[
    (
        "json",
        &[
            r#"'{"b":1, "a":[1,2.5,-3,1e100,1.0,1e15,123456789012345678,18446744073709551615,0.00001]}'"#,
            "'null'",
            "'true'",
            "'[]'",
            "'{}'",
            r#"'"te\\"xt \\n \\u0001 ä"'"#,
            "'-70000'",
            "'3000000000'",
            "CAST(CAST(12345.678 AS DECIMAL(20,5)) AS JSON)",
            "CAST(CAST('2024-01-01 10:00:00.5' AS DATETIME(6)) AS JSON)",
            "CAST(CAST('2024-01-01' AS DATE) AS JSON)",
            "CAST(CAST('-10:00:00' AS TIME) AS JSON)",
            "JSON_OBJECT('x', REPEAT('long', 40000), 'yy', JSON_ARRAY(1, 70000, -1, NULL, 5000000000))",
            "JSON_ARRAY(CAST(x'00FF' AS BINARY), b'101')",
            "JSON_OBJECT('b', CAST(REPEAT('x', 100) AS BINARY))",
        ],
    ),
    ("vector(2)", &["STRING_TO_VECTOR('[1,2.5]')", "STRING_TO_VECTOR('[-1e-20,123456789]')"]),
    ("point srid 4326", &["ST_GeomFromText('POINT(1 2)', 4326)"]),
    ("int AS (id * 2) VIRTUAL", &[]),
];

const OF_MARIADB: &[(&str, &[&str])] = &[
    ("json", &[r#"'{"b":1, "a":[1,2]}'"#]),
    (
        "uuid",
        &[
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            "'00000000-0000-0000-0000-000000000000'",
            "'018f4a7e-0b3c-7def-8000-0123456789ab'",
        ],
    ),
    (
        "inet6",
        &[
            "'2001:db8::1'",
            "'::'",
            "'::1'",
            "'::ffff:1.2.3.4'",
            "'::1.2.3.4'",
            "'1:0:0:2::'",
            "'2001:db8:1:2:3:4:5:6'",
        ],
    ),
    ("inet4", &["'1.2.3.4'", "'255.0.0.0'"]),
    ("point", &["ST_GeomFromText('POINT(1 2)', 4326)"]),
];

/// All rows of a table as a copy reads them, in texts.
async fn copied(rig: &Rig, read: &Arc<Read>) -> Vec<String> {
    let session = rig.source.begin(std::slice::from_ref(read), 1).await.expect("a snapshot begins");
    let mut splitter = session.splitter(read, None).await.expect("it is cut");
    let mut rows = vec![];
    while let Some(split) = splitter.next().await.expect("it is cut") {
        let mut reader = session.open(read, &split, None).await.expect("a split is read");
        while let Next::Batch(batch) = reader.next().await.expect("a split is read") {
            assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
            rows.extend(texts(&batch.rows, &read.schema(), &[]));
        }
    }
    rows
}

#[tokio::test]
async fn every_value_is_the_one_that_a_copy_reads() {
    for product in products() {
        let without = if product == Product::Mysql { "MINIMAL" } else { "NO_LOG" };
        for metadata in ["FULL", without] {
            let server = server(product, &[("binlog-row-metadata", metadata)]);
            let rig = Rig::on(&server, "", "").await;
            let own = if product == Product::Mysql { OF_MYSQL } else { OF_MARIADB };
            let types: Vec<_> = TYPES.iter().chain(own).collect();
            let mut names = vec![];
            for (at, (native, _)) in types.iter().enumerate() {
                names.push(format!("t{at}"));
                rig.sql(&format!("CREATE TABLE t{at} (id int primary key, v {native})"));
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut following = rig.follow(&names).await;
            for (at, (_, values)) in types.iter().enumerate() {
                let column = if values.is_empty() { "(id)" } else { "" };
                let rows: Vec<String> = match values.is_empty() {
                    true => vec!["(1)".into(), "(2)".into()],
                    false => values
                        .iter()
                        .chain(&["NULL"])
                        .enumerate()
                        .map(|(row, value)| format!("({row}, {value})"))
                        .collect(),
                };
                rig.sql(&format!(
                    "SET sql_mode = '', time_zone = '+00:00'; INSERT INTO t{at} {column} VALUES {}",
                    rows.join(", ")
                ));
            }
            let told = following.all(&rig).await;
            for (at, (native, _)) in types.iter().enumerate() {
                let read = &following.reads[at];
                let prefix = format!("t{at} + ");
                let logged: Vec<&str> =
                    told.lines.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
                let expected = copied(&rig, read).await;
                assert!(expected.len() > 1, "{native} has values");
                assert_eq!(logged, expected, "{native} on {product:?} with {metadata}");
            }
        }
    }
}

#[tokio::test]
async fn values_without_a_place_are_set_aside_or_read_as_the_options_say() {
    for product in products() {
        let server = server(product, &[]);
        let table = "CREATE TABLE bad (id int primary key, flag tinyint(1), d date NOT NULL, dt datetime(3), ts timestamp(2) NOT NULL)";
        let rows = "SET sql_mode = '';
            INSERT INTO bad VALUES (1, 1, '2024-01-01', '2024-01-01', '2024-01-01 00:00:01'), (2, 2, '2024-01-01', NULL, '2024-01-01'),
              (3, 0, '0000-00-00', NULL, '2024-01-01'), (4, 0, '2024-01-01', '2024-00-00 10:00:00', '2024-01-01'),
              (5, 0, '2024-01-01', NULL, '0000-00-00 00:00:00')";
        for (options, expected) in [
            (
                "",
                &[
                    "bad + 1|true|2024-01-01|2024-01-01 00:00:00|2024-01-01 00:00:01+00:00",
                    "bad ! could not read column `d`",
                    "bad ! could not read column `dt`",
                    "bad ! could not read column `flag`",
                    "bad ! could not read column `ts`",
                ][..],
            ),
            (
                r#", "tinyint1": "int", "zero_dates": "null""#,
                &[
                    "bad + 1|1|2024-01-01|2024-01-01 00:00:00|2024-01-01 00:00:01+00:00",
                    "bad + 2|2|2024-01-01|-|2024-01-01 00:00:00+00:00",
                    "bad + 3|0|-|-|2024-01-01 00:00:00+00:00",
                    "bad + 4|0|2024-01-01|-|2024-01-01 00:00:00+00:00",
                    "bad + 5|0|2024-01-01|-|-",
                ],
            ),
            (
                r#", "tinyint1": "int", "zero_dates": "text""#,
                &[
                    "bad + 1|1|2024-01-01|2024-01-01 00:00:00.000|2024-01-01 00:00:01.00",
                    "bad + 2|2|2024-01-01|-|2024-01-01 00:00:00.00",
                    "bad + 3|0|0000-00-00|-|2024-01-01 00:00:00.00",
                    "bad + 4|0|2024-01-01|2024-00-00 10:00:00.000|2024-01-01 00:00:00.00",
                    "bad + 5|0|2024-01-01|-|0000-00-00 00:00:00.00",
                ],
            ),
        ] {
            let rig = Rig::on(&server, table, options).await;
            let mut following = rig.follow(&["bad"]).await;
            rig.sql(rows);
            let told = following.all(&rig).await;
            assert_eq!(told.lines.len(), expected.len(), "{:?}", told.lines);
            for (line, expected) in told.lines.iter().zip(expected) {
                assert!(line.starts_with(expected), "{product:?} {options}: {line}");
            }
        }
    }
}
