//! Tables of unusual shape and sources that are no plain tables.

use crate::{
    desk::sum,
    tables::{Pair, same_rows},
};

#[test]
fn an_empty_table_is_made() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL); CREATE TABLE heap (v text)");
    let summary = pair.run(&[]).done();
    assert_eq!(sum(&summary, "rows"), 0);
    pair.same("t");
    pair.same("heap");
}

#[test]
fn two_hundred_columns_arrive() {
    let Some(pair) = Pair::new() else { return };
    let types =
        ["int", "text", "numeric(9,3)", "timestamptz", "boolean", "uuid", "float8", "jsonb", "date", "bytea"];
    let values = [
        "g",
        "'t' || g",
        "g / 7.0",
        "'2024-01-01'::timestamptz + g * '1 h'::interval",
        "g % 2 = 0",
        "md5(g::text)::uuid",
        "g / 3.0",
        "to_jsonb(g)",
        "'2024-01-01'::date + g",
        "decode(md5(g::text), 'hex')",
    ];
    let columns: Vec<String> = (0..200).map(|at| format!("c{at} {}", types[at % 10])).collect();
    let row: Vec<String> = (0..200)
        .map(|at| format!("CASE WHEN g % 3 = {} THEN NULL ELSE {} END", at % 5, values[at % 10]))
        .collect();
    pair.from.sql(&format!(
        "CREATE TABLE wide (id int PRIMARY KEY, {}); INSERT INTO wide SELECT g, {} FROM generate_series(1, 300) g",
        columns.join(", "),
        row.join(", ")
    ));
    pair.run(&["--stream", "wide", "--chunk-rows", "40"]).done();
    pair.same("wide");
    pair.desk.run(&pair.command("verify", &["--stream", "wide"])).done();
}

#[test]
fn a_table_without_columns_has_rows_too() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE nothing (); INSERT INTO nothing SELECT FROM generate_series(1, 17)");
    let summary = pair.run(&["--stream", "nothing"]).done();
    assert_eq!((sum(&summary, "rows"), pair.to.sql("SELECT count(*) FROM nothing").as_str()), (17, "17"));
}

#[test]
fn columns_that_were_dropped_are_gone() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(
        "CREATE TABLE t (x int, id int PRIMARY KEY, y text, z text); INSERT INTO t SELECT 1, g, 'y', 'z' || g FROM generate_series(1, 60) g;
         ALTER TABLE t DROP COLUMN x, DROP COLUMN y, ADD COLUMN w int DEFAULT 5",
    );
    pair.to
        .sql("CREATE TABLE t (w int, id int PRIMARY KEY, gone int, z text); ALTER TABLE t DROP COLUMN gone");
    pair.run(&["--stream", "t"]).done();
    pair.same_as("SELECT w, id, z FROM t", "TABLE t");
}

#[test]
fn a_view_is_a_source_and_no_target() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 500) g;
         CREATE VIEW doubled AS SELECT id, v, id * 2 AS twice FROM t UNION ALL SELECT -id, v, 0 FROM t",
    );
    pair.run(&["--stream", "doubled", "--chunk-rows", "100"]).done();
    pair.same("doubled");
    pair.run(&["--stream", "doubled=by_key", "--key", "id", "--write", "merge"]).done();
    pair.same_as("TABLE doubled", "TABLE by_key");
    pair.to.sql("CREATE VIEW v AS SELECT 1 AS id, 'x'::text AS v");
    let refused = pair.run(&["--stream", "t=v", "--write", "overwrite"]).failed(1, "SYN-3005");
    refused.names(&["`v`", "view"]);
}

#[test]
fn children_by_inheritance_are_tables_of_their_own() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(
        "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent);
         INSERT INTO parent SELECT g, 'p' FROM generate_series(1, 150) g; INSERT INTO child SELECT g, 'c', g FROM generate_series(1000, 1100) g",
    );
    pair.run(&["--chunk-rows", "40"]).done();
    pair.same_as("SELECT * FROM ONLY parent", "TABLE parent");
    pair.same("child");
}

#[test]
fn a_partition_is_copied_by_itself_and_a_partitioned_table_is_filled() {
    let Some(pair) = Pair::new() else { return };
    let parts = "CREATE TABLE t (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE t_old PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2024-01-01'); CREATE TABLE t_new PARTITION OF t DEFAULT;";
    pair.from.sql(&format!(
        "{parts} INSERT INTO t SELECT g, '2023-06-01'::date + g, 'v' || g FROM generate_series(1, 500) g"
    ));
    pair.run(&["--stream", "t_old"]).done();
    pair.same("t_old");
    pair.to.sql(&format!("DROP TABLE t_old; {parts}"));
    for write in ["append", "merge", "overwrite"] {
        pair.run(&["--stream", "t", "--write", write]).done();
        pair.same("t");
        same_rows((&pair.from, "TABLE t_old"), (&pair.to, "TABLE t_old"));
    }
}

#[test]
fn types_of_every_kind_arrive_unaltered() {
    let Some(pair) = Pair::new() else { return };
    let types = "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN short AS varchar(5);";
    pair.from.sql(&format!(
        "{types} CREATE TABLE t (id int PRIMARY KEY, i2 smallint, f4 real, f8 float8, n numeric, n5 numeric(50,20), neg numeric(5,-2), tiny numeric(2,5),
           c char(5), vc varchar(7), tx text, \"ch\" \"char\", nm name, b bytea, bi bit(5), vb varbit, bo bool, d date, ti time(3), tz timetz,
           ts timestamp(0), tstz timestamptz, iv interval, js json, jb jsonb, x xml, u uuid, ip inet, ci cidr, mac macaddr, m money,
           pt point, bx box, a int[], a2 text[][], r int4range, mr nummultirange, ts_v tsvector, o oid, l pg_lsn, e mood, s short, cm pair, ea mood[]);
         INSERT INTO t (id) VALUES (0);
         INSERT INTO t SELECT 1, -32768, 'NaN', '-Infinity', 'NaN', -0.00000000000000000001, 12345, 0.00012,
           'a', E'\\\\t\\t\\n', E'\\u0001\\u20ac', 'q', 'n', '\\x00ff', B'10101', B'', true, '-infinity', '23:59:59.999', '24:00:00+14',
           '0044-03-15 BC', 'infinity', '-1 year 2 mons -3 days 04:05:06.7', '{{\"b\":1, \"a\" : 1, \"a\":2}}', '{{\"b\": [1.10, null]}}', '<a>ä</a>',
           'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '-12.34', '(1.5,-0)', '(1,1),(0,0)',
           '{{1,NULL,-3}}', '{{{{\"a,b\",\"\\\"\"}},{{NULL,\"NULL\"}}}}', '[1,)', '{{[1,2),(5,]}}', '''a'':1A fat', 4294967295, '16/B374D848', 'it''s \"ok\"', 'abcde', '(1,\"x,y\")', '{{sad,NULL}}';
         INSERT INTO t (id, n, f8, d, ts, tstz, tx) VALUES (2, 'Infinity', 1e-300, '294276-12-31', 'infinity', '4713-01-01 00:00:00+00 BC', repeat('x', 100000)),
           (3, 1e100, 0.1, '4713-01-01 BC', '1999-12-31 23:59:59', '-infinity', ''), (4, 0.000, -0.0, '1582-10-10', NULL, '1969-12-31 23:59:59.999999+00', E'\\\\N');",
    ));
    pair.to.sql(types);
    pair.run(&["--stream", "t", "--chunk-rows", "2"]).done();
    pair.same("t");
    let same_types = "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0";
    same_rows((&pair.from, same_types), (&pair.to, same_types));
    pair.run(&["--stream", "t", "--write", "merge"]).done();
    pair.same("t");
    pair.desk.run(&pair.command("verify", &["--stream", "t"])).done();
    // Types that the target does not have arrive as texts, and the plan says so.
    pair.run(&["--stream", "t=bare"]).done();
    pair.to.sql("DROP TABLE bare, t; DROP TYPE mood; DROP TYPE pair; DROP DOMAIN short");
    let planned = pair.desk.text(&pair.command("plan", &["--stream", "t"])).expect_code(0).stdout;
    assert!(planned.contains("there is no type public.mood here, so it becomes text"), "{planned}");
    pair.run(&["--stream", "t"]).done();
    pair.same_as(
        "SELECT id, e::text, s::text, cm::text FROM t",
        "SELECT id, e::text, s::text, cm::text FROM t",
    );
}
