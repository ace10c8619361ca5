//! Texts of every kind: whitespace, names, and words that have no place here.

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];

/// Written in halves, or this very file would be found.
const UNFINISHED: &str = concat!("FIX", "ME");

/// Hosts of package registries: tools know theirs, and a mirror must not be bypassed by accident.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("proxy.golang", ".org"),
    concat!("maven", ".org"),
    concat!("maven.apache", ".org"),
    concat!("rubygems", ".org"),
    concat!("deb.debian", ".org"),
];

/// Trailing blanks, and a last line without its end.
pub(crate) fn untidy(text: &str) -> Vec<String> {
    let blanks = text.split('\n').enumerate().filter(|(_, line)| line.ends_with([' ', '\t', '\r']));
    let mut found: Vec<String> =
        blanks.map(|(number, _)| format!(":{}: blanks at the end of the line", number + 1)).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        found.push(": the last line does not end".to_owned());
    }
    found
}

/// For Rust, which is indented by spaces.
pub(crate) fn tabs(text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains('\t'));
    lines.map(|(number, _)| format!(":{}: a tab", number + 1)).collect()
}

pub(crate) fn unfinished(text: &str) -> Vec<String> {
    lines_with(text, &[UNFINISHED])
        .map(|(line, word)| format!(":{line}: {word}: do it, or open an issue"))
        .collect()
}

pub(crate) fn registries(text: &str) -> Vec<String> {
    lines_with(text, REGISTRIES)
        .map(|(line, host)| format!(":{line}: names the package registry {host}"))
        .collect()
}

fn lines_with<'a>(text: &'a str, words: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        words.iter().filter(|word| line.contains(**word)).map(move |word| (number + 1, *word))
    })
}

/// Files and folders whose name could hold anything.
pub(crate) fn empty_names(path: &str) -> Vec<String> {
    let parts = path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    parts
        .filter(|name| EMPTY_NAMES.contains(name))
        .map(|name| format!("{path}: `{name}` does not say what it holds"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_open_ends_are_found() {
        assert_eq!(untidy("a \nb\nc\r\nd").len(), 3);
        assert!(untidy("a\n\nb\n").is_empty() && untidy("").is_empty());
        assert_eq!(tabs("a\n\tb\n"), [":2: a tab"]);
    }

    #[test]
    fn words_that_have_no_place_are_found() {
        assert_eq!(unfinished(&format!("a\n// {UNFINISHED}: later\n")).len(), 1);
        for host in REGISTRIES {
            assert_eq!(
                registries(&format!("a\nsee https://{host}/x\n")),
                [format!(":2: names the package registry {host}")]
            );
        }
        assert!(unfinished("fine\n").is_empty() && registries("example.org\n").is_empty());
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        for path in ["crates/a/src/utils.rs", "crates/common/src/lib.rs", "src/helpers.rs", "web/manager.js"]
        {
            assert_eq!(empty_names(path).len(), 1, "{path}");
        }
        assert!(empty_names("crates/a/src/commons_tragedy.rs").is_empty());
    }
}
