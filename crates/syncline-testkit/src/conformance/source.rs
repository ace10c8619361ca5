//! Claims of a source.

use std::sync::Arc;

use syncline_connect::{Next, Read, Reader, Session, SnapshotCapability, Source};
use syncline_types::{Error, Position, Split, codes};

use super::{Fixture, Row, discover, read, rows_of, sorted};

const CHUNK: u64 = 60;

pub(super) async fn prove(fixture: &dyn Fixture, claims: SnapshotCapability) {
    every_row_once(fixture, claims, true).await;
    if fixture.has_keyless_tables() {
        every_row_once(fixture, claims, false).await;
    }
    if fixture.can_change() {
        empty_table(fixture).await;
    }
    missing_table(fixture).await;
    if claims.resume {
        splits_outlive_their_session(fixture).await;
        positions_can_be_gone_on_from(fixture).await;
        planning_goes_on_where_it_stopped(fixture).await;
    }
    if claims.exact && fixture.can_change() {
        one_session_sees_one_state(fixture).await;
    }
    digests(fixture, claims.digest).await;
}

async fn open(fixture: &dyn Fixture) -> Box<dyn Source> {
    fixture.source().await.expect("it is a source")
}

async fn begin(source: &dyn Source, read: &Arc<Read>) -> Box<dyn Session> {
    source.begin(std::slice::from_ref(read), 3).await.expect("a session begins")
}

async fn splits(session: &dyn Session, read: &Arc<Read>, last: Option<&Split>) -> Vec<Split> {
    let mut splitter = session.splitter(read, last).await.expect("planning begins");
    let mut splits = vec![];
    while let Some(split) = splitter.next().await.expect("planning goes on") {
        splits.push(split);
        assert!(splits.len() < 10_000, "planning does not end");
    }
    splits
}

/// Every batch of a split: its rows, and where reading can go on after it.
async fn batches(reader: &mut dyn Reader) -> Vec<(Vec<Row>, Option<Position>)> {
    let mut batches = vec![];
    loop {
        match reader.next().await.expect("reading goes on") {
            Next::Batch(batch) => {
                assert!(batch.rejects.is_empty(), "rows are rejected: {:?}", batch.rejects);
                batches.push((rows_of(&batch.rows), batch.position));
            }
            Next::Idle(_) => {}
            Next::End => return batches,
        }
    }
}

async fn rows(session: &dyn Session, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Vec<Row> {
    let mut reader = session.open(read, split, at).await.expect("a split opens");
    batches(reader.as_mut()).await.into_iter().flat_map(|(rows, _)| rows).collect()
}

async fn every_row_once(fixture: &dyn Fixture, claims: SnapshotCapability, keyed: bool) {
    let (table, all) = fixture.filled(keyed).await;
    let source = open(fixture).await;
    let read = read(discover(source.as_ref(), &table).await, CHUNK);
    let outlives = claims.resume && fixture.outlives_snapshot(keyed);
    assert_eq!(read.stream.order.outlives_snapshot(), outlives, "how {table} can be cut");
    let session = begin(source.as_ref(), &read).await;
    let splits = splits(session.as_ref(), &read, None).await;
    if claims.chunks && keyed {
        let chunks = all.len().div_ceil(CHUNK as usize);
        assert!(
            (chunks..=chunks + 1).contains(&splits.len()),
            "{} chunks of about {CHUNK} of {} rows",
            splits.len(),
            all.len()
        );
    }
    let mut ids: Vec<_> = splits.iter().map(|split| split.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), splits.len(), "splits have ids of their own");
    let mut seen = vec![];
    for split in &splits {
        seen.extend(rows(session.as_ref(), &read, split, None).await);
    }
    assert_eq!(sorted(seen), all, "every row once, keyed: {keyed}");
}

async fn empty_table(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    let source = open(fixture).await;
    let read = read(discover(source.as_ref(), &table).await, CHUNK);
    let session = begin(source.as_ref(), &read).await;
    for split in splits(session.as_ref(), &read, None).await {
        assert_eq!(rows(session.as_ref(), &read, &split, None).await, []);
    }
}

async fn missing_table(fixture: &dyn Fixture) {
    use syncline_connect::Selection;
    let source = open(fixture).await;
    let name = syncline_types::StreamName::bare("no_such_table");
    let error: Error = source.discover(&Selection::Name(name)).await.expect_err("there is no such table");
    assert_eq!(error.code(), &codes::STREAM_MISSING, "{error}");
}

async fn splits_outlive_their_session(fixture: &dyn Fixture) {
    let (table, all) = fixture.filled(true).await;
    let source = open(fixture).await;
    let read = read(discover(source.as_ref(), &table).await, CHUNK);
    let session = begin(source.as_ref(), &read).await;
    let splits = splits(session.as_ref(), &read, None).await;
    drop(session);
    // As a later process would: another connection, another snapshot, splits from the state.
    let source = open(fixture).await;
    let session = begin(source.as_ref(), &read).await;
    let mut seen = vec![];
    for split in &splits {
        let text = serde_json::to_string(split).expect("a split can be saved");
        let split: Split = serde_json::from_str(&text).expect("a split can be read back");
        seen.extend(rows(session.as_ref(), &read, &split, None).await);
    }
    assert_eq!(sorted(seen), all, "splits mean the same rows in a later session");
}

async fn positions_can_be_gone_on_from(fixture: &dyn Fixture) {
    let (table, _) = fixture.filled(true).await;
    let source = open(fixture).await;
    let read = read(discover(source.as_ref(), &table).await, 1_000);
    let session = begin(source.as_ref(), &read).await;
    for split in splits(session.as_ref(), &read, None).await {
        let mut reader = session.open(&read, &split, None).await.expect("a split opens");
        let batches = batches(reader.as_mut()).await;
        for (at, (_, position)) in batches.iter().enumerate() {
            let Some(position) = position else { continue };
            let rest: Vec<Row> = batches[at + 1..].iter().flat_map(|(rows, _)| rows.clone()).collect();
            assert_eq!(sorted(rows(session.as_ref(), &read, &split, Some(position)).await), sorted(rest));
        }
    }
}

async fn planning_goes_on_where_it_stopped(fixture: &dyn Fixture) {
    let (table, all) = fixture.filled(true).await;
    let source = open(fixture).await;
    let read = read(discover(source.as_ref(), &table).await, CHUNK);
    let session = begin(source.as_ref(), &read).await;
    let planned = splits(session.as_ref(), &read, None).await;
    for known in 1..planned.len() {
        let rest = splits(session.as_ref(), &read, Some(&planned[known - 1])).await;
        assert_eq!(rest, planned[known..], "planning goes on after split {known}");
    }
    let mut seen = vec![];
    for split in &planned {
        seen.extend(rows(session.as_ref(), &read, split, None).await);
    }
    assert_eq!(sorted(seen), all);
}

async fn one_session_sees_one_state(fixture: &dyn Fixture) {
    for keyed in [true, false] {
        let (table, before) = fixture.filled(keyed).await;
        let source = open(fixture).await;
        let read = read(discover(source.as_ref(), &table).await, CHUNK);
        let session = begin(source.as_ref(), &read).await;
        fixture.insert(&table, &[(-5, None), (1_000_000_000, Some(1))]).await;
        let planned = splits(session.as_ref(), &read, None).await;
        let mut seen = vec![];
        for (at, split) in planned.iter().enumerate() {
            if at == planned.len() / 2 {
                fixture.insert(&table, &[(-6, None), (1_000_000_001, Some(1))]).await;
            }
            seen.extend(rows(session.as_ref(), &read, split, None).await);
        }
        assert_eq!(
            sorted(seen),
            before,
            "rows that came after the session began are not in it, keyed: {keyed}"
        );
    }
}

async fn digests(fixture: &dyn Fixture, claimed: bool) {
    let (table, rows) = fixture.filled(true).await;
    let source = open(fixture).await;
    let a = read(discover(source.as_ref(), &table).await, 1_000);
    let method = source.digest_method(&a);
    assert_eq!(method.is_some(), claimed, "whether it computes checksums");
    let session = begin(source.as_ref(), &a).await;
    let split = splits(session.as_ref(), &a, None).await.remove(0);
    if !claimed {
        let error = session.digest(&a, &split).await.expect_err("it does not compute checksums");
        assert_eq!(error.code(), &codes::UNSUPPORTED);
        return;
    }
    let (other, _) = fixture.filled(true).await;
    let b = read(discover(source.as_ref(), &other).await, 1_000);
    let session = source.begin(&[Arc::clone(&a), Arc::clone(&b)], 2).await.expect("a session begins");
    assert_eq!(method, source.digest_method(&b), "tables alike have one method");
    let (of_a, of_b) = (session.digest(&a, &split).await, session.digest(&b, &split).await);
    let of_a = of_a.expect("a checksum is computed");
    assert_eq!(of_a, of_b.expect("a checksum is computed"), "equal rows have equal checksums");
    assert_eq!(of_a.rows, rows.len() as u64);
    fixture.insert(&other, &[(77_777_777, Some(1))]).await;
    let session = begin(source.as_ref(), &b).await;
    assert_ne!(
        of_a,
        session.digest(&b, &split).await.expect("a checksum is computed"),
        "other rows have another checksum"
    );
}
