//! `LOAD DATA LOCAL` alters and skips rows without an error. None of that may come through.

use syncline_connect::WriteMode;
use syncline_types::{ErrorKind, LogicalType, SplitId, codes};

use crate::rig::{Row, Run, batch, done, rigs, row, schema, target};

/// What becomes of the table after the run was planned, the values that no longer fit, and whether
/// the row is told.
struct Case {
    name: &'static str,
    logical: LogicalType,
    good: &'static str,
    bad: &'static str,
    planned: &'static str,
    altered: &'static str,
    told: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "a number out of range",
        logical: LogicalType::Int32,
        good: "5",
        bad: "300",
        planned: "int",
        altered: "MODIFY v tinyint",
        told: true,
    },
    Case {
        name: "a text too long",
        logical: LogicalType::Text { length: Some(20), padded: false },
        good: "abc",
        bad: "SECRETS",
        planned: "varchar(20)",
        altered: "MODIFY v varchar(3)",
        told: true,
    },
    Case {
        name: "a text that is no number",
        logical: LogicalType::Text { length: Some(20), padded: false },
        good: "12",
        bad: "zz",
        planned: "varchar(20)",
        altered: "MODIFY v int",
        told: true,
    },
    Case {
        name: "a decimal that would be rounded",
        logical: LogicalType::Decimal { precision: 10, scale: 3 },
        good: "1.500",
        bad: "1.005",
        planned: "decimal(10,3)",
        altered: "MODIFY v decimal(10,1)",
        told: true,
    },
    Case {
        name: "a key that is there",
        logical: LogicalType::Int32,
        good: "5",
        bad: "7",
        planned: "int",
        altered: "ADD UNIQUE (v)",
        told: false,
    },
    Case {
        name: "a character that the column's set lacks",
        logical: LogicalType::Text { length: Some(20), padded: false },
        good: "caf\u{e9}",
        bad: "\u{65e5}",
        planned: "varchar(20)",
        altered: "MODIFY v varchar(20) CHARACTER SET latin1",
        told: false,
    },
    Case {
        name: "a check that is not met",
        logical: LogicalType::Int32,
        good: "5",
        bad: "777777",
        planned: "int",
        altered: "ADD CHECK (v < 777777)",
        told: false,
    },
];

#[tokio::test]
async fn what_would_be_altered_or_skipped_is_refused_and_nothing_of_it_stays() {
    for rig in rigs() {
        for case in CASES {
            let schema = schema(&[("id", LogicalType::Int64, false), ("v", case.logical, true)], &["id"]);
            rig.run(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint PRIMARY KEY, v {})",
                case.planned
            ));
            if case.altered.contains("UNIQUE") {
                rig.run("INSERT INTO t VALUES (99, 7)");
            }
            let mut appended = target("t", schema.clone(), WriteMode::Append);
            appended.staged = false;
            let run = Run::begin(&rig, "r1", appended).await;
            rig.run(&format!("ALTER TABLE t {}", case.altered));
            let before = rig.query("SELECT * FROM t");
            let mut writer = run.writer().await;
            let first = batch(&schema, &[row(&["1", case.good])]);
            let second =
                batch(&schema, &[row(&["2", case.good]), row(&["3", case.bad]), row(&["4", case.good])]);
            for rows in [&first, &second] {
                // Rows before the batch at hand are counted by the server, too.
                writer.write(&run.target, SplitId(0), rows).await.unwrap();
            }
            let error = writer.flush().await.expect_err(case.name);
            assert_eq!(error.kind(), ErrorKind::Value, "{}: {error}", case.name);
            if case.told {
                assert_eq!(error.row(), Some(1), "{}: {error}", case.name);
            }
            assert!(!error.to_string().contains(case.bad), "{}: {error}", case.name);
            writer.abort().await.unwrap();
            // The others can still come, and only they are there at the end.
            let good = if case.altered.contains("UNIQUE") { "NULL" } else { case.good };
            let rest = [row(&["1", good]), row(&["2", good])];
            writer.write(&run.target, SplitId(0), &batch(&schema, &rest)).await.unwrap();
            writer.commit(&[done(0, 2)]).await.unwrap();
            let ids = rig.query("SELECT id FROM t ORDER BY id");
            let expected = if before.is_empty() { vec!["1", "2"] } else { vec!["1", "2", "99"] };
            assert_eq!(ids, expected, "{}", case.name);
            drop(writer);
            run.end().await;
        }
    }
}

#[tokio::test]
async fn more_warnings_than_the_server_keeps_are_still_refused() {
    for rig in rigs() {
        let schema = schema(&[("v", LogicalType::Int32, true)], &[]);
        rig.run("CREATE TABLE t (v int)");
        let mut appended = target("t", schema.clone(), WriteMode::Append);
        appended.staged = false;
        let run = Run::begin(&rig, "r1", appended).await;
        rig.run("ALTER TABLE t MODIFY v tinyint");
        let mut writer = run.writer().await;
        let bad: Vec<Row> = (0..500).map(|number| row(&[&(1_000 + number).to_string()])).collect();
        writer.write(&run.target, SplitId(0), &batch(&schema, &bad)).await.unwrap();
        let error = writer.commit(&[done(0, 500)]).await.unwrap_err();
        assert_eq!((error.code(), error.row()), (&codes::VALUE_REFUSED, Some(0)), "{error}");
        drop(writer);
        assert_eq!(rig.one("SELECT COUNT(*) FROM t"), "0");
    }
}

#[tokio::test]
async fn rows_are_counted_past_those_left_out() {
    for rig in rigs() {
        let schema = schema(&[("v", LogicalType::Float64, true)], &[]);
        rig.run("CREATE TABLE t (v double)");
        let mut appended = target("t", schema.clone(), WriteMode::Append);
        appended.staged = false;
        let run = Run::begin(&rig, "r1", appended).await;
        rig.run("ALTER TABLE t MODIFY v float");
        let mut writer = run.writer().await;
        let rows: Vec<Row> = ["1", "NaN", "inf", "2", "1e300", "3"].iter().map(|text| row(&[text])).collect();
        let refused = run.write(writer.as_mut(), &rows).await;
        assert_eq!(refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2]);
        let error = writer.flush().await.unwrap_err();
        assert_eq!((error.code(), error.row()), (&codes::VALUE_REFUSED, Some(4)), "{error}");
    }
}
