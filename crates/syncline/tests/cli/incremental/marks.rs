//! What becomes of marks: lost state, a target that is gone, other options, a new beginning.

use std::fs;

use crate::{
    desk::sum,
    ends::{EACH_TARGET, Ends, WITH_FILES, WITH_MYSQL},
};

const TABLE: &str = "SELECT id, n FROM t ORDER BY id, n";

fn with_rows(kinds: (&str, &str)) -> Option<Ends> {
    let ends = Ends::new(kinds)?;
    let rows: Vec<String> = (1..=50).map(|id| format!("({id}, {id})")).collect();
    ends.from.sql(&format!("CREATE TABLE t (id bigint, n bigint); INSERT INTO t VALUES {}", rows.join(", ")));
    Some(ends)
}

const APPEND: &[&str] = &["--stream", "t", "--sync", "incremental", "--cursor", "n", "--write", "append"];

#[test]
fn a_lost_state_is_no_lost_mark() {
    for kinds in WITH_MYSQL.into_iter().chain(WITH_FILES) {
        let Some(ends) = with_rows(kinds) else { return };
        ends.run(APPEND).done();
        fs::remove_dir_all(ends.desk.state()).expect("there is a state");
        ends.from.sql("INSERT INTO t VALUES (51, 50), (52, 51)");
        assert_eq!(sum(&ends.run(APPEND).done(), "rows"), 2, "{}", ends.what);
        ends.same(TABLE);
        let marks = ends.desk.status()["marks"].clone();
        assert_eq!((&marks[0]["cursor"], &marks[0]["value"]), (&"n".into(), &"51".into()), "{marks}");
    }
}

#[test]
fn without_rows_at_the_target_everything_is_copied() {
    for kinds in EACH_TARGET {
        let Some(ends) = with_rows(kinds) else { return };
        for (gone, rows) in [("DROP TABLE t", 50), ("DELETE FROM t", 51)] {
            ends.run(APPEND).done();
            ends.to.sql(gone);
            let plan = ends.desk.text(&ends.command("plan", APPEND)).expect_code(0);
            assert!(plan.stdout.contains("the mark of earlier runs does not count"), "{plan}");
            assert_eq!(sum(&ends.run(APPEND).done(), "rows"), rows, "{}, {gone}", ends.what);
            ends.same(TABLE);
            ends.from.sql("INSERT INTO t VALUES (60, 60)");
        }
    }
}

#[test]
fn restart_goes_on_from_the_mark() {
    for kinds in EACH_TARGET {
        let Some(ends) = with_rows(kinds) else { return };
        ends.run(APPEND).done();
        ends.from.sql("INSERT INTO t VALUES (51, 51)");
        assert_eq!(sum(&ends.run(&[APPEND, &["--restart"]].concat()).done(), "rows"), 1, "{}", ends.what);
        ends.same(TABLE);
    }
}

#[test]
fn plan_and_status_show_the_mark() {
    let Some(ends) = with_rows(("sqlite", "sqlite")) else { return };
    let plan =
        |more: &[&str]| ends.desk.text(&ends.command("plan", &[APPEND, more].concat())).expect_code(0).stdout;
    assert!(plan(&[]).contains("all rows with `n` to the highest value then, and those without a value"));
    ends.run(APPEND).done();
    assert!(plan(&[]).contains("rows with `n` from 50 to the highest value then"), "{}", plan(&[]));
    let status = ends.desk.text(&["status"]).expect_code(0).stdout;
    assert!(status.contains("mark of main.t: `n` 50"), "{status}");
}

/// In a file a pipeline keeps its name while its modes change.
#[test]
fn a_mark_that_does_not_fit_is_refused_and_a_full_copy_forgets_it() {
    let Some(ends) = with_rows(("sqlite", "sqlite")) else { return };
    let run = |lines: &str| {
        let (from, to) = (ends.from.url(), ends.to.url());
        let text = format!(
            "pipelines:\n  p:\n    from: {from}\n    to: {to}\n    streams: [t]\n    key: [id]\n{lines}"
        );
        ends.desk.run(&["run", &ends.desk.file("p.yaml", &text)])
    };
    let incremental = "    sync: incremental\n    cursor: n\n";
    assert_eq!(sum(&run(incremental).done(), "rows"), 50);
    let append = format!("{incremental}    write: append\n");
    run(&append).failed(2, "SYN-1012").names(&["merge"]).hinted();
    run("    sync: incremental\n    cursor: id\n").failed(2, "SYN-1012").names(&["`n`"]).hinted();
    run("    write: overwrite\n").done();
    assert!(ends.desk.status()["marks"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(sum(&run("    sync: incremental\n    cursor: id\n").done(), "rows"), 50);
    assert_eq!(sum(&run("    sync: incremental\n    cursor: id\n").done(), "rows"), 1);
}
