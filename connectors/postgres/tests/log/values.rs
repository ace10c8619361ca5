//! A value that comes by the log is the one that a copy reads, whatever its type.

use syncline_connect::Next;
use syncline_types::Position;

use crate::{
    rig::{Rig, texts},
    with_server,
};

/// Types, each with some values.
type Types = &'static [(&'static str, &'static [&'static str])];

/// Every type with a meaning of its own, with values at its ends.
const TYPES: Types = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["-32768", "32767"]),
    ("integer", &["-2147483648", "2147483647"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("oid", &["0", "4294967295"]),
    ("real", &["1e-45", "3.4028235e38", "'NaN'", "'-Infinity'", "'-0'"]),
    ("double precision", &["5e-324", "1.7976931348623157e308", "0.1", "'NaN'", "'Infinity'", "'-0'"]),
    ("numeric(12,2)", &["-9999999999.99", "0.01", "'NaN'"]),
    ("numeric(60,20)", &["1234567890123456789012345678901234567890.00000000000000000001", "'NaN'"]),
    ("numeric", &["1e100", "-0.00000000010", "'NaN'", "'Infinity'", "1.00"]),
    ("text", &["''", "'ä€😀'", "E'a\\nb\\tc\\\\'"]),
    ("character varying(20)", &["'x '"]),
    ("character(5)", &["'x'"]),
    ("name", &["'n'"]),
    ("bytea", &["''", "'\\x00ff5c'"]),
    ("bit(3)", &["B'101'"]),
    ("bit varying(10)", &["B''", "B'1010101'"]),
    ("date", &["'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'", "'2024-02-29'"]),
    ("time", &["'00:00:00'", "'24:00:00'", "'12:34:56.789012'"]),
    ("time(3)", &["'23:59:59.999'"]),
    ("timestamp", &["'4713-01-01 BC'", "'294246-12-31 23:59:59.999999'", "'infinity'", "'-infinity'"]),
    ("timestamptz(3)", &["'2024-07-01 12:00:00.123+02'", "'0044-03-15 12:00:00+00 BC'", "'infinity'"]),
    (
        "interval",
        &[
            "'1 year 2 mons -3 days 04:05:06.789'",
            "'-1 mon 4 days -100:00:00.5'",
            "'0'",
            "'178000000 years -2000000000 days 2562047788:00:54'",
        ],
    ),
    ("json", &["'{\"b\": 1,  \"a\": null}'"]),
    ("jsonb", &["'{\"b\": 1, \"a\": [1.0, \"x\"]}'"]),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("mood", &["'sad'", "'so lala'"]),
    ("positive", &["7"]),
    ("moody", &["'sad'"]),
];

/// Types that travel as the server's own text.
const OPAQUE: Types = &[
    ("integer[]", &["'{1,NULL,3}'"]),
    ("interval[]", &["'{1 day 02:03:04}'"]),
    ("timestamptz[]", &["'{2024-07-01 12:00:00+02}'"]),
    ("bytea[]", &["'{\"\\\\x00ff\"}'"]),
    ("float8[]", &["'{0.1,NaN}'"]),
    ("tstzrange", &["'[2024-01-01 00:00:00+00,)'"]),
    ("inet", &["'10.0.0.1/32'", "'::1'"]),
    ("money", &["'12.34'"]),
    ("timetz", &["'12:00:00+02'"]),
    ("pair", &["ROW(1, 'a,\"b')"]),
    ("point", &["'(1,2.5)'"]),
    ("xml", &["'<a/>'"]),
    ("tsvector", &["'a b'"]),
    ("\"char\"", &["'x'"]),
    ("pg_lsn", &["'0/16B3748'"]),
    ("regclass", &["'pg_class'"]),
    ("aclitem", &["'postgres=r/postgres'"]),
];

fn table(name: &str, types: Types) -> (String, String) {
    let columns: Vec<String> =
        types.iter().enumerate().map(|(at, (type_name, _))| format!("c{at} {type_name}")).collect();
    let create = format!("CREATE TABLE {name} (id int PRIMARY KEY, {})", columns.join(", "));
    let mut rows = vec![];
    for (at, (_, values)) in types.iter().enumerate() {
        rows.extend(values.iter().map(|value| (at, *value)));
    }
    let inserts: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(id, (at, value))| format!("INSERT INTO {name} (id, c{at}) VALUES ({id}, {value})"))
        .collect();
    (create, inserts.join("; "))
}

async fn copied(rig: &Rig, table: &str) -> Vec<String> {
    let reads = rig.reads(&[table]).await;
    let read = &reads[0];
    let session = rig.source.begin(&reads, 1).await.expect("a session begins");
    let mut splitter = session.splitter(read, None).await.expect("it can be cut");
    let mut rows = vec![];
    while let Some(split) = splitter.next().await.expect("it can be cut") {
        let mut reader = session.open(read, &split, None).await.expect("it opens");
        while let Next::Batch(batch) = reader.next().await.expect("it can be read") {
            rows.extend(texts(&batch.rows, &read.schema(), &[]));
        }
    }
    rows
}

async fn compare(tables: &[(&str, Types)]) {
    // Settings that a server may have, and that are to make no difference.
    let rig = Rig::new(
        "CREATE TYPE mood AS ENUM ('sad', 'so lala'); CREATE DOMAIN positive AS int CHECK (value > 0);
         CREATE DOMAIN moody AS mood; CREATE TYPE pair AS (a int, b text);
         DO $$ BEGIN
           EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kathmandu''', current_database());
           EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database());
           EXECUTE format('ALTER DATABASE %I SET intervalstyle = ''sql_standard''', current_database());
           EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database());
           EXECUTE format('ALTER DATABASE %I SET extra_float_digits = 0', current_database());
         END $$",
    )
    .await;
    let mut inserts = vec![];
    for (name, types) in tables {
        let (create, insert) = table(name, types);
        rig.sql(&create);
        inserts.push(insert);
    }
    let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
    let mut following = rig.follow(&names).await;
    rig.sql(&format!("SET datestyle = 'ISO'; {}", inserts.join("; ")));
    let told = following.all(&rig).await;
    let mut expected = vec![];
    for name in names {
        expected.extend(copied(&rig, name).await.into_iter().map(|row| format!("{name} + {row}")));
    }
    for (told, expected) in told.lines.iter().zip(&expected) {
        assert_eq!(told, expected);
    }
    assert_eq!(told.lines.len(), expected.len());
}

#[tokio::test]
async fn values_in_binary_form_are_those_of_a_copy() {
    with_server(compare(&[("t", TYPES)])).await;
}

#[tokio::test]
async fn values_in_text_form_are_those_of_a_copy() {
    // One type without a binary form that is known makes everything come as text.
    with_server(compare(&[("opaque", OPAQUE), ("t", TYPES)])).await;
}

#[tokio::test]
async fn texts_of_a_database_without_an_encoding_are_looked_at() {
    with_server(async {
        let postgres = syncline_testkit::servers::postgres::shared();
        let name = postgres.create_database();
        postgres.drop_database(&name);
        let sql = format!(
            "CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        postgres.psql("postgres", &sql);
        for column in ["int", "inet"] {
            let database = postgres.database(&name);
            database.sql(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v text, w {column})"
            ));
            let rig = Rig::over(postgres.port(), database, "").await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql("INSERT INTO t VALUES (1, 'ä'), (2, E'\\xff'), (3, 'b')");
            let told = following.all(&rig).await;
            assert_eq!(told.lines[..2], ["t + 1|ä|-", "t + 3|b|-"]);
            assert!(told.lines[2].contains("its bytes are not UTF-8"), "{}", told.lines[2]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_position_of_another_log_is_refused() {
    with_server(async {
        let rig = Rig::new("CREATE TABLE t (id int PRIMARY KEY)").await;
        let there = Position("0/16B3748".into());
        let error = rig.log.compare(&there, &Position("mysql-bin.000001:4".into())).expect_err("it is none");
        assert_eq!(error.code(), &syncline_types::codes::BAD_BYTES);
        assert_eq!(rig.log.distance(&there, &Position("0/16B3758".into())), Some(16));
    })
    .await;
}
