//! Every kind of change is told as what it is.

use std::{sync::Arc, time::Duration};

use syncline_connect::{Logged, Read};
use syncline_types::{StreamName, codes};

use crate::{
    rig::{Rig, Told},
    with_server,
};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text)";

/// A value that is stored out of line: too long for a row, and not to be compressed.
const LONG: &str = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n)";

#[tokio::test]
async fn rows_are_told_as_they_were_left() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "INSERT INTO t VALUES (1, 'one'), (2, NULL);
             UPDATE t SET v = 'two' WHERE id = 2;
             UPDATE t SET id = 3 WHERE id = 1;
             DELETE FROM t WHERE id = 2",
        );
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|one", "t + 2|-", "t ~ 2|two", "t > 1", "t < 3|one", "t - 2"]);
        assert_eq!(told.transactions, 4);
    })
    .await;
}

#[tokio::test]
async fn what_was_rolled_back_or_is_of_others_is_not_told() {
    with_server(async {
        let rig =
            Rig::new(&format!("{TABLE}; CREATE TABLE other (id int); CREATE TABLE heir () INHERITS (t)")).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "BEGIN; INSERT INTO t VALUES (1, 'never'); ROLLBACK;
             BEGIN; INSERT INTO t VALUES (2, 'a'); SAVEPOINT s; INSERT INTO t VALUES (3, 'never');
             UPDATE t SET v = 'never'; ROLLBACK TO s; INSERT INTO t VALUES (4, 'b');
             SELECT pg_logical_emit_message(true, 'somebody', 'says'); INSERT INTO other VALUES (1); COMMIT;
             SELECT pg_logical_emit_message(false, 'somebody', 'says');
             INSERT INTO other VALUES (2); INSERT INTO heir VALUES (5, 'heir'); INSERT INTO t VALUES (6, 'c')",
        );
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 2|a", "t + 4|b", "t + 6|c"]);
        assert_eq!(told.transactions, 2);
    })
    .await;
}

#[tokio::test]
async fn streams_are_told_in_one_order() {
    with_server(async {
        let rig =
            Rig::new(&format!("{TABLE}; CREATE TABLE u (b int, a int, c int, PRIMARY KEY (a, b))")).await;
        let mut following = rig.follow(&["u", "t"]).await;
        rig.sql(
            "BEGIN; INSERT INTO t VALUES (1, 'x'); INSERT INTO u VALUES (20, 10, 30);
             UPDATE t SET v = 'y'; UPDATE u SET b = 21; DELETE FROM t; DELETE FROM u; COMMIT",
        );
        let told = following.all(&rig).await;
        // The key of `u` is (a, b), whatever the columns' order.
        let expected =
            ["t + 1|x", "u + 20|10|30", "t ~ 1|y", "u > 10|20", "u < 21|10|30", "t - 1", "u - 10|21"];
        assert_eq!(told.lines, expected);
    })
    .await;
}

#[tokio::test]
async fn truncation_stands_in_its_place() {
    with_server(async {
        let rig = Rig::new(&format!("{TABLE}; CREATE TABLE u (id int PRIMARY KEY)")).await;
        let mut following = rig.follow(&["t", "u"]).await;
        rig.sql(
            "BEGIN; INSERT INTO t VALUES (1, 'a'); INSERT INTO u VALUES (1); TRUNCATE t, u;
             INSERT INTO t VALUES (2, 'b'); COMMIT",
        );
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|a", "u + 1", "t truncated", "u truncated", "t + 2|b"]);
    })
    .await;
}

#[tokio::test]
async fn what_an_update_leaves_alone_is_absent_and_not_null() {
    with_server(async {
        let rig = Rig::new(
            "CREATE TABLE t (id int PRIMARY KEY, small int, long text);
             ALTER TABLE t ALTER long SET STORAGE EXTERNAL;
             CREATE TABLE whole (LIKE t INCLUDING ALL); ALTER TABLE whole REPLICA IDENTITY FULL",
        )
        .await;
        let mut following = rig.follow(&["t", "whole"]).await;
        for table in ["t", "whole"] {
            rig.sql(&format!("INSERT INTO {table} VALUES (1, 1, {LONG}), (2, 1, 'short'), (3, 1, NULL)"));
        }
        let long = rig.sql("SELECT long FROM t WHERE id = 1");
        following.all(&rig).await;
        for table in ["t", "whole"] {
            rig.sql(&format!("UPDATE {table} SET small = 2; UPDATE {table} SET id = 9 WHERE id = 1"));
        }
        let told = following.all(&rig).await;
        let expected = [
            "t ~ 1|2|...".to_owned(),
            "t ~ 2|2|short".to_owned(),
            "t ~ 3|2|-".to_owned(),
            "t > 1".to_owned(),
            "t < 9|2|...".to_owned(),
            format!("whole ~ 1|2|{long}"),
            "whole ~ 2|2|short".to_owned(),
            "whole ~ 3|2|-".to_owned(),
            "whole > 1".to_owned(),
            format!("whole < 9|2|{long}"),
        ];
        assert_eq!(told.lines, expected);
    })
    .await;
}

#[tokio::test]
async fn a_long_key_is_told_whole() {
    with_server(async {
        let rig = Rig::new(
            "CREATE TABLE t (id text PRIMARY KEY, v int); ALTER TABLE t ALTER id SET STORAGE EXTERNAL",
        )
        .await;
        let mut following = rig.follow(&["t"]).await;
        // The longest that an index holds, and stored out of line.
        rig.sql("INSERT INTO t SELECT string_agg(md5(n::text), ''), 1 FROM generate_series(1, 80) n");
        let key = rig.sql("SELECT id FROM t");
        rig.sql("UPDATE t SET v = 2; DELETE FROM t");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, [format!("t + {key}|1"), format!("t ~ {key}|2"), format!("t - {key}")]);
    })
    .await;
}

#[tokio::test]
async fn without_a_key_whole_rows_tell_what_is_gone() {
    with_server(async {
        let rig = Rig::new("CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "INSERT INTO t VALUES (1, NULL), (1, NULL), (2, 'x');
             UPDATE t SET b = 'y' WHERE a = 2; UPDATE t SET b = b WHERE a = 2; DELETE FROM t WHERE a = 1",
        );
        let told = following.all(&rig).await;
        let expected =
            ["t + 1|-", "t + 1|-", "t + 2|x", "t > 2|x", "t < 2|y", "t ~ 2|y", "t - 1|-", "t - 1|-"];
        assert_eq!(told.lines, expected);
    })
    .await;
}

#[tokio::test]
async fn partitions_are_told_as_their_table() {
    with_server(async {
        let rig = Rig::new(
            "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
             CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100);
             CREATE TABLE high (v text, id int NOT NULL);
             ALTER TABLE t ATTACH PARTITION high FOR VALUES FROM (100) TO (200);
             CREATE TABLE one (id int PRIMARY KEY) PARTITION BY LIST (id);
             CREATE TABLE part PARTITION OF one FOR VALUES IN (1)",
        )
        .await;
        let mut following = rig.follow(&["t", "part"]).await;
        rig.sql(
            "INSERT INTO t VALUES (1, 'a'), (101, 'b'); UPDATE t SET v = 'c' WHERE id = 101;
             UPDATE t SET id = 102 WHERE id = 1; DELETE FROM high WHERE id = 101; INSERT INTO one VALUES (1);
             TRUNCATE t",
        );
        let told = following.all(&rig).await;
        let expected = [
            "t + 1|a",
            "t + 101|b",
            "t ~ 101|c",
            // A row that changes its partition is deleted and inserted.
            "t - 1",
            "t + 102|a",
            "t - 101",
            "part + 1",
            "t truncated",
        ];
        assert_eq!(told.lines, expected);
    })
    .await;
}

#[tokio::test]
async fn columns_are_those_that_are_read_in_their_order() {
    with_server(async {
        let rig = Rig::new("CREATE TABLE t (id int PRIMARY KEY, a text, b int, c text)").await;
        let whole = rig.reads(&["t"]).await.remove(0);
        let some = Read { columns: ["c", "id", "b"].map(str::to_owned).to_vec(), ..whole.as_ref().clone() };
        let reads = vec![Arc::new(some), whole];
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let mut following = rig.open(reads, at).await;
        rig.sql("INSERT INTO t VALUES (1, 'a', 2, 'c'); DELETE FROM t");
        // Two streams of one table are told of each change.
        let mut told = following.all(&rig).await.lines;
        told.sort();
        assert_eq!(told, ["t + 1|a|2|c", "t + c|1|2", "t - 1", "t - 1"]);
    })
    .await;
}

#[tokio::test]
async fn a_value_that_has_no_place_is_set_aside() {
    with_server(async {
        let rig = Rig::new("CREATE TABLE t (id int PRIMARY KEY, v timestamp, w text)").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t VALUES (1, '2024-01-01', 'a'), (2, '294276-12-31', 'secret'), (3, NULL, 'b')");
        let told = following.all(&rig).await;
        assert_eq!(told.lines[..2], ["t + 1|2024-01-01 00:00:00|a", "t + 3|-|b"]);
        let reject = &told.lines[2];
        assert!(reject.starts_with("t ! could not read column `v`: the timestamp is later"), "{reject}");
        assert_eq!(told.lines.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn while_nothing_of_ours_comes_the_place_moves_on() {
    with_server(async {
        let rig = Rig::new(&format!("{TABLE}; CREATE TABLE other (id int)")).await;
        let elsewhere = Rig::new("CREATE TABLE busy (id int)").await;
        let mut following = rig.follow(&["t"]).await;
        let began = following.at.clone();
        for sql in ["INSERT INTO other SELECT generate_series(1, 1000)", "INSERT INTO t VALUES (1, 'x')"] {
            rig.sql(sql);
            elsewhere.sql("INSERT INTO busy SELECT generate_series(1, 100000)");
            following.all(&rig).await;
            following.reader.confirm(&following.at).await.expect("it can be confirmed");
        }
        assert!(rig.log.distance(&began, &following.at).is_some_and(|bytes| bytes > 10_000_000));
        // The server takes what it is told when it comes to it.
        for _ in 0..100 {
            let sql = format!(
                "SELECT restart_lsn > '{}', confirmed_flush_lsn >= '{}' FROM pg_replication_slots WHERE database = current_database()",
                began.0, following.at.0
            );
            if rig.sql(&sql) == "t|t" {
                return;
            }
            elsewhere.sql("INSERT INTO busy SELECT 1; CHECKPOINT");
            let next = tokio::time::timeout(Duration::from_millis(50), following.reader.next()).await;
            if let Ok(Ok(Logged::Idle(position))) = next {
                following.at = position;
                following.reader.confirm(&following.at).await.expect("it can be confirmed");
            }
        }
        let slot = rig.sql(
            "SELECT restart_lsn, confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()",
        );
        panic!("the slot stands at {slot}, began at {}, confirmed {}", began.0, following.at.0);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_told_to_be_read_before_it_is_given_out() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql("INSERT INTO t SELECT n, 'x' FROM generate_series(1, 30000) n");
        let head = rig.head().await;
        let mut told = Told::default();
        while told.lines.len() < 30_000 {
            match following.next().await.expect("the log can be read") {
                Logged::Changes(batch) => told.add(&batch, &following.reads, &mut following.at),
                Logged::Idle(position) => {
                    let before = rig.log.compare(&position, &head).expect("they are of this log").is_lt();
                    assert!(before, "{position:?} is behind changes that have not come");
                }
                Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
            }
        }
        assert!(told.batches > 1);
    })
    .await;
}

#[tokio::test]
async fn a_deletion_that_no_longer_tells_its_key_is_an_error() {
    with_server(async {
        let rig = Rig::new("CREATE TABLE t (id int PRIMARY KEY, other int NOT NULL, v int)").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "INSERT INTO t VALUES (1, 2, 3); CREATE UNIQUE INDEX i ON t (other);
             ALTER TABLE t REPLICA IDENTITY USING INDEX i; DELETE FROM t",
        );
        let head = rig.head().await;
        let error = following.upto(rig.log.as_ref(), &head).await.expect_err("the key is not told");
        assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
    })
    .await;
}

#[tokio::test]
async fn names_may_be_anything() {
    with_server(async {
        let rig = Rig::new(
            r#"CREATE SCHEMA "Ä ""'.s"; CREATE TABLE "Ä ""'.s"."T.""'x" ("I d""'" int PRIMARY KEY, "ö" text)"#,
        )
        .await;
        let name = StreamName::new("Ä \"'.s", "T.\"'x");
        let mut streams = rig
            .source
            .discover(&syncline_connect::Selection::Name(name))
            .await
            .expect("the table is there");
        let stream = Arc::new(streams.remove(0));
        let columns = stream.schema.columns.iter().map(|column| column.name.clone()).collect();
        let reads = vec![Arc::new(Read { stream, columns, filter: None, chunk_rows: 10 })];
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let mut following = rig.open(reads.clone(), at).await;
        rig.sql(r#"INSERT INTO "Ä ""'.s"."T.""'x" VALUES (1, 'ü'); DELETE FROM "Ä ""'.s"."T.""'x""#);
        assert_eq!(following.all(&rig).await.lines, ["T.\"'x + 1|ü", "T.\"'x - 1"]);
        // A stream that is no longer followed leaves the publication too.
        let other = Rig::new(TABLE).await;
        drop(other);
        rig.sql(TABLE);
        let at = following.at.clone();
        drop(following);
        rig.log.keep(&rig.reads(&["t"]).await, Some(&at)).await.expect("it goes on");
        assert_eq!(rig.sql("SELECT tablename FROM pg_publication_tables"), "t");
    })
    .await;
}
