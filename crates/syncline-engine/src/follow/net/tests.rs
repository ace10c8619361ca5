//! What many changes come to, held against doing one after the other.

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
    /// The same of a row that is not there.
    Insert(i64, Option<i64>, Option<i64>),
    Delete(i64),
    /// From one key to another, which nobody has.
    Move(i64, i64, Option<i64>, Option<i64>),
    Truncate,
}

type Table = BTreeMap<i64, (Option<i64>, Option<i64>)>;

/// One after the other, as the source has done it. An update of what is not there is none.
fn straight(table: &mut Table, change: &Change) {
    match *change {
        Change::Insert(id, a, b) => {
            table.insert(id, (a, b));
        }
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
        Change::Move(from, to, a, b) => {
            let row = table.remove(&from).unwrap();
            table.insert(to, (a.or(row.0), b.or(row.1)));
        }
        Change::Truncate => table.clear(),
    }
}

fn piece(changes: &[Change], from: u64) -> Passed {
    let (mut ids, mut a, mut b, mut gone) = (vec![], vec![], vec![], vec![]);
    let (mut written, mut went, mut truncated) = (vec![], vec![], None);
    for (change, sequence) in changes.iter().zip((2 * from..).step_by(2)) {
        match change {
            Change::Move(id, to, new_a, new_b) => {
                gone.push(*id);
                went.push(Went { sequence, moved: true });
                ids.push(*to);
                a.push(*new_a);
                b.push(*new_b);
                written.push(Written { sequence: sequence + 1, how: How::Move });
            }
            Change::Write(id, new_a, new_b) | Change::Insert(id, new_a, new_b) => {
                ids.push(*id);
                a.push(*new_a);
                b.push(*new_b);
                let how = if matches!(change, Change::Insert(..)) { How::Insert } else { How::Update };
                written.push(Written { sequence, how });
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
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(ids)), Arc::new(Int64Array::from(a)), Arc::new(Int64Array::from(b))];
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
    if net.emptied.is_some() {
        table.clear();
    }
    if let Some(moved) = &net.moved {
        let id = |rows| values(rows, "id").unwrap()[0].unwrap();
        let (from, to) = (id(&moved.from), id(&moved.to));
        let row = table.remove(&from).unwrap();
        let told = |name| values(&moved.to, name).map(|values| values[0]);
        table.insert(to, (told("a").unwrap_or(row.0), told("b").unwrap_or(row.1)));
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
        8 => (0..6_i64, value.clone(), value.clone()).prop_map(|(id, a, b)| Change::Write(id, a, b)),
        3 => (0..6_i64).prop_map(Change::Delete),
        3 => (0..6_i64, 0..6_i64, value.clone(), value.clone()).prop_map(|(id, to, a, b)| Change::Move(id, to, a, b)),
        1 => Just(Change::Truncate),
    ]
}

/// Only what a source can do: what is not there is not updated in part.
fn possible(mut table: Table, changes: Vec<Change>) -> Vec<Change> {
    let mut kept = vec![];
    for change in changes {
        let impossible = match &change {
            Change::Write(id, a, b) => (a.is_none() || b.is_none()) && !table.contains_key(id),
            Change::Move(id, to, ..) => !table.contains_key(id) || table.contains_key(to),
            Change::Insert(..) | Change::Delete(_) | Change::Truncate => false,
        };
        if !impossible {
            let change = match change {
                Change::Write(id, a, b) if !table.contains_key(&id) => Change::Insert(id, a, b),
                change => change,
            };
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
        if net.is_mixed() {
            // One by one it is always clear.
            let mut found = before;
            for change in &changes {
                let mut net = Net::new(&target, false).unwrap();
                net.add(piece(std::slice::from_ref(change), 0), 0).unwrap();
                prop_assert!(!net.is_mixed());
                apply(&mut found, &net.finish(&target).unwrap().0);
            }
            prop_assert_eq!(found, expected);
            return Ok(());
        }
        let (net, notes) = net.finish(&target).unwrap();
        assert!(notes.is_none());
        // What is said to be new is not there.
        let ids: Vec<i64> = values(&net.rows, "id").unwrap().into_iter().flatten().collect();
        let (known, new) = ids.split_at(ids.len() - net.fresh);
        prop_assert!(new.iter().all(|id| net.emptied.is_some() || !before.contains_key(id)));
        // What is said to have gone at first may be there, whoever says so.
        let is_gone = |id: &i64| {
            let gone = |change: &Change| matches!(change, Change::Delete(gone) | Change::Move(gone, ..) if gone == id);
            changes.iter().any(gone)
        };
        prop_assert!(known.iter().all(|id| before.contains_key(id) || is_gone(id)));

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
