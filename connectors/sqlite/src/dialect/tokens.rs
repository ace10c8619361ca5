//! SQL texts taken apart, as far as needed: which names a view or trigger mentions, and what follows
//! the name in a table's own CREATE statement.

/// A name, a word or a single sign of a SQL text. Comments and blanks are none.
#[derive(Debug, PartialEq, Eq)]
struct Token<'a> {
    /// As a name: quotes taken off. A text in single quotes counts, since SQLite takes it for a name
    /// where one must stand.
    name: std::borrow::Cow<'a, str>,
    /// Where what follows begins.
    end: usize,
}

/// The next token at or behind a place.
fn next(sql: &str, from: usize) -> Option<Token<'_>> {
    let mut at = from;
    loop {
        let rest = sql.get(at..)?;
        let first = rest.chars().next()?;
        let skipped = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("--") {
            rest.find('\n').map_or(rest.len(), |end| end + 1)
        } else if let Some(inside) = rest.strip_prefix("/*") {
            inside.find("*/").map_or(rest.len(), |end| end + 4)
        } else {
            return Some(token(rest, at, first));
        };
        at += skipped;
    }
}

fn token(rest: &str, at: usize, first: char) -> Token<'_> {
    if let Some(close) = closing(first) {
        let inside = &rest[1..];
        let mut end = 0;
        // A closing quote that is doubled is one of the name; a bracket cannot be.
        loop {
            let Some(found) = inside[end..].find(close) else {
                return Token { name: inside.into(), end: at + rest.len() };
            };
            end += found;
            if close == ']' || !inside[end + 1..].starts_with(close) {
                break;
            }
            end += 2;
        }
        let doubled = format!("{close}{close}");
        let name = inside[..end].replace(&doubled, &close.to_string());
        return Token { name: name.into(), end: at + 1 + end + 1 };
    }
    let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let length = rest
        .find(|c| !in_word(c))
        .filter(|length| *length > 0)
        .unwrap_or_else(|| if in_word(first) { rest.len() } else { first.len_utf8() });
    Token { name: rest[..length].into(), end: at + length }
}

fn closing(open: char) -> Option<char> {
    match open {
        '"' | '\'' | '`' => Some(open),
        '[' => Some(']'),
        _ => None,
    }
}

/// Whether a SQL text names something, in any case and quotes.
pub(crate) fn mentions(sql: &str, name: &str) -> bool {
    let mut at = 0;
    while let Some(token) = next(sql, at) {
        if token.name.eq_ignore_ascii_case(name) {
            return true;
        }
        at = token.end;
    }
    false
}

/// What follows the name in `CREATE TABLE name ...`, as SQLite keeps it: the columns in parentheses
/// and the table's options.
pub(crate) fn body(create_table: &str) -> Option<&str> {
    let mut at = 0;
    for word in ["CREATE", "TABLE"] {
        let token = next(create_table, at)?;
        if !token.name.eq_ignore_ascii_case(word) {
            return None;
        }
        at = token.end;
    }
    let name = next(create_table, at)?;
    let parenthesis = next(create_table, name.end)?;
    (parenthesis.name == "(").then(|| create_table.get(parenthesis.end - 1..))?
}

/// What an index is over, one text for each of its columns and expressions, and the condition of one that
/// has only some rows.
pub(crate) fn index_parts(create_index: &str) -> Option<(Vec<&str>, Option<&str>)> {
    let mut at = 0;
    // CREATE UNIQUE INDEX name ON table
    for word in [Some("CREATE"), Some("UNIQUE"), Some("INDEX"), None, Some("ON"), None] {
        let token = next(create_index, at)?;
        if word.is_some_and(|word| !token.name.eq_ignore_ascii_case(word)) {
            return None;
        }
        at = token.end;
    }
    let sign = |end: usize, sign: char| create_index.get(..end).is_some_and(|text| text.ends_with(sign));
    let open = next(create_index, at)?;
    if !sign(open.end, '(') {
        return None;
    }
    let (mut parts, mut depth, mut from, mut at) = (vec![], 1, open.end, open.end);
    while depth > 0 {
        at = next(create_index, at)?.end;
        let ends = depth == 1 && (sign(at, ',') || sign(at, ')'));
        if ends {
            parts.push(without_order(create_index.get(from..at - 1)?));
            from = at;
        }
        depth += i32::from(sign(at, '(')) - i32::from(sign(at, ')'));
    }
    match next(create_index, at) {
        None => Some((parts, None)),
        Some(token) if token.name.eq_ignore_ascii_case("WHERE") => {
            Some((parts, Some(create_index.get(token.end..)?.trim())))
        }
        Some(_) => None,
    }
}

/// An index's expression without the direction that it is kept in.
fn without_order(part: &str) -> &str {
    let (mut at, mut last) = (0, (0, false));
    while let Some(token) = next(part, at) {
        let is_order = ["ASC", "DESC"].iter().any(|word| token.name.eq_ignore_ascii_case(word));
        let is_bare = part.get(..token.end).is_some_and(|text| text.ends_with(['c', 'C']));
        last = (token.end - if is_order && is_bare { token.name.len() } else { 0 }, is_order && is_bare);
        at = token.end;
    }
    if last.1 { part.get(..last.0).unwrap_or(part).trim() } else { part.trim() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_found_in_any_dress() {
        for (sql, name, expected) in [
            ("CREATE VIEW v AS SELECT * FROM Orders", "orders", true),
            ("CREATE VIEW v AS SELECT * FROM [orders]", "orders", true),
            ("CREATE VIEW v AS SELECT * FROM main.`orders`", "orders", true),
            ("CREATE VIEW v AS SELECT * FROM \"a \"\"b\"\"\"", "a \"b\"", true),
            ("CREATE VIEW v AS SELECT * FROM orders_old", "orders", false),
            ("CREATE VIEW v AS SELECT * FROM x -- orders\n", "orders", false),
            ("CREATE VIEW v AS SELECT /* orders */ * FROM x", "orders", false),
            ("CREATE VIEW v AS SELECT a+orders.b FROM x", "orders", true),
            ("CREATE VIEW v AS SELECT * FROM \"open", "open", true),
            ("CREATE VIEW v AS SELECT * FROM täble", "täble", true),
        ] {
            assert_eq!(mentions(sql, name), expected, "{sql}");
        }
    }

    #[test]
    fn a_tables_body_follows_its_name() {
        for (sql, expected) in [
            ("CREATE TABLE t(a)", Some("(a)")),
            ("CREATE TABLE \"q\"\"t\" (a, b) STRICT", Some("(a, b) STRICT")),
            ("CREATE TABLE 'odd' /* (x) */ (a)", Some("(a)")),
            ("CREATE TABLE [t(] (a)", Some("(a)")),
            ("CREATE VIRTUAL TABLE t USING fts5(a)", None),
            ("CREATE VIEW v AS SELECT 1", None),
            ("", None),
        ] {
            assert_eq!(body(sql), expected, "{sql}");
        }
    }

    #[test]
    fn an_indexes_parts_are_told_apart() {
        for (sql, expected) in [
            ("CREATE UNIQUE INDEX i ON t(a)", Some((vec!["a"], None))),
            (
                "CREATE UNIQUE INDEX \"i (\" ON [t,] (lower(a || ',)'), b DESC, \"c(\") WHERE (b > 1) AND c",
                Some((vec!["lower(a || ',)')", "b", "\"c(\""], Some("(b > 1) AND c"))),
            ),
            ("create unique index i on t(a collate nocase asc)", Some((vec!["a collate nocase"], None))),
            ("CREATE UNIQUE INDEX i ON t(a /* , */)", Some((vec!["a /* , */"], None))),
            ("CREATE INDEX i ON t(a)", None),
            ("CREATE UNIQUE INDEX i ON t(a", None),
            ("CREATE UNIQUE INDEX i ON t(a) x", None),
        ] {
            assert_eq!(index_parts(sql), expected, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(sql in "[a-z \"'`\\[\\](/*)-]{0,30}|.{0,20}") {
            let _ = (mentions(&sql, "a"), body(&sql));
            let _ = (index_parts(&sql), index_parts(&format!("CREATE UNIQUE INDEX i ON t({sql}")));
        }
    }
}
