//! From every position the rest is told, once.

use syncline_types::codes;

use crate::{
    rig::{Rig, Told},
    with_server,
};

#[tokio::test]
async fn from_every_position_the_rest_is_told_once() {
    with_server(async {
        let rig = Rig::new("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int)").await;
        let mut following = rig.follow(&["t"]).await;
        let (reads, began) = (following.reads.clone(), following.at.clone());
        // A transaction that begins before others and ends behind them.
        let slow = rig.database.start_sql(
            "BEGIN; INSERT INTO t VALUES (100, 'slow'); SELECT pg_sleep(1); INSERT INTO t VALUES (101, 'slow'); COMMIT;",
        );
        let mut all = Told::default();
        let mut add = |told: Told| {
            let before = all.lines.len();
            all.lines.extend(told.lines);
            all.positions.extend(told.positions.into_iter().map(|(place, lines)| (place, before + lines)));
        };
        for id in 0..12 {
            rig.sql(&format!(
                "BEGIN; INSERT INTO t VALUES ({id}, 'x'); UPDATE t SET v = 'y' WHERE id = {id}; COMMIT;
                 INSERT INTO other VALUES ({id})"
            ));
            add(following.all(&rig).await);
        }
        slow.wait().expect_code(0);
        add(following.all(&rig).await);
        drop(following);
        assert_eq!(all.lines.len(), 26);
        assert_eq!(all.lines[24..], ["t + 100|slow", "t + 101|slow"]);
        assert_eq!(all.positions.len(), 13);
        // Nothing was confirmed, so everything is still there.
        let again = rig.open(reads.clone(), began).await.all(&rig).await;
        assert_eq!(again.lines, all.lines);
        for (place, lines) in all.positions.iter().rev() {
            let told = rig.open(reads.clone(), place.clone()).await.all(&rig).await;
            assert_eq!(told.lines, all.lines[*lines..], "from {place:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_confirmed_is_gone() {
    with_server(async {
        let rig = Rig::new("CREATE TABLE t (id int PRIMARY KEY)").await;
        let mut following = rig.follow(&["t"]).await;
        let (reads, began) = (following.reads.clone(), following.at.clone());
        rig.sql("INSERT INTO t VALUES (1)");
        following.all(&rig).await;
        following.reader.confirm(&following.at).await.expect("it can be confirmed");
        let confirmed = following.at.clone();
        drop(following);
        rig.sql("INSERT INTO t VALUES (2)");
        let error = rig.log.open(&reads, &began, &[]).await.err().expect("it is gone");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        let error = rig.log.keep(&reads, Some(&began)).await.expect_err("it is gone");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        let told = rig.open(reads, confirmed).await.all(&rig).await;
        assert_eq!(told.lines, ["t + 2"]);
    })
    .await;
}
