//! Dependencies: each is used, and TLS has one provider.

use crate::{
    manifests,
    repository::{Package, Repository},
    rust,
};

/// Dependencies that no source names, with why they are there: `(manifest, dependency, reason)`.
const UNNAMED: &[(&str, &str, &str)] = &[(
    "connectors/mysql/Cargo.toml",
    "flate2",
    "mysql_common is built on it, and leaves it to others which of its back ends there is",
)];

/// Other providers of TLS and its cryptography: ring is ours, so that there is one to watch.
const OTHER_PROVIDERS: &[&str] = &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

/// Dependencies that no source of their package names.
pub(crate) fn unused(repository: &Repository) -> Vec<String> {
    let mut found = vec![];
    for manifest in repository.member_manifests() {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        let sources: Vec<(&str, String)> = repository
            .rust_files()
            .filter_map(|file| Some((file.path.strip_prefix(folder)?, rust::code(&file.text))))
            .collect();
        found.extend(unused_by(&manifest.path, &manifest.text, &sources));
    }
    found
}

fn unused_by(path: &str, manifest: &str, sources: &[(&str, String)]) -> Vec<String> {
    let unnamed = |name: &str| UNNAMED.iter().any(|(of, other, _)| *of == path && *other == name);
    manifests::entries(manifest)
        .into_iter()
        .filter(|entry| {
            let word = entry.name.replace('-', "_");
            // What only tests name belongs to the dev-dependencies.
            let mut places = sources.iter().filter(|(path, _)| match entry.section.as_str() {
                "dependencies" => !path.starts_with("tests/"),
                "build-dependencies" => *path == "build.rs",
                _ => true,
            });
            !places.any(|(_, code)| rust::names(code, &word)) && !unnamed(&entry.name)
        })
        .map(|entry| {
            format!("{path}:{}: `{}` is in [{}] and is not used", entry.line, entry.name, entry.section)
        })
        .collect()
}

/// A second provider of TLS, or a second version of the one.
pub(crate) fn tls_providers(packages: &[Package]) -> Vec<String> {
    let others = packages.iter().filter(|package| OTHER_PROVIDERS.contains(&package.name.as_str()));
    let mut found: Vec<String> = others
        .map(|package| format!("`{}` is in the dependency graph; TLS is rustls with ring", package.name))
        .collect();
    let rings: Vec<&str> =
        packages.iter().filter(|package| package.name == "ring").map(|ring| ring.version.as_str()).collect();
    if rings.len() > 1 {
        found.push(format!("ring is there more than once: {}", rings.join(", ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_nobody_names_is_found() {
        let manifest = "[dependencies]\nserde_json.workspace = true\ntokio-util.workspace = true\n\
                        [dev-dependencies]\nproptest.workspace = true\ntempfile.workspace = true\n";
        let sources = [
            ("src/lib.rs", rust::code("use tokio_util::sync; // serde_json\nfn f() { g(\"serde_json\") }")),
            ("src/tests.rs", rust::code("use my_tempfile; use proptest::prelude::*;")),
            ("tests/all.rs", rust::code("use serde_json::Value;")),
        ];
        let found = unused_by("p/Cargo.toml", manifest, &sources);
        assert_eq!(
            found,
            [
                "p/Cargo.toml:2: `serde_json` is in [dependencies] and is not used",
                "p/Cargo.toml:6: `tempfile` is in [dev-dependencies] and is not used"
            ]
        );
    }

    #[test]
    fn a_second_tls_provider_is_found() {
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: None,
            folder: String::new(),
            dependencies: vec![],
        };
        assert!(tls_providers(&[package("ring", "0.17.14"), package("rustls", "0.23.1")]).is_empty());
        let found = tls_providers(&[
            package("ring", "0.16.0"),
            package("ring", "0.17.14"),
            package("aws-lc-rs", "1.0.0"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("aws-lc-rs") && found[1].contains("0.16.0, 0.17.14"), "{found:?}");
    }
}
