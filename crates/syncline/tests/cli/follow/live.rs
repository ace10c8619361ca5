//! What the source does is done at the target, and no more.

use std::time::{Duration, Instant};

use crate::desk::number;
use crate::tables::{Pair, nothing_left, same_rows};

const WAIT_MAX: Duration = Duration::from_secs(40);

const TABLES: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance numeric(12,2) NOT NULL, note text);
    CREATE TABLE items (a int, b text, v jsonb, PRIMARY KEY (a, b));
    INSERT INTO accounts SELECT g, 100, repeat(md5(g::text), 200) FROM generate_series(1, 500) g;
    ALTER TABLE accounts ALTER COLUMN note SET STORAGE EXTERNAL;
    INSERT INTO items SELECT g, 'x' || g, '{}' FROM generate_series(1, 300) g;";

/// Everything a log can tell of two tables.
const CHANGES: &str = "
    UPDATE accounts SET balance = balance + id;
    INSERT INTO accounts SELECT g, 0, NULL FROM generate_series(501, 700) g;
    DELETE FROM accounts WHERE id % 7 = 0;
    UPDATE accounts SET id = id + 10000 WHERE id % 5 = 0;
    UPDATE accounts SET note = NULL WHERE id % 11 = 0;
    UPDATE items SET v = jsonb_build_object('n', a) WHERE a < 50;
    BEGIN; INSERT INTO items VALUES (-1, 'no', NULL); ROLLBACK;
    BEGIN; INSERT INTO items VALUES (-2, 'yes', NULL); SAVEPOINT s; INSERT INTO items VALUES (-3, 'no', NULL);
    ROLLBACK TO s; UPDATE items SET b = 'moved' WHERE a = 7; COMMIT;
    DELETE FROM items WHERE a = 9; INSERT INTO items VALUES (9, 'x9', '\"again\"');";

fn same(pair: &Pair) {
    for table in ["accounts", "items"] {
        let query = format!("SELECT * FROM {table}");
        same_rows((&pair.from, &query), (&pair.to, &query));
    }
    nothing_left(&pair.to);
}

fn command(pair: &Pair, options: &[&str]) -> Vec<String> {
    pair.copy(&[&["--sync", "follow", "--name", "f"], options].concat())
}

#[test]
fn changes_arrive_in_runs_that_end_when_they_have_caught_up() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let run = || pair.desk.run(&command(&pair, &["--until-caught-up"])).expect_code(0);
    let first = run();
    assert_eq!(number(&first.of("stopped")[0]["changes"]), 0, "{}", first.finished);
    assert_eq!(first.of("summary").len(), 1, "{}", first.finished);
    same(&pair);
    let status = pair.desk.status();
    assert_eq!(
        status["followed"]["streams"],
        serde_json::json!(["public.accounts", "public.items"]),
        "{status}"
    );
    pair.from.sql(CHANGES);
    let second = run();
    assert!(number(&second.of("stopped")[0]["changes"]) > 1_000, "{}", second.finished);
    assert!(second.of("summary").is_empty(), "nothing is copied again: {}", second.finished);
    same(&pair);
    let third = run();
    assert_eq!(number(&third.of("stopped")[0]["changes"]), 0, "{}", third.finished);
    pair.from.sql("TRUNCATE items; INSERT INTO items VALUES (1, 'after', NULL)");
    run();
    same(&pair);
}

#[test]
fn changes_arrive_while_it_runs_and_it_ends_when_asked() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let run = pair.desk.syncline(&command(&pair, &[])).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    pair.from.sql(CHANGES);
    pair.from.sql("INSERT INTO accounts VALUES (-1, 0, 'last')");
    let until = Instant::now() + WAIT_MAX;
    while pair.to.sql("SELECT count(*) FROM accounts WHERE id = -1") == "0" {
        assert!(run.is_running() && Instant::now() < until, "{}{}", run.stdout(), run.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    run.interrupt();
    let ended = pair.desk.read(run.wait()).expect_code(0);
    assert_eq!(ended.last()["event"], "stopped", "{}", ended.finished);
    same(&pair);
}

#[test]
fn it_ends_when_asked_while_changes_keep_coming_and_no_faster_than_allowed() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let run =
        pair.desk.syncline(&command(&pair, &["--limit-rows", "200"])).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    let began = Instant::now();
    for part in 0..100 {
        pair.from.sql(&format!("INSERT INTO t SELECT {part} * 10 + g FROM generate_series(1, 10) g"));
    }
    let until = began + WAIT_MAX;
    while pair.to.sql("SELECT count(*) > 100 FROM t") != "t" {
        assert!(Instant::now() < until, "{}{}", run.stdout(), run.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    run.interrupt();
    let ended = pair.desk.read(run.wait()).expect_code(0);
    let arrived: f64 = pair.to.sql("SELECT count(*) FROM t").parse().expect("a count");
    assert_eq!(number(&ended.last()["changes"]) as f64, arrived, "{}", ended.finished);
    assert!(arrived <= 200.0 * (began.elapsed().as_secs_f64() + 1.0), "{arrived} rows were too fast");
    pair.desk.run(&command(&pair, &["--until-caught-up"])).expect_code(0);
    same_rows((&pair.from, "TABLE t"), (&pair.to, "TABLE t"));
}

#[test]
fn steps_hold_for_changes_too() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let file = pair.desk.file(
        "f.yaml",
        &format!(
            "connections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    \
             sync: follow\n    streams:\n      - name: public.accounts\n        to: clients\n        steps:\n          \
             - filter: \"balance < 300\"\n          - rename: {{ id: number }}\n          \
             - mask: {{ note: redact }}\n          - set: {{ twice: \"balance * 2\" }}\n",
            pair.from.url(),
            pair.to.url()
        ),
    );
    let expected = || {
        let query = "SELECT id, balance, CASE WHEN note IS NULL THEN NULL ELSE '***' END, balance * 2 FROM accounts WHERE balance < 300";
        same_rows((&pair.from, query), (&pair.to, "SELECT number, balance, note, twice FROM clients"));
    };
    // Whether a row passes is not told by an update that leaves a long value of it alone.
    pair.desk.run(&["run", &file]).failed(1, "SYN-4006").names(&[
        "public.accounts",
        "`note`",
        "REPLICA IDENTITY FULL",
    ]);
    pair.from.sql("ALTER TABLE accounts REPLICA IDENTITY FULL");
    let run = || pair.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
    run();
    expected();
    pair.from.sql(CHANGES);
    run();
    expected();
}

#[test]
fn rows_that_fail_in_a_step_stop_it_or_become_dead_letters() {
    let Some(pair) = Pair::new() else { return };
    pair.from
        .sql("CREATE TABLE t (id int PRIMARY KEY, n int, secret text); INSERT INTO t VALUES (1, 4, 'hush')");
    let yaml = |on_error: &str| {
        format!(
            "connections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    \
             sync: follow\n    on_error: {on_error}\n    streams:\n      - name: public.t\n        steps:\n          \
             - mask: {{ secret: redact }}\n          - set: {{ share: \"100 / n\" }}\n",
            pair.from.url(),
            pair.to.url()
        )
    };
    let (stop, aside) =
        (pair.desk.file("s.yaml", &yaml("stop")), pair.desk.file("d.yaml", &yaml("dead_letter")));
    let run = |file: &str| pair.desk.run(&["run", file, "--until-caught-up"]);
    run(&stop).expect_code(0);
    pair.from.sql("INSERT INTO t VALUES (2, 0, 'hush'), (3, 5, 'hush'); UPDATE t SET n = 10 WHERE id = 1");
    run(&stop).failed(1, "SYN-4003").hinted();
    assert_eq!(pair.to.sql("SELECT id, share FROM t"), "1|25", "nothing of the transaction arrived");
    let ended = run(&aside).expect_code(0);
    assert_eq!(number(&ended.last()["rejected"]), 1, "{}", ended.finished);
    assert_eq!(pair.to.sql("SELECT id, share FROM t ORDER BY id"), "1|10\n3|20");
    let letters = pair.desk.run(&["dlq", "list", "f"]).expect_code(0);
    assert_eq!(letters.events.len(), 1, "{}", letters.finished);
    assert_eq!(letters.events[0]["code"], "SYN-4003", "{}", letters.finished);
    pair.desk.never_said("hush");
}

#[test]
fn a_stream_that_is_new_is_copied_alone() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let run = |streams: &[&str]| {
        pair.desk.run(&command(&pair, &[streams, &["--until-caught-up"]].concat())).expect_code(0)
    };
    run(&["--stream", "accounts"]);
    pair.from.sql("UPDATE accounts SET balance = 1 WHERE id < 10; UPDATE items SET v = '1' WHERE a < 10");
    let second = run(&["--stream", "accounts", "--stream", "items"]);
    let summary = second.of("summary");
    assert_eq!(summary[0]["streams"].as_array().map(Vec::len), Some(1), "{}", second.finished);
    assert_eq!(summary[0]["streams"][0]["stream"], "public.items", "{}", second.finished);
    pair.from.sql(CHANGES);
    run(&["--stream", "accounts", "--stream", "items"]);
    same(&pair);
}

#[test]
fn what_was_copied_with_other_columns_is_not_gone_on_with() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let run = |options: &[&str]| {
        pair.desk.run(&command(&pair, &[&["--stream", "items", "--until-caught-up"], options].concat()))
    };
    run(&[]).expect_code(0);
    pair.from.sql("ALTER TABLE items ADD COLUMN more int DEFAULT 7; UPDATE items SET more = a");
    run(&[]).failed(1, "SYN-3009").names(&["public.items", "`more` is new", "--schema-changes apply"]);
    run(&["--restart"]).expect_code(0);
    same_rows((&pair.from, "SELECT * FROM items"), (&pair.to, "SELECT * FROM items"));
    // Made anew, it is another table, of which nothing was told.
    pair.from.sql(
        "CREATE TABLE other AS TABLE items; DROP TABLE items; ALTER TABLE other RENAME TO items;
         ALTER TABLE items ADD PRIMARY KEY (a, b); DELETE FROM items WHERE a < 100",
    );
    run(&["--restart"]).expect_code(0);
    same_rows((&pair.from, "SELECT * FROM items"), (&pair.to, "SELECT * FROM items"));
}

#[test]
fn a_table_that_was_made_anew_is_not_gone_on_with() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let run = || pair.desk.run(&command(&pair, &["--until-caught-up"]));
    run().expect_code(0);
    pair.from.sql("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (2)");
    run().failed(1, "SYN-5012").names(&["public.t", "--restart"]);
}

#[test]
fn what_cannot_be_followed_is_said_before_anything_is_made() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int, v text)");
    pair.desk.run(&command(&pair, &[])).failed(1, "SYN-3004").names(&["public.t"]);
    assert_eq!(
        pair.from.sql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"),
        "0"
    );
    assert_eq!(pair.from.sql("SELECT count(*) FROM pg_publication"), "0");
}

#[test]
fn several_pipelines_follow_one_database() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(TABLES);
    let run = |name: &str, options: &[&str]| {
        let options = [&["--sync", "follow", "--until-caught-up", "--name", name], options].concat();
        pair.desk.run(&pair.copy(&options)).expect_code(0)
    };
    let second = ["--stream", "accounts=second", "--columns", "id,balance"];
    let idle = pair.copy(&["--until-caught-up"]);
    pair.desk.run(&idle).failed(2, "SYN-1001").names(&["--until-caught-up"]);
    run("one", &[]);
    run("two", &second);
    pair.from.sql(CHANGES);
    run("one", &[]);
    same(&pair);
    run("two", &second);
    same_rows((&pair.from, "SELECT id, balance FROM accounts"), (&pair.to, "SELECT * FROM second"));
}
