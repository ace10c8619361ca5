//! The simulated source and sink against the suite that every connector passes.

use async_trait::async_trait;
use syncline_connect::{Capabilities, Delivery, Sink, SinkCapability, SnapshotCapability, Source, WriteMode};
use syncline_testkit::conformance::{Fixture, Row, prove};

use super::{
    sink::SimSink,
    source::SimSource,
    world::{Pipeline, Rows, Shared, SourceTable, State, Table, stream_of, table_name},
};

const SNAPSHOT: SnapshotCapability =
    SnapshotCapability { chunks: true, resume: true, exact: true, digest: false };

const TRANSACTIONAL: SinkCapability = SinkCapability {
    delivery: Delivery::ExactlyOnce,
    overwrite: true,
    append: true,
    merge: true,
    keyed: false,
    changes: false,
    whole_rows: false,
    shared: false,
    readable: true,
};

/// It applies rows by their key at once.
const AT_ONCE: SinkCapability = SinkCapability {
    delivery: Delivery::Idempotent,
    overwrite: false,
    append: false,
    merge: true,
    keyed: false,
    changes: false,
    whole_rows: false,
    shared: false,
    readable: true,
};

fn capabilities(sink: SinkCapability) -> Capabilities {
    Capabilities { snapshot: Some(SNAPSHOT), sink: Some(sink), log: false }
}

/// A world in which nothing fails. A table is made at both ends of it, as the suite looks at it
/// through the source or through the sink.
struct Calm(Shared);

impl Calm {
    fn new(transactional: bool) -> Self {
        let world = Shared::default();
        world.get().target.transactional = transactional;
        world.get().states.push(State::default());
        Calm(world)
    }
}

#[async_trait]
impl Fixture for Calm {
    async fn create(&self, keyed: bool) -> String {
        let mut world = self.0.get();
        let name = table_name(world.tables.len());
        world.tables.push(SourceTable {
            keyed,
            write: WriteMode::Append,
            staged: false,
            removes: false,
            changing: false,
            rows: Rows::new(),
            snapshots: Default::default(),
            before: vec![],
            lookback: None,
        });
        world.target.tables.insert(name.clone(), Table { keyed, rows: vec![] });
        name
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let mut world = self.0.get();
        world.tables[stream_of(table)].rows.extend(rows.iter().copied());
        world.target.tables.get_mut(table).unwrap().rows.extend(rows);
    }

    async fn rows(&self, table: &str) -> Option<Vec<Row>> {
        let mut rows = self.0.get().target.tables.get(table)?.rows.clone();
        rows.sort_unstable();
        Some(rows)
    }

    async fn leftovers(&self) -> Vec<String> {
        let world = self.0.get();
        let left = world.target.pipelines.iter().filter(|(_, held)| **held != Pipeline::default());
        left.map(|(name, _)| name.clone()).collect()
    }

    async fn source(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(SimSource(self.0.clone(), 0)))
    }

    async fn sink(&self) -> Option<Box<dyn Sink>> {
        Some(Box::new(SimSink::new(&self.0)))
    }
}

#[tokio::test]
async fn every_claim_holds_with_transactions() {
    prove(&Calm::new(true), capabilities(TRANSACTIONAL)).await;
}

#[tokio::test]
async fn every_claim_holds_without_transactions() {
    prove(&Calm::new(false), capabilities(AT_ONCE)).await;
}
