//! Values in a wider type of the target: what they become there, and that verification finds them equal.

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    own,
    ran::{Rejected, Route, Verdict},
};

/// Type and value at the source, type and text at the target.
const PAIRS: &[(&str, &str, &str, &str)] = &[
    ("smallint", "-32768", "integer", "-32768"),
    ("integer", "-2147483648", "bigint", "-2147483648"),
    ("oid", "4294967295", "bigint", "4294967295"),
    ("bigint", "-9223372036854775808", "numeric", "-9223372036854775808"),
    ("bigint", "9223372036854775807", "numeric(19,0)", "9223372036854775807"),
    ("integer", "2147483647", "double precision", "2147483647"),
    ("smallint", "-32768", "real", "-32768"),
    ("real", "0.1", "double precision", "0.10000000149011612"),
    ("real", "-0", "double precision", "-0"),
    ("real", "NaN", "double precision", "NaN"),
    ("numeric(5,2)", "1.10", "numeric(12,4)", "1.1000"),
    ("numeric(5,2)", "NaN", "numeric(50,4)", "NaN"),
    ("numeric(50,2)", "1.10", "numeric", "1.10"),
    ("character varying(5)", "a  ", "character varying(9)", "a  "),
    ("character(5)", "a", "text", "a    "),
    ("character(5)", "", "text", "     "),
    ("name", "n", "text", "n"),
    ("bit(3)", "101", "bit varying(5)", "101"),
    ("bit varying(3)", "", "bit varying", ""),
    ("time(3)", "24:00:00", "time", "24:00:00"),
    ("timestamp(0)", "infinity", "timestamp", "infinity"),
    ("timestamptz(3)", "0044-03-15 12:00:00.125+00 BC", "timestamptz", "0044-03-15 12:00:00.125+00 BC"),
    ("json", "{\"b\": 1E2, \"a\": -0.0, \"a\": [\"\\u00e9\"]}", "jsonb", "{\"a\": [\"é\"], \"b\": 100}"),
    ("json", "1e2000", "jsonb", "1e2000"),
    ("jsonb", "{\"b\": 1, \"a\": 1.10}", "json", "{\"a\": 1.10, \"b\": 1}"),
    ("mood", "sad", "feeling", "sad"),
    ("mood", "sad", "text", "sad"),
    // Anything but bytes into a text, in the one form that Syncline has for it.
    ("boolean", "t", "text", "true"),
    ("bigint", "-5", "text", "-5"),
    ("numeric(5,2)", "-0.10", "text", "-0.10"),
    ("numeric", "Infinity", "text", "Infinity"),
    ("numeric(5,2)", "NaN", "text", "NaN"),
    ("double precision", "-0", "text", "-0"),
    ("double precision", "1e300", "text", "1e300"),
    ("double precision", "-Infinity", "text", "-Infinity"),
    ("real", "0.1", "text", "0.1"),
    ("bit(3)", "101", "text", "101"),
    ("date", "0044-03-15 BC", "text", "0044-03-15 BC"),
    ("date", "infinity", "text", "infinity"),
    ("time", "23:59:59.5", "text", "23:59:59.5"),
    ("timestamp", "-infinity", "text", "-infinity"),
    ("timestamptz", "2024-01-01 12:00:00.5+00", "text", "2024-01-01 12:00:00.5+00:00"),
    ("interval", "1 mon -1 day 00:00:01", "text", "P1M-1DT1S"),
    ("json", " [1] ", "text", " [1] "),
    ("jsonb", "[1,2]", "text", "[1, 2]"),
    ("uuid", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "text", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("inet", "10.0.0.1", "text", "10.0.0.1"),
    ("int4range", "[1,2]", "text", "[1,3)"),
    ("integer[]", "{1,NULL}", "text", "{1,NULL}"),
];

fn database() -> Database {
    let database = postgres::shared().database(&postgres::shared().create_database());
    database.sql("CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE feeling AS ENUM ('glad', 'sad')");
    database
}

#[test]
fn values_in_a_wider_type_are_equal() {
    if left_out("postgres") {
        return;
    }
    let (desk, from, to) = (Desk::new(), database(), database());
    for (at, (source, value, target, _)) in PAIRS.iter().enumerate() {
        let value = value.replace('\'', "''");
        from.sql(&format!("CREATE TABLE w_{at} (id int PRIMARY KEY, v {source}); INSERT INTO w_{at} VALUES (0, NULL), (1, '{value}')"));
        to.sql(&format!("CREATE TABLE w_{at} (id bigint PRIMARY KEY, v {target})"));
    }
    let route = Route { desk: &desk, from: from.url(), to: to.url(), glob: "w_*" };
    assert_eq!(route.copy(&["--write", "append"]), Rejected::new());
    let (verdicts, found) = (route.verify(), own::columns(&to));
    let mut wrong = vec![];
    for (at, (source, value, target, expected)) in PAIRS.iter().enumerate() {
        let table = format!("w_{at}");
        // Written out by the server, and far too long for a table of pairs.
        let expected = expected.replace("1e2000", &format!("1{}", "0".repeat(2000)));
        let text = found[&table].1[&1].as_deref();
        if text != Some(&*expected) || verdicts[&table] != Verdict::EQUAL {
            wrong.push(format!("{source} {value} into {target}: {text:?}, {:?}", verdicts[&table]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
