//! A connector is a folder, a page, and a line in the registry; its files have the same names
//! everywhere.

use std::collections::BTreeSet;

use crate::{repository::Repository, rust};

/// A connector's files: the same name means the same thing in each. CONTRIBUTING.md says what.
/// `sink/merge.rs` is a part of `sink`.
const FILE_NAMES: &[&str] = &[
    "lib", "config", "client", "schema", "types", "decode", "snapshot", "log", "capture", "cursor", "plan",
    "attached", "encode", "sink", "writer", "applier", "origin", "publish", "dialect", "error", "fuzz",
];

/// Names beyond these, with why the connector needs one: `(connector, name, reason)`.
const OTHER_FILE_NAMES: &[(&str, &str, &str)] = &[
    ("file", "manifest", "the list of a folder's parts is read by the source and written by the sink"),
    ("generate", "value", "what it makes up is neither decoded nor encoded"),
    ("postgres", "numeric", "the binary form of numeric is used by decode and encode"),
];

const REGISTRY: &str = "crates/syncline-connectors";

/// Connectors that are not a crate of the right name, have no page, or are not in the registry.
pub(crate) fn unregistered(repository: &Repository) -> Vec<String> {
    let folders = repository.files.iter().filter_map(|file| file.path.strip_prefix("connectors/"));
    let names: BTreeSet<&str> = folders.filter_map(|path| Some(path.split_once('/')?.0)).collect();
    let connectors: Vec<Connector<'_>> = names
        .into_iter()
        .map(|name| Connector {
            name,
            manifest: repository.text(&format!("connectors/{name}/Cargo.toml")),
            has_page: repository.exists(&format!("connectors/{name}/README.md")),
        })
        .collect();
    let registry = Registry {
        manifest: repository.text(&format!("{REGISTRY}/Cargo.toml")),
        source: repository.text(&format!("{REGISTRY}/src/lib.rs")),
    };
    check(&connectors, &registry)
}

struct Connector<'a> {
    name: &'a str,
    manifest: &'a str,
    has_page: bool,
}

struct Registry<'a> {
    manifest: &'a str,
    source: &'a str,
}

fn check(connectors: &[Connector<'_>], registry: &Registry<'_>) -> Vec<String> {
    let mut found = vec![];
    if !connectors.is_empty() && registry.source.is_empty() {
        found.push(format!("{REGISTRY} does not exist, and there are connectors to register"));
        return found;
    }
    let code = rust::code(registry.source);
    for Connector { name, manifest, has_page } in connectors {
        let package = format!("syncline-{name}");
        if !manifest.lines().any(|line| line == format!("name = \"{package}\"")) {
            found.push(format!("connectors/{name} is not a crate `{package}`"));
        }
        if !has_page {
            found.push(format!("connectors/{name} has no README.md"));
        }
        if !manifest_names(registry.manifest, &package) {
            found.push(format!("{REGISTRY}/Cargo.toml does not name `{package}`"));
        }
        if !rust::names(&code, &package.replace('-', "_")) {
            found.push(format!("{REGISTRY}/src/lib.rs does not name `{package}`"));
        }
    }
    found
}

fn manifest_names(manifest: &str, package: &str) -> bool {
    manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(package))
}

/// Files in a connector's `src` whose name is none of the set.
pub(crate) fn odd_file_names<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    paths
        .filter_map(|path| {
            let (connector, file) = path.strip_prefix("connectors/")?.split_once("/src/")?;
            let name = file.split('/').next()?.trim_end_matches(".rs");
            let allowed = FILE_NAMES.contains(&name)
                || OTHER_FILE_NAMES.iter().any(|(of, other, _)| *of == connector && *other == name);
            (!allowed).then(|| {
                format!(
                    "{path}: a connector's files are {}; another needs a reason in \
                     xtask/tests/tidy/connectors.rs",
                    FILE_NAMES.join(", ")
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Connector<'_> =
        Connector { name: "sqlite", manifest: "[package]\nname = \"syncline-sqlite\"\n", has_page: true };
    const REGISTRY_OF_IT: Registry<'_> = Registry {
        manifest: "[dependencies]\nsyncline-sqlite.workspace = true\n",
        source: "pub fn all() { syncline_sqlite::connector(); }",
    };

    #[test]
    fn a_registered_connector_is_fine() {
        assert!(check(&[GOOD], &REGISTRY_OF_IT).is_empty());
        assert!(check(&[], &Registry { manifest: "", source: "" }).is_empty());
    }

    #[test]
    fn what_is_missing_is_said() {
        let found = check(&[GOOD], &Registry { manifest: "", source: "" });
        assert!(found[0].contains("does not exist"), "{found:?}");
        let lookalike = Registry {
            manifest: "[dependencies]\nsyncline-sqlite-two.workspace = true\n",
            source: "// syncline_sqlite\npub fn all() { syncline_sqlite_two::connector(); }",
        };
        let found =
            check(&[Connector { manifest: "name = \"sqlite\"", has_page: false, ..GOOD }], &lookalike);
        let expected = ["is not a crate", "no README.md", "Cargo.toml does not name", "lib.rs does not name"];
        assert!(found.iter().zip(expected).all(|(found, text)| found.contains(text)), "{found:?}");
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn a_file_of_another_name_is_found() {
        let paths = [
            "connectors/sqlite/src/lib.rs",
            "connectors/sqlite/src/sink/merge.rs",
            "connectors/sqlite/tests/round_trip.rs",
            "connectors/sqlite/src/stuff.rs",
            "crates/syncline-sql/src/merge.rs",
        ];
        let found = odd_file_names(paths.into_iter());
        assert!(
            matches!(found.as_slice(), [one] if one.starts_with("connectors/sqlite/src/stuff.rs")),
            "{found:?}"
        );
    }
}
