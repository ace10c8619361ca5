//! A connection that breaks is one that may be tried again, and nothing is lost by it.

use std::time::{Duration, Instant};

use syncline_connect::{Context, LogReader, Memory};
use syncline_testkit::{
    faults::{Flow, Proxy},
    servers::postgres::{Options, Postgres, StopMode, shared},
};
use syncline_types::{Result, Retry, codes};

use crate::{
    rig::{Following, Rig, Told, source},
    with_server,
};

/// Some 40 MB in one transaction, more than fits into any buffer on the way.
const FILL: &str = "INSERT INTO t SELECT n, repeat('x', 400) FROM generate_series(1, 100000) n";
const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text)";

async fn to_the_end(rig: &Rig, following: &mut Following, told: &mut Told) -> Result<()> {
    let head = rig.head().await;
    let until = Instant::now() + Duration::from_secs(60);
    while rig.log.compare(&following.at, &head)?.is_lt() {
        assert!(Instant::now() < until, "{head:?} is not reached");
        match following.reader.next().await? {
            syncline_connect::Logged::Changes(batch) => {
                told.add(&batch, &following.reads, &mut following.at);
            }
            syncline_connect::Logged::Idle(position) => following.at = position,
            syncline_connect::Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_may_be_tried_again() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let proxy = Proxy::start(("127.0.0.1", shared().port()));
        let cx = Context::new(Memory::new(64 << 20), Duration::from_secs(3));
        let through = source(proxy.addr().port(), rig.database.name(), r#", "connect_timeout": 3"#, cx).await;
        let log = through.expect("the server can be read").log(rig.database.name()).await.expect("it has a log");
        let reads = rig.reads(&["t"]).await;
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        rig.sql(FILL);
        let (mut told, mut after) = (Told::default(), at.clone());
        for fault in ["cut", "cut after", "stall", "kill session"] {
            let reader = log.open(&reads, &after, &[]).await.expect("the log can be opened");
            let mut following = Following { reader, reads: reads.clone(), at: after.clone() };
            match fault {
                "cut after" => proxy.cut_after(Flow::Down, 3_000_000),
                _ => {
                    following.next().await.expect("there is something");
                    match fault {
                        "cut" => proxy.cut(),
                        "stall" => proxy.stall(),
                        _ => drop(rig.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()")),
                    }
                }
            }
            let began = Instant::now();
            // What came in parts of a transaction that has no end is no more than that.
            let mut parts = Told::default();
            let error = to_the_end(&rig, &mut following, &mut parts).await.expect_err("the rest does not come");
            assert_eq!(error.retry(), Retry::Backoff, "{fault}: {error}");
            assert!(began.elapsed() < Duration::from_secs(15), "{fault}: {:?}", began.elapsed());
            assert!(parts.positions.is_empty(), "{fault}: {:?}", parts.positions);
            // What was not ours may have been passed over.
            after.clone_from(&following.at);
            proxy.heal();
            if fault == "stall" {
                // The server has not noticed anything.
                rig.sql("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE database = current_database() AND active");
            }
        }
        let reader = log.open(&reads, &after, &[]).await.expect("the log can be opened");
        let mut following = Following { reader, reads, at: after };
        to_the_end(&rig, &mut following, &mut told).await.expect("it can be read");
        assert_eq!(told.lines.len(), 100_000);
        after = following.at.clone();
        drop(following);
        assert!(rig.log.compare(&at, &after).expect("they are of this log").is_lt());
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_is_asked_and_then_given_up() {
    with_server(async {
        let rig = Rig::new(TABLE).await;
        let proxy = Proxy::start(("127.0.0.1", shared().port()));
        let cx = Context::new(Memory::new(64 << 20), Duration::from_secs(2));
        let through = source(proxy.addr().port(), rig.database.name(), "", cx).await;
        let log =
            through.expect("the server can be read").log(rig.database.name()).await.expect("it has a log");
        let reads = rig.reads(&["t"]).await;
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        let mut reader = log.open(&reads, &at, &[]).await.expect("the log can be opened");
        // Nothing happens for longer than a silence may be, and that is no failure; being asked by turns
        // is none either.
        let quiet = Instant::now();
        while quiet.elapsed() < Duration::from_secs(4) {
            if let Ok(logged) = tokio::time::timeout(Duration::from_millis(300), reader.next()).await {
                logged.expect("the server answers");
            }
        }
        proxy.stall();
        let began = Instant::now();
        let error = loop {
            let next = tokio::time::timeout(Duration::from_millis(300), reader.next()).await;
            match next {
                Ok(Err(error)) => break error,
                Ok(Ok(_)) | Err(_) => assert!(began.elapsed() < Duration::from_secs(10), "it waits on"),
            }
        };
        assert_eq!(error.code(), &codes::TIMED_OUT, "{error}");
    })
    .await;
}

async fn own_server(options: Options) -> (Postgres, Rig) {
    let server = Postgres::start(options.logical());
    let name = server.create_database();
    let database = server.database(&name);
    database.sql(TABLE);
    let rig = Rig::over(server.port(), database, "").await;
    (server, rig)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_started_again_goes_on() {
    with_server(async {
        let (mut server, rig) = own_server(Options::new()).await;
        let mut following = rig.follow(&["t"]).await;
        for (id, mode) in [Some(StopMode::Fast), Some(StopMode::Immediate), None].into_iter().enumerate() {
            rig.sql(&format!("INSERT INTO t VALUES ({id}, 'before')"));
            let told = following.all(&rig).await;
            assert_eq!(told.lines, [format!("t + {id}|before")], "{mode:?}");
            following.reader.confirm(&following.at).await.expect("it can be confirmed");
            match mode {
                // Such a server waits until we have confirmed everything.
                Some(StopMode::Fast) => {
                    let confirming = confirm_until_the_end(following.reader.as_mut());
                    let error = std::thread::scope(|scope| {
                        scope.spawn(|| server.stop(StopMode::Fast));
                        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(confirming))
                    });
                    assert_eq!(error.retry(), Retry::Backoff, "{error}");
                }
                Some(mode) => server.stop(mode),
                None => server.kill9(),
            }
            let error = confirm_until_the_end(following.reader.as_mut()).await;
            assert_eq!(error.retry(), Retry::Backoff, "{error}");
            server.start_again();
            rig.sql(&format!("INSERT INTO t VALUES ({}, 'after')", id + 10));
            let (reads, at) = (following.reads.clone(), following.at.clone());
            following = rig.open(reads, at).await;
            let told = following.all(&rig).await;
            assert_eq!(told.lines, [format!("t + {}|after", id + 10)], "{mode:?}");
        }
    })
    .await;
}

async fn confirm_until_the_end(reader: &mut dyn LogReader) -> syncline_types::Error {
    loop {
        match reader.next().await {
            Ok(syncline_connect::Logged::Idle(position)) => {
                if let Err(error) = reader.confirm(&position).await {
                    return error;
                }
            }
            Ok(other) => panic!("nothing was changed: {other:?}"),
            Err(error) => return error,
        }
    }
}

#[tokio::test]
async fn a_slow_target_does_not_cost_the_connection() {
    with_server(async {
        // Such a server lets go of whoever is silent for a second.
        let (_server, rig) = own_server(Options::new().setting("wal_sender_timeout", "1s")).await;
        let mut following = rig.follow(&["t"]).await;
        rig.sql(FILL);
        rig.sql("INSERT INTO t VALUES (0, 'last')");
        following.next().await.expect("there is something");
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        // Said in between, it is heard at once, although the server is in the middle of a transaction.
        following.reader.tick().await.expect("the connection is kept");
        let heard = "SELECT reply_time > now() - interval '2 s' FROM pg_stat_replication";
        let until = Instant::now() + Duration::from_secs(1);
        while rig.sql(heard) != "t" {
            assert!(Instant::now() < until, "the server has not heard of us");
        }
        let told = following.all(&rig).await;
        assert_eq!(told.lines.last().map(String::as_str), Some("t + 0|last"));
    })
    .await;
}

#[tokio::test]
async fn a_log_that_was_thrown_away_is_told_so() {
    with_server(async {
        let options = Options::new()
            .setting("max_slot_wal_keep_size", "1MB")
            .setting("max_wal_size", "32MB")
            .setting("min_wal_size", "32MB");
        let (_server, rig) = own_server(options).await;
        let following = rig.follow(&["t"]).await;
        let (reads, at) = (following.reads.clone(), following.at.clone());
        drop(following);
        rig.sql("SELECT pg_logical_emit_message(false, 'x', '')");
        for _ in 0..4 {
            rig.sql("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 30000) n; TRUNCATE t; SELECT pg_switch_wal(); CHECKPOINT");
        }
        assert_eq!(rig.sql("SELECT wal_status FROM pg_replication_slots"), "lost");
        for error in [
            rig.log.open(&reads, &at, &[]).await.err().expect("it is gone"),
            rig.log.keep(&reads, Some(&at)).await.expect_err("it is gone"),
        ] {
            assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        }
        let findings = rig.log.inspect(&reads).await.expect("it can be looked at");
        // It does not stand in the way of beginning again.
        assert!(findings.iter().all(|finding| finding.error.is_none()), "{findings:?}");
        assert!(findings.iter().any(|finding| finding.message.contains("SYN-5012")), "{findings:?}");
        let error = rig.log.keep(&reads, None).await.expect_err("it is there already");
        assert_eq!(error.code(), &codes::LOG_LOST, "{error}");
        rig.log.release().await.expect("it can be released");
        rig.log.keep(&reads, None).await.expect("the place can be kept");
    })
    .await;
}
