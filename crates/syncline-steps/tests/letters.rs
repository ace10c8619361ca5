//! What a mask hides is in no dead letter, no reject and no error.

#[path = "support/columns.rs"]
mod columns;

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatch;
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Column, LogicalType as L, TableSchema};

/// A value for each column that may be masked, by which it is known again.
const MARKERS: [(&str, &str); 5] = [
    ("id", "7741000123"),
    ("email", "7742000123"),
    ("phone", "7743000123"),
    ("card", "7744000123"),
    ("profile", "7745000123"),
];
const KEY: &str = "a mask key 5566";

fn schema() -> TableSchema {
    TableSchema::new(
        "test",
        vec![
            Column::new("id", L::TEXT).required(),
            Column::new("email", L::TEXT),
            Column::new("phone", L::TEXT).required(),
            Column::new("card", L::Decimal { precision: 12, scale: 0 }),
            Column::new("profile", L::JSON),
            Column::new("city", L::TEXT),
            Column::new("age", L::Int32),
        ],
    )
    .with_key(["id"])
}

fn rows() -> RecordBatch {
    let [id, email, phone, card, nick] = MARKERS.map(|(_, marker)| marker);
    let (odd, profile) = (format!("x{email}y"), format!(r#"{{"nick": "{nick}", "n": {nick}}}"#));
    let values: [[Option<&str>; 3]; 7] = [
        [Some(id); 3],
        [Some(email), None, Some(&odd)],
        [Some(phone); 3],
        [Some(card), None, Some(card)],
        [Some(&profile), None, Some(&profile)],
        [Some("Wien"), Some("Graz"), None],
        [Some("30"), Some("0"), None],
    ];
    let arrays = schema()
        .columns
        .iter()
        .zip(values)
        .map(|(column, values)| columns::array(column.logical, &values))
        .collect();
    RecordBatch::try_new(schema().arrow(), arrays).expect("the columns fit")
}

fn steps(value: serde_json::Value) -> Vec<StepSpec> {
    serde_json::from_value(value).expect("the steps are valid")
}

fn bind(specs: &[StepSpec]) -> Result<Chain, syncline_types::Error> {
    Chain::bind(specs, &schema(), Some(&SecretString::from(KEY.to_owned())), "t")
}

fn letter(steps: serde_json::Value) -> serde_json::Value {
    bind(&self::steps(steps)).expect("the steps bind").letter(&rows(), 0).expect("the row is there")
}

const MASK_ALL: &str = r#"{"id":"hash","email":"redact","phone":"hash","card":"null","profile":"redact"}"#;

fn mask_all() -> serde_json::Value {
    serde_json::from_str(MASK_ALL).expect("it is JSON")
}

#[test]
fn a_letter_holds_what_goes_on_as_it_is() {
    let hash = "HASH";
    let shorten = |mut letter: serde_json::Value| {
        if let Some(id) = letter.get_mut("id")
            && id.as_str().is_some_and(|id| id.len() == 64)
        {
            *id = json!(hash);
        }
        letter
    };
    let [id, email, phone, card, nick] = MARKERS.map(|(_, marker)| marker);
    let number = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (card, profile) = (number(card), json!({ "nick": nick, "n": number(nick) }));
    for (steps, expected) in [
        // No mask: everything.
        (
            json!([]),
            json!({"id": id, "email": email, "phone": phone, "card": card, "profile": profile, "city": "Wien", "age": 30}),
        ),
        // A masked key stands there hashed, other masked columns do not stand there.
        (json!([{"mask": mask_all()}]), json!({"id": hash, "city": "Wien", "age": 30})),
        (
            json!([{"rename": {"id": "k"}}, {"mask": {"k": "hash"}}, {"drop": ["email", "phone", "card", "profile"]}]),
            json!({"id": hash, "city": "Wien", "age": 30}),
        ),
        // A key that is hidden in another way, or changed before it is hashed, does not.
        (
            json!([{"mask": {"id": "redact"}}, {"drop": ["email", "phone", "card", "profile"]}]),
            json!({"city": "Wien", "age": 30}),
        ),
        (
            json!([{"set": {"id": "id || '!'"}}, {"mask": {"id": "hash"}}, {"drop": ["email", "phone", "card", "profile"]}]),
            json!({"city": "Wien", "age": 30}),
        ),
        // What feeds a masked column is masked.
        (
            json!([{"set": {"both": "city || age::text"}}, {"mask": {"both": "redact"}}, {"drop": ["email", "phone", "card", "profile"]}]),
            json!({"id": id}),
        ),
        // A column that is dropped or overwritten was not meant to go anywhere, be it a key.
        (
            json!([{"drop": ["id", "email", "phone"]}, {"set": {"card": "'***'", "profile": "null"}}, {"cast": {"age": "text"}}]),
            json!({"city": "Wien", "age": 30}),
        ),
        // Under its own name, not the one it goes on with.
        (
            json!([{"rename": {"city": "town"}}, {"drop": ["email", "phone", "card", "profile", "age"]}]),
            json!({"id": id, "city": "Wien"}),
        ),
    ] {
        assert_eq!(shorten(letter(steps.clone())), expected, "{steps}");
    }
}

#[test]
fn the_hash_of_a_key_is_the_one_that_the_target_has() {
    let chain = bind(&steps(json!([{"mask": mask_all()}]))).unwrap();
    let letter = chain.letter(&rows(), 0).unwrap();
    let applied = chain.apply(rows()).unwrap();
    let ids = applied.rows.column(0).as_any().downcast_ref::<arrow_array::StringArray>().unwrap();
    assert_eq!(letter["id"], ids.value(0));
}

/// A step that may fail on the marker, copy it about, or change it, in terms of whatever the masked
/// columns are called by then.
fn step() -> impl Strategy<Value = serde_json::Value> {
    let column = prop::sample::select(vec!["id", "email", "phone", "card", "profile"]);
    let expression = prop::sample::select(vec![
        "X",
        "X::text || 'x'",
        "X::text::int",
        "upper(X::text)",
        "length(X::text) / 0 + age",
        "coalesce(X::text, 'n')",
        "case when X::text like '77%' then 1 / (age - 30) else 2 end",
        "X::text::date",
        "X::text::json -> 'nick'",
        "repeat(X::text, age)",
        "left(X::text, -age) || city",
        "substring(X::text from 2 for -1)",
        "X::text::bytea",
        "split_part(X::text, '1', 0)",
        "X::text::uuid",
        "lpad(X::text, 2000000000)",
        "X::text::boolean",
        "profile ->> 'nick'",
        "profile.n::text::numeric / (age - 30)",
        "card % 0",
        "card * card * card * card * card * card * card",
    ]);
    let target = prop::sample::select(vec!["a", "b", "email", "phone", "profile", "card", "id"]);
    prop_oneof![
        3 => (target.clone(), expression.clone(), column.clone()).prop_map(|(target, expression, column)| {
            json!({"set": {target: expression.replace('X', column)}})
        }),
        2 => (expression, column.clone()).prop_map(|(expression, column)| {
            json!({"filter": format!("({})::text <> 'zzz'", expression.replace('X', column))})
        }),
        1 => (column.clone(), prop::sample::select(vec!["int", "date", "varchar(3)", "text", "numeric(3,1)", "json", "uuid"]))
            .prop_map(|(column, to)| json!({"cast": {column: to}})),
        1 => (column.clone(), target).prop_map(|(column, target)| json!({"rename": {column: format!("{target}2")}})),
        1 => column.prop_map(|column| json!({"drop": [column]})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Some of the columns are masked, after their values have gone one way or other through other
    /// steps. Values that are computed from them and not masked reach the target, as their author
    /// wants it, but never a letter, a reject or an error.
    #[test]
    fn what_a_mask_touches_is_in_no_letter_reject_or_error(
        before in prop::collection::vec(step(), 0..5),
        masks in 1_u32..256,
        after in prop::collection::vec(step(), 0..2),
    ) {
        let mut all: Vec<serde_json::Value> = vec![];
        for step in before.into_iter().map(Some).chain([None]).chain(after.into_iter().map(Some)) {
            let mut more = all.clone();
            more.extend(step.or_else(|| masks_now(&all, masks)));
            match bind(&steps(json!(more))) {
                Ok(_) => all = more,
                Err(error) => prop_assert!(!holds_any(&error.to_string(), &MARKERS.map(|(_, marker)| marker))),
            }
        }
        let hidden = hidden(&all);
        prop_assume!(!hidden.is_empty());
        let chain = bind(&steps(json!(all))).expect("each step was tried");
        for reject in chain.apply(rows()).expect("the batch fits").rejects {
            let told = format!("{reject:?} {}", reject.error);
            prop_assert!(!holds_any(&told, &MARKERS.map(|(_, marker)| marker)), "{told}");
        }
        for row in 0..rows().num_rows() {
            let letter = chain.letter(&rows(), row).expect("the row is there").to_string();
            prop_assert!(!holds_any(&letter, &hidden), "{letter}\n{}", json!(all));
            prop_assert!(!letter.contains(KEY));
        }
        let shown = format!("{chain:?} {}", chain.fingerprint());
        prop_assert!(!shown.contains(KEY));
    }
}

fn holds_any(text: &str, markers: &[&str]) -> bool {
    markers.iter().any(|marker| text.contains(marker))
}

/// A step that masks some of the columns as they are called after other steps.
fn masks_now(before: &[serde_json::Value], which: u32) -> Option<serde_json::Value> {
    let chain = bind(&steps(json!(before))).expect("the steps bind");
    let mut masks = serde_json::Map::new();
    let columns =
        chain.output().columns.iter().filter(|column| !matches!(column.name.as_str(), "city" | "age"));
    for (at, column) in columns.enumerate().filter(|(at, _)| which >> (at % 8) & 1 == 1) {
        masks.insert(column.name.clone(), json!(["hash", "redact", "encrypt"][at % 3]));
    }
    (!masks.is_empty()).then(|| json!({"mask": masks}))
}

/// The markers of the columns that a mask touches, worked out from the steps' texts alone.
fn hidden(all: &[serde_json::Value]) -> Vec<&'static str> {
    let mut origins: BTreeMap<String, BTreeSet<&str>> =
        MARKERS.iter().map(|(name, marker)| ((*name).to_owned(), BTreeSet::from([*marker]))).collect();
    let mut hidden = BTreeSet::new();
    for step in all {
        let (kind, columns) =
            step.as_object().and_then(|step| step.iter().next()).expect("a step has one key");
        let before = origins.clone();
        for (column, what) in columns.as_object().into_iter().flatten() {
            match kind.as_str() {
                "set" => {
                    let words =
                        what.as_str().unwrap_or_default().split(|c: char| !c.is_alphanumeric() && c != '_');
                    let read = words.filter_map(|word| before.get(word)).flatten().copied().collect();
                    origins.insert(column.clone(), read);
                }
                "rename" => {
                    let moved = origins.remove(column).unwrap_or_default();
                    origins.insert(what.as_str().unwrap_or_default().to_owned(), moved);
                }
                "mask" => hidden.extend(before.get(column).into_iter().flatten().copied()),
                _ => {}
            }
        }
        for column in columns.as_array().into_iter().flatten().filter_map(|name| name.as_str()) {
            origins.remove(column);
        }
    }
    hidden.into_iter().collect()
}
