//! Merging and appending.

use syncline_connect::{Target, WriteMode};
use syncline_types::{Column, LogicalType as L, TableSchema, codes};

use crate::rig::{Rig, Run, blockers, copy, plan_of, rows, schema, target};

fn two_columns() -> TableSchema {
    schema(&[("id", L::Int64, false), ("v", L::TEXT, true)], &["id"])
}

fn merge() -> Target {
    target("t", two_columns(), WriteMode::Merge)
}

fn append(staged: bool) -> Target {
    Target { staged, key: vec![], ..target("t", two_columns(), WriteMode::Append) }
}

#[tokio::test]
async fn rows_are_updated_and_inserted_by_key() {
    let rig = Rig::with(
        "CREATE TABLE log (id, old, new); CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE, mine INT DEFAULT 5);
         INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, NULL, 4);
         CREATE TRIGGER x AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (old.id, old.v, new.v); END",
    );
    let how = copy(
        &rig,
        "r1",
        merge(),
        &rows(&[&["1", "a"], &["2", "B"], &["4", "NULL"], &["3", "NULL"], &["7", "new"]]),
    )
    .await;
    assert_eq!(how, "merged in one transaction");
    let expected = rows(&[
        &["1", "a", "1"],
        &["2", "B", "2"],
        &["3", "NULL", "3"],
        &["4", "NULL", "4"],
        &["7", "new", "5"],
    ]);
    assert_eq!(rig.query("SELECT * FROM t"), expected);
    assert_eq!(
        rig.query("SELECT id, old, new FROM log ORDER BY id"),
        rows(&[&["2", "b", "B"], &["3", "c", "NULL"]]),
        "what is the same is not written"
    );
}

#[tokio::test]
async fn a_merge_makes_its_table_with_the_key() {
    let rig = Rig::new();
    assert_eq!(copy(&rig, "r1", merge(), &rows(&[&["1", "a"]])).await, "renamed into place");
    assert_eq!(
        copy(&rig, "r2", merge(), &rows(&[&["1", "b"], &["2", "c"]])).await,
        "merged in one transaction"
    );
    assert_eq!(rig.rows("t").await, rows(&[&["1", "b"], &["2", "c"]]));
    assert!(plan_of(&rig, merge()).await.existing.is_some_and(|existing| existing.ours));
}

#[tokio::test]
async fn two_rows_with_one_key_are_found_as_they_load() {
    for table in ["", "CREATE TABLE t (id INT NOT NULL, v TEXT); CREATE UNIQUE INDEX u ON t (id)"] {
        let rig = Rig::with(table);
        let run = Run::begin(&rig, "r1", merge()).await;
        let refused = run.load(0, &rows(&[&["1", "a"], &["1", "b"], &["2", "c"]])).await;
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(
            refused[0].0 == 1 && refused[0].1.contains("4004") && refused[0].1.contains("t.id"),
            "{refused:?}"
        );
        // Also when they come in different transactions.
        assert_eq!(run.load(1, &rows(&[&["2", "d"]])).await.len(), 1);
        run.end().await;
        assert_eq!(rig.query("SELECT id, v FROM t"), rows(&[&["1", "a"], &["2", "c"]]));
    }
}

/// Keys that are one by the target's collation are rejected, as two rows with the same key.
#[tokio::test]
async fn keys_that_are_equal_in_the_target_only() {
    let rig = Rig::with("CREATE TABLE t (id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v TEXT)");
    let columns = schema(&[("id", L::TEXT, false), ("v", L::TEXT, true)], &["id"]);
    let run = Run::begin(&rig, "r1", target("t", columns, WriteMode::Merge)).await;
    let refused = run.load(0, &rows(&[&["a", "1"], &["A", "2"], &["b", "3"]])).await;
    assert_eq!(refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1], "{refused:?}");
    run.end().await;
    assert_eq!(rig.rows("t").await, rows(&[&["a", "1"], &["b", "3"]]));
}

#[tokio::test]
async fn a_text_of_the_key_becomes_the_sources_own() {
    for end in ["", " WITHOUT ROWID"] {
        let rig = Rig::with(&format!(
            "CREATE TABLE t (id TEXT COLLATE NOCASE, n TEXT COLLATE RTRIM NOT NULL, v TEXT, PRIMARY KEY (id, n)){end};
             CREATE TABLE log (id);
             CREATE TRIGGER x AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (old.id); END;
             INSERT INTO t VALUES ('KEY', 'a ', '1'), ('b', 'b', '2'), ('same', 'c', '3')"
        ));
        let columns =
            schema(&[("id", L::TEXT, false), ("n", L::TEXT, false), ("v", L::TEXT, true)], &["id", "n"]);
        let all = rows(&[&["key", "a", "1"], &["b", "b  ", "9"], &["same", "c", "3"]]);
        copy(&rig, "r1", target("t", columns, WriteMode::Merge), &all).await;
        assert_eq!(rig.query("SELECT id, n, v FROM t ORDER BY n"), all);
        assert_eq!(rig.query("SELECT id FROM log ORDER BY id"), rows(&[&["KEY"], &["b"]]));
        // Where there is nothing but the key.
        let alone = schema(&[("id", L::TEXT, false), ("n", L::TEXT, false)], &["id", "n"]);
        copy(&rig, "r2", target("t", alone, WriteMode::Merge), &rows(&[&["Key", "a"]])).await;
        assert_eq!(rig.one("SELECT id FROM t WHERE v = '1'"), "Key");
    }
}

#[tokio::test]
async fn a_merge_needs_a_key_that_is_one() {
    for (table, key, fine) in [
        ("(id INTEGER PRIMARY KEY, v TEXT)", vec!["id"], true),
        ("(id INT PRIMARY KEY, v TEXT)", vec!["id"], true),
        ("(id INT UNIQUE NOT NULL, v TEXT)", vec!["id"], true),
        ("(id INT UNIQUE, v TEXT)", vec!["id"], false),
        ("(id INT, v TEXT)", vec!["id"], false),
        ("(id INT NOT NULL, v TEXT NOT NULL, PRIMARY KEY (v, id))", vec!["id", "v"], true),
        ("(id INT NOT NULL, v TEXT NOT NULL, PRIMARY KEY (v, id))", vec!["id"], false),
        ("(id INT NOT NULL, v TEXT); CREATE UNIQUE INDEX u ON t (id) WHERE id > 0", vec!["id"], false),
        (
            "(id INT NOT NULL, v TEXT COLLATE NOCASE NOT NULL); CREATE UNIQUE INDEX u ON t (v COLLATE BINARY)",
            vec!["v"],
            false,
        ),
        ("(ID INTEGER PRIMARY KEY, v TEXT)", vec!["id"], true),
    ] {
        let rig = Rig::with(&format!("CREATE TABLE t {table}"));
        let merge = Target { key: key.iter().map(|name| (*name).to_owned()).collect(), ..merge() };
        let found = blockers(&plan_of(&rig, merge.clone()).await);
        assert_eq!(found.is_empty(), fine, "{table}: {found:?}");
        if fine {
            copy(&rig, "r1", merge.clone(), &rows(&[&["1", "a"]])).await;
            copy(&rig, "r2", merge, &rows(&[&["1", "a"], &["2", "b"]])).await;
            assert_eq!(rig.one("SELECT count(*) FROM t"), "2", "{table}");
        } else {
            assert_eq!(found, [&codes::KEY_MISSING], "{table}");
        }
    }
    let rig = Rig::with("CREATE TABLE t (id INT PRIMARY KEY, v TEXT); INSERT INTO t VALUES (NULL, 'x')");
    assert_eq!(blockers(&plan_of(&rig, merge()).await), [&codes::KEY_MISSING], "a NULL is in the key");
    let rig = Rig::new();
    let keyless = Target { key: vec![], ..merge() };
    assert_eq!(blockers(&plan_of(&rig, keyless).await), [&codes::KEY_MISSING]);
    let wrong = Target { key: vec!["gone".into()], ..merge() };
    assert_eq!(blockers(&plan_of(&rig, wrong).await), [&codes::UNKNOWN_COLUMN]);
}

#[tokio::test]
async fn a_clash_of_another_unique_key_fails_the_merge_as_a_whole() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE ON CONFLICT REPLACE); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    let run = Run::begin(&rig, "r1", merge()).await;
    run.load(0, &rows(&[&["3", "a"], &["4", "c"]])).await;
    let error = run.finish().await.unwrap_err();
    assert_eq!(error.code(), &codes::DUPLICATE_KEY, "{error}");
    assert_eq!(rig.rows("t").await, rows(&[&["1", "a"], &["2", "b"]]));
}

#[tokio::test]
async fn missing_columns_are_added_to_a_table_that_grows() {
    for (write, staged) in [(WriteMode::Append, false), (WriteMode::Append, true), (WriteMode::Merge, true)] {
        for strict in ["", "STRICT"] {
            let rig = Rig::with(&format!(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT) {strict}; INSERT INTO t VALUES (1, 'a')"
            ));
            let mut more = two_columns();
            more.columns.push(Column::new("at", L::TIMESTAMP));
            more.columns.push(Column::new("sum", L::Decimal { precision: 30, scale: 2 }).required());
            more.columns.push(Column::new("doc", L::JSON));
            let wider = Target { staged, ..target("t", more, write) };
            let plan = plan_of(&rig, wider.clone()).await;
            let added: Vec<_> =
                plan.columns.iter().filter(|column| column.note.as_deref() == Some("added")).collect();
            assert_eq!(added.len(), 3);
            assert_eq!(added[0].target_type, if strict.is_empty() { "TIMESTAMP" } else { "TEXT" });
            copy(
                &rig,
                "r1",
                wider.clone(),
                &rows(&[&["2", "b", "2024-01-01 00:00:00", "12345678901234567890.50", "1.0"]]),
            )
            .await;
            copy(&rig, "r2", wider, &rows(&[&["3", "c", "NULL", "1.00", "5"]])).await;
            assert_eq!(
                rig.query("SELECT * FROM t"),
                rows(&[
                    &["1", "a", "NULL", "NULL", "NULL"],
                    &["2", "b", "2024-01-01 00:00:00", "12345678901234567890.50", "1.0"],
                    &["3", "c", "NULL", "1.00", "5"],
                ]),
                "{write:?} {strict}"
            );
        }
    }
}

#[tokio::test]
async fn a_table_that_we_made_stays_ours_when_we_widen_it() {
    let rig = Rig::new();
    copy(&rig, "r1", merge(), &rows(&[&["1", "a"]])).await;
    let mut more = two_columns();
    more.columns.push(Column::new("x", L::Int64));
    copy(&rig, "r2", target("t", more, WriteMode::Merge), &rows(&[&["1", "b", "5"]])).await;
    assert!(plan_of(&rig, merge()).await.existing.is_some_and(|existing| existing.ours));
    assert_eq!(rig.rows("t").await, rows(&[&["1", "b", "5"]]));
}

#[tokio::test]
async fn rows_are_appended_chunk_by_chunk_or_at_once() {
    for staged in [false, true] {
        let rig = Rig::new();
        let run = Run::begin(&rig, "r1", append(staged)).await;
        run.load(0, &rows(&[&["1", "a"]])).await;
        let visible = !rig.query("SELECT name FROM sqlite_schema WHERE name = 't'").is_empty();
        assert_eq!(visible, !staged);
        run.load(1, &rows(&[&["2", "b"]])).await;
        let how = run.end().await;
        assert_eq!(how, if staged { "renamed into place" } else { "added chunk by chunk" });
        let how = copy(&rig, "r2", append(staged), &rows(&[&["1", "again"]])).await;
        assert_eq!(how, if staged { "added in one transaction" } else { "added chunk by chunk" });
        assert_eq!(rig.query("SELECT id, v FROM t"), rows(&[&["1", "a"], &["2", "b"], &["1", "again"]]));
        assert!(plan_of(&rig, append(staged)).await.existing.is_some_and(|existing| existing.ours));
    }
}

/// Staged rows that clash with rows which are there are found when they are published, and none is
/// added.
#[tokio::test]
async fn a_staged_append_is_added_whole_or_not_at_all() {
    let rig = Rig::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, v TEXT); INSERT INTO t VALUES (1, 'a')",
    );
    let run = Run::begin(&rig, "r1", append(true)).await;
    run.load(0, &rows(&[&["2", "b"], &["1", "c"]])).await;
    let error = run.finish().await.unwrap_err();
    assert_eq!(error.code(), &codes::DUPLICATE_KEY, "{error}");
    assert_eq!(rig.rows("t").await, rows(&[&["1", "a"]]));
}

#[tokio::test]
async fn columns_that_the_table_computes_are_left_to_it() {
    for (write, staged) in
        [(WriteMode::Append, false), (WriteMode::Merge, true), (WriteMode::Overwrite, true)]
    {
        for attached in
            ["", "; CREATE TABLE x (a INTEGER PRIMARY KEY); ALTER TABLE t ADD COLUMN r REFERENCES x"]
        {
            let rig = Rig::with(&format!(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w AS (v || '!')){attached}"
            ));
            let mut three = two_columns();
            three.columns.push(Column::new("w", L::TEXT));
            let written = Target { staged, ..target("t", three, write) };
            let plan = plan_of(&rig, written.clone()).await;
            assert_eq!(plan.columns[2].note.as_deref(), Some("computed by the target, not written"));
            copy(&rig, "r1", written, &rows(&[&["1", "a", "ignored"]])).await;
            assert_eq!(
                rig.query("SELECT id, v, w FROM t"),
                rows(&[&["1", "a", "a!"]]),
                "{write:?}{attached}"
            );
        }
    }
}

#[tokio::test]
async fn a_row_without_a_key_is_refused_wherever_it_goes() {
    let nullable = schema(&[("id", L::Int64, true), ("v", L::TEXT, true)], &["id"]);
    for write in [WriteMode::Overwrite, WriteMode::Merge] {
        let rig = Rig::new();
        let run = Run::begin(&rig, "r1", target("t", nullable.clone(), write)).await;
        let refused = run.load(0, &rows(&[&["NULL", "a"], &["1", "b"]])).await;
        assert_eq!(refused.len(), 1, "SQLite would have made a number up: {refused:?}");
        run.end().await;
        assert_eq!(rig.rows("t").await, rows(&[&["1", "b"]]));
    }
}
