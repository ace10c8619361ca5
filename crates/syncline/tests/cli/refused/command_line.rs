//! Commands and options that do not make sense.

use crate::{desk::Desk, lite::Lite};

#[test]
fn what_makes_no_sense_is_refused_with_the_nearest_that_does() {
    let desk = Desk::new();
    let file = Lite::at(desk.path().join("a.db"));
    file.sql("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let ends = ["copy", "sqlite:a.db", "sqlite:b.db"];
    let cases: &[(&[&str], &str, &[&str])] = &[
        (&["--paralel", "3"], "SYN-1003", &["--parallel"]),
        (&["--wirte", "merge"], "SYN-1003", &["--write"]),
        (&["--write", "upsert"], "SYN-1004", &["overwrite", "append", "merge"]),
        (&["--on-error", "ignore"], "SYN-1004", &["dead_letter"]),
        (&["--chunk-rows", "0"], "SYN-1004", &["--chunk-rows"]),
        (&["--parallel", "many"], "SYN-1004", &["--parallel"]),
        (&["--memory", "lots"], "SYN-1004", &["--memory"]),
        (&["--limit-rows", "0/s"], "SYN-1004", &["--limit-rows"]),
        (&["--limit-bytes", "5 parsec"], "SYN-1004", &["--limit-bytes"]),
        (&["--idle-timeout", "0"], "SYN-1004", &["--idle-timeout"]),
        (&["--stream", "t", "--stream", "t"], "SYN-3006", &["t"]),
        (&["--where", "id >"], "SYN-1009", &["expected: an expression"]),
        (&["--where", "nope > 1"], "SYN-1008", &["nope", "id"]),
        (&["--key", "nope"], "SYN-1008", &["nope", "id"]),
        (&["--columns", "nope"], "SYN-1008", &["nope", "id"]),
        (&["sqlite:c.db"], "SYN-1003", &["sqlite:c.db"]),
    ];
    for (options, code, names) in cases {
        let arguments = [&ends[..], options].concat();
        let exit = if code.starts_with("SYN-1") { 2 } else { 1 };
        desk.run(&arguments).failed(exit, code).hinted().names(names);
        let text = desk.text(&arguments).expect_code(exit);
        assert!(text.stdout.is_empty(), "errors go to standard error: {text}");
        assert!(text.stderr.contains(&format!("[{code}]")), "{text}");
    }
    for (arguments, names) in [
        (&["cpoy", "sqlite:a.db", "sqlite:b.db"][..], "copy"),
        (&["copy", "sqlite:a.db"], "TO"),
        (&["copy", "a.db", "b.db"], "sqlite:"),
        (&["plan"], "FROM"),
        (&["verify", "sqlite:a.db"], "FROM TO"),
        (&["run", "sqlite:a.db", "sqlite:b.db"], ""),
        (&["dlq", "list"], "PIPELINE"),
    ] {
        let failed = desk.run(arguments);
        let code = failed.last()["code"].as_str().unwrap_or_default().to_owned();
        assert!(["SYN-1001", "SYN-1002"].contains(&code.as_str()), "{}", failed.finished);
        failed.failed(2, &code).hinted().names(&[names]);
    }
    assert!(!desk.path().join("b.db").exists(), "nothing was made");
    assert!(desk.text(&["copy", "--help"]).expect_code(0).stdout.contains("--chunk-rows"));
    assert!(desk.text(&["--help"]).expect_code(0).stdout.contains("Exit codes"));
}

#[test]
fn a_connection_too_many_is_not_repeated() {
    let desk = Desk::new();
    let other = format!("postgres://u:{}@h/x", super::PASSWORD);
    desk.run(&["copy", "sqlite:a.db", "sqlite:b.db", &other]).failed(2, "SYN-1001").hinted();
    desk.text(&["copy", "sqlite:a.db", "sqlite:b.db", &other]).expect_code(2);
    desk.never_said(super::PASSWORD);
}
