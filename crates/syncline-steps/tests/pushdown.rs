//! What is offered to a source, and that a row it would leave out could not have passed.

#[path = "support/columns.rs"]
mod columns;

use std::cmp::Ordering;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use proptest::prelude::*;
use serde_json::{Value, json};
use syncline_steps::{Chain, StepSpec};
use syncline_types::{
    Column, Comparison, LogicalType as L, Predicate, TableSchema, decimal::Digits, text::Values,
};

/// A column: name, type and values.
type Source = (&'static str, L, [&'static str; 6]);

const SOURCES: &[Source] = &[
    ("id", L::Int32, ["1", "2", "3", "4", "5", "6"]),
    ("small", L::Int16, ["-1", "0", "1", "2", "NULL", "32767"]),
    ("byte", L::UInt8, ["0", "1", "2", "255", "NULL", "3"]),
    ("huge", L::UInt64, ["0", "1", "2", "18446744073709551615", "NULL", "3"]),
    ("amount", L::Decimal { precision: 12, scale: 2 }, ["-1.50", "0.00", "1.00", "2.50", "NULL", "1.01"]),
    ("free", L::Numeric, ["-1.5", "0", "1.00", "2.50", "NULL", "100"]),
    ("flag", L::Bool, ["true", "false", "true", "false", "NULL", "NULL"]),
    ("day", L::Date, ["2024-01-01", "2024-02-29", "1999-12-31", "infinity", "NULL", "0044-03-15 BC"]),
    (
        "at",
        L::Timestamp { zoned: false, precision: 3 },
        ["2024-01-01", "2024-02-29 12:00:00.5", "1999-12-31", "infinity", "NULL", "-infinity"],
    ),
    (
        "point",
        L::TIMESTAMPTZ,
        ["2024-01-01", "2024-02-29 12:00:00.5", "1999-12-31", "infinity", "NULL", "-infinity"],
    ),
    ("name", L::TEXT, ["a", "b", "", "A", "NULL", "a "]),
    ("code", L::Text { length: Some(3), padded: true }, ["a  ", "b  ", "   ", "A  ", "NULL", "abc"]),
    ("status", L::TEXT, ["new", "done", "new", "done", "NULL", "new"]),
    ("ratio", L::Float64, ["0.5", "NaN", "1", "2", "NULL", "-0"]),
    (
        "uid",
        L::Uuid,
        [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12",
            "NULL",
            "00000000-0000-0000-0000-000000000001",
        ],
    ),
];

fn schema() -> TableSchema {
    let mut schema = TableSchema::new(
        "test",
        SOURCES.iter().map(|(name, logical, _)| Column::new(*name, *logical)).collect(),
    );
    for column in &mut schema.columns {
        if column.name == "status" {
            column.labels = Some(vec!["new".into(), "done".into()]);
        }
    }
    schema
}

fn rows() -> RecordBatch {
    let arrays = SOURCES.iter().map(|(_, logical, values)| {
        let values: Vec<Option<&str>> =
            values.iter().map(|value| (*value != "NULL").then_some(*value)).collect();
        columns::array(*logical, &values)
    });
    RecordBatch::try_new(schema().arrow(), arrays.collect()).expect("the columns fit")
}

fn chain(steps: Value) -> Result<Chain, syncline_types::Error> {
    let steps: Vec<StepSpec> = serde_json::from_value(steps).expect("the steps are valid");
    Chain::bind(&steps, &schema(), None, "t")
}

fn pushed(steps: Value) -> Value {
    let chain = chain(steps.clone()).unwrap_or_else(|error| panic!("{steps}: {error}"));
    serde_json::to_value(chain.pushdown()).expect("a predicate serialises")
}

fn compare(column: &str, op: &str, constant: &str) -> Value {
    json!({"compare": {"column": column, "op": op, "constant": constant}})
}

fn is_null(column: &str, negated: bool) -> Value {
    json!({"is_null": {"column": column, "negated": negated}})
}

#[test]
fn columns_against_constants_are_offered_in_the_columns_own_text_form() {
    for (filter, expected) in [
        ("id > 1", compare("id", "greater", "1")),
        ("1 < id", compare("id", "greater", "1")),
        ("small = 5", compare("small", "equal", "5")),
        ("byte <> 7", compare("byte", "not_equal", "7")),
        ("huge >= 18446744073709551615", compare("huge", "greater_or_equal", "18446744073709551615")),
        ("id = 3.0", compare("id", "equal", "3")),
        ("amount > 0", compare("amount", "greater", "0.00")),
        ("amount <= 1.5", compare("amount", "less_or_equal", "1.50")),
        ("amount = '2.5'", compare("amount", "equal", "2.50")),
        ("free < 1.50", compare("free", "less", "1.50")),
        ("flag", compare("flag", "equal", "true")),
        ("not flag", compare("flag", "equal", "false")),
        ("flag = true", compare("flag", "equal", "true")),
        ("flag is true", compare("flag", "equal", "true")),
        ("flag is not true", json!({"or": [compare("flag", "equal", "false"), is_null("flag", false)]})),
        ("flag is unknown", is_null("flag", false)),
        ("day < date '2024-02-29'", compare("day", "less", "2024-02-29")),
        ("day < '2024-02-29'", compare("day", "less", "2024-02-29")),
        ("at >= '2024-02-29 12:00:00.5'", compare("at", "greater_or_equal", "2024-02-29 12:00:00.5")),
        ("point > '2024-02-29 12:00+02'", compare("point", "greater", "2024-02-29 10:00:00+00:00")),
        ("name = 'a'", compare("name", "equal", "a")),
        ("name <> ''", compare("name", "not_equal", "")),
        ("status = 'new'", compare("status", "equal", "new")),
        (
            "uid = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            compare("uid", "equal", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("name is null", is_null("name", false)),
        ("ratio is not null", is_null("ratio", true)),
        ("id in (1, 2)", json!({"or": [compare("id", "equal", "1"), compare("id", "equal", "2")]})),
        (
            "id not in (1, 2)",
            json!({"and": [compare("id", "not_equal", "1"), compare("id", "not_equal", "2")]}),
        ),
        (
            "id between 1 and 3",
            json!({"and": [compare("id", "greater_or_equal", "1"), compare("id", "less_or_equal", "3")]}),
        ),
        (
            "not (id > 1 or small is null)",
            json!({"and": [compare("id", "less_or_equal", "1"), is_null("small", true)]}),
        ),
        (
            "id > 1 and name = 'a'",
            json!({"and": [compare("id", "greater", "1"), compare("name", "equal", "a")]}),
        ),
        (
            "id > 1 or name = 'a'",
            json!({"or": [compare("id", "greater", "1"), compare("name", "equal", "a")]}),
        ),
        // A part of an AND alone, but never of an OR.
        ("id > 1 and length(name) > 3", compare("id", "greater", "1")),
        ("id > 1 or length(name) > 3", Value::Null),
        ("id > 1 and (small = 1 or ratio > 0)", compare("id", "greater", "1")),
    ] {
        assert_eq!(pushed(json!([{"filter": filter}])), expected, "{filter}");
    }
}

#[test]
fn what_systems_may_decide_in_two_ways_is_not_offered() {
    for filter in [
        "name > 'a'",
        "name like 'a%'",
        "code = 'a'",
        "ratio > 0",
        "id = small",
        "id + 1 = 2",
        "id = 1.5",
        "byte = 256",
        "small = 70000",
        "amount = 1.005",
        "amount < 99999999999",
        "amount::numeric(10,1) > 1",
        "day < 'infinity'",
        "day < '0001-01-01 BC'",
        "day < timestamp '2024-01-01'",
        "at = '2024-01-01 00:00:00.0001'",
        "at < timestamptz '2024-01-01'",
        "status = 'nope'",
        "id = null",
        "flag = (id > 1)",
        "id is distinct from 1",
        "case when flag then id = 1 end",
        "true",
        "name ~ 'a'",
        "coalesce(id, 0) = 1",
        "name = 'a\u{0}'",
    ] {
        assert_eq!(pushed(json!([{"filter": filter}])), Value::Null, "{filter}");
    }
}

#[test]
fn only_columns_that_still_are_the_sources_count() {
    for (steps, expected) in [
        (
            json!([{"rename": {"id": "key", "name": "id"}}, {"filter": "key > 1 and id = 'a'"}]),
            json!({"and": [compare("id", "greater", "1"), compare("name", "equal", "a")]}),
        ),
        (
            json!([{"drop": ["name"]}, {"filter": "id > 1"}, {"filter": "small = 1"}]),
            json!({"and": [compare("id", "greater", "1"), compare("small", "equal", "1")]}),
        ),
        (json!([{"set": {"id": "id + 1"}}, {"filter": "id > 1"}]), Value::Null),
        (json!([{"set": {"other": "id"}}, {"filter": "id > 1"}]), compare("id", "greater", "1")),
        (json!([{"cast": {"id": "bigint"}}, {"filter": "id > 1"}]), Value::Null),
        (json!([{"mask": {"name": "redact"}}, {"filter": "name = 'a'"}]), Value::Null),
        (json!([{"mask": {"name": "redact"}}, {"filter": "id > 1"}]), compare("id", "greater", "1")),
    ] {
        assert_eq!(pushed(steps.clone()), expected, "{steps}");
    }
}

/// Three-valued logic over the texts of a row, with no help of the crate under test.
fn decide(predicate: &Predicate, cell: &dyn Fn(&str) -> (L, Option<String>)) -> Option<bool> {
    match predicate {
        Predicate::Compare { column, op, constant } => {
            let (logical, value) = cell(column);
            let order = order(logical, &value?, constant);
            Some(match op {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            })
        }
        Predicate::IsNull { column, negated } => Some(cell(column).1.is_none() != *negated),
        Predicate::And(parts) => joined(parts.iter().map(|part| decide(part, cell)), false),
        Predicate::Or(parts) => joined(parts.iter().map(|part| decide(part, cell)), true),
    }
}

/// AND or OR: the deciding value wins, else NULL, else the other value.
fn joined(mut parts: impl Iterator<Item = Option<bool>> + Clone, deciding: bool) -> Option<bool> {
    if parts.clone().any(|part| part == Some(deciding)) {
        return Some(deciding);
    }
    parts.all(|part| part.is_some()).then_some(!deciding)
}

fn order(logical: L, value: &str, constant: &str) -> Ordering {
    let number = |text: &str| -> f64 {
        assert!(Digits::parse(text).is_some(), "{text} is a number");
        text.parse().expect("a number")
    };
    match logical {
        L::Date | L::Timestamp { .. } => place(value).cmp(&place(constant)),
        L::Bool | L::Uuid | L::Text { .. } => value.cmp(constant),
        _ => number(value).total_cmp(&number(constant)),
    }
}

/// A key by which texts of dates order: infinities and years before Christ stand outside.
fn place(text: &str) -> (i8, &str) {
    match text {
        "infinity" => (1, ""),
        "-infinity" => (-2, ""),
        text if text.ends_with("BC") => (-1, ""),
        text => (0, text),
    }
}

fn atom() -> impl Strategy<Value = String> {
    let number = prop::sample::select(vec!["id", "small", "byte", "huge", "amount", "free"]);
    let constant =
        prop::sample::select(vec!["-1", "0", "1", "2", "2.5", "1.005", "'1'", "300", "1e0", "null"]);
    let op = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    prop_oneof![
        4 => (number.clone(), op.clone(), constant.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (constant.clone(), op.clone(), number.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (number.clone(), constant.clone(), constant).prop_map(|(a, b, c)| format!("{a} between {b} and {c}")),
        1 => number.prop_map(|a| format!("{a} not in (1, 2.50)")),
        2 => (prop::sample::select(vec!["day", "at", "point"]), op.clone(), prop::sample::select(vec!["2024-02-29", "1999-12-31", "2024-02-29 12:00:00.5", "infinity"]))
            .prop_map(|(a, op, b)| if a == "day" && b.len() > 10 { format!("{a} {op} timestamp '{b}'") } else { format!("{a} {op} '{b}'") }),
        2 => (prop::sample::select(vec!["name", "code", "status"]), op, prop::sample::select(vec!["a", "b", "", "new", "A"]))
            .prop_map(|(a, op, b)| format!("{a} {op} '{b}'")),
        2 => prop::sample::select(vec!["flag", "flag is true", "flag is not false", "flag is unknown", "not flag", "flag = false"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["name is null", "small is not null", "ratio > 0", "length(name) = 1", "id = small", "name like 'a%'"]).prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// No row that passes is left out by what the source is offered; and where all of the filter is
    /// offered, it leaves out just what the filter does.
    #[test]
    fn a_row_that_the_source_leaves_out_could_not_pass(condition in condition()) {
        let chain = chain(json!([{"filter": condition}])).expect("the condition binds");
        let applied = chain.apply(rows()).expect("the batch fits");
        prop_assert!(applied.rejects.is_empty());
        if let Some(predicate) = chain.pushdown() {
            let sent = filter_record_batch(&rows(), &decided(&predicate)).expect("a filter");
            prop_assert_eq!(&chain.apply(sent).expect("the batch fits").rows, &applied.rows);
        }
        // Of an OR all is offered or nothing.
        let whole = self::chain(json!([{"filter": format!("({condition}) or ({condition})")}])).expect("it binds");
        if let Some(predicate) = whole.pushdown() {
            let sent = filter_record_batch(&rows(), &decided(&predicate)).expect("a filter");
            prop_assert_eq!(&sent, &applied.rows);
        }
    }
}

/// The rows for which a predicate is true.
fn decided(predicate: &Predicate) -> BooleanArray {
    let (schema, batch) = (schema(), rows());
    let is_true = |row: usize| {
        let cell = |name: &str| {
            let at = schema.index(name).expect("a column of the source");
            let logical = schema.columns[at].logical;
            (logical, Values::new(batch.column(at), logical).expect("the column fits").text(row))
        };
        decide(predicate, &cell) == Some(true)
    };
    (0..batch.num_rows()).map(|row| Some(is_true(row))).collect()
}
