//! What cannot be read by what has come.

use crate::{
    desk::{Desk, sum},
    ends::{End, Ends, WITH_FILES},
};

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

/// Files of strangers have no key, and their columns are what their values look like.
#[test]
fn of_files_of_strangers_what_has_come_is_added_and_no_key_is_guessed() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path().join("in")).expect("the folder is ours");
    let from = format!("file:{}", desk.path().join("in").display());
    let kinds = ["postgres", "mysql", "mariadb", "sqlite", "parquet"];
    let Some(ends) = kinds.iter().map(|kind| End::fresh(kind, &desk, "to")).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let run = |end: &End, options: &[&str]| {
        let copy = ["copy", &from, &end.url(), "--stream", "in", "--sync", "incremental"];
        desk.run(&[&copy[..], options].concat())
    };
    desk.file("in/a.csv", "n,v\n1,a\n2,b\n2,b\n");
    for end in &ends {
        run(end, &["--cursor", "n"]).failed(1, "SYN-3004").hints("--key").hints("--write append");
        run(end, &["--cursor", "v"]).failed(2, "SYN-1004").names(&["`v`", "text"]);
        assert_eq!(sum(&run(end, &["--cursor", "n", "--write", "append"]).done(), "rows"), 3);
    }
    desk.file("in/b.csv", "n,v\n2,c\n3,d\n");
    for end in &ends {
        for rows in [2, 0] {
            assert_eq!(sum(&run(end, &["--cursor", "n", "--write", "append"]).done(), "rows"), rows);
            assert_eq!(end.sql("SELECT n, v FROM \"in\" ORDER BY n, v"), "1|a\n2|b\n2|b\n2|c\n3|d");
            end.nothing_left();
        }
    }
}

/// A folder keeps its format: rows of another one are not added to it.
#[test]
fn a_folder_of_another_format_or_key_is_not_added_to() {
    for kinds in WITH_FILES.into_iter().filter(|(from, _)| ["sqlite", "mysql", "postgres"].contains(from)) {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from
            .sql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint NOT NULL); INSERT INTO t VALUES (1, 1)");
        run(&ends, &["--cursor", "n", "--name", "p"]).done();
        let key = run(&ends, &["--cursor", "n", "--name", "q", "--key", "n"]);
        key.failed(1, "SYN-3004").names(&["(id)", "(n)"]).hints("--write overwrite");
        let other = ends.to.url().replace(kinds.1, if kinds.1 == "csv" { "jsonl" } else { "csv" });
        let options = ["--stream", "t", "--sync", "incremental", "--cursor", "n", "--name", "r"];
        let from = ends.from.url();
        let copy = [&["copy", &from, &other], &options[..]].concat();
        ends.desk.run(&copy).failed(2, "SYN-1004").hints("--write overwrite");
        assert_eq!(ends.to.sql("SELECT id, n FROM t"), "1|1", "{}", ends.what);
    }
}
