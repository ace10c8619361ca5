//! URLs: what their parts are, what is refused, and that no message repeats a password.

use proptest::prelude::*;

use super::*;

/// The parts in one line: `scheme user=.. password=.. host=.. port=.. path=.. name=value`.
fn outline(url: &Url) -> String {
    let mut out = url.scheme.clone();
    let parts = [
        ("user", &url.user),
        ("password", &url.password),
        ("host", &url.host),
        ("port", &url.port),
        ("path", &url.path),
    ];
    for (name, part) in parts {
        if let Some(template) = part {
            out.push_str(&format!(" {name}={}", template.outline()));
        }
    }
    for (name, value) in &url.query {
        out.push_str(&format!(" ?{name}={}", value.outline()));
    }
    out
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = Url::parse(text).map(|url| outline(&url)).unwrap_or_else(|problem| {
        assert_eq!(problem.code, &codes::BAD_URL, "{text}");
        format!("! {}", problem.reason)
    });
    assert_eq!(found, expected, "{text}");
}

#[test]
fn servers() {
    check("postgres://h", "postgres host=h");
    check("postgres://h/", "postgres host=h");
    check("Postgres://u:p@h.example:5432/dw", "postgres user=u password=p host=h.example port=5432 path=dw");
    check("postgres://u@127.0.0.1/dw?a=b&c=d", "postgres user=u host=127.0.0.1 path=dw ?a=b ?c=d");
    check("postgres://h?a=b", "postgres host=h ?a=b");
    check("postgres:///dw?host=/var/run/postgresql", "postgres path=dw ?host=/var/run/postgresql");
    check("pg://u@:80/d?host=h", "pg user=u port=80 path=d ?host=h");
    check("redis://:p@h", "redis password=p host=h");
    check("mysql://u:@h", "mysql user=u password= host=h");
    check("mysql://u:a:b:c@h", "mysql user=u password=a:b:c host=h");
    check("ftp://h//abs/x", "ftp host=h path=/abs/x");
    check("elasticsearch+http://h:9200/index", "elasticsearch+http host=h port=9200 path=index");
    check("mysql://naïve.example/d", "mysql host=naïve.example path=d");
    check("postgres://%2Fvar%2Frun/dw", "postgres host=/var/run path=dw");
}

#[test]
fn addresses_of_ip_version_6() {
    check("postgres://[::1]/dw", "postgres host=::1 path=dw");
    check(
        "postgres://u:p@[2001:db8::1]:5432/dw",
        "postgres user=u password=p host=2001:db8::1 port=5432 path=dw",
    );
    check("postgres://[fe80::1%25eth0]:1", "postgres host=fe80::1%eth0 port=1");
    check("postgres://[::1", "! a `[` before the host has no closing `]`");
    check("postgres://[::g]", "! what stands in `[...]` is no IPv6 address");
    check("postgres://[1.2.3.4]", "! what stands in `[...]` is no IPv6 address");
    check("postgres://[::1]x", "! only a port may follow the `]` of an IPv6 address");
    check("postgres://::1/dw", "! the host holds several `:`");
}

#[test]
fn paths() {
    check("sqlite:./a b.db?x=1", "sqlite path=./a b.db ?x=1");
    check("sqlite:/abs/x.db", "sqlite path=/abs/x.db");
    check("sqlite:C:\\data\\x.db", "sqlite path=C:\\data\\x.db");
    check("generate:orders?rows=5", "generate path=orders ?rows=5");
    check("blackhole:", "blackhole");
    check("blackhole:?", "blackhole");
    check("file:DIR/*.csv?format=csv", "file path=DIR/*.csv ?format=csv");
    check("file:data/{a,b}/[0-9]*.csv", "file path=data/{a,b}/[0-9]*.csv");
    check("file:a%3Fb.csv?null=%5CN", "file path=a?b.csv ?null=\\N");
    check("file:issue #12 @home.csv", "file path=issue #12 @home.csv");
    check("file:100%25.csv", "file path=100%.csv");
    check("file:täg/ü.csv", "file path=täg/ü.csv");
    check("file:t%C3%A4g", "file path=täg");
    check("file:a:b", "file path=a:b");
}

#[test]
fn queries() {
    check("x1:?a=", "x1 ?a=");
    check("x1:?a=b=c", "x1 ?a=b=c");
    check("x1:?a=1+2", "x1 ?a=1+2");
    check("x1:?a=b%26c%3Dd%20e", "x1 ?a=b&c=d e");
    check("x1:?a=?&b=x?y", "x1 ?a=? ?b=x?y");
    check("x1:?%61=1", "x1 ?a=1");
    check("x1:?a", "! an option in the URL's query has no `=`");
    check("x1:?a=1&", "! an option in the URL's query has no `=`");
    check("x1:?a=1&&b=2", "! an option in the URL's query has no `=`");
    check("x1:?a=1&a=1", "! the option `a` stands in the URL twice");
    check("x1:?=1", "! the URL's query holds a name that no option has");
    check("x1:?a b=1", "! the URL's query holds a name that no option has");
}

#[test]
fn what_is_no_url_is_refused() {
    for text in ["", "x", "shop", "C:\\x", "1a:x", "/a:b", "täg:x", ":x", "a b:c"] {
        check(text, "! the URL begins with no scheme");
    }
    check("file:a\nb", "! the URL holds a line break or another control character");
    check("file:a ", "! the URL begins or ends with a blank");
    check("file:100%.csv", "! a `%` in the URL is not followed by two hexadecimal digits");
    check("file:%4", "! a `%` in the URL is not followed by two hexadecimal digits");
    check("file:%+4", "! a `%` in the URL is not followed by two hexadecimal digits");
    check("file:%FF", "! the URL's %-sequences are not UTF-8");
    check("file:%00", "! the URL holds a NUL, %00");
    check("pg://h:/d", "! the port is not a number from 1 to 65535");
    check("pg://h:0/d", "! the port is not a number from 1 to 65535");
    check("pg://h:65536/d", "! the port is not a number from 1 to 65535");
    check("pg://h:+80/d", "! the port is not a number from 1 to 65535");
    check("pg://h1,h2/d", "! the URL names several hosts, and this version takes one");
    check("pg://h1:1,h2:2/d", "! the URL names several hosts, and this version takes one");
    check("pg://h o/d", "! the host holds a character that no host name has");
    check("pg://h\\evil/d", "! the host holds a character that no host name has");
    check("pg://h/d#x", "! the URL holds a `#`");
}

#[test]
fn what_could_mean_another_host_is_refused() {
    let ambiguous = "! the URL holds an `@` that could mean another host";
    for text in [
        "pg://u:p@ss@h/d",
        "pg://u:12/34@h/d",
        "pg://u:p?x=1@h/d",
        "pg://u:p@evil/x@h/d",
        "pg://u:p@h/d?mail=a@b",
        "pg://h/d@x",
    ] {
        check(text, ambiguous);
    }
    check("pg://u:p#x@h/d", "! the URL holds a `#`");
    for text in ["pg:u:p@h/d", "pg:/u:p@h/d", "pg:u:p/q@h/d", "pg:u:p?a=b@h/d"] {
        check(text, "! the URL seems to hold a user and a password, but it has no `//`");
    }
}

#[test]
fn references_are_opaque_to_the_parser() {
    check(
        "pg://u:${file:/run/secrets/a@b?c}@h:${PORT}/d",
        "pg user=u password=<file:/run/secrets/a@b?c> host=h port=<PORT> path=d",
    );
    check("pg://${U}:${P}@${H}/x${D}?a=${A}%20", "pg user=<U> password=<P> host=<H> path=x<D> ?a=<A> ");
    check("pg://u:$${P}@h", "pg user=u password=${P} host=h");
    check("pg://u:%24%7BP%7D@h", "pg user=u password=${P} host=h");
    check("pg://u:${P@h", "! a `${` has no closing `}`");
    check("pg://u:${P-x}@h", "! what follows a `${` is no name of an environment variable");
}

#[test]
fn an_argument_with_a_scheme_is_a_connection() {
    for (argument, expected) in [
        ("sqlite:x", true),
        ("postgres://h", true),
        ("elasticsearch+https://h", true),
        ("blackhole:", true),
        ("pg:", true),
        ("C:\\x", false),
        ("c:/x", false),
        ("syncline.yaml", false),
        ("./a:b", false),
        ("dir/a:b", false),
        ("1x:y", false),
        (":x", false),
        ("", false),
        ("a_b:c", false),
    ] {
        assert_eq!(is_connection(argument), expected, "{argument}");
    }
}

/// A part in which only what may stand anywhere is left as it is.
fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn text() -> impl Strategy<Value = String> {
    "[^\0]{1,12}"
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".*", rest in "[a-z:/@?&=#%\\[\\]${}.0-9ü ]*") {
        let _ = Url::parse(&text);
        let _ = Url::parse(&format!("pg:{rest}"));
        let _ = Url::parse(&format!("pg://{rest}"));
    }

    #[test]
    fn what_is_encoded_comes_back(
        user in text(), password in text(), host in text(), port in 1_u16.., path in text(),
        names in proptest::collection::btree_set("[a-z][a-z0-9_]{0,8}", 0..4), value in text(),
    ) {
        let query: Vec<String> = names.iter().map(|name| format!("{name}={}", encode(&value))).collect();
        let url = format!(
            "pg://{}:{}@{}:{port}/{}?{}",
            encode(&user), encode(&password), encode(&host), encode(&path), query.join("&"),
        );
        let url = Url::parse(&url).unwrap();
        let literal = |part: &Option<Template>| part.as_ref().and_then(Template::literal).map(str::to_owned);
        prop_assert_eq!(literal(&url.user), Some(user));
        prop_assert_eq!(literal(&url.password), Some(password));
        prop_assert_eq!(literal(&url.host), Some(host));
        prop_assert_eq!(literal(&url.port), Some(port.to_string()));
        prop_assert_eq!(literal(&url.path), Some(path.clone()));
        prop_assert!(url.query.iter().map(|(name, _)| name).eq(names.iter()));
        prop_assert!(url.query.iter().all(|(_, found)| found.literal() == Some(value.as_str())));

        let short = Url::parse(&format!("pg:{}", encode(&path))).unwrap();
        prop_assert_eq!(literal(&short.path), Some(path));
    }

    #[test]
    fn a_password_never_moves_a_connection_nor_shows_in_a_message(
        one in "[a-z]{8}", two in "[a-z]{8}", between in "[-/@?#:%\\[\\],=& +\\\\$;'\"ü.0-9{}]{0,3}",
        form in 0..3,
    ) {
        let password = format!("{one}{between}{two}");
        let text = match form {
            0 => format!("pg://user:{password}@host.example/db"),
            1 => format!("pg:user:{password}@host.example/db"),
            _ => format!("pg://user:{password}@host.example:bad/db?x"),
        };
        match Url::parse(&text) {
            Ok(url) => {
                prop_assert_eq!(url.host.as_ref().and_then(Template::literal), Some("host.example"));
                prop_assert_eq!(url.user.as_ref().and_then(Template::literal), Some("user"));
                prop_assert_eq!(url.path.as_ref().and_then(Template::literal), Some("db"));
            }
            Err(problem) => {
                let message = problem.error("use", "`FROM`").to_string();
                prop_assert!(!message.contains(&one) && !message.contains(&two), "{}", message);
            }
        }
    }
}
