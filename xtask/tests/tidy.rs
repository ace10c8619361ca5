//! Tidy: what the compiler does not check about this repository. `cargo x lint` runs it.
//!
//! Each rule is a function from texts or values to a list of findings, in a file of `tidy/` by its
//! subject, with a test that plants the mistake it is for. Here they meet the repository itself.

#[path = "tidy/codes.rs"]
mod codes;
#[path = "tidy/connectors.rs"]
mod connectors;
#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/licences.rs"]
mod licences;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/texts.rs"]
mod texts;

use repository::{File, graph, repository};

/// Fails with every finding, one a line.
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

/// A rule about one file's text, over all files of a kind.
fn each(files: impl Iterator<Item = &'static File>, rule: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    files.flat_map(|file| rule(&file.text).into_iter().map(|found| format!("{}{found}", file.path))).collect()
}

#[test]
fn layers_hold() {
    none(layers::broken(&graph().members));
}

#[test]
fn every_connector_is_registered_and_described() {
    none(connectors::unregistered(repository()));
}

#[test]
fn connectors_have_the_same_file_names() {
    none(connectors::odd_file_names(repository().rust_files().map(|file| file.path.as_str())));
}

#[test]
fn manifests_take_everything_from_the_workspace() {
    none(each(repository().member_manifests(), manifests::own_settings));
}

#[test]
fn dependencies_are_used() {
    none(dependencies::unused(repository()));
}

#[test]
fn licences_are_allowed() {
    none(licences::refused(&graph().packages));
}

#[test]
fn deny_toml_allows_the_same_licences() {
    none(licences::different_in_deny_toml(repository().text("deny.toml")));
}

#[test]
fn there_is_one_tls_provider() {
    none(dependencies::tls_providers(&graph().packages));
}

#[test]
fn the_front_pages_are_there() {
    none(documents::missing_pages(|path| repository().exists(path)));
}

#[test]
fn links_lead_somewhere() {
    let pages = repository().files.iter().filter(|file| file.path.ends_with(".md"));
    none(
        pages
            .flat_map(|page| documents::dead_links(&page.path, &page.text, |path| repository().exists(path)))
            .collect(),
    );
}

#[test]
fn error_codes_are_documented() {
    none(codes::undocumented(
        repository().text("crates/syncline-types/src/codes.rs"),
        repository().text("docs/errors.md"),
    ));
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    none(each(repository().rust_files(), rust::no_head));
}

#[test]
fn nothing_is_left_unfinished() {
    none(each(repository().files.iter(), texts::unfinished));
    none(each(repository().rust_files(), rust::unfinished));
}

#[test]
fn outside_tests_nothing_is_unwrapped() {
    none(each(repository().rust_files().filter(|file| !rust::is_test(&file.path)), rust::unwraps));
}

#[test]
fn a_lint_is_allowed_with_a_reason() {
    none(each(repository().rust_files(), rust::allowed_without_reason));
}

#[test]
fn files_are_named_by_what_they_hold() {
    none(repository().files.iter().flat_map(|file| texts::empty_names(&file.path)).collect());
}

#[test]
fn files_are_of_readable_length() {
    none(repository().rust_files().flat_map(|file| rust::too_long(&file.path, &file.text)).collect());
}

#[test]
fn texts_are_clean() {
    none(each(repository().files.iter(), texts::untidy));
    none(each(repository().rust_files(), texts::tabs));
}

#[test]
fn package_registries_are_not_named() {
    // Cargo writes its own into the lock file.
    none(each(repository().files.iter().filter(|file| file.path != "Cargo.lock"), texts::registries));
}
