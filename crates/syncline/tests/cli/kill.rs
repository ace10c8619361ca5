//! `kill -9` at any moment: the same command goes on, and the result is exact.

use std::time::Duration;

use serde_json::Value;
use syncline_testkit::{process::Finished, seed::Seed, servers::postgres::shared};

use crate::{
    desk::{number, sum},
    tables::{Holder, Pair, digest, nothing_left, same_rows},
};

/// Runs that are killed, for each way.
const KILLS: u32 = 6;
const ROWS: u64 = 4_000;
const CHUNK_ROWS: u64 = 400;

/// A way of copying that is killed again and again.
struct Way {
    /// Also the table's name, by which its statements are found in the log.
    name: &'static str,
    keyed: bool,
    /// What the target has before the first run.
    target: &'static str,
    options: &'static [&'static str],
    /// What becomes of the source between runs.
    change: &'static str,
    /// Whether each run adds all rows.
    adds: bool,
}

const KEYED: &str = "(id int PRIMARY KEY, generation int, v text)";
const KEYLESS: &str = "(id int, generation int, v text)";
const CHANGE: &str = "UPDATE {t} SET generation = generation + 1; DELETE FROM {t} WHERE id % 50 = (SELECT max(generation) FROM {t}) % 50; INSERT INTO {t} SELECT -max(generation), max(generation), 'new' FROM {t}";
const CHANGE_NO_DELETE: &str = "UPDATE {t} SET generation = generation + 1; INSERT INTO {t} SELECT -max(generation), max(generation), 'new' FROM {t}";

/// A database pair on which one way is killed.
struct Scene<'a> {
    way: &'a Way,
    pair: Pair,
    /// Runs that came to their end.
    runs: usize,
    /// The last of them.
    last_run: String,
}

impl<'a> Scene<'a> {
    fn new(way: &'a Way) -> Option<Self> {
        let pair = Pair::new()?;
        let (name, columns) = (way.name, if way.keyed { KEYED } else { KEYLESS });
        pair.from.sql(&format!(
            "CREATE TABLE {name} {columns}; INSERT INTO {name} SELECT g, 0, repeat(md5(g::text), 3) FROM generate_series(1, {ROWS}) g;
             ALTER DATABASE {} SET log_statement = 'all'",
            pair.from.name()
        ));
        pair.to.sql(way.target);
        Some(Scene { way, pair, runs: 0, last_run: String::new() })
    }

    fn command(&self, parallel: &str) -> Vec<String> {
        let chunk_rows = CHUNK_ROWS.to_string();
        let options = ["--stream", self.way.name, "--chunk-rows", &chunk_rows, "--parallel", parallel];
        self.pair.copy(&[&options, self.way.options].concat())
    }

    fn table(&self) -> String {
        format!("TABLE {}", self.way.name)
    }

    fn change_source(&self) {
        self.pair.from.sql(&self.way.change.replace("{t}", self.way.name));
    }

    /// How often rows of the source's table have been asked for, ever.
    fn reads(&self) -> usize {
        let (database, table) = (format!(" {}: ", self.pair.from.name()), format!("\"{}\"", self.way.name));
        let parts = ["COPY (SELECT", "TO STDOUT", &database, &table];
        let read = |line: &&str| parts.iter().all(|part| line.contains(part));
        shared().log().lines().filter(read).count()
    }

    /// What `status` says, once there is a run.
    fn status(&self) -> Option<Value> {
        self.pair.desk.run(&["status"]).expect_code(0).events.pop()
    }

    /// Whether a life that was killed had come to its run's end all the same.
    fn is_over(&mut self) -> bool {
        let Some(status) = self.status() else { return false };
        let run = status["run"].as_str().unwrap_or_default().to_owned();
        if run == self.last_run {
            return false;
        }
        let (done, known) = (sum(&status, "chunks_done"), sum(&status, "chunks_known"));
        assert!(done <= known && sum(&status, "rows") <= 2 * ROWS, "{status}");
        status["state"] == "finished"
    }

    /// A run is at its end: the result is exact, and nothing is left behind.
    fn ended(&mut self) {
        self.runs += 1;
        let status = self.status().expect("there is a run");
        assert_eq!(
            (&status["state"], &status["streams"][0]["phase"]),
            (&"finished".into(), &"published".into()),
            "{status}"
        );
        self.last_run = status["run"].as_str().unwrap_or_default().to_owned();
        let copies = if self.way.adds { self.runs } else { 1 };
        let expected = vec![format!("SELECT * FROM {}", self.way.name); copies].join(" UNION ALL ");
        same_rows((&self.pair.from, &expected), (&self.pair.to, &self.table()));
        nothing_left(&self.pair.to);
    }

    /// The summary of a life that was left alone, in which rows were asked for so often.
    fn check_summary(&self, life: Finished, reads: u64) {
        let summary = self.pair.desk.read(life).done();
        let (rows, resumed) = (sum(&summary, "rows"), sum(&summary, "rows_resumed"));
        let total: u64 =
            self.pair.from.sql(&format!("SELECT count(*) FROM {}", self.way.name)).parse().expect("a count");
        assert_eq!(rows + resumed, total, "{summary}");
        assert_eq!(summary["resumed"].as_bool(), Some(resumed > 0), "{summary}");
        if self.way.keyed {
            // The last chunk may be an empty one.
            let least = rows.div_ceil(CHUNK_ROWS);
            assert!((least..=least + 1).contains(&reads), "{reads} reads for {rows} rows: {summary}");
        } else {
            assert!(resumed == 0 || rows == 0, "without a key all rows are of one snapshot: {summary}");
        }
    }

    /// Kills the next life wherever `kill` does, until one comes to its end by itself. Returns how
    /// many were killed.
    fn run_to_the_end(&mut self, mut kill: impl FnMut(&Self) -> Finished) -> u32 {
        let old = digest(&self.pair.to, &self.table_or_nothing());
        let new = digest(&self.pair.from, &self.table());
        for killed in 0.. {
            let reads = self.reads();
            let life = kill(self);
            if !life.was_killed() {
                let reads = (self.reads() - reads) as u64;
                self.check_summary(life, reads);
                self.ended();
                return killed;
            }
            self.pair.desk.hear(life);
            if !self.way.adds {
                let seen = digest(&self.pair.to, &self.table_or_nothing());
                assert!(seen == old || seen == new, "a part of a run is seen: {seen}, not {old} or {new}");
            }
            if self.is_over() {
                self.ended();
                return killed + 1;
            }
        }
        unreachable!("the loop has no end of its own")
    }

    fn table_or_nothing(&self) -> String {
        let name = self.way.name;
        match self.pair.to.sql(&format!("SELECT to_regclass('{name}') IS NULL")).as_str() {
            "t" => "SELECT 1 WHERE false".to_owned(),
            _ => self.table(),
        }
    }
}

/// Kills runs at random moments until enough were killed, each run ending with an exact result.
fn survive(way: &Way) {
    let seed = Seed::from_env();
    let mut rng = seed.rng();
    let Some(mut scene) = Scene::new(way) else { return };
    let mut longest = 0.0_f64;
    scene.run_to_the_end(|scene| {
        let whole = scene.pair.desk.syncline(&scene.command("2")).args(["--output", "json"]).run();
        longest = whole.seconds;
        whole
    });
    let mut kills = 0;
    while kills < KILLS {
        scene.change_source();
        kills += scene.run_to_the_end(|scene| {
            let parallel = *rng.pick(&["1", "2", "4", "7"]);
            let moment = Duration::from_secs_f64(longest * rng.below(1_000) as f64 / 1_000.0);
            scene
                .pair
                .desk
                .syncline(&scene.command(parallel))
                .args(["--output", "json"])
                .start()
                .kill9_after(moment)
        });
    }
    eprintln!(
        "{}: {kills} kills in {} runs of about {longest:.2} s, SYNCLINE_SEED={}",
        way.name,
        scene.runs,
        seed.value()
    );
}

const WAYS: &[Way] = &[
    Way { name: "k_overwrite", keyed: true, target: "", options: &[], change: CHANGE, adds: false },
    Way {
        name: "k_in_place",
        keyed: true,
        target: "CREATE TABLE k_in_place (id int PRIMARY KEY, generation int, v text); CREATE INDEX ON k_in_place (v)",
        options: &["--write", "overwrite"],
        change: CHANGE,
        adds: false,
    },
    Way {
        name: "k_merge",
        keyed: true,
        target: "",
        options: &["--write", "merge"],
        change: CHANGE_NO_DELETE,
        adds: false,
    },
    Way {
        name: "k_append",
        keyed: true,
        target: "CREATE TABLE k_append (id int, generation int, v text)",
        options: &["--write", "append"],
        change: "",
        adds: true,
    },
    Way { name: "k_keyless", keyed: false, target: "", options: &[], change: CHANGE, adds: false },
    Way {
        name: "k_keyless_append",
        keyed: false,
        target: "",
        options: &["--write", "append"],
        change: "",
        adds: true,
    },
];

fn way(name: &str) -> &'static Way {
    WAYS.iter().find(|way| way.name == name).expect("it is listed")
}

#[test]
fn an_overwrite_by_key_survives_being_killed() {
    survive(way("k_overwrite"));
}

#[test]
fn an_overwrite_in_place_survives_being_killed() {
    survive(way("k_in_place"));
}

#[test]
fn a_merge_survives_being_killed() {
    survive(way("k_merge"));
}

#[test]
fn an_append_by_key_adds_each_row_once_however_often_it_is_killed() {
    survive(way("k_append"));
}

#[test]
fn an_overwrite_without_a_key_survives_being_killed() {
    survive(way("k_keyless"));
}

#[test]
fn an_append_without_a_key_adds_each_row_once_however_often_it_is_killed() {
    survive(way("k_keyless_append"));
}

/// Waits for staging to come and to go.
const WATCH: &str = "DO $$ DECLARE there boolean := false; now_there boolean; BEGIN
    RAISE NOTICE 'watching';
    LOOP
      SELECT EXISTS (SELECT FROM pg_class WHERE relname LIKE '\\_syncline\\_stage%' AND relkind = 'r') INTO now_there;
      IF there AND NOT now_there THEN RAISE NOTICE 'published'; RETURN; END IF;
      there := now_there;
      PERFORM pg_sleep(0.0002);
    END LOOP;
  END $$";

#[test]
fn a_run_that_is_killed_right_after_publishing_is_not_done_again() {
    for way in WAYS.iter().filter(|way| way.name != "k_append") {
        let Some(mut scene) = Scene::new(way) else { return };
        scene.run_to_the_end(|scene| {
            scene.pair.desk.syncline(&scene.command("2")).args(["--output", "json"]).run()
        });
        let mut killed = 0;
        for _ in 0..10 {
            if killed > 0 {
                break;
            }
            scene.change_source();
            let mut first = true;
            killed += scene.run_to_the_end(|scene| {
                let command = scene.pair.desk.syncline(&scene.command("2")).args(["--output", "json"]);
                if !std::mem::take(&mut first) {
                    return command.run();
                }
                let watch = scene.pair.to.start_sql(WATCH);
                watch.wait_for_line(|line| line.contains("watching"));
                let life = command.start();
                watch.wait_for_line(|line| line.contains("published"));
                life.kill9_after(Duration::ZERO)
            });
        }
        assert!(killed > 0, "{}: no life was killed", way.name);
    }
}

#[test]
fn a_run_that_is_killed_while_it_waits_to_publish_goes_on() {
    for way in ["k_overwrite", "k_in_place", "k_merge", "k_keyless_append"].map(way) {
        let Some(mut scene) = Scene::new(way) else { return };
        scene.run_to_the_end(|scene| {
            scene.pair.desk.syncline(&scene.command("2")).args(["--output", "json"]).run()
        });
        scene.change_source();
        let lock = format!("LOCK TABLE {} IN SHARE MODE", way.name);
        let mut holder = Some(Holder::start(&scene.pair.to, &lock));
        let mut lives = 0;
        scene.run_to_the_end(|scene| {
            lives += 1;
            if lives == 3 {
                drop(holder.take());
            }
            let program = scene.pair.desk.syncline(&scene.command("2")).args(["--output", "json"]);
            let Some(holder) = &holder else { return program.run() };
            let life = holder.holds_up(program);
            let status = scene.status().expect("there is a run");
            assert_eq!(status["state"], "running", "{status}");
            let text = scene.pair.desk.text(&["status"]).stdout;
            assert!(text.contains("to be published"), "{text}");
            life.kill9_after(Duration::ZERO)
        });
    }
}

#[test]
fn status_tells_what_is_left_of_a_run_that_was_killed() {
    let Some(scene) = Scene::new(way("k_overwrite")) else { return };
    let command = scene.command("1");
    let slowly = scene.pair.desk.syncline(&command).args(["--limit-rows", "2000/s"]).start();
    scene.pair.desk.wait_for_chunks(&slowly, 2);
    assert!(slowly.kill9_after(Duration::ZERO).was_killed());
    let status = scene.status().expect("a run has begun");
    let (done, rows) = (sum(&status, "chunks_done"), sum(&status, "rows"));
    assert_eq!(
        (&status["state"], &status["streams"][0]["phase"]),
        (&"unfinished".into(), &"copying".into()),
        "{status}"
    );
    assert!(done > 0 && done < 10 && rows == done * CHUNK_ROWS, "{status}");
    assert_eq!(status["streams"][0]["all_chunks_known"], false, "{status}");
    let text = scene.pair.desk.text(&["status"]).expect_code(0).stdout;
    for part in
        [": unfinished, postgres://", "public.k_overwrite", "copying", "same command goes on", "--restart"]
    {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    // And what went on is told in the summary, for people too.
    let rest = scene.pair.desk.text(&command).expect_code(0);
    assert!(rest.stderr.contains("more than one snapshot") && rest.stderr.contains("--restart"), "{rest}");
    let status = scene.status().expect("a run is over");
    assert_eq!(
        (&status["state"], number(&status["streams"][0]["rows"])),
        (&"finished".into(), ROWS),
        "{status}"
    );
}

#[test]
fn a_restart_copies_from_one_snapshot() {
    let Some(scene) = Scene::new(way("k_overwrite")) else { return };
    let life = scene.pair.desk.syncline(&scene.command("1")).args(["--limit-rows", "2000/s"]).start();
    scene.pair.desk.wait_for_chunks(&life, 2);
    assert!(life.kill9_after(Duration::ZERO).was_killed());
    scene.change_source();
    let ran = scene.pair.desk.run(&[scene.command("4"), vec!["--restart".to_owned()]].concat());
    let summary = ran.done();
    assert_eq!(
        (&summary["snapshots"], &summary["resumed"], sum(&summary, "rows_resumed")),
        (&1.into(), &false.into(), 0)
    );
    scene.pair.same("k_overwrite");
}
