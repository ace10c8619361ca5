//! Types of every sort read from a document, and the place of what does not fit.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::*;
use crate::place::Document;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Drop(Vec<String>),
    Mask(BTreeMap<String, Mask>),
    Move { from: String, to: Option<u64> },
    Stop,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mask {
    Hash,
    Null,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Top {
    steps: Vec<Step>,
    pair: Option<(String, bool)>,
}

#[track_caller]
fn check(yaml: &str, expected: Result<Top, &str>) {
    let document = Document::parse(Path::new("f"), yaml).unwrap();
    let found = document.read::<Top>().map_err(|error| error.to_string());
    let found = found.as_ref().map_err(|message| message.trim_start_matches("could not read f:"));
    assert_eq!(found, expected.as_ref().map_err(|message| *message), "{yaml}");
}

#[test]
fn enums_are_texts_or_maps_with_one_key() {
    let mask = |entries: [(&str, Mask); 2]| {
        Step::Mask(entries.into_iter().map(|(name, mask)| (name.to_owned(), mask)).collect())
    };
    check(
        "steps:\n- drop: [a, 5]\n- mask: {a: hash, b: null}\n- move: {from: x}\n- stop\npair: [1, true]",
        Ok(Top {
            steps: vec![
                Step::Drop(vec!["a".into(), "5".into()]),
                mask([("a", Mask::Hash), ("b", Mask::Null)]),
                Step::Move { from: "x".into(), to: None },
                Step::Stop,
            ],
            pair: Some(("1".into(), true)),
        }),
    );
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    for (steps, expected) in [
        ("[{dorp: [a]}]", "1:10: step 1 of the file cannot be `dorp`. Did you mean `drop`? [SYN-1004]"),
        ("[{drop: a}]", "1:16: `drop` of step 1 of the file: this is a text, and must be a list [SYN-1004]"),
        (
            "[stop, {drop: [[a]]}]",
            "1:23: item 1 of `drop` of step 2 of the file: this is a list, and must be a text [SYN-1004]",
        ),
        (
            "[{mask: {a: hsh}}]",
            "1:20: `a` of `mask` of step 1 of the file cannot be `hsh`. Did you mean `hash`? [SYN-1004]",
        ),
        (
            "[{mask: {a: ~}}]",
            "1:20: `a` of `mask` of step 1 of the file cannot be `~`. There is: hash, null [SYN-1004]",
        ),
        (
            "[{mask: {a: }}]",
            "1:17: `a` of `mask` of step 1 of the file has no value. Give it one, or leave the key out [SYN-1004]",
        ),
        (
            "[{mask: {a: [b]}}]",
            "1:20: `a` of `mask` of step 1 of the file: this is a list, and must be one of: hash, null [SYN-1004]",
        ),
        (
            "[{mask: {a: {hash: 1}}}]",
            "1:27: `a` of `mask` of step 1 of the file: `hash` takes nothing more [SYN-1004]",
        ),
        ("[{move: {}}]", "1:10: `move` of step 1 of the file has no `from` [SYN-1004]"),
        (
            "[{move: [x, 1]}]",
            "1:16: `move` of step 1 of the file: this is a list, and must be a map [SYN-1004]",
        ),
        (
            "[{move: {from: x, to: y}}]",
            "1:30: `to` of `move` of step 1 of the file: this is a text, and must be a whole number, 0 or more [SYN-1004]",
        ),
        ("[drop]", "1:9: step 1 of the file has no value. Give it one, or leave the key out [SYN-1004]"),
        (
            "[{drop: [a], stop: 1}]",
            "1:9: step 1 of the file: this is a map with 2 keys, and must have one of: drop, mask, move, stop [SYN-1004]",
        ),
        (
            "[{}]",
            "1:9: step 1 of the file: this is a map with 0 keys, and must have one of: drop, mask, move, stop [SYN-1004]",
        ),
    ] {
        check(&format!("steps: {steps}"), Err(expected));
    }
}

#[test]
fn a_value_is_taken_as_it_is_written() {
    let document = Document::parse(
        Path::new("f"),
        "a: 0123\nb: 1.50\nc: NULL\nd: True\ne: \"\"\nf: [1.50, null, true, -1]\ng: {h: 18446744073709551615}\n",
    )
    .unwrap();
    let found: BTreeMap<String, AsWritten> = document.read().unwrap();
    let found: BTreeMap<String, Value> = found.into_iter().map(|(name, value)| (name, value.0)).collect();
    assert_eq!(
        json!(found),
        json!({
            "a": "0123", "b": "1.50", "c": "NULL", "d": "True", "e": "",
            "f": [1.5, null, true, -1], "g": {"h": u64::MAX},
        })
    );
}
