//! Manifests: versions and lints are the workspace's, and nothing is published by accident.

/// Lines that every package has.
const REQUIRED: &[&str] = &[
    "version.workspace = true",
    "edition.workspace = true",
    "rust-version.workspace = true",
    "license.workspace = true",
    "publish.workspace = true",
];

/// A line `name = value` of a dependency section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    /// `dependencies`, `dev-dependencies` or `build-dependencies`.
    pub(crate) section: String,
    pub(crate) name: String,
    value: String,
}

/// What a package's manifest settles by itself.
pub(crate) fn own_settings(manifest: &str) -> Vec<String> {
    let mut found: Vec<String> = REQUIRED
        .iter()
        .filter(|required| !manifest.lines().any(|line| line.trim_end() == **required))
        .map(|required| format!(": `{required}` is missing"))
        .collect();
    if !manifest.lines().any(|line| line.strip_prefix("description = \"").is_some_and(|rest| rest.len() > 1))
    {
        found.push(": `description` is missing".to_owned());
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        found.push(": `[lints] workspace = true` is missing".to_owned());
    }
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') && line.contains("dependencies.") {
            found
                .push(format!(":{}: write the dependency on a line of its own, without a table", number + 1));
        }
    }
    for Entry { line, name, value, .. } in entries(manifest) {
        if !takes_workspace_version(&value) {
            found.push(format!(
                ":{line}: `{name}` is to say `workspace = true`; its version goes to the root"
            ));
        }
    }
    found
}

fn takes_workspace_version(value: &str) -> bool {
    let own = ["version =", "path =", "git =", "version=", "path=", "git="];
    value.contains("workspace = true") && !own.iter().any(|word| value.contains(word))
}

/// The dependencies a manifest declares. A value may go on over several lines, in brackets.
pub(crate) fn entries(manifest: &str) -> Vec<Entry> {
    let mut section = String::new();
    let mut entries: Vec<Entry> = vec![];
    let mut open = 0;
    for (number, line) in manifest.lines().enumerate() {
        let text = line.split('#').next().unwrap_or_default().trim();
        if open > 0 {
            if let Some(entry) = entries.last_mut() {
                entry.value += text;
            }
            open += balance(text);
        } else if let Some(header) = text.strip_prefix('[') {
            section = header.trim_end_matches(']').rsplit('.').next().unwrap_or_default().to_owned();
        } else if section.ends_with("dependencies")
            && let Some((name, value)) = text.split_once('=')
        {
            let (name, value) = match name.trim().strip_suffix(".workspace") {
                Some(name) => (name, format!("workspace = {}", value.trim())),
                None => (name.trim(), value.trim().to_owned()),
            };
            open = balance(&value);
            let (line, section, name) = (number + 1, section.clone(), name.to_owned());
            entries.push(Entry { line, section, name, value });
        }
    }
    entries
}

/// Brackets that a text opens and does not close.
fn balance(text: &str) -> i32 {
    text.chars()
        .map(|c| match c {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[package]
name = \"syncline-x\"
description = \"What it is.\"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[dependencies]
bytes.workspace = true # a comment
tokio = { workspace = true, features = [
    \"io-util\",
] }

[target.'cfg(unix)'.dev-dependencies]
tempfile.workspace = true

[lints]
workspace = true
";

    #[test]
    fn a_manifest_of_the_workspace_is_fine() {
        assert_eq!(own_settings(GOOD), Vec::<String>::new());
        let names: Vec<(String, String)> =
            entries(GOOD).into_iter().map(|entry| (entry.section, entry.name)).collect();
        let expected =
            [("dependencies", "bytes"), ("dependencies", "tokio"), ("dev-dependencies", "tempfile")];
        assert_eq!(names, expected.map(|(section, name)| (section.to_owned(), name.to_owned())));
    }

    #[test]
    fn own_versions_are_found() {
        for value in
            ["\"1\"", "{ version = \"1\" }", "{ path = \"../x\" }", "{ workspace = true, version = \"1\" }"]
        {
            let text = GOOD.replace("bytes.workspace = true # a comment", &format!("bytes = {value}"));
            let found = own_settings(&text);
            assert!(
                matches!(found.as_slice(), [one] if one.starts_with(":11: `bytes`")),
                "{value}: {found:?}"
            );
        }
        let found = own_settings(&format!("{GOOD}\n[dependencies.bytes]\nversion = \"1\"\n"));
        assert!(found.iter().any(|found| found.contains("without a table")), "{found:?}");
    }

    #[test]
    fn every_missing_line_is_found() {
        for missing in
            REQUIRED.iter().copied().chain(["description = \"What it is.\"", "[lints]\nworkspace = true"])
        {
            let found = own_settings(&GOOD.replace(&format!("\n{missing}\n"), "\n"));
            assert_eq!(found.len(), 1, "{missing}: {found:?}");
        }
    }
}
