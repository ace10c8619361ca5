//! Error codes: the list in the code and the page about them name the same ones.

use std::collections::BTreeSet;

use crate::rust;

/// Codes that only one of the two has. `source` is codes.rs, `page` is docs/errors.md.
pub(crate) fn undocumented(source: &str, page: &str) -> Vec<String> {
    let (declared, described) = (declared(source), described(page));
    if page.is_empty() {
        return vec!["docs/errors.md is missing".to_owned()];
    }
    let mut found = vec![];
    if declared.is_empty() {
        found.push("no codes were found in crates/syncline-types/src/codes.rs".to_owned());
    }
    for code in declared.difference(&described) {
        found.push(format!("SYN-{code:04} is not in docs/errors.md (a row `| SYN-{code:04} | ...`)"));
    }
    for code in described.difference(&declared) {
        found.push(format!("docs/errors.md describes SYN-{code:04}, which does not exist"));
    }
    found
}

/// From lines such as `BAD_USAGE = 1001, Config, ...`.
fn declared(source: &str) -> BTreeSet<u16> {
    rust::code(source)
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.trim().split_once(" = ")?;
            let constant = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            rest.split(',').next().filter(|_| constant)?.parse().ok()
        })
        .collect()
}

/// From rows such as `| SYN-1001 | ...`.
fn described(page: &str) -> BTreeSet<u16> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| SYN-")?.split([' ', '|']).next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_on_one_side_only_is_found() {
        let source = "codes! {\n    A = 1001, Config, Never, \"a\";\n    B_2 = 2001, Auth, Never, \"b\";\n\
                      // C = 9999, Auth\n}\nlet x = 3;\n";
        let page = "| Code | Meaning |\n| SYN-1001 | a |\n| SYN-3001 | c |\n";
        let found = undocumented(source, page);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("SYN-2001 is not in") && found[1].contains("SYN-3001"), "{found:?}");
        assert!(undocumented(source, "| SYN-1001 |\n| SYN-2001 |\n").is_empty());
    }

    #[test]
    fn a_missing_page_or_list_is_found() {
        assert_eq!(undocumented("A = 1, x", "").len(), 1);
        assert_eq!(undocumented("", "| SYN-0001 |").len(), 2);
    }
}
