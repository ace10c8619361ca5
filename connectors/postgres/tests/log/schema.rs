//! A table that is altered is told in its place among the changes.

use crate::{rig::Rig, with_server};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text, w varchar(10))";

/// What follows one statement between two inserts.
async fn altered(statement: &str, insert: &str) -> Vec<String> {
    let rig = Rig::new(TABLE).await;
    let mut following = rig.follow(&["t"]).await;
    rig.sql(&format!(
        "INSERT INTO t VALUES (1, 'a', 'b'); {statement}; {insert}; DELETE FROM t WHERE id = 1"
    ));
    following.all(&rig).await.lines
}

#[tokio::test]
async fn other_columns_are_told_before_the_changes_that_have_them() {
    with_server(async {
        for (statement, insert, expected) in [
            (
                "ALTER TABLE t ADD COLUMN n numeric(5,2)",
                "INSERT INTO t VALUES (2, 'c', 'd', 1.5)",
                ["t is (id integer, v text, w character varying(10), n numeric(5,2))", "t + 2|c|d|1.50"],
            ),
            (
                "ALTER TABLE t DROP COLUMN v",
                "INSERT INTO t VALUES (2, 'd')",
                ["t is (id integer, w character varying(10))", "t + 2|d"],
            ),
            (
                "ALTER TABLE t RENAME COLUMN v TO x",
                "INSERT INTO t VALUES (2, 'c', 'd')",
                ["t is (id integer, x text, w character varying(10))", "t + 2|c|d"],
            ),
            (
                "ALTER TABLE t ALTER w TYPE varchar(20)",
                "INSERT INTO t VALUES (2, 'c', 'd')",
                ["t is (id integer, v text, w character varying(20))", "t + 2|c|d"],
            ),
            (
                "ALTER TABLE t ALTER v TYPE int USING 1",
                "INSERT INTO t VALUES (2, 3, 'd')",
                ["t is (id integer, v integer, w character varying(10))", "t + 2|3|d"],
            ),
            (
                "ALTER TABLE t DROP COLUMN v; ALTER TABLE t ADD COLUMN v int",
                "INSERT INTO t VALUES (2, 'd', 3)",
                ["t is (id integer, w character varying(10), v integer)", "t + 2|d|3"],
            ),
        ] {
            let lines = altered(statement, insert).await;
            assert_eq!(lines, ["t + 1|a|b", expected[0], expected[1], "t - 1"], "{statement}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_changes_no_column_is_not_told() {
    with_server(async {
        for statement in [
            "ALTER TABLE t ALTER v SET DEFAULT 'x'",
            "ALTER TABLE t ALTER v SET NOT NULL",
            "CREATE INDEX ON t (v)",
            "COMMENT ON TABLE t IS 'x'",
            "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO t",
            "ALTER TABLE t ADD COLUMN n int; ALTER TABLE t DROP COLUMN n",
            "ALTER TABLE t REPLICA IDENTITY FULL",
            "VACUUM FULL t",
        ] {
            let lines = altered(statement, "INSERT INTO t VALUES (2, 'c', 'd')").await;
            assert_eq!(lines, ["t + 1|a|b", "t + 2|c|d", "t - 1"], "{statement}");
        }
    })
    .await;
}

#[tokio::test]
async fn several_changes_of_a_table_come_one_after_the_other() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "BEGIN; INSERT INTO t VALUES (1, 'a', 'b'); ALTER TABLE t ADD COLUMN n int;
             INSERT INTO t VALUES (2, 'c', 'd', 3); ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (3, 'd', 4); COMMIT;
             CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE t ADD COLUMN m mood; INSERT INTO t VALUES (4, 'e', 5, 'sad')",
        );
        let told = following.all(&rig).await;
        let expected = [
            "t + 1|a|b",
            "t is (id integer, v text, w character varying(10), n integer)",
            "t + 2|c|d|3",
            "t is (id integer, w character varying(10), n integer)",
            "t + 3|d|4",
            "t is (id integer, w character varying(10), n integer, m public.mood)",
            "t + 4|e|5|sad",
        ];
        assert_eq!(told.lines, expected);
        assert_eq!(told.transactions, 2);
    })
    .await;
}

#[tokio::test]
async fn a_key_goes_on_under_another_name() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(
            "INSERT INTO t VALUES (1, 'a', 'b'); ALTER TABLE t RENAME COLUMN id TO key; DELETE FROM t;
             ALTER TABLE t DROP COLUMN v; ALTER TABLE t RENAME COLUMN key TO last;
             INSERT INTO t VALUES (2, 'c'); UPDATE t SET last = 3",
        );
        let told = following.all(&rig).await;
        let expected = [
            "t + 1|a|b",
            "t is (key integer, v text, w character varying(10))",
            "t - 1",
            "t is (last integer, w character varying(10))",
            "t + 2|c",
            "t > 2",
            "t < 3|c",
        ];
        assert_eq!(told.lines, expected);
    })
    .await;
}

#[tokio::test]
async fn a_table_made_anew_under_the_same_name_is_another_one() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(&format!("INSERT INTO t VALUES (1, 'a', 'b'); ALTER TABLE t RENAME TO old; {TABLE}"));
        rig.sql("INSERT INTO t VALUES (2, 'never', ''); INSERT INTO old VALUES (3, 'c', 'd')");
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["t + 1|a|b", "t + 3|c|d"]);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_read_from_further_on_is_told_nothing_of_what_was_before() {
    with_server(async {
        let rig =
            Rig::new("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text)")
                .await;
        let mut following = rig.follow(&["a", "b"]).await;
        let begun = following.at.clone();
        rig.sql("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 'x'); ALTER TABLE b ADD COLUMN n int");
        rig.sql("INSERT INTO b VALUES (2, 'x', 2); BEGIN; INSERT INTO a VALUES (2); TRUNCATE b; COMMIT");
        following.all(&rig).await;
        let (place, reads) = (following.at.clone(), following.reads.clone());
        drop(following);
        rig.sql("INSERT INTO a VALUES (3); INSERT INTO b VALUES (3, 'x', 3); ALTER TABLE b DROP COLUMN v");
        rig.sql("INSERT INTO b VALUES (4, 4)");
        let mut again = rig.open(reads, begun).await;
        again.reader.pass_over(1, &place).expect("it can be passed over");
        let told = again.all(&rig).await;
        let expected = ["a + 1", "a + 2", "a + 3", "b + 3|x|3", "b is (id integer, n integer)", "b + 4|4"];
        assert_eq!(told.lines, expected);
    })
    .await;
}
