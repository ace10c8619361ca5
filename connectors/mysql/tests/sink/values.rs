//! Every value arrives as it was, by lines and by statements.

use syncline_connect::WriteMode;
use syncline_testkit::servers::mysql::{Mysql, Options, Product};
use syncline_types::{Column, LogicalType as L, TableSchema, text};

use crate::rig::{Rig, Row, Run, copy, products, row, rows, schema, target};

/// Servers that take lines, and such that do not.
fn both_ways() -> impl Iterator<Item = (Mysql, Rig)> {
    let settings = ["ON", "OFF"];
    products().flat_map(move |product| {
        settings.map(|setting| {
            // Strict mode is the session's own, whatever the server's is.
            let options = Options::new()
                .setting("local-infile", setting)
                .setting("sql-mode", "")
                .setting("default-time-zone", "+05:30");
            let server = Mysql::start(product, options);
            let rig = Rig::on(&server);
            (server, rig)
        })
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    text::write_hex(bytes, &mut out);
    out
}

#[tokio::test]
async fn bytes_and_texts_arrive_as_they_are() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let texts = ["", "\\N", "NULL", "a\tb\nc\rd\\e'f\"g\u{1a}\0h", "\u{1F600}\u{e9} ", "x  "];
    for (_server, rig) in both_ways() {
        let schema =
            schema(&[("id", L::Int64, false), ("b", L::Binary, true), ("t", L::TEXT, true)], &["id"]);
        let mut all: Vec<Row> = vec![row(&["0", "NULL", "NULL"])];
        for (number, text) in texts.iter().enumerate() {
            let bytes = if number == 0 { every_byte.clone() } else { text.as_bytes().to_vec() };
            let (id, bytes) = ((number + 1).to_string(), hex(&bytes));
            all.push(vec![Some(id), Some(bytes), Some((*text).to_owned())]);
        }
        copy(&rig, "r1", target("t", schema, WriteMode::Overwrite), &all).await;
        let got = rig.query("SELECT id, LOWER(HEX(b)), LOWER(HEX(t)) FROM t ORDER BY id");
        let bare = |bytes: &[u8]| hex(bytes).trim_start_matches("\\x").to_owned();
        let mut expected = vec!["0\tNULL\tNULL".to_owned()];
        for (number, text) in texts.iter().enumerate() {
            let bytes = if number == 0 { bare(&every_byte) } else { bare(text.as_bytes()) };
            expected.push(format!("{}\t{bytes}\t{}", number + 1, bare(text.as_bytes())));
        }
        assert_eq!(got, expected);
    }
}

#[tokio::test]
async fn an_empty_text_in_the_only_column_is_a_row() {
    for (_server, rig) in both_ways() {
        let schema = schema(&[("t", L::TEXT, true)], &[]);
        let all = vec![row(&[""]), row(&["NULL"]), row(&[""])];
        copy(&rig, "r1", target("t", schema, WriteMode::Overwrite), &all).await;
        assert_eq!(rig.one("SELECT COUNT(*), COUNT(t) FROM t"), "3\t2");
    }
}

#[tokio::test]
async fn every_type_arrives_as_it_was() {
    let cases: &[(&str, L, &[&str])] = &[
        ("a", L::Bool, &["true", "false"]),
        ("b", L::Int8, &["-128", "127"]),
        ("c", L::Int16, &["-32768", "32767"]),
        ("d", L::Int32, &["-2147483648", "2147483647"]),
        ("e", L::Int64, &["-9223372036854775808", "9223372036854775807"]),
        ("f", L::UInt64, &["18446744073709551615", "0"]),
        ("g", L::Float64, &["1.7976931348623157e308", "5e-324"]),
        ("h", L::Float64, &["-0", "0.1"]),
        (
            "i",
            L::Decimal { precision: 65, scale: 30 },
            &[
                "99999999999999999999999999999999999.999999999999999999999999999999",
                "-0.000000000000000000000000000001",
            ],
        ),
        ("j", L::Numeric, &["123456789012345678901234567890.5", "-1e3"]),
        ("k", L::Date, &["0001-01-01", "9999-12-31"]),
        ("l", L::TIME, &["00:00:00.000001", "24:00:00"]),
        ("m", L::TIMESTAMP, &["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"]),
        ("n", L::TIMESTAMPTZ, &["1970-01-01 00:00:01+00:00", "2038-01-19 03:14:07.5+00:00"]),
        ("o", L::Bits { length: Some(9), varying: false }, &["100000001", "000000000"]),
        ("p", L::Bits { length: None, varying: true }, &["0101", ""]),
        ("q", L::Uuid, &["00000000-0000-0000-0000-0000000000ff", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        ("r", L::Interval, &["P1Y2M3DT4H", "PT-1S"]),
        ("s", L::JSON, &["{\"a\": [1, null, \"\\u00e9\\n\"]}", "null"]),
        ("u", L::Text { length: Some(5), padded: true }, &["ab", "abcde"]),
    ];
    for (server, rig) in both_ways() {
        let columns: Vec<(&str, L, bool)> =
            cases.iter().map(|(name, logical, _)| (*name, *logical, true)).collect();
        let all: Vec<Row> =
            (0..2).map(|at| cases.iter().map(|case| Some(case.2[at].to_owned())).collect()).collect();
        let schema = schema(&columns, &[]);
        copy(&rig, "r1", target("t", schema.clone(), WriteMode::Overwrite), &all).await;
        // A second time they go through the columns that are there.
        copy(&rig, "r2", target("t", schema, WriteMode::Append), &all).await;
        let select =
            "SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, BIN(o), p, q, r, s, u FROM t ORDER BY b";
        let json = |text: &str| match server.product() {
            Product::Mysql => text.replace("\\u00e9", "\u{e9}"),
            Product::Mariadb => text.to_owned(),
        };
        // MariaDB keeps no zero's sign.
        let zero = if server.product() == Product::Mysql { "-0" } else { "0" };
        let first = format!(
            "1\t-128\t-32768\t-2147483648\t-9223372036854775808\t18446744073709551615\t1.7976931348623157e308\t{zero}\t\
             99999999999999999999999999999999999.999999999999999999999999999999\t123456789012345678901234567890.5\t\
             0001-01-01\t00:00:00.000001\t0001-01-01 00:00:00.000000\t1970-01-01 00:00:01.000000\t100000001\t0101\t\
             00000000-0000-0000-0000-0000000000ff\tP1Y2M3DT4H\t{}\tab",
            json("{\"a\": [1, null, \"\\u00e9\\n\"]}")
        );
        let second = "0\t127\t32767\t2147483647\t9223372036854775807\t0\t5e-324\t0.1\t\
             -0.000000000000000000000000000001\t-1e3\t9999-12-31\t24:00:00.000000\t9999-12-31 23:59:59.999999\t\
             2038-01-19 03:14:07.500000\t0\t\tffffffff-ffff-ffff-ffff-ffffffffffff\tPT-1S\tnull\tabcde";
        let got = rig.query(&format!("SET time_zone = '+00:00'; {select}"));
        assert_eq!(got, [first.as_str(), &first, second, second]);
    }
}

/// A schema of this dialect.
fn native(columns: &[(&str, L, &str)]) -> TableSchema {
    let columns = columns.iter().map(|(name, logical, native)| Column::new(*name, *logical).native(*native));
    TableSchema::new("mysql", columns.collect())
}

#[tokio::test]
async fn the_servers_own_types_are_kept() {
    for (_server, rig) in both_ways() {
        let schema = native(&[
            ("a", L::Interval, "time(3)"),
            ("b", L::Int16, "year"),
            ("c", L::Binary, "geometry"),
            ("d", L::Binary, "varbinary(4)"),
            ("e", L::TEXT, "enum('x','it''s')"),
            ("f", L::Bool, "bit(1)"),
            ("g", L::Int32, "mediumint"),
            ("h", L::Timestamp { zoned: false, precision: 3 }, "datetime(3)"),
            ("i", L::Text { length: Some(9), padded: false }, "varchar(9)"),
        ]);
        // A point in no reference system, and one in another.
        let wkb = "\\x010100000000000000000000000000000000000000";
        let ewkb = "\\x0101000020e610000000000000000000000000000000000000";
        let all = rows(&[
            &[
                "PT-838H-59M-59S",
                "0",
                wkb,
                "\\x00ff0a5c",
                "it's",
                "true",
                "-8388608",
                "2024-02-29 23:59:59.999",
                " x ",
            ],
            &["PT99H59M59.999S", "2155", ewkb, "\\x", "x", "false", "8388607", "1000-01-01 00:00:00", "NULL"],
        ]);
        for (run, write) in [("r1", WriteMode::Overwrite), ("r2", WriteMode::Append)] {
            copy(&rig, run, target("t", schema.clone(), write), &all).await;
        }
        let select = "SELECT a, b, ST_SRID(c), HEX(ST_AsWKB(c)), HEX(d), e, f + 0, g, h, CONCAT(i, '|') FROM t ORDER BY g";
        let first = "-838:59:59.000\t0000\t0\t010100000000000000000000000000000000000000\t00FF0A5C\tit's\t1\t-8388608\t2024-02-29 23:59:59.999\t x |";
        let second = "99:59:59.999\t2155\t4326\t010100000000000000000000000000000000000000\t\tx\t0\t8388607\t1000-01-01 00:00:00.000\tNULL";
        assert_eq!(rig.query(select), [first, first, second, second]);
        let types = "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() \
                     AND table_name = 't' ORDER BY ordinal_position";
        let expected =
            ["time", "year", "geometry", "varbinary", "enum", "bit", "mediumint", "datetime", "varchar"];
        assert_eq!(rig.query(types), expected);
    }
}

#[tokio::test]
async fn what_the_server_cannot_hold_is_refused_row_by_row() {
    for (_server, rig) in both_ways() {
        let columns = [
            ("id", L::Int64, false),
            ("f", L::Float64, true),
            ("d", L::Date, true),
            ("n", L::Decimal { precision: 9, scale: 2 }, true),
        ];
        let schema = schema(&columns, &["id"]);
        let run = Run::begin(&rig, "r1", target("t", schema, WriteMode::Overwrite)).await;
        let refused = run
            .load(
                0,
                &rows(&[
                    &["1", "NaN", "NULL", "NULL"],
                    &["2", "-inf", "NULL", "NULL"],
                    &["3", "1.5", "infinity", "NULL"],
                    &["4", "NULL", "NULL", "NaN"],
                    &["5", "NULL", "2024-01-01", "1.25"],
                ]),
            )
            .await;
        assert_eq!(refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(refused[0].1.contains("column `f`") && refused[2].1.contains("9999-12-31"), "{refused:?}");
        run.end().await;
        assert_eq!(rig.one("SELECT * FROM t"), "5\tNULL\t2024-01-01\t1.25");
    }
}

#[tokio::test]
async fn json_is_not_altered() {
    for rig in crate::rig::rigs() {
        let schema = schema(&[("id", L::Int64, false), ("j", L::JSON, true)], &["id"]);
        let run = Run::begin(&rig, "r1", target("t", schema, WriteMode::Overwrite)).await;
        let exact = "[0.12345678901234567890123]";
        let refused = run.load(0, &rows(&[&["1", "[0.1]"], &["2", exact]])).await;
        run.end().await;
        let got = rig.query("SELECT id, j FROM t ORDER BY id");
        match refused.first() {
            None => assert_eq!(got, ["1\t[0.1]", &format!("2\t{exact}")], "it is kept as text"),
            Some((1, _)) => assert_eq!(got, ["1\t[0.1]"]),
            Some(other) => panic!("{other:?}"),
        }
        assert_eq!(refused.is_empty(), rig.one("SELECT VERSION()").contains("MariaDB"), "{refused:?}");
    }
}

#[tokio::test]
async fn large_values_pass_and_those_beyond_the_packet_limit_are_refused() {
    for product in products() {
        let server = Mysql::start(product, Options::new().setting("max-allowed-packet", "8388608"));
        let rig = Rig::on(&server);
        let schema = schema(&[("id", L::Int64, false), ("t", L::TEXT, true)], &["id"]);
        let (fits, too_long) = ("\t".repeat(7 << 20), "x".repeat(9 << 20));
        let run = Run::begin(&rig, "r1", target("t", schema, WriteMode::Overwrite)).await;
        let refused = run.load(0, &[row(&["1", &fits]), row(&["2", &too_long]), row(&["3", "y"])]).await;
        assert_eq!(refused.len(), 1);
        assert!(refused[0].0 == 1 && refused[0].1.contains("max_allowed_packet"), "{refused:?}");
        run.end().await;
        let got = rig.query(
            "SELECT id, LENGTH(t), SHA2(t, 256) = SHA2(REPEAT('\\t', 7340032), 256) FROM t ORDER BY id",
        );
        assert_eq!(got, ["1\t7340032\t1", "3\t1\t0"]);
    }
}
