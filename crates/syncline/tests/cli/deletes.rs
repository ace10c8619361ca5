//! `deletes`: rows that the source no longer has go from the target, or are marked there.

use std::time::Duration;

use syncline_testkit::seed::Seed;

use crate::{
    desk::{Desk, sum},
    ends::{EACH_TARGET, Ends, WITH_FILES, WITH_MYSQL, with_text_keys},
};

const ROWS: u64 = 2_000;

fn source(kinds: (&str, &str)) -> Option<Ends> {
    let ends = Ends::new(kinds)?;
    let rows: Vec<String> =
        (1..=ROWS).map(|id| format!("({id}, 'Group {}', 'value {id}')", id % 7)).collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint, grp varchar(20), v text, PRIMARY KEY (grp, id)); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
    Some(ends)
}

const APPLY: &[&str] = &["--stream", "t", "--write", "merge", "--deletes", "apply", "--chunk-rows", "300"];

#[test]
fn rows_that_the_source_no_longer_has_are_deleted() {
    for kinds in with_text_keys() {
        let Some(ends) = source(kinds) else { return };
        assert_eq!(sum(&ends.run(APPLY).done(), "deleted"), 0, "{}", ends.what);
        ends.same("SELECT id, grp, v FROM t ORDER BY id");
        ends.from.sql("DELETE FROM t WHERE id % 10 = 3; UPDATE t SET v = 'new' WHERE id = 1; INSERT INTO t VALUES (5000, 'x', 'y')");
        ends.to.sql("INSERT INTO t VALUES (9000, 'x', 'never there')");
        let summary = ends.run(APPLY).done();
        assert_eq!(sum(&summary, "deleted"), 201, "{}: {summary}", ends.what);
        ends.same("SELECT id, grp, v FROM t ORDER BY id");
        ends.desk.run(&ends.command("verify", APPLY)).done();
        let left: Vec<_> =
            std::fs::read_dir(ends.desk.state()).expect("the state is there").flatten().collect();
        assert!(
            left.iter().all(|file| !file.file_name().to_string_lossy().starts_with("vanished")),
            "{left:?}"
        );
        // For people, and in the plan.
        ends.from.sql("DELETE FROM t WHERE id = 5000");
        let plan = ends.desk.text(&ends.command("plan", APPLY)).expect_code(0);
        assert!(plan.stdout.contains("rows are deleted by (grp, id)"), "{plan}");
        let text = ends.desk.text(&ends.command("copy", APPLY)).expect_code(0);
        assert!(text.stderr.contains("deleted"), "{text}");
        ends.same("SELECT id, grp, v FROM t ORDER BY id");
    }
}

#[test]
fn rows_outside_of_the_filter_are_gone_and_a_source_without_rows_empties_nothing() {
    for kinds in EACH_TARGET {
        let Some(ends) = source(kinds) else { return };
        ends.run(APPLY).done();
        let part = [APPLY, &["--where", "id <= 500"]].concat();
        assert_eq!(sum(&ends.run(&part).done(), "deleted"), 1_500, "{}", ends.what);
        assert_eq!(ends.to.sql("SELECT count(*), max(id) FROM t"), "500|500", "{}", ends.what);
        ends.from.sql("DELETE FROM t");
        ends.run(APPLY).failed(1, "SYN-3008").hints("--allow-empty");
        assert_eq!(ends.to.sql("SELECT count(*) FROM t"), "500", "{}", ends.what);
        // It goes on with that run, and asks again.
        ends.run(APPLY).failed(1, "SYN-3008");
        assert_eq!(sum(&ends.run(&[APPLY, &["--allow-empty"]].concat()).done(), "deleted"), 500);
        assert_eq!(ends.to.sql("SELECT count(*) FROM t"), "0", "{}", ends.what);
        ends.to.nothing_left();
    }
}

#[test]
fn soft_deletes_note_the_time_and_rows_may_come_back() {
    for kinds in with_text_keys() {
        let Some(ends) = source(kinds) else { return };
        let soft = ["--stream", "t", "--write", "merge", "--deletes", "soft", "--chunk-rows", "300"];
        ends.run(&soft).done();
        ends.desk.run(&ends.command("verify", &soft)).done();
        ends.from.sql("DELETE FROM t WHERE id IN (7, 8)");
        assert_eq!(sum(&ends.run(&soft).done(), "deleted"), 2, "{}", ends.what);
        assert_eq!(
            ends.to.sql("SELECT id FROM t WHERE _deleted_at IS NOT NULL ORDER BY id"),
            "7\n8",
            "{}",
            ends.what
        );
        assert_eq!(ends.to.sql("SELECT count(*) FROM t"), ROWS.to_string());
        let first = ends.to.sql("SELECT _deleted_at FROM t WHERE id = 7");
        // What is marked is passed over, by a run and by verify.
        assert_eq!(sum(&ends.run(&soft).done(), "deleted"), 0, "{}", ends.what);
        assert_eq!(ends.to.sql("SELECT _deleted_at FROM t WHERE id = 7"), first, "{}", ends.what);
        ends.desk.run(&ends.command("verify", &soft)).done();
        ends.from.sql("INSERT INTO t VALUES (7, 'Group 0', 'back again')");
        ends.run(&soft).done();
        assert_eq!(ends.to.sql("SELECT id FROM t WHERE _deleted_at IS NOT NULL"), "8", "{}", ends.what);
        assert_eq!(ends.to.sql("SELECT v FROM t WHERE id = 7"), "back again");
        // A repair marks too what is too much.
        ends.from.sql("DELETE FROM t WHERE id = 9");
        ends.to.sql("UPDATE t SET _deleted_at = NULL WHERE id = 8; DELETE FROM t WHERE id = 10");
        let told = ends.desk.run(&ends.command("verify", &[&soft[..], &["--repair"]].concat())).done();
        assert_eq!(sum(&told, "repaired"), 3, "{}: {told}", ends.what);
        assert_eq!(ends.to.sql("SELECT id FROM t WHERE _deleted_at IS NOT NULL ORDER BY id"), "8\n9");
        ends.to.nothing_left();
    }
}

/// Runs that are killed, for each pair, and how many are begun for that at most.
const KILLS: u32 = 1;
const LIVES_MAX: u32 = 12;

#[test]
fn a_run_that_is_killed_removes_what_is_to_go_when_it_goes_on() {
    let seed = Seed::from_env();
    let mut rng = seed.rng();
    for kinds in with_text_keys() {
        let Some(ends) = source(kinds) else { return };
        let began = ends.desk.read(ends.copy(APPLY).run());
        let longest = began.finished.seconds;
        began.done();
        let mut kills = 0;
        for life in 0..LIVES_MAX {
            if kills == KILLS {
                break;
            }
            ends.to.sql("INSERT INTO t SELECT id + 10000, grp, v FROM t");
            let moment = Duration::from_secs_f64(longest * (500 + rng.below(900)) as f64 / 1_000.0);
            let killed = ends.desk.hear(ends.copy(APPLY).start().kill9_after(moment));
            kills += u32::from(killed.was_killed());
            let seen = ends.to.sql("SELECT count(*) FROM t");
            assert!(seen == (2 * ROWS).to_string() || seen == ROWS.to_string(), "{}: {seen} rows", ends.what);
            ends.run(APPLY).done();
            ends.same("SELECT id, grp, v FROM t ORDER BY id");
            ends.desk.run(&ends.command("verify", APPLY)).done();
            let status = ends.desk.status();
            assert_eq!(status["state"], "finished", "{}, life {life}", ends.what);
        }
        assert!(kills > 0, "{}: none was killed, SYNCLINE_SEED={}", ends.what, seed.value());
    }
}

#[test]
fn tables_that_refer_to_each_other_lose_their_rows_in_the_order_that_works() {
    for kinds in EACH_TARGET {
        for order in [["z", "a"], ["a", "z"]] {
            let Some(ends) = Ends::new(kinds) else { return };
            let tables = "CREATE TABLE z (id bigint PRIMARY KEY); CREATE TABLE a (id bigint PRIMARY KEY, z bigint REFERENCES z (id))";
            for end in [&ends.from, &ends.to] {
                end.sql(&format!("{tables}; INSERT INTO z VALUES (1), (2), (3); INSERT INTO a VALUES (1, 1), (2, 2), (3, 3)"));
            }
            ends.from.sql("DELETE FROM a WHERE id > 1; DELETE FROM z WHERE id > 1");
            let options =
                ["--stream", order[0], "--stream", order[1], "--write", "merge", "--deletes", "apply"];
            assert_eq!(sum(&ends.run(&options).done(), "deleted"), 4, "{} {order:?}", ends.what);
            ends.same("SELECT id FROM z");
            ends.same("SELECT id, z FROM a");
        }
    }
}

#[test]
fn rows_whose_other_columns_fail_are_still_there() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql("CREATE TABLE t (id bigint PRIMARY KEY, n text); INSERT INTO t VALUES (1, '10'), (2, '20'), (3, '30')");
        let file = ends.desk.file(
            "f.yaml",
            &format!(
                "pipelines:\n  p:\n    from: \"{}\"\n    to: \"{}\"\n    write: merge\n    deletes: apply\n    on_error: dead_letter\n    streams:\n      - name: t\n        steps:\n          - cast: {{ n: bigint }}\n          - rename: {{ id: number }}\n",
                ends.from.url(),
                ends.to.url()
            ),
        );
        ends.desk.run(&["run", &file]).done();
        ends.from.sql("UPDATE t SET n = 'none' WHERE id = 2; DELETE FROM t WHERE id = 3");
        let summary = ends.desk.run(&["run", &file]).done();
        assert_eq!((sum(&summary, "deleted"), sum(&summary, "rejected")), (1, 1), "{}: {summary}", ends.what);
        assert_eq!(ends.to.sql("SELECT number, n FROM t ORDER BY 1"), "1|10\n2|20", "{}", ends.what);
    }
}

#[test]
fn folders_lose_rows_and_mark_them_too() {
    for kinds in WITH_FILES {
        for deletes in ["apply", "soft"] {
            let Some(ends) = Ends::new(kinds) else { return };
            ends.from.sql(
                "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            );
            let options = ["--stream", "t", "--write", "merge", "--deletes", deletes];
            assert_eq!(sum(&ends.run(&options).done(), "deleted"), 0, "{}", ends.what);
            ends.from.sql("DELETE FROM t WHERE id = 2; UPDATE t SET v = 'C' WHERE id = 3");
            assert_eq!(sum(&ends.run(&options).done(), "deleted"), 1, "{}, {deletes}", ends.what);
            let there = match deletes {
                "apply" => "SELECT id, v FROM t ORDER BY id",
                _ => "SELECT id, v FROM t WHERE _deleted_at IS NULL ORDER BY id",
            };
            assert_eq!(ends.to.sql(there), "1|a\n3|C", "{}, {deletes}", ends.what);
            let rows = if deletes == "apply" { "2" } else { "3" };
            assert_eq!(ends.to.sql("SELECT count(*) FROM t"), rows, "{}, {deletes}", ends.what);
            assert_eq!(sum(&ends.run(&options).done(), "deleted"), 0, "{}, {deletes}", ends.what);
            ends.desk.run(&ends.command("verify", &options)).done();
            ends.to.nothing_left();
        }
    }
}

#[test]
fn deletes_belong_to_merges() {
    let desk = Desk::new();
    for write in [&[][..], &["--write", "append"], &["--write", "overwrite"]] {
        let arguments = [&["copy", "sqlite:a.db", "sqlite:b.db", "--deletes", "apply"], write].concat();
        desk.run(&arguments).failed(2, "SYN-1004").names(&["--deletes", "--write merge"]);
    }
    let file = desk.file(
        "f.yaml",
        "pipelines:\n  p:\n    from: \"sqlite:a.db\"\n    to: \"sqlite:b.db\"\n    deletes: soft\n",
    );
    desk.run(&["plan", &file]).failed(2, "SYN-1004").names(&["deletes"]);
}

#[test]
fn rows_whose_key_is_spelled_otherwise_at_the_target_are_not_gone() {
    for kinds in with_text_keys() {
        let Some(ends) = Ends::new(kinds) else { return };
        let text = ends.key_text();
        ends.from.sql(&format!(
            "CREATE TABLE t (k {text} PRIMARY KEY, v bigint); INSERT INTO t VALUES ('One', 1), ('two', 2)"
        ));
        if kinds.1 == "postgres" {
            ends.to.sql(
                "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
            );
        }
        let nocase = if ends.to.is_mysql() { "utf8mb4_general_ci" } else { "nocase" };
        ends.to.sql(&format!(
            "CREATE TABLE t (k {text} COLLATE {nocase} NOT NULL PRIMARY KEY, v bigint);
             INSERT INTO t VALUES ('ONE', 1), ('TWO', 7), ('three', 3)"
        ));
        assert_eq!(sum(&ends.run(APPLY).done(), "deleted"), 1, "{}", ends.what);
        ends.same("SELECT k, v FROM t ORDER BY v");
        assert_eq!(sum(&ends.run(APPLY).done(), "deleted"), 0, "{}", ends.what);
    }
}
