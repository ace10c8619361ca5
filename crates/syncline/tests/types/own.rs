//! A PostgreSQL end: tables of the matrix, and what one holds in the server's own text.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_testkit::servers::postgres::Database;

use crate::{matrix::Case, wide::Held};

/// What a table's column `v` holds: its type, and by `id` the text of each value.
pub(crate) type Column = (String, BTreeMap<i64, Option<String>>);

/// The row that is NULL in every table.
pub(crate) const NULL_ID: i64 = 0;

fn text(literal: &str) -> String {
    format!("'{}'", literal.replace('\'', "''"))
}

/// The statements that make types, for a database that is to have them.
pub(crate) fn types(cases: &[Case]) -> String {
    cases.iter().map(|case| format!("{};", case.preamble)).collect()
}

/// Makes one table a case: a NULL, and its values from 1 on.
pub(crate) fn fill(database: &Database, cases: &[Case]) {
    let mut sql = format!("{} BEGIN;", types(cases));
    for Case { name, declared, values, .. } in cases {
        sql.push_str(&format!("CREATE TABLE {name} (id int PRIMARY KEY, v {declared});"));
        sql.push_str(&format!("INSERT INTO {name} VALUES ({NULL_ID}, NULL)"));
        for (value, id) in values.iter().zip(1..) {
            sql.push_str(&format!(", ({id}, {})", text(&value.literal)));
        }
        sql.push(';');
    }
    // All statements at once would be too much to read where one is wrong.
    database.try_sql(&format!("{sql} COMMIT;")).unwrap_or_else(|error| panic!("{error}"));
}

/// One form for all, whatever the database itself would show; types of the user are named in full.
const SESSION: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres';
    SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET search_path = pg_catalog;";

/// All tables with a column `v`, by name.
pub(crate) fn columns(database: &Database) -> BTreeMap<String, Column> {
    let mut columns: BTreeMap<String, Column> = BTreeMap::new();
    let found = lines(
        database,
        "SELECT json_build_array(c.relname, format_type(a.atttypid, a.atttypmod))
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname = 'v'",
    );
    for row in found {
        columns.insert(string(&row[0]), (string(&row[1]), BTreeMap::new()));
    }
    // A row of nothing but NULLs is none itself.
    let reads = columns.keys().map(|name| {
        format!(
            "SELECT json_build_array('{name}', id, CASE num_nulls(v) WHEN 0 THEN {} END) FROM public.{name};",
            shown("v")
        )
    });
    for row in lines(database, &reads.collect::<String>()) {
        let id = row[1].as_i64().expect("every table has numbers for its rows");
        let (_, values) = columns.get_mut(row[0].as_str().unwrap_or_default()).expect("it was asked for");
        assert!(values.insert(id, row[2].as_str().map(text_of)).is_none(), "{row} is there twice");
    }
    columns
}

/// What a table holds, but for its column `id`.
pub(crate) fn wide(database: &Database, table: &str) -> Held {
    let found = lines(
        database,
        &format!(
            "SELECT json_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) FROM pg_attribute a
             WHERE a.attrelid = 'public.{table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'id'"
        ),
    );
    let mut held = Held::default();
    held.columns.extend(found.iter().map(|row| (string(&row[0]), (string(&row[1]), BTreeMap::new()))));
    let reads = held.columns.keys().map(|name| {
        let shown = shown(name);
        format!(
            "SELECT json_build_array('{name}', id, {shown}) FROM public.{table} WHERE num_nulls({name}) = 0;"
        )
    });
    for row in lines(database, &reads.collect::<String>()) {
        let id = row[1].as_i64().expect("every table has numbers for its rows");
        let (_, values) =
            held.columns.get_mut(row[0].as_str().unwrap_or_default()).expect("it was asked for");
        assert!(values.insert(id, text_of(&string(&row[2]))).is_none(), "{row} is there twice");
    }
    held.rows =
        database.sql(&format!("SELECT count(*) FROM public.{table}")).parse().expect("a count is a number");
    held
}

/// The server's own text of a column, as its bytes in hex: psql swallows some characters. `format` asks
/// the type itself, where a cast to text would cut the blanks of `char(n)`.
fn shown(column: &str) -> String {
    format!("encode(convert_to(format('%s', {column}), 'UTF8'), 'hex')")
}

/// The text behind the digits.
pub(crate) fn text_of(hex: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("the server writes hex");
    String::from_utf8((0..hex.len()).step_by(2).map(byte).collect()).expect("it was asked for in UTF-8")
}

fn lines(database: &Database, sql: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("the server writes JSON");
    database.sql(&format!("{SESSION} {sql}")).lines().map(parse).collect()
}

fn string(value: &Value) -> String {
    value.as_str().expect("names are texts").to_owned()
}
