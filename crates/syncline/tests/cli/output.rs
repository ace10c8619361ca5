//! What is printed where: one object a line for programs, plain lines for people.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    desk::{Desk, sum},
    ends::Ends,
    tables::Pair,
};

/// Everything on standard output is one object a line with an `event`, which `Desk::read` checks;
/// here is what the last of them is, and that standard error is silent.
#[test]
fn every_command_speaks_json_and_nothing_else() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 3000) g");
    let file = pair.desk.file(
        "f.yaml",
        &format!(
            "pipelines:\n  p: {{ from: \"{}\", to: \"{}\", streams: [t], limits: {{ rows_per_second: 1500 }}, chunk_rows: 300 }}\n",
            pair.from.url(),
            pair.to.url()
        ),
    );
    for (arguments, code, last) in [
        (&["plan", &file][..], 0, "plan"),
        (&["run", &file], 0, "summary"),
        (&["verify", &file], 0, "summary"),
        (&["status", &file], 0, "status"),
        (&["dlq", "list", "p"], 0, ""),
        (&["dlq", "drop", "p"], 0, "dropped"),
        (&["connectors"], 0, "connector"),
        (&["connectors", "postgres"], 0, "connector"),
        (&["connectors", "postgrse"], 2, "error"),
        (&["copy", "sqlite:nope.db", "blackhole:"], 1, "error"),
        (&["nonsense"], 2, "error"),
    ] {
        let ran = pair.desk.run(arguments).expect_code(code);
        assert_eq!(ran.finished.stderr, "", "{arguments:?}");
        match ran.events.last() {
            None => assert_eq!(last, "", "{arguments:?} says nothing"),
            Some(event) => assert_eq!(event["event"], last, "{arguments:?}"),
        }
        if arguments[0] == "run" {
            let progress = ran.of("progress");
            assert!(!progress.is_empty(), "two seconds without a word: {}", ran.finished);
            assert!(progress.iter().all(|told| told["streams"][0]["rows"].is_u64()), "{}", ran.finished);
            let summary = ran.last();
            assert_eq!(summary["pipeline"], "p");
            for field in ["stream", "rows", "bytes", "rejected", "seconds"] {
                assert!(!summary["streams"][0][field].is_null(), "no `{field}` in {summary}");
            }
        }
    }
}

#[test]
fn people_get_plain_lines_where_there_is_no_terminal() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    let rows: Vec<String> = (1..=3_600).map(|id| format!("({id}, 'v')")).collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
    let command = ends.command("copy", &["--limit-rows", "600/s", "--chunk-rows", "100"]);
    let told = ends.desk.text(&command).expect_code(0);
    assert_eq!(told.stdout, "", "reports of a run are not for pipes");
    assert!(!told.stderr.contains('\u{1b}') && !told.stderr.contains('\r'), "{told}");
    let progress: Vec<&str> = told.stderr.lines().filter(|line| line.starts_with("main.t: ")).collect();
    assert!(!progress.is_empty(), "{told}");
    assert!(progress[0].contains("rows") && progress[0].contains("3 600"), "{told}");
    assert!(told.stderr.contains("published") && told.stderr.contains("3 600"), "{told}");
}

/// The keys that a place of the schema takes, through references and choices.
fn keys(schema: &Value, place: &Value, found: &mut BTreeSet<String>) {
    if let Some(name) = place["$ref"].as_str() {
        keys(schema, schema.pointer(name.trim_start_matches('#')).expect("it refers to itself"), found);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        for place in place[choice].as_array().into_iter().flatten() {
            keys(schema, place, found);
        }
    }
    found.extend(place["properties"].as_object().into_iter().flatten().map(|(key, _)| key.clone()));
}

fn keys_at(schema: &Value, path: &[&str]) -> BTreeSet<String> {
    let mut place = schema.clone();
    for step in path {
        while let Some(name) = place["$ref"].as_str() {
            place = schema.pointer(name.trim_start_matches('#')).expect("it refers to itself").clone();
        }
        let choices = ["anyOf", "oneOf"].iter().filter_map(|choice| place[*choice].as_array()).flatten();
        place = std::iter::once(&place)
            .chain(choices)
            .map(|place| match place["$ref"].as_str() {
                Some(name) => {
                    schema.pointer(name.trim_start_matches('#')).expect("it refers to itself").clone()
                }
                None => place.clone(),
            })
            .map(|place| match *step {
                "*" => place["additionalProperties"].clone(),
                "[]" => place["items"].clone(),
                key => place["properties"][key].clone(),
            })
            .find(|place| place.is_object())
            .unwrap_or_else(|| panic!("no `{step}` of {path:?} in {place}"));
    }
    let mut found = BTreeSet::new();
    keys(schema, &place, &mut found);
    found
}

#[test]
fn the_schema_lists_what_the_parser_takes() {
    let desk = Desk::new();
    let printed = desk.syncline(&["schema"]).run().expect_code(0).stdout;
    let schema: Value = serde_json::from_str(&printed).expect("it is JSON");
    let line = desk.syncline(&["schema", "--output", "json"]).run().expect_code(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&line).expect("it is JSON"), schema);
    assert_eq!(line.lines().count(), 1, "one object a line");
    // A wrong key anywhere is answered with all that are right there: the schema has to know the same.
    let pipeline = "from: \"sqlite:a.db\", to: \"sqlite:b.db\"";
    let places: [(&[&str], String); 6] = [
        (&[], "zzzzzz: 1\npipelines: {}\n".into()),
        (
            &["connections", "*"],
            format!(
                "connections: {{ a: {{ url: \"sqlite:a\", zzzzzz: 1 }} }}\npipelines: {{ p: {{ {pipeline} }} }}\n"
            ),
        ),
        (&["pipelines", "*"], format!("pipelines: {{ p: {{ {pipeline}, zzzzzz: 1 }} }}\n")),
        (
            &["pipelines", "*", "streams", "[]"],
            format!("pipelines: {{ p: {{ {pipeline}, streams: [{{ name: t, zzzzzz: 1 }}] }} }}\n"),
        ),
        (
            &["pipelines", "*", "limits"],
            format!("pipelines: {{ p: {{ {pipeline}, limits: {{ zzzzzz: 1 }} }} }}\n"),
        ),
        (
            &["pipelines", "*", "steps", "[]"],
            format!("pipelines: {{ p: {{ {pipeline}, steps: [{{ zzzzzz: 1 }}] }} }}\n"),
        ),
    ];
    for (path, text) in places {
        let file = desk.file("f.yaml", &text);
        let ran = desk.run(&["plan", &file]).expect_code(2);
        let last = ran.last();
        let told = format!(
            "{} {}",
            last["message"].as_str().unwrap_or_default(),
            last["hint"].as_str().unwrap_or_default()
        );
        let listed =
            told.split_once("There is: ").or_else(|| told.split_once("there are ")).map(|(_, list)| list);
        let listed = listed.unwrap_or_else(|| panic!("no list of keys in {last}"));
        let taken: BTreeSet<String> = listed
            .split(',')
            .map(|key| key.split_whitespace().next().unwrap_or_default().trim_matches('`').to_owned())
            .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !key.is_empty())
            .collect();
        assert_eq!(keys_at(&schema, path), taken, "{path:?}: {last}");
    }
}

#[test]
fn connectors_are_listed_with_what_they_can_do() {
    let desk = Desk::new();
    let told = desk.run(&["connectors"]).expect_code(0);
    let names: Vec<&str> = told.events.iter().filter_map(|told| told["name"].as_str()).collect();
    assert_eq!(names, ["blackhole", "file", "generate", "mysql", "postgres", "sqlite"]);
    for name in names {
        let one = desk.run(&["connectors", name]).expect_code(0);
        assert!(one.last()["options"].is_object(), "{}", one.finished);
        let text = desk.text(&["connectors", name]).expect_code(0).stdout;
        for option in one.last()["options"]["properties"].as_object().into_iter().flatten() {
            assert!(text.contains(&format!("- `{}`", option.0)), "no `{}` in {text}", option.0);
        }
    }
    let list = desk.text(&["connectors"]).expect_code(0).stdout;
    assert!(list.contains("postgresql:") && list.contains("exactly once"), "{list}");
    desk.run(&["connectors", "postgrse"]).failed(2, "SYN-1006").hints("postgres");
}

#[test]
fn a_stream_that_fails_does_not_stop_the_others() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (1, -5); CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (3)");
    pair.to.sql("CREATE TABLE b (id int PRIMARY KEY, v int CHECK (v > 0))");
    let ran = pair.run(&[]).expect_code(1);
    let failed = ran.of("stream_failed");
    assert_eq!(
        (failed.len(), &failed[0]["stream"], &failed[0]["code"]),
        (1, &"public.b".into(), &"SYN-4001".into())
    );
    assert_eq!(pair.to.sql("SELECT count(*) FROM a; SELECT count(*) FROM b; SELECT id FROM c"), "1\n0\n3");
    pair.from.sql("UPDATE b SET v = 5");
    let summary = pair.run(&[]).done();
    assert_eq!(sum(&summary, "rows") + sum(&summary, "rows_resumed"), 3, "{summary}");
    pair.same("b");
}
