//! What is true outside of the process: the source's history, the target, the state.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard},
};

use syncline_connect::Target;
use syncline_engine::follow::FollowMark;
use syncline_testkit::seed::Rng;
use syncline_types::{Error, Result, codes};
use tokio::sync::Notify;

/// Rows by their key.
pub(crate) type Rows = BTreeMap<i64, (i64, i64)>;
/// Rows without a key, and how often each is there.
pub(crate) type Bag = BTreeMap<(i64, i64), u32>;

/// Two tables with a key, and one without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) keyed: [Rows; 2],
    pub(crate) bag: Bag,
}

/// The tables' names.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

impl Tables {
    /// One of them alone.
    pub(crate) fn of(&self, table: usize) -> Tables {
        let mut one = Tables::default();
        one.take(table, self.clone());
        one
    }

    /// Takes one from another state of all.
    pub(crate) fn take(&mut self, table: usize, mut other: Tables) {
        match table {
            BAG => self.bag = other.bag,
            _ => std::mem::swap(&mut self.keyed[table], &mut other.keyed[table]),
        }
    }

    /// What steps leave of a table.
    pub(crate) fn through_steps(mut self, table: usize) -> Tables {
        match table {
            BAG => self.bag.retain(|row, _| passes(BAG, *row)),
            _ => self.keyed[table].retain(|_, row| passes(table, *row)),
        }
        self
    }
}

/// The number of the table without a key.
pub(crate) const BAG: usize = 2;

/// How often each table's second value has been given another name.
pub(crate) type Versions = [u32; 2];

/// One change of one row. The second value may be left alone by an update, and is then not told.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Insert(usize, i64, (i64, i64)),
    Update(usize, i64, i64, (i64, Option<i64>)),
    Delete(usize, i64),
    Truncate(usize),
    /// A row without a key comes, goes, or turns into another one.
    Come((i64, i64)),
    Go((i64, i64)),
    Turn((i64, i64), (i64, i64)),
    /// The second value has another name from here on.
    Rename(usize),
}

impl Change {
    pub(crate) fn table(&self) -> usize {
        match *self {
            Change::Insert(table, ..)
            | Change::Update(table, ..)
            | Change::Delete(table, _)
            | Change::Truncate(table)
            | Change::Rename(table) => table,
            Change::Come(_) | Change::Go(_) | Change::Turn(..) => BAG,
        }
    }
}

/// The name of the second value.
pub(crate) fn column(version: u32) -> String {
    if version == 0 { "b".to_owned() } else { format!("b{version}") }
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
    /// The source says that a row is not there which went to another key while it was copied.
    RowOverlooked,
    /// Reading goes on one transaction too far.
    SkipsOne,
    /// The target does not tell its mark once it is followed.
    MarkUntold,
    /// The reader goes on by the columns that it knew, whatever the log says.
    ColumnsUntold,
    /// The reader says that a change of columns comes behind the transaction that it is a part of.
    ColumnsLate,
    /// The copy without a key is said to be of one transaction later than it is.
    PlaceLate,
    /// Or of one before.
    PlaceEarly,
    /// The source lets go of everything before the place from which it is read, though streams are behind.
    LetsGoOfOpened,
    /// The reader passes over a transaction too many of streams that are ahead of others.
    PassesTooFar,
    /// The reader tells streams that are ahead of others what their columns were.
    TellsOldColumns,
    /// The target does not keep which streams are behind, and so says that none is.
    BehindForgotten,
    /// Streams that are copied again go on from a place to which the log came while they were copied.
    JoinsWhereCopied,
    /// Columns at the target change while the state still has the old ones, and not a second time: what the state
    /// has is saved first.
    SavedBeforeDone,
}

impl Mistake {
    pub(crate) const ALL: [Mistake; 19] = [
        Mistake::MarkLeftOut,
        Mistake::NoFence,
        Mistake::LetsGoEarly,
        Mistake::HalfIsWhole,
        Mistake::MoveForgotten,
        Mistake::AbsentIsZero,
        Mistake::RowOverlooked,
        Mistake::SkipsOne,
        Mistake::MarkUntold,
        Mistake::ColumnsUntold,
        Mistake::ColumnsLate,
        Mistake::PlaceLate,
        Mistake::PlaceEarly,
        Mistake::LetsGoOfOpened,
        Mistake::PassesTooFar,
        Mistake::TellsOldColumns,
        Mistake::BehindForgotten,
        Mistake::JoinsWhereCopied,
        Mistake::SavedBeforeDone,
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
    /// Changes of columns that were followed.
    pub(crate) evolved: u64,
    /// Changes that the target did not take together.
    pub(crate) refused: u64,
    /// Rows that were read from the source, since neither the log nor the copy has them for sure.
    pub(crate) read: u64,
    /// Rows that took values along which only the target has.
    pub(crate) moved: u64,
    /// Streams that were copied beside the others, and have caught up.
    pub(crate) joined: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, more: Counts) {
        self.crashes += more.crashes;
        self.errors += more.errors;
        self.fenced += more.fenced;
        self.parts += more.parts;
        self.commits += more.commits;
        self.evolved += more.evolved;
        self.refused += more.refused;
        self.read += more.read;
        self.moved += more.moved;
        self.joined += more.joined;
    }
}

pub(crate) struct Inner {
    pub(crate) random: Rng,
    pub(crate) mistake: Option<Mistake>,
    pub(crate) history: Vec<Vec<Change>>,
    /// So many of these have happened by now.
    pub(crate) happened: usize,
    /// The table that is copied again now and then, how often, and the copy that is under way.
    pub(crate) recopied: Option<usize>,
    pub(crate) wishes: u64,
    pub(crate) copying: Option<Copying>,
    /// Whether each table at the target is as the source was at a moment, and not of many; and up to which
    /// moment its last copy was made. Columns that change before that are followed all the same.
    pub(crate) settled: [bool; 3],
    pub(crate) copied_until: [usize; 3],
    /// The source's tables after so many transactions.
    pub(crate) moments: Vec<Tables>,
    /// The names that they have then.
    pub(crate) versions: Vec<Versions>,
    /// The names that the log has told by then.
    pub(crate) told: Vec<Versions>,
    /// Whether the log tells other columns with the next row only, as PostgreSQL's does, and within transactions;
    /// else a change of columns is a transaction of its own, and told at once, as in MySQL.
    pub(crate) lazy: bool,
    /// Whether the first values of the first table are unique, here and there.
    pub(crate) unique: bool,
    /// Transactions before it are gone from the log.
    pub(crate) kept_from: usize,
    pub(crate) target: Tables,
    pub(crate) target_versions: Versions,
    /// The mark that the target has.
    pub(crate) target_mark: Option<FollowMark>,
    pub(crate) epoch: u64,
    pub(crate) state_mark: FollowMark,
    pub(crate) counts: Counts,
    /// Calls until the process is no more.
    pub(crate) fuel: u64,
    pub(crate) wrong: Option<String>,
}

/// A copy beside the others, as the state has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copying {
    /// Which one it is.
    pub(crate) turn: u64,
    /// Where the log ended when it began; without a key, of which place in it the copy is.
    pub(crate) since: usize,
    /// Whether its rows are at the target.
    pub(crate) done: bool,
}

#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
    pub(crate) crashed: Arc<Notify>,
}

/// What a stream's steps let through.
pub(crate) fn passes(table: usize, row: (i64, i64)) -> bool {
    match table {
        0 => true,
        BAG => row.0 < 3,
        _ => row.0 < 50,
    }
}

impl World {
    pub(crate) fn of_seed(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut random = Rng::new(seed);
        let lazy = random.one_in(2);
        let length = 5 + random.below(40) as usize;
        // A copy of rows from many moments, the first of which is where the log was asked to keep from.
        let begin = random.below(length as u64 / 2) as usize;
        let unique = random.one_in(3);
        // Rows of many moments would not go together where values are unique.
        let steady = if unique { begin } else { begin + random.below((length - begin) as u64) as usize };
        // The table that is copied again is not changed in its columns: what the copy has of them would be told
        // once more.
        let recopied = match random.below(5) {
            0 => None,
            1 if !unique => Some(0),
            2 | 3 => Some(1),
            _ => Some(BAG),
        };
        let mut moments: Vec<Tables> = vec![Tables::default()];
        let mut versions = vec![Versions::default()];
        let mut told = vec![Versions::default()];
        let mut history: Vec<Vec<Change>> = vec![];
        for number in 0..length {
            let (mut now, mut names) = (moments[number].clone(), versions[number]);
            let mut changes: Vec<Change> = vec![];
            let may_rename = number >= steady;
            let renamed = random.below(2) as usize;
            if may_rename && !lazy && recopied != Some(renamed) && random.one_in(6) {
                changes.push(Change::Rename(renamed));
            } else if !random.one_in(6) {
                // Others concern nobody here.
                for _ in 0..1 + random.below(6) {
                    let table = random.below(3) as usize;
                    if table == BAG {
                        changes.extend(happen_without_key(&mut now.bag, &mut random));
                        continue;
                    }
                    // Rows, then columns, then rows again in one transaction stop a pipeline.
                    let is_first = changes.iter().all(|change| change.table() != table);
                    if may_rename && lazy && recopied != Some(table) && is_first && random.one_in(8) {
                        changes.push(Change::Rename(table));
                    }
                    changes.extend(happen(&mut now.keyed, table, unique && table == 0, &mut random));
                }
            }
            let mut known = told[number];
            for change in &changes {
                let table = change.table();
                match change {
                    _ if table == BAG => {}
                    Change::Rename(_) => names[table] += 1,
                    _ => known[table] = names[table],
                }
            }
            told.push(if lazy { known } else { names });
            history.push(changes);
            moments.push(now);
            versions.push(names);
        }
        let mut target = Tables::default();
        for table in 0..2 {
            for id in 0..8 {
                let moment = begin + random.below((steady - begin + 1) as u64) as usize;
                if let Some(row) = moments[moment].keyed[table].get(&id).filter(|row| passes(table, **row)) {
                    target.keyed[table].insert(id, *row);
                }
            }
        }
        // Without a key it is a copy of one moment, and known of which.
        let moment = begin + random.below((steady - begin + 1) as u64) as usize;
        target.bag.clone_from(&moments[moment].bag);
        target.bag.retain(|row, _| passes(BAG, *row));
        let said = match mistake {
            Some(Mistake::PlaceLate) => (moment + 1).min(steady),
            Some(Mistake::PlaceEarly) => moment.saturating_sub(1).max(begin),
            _ => moment,
        };
        let state_mark = FollowMark {
            copied: ["a", "b", "c"].map(|name| (name.to_owned(), String::new())).into(),
            since: [("c".to_owned(), position(said))].into(),
            steady_from: Some(position(steady)),
            ..FollowMark::new("one".into(), position(begin))
        };
        let happened = steady + random.below((length - steady + 1) as u64) as usize;
        let wishes = recopied.map_or(0, |_| 1 + random.below(3));
        let inner = Inner {
            random,
            mistake,
            history,
            happened,
            recopied,
            wishes,
            copying: None,
            settled: [false; 3],
            copied_until: [steady; 3],
            moments,
            versions,
            told,
            lazy,
            unique,
            kept_from: begin,
            target,
            target_versions: Versions::default(),
            target_mark: None,
            epoch: 0,
            state_mark,
            counts: Counts::default(),
            fuel: 0,
            wrong: None,
        };
        let inner = Arc::new(Mutex::new(inner));
        World { inner, crashed: Arc::new(Notify::new()) }
    }

    pub(crate) fn get(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Before any call from the outside: the process may end here, and never know.
    pub(crate) async fn step(&self) {
        let is_over = {
            let mut inner = self.get();
            inner.fuel = inner.fuel.saturating_sub(1);
            if inner.random.one_in(6) && inner.happened < inner.history.len() {
                inner.happened += 1;
            }
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
        for (table, name) in NAMES.iter().enumerate() {
            // What was copied again is of many moments until it has caught up.
            if !inner.settled[table] {
                continue;
            }
            let at = mark.behind.get(*name).map_or(at, |behind| index(&behind.position));
            let expected = inner.moments[at].of(table).through_steps(table);
            let there = inner.target.of(table);
            if there != expected && inner.wrong.is_none() {
                inner.wrong = Some(format!("at {at} {name} has {there:?}, and the source had {expected:?}"));
            }
        }
        // What is about to be followed may have been done already, and be done again after a crash.
        let told = inner.told[at..inner.told.len().min(at + 2)].to_vec();
        for table in 0..2 {
            let version = inner.target_versions[table];
            if told.iter().all(|told| told[table] != version) && inner.wrong.is_none() {
                let names = told.iter().map(|told| column(told[table])).collect::<Vec<_>>();
                inner.wrong =
                    Some(format!("at {at} table {table} has `{}`, and not {names:?}", column(version)));
            }
        }
    }

    /// A process ends for good, which only one that was replaced may do. Says whether it has come to the end.
    pub(crate) fn gave_up(&self, epoch: u64, error: &Error) -> bool {
        let mut inner = self.get();
        if inner.epoch == epoch {
            inner.wrong.get_or_insert_with(|| format!("a process gave up: {error}"));
        }
        false
    }

    pub(crate) fn verdict(&self) -> std::result::Result<Counts, String> {
        let inner = self.get();
        match &inner.wrong {
            Some(why) => Err(why.clone()),
            None => Ok(inner.counts),
        }
    }
}

/// Puts rows of a table to the target as a copy has them that began at a moment, and ends now; without a key, as they
/// were at that moment.
pub(crate) fn copy(inner: &mut Inner, table: usize, moments: RangeInclusive<usize>) {
    let (since, last) = moments.into_inner();
    if table == BAG {
        let copied = inner.moments[since].of(BAG).through_steps(BAG);
        inner.target.take(BAG, copied);
    } else {
        let mut rows = Rows::new();
        for id in 0..8 {
            let moment = since + inner.random.below((last - since + 1) as u64) as usize;
            let row = inner.moments[moment].keyed[table].get(&id);
            rows.extend(row.filter(|row| passes(table, **row)).map(|row| (id, *row)));
        }
        inner.target.keyed[table] = rows;
    }
    (inner.settled[table], inner.copied_until[table]) = (false, inner.happened);
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
fn happen(tables: &mut [Rows; 2], table: usize, unique: bool, random: &mut Rng) -> Option<Change> {
    let taken: Vec<i64> = tables[table].values().map(|row| row.0).collect();
    let first = |random: &mut Rng| match unique {
        // From so few that they pass from row to row.
        true => (0..20).map(|_| random.below(12) as i64).find(|value| !taken.contains(value)),
        false => Some(random.below(100) as i64),
    };
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
            let row = (first(random)?, value(random));
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
            // What a filter decides of is told: else a pipeline stops.
            let b = (table == 1 || !random.one_in(2)).then(|| value(random));
            let a = first(random)?;
            rows.remove(&id);
            rows.insert(to, (a, b.unwrap_or(old.1)));
            Change::Update(table, id, to, (a, b))
        }
    })
}

/// Something that can happen to rows without a key.
fn happen_without_key(bag: &mut Bag, random: &mut Rng) -> Option<Change> {
    let any = |random: &mut Rng| (random.below(5) as i64, random.below(2) as i64);
    let all: Vec<(i64, i64)> = bag.keys().copied().collect();
    let take = |bag: &mut Bag, random: &mut Rng| {
        let row = *all.get(random.below(all.len().max(1) as u64) as usize)?;
        *bag.get_mut(&row)? -= 1;
        bag.retain(|_, copies| *copies > 0);
        Some(row)
    };
    Some(match random.below(12) {
        0 if random.one_in(4) => {
            bag.clear();
            Change::Truncate(BAG)
        }
        0..=4 => {
            let row = any(random);
            *bag.entry(row).or_default() += 1;
            Change::Come(row)
        }
        5..=7 => Change::Go(take(bag, random)?),
        _ => {
            let (old, new) = (take(bag, random)?, any(random));
            *bag.entry(new).or_default() += 1;
            Change::Turn(old, new)
        }
    })
}
