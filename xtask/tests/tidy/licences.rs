//! Licences of everything that is linked in, as SPDX expressions.

use std::{collections::BTreeSet, iter::Peekable};

use crate::repository::Package;

/// Permissive, and compatible with our own Apache-2.0. `deny.toml` has the same list.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages whose licence does not let us ship them, or that do not say it.
pub(crate) fn refused(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter_map(|Package { name, version, license, .. }| {
            let Some(expression) = license else {
                return Some(format!("`{name}` {version} does not name its licence"));
            };
            match is_allowed(expression) {
                Some(true) => None,
                Some(false) => {
                    Some(format!("`{name}` {version} is under `{expression}`, which is not allowed"))
                }
                None => Some(format!("`{name}` {version} has a licence that cannot be read: `{expression}`")),
            }
        })
        .collect()
}

/// What `deny.toml` allows and we do not, and the other way round.
pub(crate) fn different_in_deny_toml(deny: &str) -> Vec<String> {
    let list = deny.split_once("\nallow = [").and_then(|(_, rest)| rest.split_once(']'));
    let Some((list, _)) = list else { return vec!["deny.toml has no list of licences".to_owned()] };
    let theirs: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let ours: BTreeSet<&str> = ALLOWED.iter().copied().collect();
    theirs
        .symmetric_difference(&ours)
        .map(|licence| format!("`{licence}` is in one of deny.toml and xtask/tests/tidy/licences.rs only"))
        .collect()
}

/// Whether an expression can be satisfied from [`ALLOWED`]; `None` if it is none.
///
/// AND binds closer than OR; a slash is an old way to write OR.
fn is_allowed(expression: &str) -> Option<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = either(&mut words)?;
    words.next().is_none().then_some(allowed)
}

fn either<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<bool> {
    let mut allowed = both(words)?;
    while words.next_if_eq(&"OR").is_some() {
        allowed |= both(words)?;
    }
    Some(allowed)
}

fn both<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<bool> {
    let mut allowed = one(words)?;
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words)?;
    }
    Some(allowed)
}

fn one<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<bool> {
    let word = words.next().filter(|word| !["OR", "AND", "WITH", ")"].contains(word))?;
    if word == "(" {
        let allowed = either(words)?;
        words.next_if_eq(&")")?;
        return Some(allowed);
    }
    let licence = match words.next_if_eq(&"WITH") {
        Some(_) => format!("{word} WITH {}", words.next()?),
        None => word.to_owned(),
    };
    Some(ALLOWED.contains(&licence.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_evaluated() {
        for (expression, allowed) in [
            ("MIT", Some(true)),
            ("MIT OR GPL-3.0-only", Some(true)),
            ("MIT/Apache-2.0", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("MIT OR ISC AND GPL-3.0-only", Some(true)),
            ("(MIT OR ISC) AND GPL-3.0-only", Some(false)),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some(true)),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("GPL-2.0-only WITH Classpath-exception-2.0", Some(false)),
            ("AGPL-3.0-or-later", Some(false)),
            ("SSPL-1.0", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT ISC", None),
        ] {
            assert_eq!(is_allowed(expression), allowed, "{expression}");
        }
    }

    #[test]
    fn a_refused_or_absent_licence_is_found() {
        let package = |license: Option<&str>| Package {
            name: "p".to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            folder: String::new(),
            dependencies: vec![],
        };
        let found = refused(&[package(Some("MIT")), package(Some("GPL-3.0-only")), package(None)]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("not allowed") && found[1].contains("does not name"), "{found:?}");
    }

    #[test]
    fn a_difference_to_deny_toml_is_found() {
        let list =
            |licences: &[&str]| format!("[licenses]\nallow = [\n  \"{}\",\n]\n", licences.join("\",\n  \""));
        assert!(different_in_deny_toml(&list(ALLOWED)).is_empty());
        let found = different_in_deny_toml(&list(&[&ALLOWED[1..], &["GPL-3.0-only"]].concat()));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(!different_in_deny_toml("").is_empty());
    }
}
