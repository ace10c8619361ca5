//! Publishing: what is kept, what waits, and that a crash at any step leaves one of the two states.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use syncline_connect::{Marking, Replace, Target, WriteMode};
use syncline_testkit::servers::mysql::{Mysql, Options, Product};
use syncline_types::{LogicalType as L, codes};

use crate::rig::{Rig, Run, copy, products, rigs, rows, run_ref, schema, target};

/// A target whose user has said that its rows may go.
fn whole() -> Target {
    let schema = schema(&[("id", L::Int64, false), ("v", L::Int64, true)], &["id"]);
    let mut target = target("t", schema, WriteMode::Overwrite);
    target.overwrite_said = true;
    target
}

#[tokio::test]
async fn a_replaced_table_keeps_its_indexes_comments_numbers_views_and_grants() {
    for rig in rigs() {
        let name = rig.database.name();
        rig.run(&format!(
            "CREATE TABLE t (id bigint AUTO_INCREMENT PRIMARY KEY COMMENT 'the id', v bigint, w int DEFAULT 5, KEY by_v (v)) \
               COMMENT 'theirs' AUTO_INCREMENT = 500;
             INSERT INTO t (id, v) VALUES (1, 1);
             CREATE VIEW seen AS SELECT id, v FROM t;
             CREATE USER IF NOT EXISTS reader@'%'; GRANT SELECT ON {name}.t TO reader@'%'"
        ));
        let how = copy(&rig, "r1", whole(), &rows(&[&["7", "70"], &["8", "NULL"]])).await;
        assert_eq!(how, "renamed into place");
        assert_eq!(rig.query("SELECT id, v, w FROM t ORDER BY id"), ["7\t70\t5", "8\tNULL\t5"]);
        assert_eq!(rig.query("SELECT * FROM seen ORDER BY id"), ["7\t70", "8\tNULL"]);
        let shown = rig.one("SHOW CREATE TABLE t");
        for kept in ["KEY `by_v` (`v`)", "COMMENT 'the id'", "COMMENT='theirs'", "AUTO_INCREMENT=500"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        assert!(rig.one("SHOW GRANTS FOR reader@'%'").contains(&format!("`{name}`.`t`")));
        assert!(rig.leftovers().is_empty());
    }
}

#[tokio::test]
async fn what_would_be_lost_by_renaming_keeps_the_table_in_place() {
    for rig in rigs() {
        for (attach, words) in [
            (
                "CREATE TABLE child (t_id bigint, CONSTRAINT refers FOREIGN KEY (t_id) REFERENCES t (id))",
                "foreign key refers",
            ),
            ("CREATE TRIGGER counts BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v + 1", "trigger counts"),
        ] {
            rig.run("DROP TABLE IF EXISTS child, t; CREATE TABLE t (id bigint PRIMARY KEY, v bigint)");
            rig.run(attach);
            let run = Run::begin(&rig, "r1", whole()).await;
            let plan = run.plan().await;
            assert!(plan.publish[0].detail.contains(words), "{:?}", plan.publish);
            run.load(0, &rows(&[&["1", "1"]])).await;
            assert_eq!(run.end().await, "replaced in one transaction");
        }
        // Rows of others would go with ours.
        rig.run(
            "DROP TABLE IF EXISTS child, t; CREATE TABLE t (id bigint PRIMARY KEY, v bigint);
                 CREATE TABLE child (t_id bigint, FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE)",
        );
        let plan = crate::rig::plan_of(&rig, whole()).await;
        assert_eq!(crate::rig::blockers(&plan), [&codes::TARGET_IN_USE]);
    }
}

#[tokio::test]
async fn an_older_snapshot_sees_all_rows_in_place_and_an_error_after_a_rename() {
    for rig in rigs() {
        for replace in [Replace::InPlace, Replace::Auto] {
            rig.run("DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint PRIMARY KEY, v bigint); INSERT INTO t VALUES (1, 1), (2, 2);
                     CREATE TABLE IF NOT EXISTS other (a int)");
            let reader = rig.database.start_sql(
                "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT 'looking'; DO SLEEP(6); SELECT COUNT(*) FROM t;",
            );
            reader.wait_for_output(|line| line == "looking");
            let mut target = whole();
            target.replace = replace;
            copy(&rig, "r1", target, &rows(&[&["3", "3"]])).await;
            let seen = reader.wait();
            match replace {
                Replace::InPlace => assert_eq!(seen.expect_code(0).stdout, "looking\n2\n"),
                Replace::Auto => assert!(seen.stderr.contains("1412"), "{seen}"),
            }
            assert_eq!(rig.query("SELECT * FROM t"), ["3\t3"]);
        }
    }
}

#[tokio::test]
async fn a_table_in_use_is_not_waited_for_long_and_can_be_published_later() {
    for rig in rigs() {
        rig.run("CREATE TABLE t (id bigint PRIMARY KEY, v bigint); INSERT INTO t VALUES (1, 1)");
        let run = Run::begin(&rig, "r1", whole()).await;
        run.load(0, &rows(&[&["2", "2"]])).await;
        let holder =
            rig.database.start_sql("START TRANSACTION; SELECT id FROM t; SELECT 'held'; DO SLEEP(60);");
        holder.wait_for_output(|line| line == "held");
        let started = Instant::now();
        let error = run.finish().await.unwrap_err();
        assert_eq!(error.code(), &codes::LOCKED, "{error}");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!(rig.query("SELECT * FROM t"), ["1\t1"]);
        drop(holder);
        while rig.one("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(60)%'")
            != "0"
        {
            rig.run("SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(60)%'");
            let ids =
                rig.query("SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(60)%'");
            ids.iter().for_each(|id| drop(rig.database.try_sql(&format!("KILL {id}"))));
        }
        assert_eq!(run.end().await, "renamed into place");
        assert_eq!(rig.query("SELECT * FROM t"), ["2\t2"]);
    }
}

/// Stops after each step of a renaming in turn, as a crash would, and goes on from there.
#[tokio::test]
async fn a_rename_that_was_cut_off_is_finished() {
    for rig in rigs() {
        let stage = format!("_syncline_stage_{}_0", rig.run_id("r1"));
        for theirs in [true, false] {
            for step in 0..3 {
                rig.run("DROP TABLE IF EXISTS t");
                match theirs {
                    true => rig
                        .run("CREATE TABLE t (id bigint PRIMARY KEY, v bigint); INSERT INTO t VALUES (1, 1)"),
                    false => drop(copy(&rig, "r0", whole(), &rows(&[&["1", "1"]])).await),
                }
                let run = Run::begin(&rig, "r1", whole()).await;
                run.load(0, &rows(&[&["2", "2"], &["3", "3"]])).await;
                // The one statement that makes it public, and what follows it.
                if step >= 1 {
                    rig.run(&format!("RENAME TABLE t TO {stage}_old, {stage} TO t"));
                }
                if step == 2 {
                    rig.run(&format!("DROP TABLE {stage}_old"));
                }
                let Run { sink, run: reference, target } = run;
                drop(sink);
                let sink = rig.sink().await;
                let finished = sink.finish(&reference, &target, Marking::Save("m1")).await;
                if step == 2 && theirs {
                    // Never in this order: the old table goes last. Nothing says then whose this one is.
                    assert_eq!(finished.unwrap_err().code(), &codes::STREAM_MISSING);
                    sink.close("p").await.unwrap();
                    continue;
                }
                finished.unwrap();
                assert_eq!(
                    rig.query("SELECT * FROM t ORDER BY id"),
                    ["2\t2", "3\t3"],
                    "theirs {theirs}, step {step}"
                );
                let progress = sink.progress("p").await.unwrap().unwrap();
                assert_eq!(progress.published, [0]);
                assert_eq!(sink.marks("p").await.unwrap().unwrap()["source"], "m1");
                sink.finish(&reference, &target, Marking::Save("m1")).await.unwrap();
                sink.close("p").await.unwrap();
                assert!(rig.leftovers().is_empty(), "{:?}", rig.leftovers());
                let again = crate::rig::plan_of(&rig, whole()).await;
                assert_eq!(again.existing.map(|existing| existing.ours), Some(!theirs));
            }
        }
    }
}

/// The server is killed at any moment of a publication; afterwards there are the old rows or the new
/// ones, and doing it again leaves the new ones.
#[tokio::test]
async fn a_server_killed_while_publishing_loses_nothing() {
    for product in products() {
        let rounds: u64 = if product == Product::Mysql { 4 } else { 8 };
        let mut server = Mysql::start(product, Options::new());
        let rig = Rig::on(&server);
        let old: Vec<String> = (0..500).map(|id| format!("({id}, 0)")).collect();
        let new: Vec<_> = (0..500).map(|id| crate::rig::row(&[&id.to_string(), "1"])).collect();
        for round in 0..rounds {
            let write = if round % 2 == 0 { WriteMode::Overwrite } else { WriteMode::Merge };
            rig.run(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (id bigint PRIMARY KEY, v bigint); INSERT INTO t VALUES {}",
                old.join(",")
            ));
            let mut target = whole();
            target.write = write;
            let run = Run::begin(&rig, &format!("r{round}"), target).await;
            run.load(0, &new).await;
            let (finished, ()) = tokio::join!(run.finish(), async {
                tokio::time::sleep(Duration::from_millis(3 + 17 * round)).await;
                server.kill9();
            });
            server.start_again();
            let sums = rig.one("SELECT COUNT(*), SUM(v) FROM t");
            assert!(["500\t0", "500\t500"].contains(&sums.as_str()), "{write} round {round}: {sums}");
            if finished.is_ok() {
                assert_eq!(sums, "500\t500", "it was said to be done");
            }
            let sink = rig.sink().await;
            sink.finish(&run.run, &run.target, Marking::Keep).await.unwrap();
            assert_eq!(rig.one("SELECT COUNT(*), SUM(v) FROM t"), "500\t500");
            assert_eq!(sink.progress("p").await.unwrap().unwrap().published, [0]);
            sink.close("p").await.unwrap();
            assert!(rig.leftovers().is_empty(), "{:?}", rig.leftovers());
        }
    }
}

#[tokio::test]
async fn staging_that_was_half_made_is_made_again() {
    for rig in rigs() {
        let run = Run::begin(&rig, "r1", whole()).await;
        let stage = format!("_syncline_stage_{}_0", rig.run_id("r1"));
        rig.run(&format!("DROP TABLE {stage}; CREATE TABLE {stage}_new (x int)"));
        run.prepare().await;
        run.load(0, &rows(&[&["1", "1"]])).await;
        run.end().await;
        assert_eq!(rig.query("SELECT * FROM t"), ["1\t1"]);
        assert!(rig.leftovers().is_empty());
    }
}

#[tokio::test]
async fn staging_that_was_cut_off_while_it_was_made_is_cleared_away() {
    for rig in rigs() {
        let sink = rig.sink().await;
        let epoch = sink.lock("p", 0).await.unwrap();
        let run = Run { sink, run: run_ref(&rig.run_id("r1"), epoch), target: Arc::new(whole()) };
        // Its last statement fails, which leaves what a process leaves that ends there.
        let mut action = run.plan().await.before.pop().unwrap();
        action.statement = action.statement.replace("\"]}", "\", \"NO STATEMENT\"]}");
        run.sink.apply(&run.run, &run.target, &action).await.unwrap_err();
        assert_eq!(rig.leftovers().len(), 1);
        run.sink.close("p").await.unwrap();
        assert!(rig.leftovers().is_empty(), "{:?}", rig.leftovers());
    }
}

/// As after a process that ended between a renaming and its note: the next one prepares once more.
#[tokio::test]
async fn what_has_taken_its_name_is_not_prepared_again() {
    for rig in rigs() {
        for restarted in [false, true] {
            rig.run("DROP TABLE IF EXISTS t, _syncline_checkpoint, _syncline_made");
            let mut target = whole();
            target.overwrite_said = false;
            let run = Run::begin(&rig, "r1", target).await;
            run.load(0, &rows(&[&["1", "10"], &["2", "20"]])).await;
            rig.run(&format!("RENAME TABLE {} TO t", rig.leftovers()[0]));
            run.prepare().await;
            if restarted {
                run.sink.close("p").await.unwrap();
            } else {
                assert!(rig.leftovers().is_empty());
                run.finish().await.unwrap();
            }
            assert_eq!(rig.query("SELECT id, v FROM t ORDER BY id"), ["1\t10", "2\t20"]);
            // It is one of ours.
            assert!(crate::rig::blockers(&run.plan().await).is_empty());
            run.sink.close("p").await.unwrap();
        }
    }
}
