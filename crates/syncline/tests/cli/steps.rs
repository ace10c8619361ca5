//! A pipeline file with every step, on the same rows whichever database stands at either end.

use std::collections::BTreeMap;

use crate::{
    desk::sum,
    ends::{ALL, Ends},
};

const KEY: &str = "the key of this test";

/// The source, in words that both databases understand.
const SOURCE: &str = "
  CREATE TABLE people (id bigint PRIMARY KEY, full_name text, email text, phone text, born date,
    balance decimal(12,2), visits bigint, internal text, status text);
  INSERT INTO people VALUES
    (1, 'Ann Müller', 'ann@example.com', '+49 30 1', '1970-01-01', 10.50, 3, 'x', 'ok'),
    (2, 'Bob', NULL, NULL, '1999-12-31', -0.01, 0, 'y', 'void'),
    (3, '日本 🎉', 'ann@example.com', '', '2024-02-29', 9999999999.99, 7, NULL, 'ok'),
    (4, '', 'd@example.com', '+1', NULL, NULL, NULL, 'z', NULL),
    (5, 'O''Hara', 'e@example.com', '5', '2000-06-15', 0.00, 12, '', 'ok');";

/// Rows and columns as they have to be, but for the hashes.
const WANTED: &str = "1|Ann Müller|***|1970|1050|6|null|Hello Ann Müller
3|日本 🎉|***|2024|999999999999|14|null|Hello 日本 🎉
5|O'Hara|***|2000|0|24|null|Hello O'Hara";

fn file(ends: &Ends) -> String {
    let text = format!(
        r#"connections:
  here: {{ url: "{}" }}
  there: {{ url: "{}" }}
mask_key: {KEY}
pipelines:
  people:
    from: here
    to: there
    chunk_rows: 2
    streams:
      - name: people
        to: clients
        steps:
          - filter: "status = 'ok' and visits > 0"
          - set: {{ greeting: "'Hello ' || full_name", visits: "visits * 2", year: "extract(year from born)" }}
          - cast: {{ year: int }}
          - rename: {{ full_name: name }}
          - mask: {{ email: hash, phone: redact, internal: "null" }}
          - drop: [born, status]
  nothing:
    from: here
    to: there
    streams: [ {{ name: people, to: others, where: "id < 0" }} ]
"#,
        ends.from.url(),
        ends.to.url()
    );
    ends.desk.file("pipelines.yaml", &text)
}

#[test]
fn every_step_gives_the_same_rows_whichever_ends() {
    let mut hashes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(SOURCE);
        let file = file(&ends);
        let never = ends.desk.run(&["status", &file]).expect_code(0);
        assert_eq!(never.events.iter().filter(|told| told["state"] == "never run").count(), 2);
        let plan = ends.desk.text(&["plan", &file, "people"]).expect_code(0).stdout;
        for part in ["pipeline people", "clients", "greeting", "null"] {
            assert!(plan.contains(part), "{}: no `{part}` in {plan}", ends.what);
        }
        assert!(!plan.contains("others"), "{plan}");
        assert!(!ends.to.has("clients"), "a plan makes nothing");
        let summary = ends.desk.run(&["run", &file, "people"]).done();
        assert_eq!(sum(&summary, "rows"), 3, "{}: {summary}", ends.what);
        let rows = ends.to.sql(
            "SELECT id, name, phone, year, CAST(round(balance * 100) AS bigint), visits, coalesce(internal, 'null'), greeting FROM clients ORDER BY id",
        );
        assert_eq!(rows, WANTED, "{}", ends.what);
        let told = ends.to.sql("SELECT coalesce(email, 'null') FROM clients ORDER BY id");
        hashes.entry(told).or_default().push(ends.what.clone());
        let status = ends.desk.run(&["status", &file]).expect_code(0);
        assert_eq!(status.of("status").len(), 2, "{}", status.finished);
        assert_eq!(status.events[0]["pipeline"], "people", "{}", status.finished);
        // What the steps make of the source is what is there.
        let verified = ends.desk.run(&["verify", &file, "people"]).done();
        assert_eq!(sum(&verified, "source_rows"), 3, "{}: {verified}", ends.what);
        ends.to.sql("UPDATE clients SET greeting = 'Bye' WHERE id = 3");
        ends.desk.run(&["verify", &file, "people"]).expect_code(3);
        // Run again, it is right again; and all pipelines of a file are run.
        let ran = ends.desk.run(&["run", &file]).expect_code(0);
        assert_eq!(ran.of("summary").len(), 2, "{}", ran.finished);
        ends.desk.run(&["verify", &file]).done();
        for value in ["ann@example.com", "Hello Ann", KEY] {
            ends.desk.never_said(value);
        }
        ends.to.nothing_left();
    }
    assert_eq!(hashes.len(), 1, "hashes differ: {hashes:#?}");
    let lines: Vec<&str> = hashes.keys().flat_map(|told| told.lines()).collect();
    assert_eq!((lines[0], lines[0].len()), (lines[1], 64), "equal values stay equal");
}

#[test]
fn the_key_of_hashes_may_come_from_the_environment_and_changes_them() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    ends.from.sql(SOURCE);
    let text = format!(
        "pipelines:\n  p:\n    from: \"{}\"\n    to: \"{}\"\n    streams: [{{ name: people, steps: [{{ mask: {{ email: hash }} }}] }}]\n",
        ends.from.url(),
        ends.to.url()
    );
    let file = ends.desk.file("p.yaml", &text);
    ends.desk.run(&["run", &file]).failed(2, "SYN-1011").names(&["SYNCLINE_MASK_KEY"]);
    let mut seen = vec![];
    for key in ["one key", "another key"] {
        let program = ends.desk.syncline(&["run", &file]).env("SYNCLINE_MASK_KEY", key);
        ends.desk.read(program.args(["--output", "json"]).run()).done();
        seen.push(ends.to.sql("SELECT email FROM people WHERE id = 1"));
        ends.desk.never_said(key);
    }
    assert!(seen[0].len() == 64 && seen[0] != seen[1], "{seen:?}");
}

#[test]
fn a_row_on_which_a_step_fails_stops_the_run_or_becomes_a_dead_letter() {
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql("CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, '10'), (2, 'n0-number-secret'), (3, '30')");
        let text = |on_error: &str| {
            format!(
                "pipelines:\n  p:\n    from: \"{}\"\n    to: \"{}\"\n    on_error: {on_error}\n    streams: [{{ name: t, steps: [{{ cast: {{ v: int }} }}] }}]\n",
                ends.from.url(),
                ends.to.url()
            )
        };
        let file = ends.desk.file("p.yaml", &text("stop"));
        ends.desk.run(&["run", &file]).failed(1, "SYN-4003").hinted();
        assert!(!ends.to.has("t"));
        let file = ends.desk.file("p.yaml", &text("dead_letter"));
        let summary = ends.desk.run(&["run", &file]).done();
        assert_eq!((sum(&summary, "rows"), sum(&summary, "rejected")), (2, 1), "{}: {summary}", ends.what);
        assert_eq!(ends.to.sql("SELECT sum(v) FROM t"), "40");
        ends.desk.never_said("n0-number-secret");
    }
}

#[test]
fn an_unfinished_run_with_other_steps_is_refused() {
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        let rows: Vec<String> = (1..=1_000).map(|id| format!("({id}, 'a@b')")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, email text); INSERT INTO t VALUES {}",
            rows.join(",")
        ));
        let text = |steps: &str| {
            format!(
                "pipelines:\n  p:\n    from: \"{}\"\n    to: \"{}\"\n    chunk_rows: 50\n    limits: {{ rows_per_second: 500 }}\n    streams: [{{ name: t{steps} }}]\n",
                ends.from.url(),
                ends.to.url()
            )
        };
        let file = ends.desk.file("p.yaml", &text(""));
        let run = ends.desk.syncline(&["run", &file]).start();
        ends.desk.wait_for_chunks(&run, 1);
        assert!(run.kill9_after(std::time::Duration::ZERO).was_killed());
        let masked = ends
            .desk
            .file("p.yaml", &text(", steps: [{ mask: { email: redact } }]").replace("500", "500000"));
        ends.desk.run(&["run", &masked]).failed(1, "SYN-5003").hints("--restart");
        assert!(!ends.to.has("t"));
        ends.desk.run(&["run", &masked, "--restart"]).done();
        assert_eq!(
            ends.to.sql("SELECT count(*), max(email), min(email) FROM t"),
            "1000|***|***",
            "{}",
            ends.what
        );
        ends.to.nothing_left();
    }
}
