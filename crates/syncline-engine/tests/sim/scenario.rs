//! One seed's world, processes and oracle.

use std::collections::BTreeMap;

use syncline_connect::WriteMode;
use syncline_engine::core::{Ending, Job, OnError, Refusal, RetryPolicy, StreamJob};
use syncline_testkit::conformance::Row;
use syncline_types::ErrorKind;

use super::{
    process::Process,
    world::{Dice, Mistake, Rows, Shared, SourceTable, State, Table, Target, World, table_name},
};

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    seed: u64,
    mistake: Option<Mistake>,
    transactional: bool,
    on_error: OnError,
    /// The state directory is lost once.
    loses_state: bool,
    /// A process goes on although another has taken over.
    zombie: bool,
}

pub(crate) enum Verdict {
    Fine(Counts),
    Wrong(String),
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) processes: u64,
    pub(crate) crashes: u64,
    pub(crate) letters: u64,
}

/// Processes that may crash; those after them may not.
const CRASHING: u64 = 12;
const PROCESSES_MAX: u64 = 40;
const STEPS_MAX: u64 = 100_000;

impl Scenario {
    pub(crate) fn of_seed(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut dice = Dice(seed ^ 0x5EED);
        let transactional = dice.chance(750);
        Scenario {
            seed,
            mistake,
            transactional,
            on_error: if dice.chance(600) { OnError::DeadLetter } else { OnError::Stop },
            loses_state: dice.chance(150),
            // Without transactions there is nothing that could keep a zombie out.
            zombie: transactional && dice.chance(200),
        }
    }

    fn world(&self) -> World {
        let mut dice = Dice(self.seed);
        let mut world = World { mistake: self.mistake, states: vec![State::default()], ..World::default() };
        world.target.transactional = self.transactional;
        if self.on_error == OnError::DeadLetter {
            world.target.refused_values = (0..dice.below(120)).map(|_| dice.below(1_000) as i64).collect();
        }
        for number in 0..1 + dice.below(3) as usize {
            let table = self.table(&mut dice);
            // A table that rows are added to has no key: whoever begins anew on purpose adds them twice.
            let keyed = table.keyed && table.write != WriteMode::Append;
            let rows = table.before.clone();
            world.target.tables.insert(table_name(number), Table { keyed, rows });
            world.tables.push(table);
        }
        world.dice = dice;
        world
    }

    fn table(&self, dice: &mut Dice) -> SourceTable {
        let rows: Rows =
            (0..dice.below(40)).map(|_| (dice.below(100) as i64, Some(dice.below(1_000) as i64))).collect();
        if !self.transactional {
            // Applies by key and stages nothing: every mode comes to the same.
            return SourceTable {
                keyed: true,
                write: WriteMode::Merge,
                staged: false,
                removes: false,
                changing: false,
                rows,
                snapshots: BTreeMap::new(),
                before: vec![],
                lookback: None,
            };
        }
        let write = [WriteMode::Overwrite, WriteMode::Append, WriteMode::Merge][dice.below(3) as usize];
        let keyed = write == WriteMode::Merge || dice.chance(600);
        let before = (0..dice.below(5)).map(|key| (90 + key as i64, Some(-1))).collect();
        SourceTable {
            keyed,
            write,
            staged: !(keyed && write == WriteMode::Append),
            // Of dice of its own, so that seeds mean the rest as they did.
            removes: write == WriteMode::Merge && Dice(dice.0 ^ 0xDE1).chance(500),
            changing: !keyed && dice.chance(500),
            rows,
            snapshots: BTreeMap::new(),
            before,
            lookback: None,
        }
    }

    fn job(&self, world: &World, process: u64, dice: &mut Dice, restart: bool) -> Job {
        let streams = world
            .tables
            .iter()
            .map(|table| StreamJob {
                outlives_snapshot: table.keyed,
                staged: table.staged,
                write: table.write,
                target_has_rows: !table.before.is_empty(),
                removes: table.removes,
            })
            .collect();
        Job {
            run_new: format!("r{process}"),
            fingerprint: "f".into(),
            restart,
            lanes: 1 + dice.below(4) as usize,
            on_error: self.on_error,
            allow_empty: true,
            commit_bytes: [16, 64, 1_000][dice.below(3) as usize],
            retry: RetryPolicy { first_millis: 1, pause_millis_max: 4, attempts_max: 8 },
            seed: dice.roll(),
            streams,
        }
    }

    pub(crate) fn run(&self) -> Verdict {
        let world = Shared::default();
        *world.get() = self.world();
        let mut dice = Dice(self.seed.wrapping_mul(31));
        let mut counts = Counts::default();
        match self.processes(&world, &mut dice, &mut counts) {
            Err(why) => Verdict::Wrong(why),
            Ok(restarted) => match self.judge(&world, restarted) {
                Err(why) => Verdict::Wrong(why),
                Ok(letters) => {
                    counts.letters = letters;
                    Verdict::Fine(counts)
                }
            },
        }
    }

    pub(crate) fn fine(&self) -> bool {
        matches!(self.run(), Verdict::Fine(_))
    }

    /// Runs processes until one finishes. True when the run was begun anew on purpose.
    fn processes(&self, world: &Shared, dice: &mut Dice, counts: &mut Counts) -> Result<bool, String> {
        let (mut restart, mut restarted) = (false, false);
        let mut zombie: Option<Process> = None;
        let chunk_rows = 1 + dice.below(12);
        for number in 0..PROCESSES_MAX {
            counts.processes += 1;
            let crashing = number < CRASHING;
            world.get().chaos = if crashing { 20 } else { 0 };
            let job = self.job(&world.get(), number, dice, restart);
            restarted |= restart;
            let mut process = Process::start(world, job, chunk_rows);
            let crashed = self.steps(world, &mut process, &mut zombie, crashing, dice)?;
            counts.crashes += u64::from(crashed);
            match process.ending() {
                Some(Ending::Done) => return Ok(restarted),
                _ if crashed => {}
                Some(Ending::Refused(Refusal::StateLost)) => restart = true,
                Some(Ending::Refused(refusal)) => return Err(format!("refused to begin: {refusal:?}")),
                Some(Ending::Failed(failure)) if failure.kind == ErrorKind::Fenced => {
                    return Err("it was fenced off, and nobody had taken over".into());
                }
                Some(_) if !crashing => return Err(format!("it did not finish: {}", process.explain())),
                _ => {}
            }
            restart &= world.get().state().run.is_none();
            if self.loses_state && number == 3 {
                world.get().state().run = None;
            }
            if crashed && self.zombie && number == 5 && process.copies() {
                // It lives on without its lock; another machine with a state of its own takes over.
                process.lose_lock();
                world.get().states.push(State::default());
                zombie = Some(process);
                restart = true;
            }
        }
        Err("it never finished".into())
    }

    /// Runs a process to its end or a crash.
    fn steps(
        &self,
        world: &Shared,
        process: &mut Process,
        zombie: &mut Option<Process>,
        crashing: bool,
        dice: &mut Dice,
    ) -> Result<bool, String> {
        for _ in 0..STEPS_MAX {
            if crashing && dice.chance(12) {
                return Ok(true);
            }
            if let Some(zombie) = zombie
                && dice.chance(300)
            {
                zombie.step();
            }
            let ended = process.step().is_none();
            if ended || process.crashed {
                return Ok(process.crashed);
            }
            let mut world = world.get();
            if let Some(wrong) = &world.wrong {
                return Err(wrong.clone());
            }
            watch(&mut world);
        }
        Err("it does not end".into())
    }

    /// Compares the end with what it should be. Returns the number of dead letters.
    fn judge(&self, world: &Shared, restarted: bool) -> Result<u64, String> {
        let mut world = world.get();
        let state = world.states.pop().unwrap_or_default();
        if let Some(wrong) = &world.wrong {
            return Err(wrong.clone());
        }
        for pipeline in world.target.pipelines.values() {
            if !pipeline.staging.is_empty() {
                return Err("staging is left over".into());
            }
            if pipeline.progress.run.is_some() || !pipeline.progress.splits.is_empty() {
                return Err("checkpoints are left over".into());
            }
        }
        let run = state.run.as_ref().map(|run| run.run.clone()).unwrap_or_default();
        for (number, table) in world.tables.iter().enumerate() {
            let id = number as u32;
            let got = sorted(world.target.tables[&table_name(number)].rows.clone());
            let letters =
                state.letters.iter().filter(|(place, _)| place.stream == id && place.run == run).count();
            let states: Vec<Rows> = match table.changing {
                true => table.snapshots.values().cloned().collect(),
                false => vec![table.rows.clone()],
            };
            // Adding once more to the user's own table is what beginning anew means there, and what a
            // state that is lost after the target's last deed cannot help.
            if (restarted || self.loses_state) && table.write == WriteMode::Append {
                continue;
            }
            let fits = states.iter().any(|rows| {
                let good = accepted(&world.target, rows);
                letters == rows.len() - good.len() && got == expected(table, good)
            });
            if !fits {
                return Err(format!(
                    "stream {number} ({:?}, keyed {}, changing {}): {got:?} with {letters} letters does not follow from {:?}",
                    table.write, table.keyed, table.changing, states
                ));
            }
        }
        Ok(state.letters.len() as u64)
    }
}

fn expected(table: &SourceTable, good: Vec<Row>) -> Vec<Row> {
    match table.write {
        WriteMode::Overwrite => good,
        WriteMode::Append => sorted(table.before.iter().copied().chain(good).collect()),
        WriteMode::Merge => {
            let mut rows: Rows = table.before.iter().copied().collect();
            rows.extend(good);
            rows.retain(|key, _| !table.removes || table.rows.contains_key(key));
            rows.into_iter().collect()
        }
    }
}

/// The rows that the target does not refuse.
fn accepted(target: &Target, rows: &Rows) -> Vec<Row> {
    rows.iter().map(|(key, value)| (*key, *value)).filter(|row| !target.refuses(row)).collect()
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_unstable();
    rows
}

/// A reader that looks at the target sees the old rows or all the new ones of an overwrite.
fn watch(world: &mut World) {
    let mut wrong = None;
    for (number, table) in world.tables.iter().enumerate() {
        if table.write != WriteMode::Overwrite {
            continue;
        }
        let seen = sorted(world.target.tables[&table_name(number)].rows.clone());
        let is_new = |rows| seen == accepted(&world.target, rows);
        let is_new = is_new(&table.rows) || table.snapshots.values().any(is_new);
        if seen != sorted(table.before.clone()) && !is_new {
            wrong = Some(format!("a reader saw a part of stream {number}"));
        }
    }
    if let Some(wrong) = wrong {
        world.complain(wrong);
    }
}
