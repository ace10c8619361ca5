//! What cannot be read by what has come.

use crate::ends::Ends;

fn run(ends: &Ends, options: &[&str]) -> crate::desk::Ran {
    ends.run(&[&["--stream", "t", "--sync", "incremental"], options].concat())
}

#[test]
fn a_cursor_has_to_be_named_and_to_go_with_the_mode() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    ends.from.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, v text)");
    run(&ends, &[]).failed(2, "SYN-1004").hints("--cursor COL");
    run(&ends, &["--cursor", "id", "--write", "overwrite"]).failed(2, "SYN-1004").names(&["--write"]);
    run(&ends, &["--cursor", "nope"]).failed(2, "SYN-1008").names(&["nope"]);
    run(&ends, &["--cursor", "v"]).failed(2, "SYN-1004").names(&["`v`", "text"]);
    run(&ends, &["--cursor", "id", "--lookback", "2h"]).failed(2, "SYN-1004").names(&["`2h`"]);
    ends.run(&["--stream", "t", "--cursor", "id"]).failed(2, "SYN-1004").names(&["--cursor"]);
    assert!(!ends.to.has("t"));
}

#[test]
fn a_merge_without_a_key_asks_for_one_or_for_append() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    ends.from.sql("CREATE TABLE t (n bigint, v text); INSERT INTO t VALUES (1, 'x')");
    run(&ends, &["--cursor", "n"]).failed(1, "SYN-3004").hints("--key").hints("--write append");
}

#[test]
fn a_value_of_another_type_names_its_row() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    ends.from.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n bigint, at timestamp);
         INSERT INTO t VALUES (1, 1, '2024-01-01 10:00:00'), (17, 'hidden-value', 'hidden-value')",
    );
    for cursor in ["n", "at"] {
        run(&ends, &["--cursor", cursor]).failed(1, "SYN-4002").names(&["rowid 17", cursor]);
        let plan = ends.command("plan", &["--stream", "t", "--sync", "incremental", "--cursor", cursor]);
        ends.desk.run(&plan).failed(1, "SYN-5010").names(&["rowid 17"]);
    }
    ends.desk.never_said("hidden-value");
    assert!(!ends.to.has("t"));
}

#[test]
fn nothing_comes_after_infinity() {
    let Some(ends) = Ends::new(("postgres", "postgres")) else { return };
    ends.from.sql("CREATE TABLE t (id int PRIMARY KEY, at timestamptz); INSERT INTO t VALUES (1, now()), (2, 'infinity')");
    run(&ends, &["--cursor", "at"]).failed(1, "SYN-4002").names(&["`at`", "infinite"]).hinted();
    assert!(!ends.to.has("t"));
}

#[test]
fn a_masked_column_is_no_cursor() {
    let Some(ends) = Ends::new(("sqlite", "sqlite")) else { return };
    ends.from.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, born date)");
    let (from, to) = (ends.from.url(), ends.to.url());
    let file = ends.desk.file(
        "p.yaml",
        &format!(
            "pipelines:\n  p:\n    from: {from}\n    to: {to}\n    sync: incremental\n    cursor: born\n    streams: [t]\n    \
             steps: [{{mask: {{born: redact}}}}]\n"
        ),
    );
    ends.desk.run(&["run", &file]).failed(2, "SYN-1004").names(&["`born`", "mask"]);
}
