//! What several changes of one row come to: at most one change a key.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray};
use arrow_buffer::BooleanBuffer;
use arrow_row::{RowConverter, SortField};
use arrow_select::interleave::interleave;
use syncline_connect::{How, NetChanges, Target, Went, Written};
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
    /// Keys of rows that are gone, in the order of [`Target::key`].
    pub(crate) gone: RecordBatch,
    /// What each of `gone` came from; sequences go up.
    pub(crate) went: Vec<Went>,
    /// Everything before this place is gone.
    pub(crate) truncated: Option<u64>,
}

/// One row of one piece.
type Place = (usize, usize);

/// The last that was said of a key.
#[derive(Debug)]
enum Last {
    Gone(Place),
    Row(Place, Option<Box<[From]>>),
    /// It was so, and is gone since this time: only where rows that are gone stay.
    Dead(Place, Option<Box<[From]>>, i64),
}

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
    last: HashMap<Box<[u8]>, Last>,
    /// What was last said of a row that has just left its key for another one.
    moving: Option<Last>,
    emptied: bool,
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
        let (moving, emptied, times) = (None, false, vec![]);
        Ok(Net { converter, key, pieces, last, moving, emptied, gone_since, times })
    }

    /// Adds changes that come after all that were added before, committed at this time.
    pub(crate) fn add(&mut self, piece: Passed, micros: i64) -> Result<()> {
        let rows = self.keys(self.key.iter().map(|at| piece.rows.column(*at)))?;
        let gone = self.keys(piece.gone.columns().iter())?;
        let number = self.pieces.len();
        let truncated = piece.truncated;
        if truncated.is_some() && self.gone_since.is_some() {
            return Err(Error::new(&codes::LOG_INCOMPLETE, "note the deletion of", "all rows of a table")
                .because("it was truncated, which does not tell its rows")
                .hint("Copy it again: syncline recopy, which finds the rows that are gone"));
        }
        if truncated.is_some() {
            self.last.clear();
            self.emptied = true;
        }
        let counts = |sequence: u64| truncated.is_none_or(|truncated| sequence > truncated);
        let (mut row, mut went) = (0, 0);
        self.pieces.push(piece);
        self.times.push(micros);
        loop {
            let piece = &self.pieces[number];
            match (piece.written.get(row).copied(), piece.went.get(went).copied()) {
                (written, Some(one)) if written.is_none_or(|written| one.sequence < written.sequence) => {
                    if counts(one.sequence) {
                        let before = self.go((number, went), gone[went].clone());
                        self.moving = before.filter(|_| one.moved);
                    }
                    went += 1;
                }
                (Some(written), _) => {
                    if counts(written.sequence) {
                        self.write((number, row), &rows[row], written.how)?;
                    }
                    row += 1;
                }
                (None, _) => return Ok(()),
            }
        }
    }

    /// A row goes; returns what was last said of it.
    fn go(&mut self, at: Place, key: Box<[u8]>) -> Option<Last> {
        let stays = self.gone_since.is_some();
        let dead = match self.last.get(&key) {
            Some(Last::Row(row, from) | Last::Dead(row, from, _)) if stays => {
                Last::Dead(*row, from.clone(), self.times[at.0])
            }
            _ => Last::Gone(at),
        };
        self.last.insert(key, dead)
    }

    fn write(&mut self, at: Place, key: &[u8], how: How) -> Result<()> {
        let moving = self.moving.take();
        let lacks = |column: &Option<BooleanBuffer>| column.as_ref().is_some_and(|rows| rows.value(at.1));
        let absent = &self.pieces[at.0].absent;
        if !absent.iter().any(lacks) {
            self.last.insert(key.into(), Last::Row(at, None));
            return Ok(());
        }
        let before = if how == How::Move { moving.as_ref() } else { self.last.get(key) };
        let from = absent.iter().enumerate().map(|(column, absent)| match before {
            _ if !lacks(absent) => From::Place(at),
            Some(Last::Row(_, Some(from)) | Last::Dead(_, Some(from), _)) => from[column],
            Some(Last::Row(before, None) | Last::Dead(before, None, _)) => From::Place(*before),
            Some(Last::Gone(_)) | None => From::Absent,
        });
        let from: Box<[From]> = from.collect();
        if how == How::Move && from.contains(&From::Absent) {
            // Only the row that is left behind has it, at the target.
            return Err(Error::new(&codes::LOG_INCOMPLETE, "follow", "a row to another key")
                .because("the update of its key has left a value alone, which the log does not repeat"));
        }
        self.last.insert(key.into(), Last::Row(at, Some(from)));
        Ok(())
    }

    fn keys<'a>(&self, columns: impl Iterator<Item = &'a ArrayRef>) -> Result<Vec<Box<[u8]>>> {
        let columns: Vec<ArrayRef> = columns.cloned().collect();
        let rows = self.converter.convert_columns(&columns).map_err(|error| broken(&error))?;
        Ok(rows.iter().map(|row| Box::from(row.as_ref())).collect())
    }

    /// What it all comes to, and apart from it the notes that rows are gone: nobody minds if one is not
    /// there.
    pub(crate) fn finish(self, target: &Target) -> Result<(NetChanges, Option<NetChanges>)> {
        let mut deletes = vec![];
        let mut whole: Vec<(Place, Option<Box<[From]>>)> = vec![];
        // Since when rows are gone of which more is known than that.
        let mut dead: HashMap<Place, i64> = HashMap::new();
        // By which columns they lack.
        let mut partial: HashMap<Vec<bool>, Vec<Partial>> = HashMap::new();
        for last in self.last.into_values() {
            match last {
                Last::Gone(at) => deletes.push(at),
                Last::Dead(at, from, micros) => {
                    dead.insert(at, micros);
                    match from {
                        Some(from) if from.contains(&From::Absent) => {
                            let lacks = from.iter().map(|from| *from == From::Absent).collect();
                            partial.entry(lacks).or_default().push((at, from));
                        }
                        from => whole.push((at, from)),
                    }
                }
                Last::Row(at, Some(from)) if from.contains(&From::Absent) => {
                    let lacks = from.iter().map(|from| *from == From::Absent).collect();
                    partial.entry(lacks).or_default().push((at, from));
                }
                Last::Row(at, from) => whole.push((at, from)),
            }
        }
        // In the order of the log, as far as a key has one: rows that lie together there often do here.
        deletes.sort_unstable();
        whole.sort_unstable_by_key(|(at, _)| *at);
        let gone: Vec<&RecordBatch> = self.pieces.iter().map(|piece| &piece.gone).collect();
        let rows: Vec<&RecordBatch> = self.pieces.iter().map(|piece| &piece.rows).collect();
        let times: Vec<i64> = deletes.iter().map(|at| self.times[at.0]).collect();
        let deletes = gather(&gone, deletes.len(), |_| deletes.clone())?;
        let all: Vec<usize> = (0..target.schema.columns.len()).collect();
        let updates = partial.into_iter().map(|(lacks, mut places)| {
            places.sort_unstable_by_key(|(at, _)| *at);
            let there: Vec<usize> = all.iter().copied().filter(|at| !lacks[*at]).collect();
            let rows: Vec<RecordBatch> = rows
                .iter()
                .map(|rows| rows.project(&there).map_err(|error| broken(&error)))
                .collect::<Result<_>>()?;
            let rows: Vec<&RecordBatch> = rows.iter().collect();
            let batch = gather(&rows, places.len(), |column| {
                places.iter().map(|(at, from)| place(*at, Some(from), there[column])).collect()
            })?;
            with_times(batch, self.gone_since, places.iter().map(|(at, _)| dead.get(at).copied()))
        });
        let updates = updates.collect::<Result<_>>()?;
        let rows = gather(&rows, whole.len(), |column| {
            whole.iter().map(|(at, from)| place(*at, from.as_deref(), column)).collect()
        })?;
        let rows = with_times(rows, self.gone_since, whole.iter().map(|(at, _)| dead.get(at).copied()))?;
        let net = NetChanges { emptied: self.emptied, deletes, updates, rows };
        if self.gone_since.is_none() {
            return Ok((net, None));
        }
        let (none, nothing) = (net.deletes.slice(0, 0), net.rows.slice(0, 0));
        let notes = notes(target, &net.deletes, &times)?;
        let notes = NetChanges { emptied: false, deletes: none.clone(), updates: vec![notes], rows: nothing };
        Ok((NetChanges { deletes: none, ..net }, Some(notes)))
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

/// Says of rows, by their keys, since when they are gone.
fn notes(target: &Target, keys: &RecordBatch, times: &[i64]) -> Result<RecordBatch> {
    let mut wanted: Vec<Column> =
        target.key.iter().filter_map(|name| target.schema.column(name).cloned()).collect();
    wanted.push(Column::new(DELETED_AT, LogicalType::TIMESTAMPTZ));
    let mut columns = keys.columns().to_vec();
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
fn gather(from: &[&RecordBatch], count: usize, places: impl Fn(usize) -> Vec<Place>) -> Result<RecordBatch> {
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
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};
    use proptest::prelude::*;
    use syncline_connect::{Replace, Task, WriteMode};
    use syncline_types::{Column, LogicalType, StreamName, TableSchema};

    use super::*;

    fn target() -> Target {
        let columns = vec![
            Column::new("id", LogicalType::Int64).required(),
            Column::new("a", LogicalType::Int64),
            Column::new("b", LogicalType::Int64),
        ];
        Target {
            stream: 0,
            source: StreamName::bare("t"),
            name: StreamName::bare("t"),
            schema: TableSchema::new("test", columns).with_key(["id"]),
            task: Task::Load,
            write: WriteMode::Merge,
            key: vec!["id".into()],
            cursor: None,
            staged: true,
            replace: Replace::Auto,
            overwrite_said: false,
        }
    }

    /// What a source does. A value that is `None` is left alone by an update.
    #[derive(Clone, Debug)]
    enum Change {
        Write(i64, Option<i64>, Option<i64>),
        Delete(i64),
        Truncate,
    }

    type Table = BTreeMap<i64, (Option<i64>, Option<i64>)>;

    /// One after the other, as the source has done it. An update of what is not there is none.
    fn straight(table: &mut Table, change: &Change) {
        match *change {
            Change::Write(id, Some(a), Some(b)) => {
                table.insert(id, (Some(a), Some(b)));
            }
            Change::Write(id, a, b) => {
                if let Some(row) = table.get_mut(&id) {
                    *row = (a.or(row.0), b.or(row.1));
                }
            }
            Change::Delete(id) => {
                table.remove(&id);
            }
            Change::Truncate => table.clear(),
        }
    }

    fn piece(changes: &[Change], from: u64) -> Passed {
        let (mut ids, mut a, mut b, mut gone) = (vec![], vec![], vec![], vec![]);
        let (mut written, mut went, mut truncated) = (vec![], vec![], None);
        for (change, sequence) in changes.iter().zip(from..) {
            match change {
                Change::Write(id, new_a, new_b) => {
                    ids.push(*id);
                    a.push(*new_a);
                    b.push(*new_b);
                    written.push(Written { sequence, how: How::Update });
                }
                Change::Delete(id) => {
                    gone.push(*id);
                    went.push(Went { sequence, moved: false });
                }
                Change::Truncate => truncated = Some(sequence),
            }
        }
        let lacks = |values: &[Option<i64>]| {
            let rows = BooleanBuffer::from_iter(values.iter().map(Option::is_none));
            (rows.count_set_bits() > 0).then_some(rows)
        };
        let absent = vec![None, lacks(&a), lacks(&b)];
        let target = target();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids)),
            Arc::new(Int64Array::from(a)),
            Arc::new(Int64Array::from(b)),
        ];
        let rows = RecordBatch::try_new(target.schema.arrow(), columns).unwrap();
        let key = Arc::new(target.schema.arrow().project(&[0]).unwrap());
        let gone = RecordBatch::try_new(key, vec![Arc::new(Int64Array::from(gone))]).unwrap();
        Passed { rows, written, absent, gone, went, truncated }
    }

    fn values(rows: &RecordBatch, name: &str) -> Option<Vec<Option<i64>>> {
        Some(rows.column_by_name(name)?.as_primitive::<Int64Type>().iter().collect())
    }

    /// As a target is asked to: emptied, deletes, updates, rows.
    fn apply(table: &mut Table, net: &NetChanges) {
        if net.emptied {
            table.clear();
        }
        for id in values(&net.deletes, "id").unwrap().into_iter().flatten() {
            table.remove(&id);
        }
        for update in &net.updates {
            for (at, id) in values(update, "id").unwrap().into_iter().flatten().enumerate() {
                if let Some(row) = table.get_mut(&id) {
                    row.0 = values(update, "a").map_or(row.0, |a| a[at]);
                    row.1 = values(update, "b").map_or(row.1, |b| b[at]);
                }
            }
        }
        let (a, b) = (values(&net.rows, "a").unwrap(), values(&net.rows, "b").unwrap());
        for (at, id) in values(&net.rows, "id").unwrap().into_iter().flatten().enumerate() {
            table.insert(id, (a[at], b[at]));
        }
    }

    fn change() -> impl Strategy<Value = Change> {
        let value = proptest::option::weighted(0.7, 0..100_i64);
        prop_oneof![
            8 => (0..6_i64, value.clone(), value).prop_map(|(id, a, b)| Change::Write(id, a, b)),
            3 => (0..6_i64).prop_map(Change::Delete),
            1 => Just(Change::Truncate),
        ]
    }

    /// Only what a source can do: what is not there is not updated in part.
    fn possible(mut table: Table, changes: Vec<Change>) -> Vec<Change> {
        let mut kept = vec![];
        for change in changes {
            let impossible = matches!(&change, Change::Write(id, a, b)
                if (a.is_none() || b.is_none()) && !table.contains_key(id));
            if !impossible {
                straight(&mut table, &change);
                kept.push(change);
            }
        }
        kept
    }

    proptest! {
        #[test]
        fn at_most_one_change_a_key_comes_to_the_same(
            before in proptest::collection::btree_map(0..6_i64, (0..100_i64, 0..100_i64), 0..6),
            changes in proptest::collection::vec(change(), 0..24),
            cut in 0..24_usize,
        ) {
            let before: Table = before.into_iter().map(|(id, (a, b))| (id, (Some(a), Some(b)))).collect();
            let changes = possible(before.clone(), changes);
            let mut expected = before.clone();
            changes.iter().for_each(|change| straight(&mut expected, change));

            let (one, other) = changes.split_at(cut.min(changes.len()));
            let target = target();
            let mut net = Net::new(&target, false).unwrap();
            net.add(piece(one, 0), 0).unwrap();
            net.add(piece(other, one.len() as u64), 0).unwrap();
            let (net, notes) = net.finish(&target).unwrap();
            assert!(notes.is_none());
            let mut found = before;
            apply(&mut found, &net);
            prop_assert_eq!(found, expected);

            let mut keys: Vec<_> = [&net.deletes, &net.rows].into_iter().chain(&net.updates)
                .flat_map(|rows| values(rows, "id").unwrap()).collect();
            let all = keys.len();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), all, "a key is changed twice");
        }
    }
}
