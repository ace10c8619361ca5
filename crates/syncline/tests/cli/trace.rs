//! `trace`: where one row is, and why.

use serde_json::{Value, json};

use crate::{
    desk::{Desk, Ran, number},
    ends::{EACH_TARGET, Ends},
    tables::{Holder, Pair},
};

/// What is said of a row.
fn told(desk: &Desk, file: &str, stream: &str, key: &[&str], code: i32) -> Value {
    one(desk.run(&[&["trace", file, "p", stream], key, &["--settle", "15s"]].concat()), code)
}

fn one(ran: Ran, code: i32) -> Value {
    let ran = ran.expect_code(code);
    assert_eq!((ran.events.len(), &ran.last()["event"]), (1, &json!("trace")), "{}", ran.finished);
    ran.last().clone()
}

/// Verdict, whether the source and the target have it, and the columns that differ.
fn comes_to(told: &Value) -> (&str, bool, bool, Vec<&str>) {
    let is = |name: &str| told[name].as_bool().unwrap_or_else(|| panic!("no {name} in {told}"));
    let columns = told["differing"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    (told["verdict"].as_str().expect("a verdict"), is("at_source"), is("at_target"), columns)
}

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, n int, secret text);
    INSERT INTO t SELECT g, g, 'hush ' || g FROM generate_series(1, 50) g;
    CREATE TABLE items (a int, b text, v text, PRIMARY KEY (a, b)); INSERT INTO items VALUES (1, 'x=y', 'v'), (2, 'z', NULL)";

fn file(pair: &Pair, sync: &str, more: &str) -> String {
    pair.desk.file(
        "f.yaml",
        &format!(
            "mask_key: k3y\nconnections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  p:\n    from: a\n    to: b\n    \
             sync: {sync}\n    on_error: dead_letter\n    streams:\n      - name: public.t\n        to: copied\n{more}        \
             where: \"id <> 13\"\n        steps:\n          - filter: \"n < 100\"\n          - rename: {{ id: number }}\n          \
             - mask: {{ secret: redact }}\n          - set: {{ share: \"100 / n\" }}\n      - name: public.items\n{more}        \
             steps:\n          - mask: {{ b: hash }}\n",
            pair.from.url(),
            pair.to.url()
        ),
    )
}

#[test]
fn a_row_of_a_pipeline_that_follows_is_found_wherever_it_is() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    pair.from.sql("ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE items REPLICA IDENTITY FULL");
    let file = file(&pair, "follow", "");
    let follow = || pair.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
    let trace = |stream: &str, key: &[&str], code: i32| told(&pair.desk, &file, stream, key, code);
    follow();
    pair.from.sql(
        "UPDATE t SET n = 0 WHERE id = 4; UPDATE t SET n = 200 WHERE id = 5; DELETE FROM t WHERE id = 6",
    );
    follow();

    let seven = trace("t", &["7"], 0);
    assert_eq!(comes_to(&seven), ("applied", true, true, vec![]), "{seven}");
    assert_eq!((&seven["key"], &seven["step"]), (&json!({"id": 7}), &Value::Null), "{seven}");
    assert!(seven["mark"].is_string() && seven["running"] == false, "{seven}");
    for (stream, key) in [("public.t", "id=7"), ("copied", "number=7"), ("copied", "007")] {
        assert_eq!(comes_to(&trace(stream, &[key], 0)).0, "applied", "{stream} {key}");
    }
    for (id, step) in [("13", 1), ("5", 2)] {
        let out = trace("t", &[id], 0);
        assert_eq!(comes_to(&out), ("filtered", true, false, vec![]), "{out}");
        assert_eq!((number(&out["step"]["number"]), &out["step"]["kind"]), (step, &json!("filter")), "{out}");
    }
    let gone = trace("t", &["6"], 0);
    assert_eq!(comes_to(&gone), ("absent", false, false, vec![]), "{gone}");
    // The target has the row as it was before.
    let refused = trace("t", &["4"], 3);
    assert_eq!(comes_to(&refused).0, "dead_lettered", "{refused}");
    let (step, letter) = (&refused["step"], &refused["dead_letters"][0]);
    assert_eq!(
        (number(&step["number"]), &step["kind"], &step["code"]),
        (5, &json!("set"), &json!("SYN-4003"))
    );
    assert_eq!((&letter["code"], letter["at"].is_string()), (&json!("SYN-4003"), true), "{refused}");

    let item = trace("items", &["b=x=y", "a=1"], 0);
    assert_eq!(comes_to(&item), ("applied", true, true, vec![]), "{item}");
    pair.from.sql("DELETE FROM items WHERE a = 2; UPDATE t SET n = 50 WHERE id = 8");
    // It does not run, so nobody knows whether this is still to come.
    let late = trace("t", &["8"], 3);
    assert_eq!(comes_to(&late), ("not_read_yet", true, true, vec!["n", "share"]), "{late}");
    assert!(number(&late["behind_bytes"]) > 0, "{late}");
    assert_eq!(comes_to(&trace("items", &["a=2", "b=z"], 3)), ("not_read_yet", false, true, vec![]));
    follow();
    assert_eq!(comes_to(&trace("items", &["a=2", "b=z"], 0)).0, "absent");
    assert_eq!(comes_to(&trace("t", &["8"], 0)).0, "applied");

    for (arguments, code, words) in [
        (&["nothing", "7"][..], "SYN-3001", "public.items"),
        (&["items", "1"], "SYN-1001", "a=... b=..."),
        (&["t", "id=7", "n=7"], "SYN-1001", "number=..."),
    ] {
        let exit = if code == "SYN-1001" { 2 } else { 1 };
        pair.desk.run(&[&["trace", &file, "p"], arguments].concat()).failed(exit, code).hints(words);
    }
    pair.desk.run(&["trace", &file, "p", "t", "seven"]).failed(2, "SYN-1004").names(&["`id`", "int32"]);
    for secret in ["hush", "\"n\":"] {
        pair.desk.never_said(secret);
    }
}

#[test]
fn a_row_that_differs_behind_a_pipeline_that_runs_is_told_from_one_on_its_way() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    pair.from.sql("ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE items REPLICA IDENTITY FULL");
    let file = file(&pair, "follow", "");
    let run = pair.desk.syncline(&["run", &file]).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    pair.to.sql("DELETE FROM copied WHERE number = 20; UPDATE copied SET n = 1 WHERE number = 21; INSERT INTO copied (number) VALUES (99)");
    let trace = |id: &str, code: i32| told(&pair.desk, &file, "t", &[id], code);
    assert_eq!(comes_to(&trace("20", 3)), ("missing", true, false, vec![]));
    assert_eq!(comes_to(&trace("21", 3)), ("different", true, true, vec!["n"]));
    let extra = trace("99", 3);
    assert_eq!(comes_to(&extra), ("extra", false, true, vec![]), "{extra}");
    assert_eq!(extra["running"], true, "{extra}");
    pair.from.sql("UPDATE t SET n = 77 WHERE id = 22");
    assert_eq!(comes_to(&trace("22", 0)).0, "applied", "it is waited for");
    let holder = Holder::start(&pair.to, "LOCK TABLE copied IN SHARE ROW EXCLUSIVE MODE");
    pair.from.sql("UPDATE t SET n = 50 WHERE id = 22");
    let command = ["trace", &file, "p", "t", "22", "--settle", "2s"];
    let waiting = one(pair.desk.run(&command), 3);
    assert_eq!(comes_to(&waiting).0, "not_read_yet");
    let last = &waiting["changes"]["last"];
    assert_eq!((&last["done"], &last["applied"]), (&json!("updated"), &json!(false)), "{waiting}");
    let text = pair.desk.text(&command).expect_code(3);
    for part in [
        "public.t {\"id\":22} -> copied",
        "it passes all 5",
        "differs in n, share",
        "pipeline runs",
        "change   last updated, committed at 20",
        "read, and not applied yet",
        "not read yet",
    ] {
        assert!(text.stdout.contains(part), "no `{part}` in {text}");
    }
    drop(holder);
    let text = pair.desk.text(&["trace", &file, "p", "t", "20"]).expect_code(3);
    assert!(text.stdout.contains("missing at the target although the pipeline is past it"), "{text}");
    run.interrupt();
    pair.desk.read(run.wait()).expect_code(0);
}

#[test]
fn the_last_change_of_a_row_is_told() {
    for kinds in [("postgres", "postgres"), ("mariadb", "sqlite"), ("sqlite", "postgres")] {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql(
            "CREATE TABLE t (a int, b varchar(20), n int, PRIMARY KEY (a, b));
             INSERT INTO t VALUES (1, 'x', 0), (2, 'x', 0), (3, 'x', 0), (4, 'x', 0), (5, 'x', 0)",
        );
        let options = ["--sync", "follow", "--name", "f", "--until-caught-up"];
        let run = || ends.desk.run(&ends.command("copy", &options)).expect_code(0);
        run();
        let changes = |a: &str, b: &str, exit: i32| {
            let row = ["t".to_owned(), format!("a={a}"), format!("b={b}")];
            let own = ends.command("trace", &["--sync", "follow", "--name", "f", "--settle", "2s"]);
            let told = one(ends.desk.run(&[&own[..], &row].concat()), exit);
            told["changes"].clone()
        };
        assert_eq!(changes("1", "x", 0), Value::Null, "{}: nothing was read yet", ends.what);
        for statement in [
            "UPDATE t SET n = 1 WHERE a = 2",
            "INSERT INTO t VALUES (6, 'x', 0)",
            "UPDATE t SET a = 7 WHERE a = 3",
            "DELETE FROM t WHERE a = 4",
            "UPDATE t SET n = 2 WHERE a = 2",
            "DELETE FROM t WHERE a = 5",
            "INSERT INTO t VALUES (5, 'x', 1)",
        ] {
            ends.from.sql(statement);
        }
        run();
        let last = |a: &str| changes(a, "x", 0)["last"].clone();
        for (a, done) in [("2", "updated"), ("6", "inserted"), ("4", "deleted"), ("5", "inserted")] {
            let last = last(a);
            assert_eq!((&last["done"], &last["applied"]), (&json!(done), &json!(true)), "{} {a}", ends.what);
            assert!(last["committed"].as_str().is_some_and(|at| at.starts_with("20")), "{last}");
        }
        // Triggers do not tell where a row has been before.
        let (here, away) =
            if kinds.0 == "sqlite" { ("updated", "deleted") } else { ("moved_here", "moved_away") };
        assert_eq!((&last("7")["done"], &last("3")["done"]), (&json!(here), &json!(away)), "{}", ends.what);
        assert_eq!(last("1"), Value::Null, "{}: it was not changed", ends.what);
        let number = |a: &str| last(a)["number"].as_u64().expect("a number");
        assert!(number("6") < number("4") && number("4") < number("2"), "{}: as they were made", ends.what);
        // Changes that come later do not hide it, and another following knows nothing of it.
        ends.from.sql("UPDATE t SET n = 9 WHERE a = 1");
        run();
        assert_eq!(last("6")["done"], "inserted", "{}", ends.what);
        ends.desk.run(&ends.command("copy", &[&options[..], &["--restart"]].concat())).expect_code(0);
        assert_eq!(changes("6", "x", 0), Value::Null, "{}", ends.what);
    }
}

#[test]
fn rows_of_runs_that_end_are_found_too() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    pair.from.sql("UPDATE t SET n = 0 WHERE id = 4");
    let file = file(&pair, "full", "        write: merge\n");
    pair.desk.run(&["run", &file]).done();
    let trace = |id: &str, code: i32| told(&pair.desk, &file, "t", &[id], code);
    let first = trace("1", 0);
    assert_eq!(
        (comes_to(&first), &first["mark"]),
        (("applied", true, true, vec![]), &Value::Null),
        "{first}"
    );
    assert_eq!(comes_to(&trace("4", 3)).0, "dead_lettered");
    assert_eq!(comes_to(&trace("13", 0)).0, "filtered");
    pair.from.sql(
        "DELETE FROM t WHERE id = 2; UPDATE t SET n = 60 WHERE id = 3; INSERT INTO t VALUES (60, 1, NULL)",
    );
    assert_eq!(comes_to(&trace("2", 0)), ("kept", false, true, vec![]));
    assert_eq!(comes_to(&trace("3", 3)), ("different", true, true, vec!["n", "share"]));
    assert_eq!(comes_to(&trace("60", 3)), ("missing", true, false, vec![]));
}

#[test]
fn keys_of_every_database_are_found() {
    for kinds in EACH_TARGET {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(
            "CREATE TABLE t (id bigint PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        );
        ends.run(&["--stream", "t"]).done();
        ends.to.sql("UPDATE t SET v = 'x' WHERE id = 2");
        let trace = |id: &str, code: i32| {
            let arguments = [&ends.command("trace", &[])[..], &["t".to_owned(), id.to_owned()]].concat();
            one(ends.desk.run(&arguments), code)
        };
        assert_eq!(comes_to(&trace("1", 0)).0, "applied", "{}", ends.what);
        assert_eq!(comes_to(&trace("2", 3)), ("different", true, true, vec!["v"]), "{}", ends.what);
        assert_eq!(comes_to(&trace("3", 0)).0, "absent", "{}", ends.what);
    }
}
