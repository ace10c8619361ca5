//! What was changed is told: all of it, in order, and nothing else.

use crate::rig::{Rig, products};

const TABLES: &str = "CREATE TABLE a (id int primary key, v varchar(20), n decimal(10,2));
    CREATE TABLE b (x int, y varchar(9), z text, PRIMARY KEY (x, y));
    CREATE TABLE other (id int primary key);
    CREATE TABLE _syncline_checkpoint (id int primary key);
    INSERT INTO a VALUES (1, 'one', 1.5), (2, 'two', NULL)";

#[tokio::test]
async fn rows_that_come_change_and_go() {
    for product in products() {
        let rig = Rig::new(product, TABLES).await;
        let mut following = rig.follow(&["a", "b"]).await;
        rig.sql(
            "INSERT INTO a VALUES (3, NULL, -0.01), (4, 'four', 4);
             UPDATE a SET v = 'zwei', n = 2 WHERE id = 2;
             INSERT INTO other VALUES (1);
             INSERT INTO _syncline_checkpoint VALUES (1);
             DELETE FROM a WHERE id = 1;
             UPDATE a SET id = 40 WHERE id = 4;
             BEGIN; INSERT INTO b VALUES (1, 'y', 'z'); DELETE FROM a WHERE id = 3; UPDATE b SET z = NULL; COMMIT;
             TRUNCATE TABLE b; TRUNCATE other;
             INSERT INTO b VALUES (2, 'y', '')",
        );
        let told = following.all(&rig).await;
        let expected = [
            "a + 3|-|-0.01",
            "a + 4|four|4.00",
            "a ~ 2|zwei|2.00",
            "a - 1",
            "a > 4",
            "a < 40|four|4.00",
            "b + 1|y|z",
            "a - 3",
            "b ~ 1|y|-",
            "b truncated",
            "b + 2|y|",
        ];
        assert_eq!(told.lines, expected, "{product:?}");
        assert_eq!(told.transactions, 7, "{product:?}");
        // What was told is not told again.
        let more = following.all(&rig).await;
        assert!(more.lines.is_empty(), "{:?}", more.lines);
    }
}

#[tokio::test]
async fn what_is_taken_back_is_not_told() {
    for product in products() {
        let rig = Rig::new(product, TABLES).await;
        let mut following = rig.follow(&["a"]).await;
        rig.sql(
            "BEGIN; INSERT INTO a VALUES (10, 'no', 0); ROLLBACK;
             BEGIN; INSERT INTO a VALUES (11, 'yes', 0); SAVEPOINT s; INSERT INTO a VALUES (12, 'no', 0);
             ROLLBACK TO s; INSERT INTO a VALUES (13, 'yes', 0); RELEASE SAVEPOINT s; COMMIT",
        );
        let told = following.all(&rig).await;
        assert_eq!(told.lines, ["a + 11|yes|0.00", "a + 13|yes|0.00"], "{product:?}");
    }
}
