//! `kill -9` at any moment of incremental runs: no row is lost, and none is there twice.

use std::time::Duration;

use syncline_testkit::{process::Finished, seed::Seed};

use crate::ends::{Ends, WITH_MYSQL};

/// Runs that are killed, for each pair and way to write.
const KILLS: u32 = 3;
/// Slow enough that most moments are in the middle of moving rows.
const LIMIT: &str = "10000/s";
const LOOKBACK: i64 = 30;

struct Scene {
    ends: Ends,
    write: &'static str,
    keyed: bool,
    /// The highest cursor so far.
    highest: i64,
    next_id: i64,
}

impl Scene {
    fn life(&self, parallel: &str, moment: Option<Duration>) -> Finished {
        let lookback = LOOKBACK.to_string();
        let options = [
            "--stream",
            "t",
            "--sync",
            "incremental",
            "--cursor",
            "n",
            "--lookback",
            &lookback,
            "--write",
            self.write,
            "--parallel",
            parallel,
            "--chunk-rows",
            "60",
            "--limit-rows",
            LIMIT,
        ];
        let program = self.ends.copy(&options);
        match moment {
            Some(moment) => program.start().kill9_after(moment),
            None => program.run(),
        }
    }

    /// New rows, five to a value and some of them alike; late ones within the look-back; and changed
    /// ones, where that is no other row.
    fn change(&mut self, rng: &mut syncline_testkit::seed::Rng) {
        let mut rows = vec![];
        for at in 0..400 {
            let late = at % 40 == 0 && self.highest > LOOKBACK;
            let n =
                if late { self.highest - rng.below(LOOKBACK as u64) as i64 } else { self.highest + at / 5 };
            rows.push(format!("({}, {n}, 'value {}')", self.next_id, at % 3));
            self.next_id += i64::from(self.keyed || at % 2 == 0);
        }
        self.ends.from.sql(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
        self.highest += 79;
        if self.write == "merge" {
            self.highest += 1;
            let to = self.highest;
            self.ends.from.sql(&format!("UPDATE t SET n = {to}, v = 'changed' WHERE id % 17 = {}", to % 17));
        }
    }

    /// Kills lives at moments that `moment` gives until one comes to its end. Returns how many died.
    fn run_to_the_end(&self, mut life: impl FnMut(&Self) -> Finished) -> u32 {
        for killed in 0.. {
            let life = life(self);
            if !life.was_killed() {
                self.ends.desk.read(life).done();
                self.ends.same("SELECT id, n, v FROM t ORDER BY id, n, v");
                return killed;
            }
            self.ends.desk.hear(life);
        }
        unreachable!("the loop has no end of its own")
    }
}

fn survive(write: &'static str, keyed: bool) {
    let seed = Seed::from_env();
    let mut rng = seed.rng();
    // Files keep no key that would keep a row out which is added twice.
    for kinds in WITH_MYSQL.into_iter().chain([("mysql", "csv")]) {
        let Some(ends) = Ends::new(kinds) else { return };
        let key = if keyed { " PRIMARY KEY" } else { "" };
        ends.from.sql(&format!("CREATE TABLE t (id bigint{key}, n bigint, v text)"));
        if keyed && write == "append" && kinds.1 != "csv" {
            // A row that is added twice is taken, and seen.
            ends.to.sql("CREATE TABLE t (id bigint, n bigint, v text)");
        }
        let mut scene = Scene { ends, write, keyed, highest: 0, next_id: 0 };
        scene.change(&mut rng);
        let mut longest = 0.0_f64;
        scene.run_to_the_end(|scene| {
            let whole = scene.life("2", None);
            longest = whole.seconds;
            whole
        });
        let (mut kills, mut runs) = (0, 1);
        while kills < KILLS {
            scene.change(&mut rng);
            let mut lives = 0;
            kills += scene.run_to_the_end(|scene| {
                lives += 1;
                let moment = Duration::from_secs_f64(longest * rng.below(1_000) as f64 / 1_000.0);
                let parallel = *rng.pick(&["1", "2", "4"]);
                scene.life(parallel, (lives < 4).then_some(moment))
            });
            runs += 1;
        }
        eprintln!(
            "{}, {write}, keyed {keyed}: {kills} kills in {runs} runs of about {longest:.2} s, SYNCLINE_SEED={}",
            scene.ends.what,
            seed.value()
        );
    }
}

#[test]
fn rows_are_added_once_however_often_a_run_is_killed() {
    survive("append", false);
}

/// What was committed before a kill is not read again, and is known all the same.
#[test]
fn rows_of_a_keyed_source_are_added_once_however_often_a_run_is_killed() {
    survive("append", true);
}

#[test]
fn rows_are_merged_however_often_a_run_is_killed() {
    survive("merge", true);
}
