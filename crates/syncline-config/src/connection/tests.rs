//! Endpoints from URLs, options and secrets.

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::secret::tests::{Fake, fake};

fn secrets() -> Fake {
    fake(
        &[
            ("PW", "p@ss/w?rd#${X}%41"),
            ("PORT", "5433"),
            ("BAD_PORT", "x1"),
            ("DATABASE_URL", "pg://u:p%40%24@h/d?a=${PW}"),
            ("BROKEN_URL", "pg://u:hunter2/x@h"),
        ],
        &[("/run/pw", "from file\n")],
    )
}

/// Every part of the endpoint, the password too.
fn outline(endpoint: &Endpoint) -> String {
    let Endpoint { scheme, user, password, host, port, path, options, hidden: _ } = endpoint;
    let mut out = scheme.clone();
    let port = port.map(|port| port.to_string());
    let password = password.as_ref().map(|password| password.expose_secret().to_owned());
    for (name, part) in
        [("user", user), ("password", &password), ("host", host), ("port", &port), ("path", path)]
    {
        if let Some(text) = part {
            out.push_str(&format!(" {name}={text}"));
        }
    }
    for (name, value) in options {
        out.push_str(&format!(" ?{name}={value}"));
    }
    out
}

#[track_caller]
fn check(url: &str, options: Value, expected: &str) {
    let place = Place::CommandLine("FROM".to_owned());
    let Value::Object(options) = options else { panic!("options are a map") };
    let found = Connection::read(url, &place, options, &place)
        .and_then(|connection| connection.endpoint(&secrets()))
        .map_or_else(|error| error.to_string(), |endpoint| outline(&endpoint));
    assert_eq!(found, expected, "{url}");
}

#[test]
fn a_secret_stays_in_its_part() {
    check("pg://u:${PW}@h/d", json!({}), "pg user=u password=p@ss/w?rd#${X}%41 host=h path=d");
    check("pg://u:${file:/run/pw}@h", json!({}), "pg user=u password=from file host=h");
    check(
        "pg://${PW}@h:${PORT}/x-${PW}",
        json!({}),
        "pg user=p@ss/w?rd#${X}%41 host=h port=5433 path=x-p@ss/w?rd#${X}%41",
    );
    check("pg://h?token=${PW}&b=1", json!({}), "pg host=h ?b=\"1\" ?token=\"p@ss/w?rd#${X}%41\"");
}

#[test]
fn options_stand_in_the_url_or_beside_it() {
    check(
        "x1:p?a=1",
        json!({"b": "${PORT}", "c": ["${PORT}", {"d": "$${X}", "e": 1}], "f": true}),
        "x1 path=p ?a=\"1\" ?b=\"5433\" ?c=[\"5433\",{\"d\":\"${X}\",\"e\":1}] ?f=true",
    );
    check(
        "x1:p?a=1",
        json!({"a": "2"}),
        "could not use `FROM`: `a` is given in the URL and under `options` [SYN-1004]",
    );
}

#[test]
fn options_named_like_parts_fill_them() {
    check("pg:///d?host=/var/run", json!({}), "pg host=/var/run path=d");
    check(
        "pg:///d?host=h&port=1&user=u",
        json!({"password": "${PW}"}),
        "pg user=u password=p@ss/w?rd#${X}%41 host=h port=1 path=d",
    );
    check("pg://u@h/d", json!({"password": "x", "port": "7"}), "pg user=u password=x host=h port=7 path=d");
    check("pg://h/d?host=h2", json!({}), "could not use `FROM`: the host is given twice [SYN-1004]");
    check("pg://u@h/d", json!({"user": "v"}), "could not use `FROM`: the user is given twice [SYN-1004]");
    check(
        "pg://h?port=x",
        json!({}),
        "could not use `FROM`: the port is not a number from 1 to 65535 [SYN-1007]",
    );
    check("pg://h", json!({"user": ["a"]}), "could not use `FROM`: the user is a text [SYN-1004]");
}

#[test]
fn two_slashes_want_a_host() {
    check(
        "sqlite:///shop.db",
        json!({}),
        "could not use `FROM`: the URL begins with `sqlite://` and names no host. For a file write \
         `sqlite:PATH`; for a server on a Unix socket add ?host=FOLDER [SYN-1007]",
    );
    check("pg://:5433/d", json!({"host": "/run"}), "pg host=/run port=5433 path=d");
    check("pg:///d", json!({"host": "/run"}), "pg host=/run path=d");
}

#[test]
fn a_url_may_be_one_secret() {
    check("${DATABASE_URL}", json!({"b": "1"}), "pg user=u password=p@$ host=h path=d ?a=\"${PW}\" ?b=\"1\"");
    check(
        "${BROKEN_URL}",
        json!({}),
        "could not use `FROM`: the URL holds an `@` that could mean another host. In a user or password \
         write @ as %40, / as %2F, ? as %3F and # as %23, or put the whole of it into ${NAME} [SYN-1007]",
    );
    check(
        "${PORT}x",
        json!({}),
        "could not use `FROM`: the URL begins with no scheme. It looks like `sqlite:shop.db` or `postgres://user@host/database` [SYN-1007]",
    );
}

#[test]
fn what_is_missing_is_named_with_its_use() {
    let set = "Set it, or name a file with ${file:PATH}";
    check(
        "pg://u:${NO}@h",
        json!({}),
        &format!(
            "could not use `FROM`: the environment variable `NO` is not set, and the password needs it. {set} [SYN-1005]"
        ),
    );
    check(
        "${NO}",
        json!({}),
        &format!("could not use `FROM`: the environment variable `NO` is not set. {set} [SYN-1005]"),
    );
    check(
        "x1:${NO}",
        json!({}),
        &format!(
            "could not use `FROM`: the environment variable `NO` is not set, and the path needs it. {set} [SYN-1005]"
        ),
    );
    check(
        "x1:p",
        json!({"a": ["${file:/no}"]}),
        "could not use `FROM`: the secret file `/no` cannot be read: entity not found, and the option `a` needs it [SYN-1005]",
    );
    check(
        "pg://h:${BAD_PORT}",
        json!({}),
        "could not use `FROM`: the port is not a number from 1 to 65535 [SYN-1007]",
    );
}
