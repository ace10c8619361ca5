//! The connector against what it claims.

use std::time::Duration;

use arrow_array::{Array, cast::AsArray, types::Int64Type};
use async_trait::async_trait;
use syncline_connect::{Connector, Context, Endpoint, Memory, Next, Selection, Sink, Source, parse_options};
use syncline_generate::{Generate, GenerateConfig};
use syncline_testkit::conformance::{FILLED_ROWS, Fixture, Row, prove};
use syncline_types::{Extent, Split, SplitId};

fn config(options: &[(&str, &str)]) -> GenerateConfig {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let endpoint = Endpoint {
        scheme: "generate".into(),
        path: Some("keyed,keyless".into()),
        options,
        ..Endpoint::default()
    };
    parse_options(&endpoint).expect("the options are right")
}

fn context() -> Context {
    Context::new(Memory::new(32 << 20), Duration::from_secs(20))
}

async fn open(columns: &str) -> Box<dyn Source> {
    let rows = FILLED_ROWS.to_string();
    let config = config(&[("rows", &rows), ("columns", columns)]);
    Generate::source(config, context()).await.expect("rows can be made up")
}

/// Made-up tables cannot be changed; what is in them is told by reading them whole.
struct MadeUp;

const KEYED: &str = "id:sequence,value:int64?10";

#[async_trait]
impl Fixture for MadeUp {
    async fn create(&self, _: bool) -> String {
        unreachable!("no table is made")
    }

    async fn insert(&self, _: &str, _: &[Row]) {
        unreachable!("no row is added")
    }

    async fn rows(&self, _: &str) -> Option<Vec<Row>> {
        unreachable!("nothing is written")
    }

    async fn leftovers(&self) -> Vec<String> {
        vec![]
    }

    async fn source(&self) -> Option<Box<dyn Source>> {
        Some(open(KEYED).await)
    }

    async fn sink(&self) -> Option<Box<dyn Sink>> {
        None
    }

    async fn filled(&self, _: bool) -> (String, Vec<Row>) {
        let source = open(KEYED).await;
        let stream = source.discover(&Selection::Default).await.expect("tables are listed").remove(0);
        let columns = vec!["id".to_owned(), "value".to_owned()];
        let read = std::sync::Arc::new(syncline_connect::Read {
            stream: stream.into(),
            columns,
            filter: None,
            chunk_rows: 1,
        });
        let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
        let whole = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
        let mut reader = session.open(&read, &whole, None).await.expect("a split opens");
        let mut rows = vec![];
        while let Next::Batch(batch) = reader.next().await.expect("rows are made up") {
            let (ids, values) = (
                batch.rows.column(0).as_primitive::<Int64Type>(),
                batch.rows.column(1).as_primitive::<Int64Type>(),
            );
            rows.extend(
                (0..ids.len()).map(|row| (ids.value(row), values.is_valid(row).then(|| values.value(row)))),
            );
        }
        assert_eq!(rows.len(), usize::try_from(FILLED_ROWS).expect("few rows"));
        ("keyed".into(), rows)
    }

    fn has_keyless_tables(&self) -> bool {
        false
    }

    fn can_change(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn every_claim_holds() {
    prove(&MadeUp, Generate::CAPABILITIES).await;
}

#[tokio::test]
async fn the_seed_decides_the_rows() {
    let text = async |seed: &str| {
        let config = config(&[("rows", "50"), ("seed", seed), ("columns", "id:sequence,t:text(0..30)?10")]);
        let source = Generate::source(config, context()).await.expect("rows can be made up");
        let stream = source.discover(&Selection::Default).await.expect("tables are listed").remove(0);
        let columns = vec!["id".to_owned(), "t".to_owned()];
        let read = std::sync::Arc::new(syncline_connect::Read {
            stream: stream.into(),
            columns,
            filter: None,
            chunk_rows: 7,
        });
        let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
        let whole = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
        let mut reader = session.open(&read, &whole, None).await.expect("a split opens");
        match reader.next().await.expect("rows are made up") {
            Next::Batch(batch) => format!("{:?}", batch.rows),
            other => panic!("{other:?} in place of rows"),
        }
    };
    assert_eq!(text("1").await, text("1").await);
    assert_ne!(text("1").await, text("2").await);
}

#[tokio::test]
async fn rows_come_into_being_at_their_rate() {
    let config = config(&[("rows", "30"), ("rate", "20"), ("columns", "id:sequence")]);
    let source = Generate::source(config, context()).await.expect("rows can be made up");
    let stream = source.discover(&Selection::Default).await.expect("tables are listed").remove(0);
    let read = std::sync::Arc::new(syncline_connect::Read {
        stream: stream.into(),
        columns: vec!["id".to_owned()],
        filter: None,
        chunk_rows: 100,
    });
    let session = source.begin(std::slice::from_ref(&read), 1).await.expect("a session begins");
    let whole = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
    let mut reader = session.open(&read, &whole, None).await.expect("a split opens");
    let began = std::time::Instant::now();
    let mut rows = 0;
    loop {
        match reader.next().await.expect("rows are made up") {
            Next::Batch(batch) => rows += batch.rows.num_rows(),
            Next::Idle(_) => {}
            Next::End => break,
        }
    }
    assert_eq!(rows, 30);
    let seconds = began.elapsed().as_secs_f64();
    assert!((1.3..4.0).contains(&seconds), "30 rows at 20 a second took {seconds} s");
}
