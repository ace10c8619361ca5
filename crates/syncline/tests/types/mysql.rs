//! Types of MySQL and MariaDB on their way to PostgreSQL, directly and by way of SQLite.

use syncline_testkit::servers::{
    left_out,
    mysql::{self, Product},
    postgres,
};

use crate::{
    desk::Desk,
    lite::File,
    matrix::UNREADABLE,
    own::{NULL_ID, columns},
    ran::{Route, Verdict},
};

/// A type, the one that PostgreSQL gets, and values as they are written there with what PostgreSQL
/// shows of them.
struct Case {
    native: &'static str,
    postgres: &'static str,
    values: &'static [(&'static str, &'static str)],
    /// How many more values have no place.
    unreadable: &'static [&'static str],
}

const fn case(
    native: &'static str,
    postgres: &'static str,
    values: &'static [(&'static str, &'static str)],
) -> Case {
    Case { native, postgres, values, unreadable: &[] }
}

const CASES: &[Case] = &[
    Case { unreadable: &["2", "-1"], ..case("tinyint(1)", "boolean", &[("0", "f"), ("1", "t")]) },
    case("tinyint", "smallint", &[("-128", "-128"), ("127", "127")]),
    case("tinyint unsigned", "smallint", &[("255", "255")]),
    case("smallint unsigned", "integer", &[("65535", "65535")]),
    case("mediumint unsigned", "bigint", &[("16777215", "16777215")]),
    case("int unsigned", "bigint", &[("4294967295", "4294967295")]),
    case("bigint", "bigint", &[("-9223372036854775808", "-9223372036854775808")]),
    case("bigint unsigned", "numeric(20,0)", &[("18446744073709551615", "18446744073709551615"), ("0", "0")]),
    case("decimal(12,3)", "numeric(12,3)", &[("-0.500", "-0.500"), ("999999999.999", "999999999.999")]),
    case(
        "decimal(65,30)",
        "numeric(65,30)",
        &[(
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "-99999999999999999999999999999999999.999999999999999999999999999999",
        )],
    ),
    case("float", "real", &[("0.1", "0.1"), ("-3.4e38", "-3.4e+38")]),
    case(
        "double",
        "double precision",
        &[("1.7976931348623157e308", "1.7976931348623157e+308"), ("0.1", "0.1")],
    ),
    case("bit(1)", "boolean", &[("b'1'", "t"), ("b'0'", "f")]),
    case("bit(10)", "bit(10)", &[("b'1000000001'", "1000000001"), ("b'1'", "0000000001")]),
    Case {
        unreadable: &["'0000-00-00'", "'2024-00-01'"],
        ..case("date", "date", &[("'1000-01-01'", "1000-01-01"), ("'9999-12-31'", "9999-12-31")])
    },
    Case {
        unreadable: &["'0000-00-00 00:00:00'"],
        ..case(
            "datetime(6)",
            "timestamp without time zone",
            &[("'9999-12-31 23:59:59.999999'", "9999-12-31 23:59:59.999999")],
        )
    },
    case("datetime", "timestamp(0) without time zone", &[("'2024-03-31 02:30:00'", "2024-03-31 02:30:00")]),
    case(
        "timestamp(6) null",
        "timestamp with time zone",
        &[("'2024-07-01 12:00:00.000001'", "2024-07-01 12:00:00.000001+00")],
    ),
    case("time(6)", "interval", &[("'-838:59:59'", "-838:59:59"), ("'25:00:00.5'", "25:00:00.5")]),
    case("year", "smallint", &[("2155", "2155")]),
    case("char(5)", "character varying(5)", &[("'ab'", "ab"), ("''", "")]),
    case(
        "varchar(9)",
        "character varying(9)",
        &[("'ab  '", "ab  "), ("''", ""), ("'\u{1F980}\\\\'", "\u{1F980}\\")],
    ),
    case("longtext", "text", &[("'a\\tb\\r\\nc'", "a\tb\r\nc")]),
    case("varchar(9) character set latin1", "character varying(9)", &[("'\u{e4}\u{fc}'", "\u{e4}\u{fc}")]),
    case("binary(4)", "bytea", &[("x'6100'", "\\x61000000")]),
    case("varbinary(9)", "bytea", &[("x'6100'", "\\x6100"), ("''", "\\x")]),
    case("longblob", "bytea", &[("x'00ff'", "\\x00ff")]),
    case("enum('a','b''c','')", "text", &[("'b''c'", "b'c"), ("''", "")]),
    case("set('x','y')", "text", &[("'x,y'", "x,y"), ("''", "")]),
    case(
        "point",
        "bytea",
        &[("ST_GeomFromText('POINT(1 2)')", "\\x0101000000000000000000f03f0000000000000040")],
    ),
];

const JSON_OF_MYSQL: Case = case("json", "jsonb", &[(r#"'{"b":1,"a":"x"}'"#, r#"{"a": "x", "b": 1}"#)]);
const JSON_OF_MARIADB: Case = case("json", "json", &[(r#"'{"b":1,"a":"x"}'"#, r#"{"b":1,"a":"x"}"#)]);
const UUID: Case = case(
    "uuid",
    "uuid",
    &[("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
);
const INET: Case = case("inet6", "text", &[("'2001:db8::1'", "2001:db8::1")]);

fn cases(product: Product) -> Vec<&'static Case> {
    let own: &[&'static Case] = match product {
        Product::Mysql => &[&JSON_OF_MYSQL],
        Product::Mariadb => &[&JSON_OF_MARIADB, &UUID, &INET],
    };
    CASES.iter().chain(own.iter().copied()).collect()
}

/// A table a case, in a database of a server that is not in UTC: a NULL, the values from 1 on, and
/// behind them what cannot be read.
fn fill(server: &mysql::Mysql, cases: &[&Case]) -> String {
    let database = server.create_database();
    let mut sql = "SET NAMES utf8mb4; SET sql_mode = '', time_zone = '+00:00';".to_owned();
    for (at, case) in cases.iter().enumerate() {
        sql.push_str(&format!(
            "CREATE TABLE m{at} (id int PRIMARY KEY, v {}) DEFAULT CHARSET utf8mb4;
             INSERT INTO m{at} VALUES ({NULL_ID}, NULL)",
            case.native
        ));
        let values = case.values.iter().map(|(literal, _)| literal).chain(case.unreadable);
        for (literal, id) in values.zip(1..) {
            sql.push_str(&format!(", ({id}, {literal})"));
        }
        sql.push(';');
    }
    server.sql(&database, &sql);
    database
}

fn arrive_in_postgres(product: Product) {
    if left_out(product.name()) || left_out("postgres") {
        return;
    }
    let options = mysql::Options::new().setting("default-time-zone", "-07:30");
    let server = mysql::Mysql::start(product, options);
    let cases = cases(product);
    let url = server.url(&fill(&server, &cases));
    let postgres = postgres::shared();
    let direct = postgres.database(&postgres.create_database());
    let roundabout = postgres.database(&postgres.create_database());
    let desk = Desk::new();
    let file = File::new(desk.path(), "middle.db").url();
    for (from, to) in
        [(url.as_str(), direct.url()), (url.as_str(), file.as_str()), (file.as_str(), roundabout.url())]
    {
        let route = Route { desk: &desk, from, to, glob: "m*" };
        let rejected = route.copy(&["--write", "overwrite"]);
        let verdicts = route.verify();
        for (at, case) in cases.iter().enumerate() {
            // What cannot be read has not come as far as SQLite.
            let unreadable = if from == url { case.unreadable.len() as u64 } else { 0 };
            let table = format!("m{at}");
            let found = rejected.get(&table).and_then(|codes| codes.get(UNREADABLE)).copied().unwrap_or(0);
            assert_eq!(found, unreadable, "rejected of {} on {product:?} to {to}", case.native);
            let expected = Verdict { unreadable, ..Verdict::EQUAL };
            assert_eq!(verdicts.get(&table), Some(&expected), "{} on {product:?} to {to}", case.native);
        }
    }
    let (direct, roundabout) = (columns(&direct), columns(&roundabout));
    for (at, case) in cases.iter().enumerate() {
        let (declared, values) = &direct[&format!("m{at}")];
        assert_eq!(declared, case.postgres, "{} on {product:?}", case.native);
        let expected: Vec<Option<&str>> =
            std::iter::once(None).chain(case.values.iter().map(|(_, shown)| Some(*shown))).collect();
        for (road, values) in [("directly", values), ("by way of SQLite", &roundabout[&format!("m{at}")].1)] {
            let found: Vec<Option<&str>> = values.values().map(Option::as_deref).collect();
            assert_eq!(found, expected, "{} on {product:?} {road}", case.native);
        }
    }
}

#[test]
fn types_of_mysql_arrive_in_postgres() {
    arrive_in_postgres(Product::Mysql);
}

#[test]
fn types_of_mariadb_arrive_in_postgres() {
    arrive_in_postgres(Product::Mariadb);
}
