//! PostgreSQL into MySQL and MariaDB: a table of the usual types, by every way to write.

use crate::{
    desk::sum,
    ends::Ends,
    tables::{more_orders, orders},
};

/// What both servers write alike, of all columns.
const SHOWN: &str =
    "SELECT id, customer, amount, note, CASE WHEN paid THEN 1 ELSE 0 END FROM orders ORDER BY id";

fn with_orders(target: &str) -> Option<Ends> {
    let ends = Ends::new(("postgres", target))?;
    ends.from.sql(&orders(500));
    Some(ends)
}

#[test]
fn a_table_is_made_and_replaced_as_it_is() {
    for target in ["mysql", "mariadb"] {
        let Some(ends) = with_orders(target) else { return };
        let plan = ends.desk.text(&ends.command("plan", &["--stream", "orders"])).expect_code(0);
        assert!(plan.stdout.contains("nothing like text[]"), "{plan}");
        let summary = ends.run(&["--stream", "orders", "--chunk-rows", "90"]).done();
        assert_eq!((sum(&summary, "rows"), sum(&summary, "rejected")), (500, 0), "{}", ends.what);
        ends.same(SHOWN);
        let types = ends.to.sql(
            "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns
             WHERE table_schema = DATABASE() AND table_name = 'orders' ORDER BY ordinal_position",
        );
        // MariaDB keeps JSON in a text, and shows a missing default as one of NULL.
        let json = if target == "mysql" { "json" } else { "longtext" };
        assert_eq!(
            types,
            format!(
                "id|bigint|NO|\ncustomer|longtext|NO|\namount|decimal|YES|\nnote|longtext|YES|\n\
                 placed|timestamp|NO|\ntags|longtext|YES|\nattributes|{json}|YES|\npaid|tinyint|YES|0"
            ),
            "{}",
            ends.what
        );
        assert_eq!(
            ends.to.sql("SELECT placed, tags, attributes FROM orders WHERE id = 7"),
            "2024-01-01 00:07:07|{a,NULL,7}|{\"g\": 7, \"x\": \"ä\\\"\"}",
            "{}",
            ends.what
        );
        ends.desk.run(&ends.command("verify", &["--stream", "orders"])).done();
        ends.from.sql("DELETE FROM orders WHERE id % 3 = 0; UPDATE orders SET note = 'changed', paid = NULL WHERE id < 10");
        ends.run(&["--stream", "orders"]).done();
        ends.same(SHOWN);
        ends.desk.run(&ends.command("verify", &["--stream", "orders"])).done();
    }
}

#[test]
fn rows_are_added_and_merged() {
    for target in ["mysql", "mariadb"] {
        let Some(ends) = with_orders(target) else { return };
        let run = |write: &str| ends.run(&["--stream", "orders", "--write", write, "--chunk-rows", "90"]);
        run("merge").done();
        ends.from.sql(&more_orders(501, 520));
        ends.from.sql("UPDATE orders SET amount = -1, tags = '{}', attributes = '[]' WHERE id % 100 = 1");
        ends.to.sql("INSERT INTO orders (id, customer, placed) VALUES (9999, 'only here', '2024-01-01')");
        run("merge").done();
        assert_eq!(ends.to.sql("SELECT customer FROM orders WHERE id = 9999"), "only here");
        ends.to.sql("DELETE FROM orders WHERE id = 9999");
        ends.same(SHOWN);
        ends.desk.run(&ends.command("verify", &["--stream", "orders"])).done();
        // The key keeps out what is there already; without it rows come again.
        run("append").failed(1, "SYN-4004").hinted();
        ends.to.sql("ALTER TABLE orders DROP PRIMARY KEY");
        ends.run(&["--stream", "orders", "--write", "append", "--restart"]).done();
        assert_eq!(
            ends.to.sql("SELECT count(*), count(DISTINCT id) FROM orders"),
            "1040|520",
            "{}",
            ends.what
        );
        ends.to.nothing_left();
    }
}
