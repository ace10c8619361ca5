//! Every way in which a server may write its log tells the same.

use syncline_testkit::servers::mysql::Product;

use crate::rig::{Rig, products, server};

const TABLE: &str = "CREATE TABLE t (id int unsigned primary key, v varchar(300), b longtext, n decimal(10,2) DEFAULT 7, d datetime(3))";

const CHANGES: &str = "INSERT INTO t VALUES (1, 'one', REPEAT('x', 3000), 1, '2024-01-01 10:00:00.5'), (4294967295, NULL, 'y', 2, NULL);
    UPDATE t SET v = 'eins' WHERE id = 1;
    UPDATE t SET id = 2, b = NULL WHERE id = 1;
    DELETE FROM t WHERE id > 2;
    BEGIN; INSERT INTO t VALUES (5, 'five', '', 5, NULL); UPDATE t SET n = n + 1; COMMIT";

/// What is told of the changes when rows are whole.
fn whole() -> Vec<String> {
    let long = "x".repeat(3000);
    let lines = [
        format!("t + 1|one|{long}|1.00|2024-01-01 10:00:00.5"),
        "t + 4294967295|-|y|2.00|-".into(),
        format!("t ~ 1|eins|{long}|1.00|2024-01-01 10:00:00.5"),
        "t > 1".into(),
        "t < 2|eins|-|1.00|2024-01-01 10:00:00.5".into(),
        "t - 4294967295".into(),
        "t + 5|five||5.00|-".into(),
        "t ~ 2|eins|-|2.00|2024-01-01 10:00:00.5".into(),
        "t ~ 5|five||6.00|-".into(),
    ];
    lines.into()
}

async fn told(product: Product, settings: &[(&str, &str)]) -> Vec<String> {
    let server = server(product, settings);
    let rig = Rig::on(&server, TABLE, "").await;
    let mut following = rig.follow(&["t"]).await;
    rig.sql(CHANGES);
    let told = following.all(&rig).await;
    assert_eq!(told.transactions, 5, "{product:?} {settings:?}");
    told.lines
}

#[tokio::test]
async fn with_checksums_or_without_with_names_or_without() {
    for product in products() {
        let names = if product == Product::Mysql { "MINIMAL" } else { "NO_LOG" };
        for settings in [
            [("binlog-checksum", "NONE"), ("binlog-row-metadata", "FULL")],
            [("binlog-checksum", "CRC32"), ("binlog-row-metadata", names)],
        ] {
            assert_eq!(told(product, &settings).await, whole(), "{product:?} {settings:?}");
        }
    }
}

#[tokio::test]
async fn compressed() {
    for product in products() {
        let settings: &[_] = match product {
            Product::Mysql => &[("binlog-transaction-compression", "ON")],
            Product::Mariadb => &[("log-bin-compress", "ON"), ("log-bin-compress-min-len", "10")],
        };
        assert_eq!(told(product, settings).await, whole(), "{product:?}");
    }
}

#[tokio::test]
async fn without_ids_of_transactions() {
    let without = [("gtid-mode", "OFF"), ("enforce-gtid-consistency", "OFF")];
    for product in products().filter(|product| *product == Product::Mysql) {
        assert_eq!(told(product, &without).await, whole());
    }
}

#[tokio::test]
async fn what_an_update_leaves_alone_is_absent_and_not_null() {
    for product in products() {
        for (image, update, moved) in [
            ("MINIMAL", "t ~ 1|eins|...|...|...", "t < 2|...|-|...|..."),
            (
                "NOBLOB",
                "t ~ 1|eins|...|1.00|2024-01-01 10:00:00.5",
                "t < 2|eins|-|1.00|2024-01-01 10:00:00.5",
            ),
        ] {
            let told = told(product, &[("binlog-row-image", image)]).await;
            let of = |prefix: &str| told.iter().find(|line| line.starts_with(prefix)).cloned();
            assert_eq!(of("t ~ 1").as_deref(), Some(update), "{product:?}");
            assert_eq!(of("t > 1").as_deref(), Some("t > 1"), "{product:?}");
            assert_eq!(of("t < 2").as_deref(), Some(moved), "{product:?}");
            assert_eq!(of("t - 42").as_deref(), Some("t - 4294967295"), "{product:?}");
        }
    }
}

#[tokio::test]
async fn a_new_row_has_what_the_table_fills_in() {
    for product in products() {
        for image in ["MINIMAL", "NOBLOB"] {
            let server = server(product, &[("binlog-row-image", image)]);
            let rig = Rig::on(&server, TABLE, "").await;
            let mut following = rig.follow(&["t"]).await;
            rig.sql("INSERT INTO t (id, v) VALUES (1, 'one')");
            let told = following.all(&rig).await;
            assert_eq!(told.lines, ["t + 1|one|-|7.00|-"], "{product:?} {image}");
        }
    }
}

#[tokio::test]
async fn documents_of_which_only_changes_are_told() {
    for product in products().filter(|product| *product == Product::Mysql) {
        for compressed in ["OFF", "ON"] {
            let settings = [
                ("binlog-row-value-options", "PARTIAL_JSON"),
                ("binlog-transaction-compression", compressed),
            ];
            let server = server(product, &settings);
            let rig =
                Rig::on(&server, "CREATE TABLE j (id int primary key, a json, n int, b json)", "").await;
            let mut following = rig.follow(&["j"]).await;
            rig.sql(
                r#"INSERT INTO j VALUES (1, '{"a": 1, "long": "0123456789012345678901234567890123456789", "list": [1, {"x": true}, 3]}', 1, '[1, 2]'),
                     (2, NULL, 2, '{}');
                   UPDATE j SET a = JSON_SET(a, '$.a', 'changed'), n = n + 1 WHERE id = 1;
                   UPDATE j SET a = JSON_REMOVE(a, '$.list[0]'), b = JSON_SET(b, '$[1]', 7) WHERE id = 1;
                   UPDATE j SET a = JSON_SET(a, '$."new key"', JSON_OBJECT('z', 1.5)) WHERE id = 1;
                   UPDATE j SET a = JSON_REPLACE(a, '$.list[0].x', NULL) WHERE id = 1;
                   UPDATE j SET b = '{"k": [0]}', n = NULL"#,
            );
            let expected: Vec<String> = following.all(&rig).await.lines;
            let long = "0123456789012345678901234567890123456789";
            let told = [
                format!(r#"j + 1|{{"a": 1, "list": [1, {{"x": true}}, 3], "long": "{long}"}}|1|[1, 2]"#),
                "j + 2|-|2|{}".to_owned(),
                format!(
                    r#"j ~ 1|{{"a": "changed", "list": [1, {{"x": true}}, 3], "long": "{long}"}}|2|[1, 2]"#
                ),
                format!(r#"j ~ 1|{{"a": "changed", "list": [{{"x": true}}, 3], "long": "{long}"}}|2|[1, 7]"#),
                format!(
                    r#"j ~ 1|{{"a": "changed", "list": [{{"x": true}}, 3], "long": "{long}", "new key": {{"z": 1.5}}}}|2|[1, 7]"#
                ),
                format!(
                    r#"j ~ 1|{{"a": "changed", "list": [{{"x": null}}, 3], "long": "{long}", "new key": {{"z": 1.5}}}}|2|[1, 7]"#
                ),
                format!(
                    r#"j ~ 1|{{"a": "changed", "list": [{{"x": null}}, 3], "long": "{long}", "new key": {{"z": 1.5}}}}|-|{{"k": [0]}}"#
                ),
                r#"j ~ 2|-|-|{"k": [0]}"#.to_owned(),
            ];
            assert_eq!(expected, told, "compressed: {compressed}");
        }
    }
}
