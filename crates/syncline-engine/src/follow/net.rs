//! What several changes of one row come to: at most one change a key.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow_buffer::BooleanBuffer;
use arrow_row::{RowConverter, SortField};
use arrow_select::interleave::interleave;
use syncline_connect::{Emptied, How, Moved, NetChanges, Target, Went, Written};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes};

use crate::shell::removal::DELETED_AT;

/// Changes of one stream after its steps, in the target's columns.
#[derive(Debug)]
pub(crate) struct Passed {
    /// Rows as inserts and updates have left them.
    pub(crate) rows: RecordBatch,
    /// What each of `rows` came from; sequences go up.
    pub(crate) written: Vec<Written>,
    /// Which rows lack a column's value, by column.
    pub(crate) absent: Vec<Option<BooleanBuffer>>,
    /// Keys of rows that are gone, in the order of [`Target::key`]; without a key, whole rows.
    pub(crate) gone: RecordBatch,
    /// What each of `gone` came from; sequences go up.
    pub(crate) went: Vec<Went>,
    /// Everything before this place is gone.
    pub(crate) truncated: Option<u64>,
}

/// One row of one piece.
pub(super) type Place = (usize, usize);

/// The last that was said of a key.
#[derive(Debug)]
enum Last {
    Gone(Place),
    Row(Place, Option<Box<[From]>>),
    /// It was so, and is gone since this time: only where rows that are gone stay.
    Dead(Place, Option<Box<[From]>>, i64),
}

/// What is known of a key.
#[derive(Debug)]
struct Known {
    last: Last,
    /// Whether the first that was said of it is that it is new.
    is_new: bool,
}

/// A row of which all values are known, and whether its key is new.
type Whole = (bool, Place, Option<Box<[From]>>);

/// A row of which some values are known.
type Partial = (Place, Box<[From]>);

/// Where a row's value of a column comes from, where not all come from the row itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Place(Place),
    /// Nothing has said it.
    Absent,
}

/// Gathers the changes of one target.
#[derive(Debug)]
pub(crate) struct Net {
    converter: RowConverter,
    /// The key's columns in the target's rows.
    key: Vec<usize>,
    pieces: Vec<Passed>,
    last: HashMap<Box<[u8]>, Known>,
    /// A row that has just left its key for another one, and what was last said of it.
    moving: Option<(Place, Option<Last>)>,
    /// Rows that have gone to another key with values that only the target has.
    moved: Vec<(Place, Partial)>,
    /// Since when every row is gone that was there before.
    emptied: Option<i64>,
    /// The column that says since when a row is gone, where such rows stay.
    gone_since: Option<usize>,
    /// By piece, when rows that went with it were gone.
    times: Vec<i64>,
}

impl Net {
    pub(crate) fn new(target: &Target, stays: bool) -> Result<Self> {
        let key = target.schema.indexes(&target.key)?;
        let fields =
            key.iter().map(|at| SortField::new(target.schema.columns[*at].logical.arrow())).collect();
        let converter = RowConverter::new(fields).map_err(|error| broken(&error))?;
        let (pieces, last) = (vec![], HashMap::new());
        let gone_since = if stays { target.schema.index(DELETED_AT) } else { None };
        let (moving, moved, emptied, times) = (None, vec![], None, vec![]);
        Ok(Net { converter, key, pieces, last, moving, moved, emptied, gone_since, times })
    }

    /// Adds changes that come after all that were added before, committed at this time.
    pub(crate) fn add(&mut self, piece: Passed, micros: i64) -> Result<()> {
        let mut rows = self.keys(self.key.iter().map(|at| piece.rows.column(*at)))?.into_iter();
        let mut gone = self.keys(piece.gone.columns().iter())?.into_iter();
        let number = self.pieces.len();
        let mut truncated = piece.truncated;
        let (mut row, mut went) = (0, 0);
        self.pieces.push(piece);
        self.times.push(micros);
        loop {
            let piece = &self.pieces[number];
            let next_row = piece.written.get(row).copied();
            let next_gone = piece.went.get(went).copied();
            let written = next_row.map(|written| written.sequence);
            let next = written.into_iter().chain(next_gone.map(|gone| gone.sequence)).min();
            if let Some(sequence) = truncated
                && next.is_none_or(|next| next > sequence)
            {
                truncated = None;
                self.empty(micros);
                continue;
            }
            match (next_row, next_gone) {
                (_, Some(one)) if written.is_none_or(|written| one.sequence < written) => {
                    let before = gone.next().and_then(|key| self.go((number, went), key));
                    self.moving = one.moved.then_some(((number, went), before));
                    went += 1;
                }
                (Some(written), _) => {
                    rows.next().map_or(Ok(()), |key| self.write((number, row), key, written.how))?;
                    row += 1;
                }
                (None, _) => return Ok(()),
            }
        }
    }

    /// All rows go.
    fn empty(&mut self, micros: i64) {
        self.moved.clear();
        self.emptied.get_or_insert(micros);
        if self.gone_since.is_none() {
            self.last.clear();
        }
        for known in self.last.values_mut() {
            if let Last::Row(row, from) = &mut known.last {
                known.last = Last::Dead(*row, from.take(), micros);
            }
        }
    }

    /// A row goes; returns what was last said of it.
    fn go(&mut self, at: Place, key: Box<[u8]>) -> Option<Last> {
        let stays = self.gone_since.is_some();
        match self.last.entry(key) {
            Entry::Occupied(mut known) => {
                let before = &mut known.get_mut().last;
                let last = match before {
                    Last::Row(row, from) | Last::Dead(row, from, _) if stays => {
                        Last::Dead(*row, from.clone(), self.times[at.0])
                    }
                    _ => Last::Gone(at),
                };
                Some(std::mem::replace(before, last))
            }
            Entry::Vacant(place) => {
                place.insert(Known { last: Last::Gone(at), is_new: false });
                None
            }
        }
    }

    fn write(&mut self, at: Place, key: Box<[u8]>, how: How) -> Result<()> {
        let moving = self.moving.take();
        let lacks = |column: &Option<BooleanBuffer>| column.as_ref().is_some_and(|rows| rows.value(at.1));
        let absent = &self.pieces[at.0].absent;
        if !absent.iter().any(lacks) {
            match self.last.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().last = Last::Row(at, None),
                Entry::Vacant(place) => {
                    place.insert(Known { last: Last::Row(at, None), is_new: how != How::Update });
                }
            }
            return Ok(());
        }
        let known = self.last.get(&key);
        let is_new = known.map_or(how != How::Update, |known| known.is_new);
        let before = match (how, &moving) {
            (How::Move, moving) => moving.as_ref().and_then(|(_, last)| last.as_ref()),
            (How::Insert | How::Update, _) => known.map(|known| &known.last),
        };
        let from = absent.iter().enumerate().map(|(column, absent)| match before {
            _ if !lacks(absent) => From::Place(at),
            Some(Last::Row(_, Some(from)) | Last::Dead(_, Some(from), _)) => from[column],
            Some(Last::Row(before, None) | Last::Dead(before, None, _)) => From::Place(*before),
            Some(Last::Gone(_)) | None => From::Absent,
        });
        let from: Box<[From]> = from.collect();
        if let (How::Move, Some((gone, _))) = (how, &moving)
            && from.contains(&From::Absent)
        {
            // Only the row that is left behind has it, at the target.
            self.moved.push((*gone, (at, from)));
            return Ok(());
        }
        self.last.insert(key, Known { last: Last::Row(at, Some(from)), is_new });
        Ok(())
    }

    fn keys<'a>(&self, columns: impl Iterator<Item = &'a ArrayRef>) -> Result<Vec<Box<[u8]>>> {
        let columns: Vec<ArrayRef> = columns.cloned().collect();
        let rows = self.converter.convert_columns(&columns).map_err(|error| broken(&error))?;
        Ok(rows.iter().map(|row| Box::from(row.as_ref())).collect())
    }

    /// Whether it cannot be told what it comes to: a row that takes a value along that only the target has is
    /// among other changes, which may be of rows that have such keys too.
    pub(crate) fn is_mixed(&self) -> bool {
        let is_gone = |known: &Known| matches!(known.last, Last::Gone(_) | Last::Dead(..));
        let left = self.last.len() == 1 && self.last.values().all(is_gone);
        let alone = self.moved.len() == 1 && left && self.emptied.is_none();
        !self.moved.is_empty() && !alone
    }

    /// What it all comes to, and apart from it the notes that rows are gone: nobody minds if one is not
    /// there.
    pub(crate) fn finish(mut self, target: &Target) -> Result<(NetChanges, Option<NetChanges>)> {
        let moved = self.moved.pop().map(|(gone, row)| self.moved(gone, row)).transpose()?;
        if moved.is_some() {
            // It says by itself where it was before.
            self.last.clear();
        }
        let mut deletes = vec![];
        // New ones behind all others.
        let mut whole: Vec<Whole> = vec![];
        // Since when rows are gone of which more is known than that.
        let mut dead: HashMap<Place, i64> = HashMap::new();
        // By which columns they lack.
        let mut partial: HashMap<Vec<bool>, Vec<Partial>> = HashMap::new();
        for Known { last, is_new } in std::mem::take(&mut self.last).into_values() {
            match last {
                Last::Gone(at) => deletes.push(at),
                Last::Dead(at, from, micros) => {
                    dead.insert(at, micros);
                    match from {
                        Some(from) if from.contains(&From::Absent) => {
                            let lacks = from.iter().map(|from| *from == From::Absent).collect();
                            partial.entry(lacks).or_default().push((at, from));
                        }
                        from => whole.push((is_new, at, from)),
                    }
                }
                Last::Row(at, Some(from)) if from.contains(&From::Absent) => {
                    let lacks = from.iter().map(|from| *from == From::Absent).collect();
                    partial.entry(lacks).or_default().push((at, from));
                }
                Last::Row(at, from) => whole.push((is_new, at, from)),
            }
        }
        // In the order of the log, as far as a key has one: rows that lie together there often do here.
        deletes.sort_unstable();
        whole.sort_unstable_by_key(|(is_new, at, _)| (*is_new, *at));
        let fresh = whole.iter().filter(|(is_new, ..)| *is_new).count();
        let gone: Vec<&RecordBatch> = self.pieces.iter().map(|piece| &piece.gone).collect();
        let rows: Vec<&RecordBatch> = self.pieces.iter().map(|piece| &piece.rows).collect();
        let times: Vec<i64> = deletes.iter().map(|at| self.times[at.0]).collect();
        let deletes = gather(&gone, deletes.len(), |_| deletes.clone())?;
        let updates = partial.into_values().map(|mut places| {
            places.sort_unstable_by_key(|(at, _)| *at);
            let batch = self.told(&places)?;
            with_times(batch, self.gone_since, places.iter().map(|(at, _)| dead.get(at).copied()))
        });
        let updates = updates.collect::<Result<_>>()?;
        let rows = gather(&rows, whole.len(), |column| {
            whole.iter().map(|(_, at, from)| place(*at, from.as_deref(), column)).collect()
        })?;
        let rows = with_times(rows, self.gone_since, whole.iter().map(|(_, at, _)| dead.get(at).copied()))?;
        let emptied = match (self.emptied, self.gone_since) {
            (Some(micros), Some(_)) => Some(Emptied::Noted(since(target, &[micros], vec![], vec![])?)),
            (emptied, _) => emptied.map(|_| Emptied::Deleted),
        };
        let net = NetChanges { emptied, deletes, moved, updates, rows, fresh };
        if self.gone_since.is_none() {
            return Ok((net, None));
        }
        let (deletes, rows) = (net.deletes.slice(0, 0), net.rows.slice(0, 0));
        let key = target.key.iter().filter_map(|name| target.schema.column(name).cloned()).collect();
        let notes = since(target, &times, key, net.deletes.columns().to_vec())?;
        let notes = NetChanges { updates: vec![notes], ..NetChanges::new(deletes.clone(), rows) };
        Ok((NetChanges { deletes, ..net }, Some(notes)))
    }

    /// A row that takes values along which only the target has.
    fn moved(&self, gone: Place, row: Partial) -> Result<Moved> {
        let from: Vec<&RecordBatch> = self.pieces.iter().map(|piece| &piece.gone).collect();
        Ok(Moved { from: gather(&from, 1, |_| vec![gone])?, to: self.told(&[row])? })
    }

    /// What is told of rows that all lack the same columns.
    fn told(&self, places: &[Partial]) -> Result<RecordBatch> {
        let Some((_, first)) = places.first() else { return Err(broken(&"there are no rows")) };
        let there: Vec<usize> = (0..first.len()).filter(|column| first[*column] != From::Absent).collect();
        let project = |piece: &Passed| piece.rows.project(&there).map_err(|error| broken(&error));
        let rows = self.pieces.iter().map(project).collect::<Result<Vec<_>>>()?;
        gather(&rows.iter().collect::<Vec<_>>(), places.len(), |column| {
            places.iter().map(|(at, from)| place(*at, Some(from), there[column])).collect()
        })
    }
}

/// Puts the times into the column for them, where there is one.
fn with_times(
    batch: RecordBatch,
    column: Option<usize>,
    times: impl Iterator<Item = Option<i64>>,
) -> Result<RecordBatch> {
    if column.is_none() {
        return Ok(batch);
    }
    let schema = batch.schema();
    let at = schema.index_of(DELETED_AT).map_err(|error| broken(&error))?;
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"));
    RecordBatch::try_new(schema, columns).map_err(|error| broken(&error))
}

/// Rows that say since when something is gone, behind these columns.
fn since(
    target: &Target,
    times: &[i64],
    mut wanted: Vec<Column>,
    mut columns: Vec<ArrayRef>,
) -> Result<RecordBatch> {
    wanted.push(Column::new(DELETED_AT, LogicalType::TIMESTAMPTZ));
    columns.push(Arc::new(
        TimestampMicrosecondArray::from_iter_values(times.iter().copied()).with_timezone("UTC"),
    ));
    let schema = TableSchema::new(target.schema.dialect.clone(), wanted).arrow();
    RecordBatch::try_new(schema, columns).map_err(|error| broken(&error))
}

fn place(at: Place, from: Option<&[From]>, column: usize) -> Place {
    match from.map(|from| from[column]) {
        Some(From::Place(place)) => place,
        Some(From::Absent) | None => at,
    }
}

/// Takes rows from several batches of one shape, column by column.
pub(super) fn gather(
    from: &[&RecordBatch],
    count: usize,
    places: impl Fn(usize) -> Vec<Place>,
) -> Result<RecordBatch> {
    let Some(first) = from.first() else {
        return Err(Error::new(&codes::BROKEN_INVARIANT, "gather changes", "").because("there are none"));
    };
    let mut columns: Vec<ArrayRef> = vec![];
    for column in 0..first.num_columns() {
        let arrays: Vec<&dyn Array> = from.iter().map(|batch| batch.column(column).as_ref()).collect();
        columns.push(interleave(&arrays, &places(column)).map_err(|error| broken(&error))?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(first.schema(), columns, &options).map_err(|error| broken(&error))
}

fn broken(reason: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "merge changes", "").because(reason)
}

#[cfg(test)]
mod tests;
