//! Claims of a sink.

use std::sync::Arc;

use syncline_connect::{
    Batch, Delivery, Marking, ProgressDelta, ProgressRow, RunRef, Sink, SinkCapability, Target, Task,
    WriteMode, Writer,
};
use syncline_types::{ErrorKind, Position, Progress, SplitId, codes};

use super::{Fixture, Row, batch, incremental, run_ref, skewed, sorted, target};

pub(super) async fn prove(fixture: &dyn Fixture, claims: SinkCapability) {
    if !claims.readable {
        takes_everything(fixture).await;
        return;
    }
    if claims.append {
        append_into_a_missing_table(fixture).await;
        append_beside_rows(fixture).await;
    }
    if claims.overwrite {
        overwrite_shows_all_or_nothing(fixture).await;
    }
    if claims.merge {
        merge_updates_and_adds(fixture).await;
    }
    if claims.keyed {
        rows_go_by_key(fixture).await;
        rows_are_updated_by_key(fixture).await;
        what_cannot_be_changed_by_key_is_told(fixture).await;
    }
    if claims.delivery == Delivery::ExactlyOnce {
        what_is_not_committed_is_not_there(fixture).await;
        progress_is_kept_with_the_rows(fixture).await;
        an_older_epoch_may_write_no_more(fixture).await;
        only_one_process_at_a_time(fixture).await;
        if fixture.keeps_keys_unique() {
            a_refused_row_leaves_the_others(fixture).await;
        }
        publishing_twice_changes_nothing(fixture).await;
        a_reset_stream_begins_again(fixture).await;
        incremental::marks_are_kept_with_what_is_published(fixture).await;
        if claims.merge {
            incremental::the_last_row_of_a_key_wins(fixture).await;
        }
        nothing_is_left_after_the_end(fixture).await;
    }
}

pub(super) async fn open(fixture: &dyn Fixture) -> Box<dyn Sink> {
    fixture.sink().await.expect("it is a sink")
}

pub(super) fn delta(stream: u32, split: u32, progress: Progress, rows: u64) -> ProgressDelta {
    let row = ProgressRow { progress, rows, bytes: rows * 16, rejected: 0 };
    ProgressDelta { stream, split: SplitId(split), row }
}

/// A run that is prepared for its targets.
pub(super) async fn begin(sink: &dyn Sink, pipeline: &str, targets: &[Arc<Target>]) -> RunRef {
    let plans = sink.plan(targets).await.expect("targets can be planned");
    let epoch = sink.lock(pipeline, 0).await.expect("the pipeline is free");
    let run = run_ref(pipeline, "r1", epoch);
    for (target, plan) in targets.iter().zip(plans) {
        let blockers: Vec<_> = plan.findings.iter().filter_map(|finding| finding.error.as_ref()).collect();
        assert!(blockers.is_empty(), "{blockers:?}");
        // Doing it again changes nothing.
        for action in plan.before.iter().chain(&plan.before) {
            sink.apply(&run, target, action).await.expect("what was planned can be done");
        }
    }
    run
}

/// Writes rows as one split and commits it.
pub(super) async fn copy(sink: &dyn Sink, run: &RunRef, target: &Arc<Target>, split: u32, rows: &[Row]) {
    let mut writer = sink.writer(run).await.expect("a writer opens");
    for part in rows.chunks(70) {
        let outcomes = writer.write(target, SplitId(split), &batch(part)).await.expect("rows are written");
        assert!(outcomes.is_empty(), "{outcomes:?}");
    }
    let delta = delta(target.stream, split, Progress::Done, rows.len() as u64);
    writer.commit(&[delta]).await.expect("rows are committed");
}

pub(super) async fn end(sink: &dyn Sink, run: &RunRef, target: &Arc<Target>) {
    sink.finish(run, target, Marking::Keep).await.expect("rows are published");
    sink.close(&run.pipeline).await.expect("the run is closed");
}

async fn takes_everything(fixture: &dyn Fixture) {
    let sink = open(fixture).await;
    let target = target(0, "anything", WriteMode::Append, false, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    copy(sink.as_ref(), &run, &target, 0, &skewed(100)).await;
    end(sink.as_ref(), &run, &target).await;
}

/// A name that no table has yet.
pub(super) async fn free_name(fixture: &dyn Fixture) -> String {
    format!("{}_new", fixture.create(true).await)
}

async fn append_into_a_missing_table(fixture: &dyn Fixture) {
    let table = free_name(fixture).await;
    let sink = open(fixture).await;
    let target = target(0, &table, WriteMode::Append, false, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    copy(sink.as_ref(), &run, &target, 0, &skewed(100)).await;
    end(sink.as_ref(), &run, &target).await;
    assert_eq!(fixture.rows(&table).await, Some(sorted(skewed(100))));
}

async fn append_beside_rows(fixture: &dyn Fixture) {
    for (keyed, staged) in [(true, false), (false, true), (false, false)] {
        let table = fixture.create(keyed).await;
        fixture.insert(&table, &[(-1, None), (-2, Some(5))]).await;
        let sink = open(fixture).await;
        let target = target(0, &table, WriteMode::Append, staged, keyed);
        let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
        copy(sink.as_ref(), &run, &target, 0, &skewed(50)).await;
        if staged {
            assert_eq!(
                fixture.rows(&table).await,
                Some(vec![(-2, Some(5)), (-1, None)]),
                "staged rows are not seen"
            );
        }
        end(sink.as_ref(), &run, &target).await;
        let expected = sorted([skewed(50), vec![(-1, None), (-2, Some(5))]].concat());
        assert_eq!(fixture.rows(&table).await, Some(expected), "keyed {keyed}, staged {staged}");
    }
}

async fn overwrite_shows_all_or_nothing(fixture: &dyn Fixture) {
    for exists in [true, false] {
        let table = if exists { fixture.create(true).await } else { free_name(fixture).await };
        let old = exists.then(|| vec![(7, Some(7)), (8, None)]);
        if let Some(old) = &old {
            fixture.insert(&table, old).await;
        }
        let sink = open(fixture).await;
        let target = target(0, &table, WriteMode::Overwrite, true, true);
        let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
        for split in 0..3 {
            let part: Vec<Row> = skewed(90).into_iter().skip(split as usize * 30).take(30).collect();
            copy(sink.as_ref(), &run, &target, split, &part).await;
            assert_eq!(fixture.rows(&table).await, old, "before the end the old rows are seen");
        }
        end(sink.as_ref(), &run, &target).await;
        assert_eq!(fixture.rows(&table).await, Some(sorted(skewed(90))));
    }
    // Once more over what the sink has made itself, with fewer rows.
    let table = free_name(fixture).await;
    for count in [90, 10] {
        let sink = open(fixture).await;
        let target = target(0, &table, WriteMode::Overwrite, true, true);
        let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
        copy(sink.as_ref(), &run, &target, 0, &skewed(count)).await;
        end(sink.as_ref(), &run, &target).await;
        assert_eq!(fixture.rows(&table).await, Some(sorted(skewed(count))));
    }
}

async fn merge_updates_and_adds(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    fixture.insert(&table, &[(1, Some(-1)), (2, Some(6)), (-9, Some(9))]).await;
    let sink = open(fixture).await;
    let target = target(0, &table, WriteMode::Merge, true, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    copy(sink.as_ref(), &run, &target, 0, &skewed(40)).await;
    end(sink.as_ref(), &run, &target).await;
    let expected = sorted([skewed(40), vec![(-9, Some(9))]].concat());
    assert_eq!(fixture.rows(&table).await, Some(expected));
}

/// The same target for keys of rows that are to go, or for new values of rows that are there.
fn changing(target: &Arc<Target>, task: Task, columns: &[&str]) -> Arc<Target> {
    let mut target = Target::clone(target);
    target.task = task;
    target.schema.columns.retain(|column| columns.contains(&column.name.as_str()));
    Arc::new(target)
}

/// Writes rows of some columns only as one split and publishes them; doing that again changes nothing.
async fn change(sink: &dyn Sink, target: &Arc<Target>, rows: &[Row]) {
    let run = begin(sink, "p", std::slice::from_ref(target)).await;
    let mut writer = sink.writer(&run).await.expect("a writer opens");
    for part in rows.chunks(70) {
        let whole = batch(part);
        let indexes: Vec<usize> = (0..target.schema.columns.len()).collect();
        let rows = whole.rows.project(&indexes).expect("the columns are the first of the table");
        let part = Batch { rows, ..whole };
        let outcomes = writer.write(target, SplitId(0), &part).await.expect("rows are written");
        assert!(outcomes.is_empty(), "{outcomes:?}");
    }
    writer.commit(&[delta(target.stream, 0, Progress::Done, rows.len() as u64)]).await.expect("committed");
    drop(writer);
    sink.finish(&run, target, Marking::Keep).await.expect("the changes are published");
    sink.finish(&run, target, Marking::Keep).await.expect("a second time is no mistake");
    sink.close("p").await.expect("the run is closed");
}

async fn rows_go_by_key(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    fixture.insert(&table, &skewed(100)).await;
    let sink = open(fixture).await;
    let target = changing(&target(0, &table, WriteMode::Merge, true, true), Task::Delete, &["id"]);
    // Some are there, some are not, and one is named twice.
    let gone: Vec<Row> = (0..30).map(|id| (id * 2, None)).chain([(-5, None), (0, None)]).collect();
    change(sink.as_ref(), &target, &gone).await;
    let expected: Vec<Row> =
        skewed(100).into_iter().filter(|(id, _)| !gone.iter().any(|(key, _)| key == id)).collect();
    assert_eq!(fixture.rows(&table).await, Some(sorted(expected)));
    // No key is none to go.
    let before = fixture.rows(&table).await;
    change(sink.as_ref(), &target, &[]).await;
    assert_eq!(fixture.rows(&table).await, before);
}

async fn rows_are_updated_by_key(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    fixture.insert(&table, &[(1, Some(1)), (2, Some(2)), (3, None), (4, Some(4))]).await;
    let sink = open(fixture).await;
    let whole = target(0, &table, WriteMode::Merge, true, true);
    let target = changing(&whole, Task::Update, &["id", "value"]);
    // One is not there, and is not added; one is as it was.
    change(sink.as_ref(), &target, &[(1, None), (3, Some(33)), (4, Some(4)), (5, Some(5))]).await;
    let expected = vec![(1, None), (2, Some(2)), (3, Some(33)), (4, Some(4))];
    assert_eq!(fixture.rows(&table).await, Some(expected.clone()));
    // The key alone leaves nothing to update.
    change(sink.as_ref(), &changing(&whole, Task::Update, &["id"]), &[(1, None)]).await;
    assert_eq!(fixture.rows(&table).await, Some(expected));
}

async fn what_cannot_be_changed_by_key_is_told(fixture: &dyn Fixture) {
    let keyless = fixture.has_keyless_tables().then(|| fixture.create(false));
    let keyless = match keyless {
        Some(created) => Some((created.await, &codes::KEY_MISSING)),
        None => None,
    };
    let missing = Some((free_name(fixture).await, &codes::STREAM_MISSING));
    let sink = open(fixture).await;
    for (table, code) in keyless.into_iter().chain(missing) {
        for task in [Task::Update, Task::Delete] {
            let target = changing(&target(0, &table, WriteMode::Merge, true, true), task, &["id", "value"]);
            let plans = sink.plan(&[target]).await.expect("it can be planned");
            let blocker = plans[0].findings.iter().find_map(|finding| finding.error.as_ref());
            assert_eq!(blocker.map(syncline_types::Error::code), Some(code), "{task:?} of {table}");
        }
    }
}

async fn what_is_not_committed_is_not_there(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    let sink = open(fixture).await;
    let target = target(0, &table, WriteMode::Append, false, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    let mut writer = sink.writer(&run).await.expect("a writer opens");
    writer.write(&target, SplitId(0), &batch(&skewed(50))).await.expect("rows are written");
    writer.flush().await.expect("rows are taken");
    drop(writer);
    // The next writer waits for whatever the dropped one still holds.
    copy(sink.as_ref(), &run, &target, 1, &[(5_000_000, None)]).await;
    assert_eq!(fixture.rows(&table).await, Some(vec![(5_000_000, None)]));
    sink.close("p").await.expect("the run is closed");
}

async fn progress_is_kept_with_the_rows(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    let sink = open(fixture).await;
    let target = target(3, &table, WriteMode::Append, false, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    let mut writer = sink.writer(&run).await.expect("a writer opens");
    let at = Progress::At(Position("somewhere, 'quoted' \"twice\"".into()));
    for (split, progress, rows) in [(0, at.clone(), 5), (0, Progress::Done, 9), (4, at, 2)] {
        let row = (i64::from(split) * 100 + i64::try_from(rows).unwrap_or(0), None);
        writer.write(&target, SplitId(split), &batch(&[row])).await.expect("rows are written");
        writer.commit(&[delta(3, split, progress, rows)]).await.expect("rows are committed");
    }
    // Nothing written is progress, too.
    writer.commit(&[delta(3, 9, Progress::Done, 0)]).await.expect("progress is committed");
    drop((writer, sink));
    let sink = open(fixture).await;
    let progress = sink.progress("p").await.expect("progress can be read").expect("progress is kept");
    assert_eq!((progress.run.as_deref(), progress.epoch), (Some("r1"), run.epoch));
    let splits: Vec<_> =
        progress.splits.iter().map(|((stream, split), row)| (*stream, split.0, row.rows)).collect();
    assert_eq!(splits, [(3, 0, 9), (3, 4, 2), (3, 9, 0)]);
    assert_eq!(progress.splits[&(3, SplitId(0))].progress, Progress::Done);
    assert!(progress.published.is_empty());
    assert_eq!(
        sink.progress("another").await.expect("progress can be read").and_then(|progress| progress.run),
        None
    );
    sink.close("p").await.expect("the run is closed");
}

async fn an_older_epoch_may_write_no_more(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    let target = target(0, &table, WriteMode::Append, false, true);
    let old = open(fixture).await;
    let old_run = begin(old.as_ref(), "p", std::slice::from_ref(&target)).await;
    let mut zombie = old.writer(&old_run).await.expect("a writer opens");
    zombie.write(&target, SplitId(0), &batch(&[(1, None)])).await.expect("rows are written");
    zombie.commit(&[delta(0, 0, Progress::Done, 1)]).await.expect("rows are committed");
    // Whoever held the lock is gone, but its writer lives on.
    drop(old);
    let new = open(fixture).await;
    let epoch = take_over(new.as_ref(), old_run.epoch).await;
    assert!(epoch > old_run.epoch);
    let written = async {
        zombie.write(&target, SplitId(1), &batch(&[(2, None)])).await?;
        zombie.commit(&[delta(0, 1, Progress::Done, 1)]).await
    };
    let error = written.await.expect_err("an older epoch may write no more");
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert_eq!(new.writer(&old_run).await.err().map(|error| error.kind()), Some(ErrorKind::Fenced));
    assert_eq!(
        new.finish(&old_run, &target, Marking::Keep).await.err().map(|error| error.kind()),
        Some(ErrorKind::Fenced)
    );
    assert_eq!(fixture.rows(&table).await, Some(vec![(1, None)]));
    drop(zombie);
    new.close("p").await.expect("the run is closed");
}

/// A lock that a dropped sink held may take a moment to be free.
pub(super) async fn take_over(sink: &dyn Sink, epoch: u64) -> u64 {
    for _ in 0..100 {
        match sink.lock("p", epoch).await {
            Ok(epoch) => return epoch,
            Err(error) => assert_eq!(error.code(), &codes::ALREADY_RUNNING, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the lock of a sink that is gone is still held")
}

async fn only_one_process_at_a_time(fixture: &dyn Fixture) {
    let first = open(fixture).await;
    let epoch = first.lock("p", 7).await.expect("the pipeline is free");
    assert!(epoch > 7);
    let second = open(fixture).await;
    let error = second.lock("p", 0).await.expect_err("the pipeline is taken");
    assert_eq!(error.code(), &codes::ALREADY_RUNNING, "{error}");
    second.lock("another", 0).await.expect("another pipeline is free");
    second.close("another").await.expect("the run is closed");
    first.close("p").await.expect("the run is closed");
}

/// Rows that the target refuses, one by one or as a batch, are told; the others can be written.
async fn a_refused_row_leaves_the_others(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    fixture.insert(&table, &[(3, None)]).await;
    let sink = open(fixture).await;
    let target = target(0, &table, WriteMode::Append, false, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    let mut writer = sink.writer(&run).await.expect("a writer opens");
    assert!(take(writer.as_mut(), &target, &[(1, None), (2, None)]).await.is_ok());
    // The key 3 is there already.
    let refused = take(writer.as_mut(), &target, &[(3, Some(1)), (4, None)]).await;
    match refused {
        Ok(rows) => assert_eq!(rows, [0], "the row is told"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Value, "{error}");
            assert!(error.row().is_none_or(|row| row == 0), "{error:?}");
            writer.abort().await.expect("what was refused can be taken back");
            assert!(take(writer.as_mut(), &target, &[(4, None)]).await.is_ok());
        }
    }
    writer.commit(&[delta(0, 0, Progress::Done, 3)]).await.expect("the others are committed");
    drop(writer);
    end(sink.as_ref(), &run, &target).await;
    assert_eq!(fixture.rows(&table).await, Some(vec![(1, None), (2, None), (3, None), (4, None)]));
}

/// Writes and flushes; the rows that were refused one by one.
async fn take(
    writer: &mut dyn Writer,
    target: &Arc<Target>,
    rows: &[Row],
) -> syncline_types::Result<Vec<u32>> {
    let outcomes = writer.write(target, SplitId(0), &batch(rows)).await?;
    writer.flush().await?;
    Ok(outcomes
        .into_iter()
        .map(|outcome| match outcome {
            syncline_connect::Outcome::Reject(reject) => reject.row,
            syncline_connect::Outcome::Again { row, .. } => panic!("row {row} is put off"),
        })
        .collect())
}

async fn publishing_twice_changes_nothing(fixture: &dyn Fixture) {
    for write in [WriteMode::Overwrite, WriteMode::Append, WriteMode::Merge] {
        let table = fixture.create(true).await;
        let sink = open(fixture).await;
        let target = target(0, &table, write, true, true);
        let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
        copy(sink.as_ref(), &run, &target, 0, &skewed(20)).await;
        sink.finish(&run, &target, Marking::Keep).await.expect("rows are published");
        let progress = sink.progress("p").await.expect("progress can be read").expect("progress is kept");
        assert_eq!(progress.published, [0]);
        sink.finish(&run, &target, Marking::Keep).await.expect("a second time is no mistake");
        assert_eq!(fixture.rows(&table).await, Some(sorted(skewed(20))), "{write:?}");
        sink.close("p").await.expect("the run is closed");
    }
}

async fn a_reset_stream_begins_again(fixture: &dyn Fixture) {
    let table = free_name(fixture).await;
    let sink = open(fixture).await;
    let target = target(0, &table, WriteMode::Overwrite, true, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    copy(sink.as_ref(), &run, &target, 0, &skewed(30)).await;
    sink.reset(&run, &target).await.expect("a stream can begin again");
    let progress = sink.progress("p").await.expect("progress can be read").expect("progress is kept");
    assert!(progress.splits.is_empty() && progress.run.is_some());
    copy(sink.as_ref(), &run, &target, 0, &[(1, None)]).await;
    end(sink.as_ref(), &run, &target).await;
    assert_eq!(fixture.rows(&table).await, Some(vec![(1, None)]));
}

async fn nothing_is_left_after_the_end(fixture: &dyn Fixture) {
    let table = free_name(fixture).await;
    let sink = open(fixture).await;
    let target = target(0, &table, WriteMode::Overwrite, true, true);
    let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
    copy(sink.as_ref(), &run, &target, 0, &skewed(30)).await;
    // Given up, not published.
    sink.close("p").await.expect("the run is closed");
    assert_eq!(fixture.rows(&table).await, None);
    drop(sink);
    assert_eq!(fixture.leftovers().await, Vec::<String>::new());
}
