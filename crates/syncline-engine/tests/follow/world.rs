//! What is true outside of the process: the source's history, the target, the state.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use syncline_connect::Target;
use syncline_engine::follow::{FollowMark, Followed};
use syncline_testkit::seed::Rng;
use syncline_types::{Error, Result, codes};
use tokio::sync::Notify;

/// Rows by their key.
pub(crate) type Rows = BTreeMap<i64, (i64, i64)>;
pub(crate) type Tables = [Rows; 2];

/// One change of one row. The second value may be left alone by an update, and is then not told.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Insert(usize, i64, (i64, i64)),
    Update(usize, i64, i64, (i64, Option<i64>)),
    Delete(usize, i64),
    Truncate(usize),
}

/// A mistake of a connector or of the state, which has to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The target commits rows without the mark.
    MarkLeftOut,
    /// The target does not look whether a newer process has begun.
    NoFence,
    /// The source lets go of what was read, not of what was confirmed.
    LetsGoEarly,
    /// The reader says that a transaction is whole after its first part.
    HalfIsWhole,
    /// The reader forgets that a row has moved from its old key.
    MoveForgotten,
    /// A value that the log does not repeat is given out as NULL's place holder.
    AbsentIsZero,
    /// Reading goes on one transaction too far.
    SkipsOne,
    /// The target does not tell its mark once it is followed.
    MarkUntold,
}

impl Mistake {
    pub(crate) const ALL: [Mistake; 8] = [
        Mistake::MarkLeftOut,
        Mistake::NoFence,
        Mistake::LetsGoEarly,
        Mistake::HalfIsWhole,
        Mistake::MoveForgotten,
        Mistake::AbsentIsZero,
        Mistake::SkipsOne,
        Mistake::MarkUntold,
    ];
}

/// What has happened, so that nobody takes a simulation for proof in which nothing does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) crashes: u64,
    pub(crate) errors: u64,
    pub(crate) fenced: u64,
    pub(crate) parts: u64,
    pub(crate) commits: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, more: Counts) {
        self.crashes += more.crashes;
        self.errors += more.errors;
        self.fenced += more.fenced;
        self.parts += more.parts;
        self.commits += more.commits;
    }
}

pub(crate) struct Inner {
    pub(crate) random: Rng,
    pub(crate) mistake: Option<Mistake>,
    pub(crate) history: Vec<Vec<Change>>,
    /// The source's tables after so many transactions.
    pub(crate) moments: Vec<Tables>,
    /// Transactions before it are gone from the log.
    pub(crate) kept_from: usize,
    pub(crate) target: Tables,
    /// The mark that the target has.
    pub(crate) target_mark: Option<FollowMark>,
    pub(crate) epoch: u64,
    pub(crate) state_mark: FollowMark,
    pub(crate) counts: Counts,
    /// Calls until the process is no more.
    pub(crate) fuel: u64,
    pub(crate) wrong: Option<String>,
}

#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
    pub(crate) crashed: Arc<Notify>,
    pub(crate) streams: Vec<Followed>,
}

/// What a stream's steps let through.
pub(crate) fn passes(table: usize, row: (i64, i64)) -> bool {
    table == 0 || row.0 < 50
}

impl World {
    pub(crate) fn of_seed(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut random = Rng::new(seed);
        let mut moments: Vec<Tables> = vec![Tables::default()];
        let mut history = vec![];
        for _ in 0..5 + random.below(40) {
            let mut now = moments.last().unwrap().clone();
            let changes: Vec<Change> =
                (0..1 + random.below(6)).filter_map(|_| happen(&mut now, &mut random)).collect();
            history.push(changes);
            moments.push(now);
        }
        // A copy of rows from many moments, the first of which is where the log was asked to keep from.
        let begin = random.below(history.len() as u64 / 2) as usize;
        let steady = begin + random.below((history.len() - begin) as u64) as usize;
        let mut target = Tables::default();
        for table in 0..2 {
            for id in 0..8 {
                let moment = begin + random.below((steady - begin + 1) as u64) as usize;
                if let Some(row) = moments[moment][table].get(&id).filter(|row| passes(table, **row)) {
                    target[table].insert(id, *row);
                }
            }
        }
        let state_mark = FollowMark {
            copied: [("a".to_owned(), String::new()), ("b".to_owned(), String::new())].into(),
            steady_from: Some(position(steady)),
            ..FollowMark::new("one".into(), position(begin))
        };
        let inner = Inner {
            random,
            mistake,
            history,
            moments,
            kept_from: begin,
            target,
            target_mark: None,
            epoch: 0,
            state_mark,
            counts: Counts::default(),
            fuel: 0,
            wrong: None,
        };
        let inner = Arc::new(Mutex::new(inner));
        World { inner, crashed: Arc::new(Notify::new()), streams: crate::process::streams() }
    }

    pub(crate) fn get(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Before any call from the outside: the process may end here, and never know.
    pub(crate) async fn step(&self) {
        let is_over = {
            let mut inner = self.get();
            inner.fuel = inner.fuel.saturating_sub(1);
            inner.fuel == 0
        };
        if is_over {
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
        if self.get().random.one_in(3) {
            tokio::task::yield_now().await;
        }
    }

    /// Now and then a call fails, before or after it has done what it does.
    pub(crate) fn may_fail(&self, operation: &str) -> Result<()> {
        let mut inner = self.get();
        if inner.random.one_in(40) {
            inner.counts.errors += 1;
            return Err(Error::new(&codes::UNREACHABLE, operation, "the simulation"));
        }
        Ok(())
    }

    /// Fails unless the target is what the source was at the position that the target names.
    pub(crate) fn look(&self) {
        let mut inner = self.get();
        let Some(mark) = inner.target_mark.clone() else { return };
        let at = index(&mark.position);
        let mut expected = inner.moments[at].clone();
        expected[1].retain(|_, row| passes(1, *row));
        if inner.target != expected && inner.wrong.is_none() {
            inner.wrong =
                Some(format!("at {at} the target has {:?}, and the source had {expected:?}", inner.target));
        }
    }

    pub(crate) fn verdict(&self) -> std::result::Result<Counts, String> {
        let inner = self.get();
        match &inner.wrong {
            Some(why) => Err(why.clone()),
            None => Ok(inner.counts),
        }
    }
}

pub(crate) fn position(at: usize) -> syncline_types::Position {
    syncline_types::Position(at.to_string())
}

pub(crate) fn index(position: &syncline_types::Position) -> usize {
    position.0.parse().unwrap()
}

pub(crate) fn table_of(target: &Target) -> usize {
    target.stream as usize
}

/// Something that can happen to these tables.
fn happen(tables: &mut Tables, random: &mut Rng) -> Option<Change> {
    let table = random.below(2) as usize;
    let rows = &mut tables[table];
    let id = random.below(8) as i64;
    let value = |random: &mut Rng| random.below(100) as i64;
    let there = rows.get(&id).copied();
    Some(match (there, random.below(12)) {
        (_, 0) if random.one_in(4) => {
            rows.clear();
            Change::Truncate(table)
        }
        (None, _) => {
            let row = (value(random), value(random));
            rows.insert(id, row);
            Change::Insert(table, id, row)
        }
        (Some(_), 1..=3) => {
            rows.remove(&id);
            Change::Delete(table, id)
        }
        (Some(old), other) => {
            let to = random.below(8) as i64;
            let moves = other == 4 && !rows.contains_key(&to);
            let to = if moves { to } else { id };
            // What moves is told whole here, and what a filter decides of: else a pipeline stops.
            let b = (moves || table == 1 || !random.one_in(2)).then(|| value(random));
            let a = value(random);
            rows.remove(&id);
            rows.insert(to, (a, b.unwrap_or(old.1)));
            Change::Update(table, id, to, (a, b))
        }
    })
}
