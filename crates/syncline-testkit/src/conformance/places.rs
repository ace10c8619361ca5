//! The claim of a log that knows of which place in it a snapshot is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use arrow_array::{Array, Int32Array, RecordBatch, cast::AsArray, types::Int32Type};
use syncline_connect::{Log, Logged, Next, Read, Session};
use syncline_types::Position;
use tokio::runtime::Handle;

const WRITERS: usize = 3;
const SNAPSHOTS: usize = 8;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(30);
/// Rows that a writer sends together, each in a transaction of its own.
const TOGETHER: usize = 50;

/// While writers add numbers to `t`, of which `insert` is given the statements, every one of them is in a snapshot
/// or told behind its place, and none is both. `read` is of that table, whose changes are kept from `at` on.
///
/// # Panics
/// When it is not so, or when hardly a snapshot was taken while rows came.
pub async fn a_transaction_is_in_a_snapshot_or_behind_its_place(
    log: &dyn Log,
    read: &Arc<Read>,
    at: &Position,
    parallel: usize,
    insert: impl Fn(&str) + Sync,
) {
    let over = AtomicBool::new(false);
    let (insert, over) = (&insert, &over);
    let (snapshots, written) = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(insert, writer, over))).collect();
        let snapshots = tokio::task::block_in_place(|| Handle::current().block_on(take(log, read, parallel)));
        over.store(true, Ordering::Relaxed);
        let written: usize = writers.into_iter().map(|writer| writer.join().expect("a writer ends")).sum();
        (snapshots, written)
    });
    let mut between = 0;
    for (place, copied) in snapshots {
        between += usize::from(!copied.is_empty() && copied.len() < written);
        let told = told(log, read, at, &place).await;
        let mut all: Vec<i32> = copied.into_iter().chain(told).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((count, all.len()), (written, written), "at {}", place.0);
    }
    assert!(between > 2, "hardly a snapshot was taken while rows came");
}

/// Writes each number once until it is over; says how many.
fn write(insert: &(impl Fn(&str) + Sync), writer: usize, over: &AtomicBool) -> usize {
    let mut written = 0;
    while !over.load(Ordering::Relaxed) {
        let numbers = (written..written + TOGETHER).map(|at| at * WRITERS + writer);
        insert(&numbers.map(|number| format!("INSERT INTO t VALUES ({number});")).collect::<String>());
        written += TOGETHER;
    }
    written
}

async fn take(log: &dyn Log, read: &Arc<Read>, parallel: usize) -> Vec<(Position, Vec<i32>)> {
    let mut taken = vec![];
    for _ in 0..SNAPSHOTS {
        let reads = std::slice::from_ref(read);
        let (session, place) = log.snapshot(reads, parallel).await.expect("a snapshot is taken");
        taken.push((place, copied(session.as_ref(), read).await));
        tokio::time::sleep(PAUSE).await;
    }
    taken
}

/// The numbers that a session has.
async fn copied(session: &dyn Session, read: &Arc<Read>) -> Vec<i32> {
    let mut splitter = session.splitter(read, None).await.expect("planning begins");
    let mut all = vec![];
    while let Some(split) = splitter.next().await.expect("planning goes on") {
        let mut reader = session.open(read, &split, None).await.expect("a split opens");
        loop {
            match reader.next().await.expect("reading goes on") {
                Next::Batch(batch) => all.extend(numbers(&batch.rows)),
                Next::Idle(_) => {}
                Next::End => break,
            }
        }
    }
    all
}

/// The numbers that the log tells behind a place.
async fn told(log: &dyn Log, read: &Arc<Read>, at: &Position, place: &Position) -> Vec<i32> {
    let head = log.head().await.expect("the log has an end");
    let mut reader = log.open(std::slice::from_ref(read), at, &[]).await.expect("the log opens");
    reader.pass_over(0, place).expect("it is a place of this log");
    let mut all = vec![];
    loop {
        let reached = match reader.next().await.expect("reading goes on") {
            Logged::Changes(batch) => {
                batch.changes.iter().for_each(|changes| all.extend(numbers(&changes.rows)));
                batch.position
            }
            Logged::Idle(position) => Some(position),
            Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
        };
        let is_past = |position| log.compare(&position, &head).expect("they are of one log").is_ge();
        if reached.is_some_and(is_past) {
            return all;
        }
    }
}

fn numbers(rows: &RecordBatch) -> Vec<i32> {
    let column: &Int32Array = rows.column(0).as_primitive::<Int32Type>();
    assert_eq!(column.null_count(), 0, "every row has a number");
    column.values().to_vec()
}
