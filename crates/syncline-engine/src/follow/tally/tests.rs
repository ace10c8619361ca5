//! What changes without a key come to, held against doing one after the other.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};
use arrow_buffer::BooleanBuffer;
use proptest::prelude::*;
use syncline_connect::{Replace, Task, Went, WriteMode, Written};
use syncline_types::{Column, LogicalType, StreamName, TableSchema};

use super::*;

type Row = (Option<i64>, Option<i64>);

/// How often each row is there.
type Bag = BTreeMap<Row, usize>;

/// What a source does to its rows.
#[derive(Clone, Debug)]
enum Change {
    Insert(Row),
    Delete(Row),
    Update(Row, Row),
    Truncate,
}

fn target() -> Target {
    let columns = vec![Column::new("a", LogicalType::Int64), Column::new("b", LogicalType::Int64)];
    Target {
        stream: 0,
        source: StreamName::bare("t"),
        name: StreamName::bare("t"),
        schema: TableSchema::new("test", columns),
        task: Task::Load,
        write: WriteMode::Overwrite,
        key: vec![],
        cursor: None,
        staged: true,
        replace: Replace::Auto,
        overwrite_said: false,
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let (a, b): (Vec<Option<i64>>, Vec<Option<i64>>) = rows.iter().copied().unzip();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(a)), Arc::new(Int64Array::from(b))];
    RecordBatch::try_new(target().schema.arrow(), columns).unwrap()
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().iter();
    column(0).zip(column(1)).collect()
}

fn take(bag: &mut Bag, row: Row) -> bool {
    let there = bag.get_mut(&row).filter(|copies| **copies > 0);
    let Some(copies) = there else { return false };
    *copies -= 1;
    bag.retain(|_, copies| *copies > 0);
    true
}

/// Does what is possible of them; returns that.
fn happen(bag: &mut Bag, changes: &[Change]) -> Vec<Change> {
    let mut done = vec![];
    for change in changes {
        let possible = match *change {
            Change::Insert(row) => {
                *bag.entry(row).or_default() += 1;
                true
            }
            Change::Delete(row) => take(bag, row),
            Change::Update(from, to) => {
                let there = take(bag, from);
                if there {
                    *bag.entry(to).or_default() += 1;
                }
                there
            }
            Change::Truncate => {
                bag.clear();
                true
            }
        };
        done.extend(possible.then(|| change.clone()));
    }
    done
}

/// As a reader tells them: an update that changes no value is told without what the row was.
fn piece(changes: &[Change], from: u64) -> Passed {
    let (mut rows, mut gone, mut written, mut went, mut truncated) = (vec![], vec![], vec![], vec![], None);
    for (change, number) in changes.iter().zip(from..) {
        let sequence = 2 * number;
        match *change {
            Change::Insert(row) => {
                rows.push(row);
                written.push(Written { sequence, how: How::Insert });
            }
            Change::Delete(row) => {
                gone.push(row);
                went.push(Went { sequence, moved: false });
            }
            Change::Update(old, new) => {
                let how = if old == new { How::Update } else { How::Move };
                if old != new {
                    gone.push(old);
                    went.push(Went { sequence, moved: true });
                }
                rows.push(new);
                written.push(Written { sequence: sequence + 1, how });
            }
            Change::Truncate => truncated = Some(sequence),
        }
    }
    let absent = vec![None, None];
    Passed { rows: batch(&rows), written, absent, gone: batch(&gone), went, truncated }
}

fn row() -> impl Strategy<Value = Row> {
    (proptest::option::weighted(0.7, 0..2_i64), proptest::option::weighted(0.7, 0..2_i64))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => row().prop_map(Change::Insert),
        5 => row().prop_map(Change::Delete),
        5 => (row(), row()).prop_map(|(from, to)| Change::Update(from, to)),
        1 => Just(Change::Truncate),
    ]
}

proptest! {
    #[test]
    fn as_many_rows_come_and_go_as_at_the_source(
        before in proptest::collection::btree_map(row(), 1..3_usize, 0..6),
        changes in proptest::collection::vec(change(), 0..24),
        cut in 0..24_usize,
    ) {
        let mut expected = before.clone();
        let changes = happen(&mut expected, &changes);
        let (one, other) = changes.split_at(cut.min(changes.len()));
        let target = target();
        let mut tally = Tally::new(&target).unwrap();
        tally.add(&target, piece(one, 0)).unwrap();
        tally.add(&target, piece(other, one.len() as u64)).unwrap();
        let net = tally.finish().unwrap();
        let mut found = if net.emptied.is_some() { Bag::new() } else { before };
        for row in rows_of(&net.deletes) {
            prop_assert!(take(&mut found, row), "a row goes that is not there");
        }
        let rows = rows_of(&net.rows);
        for row in &rows {
            *found.entry(*row).or_default() += 1;
        }
        prop_assert_eq!(found, expected);
        prop_assert!(rows_of(&net.deletes).iter().all(|gone| !rows.contains(gone)), "a row comes and goes");
    }
}

#[test]
fn a_row_that_is_not_told_whole_is_refused() {
    let target = target();
    let absent = vec![None, Some(BooleanBuffer::new_set(1))];
    let piece = Passed { absent, ..piece(&[Change::Insert((Some(1), None))], 0) };
    let error = Tally::new(&target).unwrap().add(&target, piece).unwrap_err();
    assert_eq!(error.code(), &codes::LOG_INCOMPLETE);
}
