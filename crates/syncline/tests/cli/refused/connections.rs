//! Connections that cannot be understood or made.

use syncline_testkit::servers::postgres::shared;

use super::{PASSWORD, SECRET};
use crate::tables::{Pair, content};

fn filled() -> Option<Pair> {
    let pair = Pair::new()?;
    pair.from.sql(&format!(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, '{SECRET}' FROM generate_series(1, 100) g;
         CREATE TABLE orders (id int PRIMARY KEY)"
    ));
    pair.to.sql("CREATE TABLE theirs (id int); INSERT INTO theirs VALUES (1)");
    Some(pair)
}

/// Commands that connect, and the exit code is the same for all.
const COMMANDS: [&str; 3] = ["copy", "plan", "verify"];

#[test]
fn a_wrong_url_says_what_is_wrong_and_never_the_password() {
    let Some(pair) = filled() else { return };
    let before = content(&pair.to);
    let port = shared().port();
    let cases = [
        (format!("postgresq://u:{PASSWORD}@h/x"), 2, "SYN-1006", "postgres"),
        (format!("oracle://u:{PASSWORD}@h/x"), 2, "SYN-1006", "syncline connectors"),
        (format!("postgres://u:{PASSWORD}@h:99999/x"), 2, "SYN-1007", "port"),
        (format!("postgres://u:{PASSWORD}@h:nope/x"), 2, "SYN-1007", "port"),
        (format!("postgres://u:{PASSWORD}@[::1/x"), 2, "SYN-1007", "]"),
        (format!("postgres://u:{PASSWORD}%zz@h/x"), 2, "SYN-1007", "%"),
        (format!("postgres://u:{PASSWORD}/x@h/x"), 2, "SYN-1007", "%40"),
        (format!("postgres://u:{PASSWORD}@127.0.0.1:{port}/x?sslmod=disable"), 2, "SYN-1003", "sslmode"),
        (format!("postgres://u:{PASSWORD}@127.0.0.1:{port}/x?sslmode=maybe"), 2, "SYN-1004", "verify-full"),
        (
            format!("postgres://u:{PASSWORD}@127.0.0.1:{port}/x?connect_timeout=soon"),
            2,
            "SYN-1004",
            "connect_timeout",
        ),
        (format!("postgres://u:{PASSWORD}@127.0.0.1:1/x"), 1, "SYN-2001", "127.0.0.1:1"),
        (format!("postgres://u:{PASSWORD}@no-such-host.invalid/x"), 1, "SYN-2001", "no-such-host.invalid"),
        (format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/tset_0"), 1, "SYN-2010", "tset_0"),
        ("sqlite:".to_owned(), 2, "SYN-1007", "no file"),
        ("sqlite::memory:".to_owned(), 2, "SYN-1007", "file"),
        ("sqlite:no/such/folder/x.db".to_owned(), 1, "SYN-2010", "folder"),
    ];
    for (url, exit, code, names) in &cases {
        for command in COMMANDS {
            for ends in [[url.as_str(), pair.to.url()], [pair.from.url(), url.as_str()]] {
                let arguments = [command, ends[0], ends[1], "--stream", "t"];
                let ran = pair.desk.run(&arguments);
                assert_eq!(ran.last()["code"], **code, "{command} {url}: {}", ran.finished);
                ran.failed(*exit, code).hinted().names(&[names]);
            }
        }
    }
    pair.desk.never_said(PASSWORD);
    pair.desk.never_said(SECRET);
    assert_eq!(content(&pair.to), before);
}

#[test]
fn a_wrong_password_is_told_apart_from_a_missing_database() {
    let Some(pair) = filled() else { return };
    let role = format!("reader_{}", pair.from.name());
    pair.from.sql(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'right'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    ));
    let before = content(&pair.to);
    let wrong = shared().url_as(&role, PASSWORD, pair.from.name());
    let nobody = shared().url_as("nobody_at_all", PASSWORD, pair.from.name());
    for command in COMMANDS {
        for url in [&wrong, &nobody] {
            let arguments = [command, url, pair.to.url(), "--stream", "t"];
            pair.desk.run(&arguments).failed(1, "SYN-2002").hinted().names(&["127.0.0.1"]);
        }
    }
    pair.desk.never_said(PASSWORD);
    assert_eq!(content(&pair.to), before);
    // The right one reads.
    let right = shared().url_as(&role, "right", pair.from.name());
    pair.desk.run(&["copy", &right, pair.to.url(), "--stream", "t"]).done();
    pair.same("t");
    pair.from.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_missing_table_is_answered_with_the_nearest() {
    let Some(pair) = filled() else { return };
    let before = content(&pair.to);
    for command in COMMANDS {
        for (stream, near) in [
            ("ordres", "orders"),
            ("public.ordres", "orders"),
            ("pubilc.orders", "public.orders"),
            ("zzzzz", "zzzzz"),
        ] {
            pair.desk
                .run(&pair.command(command, &["--stream", stream]))
                .failed(1, "SYN-3001")
                .hinted()
                .names(&[near]);
        }
        pair.desk
            .run(&pair.command(command, &["--stream", "nope_*"]))
            .failed(1, "SYN-3001")
            .names(&["nope_*"]);
    }
    assert_eq!(content(&pair.to), before);
}
