//! Trees, their places, and texts that are no YAML.

use super::*;

/// The tree in one line per key and value.
fn outline(node: &Node, path: &str, out: &mut Vec<String>) {
    match &node.body {
        Body::Scalar(Scalar { text, kind }) => out.push(format!("{} {path} = {text:?} {kind:?}", node.spot)),
        Body::List(items) => {
            out.push(format!("{} {path} list", node.spot));
            for (at, item) in items.iter().enumerate() {
                outline(item, &format!("{path}/{at}"), out);
            }
        }
        Body::Map(entries) => {
            out.push(format!("{} {path} map", node.spot));
            for (key, value) in entries {
                out.push(format!("{} {path}/{}", key.spot, key.text));
                outline(value, &format!("{path}/{}", key.text), out);
            }
        }
    }
}

#[track_caller]
fn check(yaml: &str, expected: &str) {
    let mut lines = vec![];
    match Node::parse(yaml) {
        Ok(node) => outline(&node, "", &mut lines),
        Err((Some(spot), problem)) => lines.push(format!("{spot} {}", problem.reason)),
        Err((None, problem)) => lines.push(problem.reason),
    }
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, expected, "{yaml}");
}

#[test]
fn keys_and_values_know_their_place() {
    check(
        "# first\na: 1\nb:\n  - x\n  - c: \"y\"\n    d: [1, {e: 'f'}]\n",
        "2:1  map
         2:1 /a
         2:4 /a = \"1\" Unsigned(1)
         3:1 /b
         4:3 /b list
         4:5 /b/0 = \"x\" Text
         5:5 /b/1 map
         5:5 /b/1/c
         5:8 /b/1/c = \"y\" Text
         6:5 /b/1/d
         6:8 /b/1/d list
         6:9 /b/1/d/0 = \"1\" Unsigned(1)
         6:12 /b/1/d/1 map
         6:13 /b/1/d/1/e
         6:16 /b/1/d/1/e = \"f\" Text",
    );
}

#[test]
fn what_is_written_is_kept_beside_what_yaml_makes_of_it() {
    for (value, expected) in [
        ("0123", "\"0123\" Text"),
        ("1_000", "\"1_000\" Text"),
        ("1.50", "\"1.50\" Float(1.5)"),
        ("-5", "\"-5\" Signed(-5)"),
        ("0x10", "\"0x10\" Unsigned(16)"),
        ("99999999999999999999", "\"99999999999999999999\" Float(1e20)"),
        ("True", "\"True\" Bool(true)"),
        ("yes", "\"yes\" Text"),
        ("~", "\"~\" Null"),
        ("null", "\"null\" Null"),
        ("NULL", "\"NULL\" Null"),
        ("", "\"\" Null"),
        ("'null'", "\"null\" Text"),
        ("'1'", "\"1\" Text"),
        (".nan", "\".nan\" Text"),
        ("\"a\\tb\"", "\"a\\tb\" Text"),
        ("!!str 12", "\"12\" Text"),
        ("!!int 12", "\"12\" Unsigned(12)"),
        ("&a 12", "\"12\" Unsigned(12)"),
        ("12 # twelve", "\"12\" Unsigned(12)"),
        ("2026-11-21", "\"2026-11-21\" Text"),
    ] {
        let node = Node::parse(&format!("ü: x\r\nk: {value}\r\n")).unwrap();
        let mut lines = vec![];
        outline(node.get("k").unwrap().1, "k", &mut lines);
        let found = lines[0].split_once(" = ").unwrap().1;
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn keys_may_look_like_values() {
    check(
        "null: a\n1: b\ntrue: c\n'q': d\n",
        "1:1  map
         1:1 /null
         1:7 /null = \"a\" Text
         2:1 /1
         2:4 /1 = \"b\" Text
         3:1 /true
         3:7 /true = \"c\" Text
         4:1 /q
         4:6 /q = \"d\" Text",
    );
}

#[test]
fn what_comes_by_an_alias_stands_where_it_is_defined() {
    check(
        "a: &x {p: 1}\nb:\n  <<: *x\n  q: 2\nc: *x\n",
        "1:1  map
         1:1 /a
         1:7 /a map
         1:8 /a/p
         1:11 /a/p = \"1\" Unsigned(1)
         2:1 /b
         3:3 /b map
         4:3 /b/q
         4:6 /b/q = \"2\" Unsigned(2)
         1:8 /b/p
         1:11 /b/p = \"1\" Unsigned(1)
         5:1 /c
         1:7 /c map
         1:8 /c/p
         1:11 /c/p = \"1\" Unsigned(1)",
    );
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    check("\u{feff}a: 12\n", "1:1  map\n1:1 /a\n1:4 /a = \"12\" Unsigned(12)");
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place() {
    check("", "it is empty");
    check("# only this\n", "it is empty");
    check("a: 1\nb: 2\na: 3\n", "3:1 the key `a` stands in this map twice");
    check("a: 1\n b: 2\n", "2:3 mapping values are not allowed in this context");
    check("a: [1, 2\nb: 3\n", "2:2 illegal placement of ':' indicator");
    check("a: *nope\n", "1:4 a text that begins with `*` refers to an anchor, and there is none");
    check("a: !foo x\n", "1:9 unsupported tag `!foo`");
    check("? [1, 2]\n: x\n", "1:3 a key is a name, not a list or a map");
    check("a: 1\n---\nb: 2\n", "3:1 only single YAML document expected but multiple found");
    check("a: @x\n", "1:4 unexpected character: `@'");
}

#[test]
fn a_small_text_cannot_become_a_big_tree() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
    }
    assert!(Node::parse(&bomb).is_err());
    assert!(Node::parse(&"[".repeat(1000)).is_err());
    assert!(Node::parse(&format!("a: {}", "x".repeat(TEXT_BYTES_MAX))).is_err());
}
