//! From an SQLite file, whose changes triggers record.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::{
    seed::{Rng, Seed},
    servers::{
        left_out,
        postgres::{self, Database},
    },
};

use super::kill::{ACCOUNTS, Over, is_whole, over_and_over};
use crate::{
    desk::{Desk, number},
    lite::Lite,
    tables::nothing_left,
};

const WAIT_MAX: Duration = Duration::from_secs(40);
const KILLS: u32 = 8;

struct Scene {
    from: Lite,
    to: Database,
    desk: Desk,
}

impl Scene {
    fn new(sql: &str) -> Option<Self> {
        if left_out("postgres") {
            return None;
        }
        let desk = Desk::new();
        let from = Lite::at(desk.path().join("from.db"));
        from.sql("PRAGMA journal_mode = WAL");
        from.sql(sql);
        let to = postgres::shared().database(&postgres::shared().create_database());
        Some(Scene { from, to, desk })
    }

    fn copy(&self, options: &[&str]) -> Vec<String> {
        let all = ["copy", &self.from.url(), self.to.url(), "--sync", "follow", "--name", "f"];
        all.iter().chain(options).map(|argument| (*argument).to_owned()).collect()
    }

    fn same(&self, table: &str, columns: &str) {
        let query = format!("SELECT {columns} FROM {table}");
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(self.from.sql(&query)), sorted(self.to.sql(&query)), "{table}");
        nothing_left(&self.to);
    }
}

const TABLES: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT UNIQUE, balance DECIMAL_TEXT(12,2), picture BLOB);
    CREATE TABLE items (a INT NOT NULL, b TEXT NOT NULL, owner INT REFERENCES people ON DELETE CASCADE, PRIMARY KEY (a, b)) WITHOUT ROWID;
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500)
    INSERT INTO people SELECT i, 'mail' || i, i || '.50', randomblob(i % 40) FROM c;
    INSERT INTO items SELECT id, 'x' || id, id % 7 + 1 FROM people;";

const CHANGES: &str = "PRAGMA foreign_keys = ON;
    UPDATE people SET balance = '7.25' WHERE id % 3 = 0;
    REPLACE INTO people SELECT id + 10000, mail, balance, NULL FROM people WHERE id % 11 = 0;
    DELETE FROM people WHERE id IN (2, 3);
    UPDATE people SET id = id + 20000 WHERE id % 13 = 0 AND id < 10000 AND id > 10;
    INSERT INTO people (mail) VALUES ('mail1') ON CONFLICT (mail) DO UPDATE SET picture = x'00ff';
    BEGIN; INSERT INTO items VALUES (-1, 'no', NULL); ROLLBACK;
    UPDATE OR REPLACE items SET b = 'same' WHERE a < 50; DELETE FROM items WHERE a = 9; INSERT INTO items VALUES (9, 'x9', 1);";

#[test]
fn changes_of_a_file_arrive() {
    let Some(scene) = Scene::new(TABLES) else { return };
    let run = || scene.desk.run(&scene.copy(&["--until-caught-up"])).expect_code(0);
    let same = || {
        scene.same("people", "id, mail, balance, lower(CASE WHEN picture IS NULL THEN '' ELSE 'b' END)");
        scene.same("items", "*");
    };
    let first = run();
    assert_eq!(number(&first.of("stopped")[0]["changes"]), 0, "{}", first.finished);
    same();
    scene.from.sql(CHANGES);
    let second = run();
    assert!(number(&second.of("stopped")[0]["changes"]) > 300, "{}", second.finished);
    assert!(second.of("summary").is_empty(), "nothing is copied again: {}", second.finished);
    same();
    assert_eq!(number(&run().of("stopped")[0]["changes"]), 0);
    scene.from.sql("DELETE FROM items");
    run();
    same();
}

#[test]
fn changes_of_a_file_arrive_while_it_is_written_to() {
    let Some(scene) = Scene::new(TABLES) else { return };
    let run = scene.desk.syncline(&scene.copy(&[])).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    for round in 0..20 {
        scene.from.sql(&format!("UPDATE people SET balance = '{round}.00' WHERE id % 10 = {}", round % 10));
    }
    scene.from.sql("INSERT INTO people (id) VALUES (-1)");
    let until = Instant::now() + WAIT_MAX;
    while scene.to.sql("SELECT count(*) FROM people WHERE id = -1") == "0" {
        assert!(run.is_running() && Instant::now() < until, "{}{}", run.stdout(), run.stderr());
        thread::sleep(Duration::from_millis(20));
    }
    run.interrupt();
    scene.desk.read(run.wait()).expect_code(0);
    scene.same("people", "id, mail, balance");
    // A table that is made anew lacks its triggers, and is not gone on with.
    scene
        .from
        .sql("ALTER TABLE items RENAME TO old; CREATE TABLE items AS SELECT * FROM old; DROP TABLE old");
    scene.from.sql(
        "CREATE TABLE other (a INT NOT NULL, b TEXT NOT NULL, owner INT, PRIMARY KEY (a, b)) WITHOUT ROWID;
        INSERT INTO other SELECT * FROM items; DROP TABLE items; ALTER TABLE other RENAME TO items",
    );
    scene.desk.run(&scene.copy(&["--until-caught-up"])).failed(1, "SYN-5012").names(&["items", "--restart"]);
    scene.desk.run(&scene.copy(&["--until-caught-up", "--restart"])).expect_code(0);
    scene.same("items", "*");
}

#[test]
fn columns_of_a_file_that_change_are_followed() {
    for (statements, columns) in [
        ("ALTER TABLE t ADD COLUMN x INT; UPDATE t SET x = id WHERE id < 9", "id, v, n, x"),
        ("ALTER TABLE t ADD COLUMN x INT DEFAULT 7; UPDATE t SET n = 0 WHERE id = 1", "id, v, n, x"),
        ("ALTER TABLE t DROP COLUMN v; DELETE FROM t WHERE id = 3", "id, n"),
        ("ALTER TABLE t RENAME COLUMN v TO text; UPDATE t SET text = 'new' WHERE id = 5", "id, text, n"),
        (
            "BEGIN; ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN n TEXT; UPDATE t SET n = 'new' WHERE id = 5; COMMIT",
            "id, v, n",
        ),
    ] {
        let Some(scene) = Scene::new(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT);
             WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100)
             INSERT INTO t SELECT i, 'v' || i, i FROM c",
        ) else {
            return;
        };
        let run = || {
            scene.desk.run(&scene.copy(&["--until-caught-up", "--schema-changes", "apply"])).expect_code(0)
        };
        run();
        scene.from.sql("UPDATE t SET v = 'before' WHERE id = 2");
        scene.from.sql(statements);
        let ended = run();
        assert_eq!(ended.of("schema_changed").len(), 1, "{statements}: {}", ended.finished);
        scene.same("t", columns);
        scene.from.sql("DELETE FROM t WHERE id > 90");
        run();
        scene.same("t", columns);
    }
}

fn moves(random: &mut Rng) -> String {
    let (a, b) = (1 + random.below(ACCOUNTS), 1 + random.below(ACCOUNTS));
    let n = random.below(50);
    format!(
        "BEGIN IMMEDIATE; UPDATE accounts SET balance = balance - {n} WHERE id = {a};
         UPDATE accounts SET balance = balance + {n} WHERE id = {b};
         INSERT INTO moves (a, b, n) VALUES ({a}, {b}, {n}); COMMIT;"
    )
}

#[test]
fn money_is_neither_made_nor_lost_on_its_way_from_a_file() {
    let accounts = format!(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INT NOT NULL);
         CREATE TABLE moves (id INTEGER PRIMARY KEY, a INT, b INT, n INT);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {ACCOUNTS})
         INSERT INTO accounts SELECT i, 1000 FROM c"
    );
    let Some(scene) = Scene::new(&accounts) else { return };
    let seed = Seed::from_env();
    let arguments = scene.copy(&["--chunk-rows", "40"]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = Over(&over);
        let mut random = seed.rng();
        let (from, stop) = (&scene.from, &over);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                from.sql(&(0..20).map(|_| moves(&mut random)).collect::<String>());
                thread::sleep(Duration::from_millis(5));
            }
        });
        let start = || scene.desk.syncline(&arguments).args(["--output", "json"]).start();
        over_and_over(KILLS, &seed, start, || is_whole(&scene.to));
        drop(end);
    });
    let last = [arguments.as_slice(), &["--until-caught-up".to_owned()]].concat();
    scene.desk.run(&last).expect_code(0);
    scene.same("accounts", "*");
    scene.same("moves", "*");
    assert!(is_whole(&scene.to));
}

#[test]
fn what_a_file_keeps_is_given_up_on_command() {
    let Some(scene) = Scene::new("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)") else {
        return;
    };
    let ours = || scene.from.sql("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%syncline%'");
    let release = ["release", &scene.from.url(), scene.to.url(), "--sync", "follow", "--name", "f"];
    let run = scene.desk.syncline(&scene.copy(&[])).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    scene.desk.run(&release).failed(1, "SYN-5001").hinted();
    run.interrupt();
    run.wait().expect_code(0);
    assert_ne!(ours(), "0");
    let released = scene.desk.run(&release).expect_code(0);
    assert_eq!(released.last()["event"], "released", "{}", released.finished);
    assert_eq!(ours(), "0");
    scene.desk.run(&release).expect_code(0);
    scene.from.sql("INSERT INTO t VALUES (2)");
    scene.desk.run(&scene.copy(&["--until-caught-up"])).failed(1, "SYN-5012").names(&["--restart"]);
    scene.desk.run(&scene.copy(&["--until-caught-up", "--restart"])).expect_code(0);
    scene.same("t", "*");
}
