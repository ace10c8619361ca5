//! How tables are cut: by their key whatever its type, by pages where they have none, and rightly.

use crate::{
    desk::{number, sum},
    tables::Pair,
};

/// `CREATE TABLE` and rows of a table `t`; the rows; how many chunks of 50 that makes.
const KEYED: &[(&str, &str, u64)] = &[
    (
        "a number",
        "CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t SELECT g, g::text FROM generate_series(1, 501) g",
        11,
    ),
    (
        "a whole number of chunks",
        "CREATE TABLE t (k int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 500)",
        11,
    ),
    (
        "less than one chunk",
        "CREATE TABLE t (k int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 49)",
        1,
    ),
    ("no row", "CREATE TABLE t (k int PRIMARY KEY)", 1),
    (
        "numbers of both signs",
        "CREATE TABLE t (k bigint PRIMARY KEY); INSERT INTO t SELECT (g - 150) * 40000000000000000 FROM generate_series(1, 300) g",
        7,
    ),
    (
        "a skewed number",
        "CREATE TABLE t (k bigint PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 240) UNION ALL SELECT 9223372036854775807 UNION ALL SELECT -9223372036854775808",
        5,
    ),
    (
        "a text",
        "CREATE TABLE t (k text PRIMARY KEY, v int); INSERT INTO t SELECT md5(g::text) || E'\\'\\\\ \"ä\\n', g FROM generate_series(1, 260) g",
        6,
    ),
    (
        "an empty text among others",
        "CREATE TABLE t (k text PRIMARY KEY); INSERT INTO t SELECT repeat('x', g) FROM generate_series(0, 119) g",
        3,
    ),
    (
        "a text of a collation",
        "CREATE TABLE t (k text COLLATE \"C\" PRIMARY KEY); INSERT INTO t SELECT chr(g) || 'x' FROM generate_series(33, 232) g",
        5,
    ),
    (
        "a varchar",
        "CREATE TABLE t (k varchar(12) PRIMARY KEY); INSERT INTO t SELECT 'k' || g FROM generate_series(1, 120) g",
        3,
    ),
    (
        "a padded text",
        "CREATE TABLE t (k char(9) PRIMARY KEY); INSERT INTO t SELECT 'k' || g FROM generate_series(1, 120) g",
        3,
    ),
    (
        "a UUID",
        "CREATE TABLE t (k uuid PRIMARY KEY); INSERT INTO t SELECT md5(g::text)::uuid FROM generate_series(1, 260) g",
        6,
    ),
    (
        "a numeric",
        "CREATE TABLE t (k numeric PRIMARY KEY); INSERT INTO t SELECT g / 7.0 FROM generate_series(-100, 99) g UNION ALL SELECT 'NaN' UNION ALL SELECT 'Infinity'",
        5,
    ),
    (
        "a decimal",
        "CREATE TABLE t (k numeric(12,3) PRIMARY KEY); INSERT INTO t SELECT g / 7.0 FROM generate_series(1, 120) g",
        3,
    ),
    (
        "a float",
        "CREATE TABLE t (k float8 PRIMARY KEY); INSERT INTO t SELECT g / 7.0 FROM generate_series(-100, 99) g UNION ALL SELECT 'NaN' UNION ALL SELECT '-Infinity'",
        5,
    ),
    (
        "a moment",
        "CREATE TABLE t (k timestamptz PRIMARY KEY); INSERT INTO t SELECT '2024-03-31 00:59:59.999999+00'::timestamptz + g * '7 s'::interval FROM generate_series(1, 199) g UNION ALL SELECT 'infinity'",
        5,
    ),
    (
        "a date",
        "CREATE TABLE t (k date PRIMARY KEY); INSERT INTO t SELECT '0001-01-01'::date + g * 9999 FROM generate_series(-50, 148) g UNION ALL SELECT '-infinity'",
        5,
    ),
    (
        "bytes",
        "CREATE TABLE t (k bytea PRIMARY KEY); INSERT INTO t SELECT decode(md5(g::text), 'hex') FROM generate_series(1, 120) g",
        3,
    ),
    (
        "an enumeration",
        "CREATE TYPE e AS ENUM ('z', 'y', 'x'); CREATE TABLE t (k e, n int, PRIMARY KEY (k, n)); INSERT INTO t SELECT (ARRAY['x','y','z'])[1 + g % 3]::e, g FROM generate_series(1, 120) g",
        3,
    ),
    (
        "a domain",
        "CREATE DOMAIN d AS int CHECK (VALUE > 0); CREATE TABLE t (k d PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 120)",
        3,
    ),
    (
        "an address",
        "CREATE TABLE t (k inet PRIMARY KEY); INSERT INTO t SELECT '10.0.0.0'::inet + g FROM generate_series(1, 120) g",
        3,
    ),
    (
        "an array",
        "CREATE TABLE t (k int[] PRIMARY KEY); INSERT INTO t SELECT ARRAY[g, NULL, -g] FROM generate_series(1, 120) g",
        3,
    ),
    (
        "a truth",
        "CREATE TABLE t (k boolean, n int, PRIMARY KEY (k, n)); INSERT INTO t SELECT g % 2 = 0, g FROM generate_series(1, 120) g",
        3,
    ),
    (
        "two columns",
        "CREATE TABLE t (a int, b text, v text, PRIMARY KEY (b, a)); INSERT INTO t SELECT g, 'group ' || g % 3, 'v' FROM generate_series(1, 310) g",
        7,
    ),
    (
        "three columns, one of them dull",
        "CREATE TABLE t (a int, b int, c uuid, PRIMARY KEY (a, b, c)); INSERT INTO t SELECT 1, g / 10, md5(g::text)::uuid FROM generate_series(1, 310) g",
        7,
    ),
    (
        "a unique key that is no primary one",
        "CREATE TABLE t (a int NOT NULL UNIQUE, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 310) g",
        7,
    ),
    (
        "a partitioned table",
        "CREATE TABLE t (k int, p int, PRIMARY KEY (k, p)) PARTITION BY LIST (p); CREATE TABLE t0 PARTITION OF t FOR VALUES IN (0); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1) PARTITION BY RANGE (k); CREATE TABLE t10 PARTITION OF t1 FOR VALUES FROM (0) TO (100); CREATE TABLE t11 PARTITION OF t1 DEFAULT; INSERT INTO t SELECT g, g % 2 FROM generate_series(1, 310) g",
        7,
    ),
];

#[test]
fn keys_of_every_type_cut_a_table_into_chunks_that_hold_each_row_once() {
    for (what, sql, chunks) in KEYED {
        let Some(pair) = Pair::new() else { return };
        pair.from.sql(sql);
        if sql.contains("TYPE e") {
            pair.to.sql("CREATE TYPE e AS ENUM ('z', 'y', 'x')");
        }
        let domain = sql.contains("DOMAIN d");
        if domain {
            pair.to.sql("CREATE DOMAIN d AS int CHECK (VALUE > 0)");
        }
        let rows: u64 = pair.from.sql("SELECT count(*) FROM t").parse().expect("a count");
        let summary = pair.run(&["--stream", "t", "--chunk-rows", "50"]).done();
        assert_eq!(sum(&summary, "rows"), rows, "{what}: {summary}");
        pair.same("t");
        let status = pair.desk.status();
        assert_eq!(
            (sum(&status, "chunks_done"), sum(&status, "chunks_known")),
            (*chunks, *chunks),
            "{what}: {status}"
        );
        assert_eq!(status["state"], "finished", "{status}");
        // The same again by other ways of writing.
        pair.run(&["--stream", "t=u", "--chunk-rows", "50", "--write", "append", "--parallel", "1"]).done();
        pair.same_as("TABLE t", "TABLE u");
        if *what != "a unique key that is no primary one" {
            pair.run(&["--stream", "t=u", "--chunk-rows", "7", "--write", "merge", "--parallel", "8"]).done();
            pair.same_as("TABLE t", "TABLE u");
        }
        let from = pair.from.name().to_owned();
        syncline_testkit::servers::postgres::shared().drop_database(&from);
    }
}

/// `CREATE TABLE` and rows of a table `t` that has no key.
const KEYLESS: &[(&str, &str)] = &[
    (
        "a heap with equal rows",
        "CREATE TABLE t (a int, b text); INSERT INTO t SELECT g % 7, repeat('x', 500) FROM generate_series(1, 3000) g",
    ),
    (
        "a heap with holes",
        "CREATE TABLE t (a int, b text) WITH (autovacuum_enabled = off); INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, 3000) g; DELETE FROM t WHERE a % 10 <> 3; UPDATE t SET a = -a WHERE a % 20 = 3",
    ),
    (
        "a unique key that may be NULL",
        "CREATE TABLE t (a int UNIQUE, b text); INSERT INTO t SELECT nullif(g, g / 2 * 2), repeat('x', 300) FROM generate_series(1, 2000) g",
    ),
    (
        "a deferrable key",
        "CREATE TABLE t (a int PRIMARY KEY DEFERRABLE, b text); INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, 2000) g",
    ),
    (
        "a partitioned table",
        "CREATE TABLE t (a int, b text) PARTITION BY RANGE (a); CREATE TABLE t0 PARTITION OF t FOR VALUES FROM (0) TO (1000); CREATE TABLE t1 PARTITION OF t DEFAULT PARTITION BY HASH (b); CREATE TABLE t10 PARTITION OF t1 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE t11 PARTITION OF t1 FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO t SELECT g, 'b' || g || repeat('x', 300) FROM generate_series(1, 3000) g",
    ),
    ("a partitioned table without partitions", "CREATE TABLE t (a int, b text) PARTITION BY RANGE (a)"),
    ("an empty heap", "CREATE TABLE t (a int, b text)"),
    (
        "an unlogged heap",
        "CREATE UNLOGGED TABLE t (a int, b text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 500) g",
    ),
    (
        "a materialized view",
        "CREATE MATERIALIZED VIEW t AS SELECT g AS a, repeat('x', 300) AS b FROM generate_series(1, 2000) g",
    ),
];

#[test]
fn tables_without_a_key_are_cut_by_pages_and_hold_each_row_once() {
    for (what, sql) in KEYLESS {
        for analyzed in [false, true] {
            let Some(pair) = Pair::new() else { return };
            pair.from.sql(sql);
            if analyzed {
                pair.from.sql("ANALYZE t");
            }
            let rows: u64 = pair.from.sql("SELECT count(*) FROM t").parse().expect("a count");
            let summary = pair.run(&["--stream", "t", "--chunk-rows", "100"]).done();
            assert_eq!(sum(&summary, "rows"), rows, "{what}: {summary}");
            pair.same("t");
            if rows > 1_000 {
                let chunks = number(&pair.desk.status()["streams"][0]["chunks_done"]);
                assert!(chunks > 5, "{what}: {chunks} chunks");
            }
            // Rows that are equal are added as often as they are there.
            pair.run(&["--stream", "t", "--chunk-rows", "500", "--write", "append"]).done();
            pair.same_as("SELECT * FROM t UNION ALL SELECT * FROM t", "TABLE t");
            if *what != "a deferrable key" {
                let digest = pair
                    .desk
                    .run(&pair.command("verify", &["--stream", "t"]))
                    .expect_code(if rows == 0 { 0 } else { 3 });
                assert_eq!(number(&digest.last()["streams"][0]["extra"]), rows, "{what}");
            }
        }
    }
}

#[test]
fn connections_beyond_the_chunks_do_no_harm() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5000)");
    for parallel in ["1", "2", "7", "16"] {
        pair.run(&["--stream", "t", "--parallel", parallel, "--chunk-rows", "333"]).done();
        pair.same("t");
    }
    let used = pair.run(&["--stream", "t", "--parallel", "0"]).failed(2, "SYN-1004");
    used.names(&["--parallel", "1"]);
    pair.run(&["--stream", "t", "--parallel", "65"]).failed(2, "SYN-1004").names(&["64"]);
}
