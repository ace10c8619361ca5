//! Rows that another one pushes out are told, though SQLite fires no trigger for them.

use crate::rig::Rig;

const TABLES: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT UNIQUE, a INT, b TEXT, up TEXT GENERATED ALWAYS AS (upper(b)),
        UNIQUE (a, b));
    CREATE UNIQUE INDEX lower_mail ON t (lower(mail) DESC, (a % 100));
    CREATE UNIQUE INDEX only_some ON t (b COLLATE NOCASE) WHERE a > 10 AND id > 0;
    CREATE UNIQUE INDEX computed ON t (up) WHERE a = -1;
    CREATE TABLE named (name TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v INT UNIQUE ON CONFLICT REPLACE) WITHOUT ROWID;
    CREATE TABLE loose (k PRIMARY KEY NOT NULL, v INT);";

#[tokio::test]
async fn rows_that_a_new_row_replaces_are_told_to_be_gone() {
    let rig = Rig::new(TABLES).await;
    for (before, replacing, gone) in [
        // By the primary key itself.
        ("INSERT INTO t VALUES (1, 'x', 1, 'p')", "INSERT OR REPLACE INTO t VALUES (1, 'y', 2, 'q')", ""),
        // By a unique column, by two, by both at once.
        ("INSERT INTO t VALUES (1, 'x', 1, 'p')", "REPLACE INTO t VALUES (2, 'x', 2, 'q')", "t - 1"),
        ("INSERT INTO t VALUES (1, 'x', 1, 'p')", "REPLACE INTO t VALUES (2, 'y', 1, 'p')", "t - 1"),
        (
            "INSERT INTO t VALUES (1, 'x', 1, 'p'), (2, 'y', 2, 'q')",
            "REPLACE INTO t (mail, a, b) VALUES ('x', 2, 'q')",
            "t - 1 t - 2",
        ),
        // By an expression, by some rows only, by a column that is computed.
        (
            "INSERT INTO t VALUES (1, 'MAIL', 101, 'p')",
            "REPLACE INTO t VALUES (2, 'mail', 201, 'q')",
            "t - 1",
        ),
        ("INSERT INTO t VALUES (1, 'x', 11, 'p')", "REPLACE INTO t VALUES (2, 'y', 12, 'P')", "t - 1"),
        ("INSERT INTO t VALUES (1, 'x', -1, 'ab')", "REPLACE INTO t VALUES (2, 'y', -1, 'aB')", "t - 1"),
        // By an update.
        (
            "INSERT INTO t VALUES (1, 'x', 1, 'p'), (2, 'y', 2, 'q')",
            "UPDATE OR REPLACE t SET mail = 'x' WHERE id = 2",
            "t - 1",
        ),
        (
            "INSERT INTO t VALUES (1, 'x', 1, 'p'), (2, 'y', 2, 'q')",
            "UPDATE OR REPLACE t SET id = 1, mail = 'z' WHERE id = 2",
            "t - 2",
        ),
        (
            "INSERT INTO t VALUES (1, 'x', -1, 'ab'), (2, 'y', -1, 'cd')",
            "UPDATE OR REPLACE t SET b = 'AB' WHERE id = 2",
            "t - 1",
        ),
        // By what the table itself says, and by a key that is equal and not the same.
        ("INSERT INTO named VALUES ('Ann', 1)", "INSERT INTO named VALUES ('Bob', 1)", "named - Ann"),
        ("INSERT INTO named VALUES ('Ann', 1)", "REPLACE INTO named VALUES ('ANN', 2)", "named - Ann"),
        ("INSERT INTO loose VALUES (1, 1)", "REPLACE INTO loose VALUES (1.0, 2)", "loose - 1"),
        // An upsert replaces nothing.
        (
            "INSERT INTO t VALUES (1, 'x', 1, 'p')",
            "INSERT INTO t VALUES (9, 'x', 5, 'q') ON CONFLICT (mail) DO UPDATE SET a = 7",
            "",
        ),
        ("INSERT INTO t VALUES (1, 'x', 1, 'p')", "INSERT OR IGNORE INTO t VALUES (9, 'x', 5, 'q')", ""),
    ] {
        for recursive in ["OFF", "ON"] {
            rig.run("DELETE FROM t; DELETE FROM named; DELETE FROM loose");
            rig.run(before);
            let reads = rig.reads(&["t", "named", "loose"]).await;
            let at = rig.log.keep(&reads, None).await.unwrap();
            rig.run(&format!("PRAGMA recursive_triggers = {recursive}; {replacing}"));
            let mut following = rig.open(reads.clone(), at).await;
            let mut lines = following.all(&rig).await;
            lines.retain(|line| line.contains(" - "));
            lines.sort();
            lines.dedup();
            assert_eq!(lines.join(" "), gone, "{replacing}, recursive {recursive}");
            // What was there before is not told; all else is.
            for (read, model) in reads.iter().zip(&following.models) {
                let copy = rig.copy(read).await;
                assert!(
                    model.iter().all(|(key, row)| copy.get(key) == Some(row)),
                    "{replacing}: {model:?} {copy:?}"
                );
            }
            rig.log.release().await.unwrap();
        }
    }
}
