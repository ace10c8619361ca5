//! Who we are, and over what.

use std::time::Duration;

use syncline_connect::Connector;
use syncline_mysql::Mysql;
use syncline_testkit::{
    certificates::Authority,
    servers::mysql::{self, Options, Product},
};
use syncline_types::{Result, codes};

use crate::table::{config, context, products};

async fn check(port: u16, more: &str) -> Result<String> {
    let config = config(port, "mysql", more);
    let report = Mysql::check(config, context(1 << 20, Duration::from_secs(10))).await?;
    Ok(format!("{} {}", report.system, report.connection))
}

#[tokio::test]
async fn every_way_of_logging_in() {
    for product in products() {
        let server = mysql::Mysql::start(product, Options::new());
        let by = |plugin: &str| match product {
            Product::Mysql => format!("IDENTIFIED WITH {plugin} BY 'geheim'"),
            Product::Mariadb => format!("IDENTIFIED VIA {plugin} USING PASSWORD('geheim')"),
        };
        let plugin = match product {
            Product::Mysql => "caching_sha2_password",
            Product::Mariadb => "mysql_native_password",
        };
        server.sql(
            "mysql",
            &format!(
                "CREATE USER u@'%' {}; GRANT SELECT ON *.* TO u@'%'; CREATE USER nopassword@'%'",
                by(plugin)
            ),
        );
        let user = |password: &str| format!(r#", "user": "u", "password": "{password}""#);
        // The first time MySQL knows no hash of it, and wants it under its key; then it does.
        for _ in 0..2 {
            let connected = check(server.port(), &user("geheim")).await.expect("the password is right");
            assert!(connected.contains("as u@%, not encrypted"), "{connected}");
        }
        let socket =
            format!(r#", "user": "u", "password": "geheim", "socket": "{}""#, server.socket().display());
        let connected = check(1, &socket).await.expect("the socket is there");
        assert!(connected.contains("through a Unix socket"), "{connected}");
        let connected = check(server.port(), r#", "user": "nopassword""#).await;
        // It may not use the database, so that it has come as far as that.
        assert_eq!(connected.expect_err("it may nothing").code(), &codes::PERMISSION_DENIED, "{product:?}");
        for (more, code) in [
            (user("falsch"), &codes::LOGIN_REFUSED),
            (user(""), &codes::LOGIN_REFUSED),
            (r#", "user": "nobody", "password": "x""#.to_owned(), &codes::LOGIN_REFUSED),
        ] {
            let error = check(server.port(), &more).await.expect_err("it is wrong");
            assert_eq!(error.code(), code, "{more} on {product:?}: {error}");
            assert!(!error.to_string().contains("falsch"), "{error}");
        }
        let database = config(server.port(), "no_such", "");
        let error =
            Mysql::check(database, context(1 << 20, Duration::from_secs(10))).await.expect_err("none");
        assert_eq!(error.code(), &codes::DATABASE_MISSING, "{error}");
        if product == Product::Mysql {
            server.sql("mysql", "CREATE USER old@'%' IDENTIFIED WITH sha256_password BY 'x'");
            let error =
                check(server.port(), r#", "user": "old", "password": "x""#).await.expect_err("unknown");
            assert!(error.to_string().contains("sha256_password"), "{error}");
        }
    }
}

#[tokio::test]
async fn encryption_is_verified_unless_told_otherwise() {
    for product in products() {
        let authority = Authority::new();
        let certificate = authority.issue(&["localhost", "127.0.0.1"]);
        let server = mysql::Mysql::start(product, Options::new().tls_only(&certificate));
        let ca = format!(r#", "tls_ca": "{}""#, authority.path().display());
        let connected =
            check(server.port(), &format!(r#"{ca}, "tls": "verify""#)).await.expect("it is trusted");
        assert!(connected.contains("encrypted, certificate verified"), "{connected}");
        let connected =
            check(server.port(), r#", "ssl-mode": "REQUIRED""#).await.expect("anybody is trusted");
        assert!(connected.contains("certificate not verified"), "{connected}");
        let other = Authority::new();
        for (more, code) in [
            (r#", "tls": "verify""#.to_owned(), &codes::TLS_FAILED),
            (format!(r#", "tls": "verify", "tls_ca": "{}""#, other.path().display()), &codes::TLS_FAILED),
        ] {
            let error = check(server.port(), &more).await.expect_err("it is not trusted");
            assert_eq!(error.code(), code, "{more} on {product:?}: {error}");
        }
        let wrong = authority.issue(&["elsewhere.example"]);
        let server = mysql::Mysql::start(product, Options::new().tls(&wrong));
        let error =
            check(server.port(), &format!(r#"{ca}, "tls": "verify""#)).await.expect_err("another host");
        assert_eq!(error.code(), &codes::TLS_FAILED, "{error}");
        check(server.port(), &format!(r#"{ca}, "tls": "verify_ca""#)).await.expect("for any host");
    }
}

#[tokio::test]
async fn what_is_no_such_server_is_told() {
    use tokio::io::AsyncWriteExt;
    for (says, expected) in [
        (&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], "not a MySQL or MariaDB server"),
        (b"\x47\0\0\0\x0a5.7.44\0", "5.7.44"),
        (b"\x01\0\0\0\x09", "not a MySQL or MariaDB server"),
        (b"", "connection was closed"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it has one").port();
        let says = if says.len() > 10 && says[4] == 10 { [says, &[0; 63]].concat() } else { says.to_vec() };
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody comes");
            stream.write_all(&says).await.expect("it is sent");
            let _ = stream.shutdown().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        let error = check(port, "").await.expect_err("it is none");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// One packet of a server.
fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short one");
    [&[length, 0, 0, sequence], payload].concat()
}

#[tokio::test]
async fn a_server_that_asks_for_our_files_gets_none() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    let thief = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let plugin = b"mysql_native_password\0";
        let greeting = [
            b"\x0a9.9.9\0\x01\0\0\0abcdefgh\0\xff\xff\x2d\x02\0\xff\xff\x15".as_slice(),
            &[0; 10],
            b"123456789012\0",
            plugin,
        ];
        stream.write_all(&packet(0, &greeting.concat())).await.expect("it is sent");
        let mut heard = vec![0; 4096];
        assert!(stream.read(&mut heard).await.expect("a login comes") > 0);
        stream.write_all(&packet(2, &[0, 0, 0, 2, 0, 0, 0])).await.expect("it is sent");
        assert!(stream.read(&mut heard).await.expect("a statement comes") > 0);
        stream.write_all(&packet(1, b"\xfb/etc/passwd")).await.expect("it is sent");
        let mut rest = vec![];
        stream.read_to_end(&mut rest).await.expect("the connection ends");
        rest
    });
    let error = check(port, "").await.expect_err("it is a thief");
    assert_eq!(error.code(), &codes::SERVER_REFUSED, "{error}");
    assert_eq!(thief.await.expect("it ends"), b"", "nothing is sent any more");
}
