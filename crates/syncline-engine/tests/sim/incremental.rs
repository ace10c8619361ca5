//! Incremental runs, several of one pipeline with a source that changes between and during them: rows
//! with the value of the mark, late ones within the look-back, some without a value. Each run is cut
//! short anywhere, as in the other scenarios.

use std::collections::{BTreeMap, BTreeSet};

use syncline_connect::WriteMode;
use syncline_engine::core::{Ending, Job, OnError, Refusal, RetryPolicy, StreamJob};
use syncline_testkit::conformance::Row;

use super::{
    process::Process,
    world::{Dice, Mistake, Rows, Shared, SourceTable, State, World, table_name},
};

fn target_rows(world: &World) -> Vec<Row> {
    world.target.tables.get(&table_name(0)).map_or(vec![], |table| table.rows.clone())
}

/// Runs of one pipeline; the last one sees a source that stays as it is.
const ROUNDS: u64 = 4;
/// Processes of one run that may crash; those after them may not.
const CRASHING: u64 = 6;
const PROCESSES_MAX: u64 = 20;
const STEPS_MAX: u64 = 100_000;

#[derive(Clone, Debug)]
pub(crate) struct Incremental {
    seed: u64,
    mistake: Option<Mistake>,
    write: WriteMode,
    keyed: bool,
    /// Whether the target keeps progress and marks, or the state alone does.
    transactional: bool,
    lookback: i64,
    on_error: OnError,
    /// Before this round the state directory is lost.
    loses_state: Option<u64>,
    /// In this round it is lost while a run is under way.
    loses_run: Option<u64>,
}

impl Incremental {
    pub(crate) fn of_seed(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut dice = Dice(seed ^ 0x1C_5EED);
        let transactional = dice.chance(800);
        let appends = transactional && dice.chance(600);
        Incremental {
            seed,
            mistake,
            write: if appends { WriteMode::Append } else { WriteMode::Merge },
            keyed: !appends || dice.chance(600),
            transactional,
            lookback: dice.below(4) as i64 * 5,
            on_error: if appends && dice.chance(400) { OnError::DeadLetter } else { OnError::Stop },
            loses_state: (transactional && dice.chance(200)).then(|| 1 + dice.below(ROUNDS - 1)),
            loses_run: (transactional && dice.chance(150)).then(|| dice.below(ROUNDS)),
        }
    }

    fn world(&self, dice: &mut Dice) -> World {
        let mut world = World { mistake: self.mistake, states: vec![State::default()], ..World::default() };
        world.target.transactional = self.transactional;
        if self.on_error == OnError::DeadLetter {
            world.target.refused_values = (0..20).map(|_| dice.below(200) as i64).collect();
        }
        world.tables.push(SourceTable {
            keyed: self.keyed,
            write: self.write,
            staged: true,
            changing: false,
            rows: Rows::new(),
            snapshots: BTreeMap::new(),
            before: vec![],
            lookback: Some(self.lookback),
            removes: false,
        });
        world.dice = Dice(dice.roll());
        world
    }

    fn job(&self, name: &str, dice: &mut Dice, restart: bool) -> Job {
        Job {
            run_new: name.into(),
            fingerprint: "f".into(),
            restart,
            lanes: 1 + dice.below(3) as usize,
            on_error: self.on_error,
            allow_empty: false,
            commit_bytes: [16, 64, 1_000][dice.below(3) as usize],
            retry: RetryPolicy { first_millis: 1, pause_millis_max: 4, attempts_max: 8 },
            seed: dice.roll(),
            streams: vec![StreamJob {
                outlives_snapshot: self.keyed,
                staged: true,
                write: self.write,
                target_has_rows: false,
                removes: false,
            }],
        }
    }

    /// What is wrong in the end, if anything is.
    pub(crate) fn run(&self) -> Result<u64, String> {
        let mut dice = Dice(self.seed.wrapping_mul(17));
        let world = Shared::default();
        *world.get() = self.world(&mut dice);
        let chunk_rows = 1 + dice.below(8);
        let (mut crashes, mut restarted) = (0, false);
        // Rows without a value that the first run with any row has read.
        let mut nulls: Option<BTreeSet<i64>> = None;
        for round in 0..ROUNDS {
            let last = round + 1 == ROUNDS;
            self.change(&world, &mut dice);
            if self.loses_state == Some(round) {
                *world.get().state() = State::default();
            }
            // Without rows at the target a run is the first one again.
            if nulls.is_some() && target_rows(&world.get()).is_empty() {
                nulls = None;
                restarted = true;
            }
            let (died, anew) = self.one_run(&world, &mut dice, round, chunk_rows, last)?;
            crashes += died;
            restarted |= anew;
            let rows = world.get().tables[0].rows.clone();
            if nulls.is_none() && !rows.is_empty() {
                nulls = Some(rows.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| *key).collect());
            }
        }
        self.judge(&world, &nulls.unwrap_or_default(), restarted)?;
        Ok(crashes)
    }

    pub(crate) fn fine(&self) -> bool {
        self.run().is_ok()
    }

    /// Rows come, and where they are merged they change.
    fn change(&self, world: &Shared, dice: &mut Dice) {
        let mut world = world.get();
        let first = world.tables[0].rows.is_empty();
        let highest = world.tables[0].rows.values().flatten().max().copied().unwrap_or(0);
        for _ in 0..dice.below(25) {
            let table = &mut world.tables[0];
            let key = table.rows.keys().next_back().map_or(0, |key| key + 1 + dice.below(2) as i64);
            let value = match dice.below(8) {
                0 if first => None,
                // It comes late.
                0 | 1 if !first => Some(highest - dice.below(self.lookback.unsigned_abs() + 1) as i64),
                2 | 3 => Some(highest),
                _ => Some(highest + dice.below(12) as i64),
            };
            table.rows.insert(key, value);
        }
        if !first && dice.chance(300) {
            // Nobody reads it: it has come after the first run.
            let key = world.tables[0].rows.keys().next_back().map_or(0, |key| key + 1);
            world.tables[0].rows.insert(key, None);
        }
        if self.write == WriteMode::Merge {
            let now = world.tables[0].rows.values().flatten().max().copied().unwrap_or(0);
            for value in world.tables[0].rows.values_mut().flatten() {
                if dice.chance(150) {
                    *value = now + dice.below(3) as i64;
                }
            }
        }
    }

    /// Runs processes until the run is at its end. Returns how many crashed, and whether it was begun
    /// anew on purpose.
    fn one_run(
        &self,
        world: &Shared,
        dice: &mut Dice,
        round: u64,
        chunk_rows: u64,
        last: bool,
    ) -> Result<(u64, bool), String> {
        let (mut crashes, mut restart, mut restarted) = (0, false, false);
        for number in 0..PROCESSES_MAX {
            let crashing = number < CRASHING;
            world.get().chaos = if crashing { 15 } else { 0 };
            let job = self.job(&format!("r{round}x{number}"), dice, restart);
            restarted |= restart;
            let mut process = Process::start(world, job, chunk_rows);
            let crashed = self.steps(world, &mut process, crashing, dice)?;
            crashes += u64::from(crashed);
            match process.ending() {
                Some(Ending::Done) => return Ok((crashes, restarted)),
                _ if crashed => {}
                Some(Ending::Refused(Refusal::StateLost)) => restart = true,
                Some(_) if !crashing => return Err(format!("it did not finish: {}", process.explain())),
                _ => {}
            }
            restart &= world.get().state().run.is_none();
            if self.loses_run == Some(round) && number == 1 {
                *world.get().state() = State::default();
            }
            // Rows beyond the run's bound, which the next one reads.
            if !last && dice.chance(300) {
                let mut world = world.get();
                let rows = &mut world.tables[0].rows;
                let highest = rows.values().flatten().max().copied();
                if let (Some(key), Some(highest)) = (rows.keys().next_back().copied(), highest) {
                    rows.insert(key + 1, Some(highest + 1));
                }
            }
        }
        Err("it never finished".into())
    }

    fn steps(
        &self,
        world: &Shared,
        process: &mut Process,
        crashing: bool,
        dice: &mut Dice,
    ) -> Result<bool, String> {
        for _ in 0..STEPS_MAX {
            if crashing && dice.chance(15) {
                return Ok(true);
            }
            let ended = process.step().is_none();
            if ended || process.crashed {
                return Ok(process.crashed);
            }
            if let Some(wrong) = &world.get().wrong {
                return Err(wrong.clone());
            }
        }
        Err("it does not end".into())
    }

    /// Append: each row once. Merge: the source's rows as they are. Both without rows that have no value
    /// and came after the first run.
    fn judge(&self, world: &Shared, nulls: &BTreeSet<i64>, restarted: bool) -> Result<(), String> {
        let world = world.get();
        let rows = world.tables[0].rows.iter().map(|(key, value)| (*key, *value));
        let read: Vec<Row> = rows.filter(|(key, value)| value.is_some() || nulls.contains(key)).collect();
        let (refused, mut wanted): (Vec<Row>, Vec<Row>) =
            read.into_iter().partition(|row| world.target.refuses(row));
        let mut got = target_rows(&world);
        wanted.sort_unstable();
        got.sort_unstable();
        if got != wanted {
            let only = |these: &[Row], those: &[Row]| -> Vec<Row> {
                these.iter().filter(|row| !those.contains(row)).copied().collect()
            };
            let (lost, odd) = (only(&wanted, &got), only(&got, &wanted));
            let (count, should) = (got.len(), wanted.len());
            return Err(format!("{count} rows, and should be {should}: lost {lost:?}, too many {odd:?}"));
        }
        // A run that is thrown away leaves its letters, and so does a state that is.
        let letters = world.states.last().map_or(0, |state| state.letters.len());
        let anew = restarted || self.loses_state.is_some() || self.loses_run.is_some();
        if !anew && letters != refused.len() {
            return Err(format!("{letters} letters of {} rows", refused.len()));
        }
        Ok(())
    }
}
