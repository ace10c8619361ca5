//! Each step: what it does to the schema, to the keys and to the rows.

#[path = "support/columns.rs"]
mod columns;

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use secrecy::SecretString;
use syncline_steps::{Applied, Chain, StepSpec};
use syncline_types::{Code, Column, DefaultValue, LogicalType as L, TableSchema, codes, text::Values};

const DECIMAL: L = L::Decimal { precision: 12, scale: 2 };

fn schema() -> TableSchema {
    let mut schema = TableSchema::new(
        "postgres",
        vec![
            Column { identity: true, ..Column::new("id", L::Int32).required().native("integer") },
            Column::new("full_name", L::TEXT).required().native("text"),
            Column::new("email", L::TEXT).native("citext"),
            Column {
                default: Some(DefaultValue::Number("0".into())),
                ..Column::new("amount", DECIMAL).native("numeric(12,2)")
            },
            Column::new("quantity", L::Int32).required().native("integer"),
            Column {
                labels: Some(vec!["new".into(), "done".into()]),
                ..Column::new("status", L::TEXT).native("order_status")
            },
            Column::new("note", L::TEXT).native("text"),
        ],
    )
    .with_key(["id"]);
    schema.unique = vec![vec!["full_name".into()], vec!["email".into(), "status".into()]];
    schema
}

const ROWS: [[&str; 7]; 4] = [
    ["1", "Ada", "ada@example.com", "10.00", "2", "new", "7"],
    ["2", "Bob", "NULL", "2.50", "0", "done", "x"],
    ["3", "Cem", "cem@example.com", "NULL", "5", "NULL", "9"],
    ["4", "Dan", "dan@example.com", "9999999999.99", "2147483647", "new", "NULL"],
];

fn rows(schema: &TableSchema) -> RecordBatch {
    let arrays = schema.columns.iter().map(|column| {
        let at = self::schema().index(&column.name).expect("a column of the table");
        let values: Vec<Option<&str>> =
            ROWS.iter().map(|row| (row[at] != "NULL").then_some(row[at])).collect();
        columns::array(column.logical, &values)
    });
    RecordBatch::try_new(schema.arrow(), arrays.collect()).expect("the columns fit")
}

fn key() -> SecretString {
    SecretString::from("correct horse".to_owned())
}

fn bind(steps: &str) -> Result<Chain, syncline_types::Error> {
    let steps: Vec<StepSpec> = serde_json::from_str(steps).expect("the steps are valid");
    Chain::bind(&steps, &schema(), Some(&key()), "t")
}

fn chain(steps: &str) -> Chain {
    bind(steps).unwrap_or_else(|error| panic!("{steps}: {error}"))
}

fn apply(chain: &Chain) -> Applied {
    chain.apply(rows(&schema())).expect("the batch fits")
}

/// The rows that come out, each as its values joined by blanks.
fn out(chain: &Chain) -> Vec<String> {
    lines(&apply(chain).rows, chain.output())
}

fn lines(rows: &RecordBatch, schema: &TableSchema) -> Vec<String> {
    let values: Vec<Values<'_>> = schema
        .columns
        .iter()
        .zip(rows.columns())
        .map(|(column, array)| Values::new(array, column.logical).expect("the column fits"))
        .collect();
    let line = |row| {
        let cells: Vec<String> =
            values.iter().map(|values| values.text(row).unwrap_or("NULL".to_owned())).collect();
        cells.join(" ")
    };
    (0..rows.num_rows()).map(line).collect()
}

fn names(schema: &TableSchema) -> Vec<&str> {
    schema.columns.iter().map(|column| column.name.as_str()).collect()
}

fn refused(steps: &str, code: &'static Code, expected: &str) {
    let error = bind(steps).expect_err(steps);
    assert_eq!(error.code(), code, "{steps}: {error}");
    assert!(error.to_string().contains(expected), "{steps}: {error}");
}

const KEEP: &str = r#"{"drop":["email","amount","status","note"]}"#;

#[test]
fn rename_changes_names_alone_and_keys_follow() {
    let chain = chain(r#"[{"rename":{"id":"key","full_name":"email","email":"full_name"}}]"#);
    let output = chain.output();
    assert_eq!(names(output), ["key", "email", "full_name", "amount", "quantity", "status", "note"]);
    assert_eq!(output.key, ["key"]);
    assert_eq!(output.unique, [vec!["email"], vec!["full_name", "status"]]);
    let id = output.column("key").unwrap();
    assert_eq!((id.native.as_deref(), id.identity, id.nullable), (Some("integer"), true, false));
    let applied = apply(&chain);
    assert!(applied.source_rows.is_none() && applied.rejects.is_empty());
    let input = rows(&schema());
    // Nothing is copied: the same arrays come out.
    assert_eq!(applied.rows.column(0).to_data(), input.column(0).to_data());
}

#[test]
fn rename_finds_its_mistakes() {
    refused(
        r#"[{"rename":{"id":"note"}}]"#,
        &codes::BAD_VALUE,
        "step 1, `rename` of `id`: there is already a column `note`",
    );
    refused(r#"[{"rename":{"id":"a","note":"a"}}]"#, &codes::BAD_VALUE, "there is already a column `a`");
    refused(r#"[{"rename":{"naem":"a"}}]"#, &codes::UNKNOWN_COLUMN, "there is no column `naem`");
    refused(r#"[{"rename":{"fullname":"a"}}]"#, &codes::UNKNOWN_COLUMN, "Did you mean `full_name`?");
    refused(r#"[{"rename":{"id":""}}]"#, &codes::BAD_VALUE, "the new name is empty");
    refused(r#"[{"rename":{}}]"#, &codes::BAD_VALUE, "it names no column");
}

#[test]
fn drop_leaves_columns_out_and_keys_with_them() {
    let chain = chain(r#"[{"drop":["status","id"]}]"#);
    let output = chain.output();
    assert_eq!(names(output), ["full_name", "email", "amount", "quantity", "note"]);
    assert_eq!((output.key.len(), &output.unique), (0, &vec![vec!["full_name".to_owned()]]));
    assert_eq!(chain.input_columns(), ["full_name", "email", "amount", "quantity", "note"]);
    assert_eq!(out(&chain)[0], "Ada ada@example.com 10.00 2 7");
    refused(r#"[{"drop":["nope"]}]"#, &codes::UNKNOWN_COLUMN, "step 1, `drop` of `nope`");
    refused(r#"[{"drop":["id","id"]}]"#, &codes::UNKNOWN_COLUMN, "there is no column `id`");
    refused(
        r#"[{"drop":["id","full_name","email","amount","quantity","status","note"]}]"#,
        &codes::BAD_VALUE,
        "it drops every column",
    );
    refused(r#"[{"drop":[]}]"#, &codes::BAD_VALUE, "it names no column");
}

#[test]
fn cast_changes_types_and_rejects_what_does_not_fit() {
    let chain = chain(
        r#"[{"drop":["full_name","email","status"]},
            {"cast":{"note":"integer","amount":"numeric(6,1)","quantity":"bigint","id":"integer"}}]"#,
    );
    let column = |name| chain.output().column(name).unwrap().clone();
    assert_eq!(column("note"), Column::new("note", L::Int32));
    assert_eq!(column("amount"), Column::new("amount", L::Decimal { precision: 6, scale: 1 }));
    assert_eq!(column("quantity"), Column::new("quantity", L::Int64).required());
    // The same type again: nothing changes.
    assert!(column("id").identity && column("id").native.is_some());
    let applied = apply(&chain);
    assert_eq!(lines(&applied.rows, chain.output()), ["1 10.0 2 7", "3 NULL 5 9"]);
    assert_eq!(applied.source_rows, Some(vec![0, 2]));
    let rejects: Vec<(u32, String)> =
        applied.rejects.iter().map(|reject| (reject.row, reject.error.to_string())).collect();
    assert_eq!(
        rejects,
        [
            (1, "could not run step 2, `cast` of `note`: a text is not a valid integer [SYN-4003]".to_owned()),
            (
                3,
                "could not run step 2, `cast` of `amount`: a number does not fit its precision and scale [SYN-4003]"
                    .to_owned()
            ),
        ]
    );
}

#[test]
fn cast_keeps_the_primary_key_only() {
    let chain = chain(r#"[{"cast":{"id":"text","full_name":"varchar(2)","status":"text"}}]"#);
    assert_eq!(chain.output().key, ["id"]);
    assert!(!chain.output().column("id").unwrap().nullable);
    assert_eq!(chain.output().unique, [vec!["email", "status"]]);
    // An enumeration becomes plain text.
    assert_eq!(*chain.output().column("status").unwrap(), Column::new("status", L::TEXT));
    assert!(out(&chain)[0].starts_with("1 Ad "));
    refused(r#"[{"cast":{"id":"date"}}]"#, &codes::BAD_EXPRESSION, "integer cannot be cast to date");
    refused(
        r#"[{"cast":{"id":"bigin"}}]"#,
        &codes::BAD_EXPRESSION,
        "there is no type `bigin`. Did you mean `bigint`?",
    );
    refused(r#"[{"cast":{"id":"int; x"}}]"#, &codes::BAD_EXPRESSION, "`;` is not expected here");
    refused(r#"[{"cast":{"zip":"int"}}]"#, &codes::UNKNOWN_COLUMN, "there is no column `zip`");
}

#[test]
fn set_sees_the_row_before_it() {
    let chain = chain(
        r#"[{"drop":["email","status","note"]},
            {"set":{"quantity":"quantity + 1","before":"quantity","full_name":"upper(full_name)"}}]"#,
    );
    assert_eq!(names(chain.output()), ["id", "full_name", "amount", "quantity", "before"]);
    let applied = apply(&chain);
    assert_eq!(lines(&applied.rows, chain.output()), ["1 ADA 10.00 3 2", "2 BOB 2.50 1 0", "3 CEM NULL 6 5"]);
    assert_eq!(applied.source_rows, Some(vec![0, 1, 2]));
    let reject = &applied.rejects[0];
    assert_eq!((reject.row, reject.error.row()), (3, Some(3)));
    assert_eq!(
        reject.error.to_string(),
        "could not run step 2, `set` of `quantity`: an integer is out of range [SYN-4003]"
    );
}

#[test]
fn set_knows_types_nullability_and_keys() {
    let chain = chain(
        r#"[{"set":{"total":"quantity * amount","at_least":"greatest(quantity, 1)","known":"coalesce(email, 'none')",
                   "one":"1","nothing":"null","amount":"null","id":"id * 10","full_name":"trim(full_name)",
                   "is_new":"status = 'new'","has":"email is not null","case_":"case when quantity > 1 then 1 end"}}]"#,
    );
    let output = chain.output();
    for (name, logical, nullable) in [
        ("total", L::Decimal { precision: 22, scale: 2 }, true),
        ("at_least", L::Int32, false),
        ("known", L::TEXT, false),
        ("one", L::Int32, false),
        ("nothing", L::TEXT, true),
        ("amount", DECIMAL, true),
        ("id", L::Int32, false),
        ("full_name", L::TEXT, false),
        ("is_new", L::Bool, true),
        ("has", L::Bool, false),
        ("case_", L::Int32, true),
    ] {
        let column = output.column(name).unwrap();
        assert_eq!(*column, Column { nullable, ..Column::new(name, logical) });
    }
    // Others may be unique no more; of the primary key a later check says so.
    assert_eq!((&output.key, output.unique.len()), (&vec!["id".to_owned()], 1));
    refused(
        r#"[{"set":{"a":"quantty"}}]"#,
        &codes::UNKNOWN_COLUMN,
        "step 1, `set` of `a`: line 1, column 1: there is no column `quantty`. Did you mean `quantity`?",
    );
    refused(r#"[{"set":{"a":"1 +"}}]"#, &codes::BAD_EXPRESSION, "step 1, `set` of `a`");
    refused(r#"[{"set":{"":"1"}}]"#, &codes::BAD_VALUE, "the column's name is empty");
    refused(r#"[{"set":{"a":"1"}},{"drop":["b"]}]"#, &codes::UNKNOWN_COLUMN, "step 2, `drop` of `b`");
}

#[test]
fn one_failing_row_is_rejected_once_and_alone() {
    let chain =
        chain(r#"[{"set":{"a":"1 / quantity","b":"2 / quantity"}},{"set":{"c":"3 / (quantity - 5)"}}]"#);
    let applied = apply(&chain);
    let rejected: Vec<(u32, &str)> =
        applied.rejects.iter().map(|reject| (reject.row, reject.error.reason())).collect();
    assert_eq!(rejected, [(1, "division by zero"), (2, "division by zero")]);
    assert_eq!(applied.source_rows, Some(vec![0, 3]));
    assert!(applied.rejects[1].error.to_string().contains("step 2, `set` of `c`"));
}

#[test]
fn filter_keeps_what_is_true_and_nothing_else() {
    let chain = chain(&format!(r#"[{{"filter":"amount > 3 and status <> 'done'"}}, {KEEP}]"#));
    assert_eq!(out(&chain), ["1 Ada 2", "4 Dan 2147483647"]);
    let chain = self::chain(r#"[{"filter":"10 / quantity > 1"}]"#);
    let applied = apply(&chain);
    assert_eq!(applied.source_rows, Some(vec![0, 2]));
    assert_eq!(applied.rejects[0].row, 1);
    assert_eq!(
        applied.rejects[0].error.to_string(),
        "could not run step 1, `filter`: division by zero [SYN-4003]"
    );
    let all = apply(&self::chain(r#"[{"filter":"true"}]"#));
    assert_eq!((all.source_rows, all.rows.num_rows()), (None, 4));
    let none = apply(&self::chain(r#"[{"filter":"null"}]"#));
    assert_eq!((none.source_rows, none.rows.num_rows()), (Some(vec![]), 0));
    refused(
        r#"[{"filter":"quantity"}]"#,
        &codes::BAD_EXPRESSION,
        "a condition is boolean, and this is integer",
    );
    refused(r#"[{"filter":"amont > 1"}]"#, &codes::UNKNOWN_COLUMN, "step 1, `filter`: line 1, column 1");
}

#[test]
fn rows_are_counted_in_the_batch_that_came_in() {
    let chain = chain(
        r#"[{"filter":"id > 1"},{"set":{"a":"1 / quantity"}},{"filter":"id < 4"},{"cast":{"status":"int"}}]"#,
    );
    let applied = apply(&chain);
    assert_eq!(applied.rejects.iter().map(|reject| reject.row).collect::<Vec<_>>(), [1]);
    assert_eq!(applied.source_rows, Some(vec![2]));
}

#[test]
fn masks_hide_and_null_stays_null() {
    let chain = chain(
        r#"[{"mask":{"email":"hash","full_name":"redact","note":"null","id":"hash"}},{"drop":["amount","quantity","status"]}]"#,
    );
    let rows: Vec<Vec<String>> =
        out(&chain).iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
    // As `openssl dgst -sha256 -hmac` gives it.
    assert_eq!(rows[0][2], "f5d89450dd94cbba23d1278a7572aab3b9677cbe0f65388b9cc260cfe09904ef");
    assert_eq!(rows[1][2], "NULL");
    assert!(rows.iter().all(|row| row[0].len() == 64 && row[1] == "***" && row[3] == "NULL"));
    assert_ne!(rows[0][0], rows[1][0]);
    let output = chain.output();
    let hashed = L::Text { length: Some(64), padded: false };
    assert_eq!(*output.column("id").unwrap(), Column::new("id", hashed).required());
    assert_eq!(*output.column("email").unwrap(), Column::new("email", hashed));
    assert_eq!(*output.column("full_name").unwrap(), Column::new("full_name", L::TEXT).required());
    assert_eq!(*output.column("note").unwrap(), Column::new("note", L::TEXT));
    // The hash keeps a key; what makes values alike ends it.
    assert_eq!((&output.key, &output.unique), (&vec!["id".to_owned()], &Vec::<Vec<String>>::new()));
}

#[test]
fn rows_that_a_schema_does_not_accept_are_rejected_with_the_rule_they_break() {
    // What is forbidden in each row: quantity 0 in the second, no amount in the third, and the
    // fourth's amount, which a double could not tell from its limit.
    let rules = |draft: &str| {
        format!(
            r#"[{{"drop":["note"]}},{{"filter":"id <> 1"}},{{"validate":{{"$schema":"{draft}","required":["amount"],"properties":{{
              "quantity":{{"exclusiveMinimum":0}},"amount":{{"type":"number","maximum":9999999999.985}},"status":{{"enum":["new","done",null]}}}}}}}},
              {{"drop":["quantity"]}}]"#
        )
    };
    for draft in ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"] {
        let chain = chain(&rules(draft));
        let applied = apply(&chain);
        assert_eq!(applied.rows.num_rows(), 0);
        let found: Vec<(u32, String)> =
            applied.rejects.iter().map(|reject| (reject.row, reject.error.reason().to_owned())).collect();
        let rule = |row, column: &str, rule: &str| {
            (row, format!("column `{column}` breaks `/properties/{column}/{rule}` of the schema"))
        };
        assert_eq!(
            found,
            [
                rule(1, "quantity", "exclusiveMinimum"),
                rule(2, "amount", "type"),
                rule(3, "amount", "maximum")
            ]
        );
        assert!(applied.rejects.iter().all(|reject| reject.error.code() == &codes::ROW_INVALID));
        assert!(applied.rejects.iter().all(|reject| reject.error.row() == Some(reject.row)));
    }
}

#[test]
fn drafts_differ_and_the_one_that_is_named_holds() {
    // `items` as a list is of draft 7; in 2020-12 that is `prefixItems`.
    let of = |draft: &str, keyword: &str| {
        let steps = format!(
            r#"[{{"set":{{"note":"'[1, \"two\"]'::json"}}}},{{"validate":{{{draft}"properties":{{"note":{{"{keyword}":[{{"type":"string"}}]}}}}}}}}]"#
        );
        bind(&steps).map(|chain| apply(&chain).rejects)
    };
    let seven = r#""$schema":"http://json-schema.org/draft-07/schema#","#;
    assert_eq!(of(seven, "items").unwrap().len(), 4);
    assert_eq!(of(seven, "prefixItems").unwrap().len(), 0, "unknown to that draft, and so no rule");
    let rejects = of("", "prefixItems").unwrap();
    assert_eq!(rejects.len(), 4);
    // A path inside a JSON column may be made of data.
    assert_eq!(
        rejects[0].error.reason(),
        "column `note` breaks `/properties/note/prefixItems/0/type` of the schema"
    );
    refused(
        r#"[{"validate":{"$schema":"https://example.com/own"}}]"#,
        &codes::BAD_VALUE,
        "step 1, `validate`: it is no valid JSON Schema",
    );
}

#[test]
fn encrypted_values_can_be_decrypted_by_who_has_the_key() {
    let steps =
        r#"[{"mask":{"email":"encrypt","id":"encrypt"}},{"drop":["amount","quantity","status","note"]}]"#;
    let chain = chain(steps);
    let rows: Vec<Vec<String>> =
        out(&chain).iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
    // As the README's way to decrypt, turned round, gives it with another implementation.
    assert_eq!(rows[0][0], "7tLaAClyciaVuDWSuLv0VPtiPUK13JMAAZ3iSwU=");
    assert_eq!(rows[0][2], "8WPuxBJbRJy1IXunH52URb7myI6Q1VjyECOVZNn1OzNlWh+c6Ke6kpCklg==");
    assert_eq!(rows[1][2], "NULL");
    assert_eq!(out(&chain), out(&chain), "the same value gives the same text");
    let output = chain.output();
    let with_length = L::Text { length: Some(64), padded: false };
    assert_eq!(*output.column("id").unwrap(), Column::new("id", with_length).required());
    assert_eq!(*output.column("email").unwrap(), Column::new("email", L::TEXT));
    assert_eq!(output.key, ["id"]);
    // Another stream has another key, and so has another column.
    let steps: Vec<StepSpec> = serde_json::from_str(steps).unwrap();
    let other = Chain::bind(&steps, &schema(), Some(&key()), "u").unwrap();
    assert!(lines(&apply(&other).rows, other.output()).iter().zip(out(&chain)).all(|(a, b)| *a != b));
    let both = self::chain(
        r#"[{"set":{"a":"status","b":"status"}},{"mask":{"a":"encrypt","b":"encrypt"}},{"drop":["id","full_name","email","amount","quantity","status","note"]}]"#,
    );
    let line = out(&both)[0].clone();
    let (a, b) = line.split_once(' ').unwrap();
    assert_ne!(a, b);
}

#[test]
fn a_hash_is_of_the_text_form_so_that_types_join() {
    let steps = r#"[{"cast":{"quantity":"bigint"}},{"set":{"text":"id::text"}},{"mask":{"id":"hash","text":"hash"}}]"#;
    let chain = chain(steps);
    let applied = apply(&chain);
    let column = |name| applied.rows.column(chain.output().index(name).unwrap()).to_data();
    assert_eq!(column("id"), column("text"));
}

#[test]
fn masks_find_their_mistakes() {
    refused(
        r#"[{"mask":{"full_name":"null"}}]"#,
        &codes::BAD_VALUE,
        "step 1, `mask` of `full_name`: the column is NOT NULL",
    );
    refused(r#"[{"mask":{"mail":"hash"}}]"#, &codes::UNKNOWN_COLUMN, "Did you mean `email`?");
    for (mask, key) in ["hash", "encrypt"]
        .into_iter()
        .flat_map(|mask| [(mask, None), (mask, Some(SecretString::from(String::new())))])
    {
        let steps: Vec<StepSpec> =
            serde_json::from_str(&format!(r#"[{{"mask":{{"email":"{mask}"}}}}]"#)).unwrap();
        let error = Chain::bind(&steps, &schema(), key.as_ref(), "t").unwrap_err();
        assert_eq!(error.code(), &codes::NO_MASK_KEY);
        assert!(error.to_string().contains("SYNCLINE_MASK_KEY"), "{error}");
    }
}

#[test]
fn only_columns_that_are_needed_are_read() {
    for (steps, expected) in [
        (r#"[{"drop":["email","amount","status","note"]}]"#, vec!["id", "full_name", "quantity"]),
        (
            r#"[{"filter":"status = 'new'"},{"drop":["email","amount","status","note"]}]"#,
            vec!["id", "full_name", "quantity", "status"],
        ),
        (
            r#"[{"set":{"email":"'x'","amount":"quantity * 2"}},{"drop":["status","note"]}]"#,
            vec!["id", "full_name", "quantity"],
        ),
        (
            r#"[{"rename":{"note":"memo"}},{"drop":["memo","email","amount","status"]}]"#,
            vec!["id", "full_name", "quantity"],
        ),
        (
            r#"[{"set":{"x":"1"}},{"drop":["id","full_name","email","amount","quantity","status","note"]}]"#,
            vec!["id"],
        ),
    ] {
        let chain = chain(steps);
        assert_eq!(chain.input_columns(), expected, "{steps}");
        // A batch of these columns gives what a batch of all gives.
        let mut reduced = schema();
        reduced.columns.retain(|column| chain.input_columns().contains(&column.name));
        let less = chain.apply(rows(&reduced)).unwrap();
        assert_eq!(less.rows, apply(&chain).rows, "{steps}");
    }
}

#[test]
fn a_wrong_batch_is_a_broken_invariant() {
    let chain = chain(r#"[{"drop":["note"]}]"#);
    let mut other = schema();
    other.columns.remove(0);
    for batch in [rows(&other), rows(&schema()).project(&[1, 0, 2, 3, 4, 5, 6]).unwrap()] {
        assert_eq!(chain.apply(batch.clone()).unwrap_err().code(), &codes::BROKEN_INVARIANT);
        assert_eq!(chain.letter(&batch, 0).unwrap_err().code(), &codes::BROKEN_INVARIANT);
    }
    assert_eq!(chain.letter(&rows(&schema()), 4).unwrap_err().code(), &codes::BROKEN_INVARIANT);
}

#[test]
fn no_steps_touch_nothing() {
    let chain = chain("[]");
    assert!(chain.is_empty());
    assert_eq!(*chain.output(), schema());
    let batch = rows(&schema());
    let before = Arc::clone(batch.column(0));
    let applied = chain.apply(batch).unwrap();
    assert!(Arc::ptr_eq(&before, applied.rows.column(0)));
    assert!(applied.rejects.is_empty() && applied.source_rows.is_none());
    assert_eq!(chain.pushdown(), None);
}

#[test]
fn the_fingerprint_changes_with_what_the_steps_do() {
    let print = |steps: &str, key: &str| {
        let steps: Vec<StepSpec> = serde_json::from_str(steps).unwrap();
        let key = SecretString::from(key.to_owned());
        Chain::bind(&steps, &schema(), Some(&key), "t").unwrap().fingerprint()
    };
    let (mask, set) = (r#"[{"mask":{"email":"hash"}}]"#, r#"[{"set":{"a":"1"}}]"#);
    assert_eq!(print(mask, "one"), print(mask, "one"));
    assert_ne!(print(mask, "one"), print(mask, "two"));
    let encrypt = r#"[{"mask":{"email":"encrypt"}}]"#;
    assert_ne!(print(encrypt, "one"), print(encrypt, "two"));
    // Without a mask that needs it the key does not count.
    assert_eq!(print(set, "one"), print(set, "two"));
    let all = [
        "[]",
        mask,
        set,
        encrypt,
        r#"[{"mask":{"email":"redact"}}]"#,
        r#"[{"set":{"a":"2"}}]"#,
        r#"[{"set":{"a":"1","b":"2"}}]"#,
        r#"[{"set":{"b":"2","a":"1"}}]"#,
        r#"[{"drop":["note"]},{"drop":["status"]}]"#,
        r#"[{"drop":["status"]},{"drop":["note"]}]"#,
    ];
    let mut prints: Vec<String> = all.iter().map(|steps| print(steps, "secret-key")).collect();
    assert!(prints.iter().all(|print| print.len() == 32 && !print.contains("secret")));
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), all.len());
}

#[test]
fn what_only_other_columns_need_is_not_done_for_some_of_them() {
    let whole = chain(
        r#"[{"filter":"quantity > 0"},{"cast":{"full_name":"int"}},{"set":{"twice":"id * 2","other":"1 / quantity"}},{"rename":{"id":"number"}}]"#,
    );
    let only = whole.only(&["number".into(), "twice".into()]).expect("both come out");
    let names: Vec<&str> = only.output().columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["number", "twice"]);
    // The filter stays, and so does what it looks at.
    assert_eq!(only.input_columns(), ["id", "quantity"]);
    let schema = schema();
    assert!(!whole.apply(rows(&schema)).expect("the batch fits").rejects.is_empty());
    let applied = only.apply(rows(&schema)).expect("the batch fits");
    assert!(applied.rejects.is_empty(), "{:?}", applied.rejects);
    assert_eq!(applied.rows.num_rows(), 3);
    assert_eq!(whole.only(&["id".into()]).expect_err("it is renamed").code(), &codes::UNKNOWN_COLUMN);
}

#[test]
fn a_chain_over_a_part_of_the_rows_has_the_same_steps() {
    let steps: Vec<StepSpec> = vec![];
    let whole = Chain::bind(&steps, &schema(), None, "t").unwrap();
    let part = Chain::bind_within(Some("id >= '2' AND id <= '3'"), &steps, &schema(), None, "t").unwrap();
    assert_eq!((part.fingerprint(), part.steps()), (whole.fingerprint(), whole.steps()));
    assert!(whole.is_empty() && !part.is_empty() && part.pushdown().is_some());
    let applied = part.apply(rows(&schema())).unwrap();
    assert_eq!((applied.rows.num_rows(), applied.source_rows), (2, Some(vec![1, 2])));
}

#[test]
fn a_chain_knows_where_a_column_goes_and_what_is_hidden() {
    let chain = bind(
        r#"[{"rename": {"id": "number"}}, {"cast": {"quantity": "bigint"}}, {"mask": {"email": "hash"}},
            {"set": {"note": "note || 'x'"}}]"#,
    )
    .unwrap();
    assert_eq!(chain.carrier("id"), Some("number"));
    assert_eq!(["quantity", "email", "note"].map(|column| chain.carrier(column)), [None; 3]);
    assert_eq!(chain.masked(), ["email"]);
    let sealed = chain.seal(7).expect("there is a key");
    assert!(sealed != 7 && chain.seal(8) != Some(sealed) && chain.key_check().is_some());
    let keyless = Chain::bind(&[], &schema(), None, "t").unwrap();
    assert_eq!((keyless.seal(7), keyless.key_check()), (None, None));
}
