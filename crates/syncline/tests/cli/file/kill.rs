//! `kill -9` at any moment of writing files.

use std::time::Duration;

use syncline_testkit::{process::Finished, seed::Seed};

use super::Folder;
use crate::{desk::Desk, desk::sum, lite::Lite};

/// Runs that are killed, for each way to write.
const KILLS: u32 = 12;
const ROWS: u64 = 4_000;
/// Slow enough that most moments are in the middle of moving rows.
const LIMIT: &str = "30000/s";

struct Scene {
    desk: Desk,
    from: Lite,
    to: Folder,
    query: &'static str,
    write: &'static str,
    runs: usize,
    last_run: String,
}

impl Scene {
    fn new(write: &'static str, query: &'static str) -> Self {
        let desk = Desk::new();
        let (from, to) = (Lite::at(desk.path().join("from.db")), Folder::at(desk.path().join("to")));
        let rows: Vec<String> = (1..=ROWS).map(|id| format!("({id}, 0, 'value {id}')")).collect();
        from.sql(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, generation INTEGER, v TEXT); INSERT INTO t VALUES {}",
            rows.join(",")
        ));
        Scene { desk, from, to, query, write, runs: 0, last_run: String::new() }
    }

    fn life(&self, parallel: &str, moment: Option<Duration>) -> Finished {
        let (from, to) = (self.from.url(), self.to.url(self.query));
        let program = self
            .desk
            .syncline(&["copy", &from, &to, "--stream", "t", "--chunk-rows", "300"])
            .args(["--write", self.write, "--parallel", parallel, "--limit-rows", LIMIT, "--output", "json"]);
        match moment {
            Some(moment) => program.start().kill9_after(moment),
            None => program.run(),
        }
    }

    /// The rows as a table that the folder is copied into has them.
    fn rows(&self) -> Option<String> {
        self.to.manifest("t")?;
        if self.write == "append" {
            // A key would keep rows that came twice out of the table.
            let lines = self.to.lines("t")?.into_iter().map(|line| line.replace(',', "|"));
            let mut lines: Vec<String> = lines.collect();
            lines.sort_unstable();
            return Some(lines.join("\n"));
        }
        let desk = Desk::new();
        let back = Lite::at(desk.path().join("back.db"));
        desk.run(&["copy", &self.to.url(""), &back.url()]).done();
        Some(back.sql("SELECT id, generation, v FROM t ORDER BY 1, 2, 3"))
    }

    fn is_over(&mut self) -> bool {
        let told = self.desk.run(&["status"]).expect_code(0).events;
        let Some(status) = told.first() else { return false };
        let run = status["run"].as_str().unwrap_or_default();
        if run == self.last_run || status["state"] != "finished" {
            return false;
        }
        self.last_run = run.to_owned();
        true
    }

    fn ended(&mut self) {
        self.runs += 1;
        let copies = if self.write == "append" { self.runs } else { 1 };
        let wanted = vec!["SELECT id, generation, v FROM t"; copies].join(" UNION ALL ");
        let order =
            if self.write == "append" { "id || '|' || generation || '|' || v" } else { "id, generation, v" };
        let wanted = self.from.sql(&format!("SELECT * FROM ({wanted}) ORDER BY {order}"));
        assert!(
            self.rows() == Some(wanted),
            "{}, run {}: rows are not as they should be",
            self.write,
            self.runs
        );
        self.to.nothing_left();
    }

    /// Kills lives until one comes to its end. Returns how many died.
    fn run_to_the_end(&mut self, mut life: impl FnMut(&Self) -> Finished) -> u32 {
        let old = self.rows();
        let new = Some(self.from.sql("SELECT id, generation, v FROM t ORDER BY 1, 2, 3"));
        for killed in 0.. {
            let life = life(self);
            if !life.was_killed() {
                let summary = self.desk.read(life).done();
                assert_eq!(sum(&summary, "rows") + sum(&summary, "rows_resumed"), ROWS, "{summary}");
                assert!(self.is_over(), "a run that ended well is finished");
                self.ended();
                return killed;
            }
            self.desk.hear(life);
            if self.write != "append" {
                let seen = self.rows();
                assert!(seen == old || seen == new, "{}: a part of a run is seen", self.write);
            }
            if self.is_over() {
                self.ended();
                return killed + 1;
            }
        }
        unreachable!("the loop has no end of its own")
    }
}

fn survive(write: &'static str, query: &'static str) {
    let seed = Seed::from_env();
    let mut rng = seed.rng();
    let mut scene = Scene::new(write, query);
    let mut longest = 0.0_f64;
    scene.run_to_the_end(|scene| {
        let whole = scene.life("2", None);
        longest = whole.seconds;
        whole
    });
    let mut kills = 0;
    while kills < KILLS {
        if write != "append" {
            scene.from.sql("UPDATE t SET generation = generation + 1");
        }
        kills += scene.run_to_the_end(|scene| {
            let moment = Duration::from_secs_f64(longest * rng.below(1_000) as f64 / 1_000.0);
            let parallel = *rng.pick(&["1", "2", "4"]);
            scene.life(parallel, Some(moment))
        });
    }
    let runs = scene.runs;
    eprintln!(
        "{write}, {query}: {kills} kills in {runs} runs of about {longest:.2} s, SYNCLINE_SEED={}",
        seed.value()
    );
}

#[test]
fn an_overwrite_of_json_lines_survives_being_killed() {
    survive("overwrite", "?format=jsonl&compression=zstd");
}

#[test]
fn an_overwrite_of_parquet_survives_being_killed() {
    survive("overwrite", "?format=parquet");
}

#[test]
fn an_append_adds_each_row_once_however_often_it_is_killed() {
    survive("append", "?format=csv");
}

#[test]
fn a_merge_survives_being_killed() {
    survive("merge", "?format=csv&compression=gzip");
}
