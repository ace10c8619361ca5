//! What a plan says, and what it stops.

use std::sync::Arc;

use syncline_connect::{Connector, Delivery, Severity, WriteMode};
use syncline_mysql::Mysql;
use syncline_testkit::servers::mysql::{Mysql as Server, Options};
use syncline_types::{Column, LogicalType as L, codes};

use crate::rig::{
    Rig, Run, blockers, context, copy, messages, plan_of, products, rigs, row, rows, schema, target,
};

fn varchar(length: u32) -> L {
    L::Text { length: Some(length), padded: false }
}

#[tokio::test]
async fn a_key_over_a_text_needs_a_length() {
    for rig in rigs() {
        for (logical, expected) in [(L::TEXT, Some(&codes::UNMAPPED_TYPE)), (varchar(255), None)] {
            let schema = schema(&[("k", logical, false)], &["k"]);
            let plan = plan_of(&rig, target("t", schema, WriteMode::Overwrite)).await;
            assert_eq!(blockers(&plan).first().copied(), expected, "{:?}", plan.findings);
        }
        let long = schema(&[("k", varchar(800), false)], &["k"]);
        let plan = plan_of(&rig, target("t", long, WriteMode::Overwrite)).await;
        assert!(messages(&plan.findings)[0].contains("3072"), "{:?}", plan.findings);
    }
}

#[tokio::test]
async fn keys_of_other_systems_are_told_apart_exactly() {
    for rig in rigs() {
        let schema = schema(&[("k", varchar(20), false)], &["k"]);
        let all = rows(&[&["a"], &["A"], &["a "], &["\u{e1}"]]);
        copy(&rig, "r1", target("t", schema, WriteMode::Overwrite), &all).await;
        assert_eq!(rig.one("SELECT COUNT(*) FROM t"), "4");
    }
}

#[tokio::test]
async fn columns_too_long_for_a_row_give_way() {
    for rig in rigs() {
        let names: Vec<String> = (0..5).map(|at| format!("c{at}")).collect();
        let columns: Vec<(&str, L, bool)> =
            names.iter().map(|name| (name.as_str(), varchar(5_000), true)).collect();
        let plan = plan_of(&rig, target("t", schema(&columns, &[]), WriteMode::Overwrite)).await;
        assert!(blockers(&plan).is_empty());
        let given = plan.columns.iter().filter(|column| column.target_type == "longtext").count();
        assert_eq!(given, 2, "{:?}", plan.columns);
        copy(&rig, "r1", target("t", schema(&columns, &[]), WriteMode::Overwrite), &[row(&["x"; 5])]).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_a_table_that_is_there_is_stopped() {
    for rig in rigs() {
        rig.run("CREATE TABLE t (a tinyint, b varchar(5), c decimal(5,2), d text, e enum('x','y'), f year, g float(7,2), \
                 h datetime, i int NOT NULL)");
        let cases = [
            ("a", L::Int16, false),
            ("a", L::Int8, true),
            ("b", varchar(6), false),
            ("b", varchar(5), true),
            ("c", L::Decimal { precision: 6, scale: 3 }, false),
            ("d", L::TEXT, false),
            ("d", varchar(16_000), true),
            ("e", varchar(1), false),
            ("f", L::Int16, false),
            ("g", L::Float32, false),
            ("h", L::TIMESTAMP, false),
            ("h", L::Timestamp { zoned: false, precision: 0 }, true),
        ];
        for (name, logical, fits) in cases {
            let schema = schema(&[(name, logical, true), ("i", L::Int32, false)], &[]);
            let plan = plan_of(&rig, target("t", schema, WriteMode::Append)).await;
            let expected = if fits { vec![] } else { vec![&codes::TYPE_MISMATCH] };
            assert_eq!(blockers(&plan), expected, "{name} {logical}: {:?}", plan.findings);
            if name == "b" && !fits {
                assert!(
                    plan.findings[0].message.contains("cast: { b: \"varchar(5)\" }"),
                    "{:?}",
                    plan.findings
                );
            }
        }
        let without_i =
            plan_of(&rig, target("t", schema(&[("a", L::Int8, true)], &[]), WriteMode::Append)).await;
        assert_eq!(blockers(&without_i), [&codes::COLUMN_MISSING]);
        let other_case = schema(&[("A", L::Int8, true), ("i", L::Int32, false)], &[]);
        let plan = plan_of(&rig, target("t", other_case, WriteMode::Append)).await;
        assert_eq!(blockers(&plan), [&codes::NAME_TAKEN]);
    }
}

#[tokio::test]
async fn rows_of_somebody_else_are_not_overwritten_unasked() {
    for rig in rigs() {
        rig.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
        let one = || target("t", schema(&[("a", L::Int32, true)], &[]), WriteMode::Overwrite);
        assert_eq!(blockers(&plan_of(&rig, one()).await), [&codes::NEEDS_DECISION]);
        rig.run("DROP TABLE t");
        copy(&rig, "r1", one(), &rows(&[&["1"]])).await;
        assert!(blockers(&plan_of(&rig, one()).await).is_empty(), "it is ours now");
        // A table of ours that somebody has made again is theirs, and so is a copy of one.
        rig.run("CREATE TABLE u LIKE t; INSERT INTO u VALUES (2); DROP TABLE t; CREATE TABLE t (a int); INSERT INTO t VALUES (3)");
        for name in ["t", "u"] {
            let again = target(name, schema(&[("a", L::Int32, true)], &[]), WriteMode::Overwrite);
            assert_eq!(blockers(&plan_of(&rig, again).await), [&codes::NEEDS_DECISION], "{name}");
        }
        rig.run("CREATE VIEW v AS SELECT * FROM t");
        let view = target("v", schema(&[("a", L::Int32, true)], &[]), WriteMode::Append);
        assert_eq!(blockers(&plan_of(&rig, view).await), [&codes::TARGET_IN_USE]);
    }
}

#[tokio::test]
async fn a_table_that_takes_nothing_back_is_named_and_each_row_stands_alone() {
    for rig in rigs() {
        rig.run("CREATE TABLE t (id bigint PRIMARY KEY, v int) ENGINE = MyISAM; INSERT INTO t VALUES (2, 0)");
        let mut appended = target(
            "t",
            schema(&[("id", L::Int64, false), ("v", L::Int32, true)], &["id"]),
            WriteMode::Append,
        );
        appended.staged = false;
        let run = Run::begin(&rig, "r1", appended.clone()).await;
        let plan = run.plan().await;
        assert!(
            messages(&plan.findings).iter().any(|text| text.contains("MyISAM") && text.contains("InnoDB")),
            "{:?}",
            plan.findings
        );
        assert_eq!(run.sink.guarantee(&run.target), Delivery::AtLeastOnce);
        rig.run("ALTER TABLE t MODIFY v tinyint");
        let refused = run.load(0, &rows(&[&["1", "5"], &["2", "5"], &["3", "300"], &["4", "6"]])).await;
        assert_eq!(refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2], "{refused:?}");
        run.end().await;
        assert_eq!(rig.query("SELECT * FROM t ORDER BY id"), ["1\t5", "2\t0", "4\t6"]);
        // Replaced, it is exactly once all the same, and stays what it was.
        let mut whole = appended;
        (whole.staged, whole.write, whole.overwrite_said) = (true, WriteMode::Overwrite, true);
        whole.schema.columns[1].logical = L::Int8;
        let run = Run::begin(&rig, "r2", whole).await;
        assert_eq!(run.sink.guarantee(&run.target), Delivery::ExactlyOnce);
        run.load(0, &rows(&[&["7", "7"]])).await;
        assert_eq!(run.end().await, "renamed into place");
        assert_eq!(rig.query("SELECT * FROM t"), ["7\t7"]);
        let engine = "SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 't'";
        assert_eq!(rig.one(engine), "MyISAM");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_lines_is_told_and_still_loaded() {
    for product in products() {
        let server = Server::start(product, Options::new().setting("local-infile", "OFF"));
        let rig = Rig::on(&server);
        let schema = schema(&[("id", L::Int64, false), ("v", L::Int32, true)], &["id"]);
        rig.run("CREATE TABLE t (id bigint PRIMARY KEY, v int); INSERT INTO t VALUES (5, 5)");
        let mut appended = target("t", schema.clone(), WriteMode::Append);
        appended.staged = false;
        let run = Run::begin(&rig, "r1", appended).await;
        let plan = run.plan().await;
        let note = plan.findings.iter().find(|finding| finding.message.contains("local_infile"));
        assert_eq!(note.map(|note| note.severity), Some(Severity::Note));
        rig.run("ALTER TABLE t MODIFY v tinyint");
        let mut writer = run.writer().await;
        let bad = crate::rig::batch(&schema, &rows(&[&["1", "1"], &["2", "300"]]));
        let error = writer.write(&run.target, syncline_types::SplitId(0), &bad).await.unwrap_err();
        assert_eq!((error.code(), error.row()), (&codes::VALUE_REFUSED, Some(1)), "{error}");
        writer.abort().await.unwrap();
        let many: Vec<_> = (10..5_010).map(|id| row(&[&id.to_string(), "1"])).collect();
        assert!(run.write(writer.as_mut(), &many).await.is_empty());
        writer.commit(&[crate::rig::done(0, 5_000)]).await.unwrap();
        assert_eq!(rig.one("SELECT COUNT(*), SUM(v) FROM t"), "5001\t5005");
    }
}

#[tokio::test]
async fn a_url_without_a_database_is_refused() {
    for rig in rigs() {
        let mut config = rig.config();
        config.path = None;
        let error = Mysql::sink(config, context()).await.err().unwrap();
        assert_eq!(error.code(), &codes::DATABASE_MISSING, "{error}");
    }
}

#[tokio::test]
async fn a_made_table_has_keys_defaults_and_its_own_numbers() {
    for rig in rigs() {
        let mut one =
            schema(&[("id", L::Int64, false), ("a", varchar(9), true), ("b", L::Int32, false)], &["id"]);
        one.columns[0].identity = true;
        one.columns[1].default = Some(syncline_types::DefaultValue::Text("it's".into()));
        one.columns[2].default = Some(syncline_types::DefaultValue::Number("-1".into()));
        one.columns.push(Column::new("c", L::TIMESTAMPTZ));
        let all = rows(&[&["0", "NULL", "1", "NULL"], &["41", "x", "2", "2024-01-01 00:00:00+00:00"]]);
        copy(&rig, "r1", target("t", one, WriteMode::Overwrite), &all).await;
        rig.run("INSERT INTO t (c) VALUES (NULL)");
        assert_eq!(
            rig.query("SELECT id, a, b FROM t ORDER BY id"),
            ["0\tNULL\t1", "41\tx\t2", "42\tit's\t-1"]
        );
        let plan = rig
            .sink()
            .await
            .plan(&[Arc::new(target("t", schema(&[("id", L::Int64, true)], &[]), WriteMode::Append))])
            .await;
        assert_eq!(plan.unwrap()[0].existing.as_ref().map(|existing| existing.ours), Some(true));
    }
}
