//! Claims of a sink that takes changes.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, Int64Array, RecordBatch, UInt64Array};
use syncline_connect::{
    Applier, Emptied, LOG_MARK, Moved, NetChanges, RunRef, Sink, SinkCapability, Target, WriteMode,
};
use syncline_types::{Column, ErrorKind, LogicalType, codes};

use super::{
    Fixture, Row, batch, run_ref,
    sink::{open, take_over},
    skewed, sorted, target, typed,
};
use crate::seed::Rng;

pub(super) async fn prove(fixture: &dyn Fixture, claims: SinkCapability) {
    if !claims.changes {
        let sink = open(fixture).await;
        let refused = sink.applier(&run_ref("p", LOG_MARK, 1)).await.err();
        assert_eq!(refused.map(|error| error.code()), Some(&codes::UNSUPPORTED), "it claims to take none");
        return;
    }
    if !claims.readable {
        every_change_is_taken(fixture).await;
        return;
    }
    changes_are_applied_in_their_order(fixture).await;
    many_changes_come_to_the_same_as_few(fixture).await;
    a_row_that_moves_takes_along_what_is_not_told(fixture).await;
    rows_that_are_there_can_be_noted(fixture).await;
    every_row_is_added_where_there_is_no_key(fixture).await;
    if claims.whole_rows && fixture.has_keyless_tables() {
        rows_without_a_key_go_by_their_values(fixture).await;
        typed::rows_are_found_by_their_values(fixture).await;
    }
    new_rows_may_be_there_already(fixture).await;
    several_parts_are_one_transaction(fixture).await;
    what_is_taken_back_or_dropped_is_not_there(fixture).await;
    a_row_that_is_not_taken_is_named(fixture).await;
    marks_are_kept_with_the_changes(fixture).await;
    an_older_epoch_may_apply_no_more(fixture).await;
    typed::values_are_those_of_a_copy(fixture).await;
}

/// Keys of rows that go.
fn keys(ids: &[i64]) -> RecordBatch {
    let rows: Vec<Row> = ids.iter().map(|id| (*id, None)).collect();
    batch(&rows).rows.project(&[0]).expect("the key is the first column")
}

fn changes(deletes: &[i64], rows: &[Row]) -> NetChanges {
    NetChanges::new(keys(deletes), batch(rows).rows)
}

/// Tables with these rows, as targets of one pipeline.
async fn tables(fixture: &dyn Fixture, rows: &[&[Row]]) -> Vec<Arc<Target>> {
    let mut targets = vec![];
    for (number, rows) in (0..).zip(rows) {
        let table = fixture.create(true).await;
        if !rows.is_empty() {
            fixture.insert(&table, rows).await;
        }
        targets.push(target(number, &table, WriteMode::Merge, true, true));
    }
    targets
}

/// A pipeline whose lock is held, and what applies its changes.
pub(super) async fn begin(sink: &dyn Sink) -> (RunRef, Box<dyn Applier>) {
    let epoch = sink.lock("p", 0).await.expect("the pipeline is free");
    let run = run_ref("p", LOG_MARK, epoch);
    let applier = sink.applier(&run).await.expect("an applier opens");
    (run, applier)
}

async fn rows(fixture: &dyn Fixture, target: &Target) -> Vec<Row> {
    fixture.rows(&target.name.table).await.expect("the table is there")
}

async fn apply(applier: &mut dyn Applier, target: &Arc<Target>, changes: &NetChanges) {
    let missed = applier.apply(target, changes).await.expect("changes are applied");
    assert_eq!(missed, 0, "nothing is updated that is not there");
}

async fn every_change_is_taken(fixture: &dyn Fixture) {
    let sink = open(fixture).await;
    let target = target(0, "anything", WriteMode::Merge, true, true);
    let (_, mut applier) = begin(sink.as_ref()).await;
    apply(applier.as_mut(), &target, &changes(&[1], &[(2, None)])).await;
    applier.commit("a mark").await.expect("it commits");
    applier.abort().await.expect("there is nothing to take back");
}

async fn changes_are_applied_in_their_order(fixture: &dyn Fixture) {
    let targets =
        tables(fixture, &[&[(1, Some(1)), (2, Some(2)), (3, None), (4, Some(4))], &[(1, None)]]).await;
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    let first = NetChanges {
        updates: vec![batch(&[(3, Some(33)), (4, None)]).rows],
        ..changes(&[1, 77], &[(2, Some(-2)), (5, None), (i64::MAX, Some(i64::MIN))])
    };
    apply(applier.as_mut(), &targets[0], &first).await;
    applier.commit("1").await.expect("it commits");
    let expected = vec![(2, Some(-2)), (3, Some(33)), (4, None), (5, None), (i64::MAX, Some(i64::MIN))];
    assert_eq!(rows(fixture, &targets[0]).await, expected);
    // Of these only one is there, and none is added.
    let missing = NetChanges {
        updates: vec![batch(&[(6, Some(6)), (5, Some(5)), (7, None)]).rows],
        ..changes(&[], &[])
    };
    let missed = applier.apply(&targets[0], &missing).await.expect("changes are applied");
    assert_eq!(missed, 2, "two rows are not there");
    // Without any other column than the key's there is nothing to set, but rows can be missed.
    let bare = NetChanges { updates: vec![keys(&[5, 8])], ..changes(&[], &[]) };
    let missed = applier.apply(&targets[0], &bare).await.expect("changes are applied");
    assert_eq!(missed, 1, "one row is not there");
    applier.commit("2").await.expect("it commits");
    let expected = vec![(2, Some(-2)), (3, Some(33)), (4, None), (5, Some(5)), (i64::MAX, Some(i64::MIN))];
    assert_eq!(rows(fixture, &targets[0]).await, expected);
    let emptied = NetChanges { emptied: Some(Emptied::Deleted), ..changes(&[9], &[(2, None), (8, Some(8))]) };
    apply(applier.as_mut(), &targets[0], &emptied).await;
    applier.commit("3").await.expect("it commits");
    assert_eq!(rows(fixture, &targets[0]).await, [(2, None), (8, Some(8))]);
    assert_eq!(rows(fixture, &targets[1]).await, [(1, None)], "another table is left alone");
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

/// Few rows may go another way than many.
async fn many_changes_come_to_the_same_as_few(fixture: &dyn Fixture) {
    let many = skewed(5_000);
    let targets = tables(fixture, &[&[(1, Some(-1)), (-1, Some(0)), (-2, None)]]).await;
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    let mut expected: BTreeMap<i64, Option<i64>> = [(-1, Some(0)), (-2, None)].into();
    expected.extend(many.iter().copied());
    apply(applier.as_mut(), &targets[0], &changes(&[], &many)).await;
    applier.commit("1").await.expect("it commits");
    assert_eq!(rows(fixture, &targets[0]).await, expected.clone().into_iter().collect::<Vec<_>>());
    let gone: Vec<i64> = many.iter().map(|(id, _)| *id).filter(|id| id % 3 == 0).collect();
    let updated: Vec<Row> = many
        .iter()
        .filter(|(id, _)| id % 3 == 1)
        .map(|(id, value)| (*id, value.map(|value| -value)))
        .collect();
    expected.retain(|id, _| !gone.contains(id));
    expected.extend(updated.iter().copied());
    let all = NetChanges { updates: vec![batch(&updated).rows], ..changes(&gone, &[]) };
    apply(applier.as_mut(), &targets[0], &all).await;
    applier.commit("2").await.expect("it commits");
    assert_eq!(rows(fixture, &targets[0]).await, expected.into_iter().collect::<Vec<_>>());
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

async fn a_row_that_moves_takes_along_what_is_not_told(fixture: &dyn Fixture) {
    let before =
        [(1, Some(1)), (2, Some(2)), (3, None), (4, Some(4)), (5, Some(5)), (6, Some(6)), (7, Some(7))];
    let targets = tables(fixture, &[&before]).await;
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    for (from, to, missing) in [
        (1, keys(&[11]), 0),
        (2, batch(&[(12, Some(-2))]).rows, 0),
        (12, keys(&[-12]), 0),
        // The copy is of a later moment: it has gone there already, or its old key is that of another one.
        (3, keys(&[4]), 0),
        (5, batch(&[(6, Some(60))]).rows, 0),
        (77, batch(&[(7, Some(70))]).rows, 0),
        (77, keys(&[78]), 1),
    ] {
        let moved = Moved { from: keys(&[from]), to };
        let moved = NetChanges { moved: Some(moved), ..changes(&[], &[]) };
        let missed = applier.apply(&targets[0], &moved).await.expect("changes are applied");
        assert_eq!(missed, missing, "rows that are not there, of the one that moves from {from}");
    }
    applier.commit("1").await.expect("it commits");
    let after = [(-12, Some(-2)), (4, Some(4)), (6, Some(60)), (7, Some(70)), (11, Some(1))];
    assert_eq!(rows(fixture, &targets[0]).await, after);
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

async fn rows_that_are_there_can_be_noted(fixture: &dyn Fixture) {
    let targets = tables(fixture, &[&[(1, None), (2, Some(2)), (3, None)], &[(1, None)]]).await;
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    let note = batch(&[(0, Some(9))]).rows.project(&[1]).expect("the value is the second column");
    let noted = NetChanges { emptied: Some(Emptied::Noted(note)), ..changes(&[], &[(4, None)]) };
    apply(applier.as_mut(), &targets[0], &noted).await;
    applier.commit("1").await.expect("it commits");
    let after = [(1, Some(9)), (2, Some(2)), (3, Some(9)), (4, None)];
    assert_eq!(rows(fixture, &targets[0]).await, after);
    assert_eq!(rows(fixture, &targets[1]).await, [(1, None)], "another table is left alone");
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

/// As in a log of changes: rows with equal values are several rows, in one part and in several.
async fn every_row_is_added_where_there_is_no_key(fixture: &dyn Fixture) {
    let table = fixture.create(false).await;
    fixture.insert(&table, &[(1, None)]).await;
    let target = target(0, &table, WriteMode::Append, false, false);
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    let none = batch(&[]).rows.project(&[]).expect("no column is there");
    let added = |rows: &[Row]| NetChanges { deletes: none.clone(), ..changes(&[], rows) };
    let many: Vec<Row> = (0..3_000).map(|_| (7, Some(7))).collect();
    apply(applier.as_mut(), &target, &added(&[(1, None), (2, Some(2)), (2, Some(2))])).await;
    apply(applier.as_mut(), &target, &added(&many)).await;
    applier.commit("1").await.expect("it commits");
    apply(applier.as_mut(), &target, &added(&[(2, Some(2))])).await;
    applier.commit("2").await.expect("it commits");
    let expected = [&[(1, None); 2][..], &[(2, Some(2)); 3], &many].concat();
    assert_eq!(rows(fixture, &target).await, expected);
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

fn whole(deletes: &[Row], rows: &[Row]) -> NetChanges {
    NetChanges { deletes: batch(deletes).rows, ..changes(&[], rows) }
}

/// Of rows that are equal as many go as are told, and no others.
async fn rows_without_a_key_go_by_their_values(fixture: &dyn Fixture) {
    let table = fixture.create(false).await;
    fixture
        .insert(&table, &[&[(1, None); 2][..], &[(1, Some(1)), (3, None)], &[(2, Some(2)); 3]].concat())
        .await;
    let target = target(0, &table, WriteMode::Overwrite, true, false);
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    let first = whole(&[(2, Some(2)), (1, None), (2, Some(2)), (3, None)], &[(4, None), (4, None)]);
    apply(applier.as_mut(), &target, &first).await;
    // In the same transaction again.
    apply(applier.as_mut(), &target, &whole(&[(4, None)], &[(3, Some(3))])).await;
    applier.commit("1").await.expect("it commits");
    let mut there = vec![(1, None), (1, Some(1)), (2, Some(2)), (3, Some(3)), (4, None)];
    assert_eq!(rows(fixture, &target).await, there);
    let missing = whole(&[(4, None), (4, None), (1, Some(2)), (1, Some(1)), (9, None)], &[]);
    let missed = applier.apply(&target, &missing).await.expect("changes are applied");
    assert_eq!(missed, 3, "three rows are not there");
    applier.abort().await.expect("changes are taken back");
    let emptied = NetChanges { emptied: Some(Emptied::Deleted), ..whole(&[], &there) };
    apply(applier.as_mut(), &target, &emptied).await;
    applier.commit("2").await.expect("it commits");
    assert_eq!(rows(fixture, &target).await, there);
    let mut random = Rng::new(7);
    for round in 0..12 {
        // Few and many, of few kinds.
        let count = if round % 4 == 3 { 2_000 } else { 8 };
        let mut gone = vec![];
        for _ in 0..count.min(there.len()) {
            let at = random.below(there.len() as u64) as usize;
            gone.push(there.swap_remove(at));
        }
        let kind =
            |random: &mut Rng| (random.below(5) as i64, (!random.one_in(3)).then(|| random.below(3) as i64));
        let come: Vec<Row> = (0..count).map(|_| kind(&mut random)).collect();
        apply(applier.as_mut(), &target, &whole(&gone, &come)).await;
        applier.commit(&round.to_string()).await.expect("it commits");
        there.extend(come);
        assert_eq!(rows(fixture, &target).await, sorted(there.clone()), "round {round}");
    }
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

/// What is new at the source may go another way, and is not always new at the target.
async fn new_rows_may_be_there_already(fixture: &dyn Fixture) {
    for many in [3, 3_000] {
        let before: &[Row] = &[(1, Some(-1)), (2, None)];
        let targets = tables(fixture, &[before]).await;
        let sink = open(fixture).await;
        let (_, mut applier) = begin(sink.as_ref()).await;
        let mut expected: BTreeMap<i64, Option<i64>> = before.iter().copied().collect();
        // All of them new; one of them there already; new again; and all of them there.
        for (round, from) in (0..).zip([10, 10 + many - 1, 20 + 2 * many, 10]) {
            let new: Vec<Row> = (from..from + many).map(|id| (id, Some(id + round))).collect();
            let known = [(2, Some(round)), (5 * many + 100 + round, None)];
            let all = [&known[..], &new].concat();
            let first = NetChanges { fresh: new.len(), ..changes(&[1], &all) };
            apply(applier.as_mut(), &targets[0], &first).await;
            // In the same transaction again, where a row is gone by then.
            let again = [(from, Some(100 * round))];
            let second = NetChanges { fresh: 1, ..changes(&[from], &again) };
            apply(applier.as_mut(), &targets[0], &second).await;
            applier.commit(&round.to_string()).await.expect("it commits");
            expected.remove(&1);
            expected.extend(all.into_iter().chain(again));
            let found = rows(fixture, &targets[0]).await;
            assert_eq!(found, expected.clone().into_iter().collect::<Vec<_>>(), "round {round} of {many}");
        }
        drop(applier);
        sink.close("p").await.expect("the pipeline is closed");
    }
}

async fn several_parts_are_one_transaction(fixture: &dyn Fixture) {
    let before: [&[Row]; 2] = [&[(1, Some(1))], &[]];
    let targets = tables(fixture, &before).await;
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    let one = |id: i64, value: i64| [(id, Some(value))];
    for round in 0..3 {
        apply(applier.as_mut(), &targets[0], &changes(&[1], &one(2, round))).await;
        apply(applier.as_mut(), &targets[1], &changes(&[], &one(round, 0))).await;
        // The same key again, gone and back.
        apply(applier.as_mut(), &targets[0], &changes(&[2], &one(1, round))).await;
    }
    let update = NetChanges { updates: vec![batch(&one(1, 100)).rows], ..changes(&[], &[]) };
    apply(applier.as_mut(), &targets[0], &update).await;
    assert_eq!(rows(fixture, &targets[0]).await, before[0], "before the commit nobody sees it");
    assert_eq!(rows(fixture, &targets[1]).await, before[1], "before the commit nobody sees it");
    applier.commit("1").await.expect("it commits");
    assert_eq!(rows(fixture, &targets[0]).await, one(1, 100));
    assert_eq!(rows(fixture, &targets[1]).await, [(0, Some(0)), (1, Some(0)), (2, Some(0))]);
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

async fn what_is_taken_back_or_dropped_is_not_there(fixture: &dyn Fixture) {
    let before: &[Row] = &[(1, Some(1)), (2, None)];
    let targets = tables(fixture, &[before]).await;
    let sink = open(fixture).await;
    let (run, mut applier) = begin(sink.as_ref()).await;
    applier.abort().await.expect("there is nothing to take back");
    apply(applier.as_mut(), &targets[0], &changes(&[1], &[(2, Some(2)), (3, None)])).await;
    applier.abort().await.expect("changes are taken back");
    apply(applier.as_mut(), &targets[0], &changes(&[], &[(4, None)])).await;
    applier.commit("1").await.expect("it commits");
    let expected = [before, &[(4, None)]].concat();
    assert_eq!(rows(fixture, &targets[0]).await, expected);
    let emptied = NetChanges { emptied: Some(Emptied::Deleted), ..changes(&[], &[(9, None)]) };
    apply(applier.as_mut(), &targets[0], &emptied).await;
    drop(applier);
    // The next one waits for whatever the dropped one still holds.
    let mut applier = sink.applier(&run).await.expect("another one opens");
    apply(applier.as_mut(), &targets[0], &changes(&[4], &[(5, None)])).await;
    applier.commit("2").await.expect("it commits");
    assert_eq!(rows(fixture, &targets[0]).await, [before, &[(5, None)]].concat());
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

async fn a_row_that_is_not_taken_is_named(fixture: &dyn Fixture) {
    if !fixture.keeps_keys_unique() {
        return;
    }
    let targets = tables(fixture, &[&[]]).await;
    let mut wider = Target { stream: 1, ..Target::clone(&targets[0]) };
    wider.schema.columns[1] = Column::new("value", LogicalType::UInt64);
    let values = UInt64Array::from(vec![1, u64::MAX, 3]);
    let columns: Vec<Arc<dyn Array>> = vec![Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(values)];
    let refused =
        RecordBatch::try_new(wider.schema.arrow(), columns).expect("the columns are those of the schema");
    let sink = open(fixture).await;
    let (_, mut applier) = begin(sink.as_ref()).await;
    let mut applied =
        applier.apply(&Arc::new(wider), &NetChanges { rows: refused, ..changes(&[], &[]) }).await;
    if applied.is_ok() {
        applied = applier.commit("1").await.map(|()| 0);
    }
    let error = applied.expect_err("the second value is none of the column's");
    assert_eq!((error.kind(), error.row()), (ErrorKind::Value, Some(1)), "{error}");
    assert!(!error.to_string().contains(&u64::MAX.to_string()), "{error}");
    applier.abort().await.expect("what was refused can be taken back");
    apply(applier.as_mut(), &targets[0], &changes(&[], &[(4, None)])).await;
    applier.commit("2").await.expect("it commits");
    assert_eq!(rows(fixture, &targets[0]).await, [(4, None)]);
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
}

async fn mark(sink: &dyn Sink) -> Option<String> {
    let marks = sink.marks("p").await.expect("marks can be read");
    marks.expect("they are kept").remove(LOG_MARK)
}

async fn marks_are_kept_with_the_changes(fixture: &dyn Fixture) {
    let targets = tables(fixture, &[&[]]).await;
    let sink = open(fixture).await;
    if sink.marks("p").await.expect("marks can be read").is_none() {
        return;
    }
    let (_, mut applier) = begin(sink.as_ref()).await;
    let long = format!("it's \"{}\" \\ é", "x".repeat(100_000));
    for said in ["first", &long] {
        apply(applier.as_mut(), &targets[0], &changes(&[1], &[(2, None)])).await;
        assert_ne!(mark(sink.as_ref()).await.as_deref(), Some(said), "nothing is committed yet");
        applier.commit(said).await.expect("it commits");
        assert_eq!(mark(sink.as_ref()).await.as_deref(), Some(said));
    }
    apply(applier.as_mut(), &targets[0], &changes(&[2], &[])).await;
    applier.abort().await.expect("changes are taken back");
    assert_eq!(mark(sink.as_ref()).await.as_deref(), Some(long.as_str()));
    // Nothing applied is progress, too.
    applier.commit("last").await.expect("it commits");
    drop(applier);
    sink.close("p").await.expect("the pipeline is closed");
    drop(sink);
    assert_eq!(mark(open(fixture).await.as_ref()).await.as_deref(), Some("last"));
}

async fn an_older_epoch_may_apply_no_more(fixture: &dyn Fixture) {
    let targets = tables(fixture, &[&[]]).await;
    let old = open(fixture).await;
    if old.marks("p").await.expect("marks can be read").is_none() {
        return;
    }
    let (run, mut zombie) = begin(old.as_ref()).await;
    apply(zombie.as_mut(), &targets[0], &changes(&[], &[(1, None)])).await;
    zombie.commit("old").await.expect("it commits");
    // Whoever held the lock is gone, but its applier lives on.
    drop(old);
    let new = open(fixture).await;
    let epoch = take_over(new.as_ref(), run.epoch).await;
    assert!(epoch > run.epoch);
    let applied = async {
        zombie.apply(&targets[0], &changes(&[], &[(2, None)])).await?;
        zombie.commit("zombie").await
    };
    let error = applied.await.expect_err("an older epoch may apply no more");
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert_eq!(new.applier(&run).await.err().map(|error| error.kind()), Some(ErrorKind::Fenced));
    assert_eq!(rows(fixture, &targets[0]).await, [(1, None)]);
    assert_eq!(mark(new.as_ref()).await.as_deref(), Some("old"));
    drop(zombie);
    new.close("p").await.expect("the pipeline is closed");
}
