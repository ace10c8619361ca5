//! Overwrite, append and merge, and what is asked before rows are replaced.

use crate::{
    desk::{number, sum},
    tables::{Pair, more_orders, orders, same_rows},
};

#[test]
fn a_missing_table_is_made_with_its_key_not_null_and_constant_defaults() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(1_000));
    let summary = pair.run(&["--stream", "orders"]).done();
    let stream = &summary["streams"][0];
    assert_eq!((number(&stream["rows"]), number(&stream["rejected"])), (1_000, 0), "{summary}");
    assert_eq!(
        (&stream["stream"], &stream["target"]),
        (&"public.orders".into(), &"orders".into()),
        "{summary}"
    );
    assert!(number(&stream["bytes"]) > 50_000 && summary["seconds"].as_f64() > Some(0.0), "{summary}");
    pair.same("orders");
    let definition = pair.to.sql(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
         WHERE a.attrelid = 'orders'::regclass AND a.attnum > 0 ORDER BY a.attnum;
         SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass",
    );
    assert_eq!(
        definition,
        "id|bigint|t|\ncustomer|text|t|\namount|numeric(12,2)|f|\nnote|text|f|\nplaced|timestamp with time zone|t|\n\
         tags|text[]|f|\nattributes|jsonb|f|\npaid|boolean|f|false\norders_pkey|PRIMARY KEY (id)"
    );
}

#[test]
fn a_table_made_by_syncline_is_replaced_again_and_again_without_asking() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(300));
    let oid = || pair.to.sql("SELECT 'orders'::regclass::oid");
    pair.run(&["--stream", "orders"]).done();
    for change in ["DELETE FROM orders WHERE id % 3 = 0", "UPDATE orders SET note = 'changed'"] {
        let before = oid();
        pair.from.sql(change);
        pair.run(&["--stream", "orders"]).done();
        pair.same("orders");
        assert_ne!(oid(), before, "another table takes its place");
        assert_eq!(pair.to.sql("SELECT count(*) FROM _syncline_made"), "1");
    }
    // A new shape is taken over with it.
    pair.from
        .sql("ALTER TABLE orders DROP COLUMN tags, ADD COLUMN rank smallint DEFAULT 7, ALTER paid TYPE text");
    pair.run(&["--stream", "orders"]).done();
    pair.same("orders");
}

#[test]
fn rows_of_others_are_replaced_only_when_it_is_said() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(50));
    let theirs = "CREATE TABLE orders (LIKE orders_shape); INSERT INTO orders (id, customer, placed) VALUES (-1, 'theirs', now())";
    pair.to.sql(&orders(0).replacen("orders", "orders_shape", 1).replace("INTO orders", "INTO orders_shape"));
    pair.to.sql(theirs);
    let refused = pair.run(&["--stream", "orders"]).failed(2, "SYN-1010");
    refused.names(&["`orders`", "not made by Syncline"]).hints("--write overwrite");
    assert_eq!(pair.to.sql("SELECT count(*), min(customer) FROM orders"), "1|theirs");
    pair.run(&["--stream", "orders", "--write", "overwrite"]).done();
    pair.same("orders");
}

#[test]
fn an_empty_table_of_others_is_filled_without_asking() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(50));
    pair.to.sql(&orders(0));
    pair.run(&["--stream", "orders"]).done();
    pair.same("orders");
}

#[test]
fn append_adds_rows_to_those_that_are_there() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(700));
    pair.to.sql(&orders(0));
    pair.to.sql("ALTER TABLE orders DROP CONSTRAINT orders_pkey");
    for round in 1..=2 {
        let summary = pair.run(&["--stream", "orders", "--write", "append", "--chunk-rows", "100"]).done();
        assert_eq!(sum(&summary, "rows"), 700);
        let copies = vec!["SELECT * FROM orders"; round].join(" UNION ALL ");
        pair.same_as(&copies, "SELECT * FROM orders");
    }
    // What is appended to a table that is not there makes it.
    pair.to.sql("DROP TABLE orders");
    pair.run(&["--stream", "orders", "--write", "append"]).done();
    pair.same("orders");
    assert_eq!(
        pair.to.sql("SELECT conname FROM pg_constraint WHERE conrelid = 'orders'::regclass"),
        "orders_pkey"
    );
}

#[test]
fn append_that_meets_a_key_again_fails_and_leaves_whole_chunks_only() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(100));
    pair.to.sql(&orders(0));
    pair.to.sql("INSERT INTO orders (id, customer, placed) VALUES (75, 'theirs', now())");
    let options = ["--stream", "orders", "--write", "append", "--chunk-rows", "50", "--parallel", "1"];
    pair.run(&options).failed(1, "SYN-4004").names(&["orders_pkey"]);
    assert_eq!(pair.to.sql("SELECT count(*) FROM orders"), "51", "the first chunk and theirs");
    pair.to.sql("DELETE FROM orders WHERE customer = 'theirs'");
    let summary = pair.run(&options).done();
    assert_eq!((sum(&summary, "rows"), sum(&summary, "rows_resumed")), (50, 50));
    pair.same("orders");
}

#[test]
fn merge_updates_inserts_and_leaves_the_rest() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(500));
    pair.run(&["--stream", "orders", "--write", "merge"]).done();
    pair.same("orders");
    pair.to.sql(
        "CREATE TABLE touched (id bigint); CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO public.touched VALUES (NEW.id); RETURN NEW; END $$;
         CREATE TRIGGER touch AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch()",
    );
    pair.from
        .sql("DELETE FROM orders WHERE id <= 10; UPDATE orders SET tags = '{}' WHERE id BETWEEN 100 AND 104");
    pair.from.sql(&more_orders(501, 520));
    pair.to
        .sql("INSERT INTO orders (id, customer, placed) VALUES (9999, 'only here', now()); TRUNCATE touched");
    pair.run(&["--stream", "orders", "--write", "merge", "--chunk-rows", "100"]).done();
    pair.same_as("SELECT * FROM orders", "SELECT * FROM orders WHERE id > 10 AND id < 9999");
    assert_eq!(pair.to.sql("SELECT count(*) FROM orders WHERE id <= 10 OR id = 9999"), "11");
    let changed = pair.to.sql("SELECT string_agg(DISTINCT id::text, ' ') FROM touched WHERE id < 501");
    assert_eq!(changed, "100 101 102 103 104", "rows that are equal are not written");
}

#[test]
fn merge_takes_the_key_it_is_given_and_needs_one_that_is_unique() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(
        "CREATE TABLE t (code text, n int); INSERT INTO t SELECT 'c' || g, g FROM generate_series(1, 30) g",
    );
    let no_key = pair.run(&["--stream", "t", "--write", "merge"]).failed(1, "SYN-3004");
    no_key.hints("--key");
    pair.to.sql("CREATE TABLE t (code text, n int)");
    let no_index = pair.run(&["--stream", "t", "--write", "merge", "--key", "code"]).failed(1, "SYN-3004");
    no_index.hints("unique index");
    pair.to.sql(
        "ALTER TABLE t ADD UNIQUE (code), ALTER code SET NOT NULL; INSERT INTO t VALUES ('c3', -1), ('x', 0)",
    );
    pair.run(&["--stream", "t", "--write", "merge", "--key", "code"]).done();
    pair.same_as("SELECT * FROM t UNION ALL SELECT 'x', 0", "SELECT * FROM t");
    // Two rows of one key cannot both stay: nothing is changed.
    pair.from.sql("INSERT INTO t VALUES ('c1', 99)");
    pair.to.sql("DELETE FROM t");
    pair.run(&["--stream", "t", "--write", "merge", "--key", "code"]).failed(1, "SYN-4004").hints("--key");
    assert_eq!(pair.to.sql("SELECT count(*) FROM t"), "0");
}

#[test]
fn an_empty_source_empties_nothing_unless_it_is_said() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(20));
    pair.run(&["--stream", "orders"]).done();
    pair.from.sql("DELETE FROM orders");
    let refused = pair.run(&["--stream", "orders"]).failed(1, "SYN-3008");
    refused.names(&["`public.orders`"]).hints("--allow-empty");
    assert_eq!(pair.to.sql("SELECT count(*) FROM orders"), "20");
    pair.run(&["--stream", "orders", "--allow-empty"]).done();
    pair.same("orders");
    // Over an empty target nothing is lost, and nothing is asked.
    pair.run(&["--stream", "orders"]).done();
    pair.same("orders");
    // A condition that no row meets is an empty source, too.
    pair.from.sql(&more_orders(1, 20));
    pair.run(&["--stream", "orders"]).done();
    pair.run(&["--stream", "orders", "--where", "id > 20"]).failed(1, "SYN-3008");
    pair.run(&["--stream", "orders", "--where", "id > 20", "--restart", "--allow-empty"]).done();
    assert_eq!(pair.to.sql("SELECT count(*) FROM orders"), "0");
}

#[test]
fn an_empty_source_adds_nothing_to_append_and_merge() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(0));
    pair.to.sql(&orders(5));
    for write in ["append", "merge"] {
        let summary = pair.run(&["--stream", "orders", "--write", write]).done();
        assert_eq!((sum(&summary, "rows"), pair.to.sql("SELECT count(*) FROM orders").as_str()), (0, "5"));
    }
}

#[test]
fn only_rows_and_columns_that_are_asked_for_arrive() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(400));
    let wheres = [
        "id > 100 AND id <= 300",
        "paid",
        "note IS NULL OR amount > 250.5",
        "customer LIKE 'customer 1%' AND placed >= '2024-01-01 01:00:00+00'",
        "upper(customer) IN ('CUSTOMER 5', 'CUSTOMER 6')",
    ];
    for (number, filter) in wheres.iter().enumerate() {
        let stream = format!("orders=w{number}");
        let summary = pair.run(&["--stream", &stream, "--where", filter, "--chunk-rows", "64"]).done();
        let rows = pair.from.sql(&format!("SELECT count(*) FROM orders WHERE {filter}"));
        assert_eq!(sum(&summary, "rows").to_string(), rows, "{filter}");
        pair.same_as(&format!("SELECT * FROM orders WHERE {filter}"), &format!("SELECT * FROM w{number}"));
    }
    pair.run(&["--stream", "orders=few", "--columns", "customer,id", "--where", "id % 2 = 1"]).done();
    same_rows(
        (&pair.from, "SELECT id, customer FROM orders WHERE id % 2 = 1"),
        (&pair.to, "SELECT id, customer FROM few"),
    );
    let columns =
        pair.to.sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'few'::regclass AND attnum > 0");
    assert_eq!(columns, "2");
    // Without its key a table is copied all the same; it has none at the target.
    pair.run(&["--stream", "orders=keyless", "--columns", "customer,note"]).done();
    pair.same_as("SELECT customer, note FROM orders", "SELECT * FROM keyless");
}

#[test]
fn the_key_that_is_given_is_the_targets() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(
        "CREATE TABLE t (a int, b text, c int PRIMARY KEY); INSERT INTO t SELECT g / 2, g::text, g FROM generate_series(1, 90) g",
    );
    pair.run(&["--stream", "t", "--key", "b,a", "--chunk-rows", "10"]).done();
    pair.same("t");
    assert_eq!(
        pair.to.sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass"),
        "PRIMARY KEY (b, a)"
    );
    let refused = pair.run(&["--stream", "t=u", "--key", "a"]).failed(1, "SYN-4004");
    refused.names(&["(a)"]).hints("--key");
    assert_eq!(pair.to.sql("SELECT to_regclass('u') IS NULL"), "t", "nothing is published");
}

#[test]
fn columns_that_the_target_lacks_are_added_and_its_own_are_kept() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t SELECT g, 'a' || g, g FROM generate_series(1, 20) g");
    pair.to.sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, extra text DEFAULT 'kept', a text); INSERT INTO t VALUES (5, 'mine', 'old'), (77, 'mine', 'old')",
    );
    pair.run(&["--stream", "t", "--write", "merge"]).done();
    pair.same_as("SELECT id::bigint, a, b FROM t UNION ALL SELECT 77, 'old', NULL", "SELECT id, a, b FROM t");
    assert_eq!(pair.to.sql("SELECT extra, count(*) FROM t GROUP BY extra ORDER BY extra"), "kept|19\nmine|2");
    // An overwrite of somebody else's table does not change its shape.
    pair.to.sql("ALTER TABLE t DROP COLUMN b");
    let refused = pair.run(&["--stream", "t", "--write", "overwrite"]).failed(1, "SYN-3002");
    refused.names(&["`t.b`"]).hints("drop: [b]");
    pair.to.sql("ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 0; ALTER TABLE t ALTER c DROP DEFAULT");
    let refused = pair.run(&["--stream", "t", "--columns", "id,a", "--write", "merge"]).failed(1, "SYN-3002");
    refused.names(&["`t.c`"]).hints("default");
}

#[test]
fn types_that_are_wider_are_fine_and_narrower_ones_are_refused() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(
        "CREATE TABLE t (id int PRIMARY KEY, i int, n numeric(10,2), v varchar(10), d double precision, ts timestamp, j json);
         INSERT INTO t SELECT g, g, g / 3.0, 'v' || g, g / 7.0, '2024-02-29 12:00:00.123456', '{\"a\": 1}' FROM generate_series(1, 50) g",
    );
    pair.to.sql("CREATE TABLE t (id bigint PRIMARY KEY, i numeric, n numeric(14,4), v text, d double precision, ts timestamp, j jsonb)");
    pair.run(&["--stream", "t", "--write", "append"]).done();
    pair.same_as(
        "SELECT id::bigint, i::numeric, n::numeric(14,4), v::text, d, ts, j::jsonb FROM t",
        "SELECT * FROM t",
    );
    for (column, narrow) in [
        ("id", "smallint"),
        ("n", "numeric(10,1)"),
        ("v", "varchar(9)"),
        ("d", "real"),
        ("ts", "date"),
        ("j", "int"),
    ] {
        pair.to.sql(&format!("DROP TABLE t; CREATE TABLE t (id bigint, {column}_x int); ALTER TABLE t DROP COLUMN {column}_x, DROP COLUMN IF EXISTS {column}, ADD COLUMN {column} {narrow}"));
        let refused = pair.run(&[
            "--stream",
            "t",
            "--columns",
            &format!("id,{column}").replace("id,id", "id"),
            "--write",
            "append",
        ]);
        refused
            .failed(1, "SYN-3003")
            .names(&[&format!("`t.{column}`")])
            .hints(&format!("cast: {{ {column}:"));
    }
}
