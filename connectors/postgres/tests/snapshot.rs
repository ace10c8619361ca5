//! A snapshot that is held for long stands in nobody's way for long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use syncline_connect::{Connector, Context, Memory, Read, Selection, Source};
use syncline_postgres::{Postgres, PostgresConfig};
use syncline_testkit::servers::{left_out, postgres};
use syncline_types::codes;

const WAIT_MAX: Duration = Duration::from_secs(15);

async fn source(database: &str) -> Box<dyn Source> {
    let json = format!(
        r#"{{"user": "postgres", "host": "127.0.0.1", "port": {}, "path": "{database}"}}"#,
        postgres::shared().port()
    );
    let config: PostgresConfig = serde_json::from_str(&json).expect("the configuration is right");
    let cx = Context::new(Memory::new(32 << 20), Duration::from_secs(60));
    Postgres::source(config, cx).await.expect("the server can be read")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT_MAX;
    while !is_so() {
        assert!(Instant::now() < until, "{what}: it took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn who_wants_a_table_alone_gets_it_before_the_reading_ends() {
    if left_out("postgres") {
        return;
    }
    let server = postgres::shared();
    let database = server.create_database();
    server.psql(
        &database,
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)",
    );
    let source = source(&database).await;
    let stream = source.discover(&Selection::Default).await.expect("it is listed").remove(0);
    assert!(stream.bytes_estimate.is_some_and(|bytes| bytes > 8_192), "{:?}", stream.bytes_estimate);
    let stream = Arc::new(stream);
    let read = Arc::new(Read {
        columns: vec!["id".into()],
        filter: None,
        chunk_rows: 100,
        stream: Arc::clone(&stream),
    });
    let session = source.begin(std::slice::from_ref(&read), 2).await.expect("a snapshot");
    let mut splitter = session.splitter(&read, None).await.expect("it is cut");
    let split = splitter.next().await.expect("a chunk").expect("there is one");
    let reader = session.open(&read, &split, None).await.expect("it can be read");

    // Waits for our snapshot, which has read the table.
    let truncating = {
        let database = database.clone();
        std::thread::spawn(move || postgres::shared().psql(&database, "TRUNCATE t"))
    };
    wait_until("the truncation waits", || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
        postgres::shared().psql(&database, waiting) == "1"
    });

    // Who only looks what there is does not wait behind it, and is told no size.
    let began = Instant::now();
    let found = source.discover(&Selection::Default).await.expect("it is listed");
    assert_eq!(found[0].bytes_estimate, None);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());

    // The one connection is reading; a second one waits, until it gives the snapshot up.
    let error = session.open(&read, &split, None).await.err().expect("somebody else comes first");
    assert_eq!(error.code(), &codes::SNAPSHOT_LOST, "{error}");
    assert!(error.to_string().contains("another session"), "{error}");
    assert!(!truncating.is_finished());
    drop((reader, splitter, session));
    wait_until("the truncation", || truncating.is_finished());
    truncating.join().expect("it was done");

    let session = source.begin(std::slice::from_ref(&read), 2).await.expect("another snapshot");
    let mut splitter = session.splitter(&read, None).await.expect("it is cut");
    let split = splitter.next().await.expect("a chunk").expect("there is one");
    session.open(&read, &split, None).await.expect("it can be read again");
}
