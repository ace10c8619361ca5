//! Definitions that change on the way: what can be told goes on, and nobody's ALTER TABLE fails.

use syncline_types::codes;

use crate::rig::Rig;

#[tokio::test]
async fn columns_come_go_and_change_their_names() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT, c INT UNIQUE); CREATE TABLE u (id INTEGER PRIMARY KEY)").await;
    let mut following = rig.follow(&["t", "u"]).await;
    rig.run("INSERT INTO t VALUES (1, 'one', 1, 1)");
    assert_eq!(following.all(&rig).await, ["t + 1|one|1|1"]);
    rig.run("ALTER TABLE t ADD COLUMN d REAL DEFAULT 0.5; UPDATE t SET d = 2.5; INSERT INTO u VALUES (1)");
    let told = following.all(&rig).await;
    assert_eq!(told, ["t is (id INTEGER, a TEXT, b INT, c INT, d REAL)", "t ~ 1|one|1|1|2.5", "u + 1"]);
    // Two at once.
    rig.run("BEGIN; ALTER TABLE t DROP COLUMN b; ALTER TABLE t RENAME COLUMN a TO name; UPDATE t SET name = 'two'; COMMIT");
    assert_eq!(following.all(&rig).await, ["t is (id INTEGER, name TEXT, c INT, d REAL)", "t ~ 1|two|1|2.5"]);
    // Those of the key and of unique indexes are renamed in the triggers too.
    rig.run("BEGIN; ALTER TABLE t RENAME COLUMN id TO number; ALTER TABLE t RENAME COLUMN c TO code; INSERT INTO u VALUES (2); COMMIT");
    assert_eq!(following.all(&rig).await, ["t is (number INTEGER, name TEXT, code INT, d REAL)", "u + 2"]);
}

#[tokio::test]
async fn columns_that_are_others_of_their_names_stop_it() {
    for harm in [
        "ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN a TEXT",
        "ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO a; ALTER TABLE t RENAME COLUMN x TO b",
    ] {
        let rig = Rig::new(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, 'a', 'b')",
        )
        .await;
        let mut following = rig.follow(&["t"]).await;
        rig.run(&format!("BEGIN; {harm}; ALTER TABLE t ADD COLUMN more; COMMIT"));
        let error = following.step().await.unwrap_err();
        assert_eq!(error.code(), &codes::LOG_LOST, "{harm}: {error}");
        assert!(error.to_string().contains("another order"), "{harm}: {error}");
    }
}

#[tokio::test]
async fn what_concerns_no_column_is_not_told() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)").await;
    let mut following = rig.follow(&["t"]).await;
    rig.run("CREATE TABLE more (x); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT * FROM t; INSERT INTO t VALUES (1, 'a'); VACUUM");
    assert_eq!(following.all(&rig).await, ["t + 1|a"]);
    rig.run("BEGIN; DROP VIEW v; DROP INDEX i; DROP TABLE more; ALTER TABLE t RENAME TO s; ALTER TABLE s RENAME TO t; DELETE FROM t; COMMIT");
    assert_eq!(following.all(&rig).await, ["t - 1"]);
}

#[tokio::test]
async fn a_unique_index_that_comes_is_covered_from_then_on() {
    let rig =
        Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE u (id INTEGER PRIMARY KEY)")
            .await;
    let mut following = rig.follow(&["t"]).await;
    rig.run("INSERT INTO t VALUES (1, 'a')");
    following.all(&rig).await;
    let before = rig.one("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'");
    let triggers = async |rig: &Rig, count: i64| {
        while rig.one("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") != count {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    rig.run("CREATE UNIQUE INDEX i ON t (a)");
    triggers(&rig, before + 2).await;
    rig.run("REPLACE INTO t VALUES (2, 'a')");
    assert_eq!(following.all(&rig).await, ["t - 1", "t + 2|a"]);
    // Its columns may go once it is gone.
    rig.run("DROP INDEX i");
    triggers(&rig, before).await;
    rig.run("ALTER TABLE t DROP COLUMN a");
    assert_eq!(rig.one("SELECT count(*) FROM pragma_table_info('t')"), 1);
}

#[tokio::test]
async fn rows_that_were_written_beside_a_new_unique_index_are_not_trusted() {
    let rig =
        Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'a')").await;
    let mut following = rig.follow(&["t"]).await;
    let at = following.at.clone();
    rig.run("BEGIN; CREATE UNIQUE INDEX i ON t (a); REPLACE INTO t VALUES (2, 'a'); COMMIT");
    let error = following.step().await.unwrap_err();
    assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
    assert!(error.to_string().contains("unique index"), "{error}");
    let error = rig.log.keep(&following.reads, Some(&at)).await.unwrap_err();
    assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
}
