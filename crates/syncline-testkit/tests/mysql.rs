//! A real MySQL and a real MariaDB through everything the kit can do to them.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::{
    certificates::Authority,
    process::{Finished, Program},
    servers::{
        left_out,
        mysql::{self, Mysql, Options, Product},
    },
};

/// Those that the tester has not left out.
fn products() -> impl Iterator<Item = Product> {
    Product::ALL.into_iter().filter(|product| !left_out(product.name()))
}

/// A client that goes the way a connector goes: over TCP.
fn connect(server: &Mysql, arguments: &[&str], sql: &str) -> Finished {
    Program::new("mariadb")
        .args(["--no-defaults", "--batch", "--skip-column-names", "--host=127.0.0.1"])
        .args([&format!("--port={}", server.port()), &format!("--execute={sql}")])
        .args(arguments)
        .run()
}

#[test]
fn one_database_per_test_on_the_shared_server() {
    for product in products() {
        let server = mysql::shared(product);
        let (one, two) = (server.create_database(), server.create_database());
        server.sql(&one, "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x\ny'), (2, NULL);");
        assert_eq!(server.sql(&one, "SELECT * FROM t ORDER BY a"), "1\tx\ny\n2\tNULL");
        let error = server.try_sql(&two, "SELECT * FROM t").unwrap_err();
        assert!(error.contains("doesn't exist"), "{error}");
        let settings = "SELECT @@log_bin, @@local_infile, @@time_zone, @@character_set_server";
        assert_eq!(server.sql(&two, settings), "1\t1\t+00:00\tutf8mb4");
        server.drop_database(&one);
        assert!(server.try_sql(&one, "SELECT 1").is_err());
        let user = connect(server, &["--user=root", &two], "SELECT current_user()").expect_code(0).stdout;
        assert_eq!(user, "root@127.0.0.1\n");
    }
}

#[test]
fn each_product_is_what_it_says() {
    for product in products() {
        let version = mysql::shared(product).sql("mysql", "SELECT version()");
        assert_eq!(version.contains("MariaDB"), product == Product::Mariadb, "{version}");
        let major: u32 = version.split('.').next().and_then(|number| number.parse().ok()).unwrap();
        assert!(major >= 8, "{version}");
    }
}

#[test]
fn a_user_has_to_give_its_password() {
    for product in products() {
        let server = mysql::shared(product);
        server.sql("mysql", "CREATE USER loader@'%' IDENTIFIED BY 'right'");
        let plugin = server.sql("mysql", "SELECT plugin FROM mysql.user WHERE user = 'loader'");
        let expected = match product {
            Product::Mysql => "caching_sha2_password",
            Product::Mariadb => "mysql_native_password",
        };
        assert_eq!(plugin, expected);
        // An encrypted connection, which MySQL offers with a certificate of its own.
        let right = connect(server, &["--user=loader", "--password=right"], "SELECT user()").expect_code(0);
        assert_eq!(right.stdout, "loader@127.0.0.1\n");
        let wrong = connect(server, &["--user=loader", "--password=wrong"], "SELECT 1").expect_code(1);
        assert!(wrong.stderr.contains("Access denied"), "{wrong}");
    }
}

#[test]
fn what_is_committed_survives_a_kill_and_the_port_stays() {
    for product in products() {
        let mut server = Mysql::start(product, Options::new());
        server.sql("mysql", "CREATE DATABASE d; CREATE TABLE d.t (a int); INSERT INTO d.t VALUES (1)");
        let port = server.port();
        let client = server.database("d").start_sql("SELECT 'connected'; SELECT SLEEP(60);");
        client.wait_for_output(|line| line.contains("connected"));
        assert_eq!(server.connection_count(), 1);
        server.kill9();
        assert_eq!(client.wait().code, Some(1), "a client of a killed server loses its connection");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        server.start_again();
        assert_eq!((server.port(), server.connection_count()), (port, 0));
        assert_eq!(server.sql("d", "SELECT a FROM t"), "1");
    }
}

#[test]
fn settings_are_taken() {
    for product in products() {
        let options = Options::new()
            .durable()
            .setting("local_infile", "OFF")
            .setting("sql-mode", "")
            .setting("default-time-zone", "+05:30")
            .setting("max-allowed-packet", "1048576");
        let server = Mysql::start(product, options);
        let settings = "SELECT @@local_infile, @@sql_mode, @@time_zone, @@global.max_allowed_packet, \
                        @@log_bin, @@innodb_flush_log_at_trx_commit";
        assert_eq!(server.sql("mysql", settings), "0\t\t+05:30\t1048576\t0\t1");
    }
}

#[test]
fn stopped_and_started_again() {
    for product in products() {
        let mut server = Mysql::start(product, Options::new());
        server.sql("mysql", "CREATE DATABASE d; CREATE TABLE d.t (a int)");
        server.stop();
        assert!(server.try_sql("d", "SELECT 1").is_err());
        server.start_again();
        server.restart();
        assert_eq!(server.sql("d", "SELECT count(*) FROM t"), "0");
    }
}

#[test]
fn a_paused_server_is_silent_and_goes_on() {
    for product in products() {
        let mut server = Mysql::start(product, Options::new());
        let client = server.database("mysql").start_sql("SELECT 'asleep'; DO SLEEP(0.2); SELECT 'awake';");
        client.wait_for_output(|line| line.contains("asleep"));
        server.pause();
        thread::sleep(Duration::from_millis(600));
        assert!(client.is_running(), "{}", client.stdout());
        server.resume();
        assert!(client.wait().expect_code(0).stdout.contains("awake"));
    }
}

#[test]
fn a_paused_server_can_be_dropped() {
    for product in products() {
        let mut server = Mysql::start(product, Options::new());
        let socket = server.socket();
        server.pause();
        let started = Instant::now();
        drop(server);
        assert!(!socket.exists() && started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn certificates_are_verified_by_name_and_authority() {
    for product in products() {
        let authority = Authority::new();
        let certificate = authority.issue(&["localhost", "127.0.0.1"]);
        let server = Mysql::start(product, Options::new().tls_only(&certificate));
        let connect = |server: &Mysql, authority: &Authority, more: &[&str]| {
            let authority = format!("--ssl-ca={}", authority.path().display());
            let arguments = [&["--user=root", &authority], more].concat();
            connect(server, &arguments, "SHOW STATUS LIKE 'Ssl_version'")
        };
        let verified = connect(&server, &authority, &["--ssl-verify-server-cert"]).expect_code(0);
        assert!(verified.stdout.contains("TLSv1.3"), "{verified}");
        let refused = connect(&server, &Authority::new(), &["--ssl-verify-server-cert"]).expect_code(1);
        assert!(refused.stderr.contains("certificate"), "{refused}");
        let refused = connect(&server, &authority, &["--skip-ssl"]).expect_code(1);
        // MariaDB calls it a wrong password.
        let says_why = refused.stderr.contains("insecure transport");
        assert!(says_why || product == Product::Mariadb && refused.stderr.contains("denied"), "{refused}");
        let other_host = Mysql::start(product, Options::new().tls(&authority.issue(&["db.example"])));
        let refused = connect(&other_host, &authority, &["--ssl-verify-server-cert"]).expect_code(1);
        assert!(refused.stderr.contains("ertificate"), "{refused}");
        connect(&other_host, &authority, &["--skip-ssl"]).expect_code(0);
    }
}

#[test]
fn a_full_disk_fails_the_statement_and_costs_no_data() {
    if left_out("small-disk") {
        return;
    }
    for product in products() {
        let mut server = Mysql::start(product, Options::new().disk_bytes(192 << 20));
        server.sql("mysql", "CREATE DATABASE d; CREATE TABLE d.t (a text); INSERT INTO d.t VALUES ('x')");
        server.fill_disk();
        let load = "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) \
                    SELECT REPEAT('x', 20000) FROM n";
        let error = server.try_sql("d", load).unwrap_err();
        if product == Product::Mariadb && error.contains("Lost connection") {
            // It ends itself when there is no room for the rollback either.
            assert!(server.log().contains("Out of disk space"), "{}", server.log());
            server.kill9();
            server.free_disk();
            server.start_again();
        } else {
            assert!(error.contains("is full"), "{error}");
            server.free_disk();
        }
        assert_eq!(server.sql("d", "SELECT a FROM t"), "x");
        server.sql("d", load);
    }
}

#[test]
fn a_wrong_setting_shows_the_servers_own_words() {
    for product in products() {
        let start = || drop(Mysql::start(product, Options::new().setting("no-such-option", "1")));
        let payload = std::panic::catch_unwind(start).expect_err("it cannot start");
        let text = payload.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(text.contains("did not come up") && text.contains("no-such-option"), "{text}");
    }
}
