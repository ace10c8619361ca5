//! A real PostgreSQL through everything the kit can do to it.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::{
    certificates::Authority,
    process::{Finished, Program, Running},
    servers::{
        left_out,
        postgres::{self, Options, Postgres, StopMode},
    },
};

/// A client that goes the way a connector goes: over TCP, with a connection string.
fn connect(connection: &str, sql: &str) -> Finished {
    Program::new("psql").args(["-X", "-A", "-t", "-w", "-c", sql, connection]).run()
}

/// A client that stays connected.
fn stay(connection: &str) -> Running {
    let sql = "DO $$BEGIN RAISE NOTICE 'connected'; END$$; SELECT pg_sleep(60)";
    let client = Program::new("psql").args(["-X", "-c", sql, connection]).start();
    client.wait_for_line(|line| line.contains("connected"));
    client
}

#[test]
fn one_database_per_test_on_the_shared_server() {
    if left_out("postgres") {
        return;
    }
    let server = postgres::shared();
    let (one, two) = (server.create_database(), server.create_database());
    server.psql(&one, "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, NULL);");
    assert_eq!(server.psql(&one, "SELECT * FROM t ORDER BY a"), "1|x\n2|");
    let error = server.try_psql(&two, "SELECT * FROM t").unwrap_err();
    assert!(error.contains("relation \"t\" does not exist"), "{error}");
    assert_eq!(server.psql(&two, "SHOW wal_level; SHOW fsync; SHOW timezone"), "logical\noff\nUTC");
    server.drop_database(&one);
    assert!(server.try_psql(&one, "SELECT 1").is_err());
    assert_eq!(connect(&server.url(&two), "SELECT current_user").expect_code(0).stdout, "postgres\n");
}

#[test]
fn a_role_has_to_give_its_password() {
    if left_out("postgres") {
        return;
    }
    let server = postgres::shared();
    let database = server.create_database();
    server.psql("postgres", "CREATE ROLE loader LOGIN REPLICATION PASSWORD 'right'");
    let right = connect(&server.url_as("loader", "right", &database), "SELECT current_user");
    assert_eq!(right.expect_code(0).stdout, "loader\n");
    let wrong = connect(&server.url_as("loader", "wrong", &database), "SELECT 1").expect_code(2);
    assert!(wrong.stderr.contains("password authentication failed"), "{wrong}");
    let replication = format!("{}?replication=database", server.url_as("loader", "wrong", &database));
    connect(&replication, "IDENTIFY_SYSTEM").expect_code(2);
    let replication = replication.replace("wrong", "right");
    connect(&replication, "IDENTIFY_SYSTEM").expect_code(0);
}

#[test]
fn what_is_committed_survives_a_kill_and_the_port_stays() {
    if left_out("postgres") {
        return;
    }
    let mut server = Postgres::start(Options::new());
    server.psql("postgres", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    let (port, client) = (server.port(), stay(&server.url("postgres")));
    assert_eq!(server.backend_count(), 1);
    server.kill9();
    assert_eq!(client.wait().code, Some(2), "a client of a killed server loses its connection");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    server.start_again();
    assert_eq!((server.port(), server.backend_count()), (port, 0));
    assert_eq!(server.psql("postgres", "SELECT a FROM t"), "1");
    assert!(server.log().contains("was interrupted"), "{}", server.log());
}

#[test]
fn settings_are_taken() {
    if left_out("postgres") {
        return;
    }
    let server = Postgres::start(Options::new().durable().setting("max_connections", "20"));
    assert_eq!(server.psql("postgres", "SHOW fsync; SHOW max_connections"), "on\n20");
}

#[test]
fn stopped_and_started_again() {
    if left_out("postgres") {
        return;
    }
    let mut server = Postgres::start(Options::new());
    server.psql("postgres", "CREATE TABLE t (a int)");
    for mode in [StopMode::Smart, StopMode::Fast, StopMode::Immediate] {
        server.stop(mode);
        assert!(server.try_psql("postgres", "SELECT 1").is_err());
        server.start_again();
    }
    server.restart();
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM t"), "0");
}

#[test]
fn a_paused_server_is_silent_and_goes_on() {
    if left_out("postgres") {
        return;
    }
    let mut server = Postgres::start(Options::new());
    let client = Program::new("psql")
        .args(["-X", "-A", "-t", &server.url("postgres")])
        .args(["-c", "DO $$BEGIN RAISE NOTICE 'asleep'; END$$; SELECT pg_sleep(0.2); SELECT 'awake'"])
        .start();
    client.wait_for_line(|line| line.contains("asleep"));
    server.pause();
    thread::sleep(Duration::from_millis(600));
    assert!(client.is_running(), "{}", client.stdout());
    server.resume();
    assert!(client.wait().expect_code(0).stdout.contains("awake"));
}

#[test]
fn a_paused_server_can_be_dropped() {
    if left_out("postgres") {
        return;
    }
    let mut server = Postgres::start(Options::new());
    let socket = server.socket_dir();
    server.pause();
    let started = Instant::now();
    drop(server);
    assert!(!socket.exists() && started.elapsed() < Duration::from_secs(10));
}

#[test]
fn certificates_are_verified_by_name_and_authority() {
    if left_out("postgres") {
        return;
    }
    let authority = Authority::new();
    let server = Postgres::start(Options::new().tls_only(&authority.issue(&["localhost", "127.0.0.1"])));
    let other_host = Postgres::start(Options::new().tls(&authority.issue(&["db.example"])));
    let connect = |server: &Postgres, mode: &str, authority: &Authority| {
        let url =
            format!("{}?sslmode={mode}&sslrootcert={}", server.url("postgres"), authority.path().display());
        connect(&url, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    };
    assert_eq!(connect(&server, "verify-full", &authority).expect_code(0).stdout, "t\n");
    let refused = connect(&server, "disable", &authority).expect_code(2);
    assert!(refused.stderr.contains("no encryption"), "{refused}");
    let refused = connect(&server, "verify-full", &Authority::new()).expect_code(2);
    assert!(refused.stderr.contains("certificate verify failed"), "{refused}");
    let refused = connect(&other_host, "verify-full", &authority).expect_code(2);
    assert!(refused.stderr.contains("does not match host name"), "{refused}");
    assert_eq!(connect(&other_host, "disable", &authority).expect_code(0).stdout, "f\n");
}

#[test]
fn a_full_disk_fails_the_statement_and_not_the_server() {
    if left_out("postgres") || left_out("small-disk") {
        return;
    }
    let server = Postgres::start(Options::new().disk_bytes(96 << 20));
    server.psql("postgres", "CREATE UNLOGGED TABLE t (a text); CHECKPOINT");
    server.fill_disk();
    let load = "INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 10000)";
    let error = server.try_psql("postgres", load).unwrap_err();
    assert!(error.contains("No space left on device"), "{error}");
    server.free_disk();
    server.psql("postgres", load);
}

#[test]
fn a_wrong_setting_shows_the_servers_own_words() {
    if left_out("postgres") {
        return;
    }
    let start = || drop(Postgres::start(Options::new().setting("work_mem", "plenty")));
    let payload = std::panic::catch_unwind(start).expect_err("it cannot start");
    let text = payload.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("did not come up") && text.contains("work_mem"), "{text}");
}
