//! Tables without a key: whole rows are recorded, before and after.

use syncline_types::codes;

use crate::rig::Rig;

const TABLE: &str = "CREATE TABLE t (a, b TEXT COLLATE NOCASE)";

#[tokio::test]
async fn rows_are_told_as_they_were_and_are() {
    let rig = Rig::new(TABLE).await;
    rig.run("INSERT INTO t VALUES (0, 'typed')");
    let mut following = rig.follow(&["t"]).await;
    rig.run(
        "INSERT INTO t VALUES (1, 'x'), (1, 'x'); UPDATE t SET b = 'X' WHERE rowid = 2; UPDATE t SET b = 'X' WHERE rowid = 2;
         UPDATE t SET a = NULL WHERE rowid = 3; REPLACE INTO t VALUES (1, 'x'); DELETE FROM t WHERE a = 1 AND rowid = 4;
         BEGIN; DELETE FROM t; ROLLBACK; UPDATE t SET rowid = 9 WHERE rowid = 3",
    );
    let expected = ["t + 1|x", "t + 1|x", "t - 1|x", "t ~ 1|X", "t - 1|x", "t ~ -|x", "t + 1|x", "t - 1|x"];
    assert_eq!(following.all(&rig).await, expected);
    rig.run("DELETE FROM t");
    assert_eq!(following.all(&rig).await, ["t - 0|typed", "t - 1|X", "t - -|x"]);
}

#[tokio::test]
async fn what_a_copy_has_is_left_out() {
    let rig = Rig::new(TABLE).await;
    rig.run("INSERT INTO t VALUES (0, 'typed')");
    let reads = rig.reads(&["t"]).await;
    let at = rig.log.keep(&reads, None).await.unwrap();
    for round in 0..5 {
        rig.run(&format!("INSERT INTO t VALUES ({round}, 'before')"));
        let (session, place) = rig.log.snapshot(&reads, 3).await.unwrap();
        rig.run(&format!(
            "INSERT INTO t VALUES ({round}, 'after'); UPDATE t SET b = 'other' WHERE a = {round}"
        ));
        drop(session);
        let mut following = rig.open(reads.clone(), at.clone()).await;
        following.reader.pass_over(0, &place).unwrap();
        let lines = following.all(&rig).await;
        assert_eq!(lines[0], format!("t + {round}|after"), "{lines:?}");
        assert!(following.reader.pass_over(0, &place).is_err(), "some were looked at already");
    }
}

#[tokio::test]
async fn what_triggers_do_not_tell_stops_it() {
    for (statement, code) in [
        (
            "INSERT INTO t (a, b) VALUES (5, 'y'); REPLACE INTO t (rowid, a, b) VALUES (1, 6, 'z')",
            &codes::LOG_INCOMPLETE,
        ),
        ("UPDATE OR REPLACE t SET rowid = 1 WHERE rowid = 2", &codes::LOG_INCOMPLETE),
        ("ALTER TABLE t ADD COLUMN c; INSERT INTO t VALUES (1, 'x', 'lost')", &codes::LOG_LOST),
    ] {
        let rig = Rig::new(TABLE).await;
        rig.run("INSERT INTO t VALUES (0, 'typed'), (1, 'x')");
        let mut following = rig.follow(&["t"]).await;
        rig.run("INSERT INTO t (rowid, a, b) VALUES (77, 3, 'free')");
        assert_eq!(following.all(&rig).await, ["t + 3|free"]);
        rig.run(statement);
        let head = rig.log.head().await.unwrap();
        let error = following.upto(rig.log.as_ref(), &head).await.unwrap_err();
        assert_eq!(error.code(), code, "{statement}: {error}");
        assert!(rig.app.execute_batch("ALTER TABLE t DROP COLUMN b").is_err());
    }
}
