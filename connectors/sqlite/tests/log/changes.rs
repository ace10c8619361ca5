//! What statements do is told, in whichever way they do it.

use std::time::Duration;

use syncline_connect::Logged;
use syncline_types::codes;

use crate::rig::{Following, Rig};

#[tokio::test]
async fn inserts_updates_and_deletes_are_told() {
    let rig = Rig::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE other (id INTEGER PRIMARY KEY)",
    )
    .await;
    let mut following = rig.follow(&["t"]).await;
    rig.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO other VALUES (1)");
    assert_eq!(following.all(&rig).await, ["t + 1|a", "t + 2|b"]);
    rig.run("UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2");
    assert_eq!(following.all(&rig).await, ["t ~ 1|c", "t - 2"]);
    rig.run("BEGIN; INSERT INTO t VALUES (3, 'undone'); ROLLBACK; INSERT INTO t VALUES (4, NULL)");
    rig.run(
        "BEGIN; SAVEPOINT s; UPDATE t SET v = 'undone'; ROLLBACK TO s; INSERT INTO t VALUES (5, ''); COMMIT",
    );
    assert_eq!(following.all(&rig).await, ["t + 4|-", "t + 5|"]);
    // SQLite would delete all rows at once if there were no trigger.
    rig.run("DELETE FROM t");
    assert_eq!(following.all(&rig).await, ["t - 1", "t - 4", "t - 5"]);
}

#[tokio::test]
async fn a_row_is_told_as_it_is_now() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    let reads = rig.reads(&["t"]).await;
    let at = rig.log.keep(&reads, None).await.unwrap();
    rig.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'); UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2");
    let told = rig.open(reads, at).await.all(&rig).await;
    assert_eq!(told, ["t + 1|c", "t - 2", "t ~ 1|c", "t - 2"]);
}

#[tokio::test]
async fn rows_that_move_to_another_key_leave_the_old_one() {
    let rig = Rig::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
         CREATE TABLE named (name TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v INT) WITHOUT ROWID;
         CREATE TABLE pairs (a TEXT NOT NULL, b INT NOT NULL, v INT, PRIMARY KEY (b, a));
         INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO named VALUES ('Ann', 1);
         INSERT INTO pairs VALUES ('x', 1, 1)",
    )
    .await;
    let mut following = rig.follow(&["t", "named", "pairs"]).await;
    rig.run("BEGIN; UPDATE t SET id = id + 10; UPDATE t SET rowid = 5 WHERE id = 11; COMMIT");
    let told = following.all(&rig).await;
    assert_eq!(following.models[0].values().collect::<Vec<_>>(), ["12|b", "5|a"], "{told:?}");
    // Equal for the key's own index, and another value.
    rig.run("UPDATE named SET name = 'ANN'");
    assert_eq!(following.all(&rig).await, ["named - Ann", "named ~ ANN|1"]);
    rig.run("BEGIN; UPDATE pairs SET b = 2; UPDATE pairs SET v = 2; COMMIT");
    assert_eq!(following.all(&rig).await, ["pairs - 1|x", "pairs ~ x|2|2", "pairs ~ x|2|2"]);
}

#[tokio::test]
async fn cascades_and_other_triggers_are_told() {
    let rig = Rig::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, parent INT REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE orphan (id INTEGER PRIMARY KEY, parent INT REFERENCES parent ON DELETE SET NULL);
         CREATE TABLE history (id INTEGER PRIMARY KEY, was INT);
         CREATE TRIGGER note AFTER DELETE ON parent BEGIN INSERT INTO history (was) VALUES (OLD.id); END;
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (11, 2); INSERT INTO orphan VALUES (20, 1)",
    )
    .await;
    let mut following = rig.follow(&["parent", "child", "orphan", "history"]).await;
    rig.run(
        "PRAGMA foreign_keys = ON; DELETE FROM parent WHERE id = 1; UPDATE parent SET id = 3 WHERE id = 2",
    );
    let mut told = following.all(&rig).await;
    told.sort();
    let expected = [
        "child - 10",
        "child ~ 11|3",
        "history + 1|1",
        "orphan ~ 20|-",
        "parent - 1",
        "parent - 2",
        "parent ~ 3",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn whole_transactions_are_told_together_and_across_tables() {
    let rig = Rig::new(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, n INT); CREATE TABLE b (id INTEGER PRIMARY KEY, n INT)",
    )
    .await;
    let mut following = rig.follow(&["a", "b"]).await;
    // More than one batch holds.
    rig.run(
        "BEGIN; WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 30000)
         INSERT INTO a SELECT i, i FROM c; INSERT INTO b SELECT id, -n FROM a; COMMIT",
    );
    let mut parts = 0;
    loop {
        let Logged::Changes(batch) = following.reader.next().await.unwrap() else { panic!("only changes") };
        parts += 1;
        assert!(batch.memory.is_some());
        if let Some(position) = batch.position {
            assert_eq!(position, rig.log.head().await.unwrap());
            assert_eq!(batch.transactions, 1);
            break;
        }
        assert_eq!(batch.transactions, 0);
    }
    assert!(parts >= 7, "{parts}");
}

#[tokio::test]
async fn it_waits_for_the_first_change_and_can_be_cancelled() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let mut following = rig.follow(&["t"]).await;
    for _ in 0..5 {
        let waited = tokio::time::timeout(Duration::from_millis(30), following.reader.next()).await;
        assert!(waited.is_err(), "there is nothing to tell");
    }
    rig.run("INSERT INTO t VALUES (1)");
    assert_eq!(following.all(&rig).await, ["t + 1"]);
}

#[tokio::test]
async fn changes_that_are_confirmed_are_deleted_and_the_place_stays() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let mut following = rig.follow(&["t"]).await;
    rig.run("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000) INSERT INTO t SELECT i FROM c");
    assert_eq!(following.all(&rig).await.len(), 2_000);
    let early = following.at.clone();
    following.reader.confirm(&early).await.unwrap();
    let table =
        rig.app.query_row("SELECT changes FROM _syncline_follow", [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(rig.one(&format!("SELECT count(*) FROM \"{table}\"")), 1, "the last one stays");
    // Numbers go up for good, whatever is deleted, and nothing is told twice.
    rig.run("DELETE FROM t WHERE id > 1998");
    assert_eq!(following.all(&rig).await, ["t - 1999", "t - 2000"]);
    // While others write, nothing is deleted, and nothing fails.
    let later = following.at.clone();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    rig.run("BEGIN IMMEDIATE; DELETE FROM t WHERE id = 1");
    following.reader.confirm(&later).await.unwrap();
    rig.run("COMMIT");
    assert_eq!(rig.one(&format!("SELECT count(*) FROM \"{table}\"")), 4);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    following.reader.tick().await.unwrap();
    assert_eq!(rig.one(&format!("SELECT count(*) FROM \"{table}\"")), 2);
    // What comes before is gone, and whoever asks for it is told so.
    let reads = following.reads.clone();
    let error = rig.log.open(&reads, &early, &[]).await.err().unwrap();
    assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
    drop(following);
    assert_eq!(rig.open(reads, later).await.all(&rig).await, ["t - 1"]);
}

#[tokio::test]
async fn several_pipelines_follow_one_file() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    let mut one = rig.follow(&["t"]).await;
    let second = rig.source.log("q").await.unwrap();
    let reads = rig.reads(&["t"]).await;
    let at = second.keep(&reads, None).await.unwrap();
    rig.run("INSERT INTO t VALUES (1, 'a')");
    assert_eq!(one.all(&rig).await, ["t + 1|a"]);
    rig.log.release().await.unwrap();
    rig.run("INSERT INTO t VALUES (2, 'b')");
    let reader = second.open(&reads, &at, &[]).await.unwrap();
    let mut other = Following::new(reader, reads, at);
    other.upto(second.as_ref(), &second.head().await.unwrap()).await.unwrap();
    assert_eq!(other.lines, ["t + 1|a", "t + 2|b"]);
    second.release().await.unwrap();
    assert_eq!(
        rig.one("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%syncline%'"),
        0,
        "nothing is left"
    );
}

#[tokio::test]
async fn a_stream_that_is_read_from_further_on_is_told_nothing_of_what_was_before() {
    let rig =
        Rig::new("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)").await;
    let mut following = rig.follow(&["a", "b"]).await;
    let (begun, reads) = (rig.log.head().await.unwrap(), rig.reads(&["a", "b"]).await);
    rig.run("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)");
    following.all(&rig).await;
    let place = rig.log.head().await.unwrap();
    drop(following);
    rig.run("INSERT INTO a VALUES (2); INSERT INTO b VALUES (2)");
    let mut again = rig.open(reads, begun).await;
    again.reader.pass_over(1, &place).unwrap();
    assert_eq!(again.all(&rig).await, ["a + 1", "a + 2", "b + 2"]);
}
