//! The connection that streams logs in as the others do, and is encrypted as they are.

use std::time::Duration;

use syncline_connect::{Connector, Log, Logged};
use syncline_postgres::Postgres as Source;
use syncline_testkit::{
    certificates::Authority,
    servers::postgres::{Options, Postgres},
};
use syncline_types::codes;

use crate::{
    rig::{context, read},
    with_server,
};

/// Follows one insert, by a connection's options.
async fn one_change(server: &Postgres, database: &str, options: &str) -> syncline_types::Result<()> {
    let json =
        format!(r#"{{"host": "127.0.0.1", "port": {}, "path": "{database}"{options}}}"#, server.port());
    let config = serde_json::from_str(&json).expect("the configuration is right");
    let source = Source::source(config, context()).await?;
    let log = source.log("p").await.expect("it has a log");
    let reads = vec![read(source.as_ref(), "t").await];
    let at = log.keep(&reads, None).await?;
    let read = first(log.as_ref(), &reads, &at, server, database).await;
    let released = log.release().await;
    read.and(released)
}

async fn first(
    log: &dyn Log,
    reads: &[std::sync::Arc<syncline_connect::Read>],
    at: &syncline_types::Position,
    server: &Postgres,
    database: &str,
) -> syncline_types::Result<()> {
    let mut reader = log.open(reads, at, &[]).await?;
    server.psql(database, "INSERT INTO t DEFAULT VALUES");
    loop {
        let logged = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
        if let Logged::Changes(batch) = logged.expect("something comes")? {
            assert_eq!(batch.changes[0].rows.num_rows(), 1);
            return Ok(());
        }
    }
}

#[tokio::test]
async fn passwords_are_proved_in_every_usual_way() {
    with_server(async {
        let server = Postgres::start(Options::new().logical().setting("password_encryption", "md5"));
        let database = server.create_database();
        server.psql(&database, "CREATE TABLE t (id serial PRIMARY KEY)");
        server.psql(
            &database,
            "CREATE ROLE old SUPERUSER LOGIN PASSWORD 'a b'; SET password_encryption = 'scram-sha-256';
             CREATE ROLE new SUPERUSER LOGIN PASSWORD 'ä%'",
        );
        one_change(&server, &database, r#", "user": "new", "password": "ä%""#).await.expect("SCRAM works");
        let hba = server.psql(&database, "SHOW hba_file");
        let rules = std::fs::read_to_string(&hba).expect("the tests can read it");
        for (way, role, password) in [("md5", "old", "a b"), ("password", "new", "ä%")] {
            std::fs::write(&hba, rules.replace("scram-sha-256", way)).expect("the tests can write it");
            server.psql(&database, "SELECT pg_reload_conf(); SELECT pg_sleep(0.2)");
            let options = format!(r#", "user": "{role}", "password": "{password}""#);
            one_change(&server, &database, &options).await.unwrap_or_else(|error| panic!("{way}: {error}"));
            let wrong = format!(r#", "user": "{role}", "password": "wrong""#);
            let error = one_change(&server, &database, &wrong).await.expect_err("it is wrong");
            assert_eq!(error.code(), &codes::LOGIN_REFUSED, "{way}: {error}");
        }
        let socket = server.socket_dir();
        let options = format!(r#", "user": "postgres", "host": "{}""#, socket.display());
        let json = format!(r#"{{"port": {}, "path": "{database}"{options}}}"#, server.port());
        let config = serde_json::from_str(&json).expect("the configuration is right");
        let source = Source::source(config, context()).await.expect("the socket works");
        let log = source.log("p").await.expect("it has a log");
        let reads = vec![read(source.as_ref(), "t").await];
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        first(log.as_ref(), &reads, &at, &server, &database).await.expect("the socket works");
    })
    .await;
}

#[tokio::test]
async fn it_is_encrypted_and_verified() {
    with_server(async {
        let authority = Authority::new();
        let certificate = authority.issue(&["127.0.0.1"]);
        let server = Postgres::start(Options::new().logical().tls_only(&certificate));
        let database = server.create_database();
        server.psql(
            &database,
            "CREATE TABLE t (id serial PRIMARY KEY); CREATE ROLE u SUPERUSER LOGIN PASSWORD 'p'",
        );
        let trusted = format!(
            r#", "user": "u", "password": "p", "tls": "verify", "tls_ca": "{}""#,
            authority.path().display()
        );
        one_change(&server, &database, &trusted).await.expect("it is encrypted");
        let encrypted =
            "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid IN (SELECT pid FROM pg_stat_replication)";
        let json =
            format!(r#"{{"host": "127.0.0.1", "port": {}, "path": "{database}"{trusted}}}"#, server.port());
        let config = serde_json::from_str(&json).expect("the configuration is right");
        let source = Source::source(config, context()).await.expect("it is encrypted");
        let log = source.log("p").await.expect("it has a log");
        let reads = vec![read(source.as_ref(), "t").await];
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        let reader = log.open(&reads, &at, &[]).await.expect("it is encrypted");
        assert_eq!(server.psql(&database, encrypted), "1");
        server.psql(&database, "INSERT INTO t SELECT generate_series(1000, 50999)");
        let mut rows = 0;
        let mut reader = reader;
        while rows < 50_000 {
            let logged = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
            if let Logged::Changes(batch) = logged.expect("something comes").expect("it can be read") {
                rows += batch.changes.iter().map(|changes| changes.rows.num_rows()).sum::<usize>();
            }
        }
        drop(reader);
        let untrusted = r#", "user": "u", "password": "p", "tls": "verify""#.to_owned()
            + &format!(r#", "tls_ca": "{}""#, Authority::new().path().display());
        let error = one_change(&server, &database, &untrusted).await.expect_err("it is not trusted");
        assert_eq!(error.code(), &codes::TLS_FAILED, "{error}");
    })
    .await;
}
