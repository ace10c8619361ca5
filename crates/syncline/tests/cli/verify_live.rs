//! `verify` of a pipeline that follows: what is on its way is no difference, and what differs is one.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;
use syncline_testkit::{process::Running, seed::Seed};

use crate::{
    desk::{Ran, number, sum},
    ends::Ends,
    lite::Lite,
    tables::{Holder, Pair, nothing_left, same_rows},
};

/// Rows that are changed all the time have ids up to here.
const MOVING: u64 = 400;

const VERIFY_MAX: Duration = Duration::from_secs(180);
const FOLLOW_MAX: Duration = Duration::from_secs(500);

const TABLES: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, note text);
    INSERT INTO accounts SELECT g, 1000, 'note ' || g FROM generate_series(1, 2000) g;
    CREATE TABLE jobs (name text PRIMARY KEY, done boolean NOT NULL);
    INSERT INTO jobs SELECT 'job ' || g, false FROM generate_series(1, 500) g;";

fn follow(pair: &Pair, options: &[&str]) -> Vec<String> {
    pair.copy(&[&["--sync", "follow", "--name", "f", "--chunk-rows", "300"], options].concat())
}

fn verify(pair: &Pair, options: &[&str]) -> Ran {
    patiently(pair, &command(pair, options))
}

/// It may take several looks, on a machine with much else to do.
fn patiently<A: AsRef<str>>(pair: &Pair, arguments: &[A]) -> Ran {
    let program = pair.desk.syncline(arguments).args(["--output", "json"]);
    pair.desk.read(program.deadline(VERIFY_MAX).run())
}

fn command(pair: &Pair, options: &[&str]) -> Vec<String> {
    pair.command(
        "verify",
        &[&["--sync", "follow", "--name", "f", "--chunk-rows", "300", "--settle", "40s"], options].concat(),
    )
}

/// A pipeline that runs.
fn started(pair: &Pair) -> Running {
    pair.from.sql(TABLES);
    let run = pair.desk.syncline(&follow(pair, &[])).args(["--output", "json"]).deadline(FOLLOW_MAX).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    run
}

fn stopped(pair: &Pair, run: Running) {
    run.interrupt();
    pair.desk.read(run.wait()).expect_code(0);
}

/// Runs something while rows move: each transaction changes several, adds and removes some, and sets
/// others to and fro.
fn while_moving<T>(pair: &Pair, seed: &Seed, act: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut random = seed.rng();
        let (from, stop) = (&pair.from, &over);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let changes: Vec<String> = (0..30)
                    .map(|_| {
                        let (a, b, n) = (1 + random.below(MOVING), 1 + random.below(MOVING), random.below(50));
                        format!(
                            "BEGIN; UPDATE accounts SET balance = balance - {n} WHERE id = {a};
                             UPDATE accounts SET balance = balance + {n} WHERE id = {b}; COMMIT;
                             UPDATE jobs SET done = NOT done WHERE name = 'job {}';
                             DELETE FROM accounts WHERE id = {a}; INSERT INTO accounts VALUES ({a}, {n}, 'again');
                             SELECT pg_sleep(0.002);",
                            1 + a % 50,
                        )
                    })
                    .collect();
                from.sql(&changes.concat());
            }
        });
        let _over = Over(&over);
        act()
    })
}

/// What was said of each row, as `kind key`.
fn named(ran: &Ran, event: &str) -> Vec<String> {
    ran.of(event)
        .iter()
        .map(|told| format!("{} {}", told["kind"].as_str().unwrap_or("?"), told["key"]))
        .collect()
}

fn counts(told: &Value) -> [u64; 4] {
    ["missing", "different", "extra", "unsettled"].map(|field| sum(told, field))
}

/// Fails unless the summary says of which moment of the source it speaks.
fn of_a_moment(told: &Value) {
    let (position, at) = (told["position"].as_str(), told["at"].as_str().unwrap_or_default());
    assert!(position.is_some_and(|position| position.contains('/')), "{told}");
    assert!(at.starts_with("20") && at.ends_with('Z') && at.contains('T'), "{told}");
}

#[test]
fn rows_on_their_way_are_equal_in_the_end() {
    let Some(pair) = Pair::new() else { return };
    let run = started(&pair);
    let seed = Seed::from_env();
    let settled = while_moving(&pair, &seed, || {
        let mut settled = 0;
        for _ in 0..6 {
            let told = verify(&pair, &[]).done();
            assert_eq!(counts(&told), [0; 4], "{told}");
            of_a_moment(&told);
            settled += sum(&told, "settled");
        }
        settled
    });
    assert!(settled > 0, "no row was on its way, SYNCLINE_SEED={}", seed.value());
    let text = pair.desk.text(&command(&pair, &[])).expect_code(0);
    assert!(text.stdout.contains("f: equal up to ") && text.stdout.contains(" UTC"), "{text}");
    stopped(&pair, run);
}

/// One row gone, one changed, one too many in either table.
const SPOIL: &str = "DELETE FROM accounts WHERE id = 1500; UPDATE accounts SET note = 'x' WHERE id = 1501;
    INSERT INTO accounts VALUES (5000, 1, 'y');
    DELETE FROM jobs WHERE name = 'job 400'; UPDATE jobs SET done = true WHERE name = 'job 401';
    INSERT INTO jobs VALUES ('job 9000', false)";

const SPOILT: [&str; 6] = [
    r#"missing {"id":1500}"#,
    r#"different {"id":1501}"#,
    r#"extra {"id":5000}"#,
    r#"missing {"name":"job 400"}"#,
    r#"different {"name":"job 401"}"#,
    r#"extra {"name":"job 9000"}"#,
];

#[test]
fn what_differs_is_found_among_rows_that_move_and_put_right_while_it_runs() {
    let Some(pair) = Pair::new() else { return };
    let run = started(&pair);
    let seed = Seed::from_env();
    while_moving(&pair, &seed, || {
        pair.to.sql(SPOIL);
        let ran = verify(&pair, &[]).expect_code(3);
        assert_eq!(named(&ran, "difference"), SPOILT, "{}", ran.finished);
        assert_eq!(counts(ran.last()), [2, 2, 2, 0], "{}", ran.finished);
        of_a_moment(ran.last());
        assert_eq!(ran.of("followed")[0]["running"], true, "{}", ran.finished);
        let told = verify(&pair, &["--repair"]).done();
        assert_eq!(sum(&told, "repaired"), 6, "{told}");
        let before: Vec<u64> = told["streams"]
            .as_array()
            .expect("streams")
            .iter()
            .map(|stream| number(&stream["repair"]["before"]["missing"]))
            .collect();
        assert_eq!(before, [1, 1], "{told}");
        assert_eq!(counts(&verify(&pair, &[]).done()), [0; 4]);
    });
    assert!(run.is_running(), "{}{}", run.stdout(), run.stderr());
    stopped(&pair, run);
    pair.desk.run(&follow(&pair, &["--until-caught-up"])).expect_code(0);
    same(&pair);
    pair.desk.never_said("note 1501");
}

fn same(pair: &Pair) {
    for table in ["accounts", "jobs"] {
        let query = format!("SELECT * FROM {table}");
        same_rows((&pair.from, &query), (&pair.to, &query));
    }
    nothing_left(&pair.to);
}

/// Rows that the source changes at the same moment: none may end as it was before.
#[test]
fn a_repair_of_rows_that_move_loses_no_change() {
    let Some(pair) = Pair::new() else { return };
    let run = started(&pair);
    let seed = Seed::from_env();
    let mut random = seed.rng();
    while_moving(&pair, &seed, || {
        for _ in 0..4 {
            let spoilt: Vec<String> = (0..60)
                .map(|at| {
                    let id = 1 + random.below(MOVING + 200);
                    match at % 3 {
                        0 => format!("DELETE FROM accounts WHERE id = {id};"),
                        1 => format!("UPDATE accounts SET balance = -7, note = 'x' WHERE id = {id};"),
                        _ => format!(
                            "INSERT INTO accounts VALUES ({}, 0, 'y') ON CONFLICT DO NOTHING;",
                            3_000 + id
                        ),
                    }
                })
                .collect();
            pair.to.sql(&spoilt.concat());
            let ran = verify(&pair, &["--repair"]);
            assert_eq!(counts(ran.last())[..3], [0; 3], "SYNCLINE_SEED={} {}", seed.value(), ran.finished);
        }
    });
    assert!(run.is_running(), "{}{}", run.stdout(), run.stderr());
    stopped(&pair, run);
    pair.desk.run(&follow(&pair, &["--until-caught-up"])).expect_code(0);
    same(&pair);
}

#[test]
fn rows_that_cannot_be_settled_are_not_said_to_be_equal() {
    let Some(pair) = Pair::new() else { return };
    let run = started(&pair);
    pair.from.sql("UPDATE accounts SET balance = 1 WHERE id = 1");
    pair.desk.run(&command(&pair, &[])).done();
    // Nothing can be applied, and everything can be read.
    let holder = Holder::start(&pair.to, "LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE");
    pair.from.sql("UPDATE accounts SET balance = 2 WHERE id IN (1, 77); DELETE FROM accounts WHERE id = 78");
    let quick = ["--settle", "6s"];
    let verify = [&["--sync", "follow", "--name", "f"], &quick[..]].concat();
    let ran = pair.desk.run(&pair.command("verify", &verify)).expect_code(3);
    assert_eq!(counts(ran.last()), [0, 0, 0, 3], "{}", ran.finished);
    let keys = [r#"different {"id":1}"#, r#"different {"id":77}"#, r#"extra {"id":78}"#];
    assert_eq!(named(&ran, "unsettled"), keys, "{}", ran.finished);
    assert_eq!(ran.of("followed")[0]["running"], true, "{}", ran.finished);
    let text = pair.desk.text(&pair.command("verify", &verify)).expect_code(3);
    assert!(text.stdout.contains("f: 3 rows are still moving after 6.0 s"), "{text}");
    // A repair leaves them to the pipeline.
    let repair = [&verify[..], &["--repair"]].concat();
    let ran = pair.desk.run(&pair.command("verify", &repair)).expect_code(3);
    assert_eq!((sum(ran.last(), "repaired"), ran.of("repairing").len()), (0, 0), "{}", ran.finished);
    drop(holder);
    assert_eq!(counts(&pair.desk.run(&command(&pair, &[])).done()), [0; 4]);
    stopped(&pair, run);
}

#[test]
fn a_pipeline_that_does_not_run_is_told_to_be_behind() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let never = verify(&pair, &[]).failed(1, "SYN-3001");
    assert!(never.message.contains("accounts"), "{never:?}");
    let catch_up = || pair.desk.run(&follow(&pair, &["--until-caught-up"])).expect_code(0);
    catch_up();
    let told = verify(&pair, &[]).done();
    assert_eq!(counts(&told), [0; 4], "{told}");
    of_a_moment(&told);
    pair.from.sql("UPDATE accounts SET balance = 5 WHERE id < 4; INSERT INTO jobs VALUES ('new', true)");
    let ran = verify(&pair, &[]).expect_code(3);
    assert_eq!(counts(ran.last()), [0, 0, 0, 4], "{}", ran.finished);
    assert_eq!(named(&ran, "unsettled").len(), 4, "{}", ran.finished);
    let followed = ran.of("followed")[0].clone();
    assert!(followed["running"] == false && number(&followed["behind_bytes"]) > 0, "{followed}");
    let text = pair.desk.text(&command(&pair, &[])).expect_code(3);
    for part in ["the pipeline is not running", "4 rows differ", "--until-caught-up", "not clear"] {
        assert!(text.stdout.contains(part), "no `{part}` in {text}");
    }
    catch_up();
    assert_eq!(counts(&verify(&pair, &[]).done()), [0; 4]);
    stop_between(&pair);
}

/// Repaired while it does not run, the target is newer than the pipeline knows: going on, it may not show
/// rows as they were before.
fn stop_between(pair: &Pair) {
    pair.to.sql(SPOIL);
    for part in 0..12 {
        pair.from.sql(&format!(
            "UPDATE accounts SET balance = {part} WHERE id = 9;
             INSERT INTO accounts SELECT 10000 + {part} * 2000 + g, 0, repeat(md5(g::text), 30) FROM generate_series(1, 2000) g"
        ));
    }
    let told = verify(pair, &["--repair"]).done();
    assert_eq!(sum(&told, "repaired"), 6 + 1 + 24_000, "{told}");
    same(pair);
    pair.to.sql(
        "CREATE TABLE public.seen (tx bigint, balance int);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO public.seen VALUES (txid_current(), NEW.balance); RETURN NULL; END $$;
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON accounts FOR EACH ROW WHEN (NEW.id = 9) EXECUTE FUNCTION note()",
    );
    pair.desk.run(&follow(pair, &["--until-caught-up"])).expect_code(0);
    let older = "SELECT count(*) FROM (SELECT DISTINCT ON (tx) balance FROM seen ORDER BY tx, balance DESC) s WHERE balance <> 11";
    assert_eq!(pair.to.sql(older), "0", "{}", pair.to.sql("SELECT DISTINCT tx, balance FROM seen"));
    same(pair);
}

#[test]
fn what_is_kept_of_deleted_rows_is_no_difference_and_no_repair_removes_it() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let keep = ["--deletes", "ignore"];
    let program = pair.desk.syncline(&follow(&pair, &keep)).args(["--output", "json"]);
    let run = program.deadline(FOLLOW_MAX).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    pair.from.sql("DELETE FROM accounts WHERE id = 7; DELETE FROM jobs WHERE name = 'job 7'; UPDATE accounts SET balance = 3 WHERE id = 9");
    pair.to.sql("UPDATE accounts SET balance = 4 WHERE id = 1700");
    let kept = |told: &Value| [sum(told, "kept"), sum(told, "extra"), sum(told, "different")];
    let ran = verify(&pair, &keep).expect_code(3);
    assert_eq!((kept(ran.last()), named(&ran, "difference").len()), ([2, 0, 1], 1), "{}", ran.finished);
    let told = verify(&pair, &[&keep[..], &["--repair"]].concat()).done();
    assert_eq!((kept(&told), sum(&told, "repaired")), ([2, 0, 0], 1), "{told}");
    // Killed, it is repaired as one that does not run.
    run.kill9();
    assert!(pair.desk.hear(run.wait()).was_killed());
    pair.to.sql("UPDATE accounts SET balance = 4 WHERE id = 1701");
    let told = verify(&pair, &[&keep[..], &["--repair"]].concat()).done();
    assert_eq!((kept(&told), sum(&told, "repaired")), ([2, 0, 0], 1), "{told}");
    assert_eq!(pair.to.sql("SELECT count(*) FROM accounts WHERE id = 7"), "1");
    pair.desk.run(&follow(&pair, &["--deletes", "ignore", "--until-caught-up"])).expect_code(0);
    let still = "SELECT * FROM accounts WHERE id <> 7";
    same_rows((&pair.from, still), (&pair.to, still));
    let text = pair.desk.text(&command(&pair, &keep)).expect_code(0);
    assert!(text.stdout.contains("f: 2 rows are only at the target, and kept there"), "{text}");
}

#[test]
fn rows_that_are_noted_as_deleted_are_equal_and_logs_of_changes_are_passed_over() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    pair.from.sql("ALTER TABLE jobs REPLICA IDENTITY FULL");
    let file = pair.desk.file(
        "f.yaml",
        &format!(
            "connections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    \
             sync: follow\n    streams:\n      - {{ name: public.accounts, deletes: soft }}\n      \
             - {{ name: public.jobs, to: log, write: append }}\n  g:\n    from: a\n    to: b\n    sync: follow\n    \
             streams:\n      - {{ name: public.jobs, to: other, write: append }}\n",
            pair.from.url(),
            pair.to.url()
        ),
    );
    let run = || pair.desk.run(&["run", &file, "f", "--until-caught-up"]).expect_code(0);
    run();
    pair.from.sql(
        "DELETE FROM accounts WHERE id < 5; DELETE FROM jobs; UPDATE accounts SET balance = 2 WHERE id = 9",
    );
    run();
    let ran = patiently(&pair, &["verify", &file, "f"]).expect_code(0);
    assert_eq!(counts(ran.last()), [0; 4], "{}", ran.finished);
    assert_eq!(ran.of("passed_over")[0]["stream"], "public.jobs", "{}", ran.finished);
    let trace = |arguments: &[&str]| pair.desk.run(&[&["trace", &file, "f"], arguments].concat());
    assert_eq!(trace(&["accounts", "3"]).expect_code(0).last()["verdict"], "absent");
    trace(&["jobs", "job 3"]).failed(1, "SYN-6002").names(&["log of changes"]);
    let history = pair.to.sql("SELECT count(*) FROM log");
    pair.to.sql("UPDATE accounts SET balance = 1 WHERE id = 10");
    let told = patiently(&pair, &["verify", &file, "f", "--repair"]).done();
    assert_eq!(sum(&told, "repaired"), 1, "{told}");
    assert_eq!(pair.to.sql("SELECT count(*) FROM log"), history);
    pair.desk.run(&["verify", &file, "g"]).failed(1, "SYN-6002").names(&["log of changes"]);
}

/// Whose pipeline has a folder for itself: what it is about to publish is made of what is there.
#[test]
fn a_folder_is_compared_while_it_is_followed_into_and_repaired_when_it_is_not() {
    let Some(ends) = Ends::new(("postgres", "parquet")) else { return };
    ends.from.sql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint); INSERT INTO t SELECT g, g FROM generate_series(1, 500) g");
    let command = |command: &str, options: &[&str]| {
        ends.command(command, &[&["--sync", "follow", "--name", "f", "--stream", "t"], options].concat())
    };
    let run = |arguments: &[String]| {
        let program = ends.desk.syncline(arguments).args(["--output", "json"]);
        ends.desk.read(program.deadline(VERIFY_MAX).run())
    };
    let follow = ends.desk.syncline(&command("copy", &[])).args(["--output", "json"]);
    let follow = follow.deadline(FOLLOW_MAX).start();
    follow.wait_for_output(|line| line.contains("\"following\""));
    ends.from.sql("UPDATE t SET n = 0 WHERE id < 40; DELETE FROM t WHERE id = 50");
    let told = run(&command("verify", &[])).done();
    assert_eq!(counts(&told), [0; 4], "{told}");
    run(&command("verify", &["--repair"])).failed(1, "SYN-5001").hints("Stop the pipeline");
    follow.interrupt();
    ends.desk.read(follow.wait()).expect_code(0);
    ends.from.sql("UPDATE t SET n = 1 WHERE id < 40");
    let told = run(&command("verify", &["--repair"])).done();
    assert_eq!(sum(&told, "repaired"), 39, "{told}");
    run(&command("copy", &["--until-caught-up"])).expect_code(0);
    let told = run(&command("verify", &[])).done();
    assert_eq!((counts(&told), sum(&told, "settled")), ([0; 4], 0), "{told}");
    ends.same("SELECT id, n FROM t ORDER BY id");
}

/// Ends whose positions and marks are other ones.
#[test]
fn other_ends_are_compared_and_put_right_too() {
    for kinds in [("mysql", "postgres"), ("mariadb", "mysql"), ("sqlite", "mariadb")] {
        let Some(ends) = Ends::new(kinds) else { continue };
        let rows: Vec<String> = (1..=300).map(|id| format!("({id}, {id}, 'note {id}')")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, n bigint, note varchar(50)); INSERT INTO t VALUES {}",
            rows.join(",")
        ));
        let command = |command: &str, options: &[&str]| {
            ends.command(command, &[&["--sync", "follow", "--name", "f", "--stream", "t"], options].concat())
        };
        let run = |arguments: &[String]| {
            let program = ends.desk.syncline(arguments).args(["--output", "json"]);
            ends.desk.read(program.deadline(VERIFY_MAX).run())
        };
        run(&command("copy", &["--until-caught-up"])).expect_code(0);
        assert_eq!(counts(&run(&command("verify", &[])).done()), [0; 4], "{}", ends.what);
        ends.from.sql("UPDATE t SET n = 0 WHERE id < 4; DELETE FROM t WHERE id = 9");
        let ran = run(&command("verify", &[])).expect_code(3);
        assert_eq!(counts(ran.last()), [0, 0, 0, 4], "{}: {}", ends.what, ran.finished);
        let follow = ends.desk.syncline(&command("copy", &[])).args(["--output", "json"]);
        let follow = follow.deadline(FOLLOW_MAX).start();
        follow.wait_for_output(|line| line.contains("\"following\""));
        let told = run(&command("verify", &[])).done();
        assert_eq!(counts(&told), [0; 4], "{}: {told}", ends.what);
        ends.to.sql("DELETE FROM t WHERE id = 20; UPDATE t SET n = -1 WHERE id = 21; INSERT INTO t VALUES (999, 1, NULL)");
        let ran = run(&command("verify", &[])).expect_code(3);
        assert_eq!(counts(ran.last()), [1, 1, 1, 0], "{}: {}", ends.what, ran.finished);
        let told = run(&command("verify", &["--repair"])).done();
        assert_eq!(sum(&told, "repaired"), 3, "{}: {told}", ends.what);
        let trace = run(&[command("trace", &[]), vec!["t".to_owned(), "21".to_owned()]].concat());
        assert_eq!(trace.expect_code(0).last()["verdict"], "applied", "{}", ends.what);
        follow.interrupt();
        ends.desk.read(follow.wait()).expect_code(0);
        ends.same("SELECT id, n, note FROM t ORDER BY id");
    }
}

/// A target that one writer at a time may write to, and that computes no checksums.
#[test]
fn a_file_is_compared_and_put_right_while_it_is_written_to() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let lite = Lite::at(pair.desk.path().join("target.db"));
    let command = |command: &str, options: &[&str]| {
        let url = lite.url();
        [&[command, pair.from.url(), &url, "--sync", "follow", "--name", "f"], options]
            .concat()
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect::<Vec<_>>()
    };
    let program = pair.desk.syncline(&command("copy", &[])).args(["--output", "json"]);
    let run = program.deadline(FOLLOW_MAX).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    let seed = Seed::from_env();
    while_moving(&pair, &seed, || {
        assert_eq!(counts(&patiently(&pair, &command("verify", &[])).done()), [0; 4]);
        lite.sql(SPOIL);
        let ran = patiently(&pair, &command("verify", &[])).expect_code(3);
        assert_eq!(named(&ran, "difference"), SPOILT, "{}", ran.finished);
        let told = patiently(&pair, &command("verify", &["--repair"])).done();
        assert_eq!(sum(&told, "repaired"), 6, "{told}");
    });
    assert!(run.is_running(), "{}{}", run.stdout(), run.stderr());
    stopped(&pair, run);
    pair.desk.run(&command("copy", &["--until-caught-up"])).expect_code(0);
    let told = patiently(&pair, &command("verify", &[])).done();
    assert_eq!((counts(&told), sum(&told, "settled")), ([0; 4], 0), "{told}");
    lite.nothing_left();
}

#[test]
fn steps_hold_while_rows_move() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    pair.from.sql("ALTER TABLE accounts REPLICA IDENTITY FULL");
    let file = pair.desk.file(
        "f.yaml",
        &format!(
            "mask_key: k3y\nconnections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    \
             sync: follow\n    streams:\n      - name: public.accounts\n        to: clients\n        steps:\n          \
             - filter: \"balance < 1010\"\n          - rename: {{ id: number }}\n          - mask: {{ note: redact }}\n      \
             - name: public.jobs\n        steps:\n          - mask: {{ name: hash }}\n",
            pair.from.url(),
            pair.to.url()
        ),
    );
    let run = pair.desk.syncline(&["run", &file]).args(["--output", "json"]).deadline(FOLLOW_MAX).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    let seed = Seed::from_env();
    while_moving(&pair, &seed, || {
        for _ in 0..3 {
            assert_eq!(counts(&patiently(&pair, &["verify", &file]).done()), [0; 4]);
        }
        pair.to.sql(
            "UPDATE clients SET balance = 3 WHERE number = 1600; UPDATE jobs SET done = NULL WHERE false",
        );
        pair.to.sql("DELETE FROM jobs WHERE name = (SELECT min(name) FROM jobs)");
        let ran = patiently(&pair, &["verify", &file]).expect_code(3);
        let kinds = counts(ran.last());
        // The job may be one that moves; the client is none.
        assert_eq!((kinds[1], kinds[2], kinds[3]), (1, 0, 0), "{}", ran.finished);
        assert!(
            named(&ran, "difference").contains(&r#"different {"number":1600}"#.to_owned()),
            "{}",
            ran.finished
        );
        patiently(&pair, &["verify", &file, "--repair"]).done();
        assert_eq!(counts(&patiently(&pair, &["verify", &file]).done()), [0; 4]);
    });
    run.interrupt();
    pair.desk.read(run.wait()).expect_code(0);
    pair.desk.never_said("note 1600");
}
