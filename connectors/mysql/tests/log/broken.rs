//! A connection that breaks is one that may be tried again, and nothing is lost by it.

use std::time::{Duration, Instant};

use syncline_connect::{Context, LogReader, Logged, Memory};
use syncline_testkit::faults::{Flow, Proxy};
use syncline_types::{Result, Retry, codes};

use crate::rig::{Following, Rig, Told, numbers, products, server, source};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v varchar(400))";

async fn to_the_end(rig: &Rig, following: &mut Following, told: &mut Told) -> Result<()> {
    let head = rig.head().await;
    let until = Instant::now() + Duration::from_secs(60);
    while rig.log.compare(&following.at, &head)?.is_lt() {
        assert!(Instant::now() < until, "{head:?} is not reached");
        match following.reader.next().await? {
            Logged::Changes(batch) => told.add(&batch, &following.reads, &mut following.at),
            Logged::Idle(position) => following.at = position,
            Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_may_be_tried_again() {
    for product in products() {
        // All who read its log are ended on the way.
        let server = server(product, &[]);
        let rig = Rig::on(&server, TABLE, "").await;
        let proxy = Proxy::start(("127.0.0.1", server.port()));
        let cx = Context::new(Memory::new(64 << 20), Duration::from_secs(3));
        let through = source(proxy.addr().port(), rig.database.name(), r#", "connect_timeout": 3"#, cx).await;
        let log = through.expect("the server can be read").log("through").await.expect("it has a log");
        let reads = rig.reads(&["t"]).await;
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        // Some 40 MB in one transaction, more than fits into any buffer on the way.
        rig.sql(&format!(
            "INSERT INTO t SELECT n, REPEAT('x', 400) FROM ({}) g; INSERT INTO t VALUES (0, 'last')",
            numbers(product, 100_000)
        ));
        for fault in ["cut", "cut after", "stall", "kill session"] {
            let reader = log.open(&reads, &at, &[]).await.expect("the log can be opened");
            let mut following = Following { reader, reads: reads.clone(), at: at.clone() };
            match fault {
                "cut after" => proxy.cut_after(Flow::Down, 3_000_000),
                _ => {
                    following.next().await.expect("there is something");
                    match fault {
                        "cut" => proxy.cut(),
                        "stall" => proxy.stall(),
                        _ => kill_readers(&rig),
                    }
                }
            }
            let error = to_the_end(&rig, &mut following, &mut Told::default()).await.expect_err(fault);
            assert_eq!(error.retry(), Retry::Backoff, "{fault} on {product:?}: {error}");
            if fault == "stall" {
                assert_eq!(error.code(), &codes::TIMED_OUT, "{error}");
            }
            proxy.heal();
        }
        let reader = log.open(&reads, &at, &[]).await.expect("the log can be opened");
        let mut following = Following { reader, reads: reads.clone(), at: at.clone() };
        let mut told = Told::default();
        to_the_end(&rig, &mut following, &mut told).await.expect("nothing breaks it");
        assert_eq!(told.lines.len(), 100_001);
        assert_eq!(told.lines.last().map(String::as_str), Some("t + 0|last"));
    }
}

/// Ends the sessions to which the server sends its log.
fn kill_readers(rig: &Rig) {
    let sessions = rig.sql("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'");
    assert!(!sessions.is_empty(), "somebody reads the log");
    for id in sessions.lines() {
        // Others' may have ended by themselves.
        let _ = rig.database.try_sql(&format!("KILL {id}"));
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_noticed() {
    for product in products() {
        let mut server = server(product, &[]);
        let rig = Rig::on(&server, TABLE, "").await;
        let cx = Context::new(Memory::new(64 << 20), Duration::from_secs(2));
        let patient =
            source(server.port(), rig.database.name(), "", cx).await.expect("the server can be read");
        let log = patient.log("p").await.expect("it has a log");
        let reads = rig.reads(&["t"]).await;
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        let mut reader = log.open(&reads, &at, &[]).await.expect("the log can be opened");
        // While it lives it says that nothing happens.
        let quiet = tokio::time::timeout(Duration::from_secs(5), drain(reader.as_mut())).await;
        assert!(quiet.is_err(), "{product:?}: {quiet:?}");
        server.pause();
        let began = Instant::now();
        let error = drain(reader.as_mut()).await;
        server.resume();
        assert_eq!((error.code(), error.retry()), (&codes::TIMED_OUT, Retry::Backoff), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

/// Reads until it fails.
async fn drain(reader: &mut dyn LogReader) -> syncline_types::Error {
    loop {
        if let Err(error) = reader.next().await {
            return error;
        }
    }
}

/// What is slow takes its time: the server waits, and the reader loses nothing.
#[tokio::test]
async fn a_target_that_is_slow_is_waited_for() {
    for product in products() {
        let server = server(product, &[("net-write-timeout", "1")]);
        let rig = Rig::on(&server, TABLE, "").await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(&format!("INSERT INTO t SELECT n, REPEAT('x', 400) FROM ({}) g", numbers(product, 50_000)));
        let mut told = Told::default();
        for _ in 0..4 {
            if let Logged::Changes(batch) = following.next().await.expect("there is something") {
                told.add(&batch, &following.reads, &mut following.at);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            following.reader.tick().await.expect("nothing has to be done");
        }
        to_the_end(&rig, &mut following, &mut told).await.expect("it goes on");
        assert_eq!(told.lines.len(), 50_000, "{product:?}");
    }
}
