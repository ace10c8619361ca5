//! Pipeline files with mistakes: the line is named, and the nearest right name.

use super::{PASSWORD, SECRET};
use crate::{desk::Desk, lite::Lite};

/// A file that is right but for what is put into it.
fn yaml(pipeline: &str) -> String {
    format!(
        "connections:\n  a: sqlite:a.db\n  b: {{ url: \"sqlite:b.db\" }}\npipelines:\n  p:\n    from: a\n    to: b\n{pipeline}"
    )
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_line() {
    let desk = Desk::new();
    Lite::at(desk.path().join("a.db")).sql(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT); INSERT INTO t VALUES (1, '{SECRET}', 5)"
    ));
    let step =
        |step: &str| yaml(&format!("    streams:\n      - name: t\n        steps:\n          - {step}\n"));
    let cases: &[(String, &str, &[&str])] = &[
        ("pipelines: [\n".into(), "SYN-1002", &[":1:"]),
        ("connections:\n  a: x\n a: y\n".into(), "SYN-1002", &[":3:"]),
        (yaml("    streems: [t]\n"), "SYN-1003", &[":8:", "streams"]),
        (yaml("    streams:\n      - nmae: t\n"), "SYN-1003", &[":9:", "name"]),
        (yaml("    limits: { row_per_second: 5 }\n"), "SYN-1003", &[":8:", "rows_per_second"]),
        (yaml("    from: b\n"), "SYN-1002", &[":8:", "from"]),
        (yaml("    write: upsert\n"), "SYN-1004", &[":8:", "merge"]),
        (yaml("    parallel: 0\n"), "SYN-1004", &[":8:"]),
        (yaml("    chunk_rows: many\n"), "SYN-1004", &[":8:"]),
        (yaml("    sync: folow\n"), "SYN-1004", &[":8:", "follow"]),
        (yaml("    cursor: id\n"), "SYN-1004", &[":8:", "cursor"]),
        (yaml("    streams: [t]\n").replace("to: b", "to: c"), "SYN-1004", &[":7:", "`c`", "a, b"]),
        (yaml("").replace("    to: b\n", ""), "SYN-1004", &[":5:", "to"]),
        (yaml("").replace("url:", "ulr:"), "SYN-1003", &[":3:", "url"]),
        (yaml("").replace("sqlite:b.db", "sqlite:b.db?busi_seconds=1"), "SYN-1003", &["busy_seconds"]),
        (yaml("").replace("sqlite:b.db", "sqlit:b.db"), "SYN-1006", &["sqlite"]),
        (yaml("").replace("sqlite:b.db", "${NO_SUCH_VARIABLE}"), "SYN-1005", &[":3:", "NO_SUCH_VARIABLE"]),
        (yaml("").replace("sqlite:b.db", "${file:/no/such/file}"), "SYN-1005", &[":3:", "/no/such/file"]),
        (step("maks: { v: hash }"), "SYN-1004", &[":11:", "mask"]),
        (step("mask: { v: hsah }"), "SYN-1004", &[":11:", "hash"]),
        (step("mask: { v: hash }"), "SYN-1011", &["SYNCLINE_MASK_KEY"]),
        (step("validate: x.json"), "SYN-1002", &[":11:", "x.json` cannot be read"]),
        (step("drop: [vv]"), "SYN-1008", &["`vv`", "`v`"]),
        (step("rename: { x: y }"), "SYN-1008", &["`x`", "id, v, n"]),
        (step("mask: { x: redact }"), "SYN-1008", &["`x`"]),
        (step("cast: { x: text }"), "SYN-1008", &["`x`"]),
        (step("cast: { n: integre }"), "SYN-1009", &["integre"]),
        (step("filter: \"n >\""), "SYN-1009", &["expected: an expression"]),
        (step("filter: \"n + 1\""), "SYN-1009", &["boolean"]),
        (step("filter: \"nn > 1\""), "SYN-1008", &["nn"]),
        (step("filter: \"no_such(n) > 1\""), "SYN-1009", &["no_such"]),
        (step("set: { m: \"n + v\" }"), "SYN-1009", &["column 1", "bigint and text"]),
        (step("rename: { v: n }"), "SYN-1004", &["`n`"]),
    ];
    let mut wrong = vec![];
    for (text, code, names) in cases {
        let file = desk.file("f.yaml", text);
        for command in ["plan", "run"] {
            let ran = desk.run(&[command, &file]).expect_code(2);
            let last = ran.last();
            let says = last["message"].to_string() + &last["hint"].to_string();
            if last["code"] != **code
                || !names.iter().all(|name| says.contains(name))
                || last["hint"].is_null()
            {
                wrong.push(format!("{command}: not {code} with {names:?} but {last} of\n{text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!desk.path().join("b.db").exists(), "nothing was made");
    desk.never_said(SECRET);
}

#[test]
fn a_file_that_cannot_be_read_or_lacks_a_pipeline_is_told() {
    let desk = Desk::new();
    let file = desk.file("f.yaml", &yaml(""));
    for command in ["plan", "run", "verify"] {
        desk.run(&[command, "nope.yaml"]).failed(2, "SYN-1002").hinted().names(&["nope.yaml"]);
        desk.run(&[command, "."]).failed(2, "SYN-1002").names(&["folder"]);
        desk.run(&[command, &file, "pp"]).failed(2, "SYN-1001").hinted().names(&["`p`"]);
        std::fs::write(desk.path().join("latin.yaml"), b"pipelines:\n  p: \xe4\n").expect("written");
        desk.run(&[command, "latin.yaml"]).failed(2, "SYN-1002").names(&["line 2"]);
    }
    desk.run(&["plan", &file, "--write", "merge"]).failed(2, "SYN-1001").hinted();
}

#[test]
fn a_password_in_a_file_with_mistakes_is_not_said() {
    let desk = Desk::new();
    for (text, code) in [
        (
            format!(
                "connections:\n  a: {{ url: \"postgres://u:{PASSWORD}@h/x\", nope: 1 }}\npipelines: {{ p: {{ from: a, to: a }} }}\n"
            ),
            "SYN-1003",
        ),
        (
            format!(
                "connections:\n  a: \"postgres://u:{PASSWORD}@h:x/x\"\npipelines: {{ p: {{ from: a, to: a }} }}\n"
            ),
            "SYN-1007",
        ),
        (
            format!(
                "connections:\n  a: {{ url: \"postgres://u@h/x\", options: {{ password: \"{PASSWORD}\", prot: 1 }} }}\npipelines: {{ p: {{ from: a, to: a }} }}\n"
            ),
            "SYN-1003",
        ),
        (format!("pipelines: {{ p: {{ from: \"postgres//u:{PASSWORD}@h/x\", to: a }} }}\n"), "SYN-1004"),
        (format!("mask_kye: {PASSWORD}\npipelines: {{ p: {{ from: a, to: a }} }}\n"), "SYN-1003"),
    ] {
        let file = desk.file("f.yaml", &text);
        desk.run(&["run", &file]).failed(2, code);
        desk.text(&["plan", &file, "--log-level", "trace"]).expect_code(2);
    }
    desk.never_said(PASSWORD);
}
