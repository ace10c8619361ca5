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

/// What the log says of columns is in their order, of which each kind has a part.
#[tokio::test]
async fn columns_of_all_kinds_in_one_table() {
    for product in products() {
        let rig = Rig::new(
            product,
            "CREATE TABLE w (id int unsigned primary key, y year, b bit(3), e enum('a','b'), n int unsigned, f float, g float unsigned,
               d date, s smallint, u smallint unsigned, t tinyint(1), x tinyint unsigned, p decimal(5,2) unsigned, q bigint,
               hidden mediumint unsigned INVISIBLE DEFAULT 9, twice int AS (s * 2) STORED, l longtext CHARACTER SET latin1, j varchar(5))",
        )
        .await;
        if product == syncline_testkit::servers::mysql::Product::Mysql {
            // Its column stands nowhere.
            rig.sql("ALTER TABLE w ADD INDEX i ((s + 1))");
        }
        let mut following = rig.follow(&["w"]).await;
        rig.sql(
            "INSERT INTO w (id, y, b, e, n, f, g, d, s, u, t, x, p, q, l, j)
               VALUES (4294967295, 2024, b'101', 'b', 4000000000, -1.5, 1.5, '2024-01-01', -7, 65535, 1, 255, 1.5, -1, 'lä', 'j');
             UPDATE w SET hidden = 16777215, j = NULL",
        );
        let told = following.all(&rig).await;
        let head = "4294967295|2024|101|b|4000000000|-1.5|1.5|2024-01-01|-7|65535|true|255|1.50|-1";
        let expected = [format!("w + {head}|9|-14|l\u{e4}|j"), format!("w ~ {head}|16777215|-14|l\u{e4}|-")];
        assert_eq!(told.lines, expected, "{product:?}");
    }
}

#[tokio::test]
async fn tables_whose_changes_cannot_be_taken_back() {
    for product in products() {
        let rig = Rig::new(
            product,
            "CREATE TABLE m (id int primary key) ENGINE = MyISAM; CREATE TABLE t (id int primary key)",
        )
        .await;
        let mut following = rig.follow(&["m", "t"]).await;
        rig.sql("INSERT INTO m VALUES (1), (2); DELETE FROM m WHERE id = 1");
        let mut expected = vec!["m + 1", "m + 2", "m - 1"];
        // MySQL takes no such transaction while transactions have ids.
        if product == syncline_testkit::servers::mysql::Product::Mariadb {
            rig.sql("BEGIN; INSERT INTO t VALUES (1); INSERT INTO m VALUES (3); ROLLBACK");
            expected.push("m + 3");
        }
        rig.sql("INSERT INTO t VALUES (2)");
        expected.push("t + 2");
        assert_eq!(following.all(&rig).await.lines, expected, "{product:?}");
        assert_eq!(rig.sql("SELECT COUNT(*) FROM t"), "1");
    }
}
