//! `kill -9` at any moment with an SQLite file at one end or both.

use std::time::Duration;

use syncline_testkit::{process::Finished, seed::Seed};

use crate::{
    desk::sum,
    ends::{Ends, WITH_SQLITE},
};

/// Runs that are killed, for each pair and way to write.
const KILLS: u32 = 5;
const ROWS: u64 = 2_000;
const OPTIONS: &[&str] = &["--stream", "t", "--chunk-rows", "200"];
const TABLE: &str = "SELECT id, generation, v FROM t ORDER BY id, generation, v";
/// Slow enough that most moments are in the middle of moving rows.
const LIMIT: &str = "20000/s";

fn fill(ends: &Ends) {
    let rows: Vec<String> = (1..=ROWS).map(|id| format!("({id}, 0, 'value {id}')")).collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, generation bigint, v text); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
}

/// One way of writing between two ends, killed again and again.
struct Scene {
    ends: Ends,
    write: &'static str,
    runs: usize,
    last_run: String,
}

impl Scene {
    fn life(&self, parallel: &str, moment: Option<Duration>) -> Finished {
        let options = ["--write", self.write, "--parallel", parallel, "--limit-rows", LIMIT];
        let program = self.ends.copy(&[OPTIONS, &options].concat());
        match moment {
            Some(moment) => program.start().kill9_after(moment),
            None => program.run(),
        }
    }

    fn rows(&self) -> Option<String> {
        self.ends.to.has("t").then(|| self.ends.to.sql(TABLE))
    }

    /// Whether a life that was killed had come to its run's end all the same.
    fn is_over(&mut self) -> bool {
        let told = self.ends.desk.run(&["status"]).expect_code(0).events;
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
        let what = format!("{}, {}, run {}", self.ends.what, self.write, self.runs);
        let copies = if self.write == "append" { self.runs } else { 1 };
        let once = "SELECT id, generation, v FROM t";
        let wanted = vec![once; copies].join(" UNION ALL ");
        let wanted = self.ends.from.sql(&format!("SELECT * FROM ({wanted}) AS x ORDER BY 1, 2, 3"));
        assert!(self.rows().as_ref() == Some(&wanted), "{what}: rows are not as they should be");
        self.ends.to.nothing_left();
    }

    /// Kills lives at moments that `moment` gives until one comes to its end. Returns how many died.
    fn run_to_the_end(&mut self, mut life: impl FnMut(&Self) -> Finished) -> u32 {
        let old = self.rows();
        let new = Some(self.ends.from.sql(TABLE));
        for killed in 0.. {
            let life = life(self);
            if !life.was_killed() {
                let summary = self.ends.desk.read(life).done();
                let moved = sum(&summary, "rows") + sum(&summary, "rows_resumed");
                assert_eq!(moved.to_string(), self.ends.from.sql("SELECT count(*) FROM t"), "{summary}");
                assert!(self.is_over(), "a run that ended well is finished");
                self.ended();
                return killed;
            }
            self.ends.desk.hear(life);
            if self.write != "append" {
                let seen = self.rows();
                let what = format!("{}, {}", self.ends.what, self.write);
                assert!(seen == old || seen == new, "{what}: a part of a run is seen");
            }
            if self.is_over() {
                self.ended();
                return killed + 1;
            }
        }
        unreachable!("the loop has no end of its own")
    }
}

fn survive(write: &'static str) {
    let seed = Seed::from_env();
    let mut rng = seed.rng();
    for kinds in WITH_SQLITE {
        let Some(ends) = Ends::new(kinds) else { return };
        fill(&ends);
        if write == "append" {
            ends.to.sql("CREATE TABLE t (id bigint, generation bigint, v text)");
        }
        let mut scene = Scene { ends, write, runs: 0, last_run: String::new() };
        let mut longest = 0.0_f64;
        scene.run_to_the_end(|scene| {
            let whole = scene.life("2", None);
            longest = whole.seconds;
            whole
        });
        let mut kills = 0;
        while kills < KILLS {
            if write != "append" {
                scene.ends.from.sql("UPDATE t SET generation = generation + 1");
            }
            kills += scene.run_to_the_end(|scene| {
                let moment = Duration::from_secs_f64(longest * rng.below(1_000) as f64 / 1_000.0);
                let parallel = *rng.pick(&["1", "2", "4"]);
                scene.life(parallel, Some(moment))
            });
        }
        eprintln!(
            "{}, {write}: {kills} kills in {} runs of about {longest:.2} s, SYNCLINE_SEED={}",
            scene.ends.what,
            scene.runs,
            seed.value()
        );
    }
}

#[test]
fn an_overwrite_survives_being_killed() {
    survive("overwrite");
}

#[test]
fn an_append_adds_each_row_once_however_often_it_is_killed() {
    survive("append");
}

#[test]
fn a_merge_survives_being_killed() {
    survive("merge");
}
