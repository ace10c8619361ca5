//! A record tells its row's key exactly, whatever its type.

use syncline_testkit::servers::mysql::{self, Product};

use crate::{
    TRIGGERS,
    rig::{Rig, products},
};

/// Types of keys, each with values.
const KEYS: &[(&str, &[&str])] = &[
    ("tinyint", &["-128", "0", "127"]),
    ("tinyint(1)", &["0", "1"]),
    ("smallint unsigned", &["0", "65535"]),
    ("mediumint", &["-8388608", "8388607"]),
    ("int(5) unsigned zerofill", &["7", "4294967295"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("bigint unsigned", &["0", "18446744073709551615"]),
    (
        "decimal(65,30)",
        &[
            "12345678901234567890123456789012345.123456789012345678901234567891",
            "-0.000000000000000000000000000001",
        ],
    ),
    ("decimal(5,0) unsigned", &["0", "99999"]),
    ("float", &["0.1", "-3.4e38", "16777217"]),
    ("double", &["0.1", "1.7976931348623157e308", "-2.2250738585072014e-308", "0.30000000000000004"]),
    ("bit(1)", &["b'0'", "b'1'"]),
    ("bit(64)", &["b'1'", "x'FFFFFFFFFFFFFFFF'", "x'8000000000000001'"]),
    ("date", &["'1000-01-01'", "'9999-12-31'"]),
    ("datetime", &["'2024-02-29 23:59:59'"]),
    ("datetime(6)", &["'1000-01-01 00:00:00.000001'", "'2024-10-27 02:30:00.999999'"]),
    ("timestamp(3)", &["'1970-01-01 00:00:01'", "'2024-10-27 02:30:00.125'", "'2038-01-18 03:14:07.999'"]),
    ("timestamp", &["'2024-03-31 02:30:00'"]),
    ("time(6)", &["'-838:59:58.999999'", "'00:00:00.000001'", "'838:59:59'"]),
    ("year", &["1901", "2155"]),
    ("char(5)", &["'a'", "''", "'ä€😀'"]),
    ("varchar(40)", &["'a'", "' a'", "'it''s'", "'a\\\\b'", "'ä€😀'", "''"]),
    ("varchar(10) CHARACTER SET latin1", &["'é'", "'ÿ'", "'a'"]),
    ("varchar(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", &["'a'", "'A'", "'é'"]),
    ("varchar(10) CHARACTER SET utf16", &["'a'", "'😀'"]),
    ("binary(4)", &["x'00000000'", "x'00FF0A5C'"]),
    ("varbinary(20)", &["''", "x'00'", "x'0000'", "x'FF27225C'"]),
    ("enum('a','b c','€')", &["'a'", "'b c'", "'€'"]),
    ("set('x','y','z')", &["''", "'x,z'", "'x,y,z'"]),
    ("uuid", &["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"]),
    ("inet6", &["'::'", "'2001:db8::ff00:42:8329'"]),
];

fn key_of(line: &str) -> String {
    let row = line.splitn(3, ' ').nth(2).unwrap_or_default();
    row.rsplit_once('|').map_or(row, |(key, _)| key).to_owned()
}

#[tokio::test]
async fn keys_of_every_type_are_told_exactly() {
    for product in products() {
        let keys: Vec<_> = KEYS
            .iter()
            .filter(|(kind, _)| product == Product::Mariadb || !matches!(*kind, "uuid" | "inet6"))
            .collect();
        let tables = keys.iter().enumerate().map(|(at, (kind, _))| {
            format!(
                "CREATE TABLE t{at} (id {kind} NOT NULL, part int NOT NULL, v int, PRIMARY KEY (id, part))"
            )
        });
        let rig = Rig::on(mysql::shared(product), &tables.collect::<Vec<_>>().join("; "), TRIGGERS).await;
        let names: Vec<String> = (0..keys.len()).map(|at| format!("t{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut following = rig.follow(&names).await;
        let zone = "SET SESSION time_zone = '-07:30'";
        let all = |statement: &dyn Fn(usize, &[&str]) -> String| {
            let each = keys.iter().enumerate().map(|(at, (_, values))| statement(at, values));
            format!("{zone}; {}", each.collect::<Vec<_>>().join("; "))
        };
        rig.sql(&all(&|at, values| {
            let rows: Vec<String> =
                values.iter().enumerate().map(|(part, value)| format!("({value}, {part}, 1)")).collect();
            format!("INSERT INTO t{at} VALUES {}", rows.join(", "))
        }));
        let inserted = following.all(&rig).await.lines;
        rig.sql(&all(&|at, _| format!("UPDATE t{at} SET v = 2")));
        let updated = following.all(&rig).await.lines;
        rig.sql(&all(&|at, _| format!("DELETE FROM t{at}")));
        let deleted = following.all(&rig).await.lines;
        for (at, (kind, values)) in keys.iter().enumerate() {
            let of = |lines: &[String], verb: &str| {
                let begin = format!("t{at} {verb} ");
                let mut keys: Vec<String> =
                    lines.iter().filter(|line| line.starts_with(&begin)).map(|line| key_of(line)).collect();
                keys.sort();
                keys
            };
            let deleted: Vec<String> = deleted.iter().map(|line| format!("{line}|")).collect();
            let there = of(&inserted, "+");
            assert_eq!(there.len(), values.len(), "{kind} on {product:?}: {inserted:?}");
            assert_eq!(of(&updated, "~"), there, "{kind} on {product:?}");
            assert_eq!(of(&deleted, "-"), there, "{kind} on {product:?}");
        }
    }
}

#[tokio::test]
async fn days_that_are_none_are_keys_where_they_are_texts() {
    for product in products() {
        let options = format!("{TRIGGERS}, \"zero_dates\": \"text\"");
        let sql = "CREATE TABLE t (id date NOT NULL, at datetime NOT NULL, v int, PRIMARY KEY (id, at))";
        let rig = Rig::on(mysql::shared(product), sql, &options).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO t VALUES ('0000-00-00', '0000-00-00 00:00:00', 1), \
             ('2024-02-31', '2024-00-00 10:00:00', 2), ('2024-01-01', '2024-01-01', 3)",
        );
        let told = following.all(&rig).await.lines;
        assert_eq!(told.len(), 3, "{told:?}");
        rig.sql("SET sql_mode = ''; UPDATE t SET v = v + 1");
        let updated = following.all(&rig).await.lines;
        assert_eq!(updated.len(), 3, "{updated:?} on {product:?}");
        assert!(updated.iter().all(|line| line.starts_with("t ~ ")), "{updated:?} on {product:?}");
        rig.sql("DELETE FROM t");
        let mut gone = following.all(&rig).await.lines;
        gone.sort();
        assert_eq!(
            gone,
            [
                "t - 0000-00-00|0000-00-00 00:00:00",
                "t - 2024-01-01|2024-01-01 00:00:00",
                "t - 2024-02-31|2024-00-00 10:00:00"
            ],
            "{product:?}"
        );
    }
}

#[tokio::test]
async fn keys_that_are_equal_and_not_the_same_are_two() {
    for product in products() {
        let sql = "CREATE TABLE t (id varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v int)";
        let rig = Rig::on(mysql::shared(product), sql, TRIGGERS).await;
        let mut following = rig.follow(&["t"]).await;
        for (statements, expected) in [
            ("INSERT INTO t VALUES ('a', 1), ('b', 1)", vec!["t + a|1", "t + b|1"]),
            ("UPDATE t SET id = 'A' WHERE id = 'a'", vec!["t - a", "t + A|1"]),
            (
                "UPDATE t SET id = 'á' WHERE id = 'a'; UPDATE t SET v = 2 WHERE id = 'A'",
                vec!["t - A", "t + á|2"],
            ),
            ("UPDATE t SET id = 'b ' WHERE id = 'b'", vec!["t - b", "t + b |1"]),
            ("DELETE FROM t WHERE id = 'a'; INSERT INTO t VALUES ('A', 3)", vec!["t - á", "t + A|3"]),
            ("DELETE FROM t WHERE id = 'B'", vec!["t - b "]),
        ] {
            rig.sql(statements);
            assert_eq!(following.all(&rig).await.lines, expected, "{statements} on {product:?}");
        }
    }
}
