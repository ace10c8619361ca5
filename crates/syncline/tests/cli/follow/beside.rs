//! Streams that are copied while the others are followed.

use std::time::{Duration, Instant};

use serde_json::Value;
use syncline_testkit::{process::Running, seed::Seed};

use crate::{
    desk::{Ran, number},
    ends::Ends,
};

const WAIT_MAX: Duration = Duration::from_secs(60);
/// How soon a change of another stream has to be there, on a machine that is busy.
const SOON: Duration = Duration::from_secs(5);

const PAIRS: [(&str, &str); 4] =
    [("postgres", "postgres"), ("mariadb", "postgres"), ("sqlite", "sqlite"), ("mysql", "sqlite")];

const ROWS: u32 = 1_500;

/// What somebody has done to the target behind our back.
const DAMAGE: &str = "UPDATE t SET v = 'wrong' WHERE id % 10 = 0; DELETE FROM t WHERE id % 10 = 1;";

fn rows(table: &str, first: u32, last: u32) -> String {
    let rows: Vec<String> = (first..=last).map(|id| format!("({id}, 'v{id}')")).collect();
    format!("INSERT INTO {table} (id, v) VALUES {};", rows.join(", "))
}

struct Scene {
    ends: Ends,
    fast: String,
    slow: String,
}

impl Scene {
    /// Followed already, and stopped.
    fn new(kinds: (&str, &str)) -> Option<Self> {
        let ends = Ends::new(kinds)?;
        if kinds.0 == "sqlite" {
            // Else whoever reads keeps writers out for as long as the copy takes.
            ends.from.sql("PRAGMA journal_mode = WAL");
        }
        let table = |name: &str| format!("CREATE TABLE {name} (id int PRIMARY KEY, v varchar(40));");
        ends.from.sql(&[table("t"), table("other"), rows("t", 1, ROWS), rows("other", 1, 50)].concat());
        let file = |name: &str, more: &str| {
            let (from, to) = (ends.from.url(), ends.to.url());
            let text = format!(
                "connections:\n  a: {{ url: \"{from}\" }}\n  b: {{ url: \"{to}\" }}\npipelines:\n  f:\n    from: a\n    \
                 to: b\n    sync: follow\n    schema_changes: apply\n    chunk_rows: 20\n{more}"
            );
            ends.desk.file(name, &text)
        };
        let (fast, slow) =
            (file("fast.yaml", ""), file("slow.yaml", "    limits: { rows_per_second: 150 }\n"));
        let scene = Scene { ends, fast, slow };
        scene.catch_up(&scene.fast);
        Some(scene)
    }

    fn catch_up(&self, file: &str) -> Ran {
        self.ends.desk.run(&["run", file, "--until-caught-up"]).expect_code(0)
    }

    fn start(&self) -> Running {
        let run = self.ends.desk.syncline(&["run", &self.slow]).args(["--output", "json"]).start();
        run.wait_for_output(|line| line.contains("\"following\""));
        run
    }

    fn recopy(&self, stream: &str) {
        self.ends.desk.run(&["recopy", &self.slow, "f", stream]).expect_code(0);
    }

    /// Waits until a row of a table is at the target.
    fn arrives(&self, run: &Running, table: &str, id: u32, within: Duration) {
        let until = Instant::now() + within;
        while self.ends.to.sql(&format!("SELECT count(*) FROM {table} WHERE id = {id}")).trim() == "0" {
            let what = &self.ends.what;
            assert!(run.is_running(), "{what}: {}{}", run.stdout(), run.stderr());
            assert!(Instant::now() < until, "{what}: {table} {id}\n{}{}", run.stdout(), run.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn same(&self, tables: &[&str]) {
        for table in tables {
            self.ends.same(&format!("SELECT id, v FROM {table} ORDER BY id"));
        }
    }
}

fn is_copying(run: &Running) {
    run.wait_for_output(|line| line.contains("\"event\":\"copying\""));
}

fn has_joined(run: &Running, stream: &str) {
    run.wait_for_output(|line| line.contains("\"event\":\"joined\"") && line.contains(stream));
}

#[test]
fn others_are_followed_while_a_stream_is_copied_again() {
    for kinds in PAIRS {
        let Some(scene) = Scene::new(kinds) else { continue };
        let (from, what) = (&scene.ends.from, &scene.ends.what);
        let run = scene.start();
        scene.ends.to.sql(DAMAGE);
        scene.recopy("t");
        is_copying(&run);
        for round in 1..=5 {
            from.sql(&format!(
                "INSERT INTO other VALUES ({}, 'new'); UPDATE t SET v = 'moved' WHERE id = {round};
                 DELETE FROM t WHERE id = {}; INSERT INTO t VALUES ({}, 'new')",
                1_000 + round,
                100 + round,
                10_000 + round
            ));
            scene.arrives(&run, "other", 1_000 + round, SOON);
        }
        assert!(!run.stdout().contains("\"joined\""), "{what}: the copy is over already\n{}", run.stdout());
        let mut status = scene.ends.desk.status();
        // A file counts its changes, and not their bytes.
        let left = |status: &Value, table: &str| {
            let streams = status["lag"]["streams"].as_object()?;
            let (_, lag) = streams.iter().find(|(stream, _)| stream.ends_with(table))?;
            lag["bytes"].as_u64()
        };
        while kinds.0 != "sqlite" && left(&status, ".t") <= left(&status, ".other") {
            assert!(!run.stdout().contains("\"joined\""), "{what}: {status}");
            std::thread::sleep(Duration::from_millis(100));
            status = scene.ends.desk.status();
        }
        let behind = &status["followed"]["behind"][0];
        assert_eq!(behind["state"], "copying", "{what}: {status}");
        assert!(behind["stream"].as_str().is_some_and(|stream| stream.ends_with('t')), "{what}: {status}");
        has_joined(&run, "t\"");
        from.sql("UPDATE t SET v = 'later' WHERE id < 50; INSERT INTO t VALUES (20000, 'last')");
        scene.arrives(&run, "t", 20_000, WAIT_MAX);
        run.interrupt();
        let ended = scene.ends.desk.read(run.wait()).expect_code(0);
        assert_eq!(ended.of("joined").len(), 1, "{what}: {}", ended.finished);
        assert_eq!(
            scene.ends.desk.status()["followed"]["behind"].as_array().map(Vec::len),
            Some(0),
            "{what}"
        );
        scene.same(&["t", "other"]);
    }
}

#[test]
fn a_copy_beside_others_that_is_killed_is_gone_on_with() {
    let seed = Seed::from_env();
    let mut random = seed.rng();
    for kinds in PAIRS {
        let Some(scene) = Scene::new(kinds) else { continue };
        let (from, what) = (&scene.ends.from, &scene.ends.what);
        scene.ends.to.sql(DAMAGE);
        scene.recopy_stopped();
        for life in 0..3 {
            let run = scene.ends.desk.syncline(&["run", &scene.slow]).args(["--output", "json"]).start();
            is_copying(&run);
            // Long enough for a chunk, and together not long enough for all.
            let until = Instant::now() + Duration::from_millis(1_200 + random.below(1_200));
            for round in 0.. {
                let id = 30_000 + 1_000 * life + round;
                from.sql(&format!(
                    "INSERT INTO other VALUES ({id}, 'new'); INSERT INTO t VALUES ({id}, 'new');
                     UPDATE t SET v = 'moved {id}' WHERE id % 97 = {}",
                    random.below(97)
                ));
                if Instant::now() > until {
                    break;
                }
            }
            run.kill9();
            run.wait();
        }
        let ended = scene.catch_up(&scene.fast);
        let summary = ended.of("summary");
        let stream = &summary[0]["streams"][0];
        assert_eq!(summary[0]["pipeline"], "f", "{what}: {}", ended.finished);
        assert!(number(&stream["rows_resumed"]) > 0, "{what}: it began again\n{}", ended.finished);
        assert_eq!(ended.of("joined").len(), 1, "{what}: {}", ended.finished);
        scene.same(&["t", "other"]);
    }
}

impl Scene {
    /// A wish for a pipeline that does not run, as one leaves it that was killed right then.
    fn recopy_stopped(&self) {
        let command = self.ends.desk.syncline(&["recopy", &self.slow, "f", "t"]).args(["--output", "json"]);
        let run = command.start();
        is_copying(&run);
        run.kill9();
        run.wait();
    }
}

#[test]
fn streams_are_copied_one_after_the_other() {
    for kinds in [("postgres", "postgres"), ("sqlite", "sqlite")] {
        let Some(scene) = Scene::new(kinds) else { continue };
        let run = scene.start();
        scene.ends.to.sql(&format!("{DAMAGE} UPDATE other SET v = 'wrong'"));
        scene.recopy("t");
        is_copying(&run);
        scene.recopy("other");
        scene.ends.from.sql("INSERT INTO other VALUES (2000, 'new'); INSERT INTO t VALUES (2000, 'new')");
        // It is not copied yet, and so it is followed.
        scene.arrives(&run, "other", 2_000, SOON);
        has_joined(&run, "t\"");
        has_joined(&run, "other\"");
        run.interrupt();
        scene.ends.desk.read(run.wait()).expect_code(0);
        scene.catch_up(&scene.fast);
        scene.same(&["t", "other"]);
    }
}

#[test]
fn a_new_table_is_copied_beside_those_that_are_followed() {
    let Some(scene) = Scene::new(("postgres", "postgres")) else { return };
    let from = &scene.ends.from;
    from.sql(&format!("CREATE TABLE third (id int PRIMARY KEY, v text); {}", rows("third", 1, 1_000)));
    let run = scene.start();
    is_copying(&run);
    from.sql("INSERT INTO other VALUES (3000, 'new'); UPDATE third SET v = 'moved' WHERE id % 7 = 0");
    scene.arrives(&run, "other", 3_000, SOON);
    assert!(!run.stdout().contains("\"joined\""), "the copy is over already\n{}", run.stdout());
    has_joined(&run, "third\"");
    from.sql("INSERT INTO third VALUES (3000, 'last')");
    scene.arrives(&run, "third", 3_000, WAIT_MAX);
    run.interrupt();
    scene.ends.desk.read(run.wait()).expect_code(0);
    scene.same(&["t", "other", "third"]);
}

#[test]
fn columns_change_while_a_stream_is_copied() {
    for kinds in [("postgres", "postgres"), ("mariadb", "postgres")] {
        let Some(scene) = Scene::new(kinds) else { continue };
        let (from, to) = (&scene.ends.from, &scene.ends.to);
        let run = scene.start();
        scene.recopy("t");
        is_copying(&run);
        from.sql("ALTER TABLE other ADD COLUMN more int; INSERT INTO other VALUES (4000, 'new', 7)");
        scene.arrives(&run, "other", 4_000, 2 * SOON);
        assert_eq!(to.sql("SELECT more FROM other WHERE id = 4000").trim(), "7");
        assert!(!run.stdout().contains("\"joined\""), "the copy is over already\n{}", run.stdout());
        from.sql("UPDATE other SET more = 8; INSERT INTO t VALUES (4000, 'new')");
        has_joined(&run, "t\"");
        from.sql("ALTER TABLE t ADD COLUMN more int; INSERT INTO t VALUES (4001, 'new', 9)");
        scene.arrives(&run, "t", 4_001, WAIT_MAX);
        run.interrupt();
        scene.ends.desk.read(run.wait()).expect_code(0);
        scene.catch_up(&scene.fast);
        scene.ends.same("SELECT id, v, more FROM t ORDER BY id");
        scene.ends.same("SELECT id, v, more FROM other ORDER BY id");
    }
}

#[test]
fn beginning_again_leaves_nothing_of_a_copy_beside_others() {
    for kinds in [("postgres", "postgres"), ("sqlite", "sqlite")] {
        let Some(scene) = Scene::new(kinds) else { continue };
        scene.recopy_stopped();
        scene.ends.from.sql("INSERT INTO t VALUES (5000, 'new')");
        scene.ends.desk.run(&["run", &scene.fast, "--until-caught-up", "--restart"]).expect_code(0);
        scene.same(&["t", "other"]);
        assert_eq!(scene.ends.desk.status()["followed"]["behind"].as_array().map(Vec::len), Some(0));
    }
}
