//! Values are told as a copy reads them.

use std::fmt::Write;

use crate::rig::Rig;

/// Declared types, and values of every class.
const TYPES: &[&str] = &[
    "INTEGER",
    "INT",
    "REAL",
    "FLOAT4",
    "TEXT",
    "BLOB",
    "NUMERIC",
    "DECIMAL(20,4)",
    "DECIMAL_TEXT(20,4)",
    "BOOLEAN",
    "DATE",
    "TIME",
    "DATETIME",
    "TIMESTAMPTZ",
    "JSON",
    "UUID",
    "INTERVAL",
    "BIT_TEXT(3)",
    "",
    "ANY",
];
const VALUES: &[&str] = &[
    "NULL",
    "0",
    "1",
    "-9223372036854775808",
    "9223372036854775807",
    "9007199254740993",
    "0.5",
    "1e300",
    "-0.0",
    "9e999",
    "''",
    "'a' || char(0) || 'b'",
    "'ä€𝄞'",
    "x''",
    "x'00ff'",
    "'12.5000'",
    "'2024-02-29'",
    "'23:59:59.5'",
    "'2024-02-29 23:59:59.5'",
    "'2024-02-29 23:59:59+02:00'",
    "'{\"a\": 1}'",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    "'P1DT2H'",
    "'101'",
    "CAST(x'ff' AS TEXT)",
    "zeroblob(10000)",
];

#[tokio::test]
async fn values_are_those_of_a_copy() {
    let mut sql = String::new();
    for (place, declared) in TYPES.iter().enumerate() {
        writeln!(sql, "CREATE TABLE t{place} (id INTEGER PRIMARY KEY, v {declared});").unwrap();
        writeln!(sql, "CREATE TABLE k{place} (v {declared} NOT NULL PRIMARY KEY) WITHOUT ROWID;").unwrap();
        // Columns without a type are what they hold when they are looked at.
        writeln!(sql, "INSERT INTO t{place} VALUES (-1, 'text');").unwrap();
    }
    let rig = Rig::new(&sql).await;
    let names: Vec<String> =
        (0..TYPES.len()).flat_map(|place| [format!("t{place}"), format!("k{place}")]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut following = rig.follow(&names).await;
    rig.run("BEGIN");
    for place in 0..TYPES.len() {
        for value in VALUES {
            rig.run(&format!(
                "INSERT INTO t{place} (v) VALUES ({value}); INSERT OR IGNORE INTO k{place} VALUES ({value})"
            ));
        }
        rig.run(&format!("DELETE FROM t{place} WHERE id = -1"));
    }
    rig.run("COMMIT");
    let lines = following.all(&rig).await;
    let mut rows = 0;
    for (read, model) in following.reads.clone().iter().zip(&following.models) {
        let copy = rig.copy(read).await;
        assert_eq!(model, &copy, "{}", read.stream.name);
        rows += copy.len();
    }
    assert!(rows > 200, "{rows}");
    let rejected: Vec<&String> = lines.iter().filter(|line| line.contains(" ! ")).collect();
    assert!(
        rejected.len() > 200 && rejected.iter().any(|line| line.contains("t0 ! rowid")),
        "{}",
        rejected.len()
    );
    assert!(
        rejected.iter().all(|line| !line.contains("a0eebc99") && !line.contains("12.5")),
        "values are said"
    );
    // Deleting by key finds the same rows, those apart that could not be read.
    for place in 0..TYPES.len() {
        rig.run(&format!("DELETE FROM t{place}; DELETE FROM k{place}"));
    }
    following.all(&rig).await;
    assert!(following.models.iter().all(|model| model.is_empty()), "{:?}", following.models);
}

#[tokio::test]
async fn rows_whose_key_is_null_are_rejected_as_in_a_copy() {
    let rig = Rig::new("CREATE TABLE t (k TEXT PRIMARY KEY, v INT); INSERT INTO t VALUES ('a', 1)").await;
    let mut following = rig.follow(&["t"]).await;
    rig.run("INSERT INTO t VALUES (NULL, 2); INSERT INTO t VALUES ('b', 3)");
    let lines = following.all(&rig).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("holds NULL")), "{lines:?}");
    assert!(lines.contains(&"t + b|3".to_owned()), "{lines:?}");
    // Once it has a key it is told, and nothing else happens to be gone.
    rig.run("UPDATE t SET k = 'c' WHERE k IS NULL");
    assert_eq!(following.all(&rig).await, ["t ~ c|2"]);
}

#[tokio::test]
async fn wide_rows_come_in_parts_within_the_memory() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)").await;
    let mut following = rig.follow(&["t"]).await;
    rig.run(
        "BEGIN; WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 12)
         INSERT INTO t SELECT i, zeroblob(3000000) FROM c; COMMIT",
    );
    let lines = following.all(&rig).await;
    assert_eq!(lines.len(), 12);
    assert_eq!(following.looks, 1);
}
