//! Keeps a run that appends from adding rows twice: those near the old mark that were added before are
//! left out, and those near the new one are remembered.

use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_array::{BooleanArray, RecordBatch, UInt32Array};
use arrow_select::{filter::filter_record_batch, take::take_record_batch};
use syncline_connect::Reject;
use syncline_steps::{Applied, Chain};
use syncline_types::{
    LogicalType, Result, TableSchema,
    fingerprint::{Family, RowHasher, hash_text},
    text::Values,
};

use super::work::broken;
use crate::incremental::{Cursor, Found, Kind, Ledger, Place, Seen, Window};

/// What is known of one stream's rows, and how they are told apart.
pub(super) struct Sift {
    ledger: Mutex<Ledger>,
    kind: Kind,
    /// The cursor's place among the columns read, and its type.
    cursor: (usize, LogicalType),
    /// How the run before told rows apart, and its highest value.
    before: Option<(Hashing, i128)>,
    now: Hashing,
    /// From which value on rows are remembered.
    since: Option<i128>,
    since_text: Option<String>,
    /// The places of the chain's columns among those read, where more are read.
    chained: Option<Vec<usize>>,
}

/// How rows are hashed.
struct Hashing {
    hasher: RowHasher,
    columns: Vec<(String, LogicalType)>,
    /// Where masks hide columns, hashes tell nothing of them to who has not got their key.
    seal: Option<Chain>,
}

impl Hashing {
    fn new(columns: Vec<(String, LogicalType)>, read: &TableSchema, seal: Option<Chain>) -> Result<Self> {
        let by_value: Vec<(String, Family)> = columns
            .iter()
            .map(|(name, logical)| (name.clone(), Family::common(*logical, *logical)))
            .collect();
        Ok(Hashing { hasher: RowHasher::new(read, &by_value)?, columns, seal })
    }

    fn hash(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        let hashes = self.hasher.hash(rows)?;
        match &self.seal {
            None => Ok(hashes),
            Some(chain) => hashes
                .into_iter()
                .map(|hash| chain.seal(hash).ok_or_else(|| broken("the masks have lost their key")))
                .collect(),
        }
    }

    fn key(&self) -> Option<String> {
        self.seal.as_ref().and_then(Chain::key_check)
    }
}

impl Sift {
    /// For a run over a window, and the columns that are to be read.
    pub(super) fn new(
        cursor: &Cursor,
        window: &Window,
        chain: &Chain,
        schema: &TableSchema,
        found: Vec<(Place, Found)>,
    ) -> Result<(Vec<String>, Self)> {
        let wanted = chain.input_columns();
        // What is masked without a key comes out alike whatever it was.
        let seal = (!chain.masked().is_empty() && chain.key_check().is_some()).then(|| chain.clone());
        let told = |name: &&String| seal.is_some() || !chain.masked().contains(name);
        let typed = |name: &String| Some((name.clone(), schema.column(name)?.logical));
        let columns: Vec<_> = wanted.iter().filter(told).filter_map(typed).collect();
        let seen = window.before.as_ref().and_then(|mark| mark.seen.as_ref());
        let seen = seen.filter(|seen| !seen.hashes.is_empty());
        if let Some(seen) = seen {
            must_tell_alike(cursor, seen, schema, seal.as_ref().and_then(Chain::key_check))?;
        }
        let is_read = |name: &String| {
            wanted.contains(name)
                || seen.is_some_and(|seen| seen.columns.iter().any(|(known, _)| known == name))
        };
        let mut read = schema.clone();
        read.columns.retain(|column| is_read(&column.name));
        let names: Vec<String> = read.columns.iter().map(|column| column.name.clone()).collect();
        let place = |name: &String| read.index(name).ok_or_else(|| schema.unknown_column(name));
        let chained = match names.len() == wanted.len() {
            true => None,
            false => Some(wanted.iter().map(place).collect::<Result<Vec<_>>>()?),
        };
        let at = place(&cursor.column)?;
        let mark = window.before.as_ref().and_then(|mark| cursor.kind.parse(mark.value.as_deref()?));
        let before = match (seen, mark) {
            (Some(seen), Some(mark)) => {
                Some((Hashing::new(seen.columns.clone(), &read, seal.clone())?, mark))
            }
            _ => None,
        };
        let since = cursor.since_after(window);
        let hashes = seen.map_or(&[][..], |seen| &seen.hashes);
        let sift = Sift {
            ledger: Mutex::new(Ledger::new(hashes, found)),
            kind: cursor.kind,
            cursor: (at, read.columns[at].logical),
            before,
            now: Hashing::new(columns, &read, seal)?,
            since,
            since_text: since.map(|since| cursor.kind.write(since)),
            chained,
        };
        Ok((names, sift))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // It is changed row by row; whoever panicked in between has ended the run.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins at a place.
    pub(super) fn begin(&self, place: &Place) {
        self.ledger().begin(place);
    }

    /// What is to be saved of an attempt before the target commits it.
    pub(super) fn take_down(&self, place: &Place) -> Option<String> {
        self.ledger().take_down(place)
    }

    /// The stream begins again.
    pub(super) fn clear(&self) {
        self.ledger().clear();
    }

    /// The rows for the next run.
    pub(super) fn seen(&self) -> Seen {
        Seen {
            since: self.since_text.clone(),
            columns: self.now.columns.clone(),
            key: self.now.key(),
            hashes: self.ledger().kept(),
        }
    }

    /// The columns of a batch that the chain works on.
    pub(super) fn for_chain(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        match &self.chained {
            None => Ok(rows.clone()),
            Some(places) => rows.project(places).map_err(|error| broken(&error.to_string())),
        }
    }

    /// Takes out of what a chain has made of a batch the rows that were added before, rejected ones too,
    /// and remembers those that the next run may meet. `unread` are rows that are not in the batch.
    pub(super) fn sift(
        &self,
        place: &Place,
        rows: &RecordBatch,
        applied: &mut Applied,
        unread: &mut Vec<Reject>,
    ) -> Result<()> {
        let count = u32::try_from(rows.num_rows()).map_err(|_| broken("a batch has too many rows"))?;
        let passed = applied.source_rows.clone().unwrap_or_else(|| (0..count).collect());
        let rejected = applied.rejects.iter().map(|reject| reject.row);
        let mut near: Vec<(u32, i128)> = {
            let values = Values::new(rows.column(self.cursor.0), self.cursor.1)?;
            let valued = |row: u32| Some((row, self.kind.value(&values, row as usize)?));
            passed.iter().copied().chain(rejected).filter_map(valued).collect()
        };
        near.retain(|(_, value)| self.is_old(*value) || self.is_new(*value));
        near.sort_unstable();
        near.dedup();
        let mut ledger = self.ledger();
        self.unread(&mut ledger, place, unread)?;
        if near.is_empty() {
            return Ok(());
        }
        let indexes = UInt32Array::from_iter_values(near.iter().map(|(row, _)| *row));
        let picked = take_record_batch(rows, &indexes).map_err(|error| broken(&error.to_string()))?;
        let now = self.now.hash(&picked)?;
        let before = match &self.before {
            Some((hashing, _)) if ledger.expects() => Some(hashing.hash(&picked)?),
            _ => None,
        };
        let mut known: Vec<u32> = vec![];
        for (at, (row, value)) in near.iter().enumerate() {
            if let Some(before) = before.as_ref().filter(|_| self.is_old(*value))
                && ledger.meet(place, before[at])
            {
                known.push(*row);
            }
            if self.is_new(*value) {
                ledger.keep(place, now[at])?;
            }
        }
        drop(ledger);
        leave_out(applied, &passed, &known)
    }

    fn is_old(&self, value: i128) -> bool {
        self.before.as_ref().is_some_and(|(_, mark)| value <= *mark)
    }

    fn is_new(&self, value: i128) -> bool {
        self.since.is_some_and(|since| value >= since)
    }

    /// Rows that cannot be read are known by the name that the source has for them.
    fn unread(&self, ledger: &mut Ledger, place: &Place, unread: &mut Vec<Reject>) -> Result<()> {
        for reject in std::mem::take(unread) {
            let Some(name) = &reject.place else {
                unread.push(reject);
                continue;
            };
            let hash = hash_text(&format!("unread {name} {}", reject.error.sentence()));
            ledger.keep(place, hash)?;
            if !ledger.meet(place, hash) {
                unread.push(reject);
            }
        }
        Ok(())
    }
}

/// Rows of the run before must be known by what is read now.
fn must_tell_alike(cursor: &Cursor, seen: &Seen, schema: &TableSchema, key: Option<String>) -> Result<()> {
    let changed = seen.columns.iter().find(|(name, logical)| {
        let family = |logical: LogicalType| Family::common(logical, logical);
        schema.column(name).is_none_or(|column| {
            column.logical != *logical
                && (family(column.logical), family(*logical)) != (Family::Number, Family::Number)
        })
    });
    if let Some((name, _)) = changed {
        return Err(cursor.unusable(format!(
            "it tells rows apart by the column `{name}`, which is gone or of another type"
        )));
    }
    if seen.key != key {
        return Err(cursor.unusable("the key of the masks, or what they hide, was another one".into()));
    }
    Ok(())
}

/// Drops rows that are known, by their places in the batch before the steps.
fn leave_out(applied: &mut Applied, passed: &[u32], known: &[u32]) -> Result<()> {
    if known.is_empty() {
        return Ok(());
    }
    let is_known = |row: &u32| known.binary_search(row).is_ok();
    applied.rejects.retain(|reject| !is_known(&reject.row));
    let kept = BooleanArray::from_iter(passed.iter().map(|row| Some(!is_known(row))));
    applied.rows = filter_record_batch(&applied.rows, &kept).map_err(|error| broken(&error.to_string()))?;
    applied.source_rows = Some(passed.iter().copied().filter(|row| !is_known(row)).collect());
    Ok(())
}
