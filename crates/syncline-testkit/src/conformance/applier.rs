//! Claims of a sink that takes changes.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, Int64Array, RecordBatch, UInt64Array};
use syncline_connect::{Applier, LOG_MARK, NetChanges, RunRef, Sink, SinkCapability, Target, WriteMode};
use syncline_types::{Column, ErrorKind, LogicalType, codes};

use super::{
    Fixture, Row, batch, run_ref,
    sink::{open, take_over},
    skewed, target, typed,
};

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
    NetChanges { emptied: false, deletes: keys(deletes), updates: vec![], rows: batch(rows).rows }
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
    let emptied = NetChanges { emptied: true, ..changes(&[9], &[(2, None), (8, Some(8))]) };
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
    let emptied = NetChanges { emptied: true, ..changes(&[], &[(9, None)]) };
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
