//! What others do to the target while a run is under way.

use std::time::Duration;

use crate::tables::{Pair, digest, orders};

/// Options under which a run of 600 rows takes about a second and a half.
const SLOWLY: &[&str] =
    &["--stream", "orders", "--chunk-rows", "100", "--parallel", "1", "--limit-rows", "400/s"];

/// Starts a slow run, does something at the target in the middle of it, and waits for its end.
fn meanwhile(pair: &Pair, options: &[&str], sql: &str) -> crate::desk::Ran {
    let options = [SLOWLY, options].concat();
    let running = pair.desk.syncline(&pair.copy(&options)).args(["--output", "json"]).start();
    std::thread::sleep(Duration::from_millis(600));
    pair.to.sql(sql);
    pair.desk.read(running.wait())
}

#[test]
fn a_table_that_somebody_makes_meanwhile_is_not_replaced_with_its_rows() {
    for columns in ["(LIKE shape INCLUDING ALL)", "(id bigint PRIMARY KEY, v text)"] {
        let Some(pair) = Pair::new() else { return };
        pair.from.sql(&orders(600));
        pair.to.sql(&orders(0).replace("orders", "shape"));
        let rest = if columns.contains("LIKE") {
            "(id, customer, placed) VALUES (1, 'theirs', now())"
        } else {
            "VALUES (1, 'theirs')"
        };
        let ran = meanwhile(&pair, &[], &format!("CREATE TABLE orders {columns}; INSERT INTO orders {rest}"));
        ran.failed(2, "SYN-1010").hints("--write overwrite");
        assert_eq!(pair.to.sql("SELECT count(*) FROM orders WHERE id = 1"), "1");
        pair.to.sql("DROP TABLE orders");
        pair.run(SLOWLY).done();
        pair.same("orders");
    }
}

#[test]
fn what_is_attached_meanwhile_is_kept() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(600));
    pair.run(&["--stream", "orders"]).done();
    pair.from.sql("UPDATE orders SET note = 'new'");
    let before = pair.to.sql("SELECT 'orders'::regclass::oid");
    meanwhile(&pair, &[], "CREATE VIEW v AS SELECT * FROM orders").done();
    pair.same("orders");
    assert_eq!(pair.to.sql("SELECT 'orders'::regclass::oid"), before);
    assert_eq!(digest(&pair.to, "TABLE v"), digest(&pair.from, "TABLE orders"));
}

#[test]
fn a_target_that_is_dropped_meanwhile_is_made_again() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(600));
    pair.run(&["--stream", "orders"]).done();
    meanwhile(&pair, &[], "DROP TABLE orders").done();
    pair.same("orders");
}

#[test]
fn staging_that_somebody_drops_is_an_error_that_says_what_to_do() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(600));
    let drop_staging = "DO $$ DECLARE t text; BEGIN FOR t IN SELECT oid::regclass::text FROM pg_class WHERE relname LIKE '\\_syncline\\_stage%' AND relkind = 'r' LOOP EXECUTE 'DROP TABLE ' || t; END LOOP; END $$";
    let failed = meanwhile(&pair, &[], drop_staging).expect_code(1);
    assert_eq!(failed.last()["event"], "error", "{}", failed.finished);
    assert_eq!(pair.to.sql("SELECT to_regclass('orders') IS NULL"), "t");
    pair.run(&[SLOWLY, &["--restart"]].concat()).done();
    pair.same("orders");
}
