//! Tables that are altered while they are followed.

use std::collections::BTreeMap;

use syncline_testkit::servers::mysql;

use crate::{
    TRIGGERS,
    random::apply,
    rig::{Rig, products},
};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v varchar(20), n int NOT NULL);
    INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)";

#[tokio::test]
async fn an_altered_table_is_told_as_it_is() {
    for product in products() {
        for (statements, columns, told) in [
            (
                "ALTER TABLE t ADD COLUMN x int; UPDATE t SET x = 5 WHERE id = 1",
                "id, v, n, x",
                "id int, v varchar(20), n int, x int",
            ),
            (
                "ALTER TABLE t ADD COLUMN x int NOT NULL DEFAULT 7",
                "id, v, n, x",
                "id int, v varchar(20), n int, x int",
            ),
            (
                "ALTER TABLE t ADD COLUMN x int AS (n + 1)",
                "id, v, n, x",
                "id int, v varchar(20), n int, x int",
            ),
            ("ALTER TABLE t DROP COLUMN v; DELETE FROM t WHERE id = 3", "id, n", "id int, n int"),
            (
                "ALTER TABLE t RENAME COLUMN v TO w; UPDATE t SET w = 'new' WHERE id = 2",
                "id, w, n",
                "id int, w varchar(20), n int",
            ),
            (
                "ALTER TABLE t MODIFY n varchar(9); UPDATE t SET n = 'x' WHERE id = 1",
                "id, v, n",
                "id int, v varchar(20), n varchar(9)",
            ),
            // What comes back as it was has other values.
            (
                "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN n int NOT NULL DEFAULT 4",
                "id, v, n",
                "",
            ),
            ("ALTER TABLE t MODIFY v varchar(1); ALTER TABLE t MODIFY v varchar(20)", "id, v, n", ""),
            (
                "ALTER TABLE t MODIFY n tinyint; UPDATE t SET n = 100; ALTER TABLE t MODIFY n int NOT NULL",
                "id, v, n",
                "",
            ),
            // These change nothing, which nobody tells.
            (
                "ALTER TABLE t ADD INDEX (v), COMMENT 'with an index'; DELETE FROM t WHERE id = 1",
                "id, v, n",
                "",
            ),
            ("OPTIMIZE TABLE t; INSERT INTO t VALUES (4, 'four', 4)", "id, v, n", ""),
            (
                "ALTER TABLE t ENGINE = InnoDB; TRUNCATE t; INSERT INTO t VALUES (5, 'five', 5)",
                "id, v, n",
                "",
            ),
        ] {
            let rig = Rig::on(mysql::shared(product), TABLE, TRIGGERS).await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql("UPDATE t SET v = 'before' WHERE id = 2");
            let mut models = BTreeMap::new();
            for row in rig.sql("SELECT CONCAT('t + ', CONCAT_WS('|', id, v, n)) FROM t").lines() {
                apply(&mut models, row);
            }
            assert_eq!(following.all(&rig).await.lines, ["t ~ 2|before|2"]);
            rig.sql(&format!("SET sql_mode = ''; {statements}"));
            let lines = following.all(&rig).await.lines;
            let (changed, rows): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with("t is ("));
            let expected: Vec<String> = if told.is_empty() { vec![] } else { vec![format!("t is ({told})")] };
            assert_eq!(changed, expected.iter().collect::<Vec<_>>(), "{statements} on {product:?}");
            rows.iter().for_each(|line| apply(&mut models, line));
            let there =
                rig.sql(&format!("SELECT CONCAT_WS('|', {}) FROM t ORDER BY id", null_as_dash(columns)));
            let model: Vec<&String> = models["t"].values().collect();
            assert_eq!(model, there.lines().collect::<Vec<_>>(), "{statements} on {product:?}");
            // Once is enough.
            let (at, reads) = (following.at.clone(), following.reads.clone());
            following.reader.confirm(&at).await.expect("it can be confirmed");
            drop(following);
            let mut following = rig.open(reads, at).await;
            rig.sql("DELETE FROM t WHERE id = 2");
            let lines = following.all(&rig).await.lines;
            assert!(lines.iter().all(|line| line == "t - 2"), "{statements} on {product:?}: {lines:?}");
        }
    }
}

fn null_as_dash(columns: &str) -> String {
    let columns = columns.split(", ").map(|column| format!("COALESCE({column}, '-')"));
    columns.collect::<Vec<_>>().join(", ")
}
