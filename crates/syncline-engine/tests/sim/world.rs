//! What outlives a process: the source's tables, the target, the state, and the dice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use syncline_connect::{TargetProgress, WriteMode};
use syncline_state::{LetterPlace, NewLetter, SavedRun};
use syncline_testkit::conformance::Row;
use syncline_types::{Error, Result, SplitId, codes};

/// Rows by their key.
pub(crate) type Rows = BTreeMap<i64, Option<i64>>;

/// Everything outside of a process.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) tables: Vec<SourceTable>,
    pub(crate) target: Target,
    /// The state directories of all machines, the one in use last.
    pub(crate) states: Vec<State>,
    pub(crate) dice: Dice,
    /// Chance in 1,000 that a call fails.
    pub(crate) chaos: u64,
    pub(crate) mistake: Option<Mistake>,
    /// The first thing that was seen to be wrong.
    pub(crate) wrong: Option<String>,
    /// Sessions that have been begun.
    pub(crate) sessions: u64,
    /// Sessions whose snapshot is gone.
    pub(crate) lost: BTreeSet<u64>,
}

pub(crate) struct SourceTable {
    pub(crate) keyed: bool,
    pub(crate) write: WriteMode,
    pub(crate) staged: bool,
    /// Whether rows of the target that it does not have go.
    pub(crate) removes: bool,
    /// Whether it may change between two sessions.
    pub(crate) changing: bool,
    pub(crate) rows: Rows,
    /// The rows of every session.
    pub(crate) snapshots: BTreeMap<u64, Rows>,
    /// What the target had before.
    pub(crate) before: Vec<Row>,
    /// How far an incremental run looks back; `None` for a full copy.
    pub(crate) lookback: Option<i64>,
}

/// The target system.
#[derive(Default)]
pub(crate) struct Target {
    /// Whether it keeps progress in the transaction of the data, or applies rows by key at once.
    pub(crate) transactional: bool,
    /// What everybody sees, by name.
    pub(crate) tables: BTreeMap<String, Table>,
    /// What it holds for runs that are under way.
    pub(crate) pipelines: BTreeMap<String, Pipeline>,
    /// How far incremental runs have come, by pipeline and stream.
    pub(crate) marks: BTreeMap<(String, String), String>,
    /// Values that it refuses.
    pub(crate) refused_values: BTreeSet<i64>,
}

/// One of the target's tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) keyed: bool,
    pub(crate) rows: Vec<Row>,
}

/// What the target holds for one pipeline.
#[derive(Default, PartialEq)]
pub(crate) struct Pipeline {
    /// Who holds its lock.
    pub(crate) holder: Option<u64>,
    /// What waits, by run and stream.
    pub(crate) staging: BTreeMap<(String, u32), Table>,
    pub(crate) progress: TargetProgress,
}

/// The state store.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) run: Option<SavedRun>,
    pub(crate) letters: Vec<(LetterPlace, NewLetter)>,
    /// What attempts have found, by stream, split and where each began.
    pub(crate) found: BTreeMap<(u32, SplitId, Option<String>), String>,
    pub(crate) marks: BTreeMap<String, String>,
}

/// Mistakes that can be planted, each one that somebody has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Progress is saved before the target has committed.
    StateBeforeCommit,
    /// What the target says of its progress is not asked.
    TrustState,
    /// A split is read without having been saved.
    SplitNotSaved,
    /// The target does not look at the epoch.
    NoFence,
    /// Publishing is not remembered.
    PublishForgotten,
    /// A stream is taken to be planned before it is.
    SplitsForgotten,
    /// Letters of an attempt that did not commit are kept.
    LettersKept,
    /// Letters are saved after the target's commit.
    LettersAfterCommit,
    /// Staging is not thrown away at the end.
    StagingLeft,
    /// A stream that is bound to a snapshot goes on in another one.
    SnapshotsMixed,
    /// Publishing deletes first and inserts later.
    PublishInTwoSteps,
    /// The source is told to forget before the target has committed.
    ConfirmBeforeCommit,
    /// After a commit of unknown outcome the split is written again without asking.
    CommitAssumedFailed,
    /// Rows that the target wants again are dropped.
    AgainIgnored,
    /// The lock is not taken again after a restart has cleared the target, and its epoch with it.
    NotLockedAgain,
    /// Rows that the source no longer has are taken to be removed.
    VanishedKept,
    // Those of incremental runs.
    /// What an attempt has found of rows that were added before is not saved.
    FoundNotSaved,
    /// A stream is published, and its mark is not.
    MarkForgotten,
    /// A run that goes on reads up to what has come meanwhile.
    WindowMoves,
}

impl Mistake {
    pub(crate) const ALL: [Mistake; 16] = [
        Mistake::StateBeforeCommit,
        Mistake::TrustState,
        Mistake::SplitNotSaved,
        Mistake::NoFence,
        Mistake::PublishForgotten,
        Mistake::SplitsForgotten,
        Mistake::LettersKept,
        Mistake::LettersAfterCommit,
        Mistake::StagingLeft,
        Mistake::SnapshotsMixed,
        Mistake::PublishInTwoSteps,
        Mistake::ConfirmBeforeCommit,
        Mistake::CommitAssumedFailed,
        Mistake::AgainIgnored,
        Mistake::NotLockedAgain,
        Mistake::VanishedKept,
    ];
    /// Those of incremental runs.
    pub(crate) const INCREMENTAL: [Mistake; 3] =
        [Mistake::FoundNotSaved, Mistake::MarkForgotten, Mistake::WindowMoves];
}

/// Dice with a seed (splitmix64).
#[derive(Default)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

/// The world as processes share it.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Fails now and then, as anything beyond a network does.
    pub(crate) fn shake(&self, operation: &str) -> Result<()> {
        let mut world = self.get();
        let chaos = world.chaos;
        if world.dice.chance(chaos) {
            return Err(unreachable_now(operation));
        }
        Ok(())
    }
}

pub(crate) fn unreachable_now(operation: &str) -> Error {
    Error::new(&codes::UNREACHABLE, operation, "the simulated system")
}

/// The name of a stream's table, on both sides.
pub(crate) fn table_name(stream: usize) -> String {
    format!("t{stream}")
}

/// The stream whose table has the name.
pub(crate) fn stream_of(table: &str) -> usize {
    table[1..].parse().unwrap()
}

impl Target {
    pub(crate) fn pipeline(&mut self, name: &str) -> &mut Pipeline {
        self.pipelines.entry(name.to_owned()).or_default()
    }

    pub(crate) fn refuses(&self, (_, value): &Row) -> bool {
        value.is_some_and(|value| self.refused_values.contains(&value))
    }

    /// Frees every lock that somebody holds.
    pub(crate) fn let_go(&mut self, holder: u64) {
        self.pipelines.values_mut().for_each(|pipeline| {
            pipeline.holder.take_if(|held| *held == holder);
        });
    }
}

impl Table {
    /// Whether it has room for these rows beside its own: a key is there once.
    pub(crate) fn fits(&self, rows: &[Row]) -> bool {
        let mut keys: BTreeSet<i64> = self.rows.iter().map(|(key, _)| *key).collect();
        !self.keyed || rows.iter().all(|(key, _)| keys.insert(*key))
    }

    pub(crate) fn upsert(&mut self, (key, value): Row) {
        match self.rows.iter_mut().find(|(known, _)| *known == key) {
            Some(row) => row.1 = value,
            None => self.rows.push((key, value)),
        }
    }
}

impl World {
    /// The state directory in use.
    pub(crate) fn state(&mut self) -> &mut State {
        self.states.last_mut().expect("there is a state directory")
    }

    pub(crate) fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// What was wrong first is what counts.
    pub(crate) fn complain(&mut self, what: impl Into<String>) {
        self.wrong.get_or_insert(what.into());
    }
}
