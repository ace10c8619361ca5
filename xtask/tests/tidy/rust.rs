//! Rust sources: what each has to have and must not have.

/// Beyond this a file holds more than one thing.
const LINES_MAX: usize = 800;

/// Longer files, each with why it is one thing: `(path, reason)`.
const LONG_FILES: &[(&str, &str)] = &[];

/// Code that is not finished, or tests that do not run.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// A file begins by saying what it does.
pub(crate) fn no_head(text: &str) -> Vec<String> {
    if text.starts_with("//! ") {
        vec![]
    } else {
        vec![": begins without a `//!` line that says what it does".to_owned()]
    }
}

pub(crate) fn unfinished(text: &str) -> Vec<String> {
    let code = code(text);
    UNFINISHED
        .iter()
        .flat_map(|word| occurrences(&code, word))
        .map(|(line, word)| format!(":{line}: `{word}`"))
        .collect()
}

/// `unwrap` outside tests: handle the error, or state the invariant with `expect`.
pub(crate) fn unwraps(text: &str) -> Vec<String> {
    let code = code(text);
    let found = occurrences(product(&code), ".unwrap()");
    found
        .map(|(line, word)| format!(":{line}: `{word}`; handle it, or say why it cannot fail by `expect`"))
        .collect()
}

/// The code before the module of tests, which is the last item of a file.
fn product(code: &str) -> &str {
    const TEST: &str = "\n#[cfg(test)]\n";
    let is_module = |at: &usize| {
        let item = &code[at + TEST.len()..];
        let item = item.strip_prefix("pub(crate) ").or(item.strip_prefix("pub(super) ")).unwrap_or(item);
        item.starts_with("mod ")
    };
    let start = code.match_indices(TEST).map(|(at, _)| at).find(is_module);
    start.map_or(code, |start| &code[..start])
}

/// Whether a file holds nothing but tests.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| ["tests", "tests.rs", "benches"].contains(&part))
}

/// Attributes that silence a lint and do not say why.
pub(crate) fn allowed_without_reason(text: &str) -> Vec<String> {
    let code = code(text);
    let starts = code.match_indices("#[").chain(code.match_indices("#![")).map(|(at, _)| at);
    let silences = |attribute: &str| {
        ["allow(", "expect("].iter().any(|word| occurrences(attribute, word).next().is_some())
    };
    starts
        .filter_map(|at| Some((at, attribute(&code[at..])?)))
        .filter(|(_, attribute)| silences(attribute) && !attribute.contains("reason ="))
        .map(|(at, _)| format!(":{}: a lint is silenced without `reason = \"...\"`", line_of(&code, at)))
        .collect()
}

/// The attribute at the start of the text, to its closing bracket.
fn attribute(text: &str) -> Option<&str> {
    let mut open = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' => open += 1,
            ']' => open -= 1,
            _ => continue,
        }
        if open == 0 {
            return text.get(..=at);
        }
    }
    None
}

pub(crate) fn too_long(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= LINES_MAX || LONG_FILES.iter().any(|(long, _)| *long == path) {
        return vec![];
    }
    vec![format!("{path}: {lines} lines; split it by meaning, or give a reason in xtask/tests/tidy/rust.rs")]
}

/// Whether code names an identifier.
pub(crate) fn names(code: &str, identifier: &str) -> bool {
    occurrences(code, identifier).next().is_some()
}

/// Where a word stands that is not a part of a longer identifier, with its line.
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .filter(move |(at, word)| {
            let before = code[..*at].chars().next_back().is_some_and(in_name) && word.starts_with(in_name);
            let after =
                code[at + word.len()..].chars().next().is_some_and(in_name) && word.ends_with(in_name);
            !before && !after
        })
        .map(|(at, word)| (line_of(code, at), word))
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// A source with its comments and the insides of its strings blanked; lines stay where they are.
pub(crate) fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let hidden = comment(rest).or_else(|| literal(rest, code.chars().next_back()));
        let length = match hidden {
            Some(length) => {
                code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                length
            }
            None => {
                code.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    code
}

/// The length of the comment at the start of the text.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut open = 0;
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            open += 1;
            at += 2;
        } else if open > 0 && rest.starts_with("*/") {
            open -= 1;
            at += 2;
            if open == 0 {
                return Some(at);
            }
        } else if open > 0 {
            // An open comment reaches to the end.
            let Some(c) = rest.chars().next() else { return Some(at) };
            at += c.len_utf8();
        } else {
            return None;
        }
    }
}

/// The length of the string or character at the start of the text, given what stands before it.
fn literal(text: &str, before: Option<char>) -> Option<usize> {
    if let Some(inside) = text.strip_prefix('"') {
        return Some(1 + quoted(inside, '"'));
    }
    if let Some(inside) = text.strip_prefix('\'') {
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        let mut chars = inside.chars();
        let first = chars.next()?;
        return (first == '\\' || chars.next() == Some('\'')).then(|| 1 + quoted(inside, '\''));
    }
    let in_name = before.is_some_and(|c| c != 'b' && c != 'c' && (c.is_alphanumeric() || c == '_'));
    let after_r = text.strip_prefix('r').filter(|_| !in_name)?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    let inside = after_r[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(1 + hashes + 1 + length)
}

/// The length up to and including the closing quote; a backslash takes the next character with it.
fn quoted(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    inside.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked() {
        for (source, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x\\\"y\") g", "f(      ) g"),
            ("f(r#\"a\"b\"#) g", "f(        ) g"),
            ("f(br\"a\\\") g", "f(b     ) g"),
            ("for r in x", "for r in x"),
            ("fn f<'a>(x: &'a str) { '\"' }", "fn f<'a>(x: &'a str) {     }"),
            ("'\\'' b", "     b"),
            ("\"a\nb\" c", "  \n   c"),
            ("'ä' b", "    b"),
        ] {
            assert_eq!(code(source), expected, "{source}");
        }
        let whole =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tidy/rust.rs")).unwrap();
        assert_eq!(code(&whole).lines().count(), whole.lines().count());
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        assert_eq!(no_head("use std::fs;\n").len(), 1);
        assert!(no_head("//! What it does.\n").is_empty());
    }

    #[test]
    fn unfinished_code_is_found_and_talk_about_it_is_not() {
        let found =
            unfinished("fn f() {\n    todo!()\n}\n#[ignore = \"slow\"]\nfn g() { dbg!(unimplemented!()) }\n");
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], ":2: `todo!`");
        assert!(unfinished("// todo!\nfn f() { g(\"dbg!\"); my_todo!() }\n").is_empty());
    }

    #[test]
    fn unwraps_are_found_outside_tests() {
        let source = "fn f() {\n    x.unwrap();\n    x.unwrap_or(1); // .unwrap()\n}\n\n\
                      #[cfg(test)]\nfn h() { y.unwrap() }\n\n\
                      #[cfg(test)]\npub(crate) mod tests {\n    fn g() { x.unwrap() }\n}\n";
        let found = unwraps(source);
        let lines: Vec<&str> = found.iter().filter_map(|found| found.split(':').nth(1)).collect();
        assert_eq!(lines, ["2", "7"], "{found:?}");
        assert!(is_test("crates/a/tests/b.rs") && is_test("crates/a/src/b/tests.rs"));
        assert!(!is_test("crates/syncline-testkit/src/lib.rs"));
    }

    #[test]
    fn a_silenced_lint_needs_a_reason() {
        let source = "#![allow(dead_code)]\n#[allow(\n    clippy::all,\n    reason = \"because ]\"\n)]\nfn f() {}\n\
                      #[cfg_attr(test, allow(unused))]\n#[expect(unused)]\n#[derive(Debug)]\nfn g() { x.expect(\"y\") }\n";
        let found = allowed_without_reason(source);
        let mut lines: Vec<&str> = found.iter().filter_map(|found| found.split(':').nth(1)).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["1", "7", "8"], "{found:?}");
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(too_long("a.rs", &"x\n".repeat(LINES_MAX + 1)).len(), 1);
        assert!(too_long("a.rs", &"x\n".repeat(LINES_MAX)).is_empty());
    }
}
