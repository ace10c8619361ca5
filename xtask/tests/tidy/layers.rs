//! Who may depend on whom. Lower layers know nothing of higher ones, and nobody but the registry
//! knows a connector.

use crate::repository::{Kind, Package};

/// What each package may use of ours, itself and [`TESTKIT`] for its tests left aside.
const LAYERS: &[(&str, &[&str])] = &[
    ("syncline-types", &[]),
    ("syncline-connect", &["syncline-types"]),
    ("syncline-format", &["syncline-types"]),
    ("syncline-net", &["syncline-types"]),
    ("syncline-steps", &["syncline-types", "syncline-connect"]),
    ("syncline-sql", &["syncline-types", "syncline-connect"]),
    ("syncline-state", &["syncline-types", "syncline-connect"]),
    ("syncline-config", &["syncline-types", "syncline-connect", "syncline-steps"]),
    (
        "syncline-engine",
        &["syncline-types", "syncline-connect", "syncline-steps", "syncline-state", "syncline-config"],
    ),
    (TESTKIT, &["syncline-types", "syncline-connect"]),
    (REGISTRY, &["syncline-types", "syncline-connect"]),
    (
        "syncline",
        &[
            "syncline-types",
            "syncline-connect",
            "syncline-steps",
            "syncline-state",
            "syncline-config",
            "syncline-engine",
            REGISTRY,
        ],
    ),
    ("syncline-bench", &[TESTKIT]),
    ("syncline-examples", &[TESTKIT]),
    ("xtask", &[TESTKIT]),
];

/// What every connector may use.
const OF_CONNECTORS: &[&str] =
    &["syncline-types", "syncline-connect", "syncline-sql", "syncline-format", "syncline-net"];

/// For tests: a dev-dependency of anybody, and no other kind unless the table says so.
const TESTKIT: &str = "syncline-testkit";

/// The only package that names connectors.
const REGISTRY: &str = "syncline-connectors";

/// Every edge between our packages that breaks a rule.
pub(crate) fn broken(members: &[Package]) -> Vec<String> {
    members.iter().flat_map(|member| broken_by(member, members)).collect()
}

fn broken_by(member: &Package, members: &[Package]) -> Vec<String> {
    let Some(may_use) = may_use(member) else {
        return vec![format!(
            "`{}` has no layer: add it to the table in xtask/tests/tidy/layers.rs",
            member.name
        )];
    };
    let ours = |name: &str| members.iter().find(|other| other.name == name);
    member
        .dependencies
        .iter()
        .filter_map(|(name, kind)| Some((ours(name)?, *kind)))
        .filter(|(other, _)| other.name != member.name && !may_use.contains(&other.name.as_str()))
        .filter_map(|(other, kind)| {
            Some(format!(
                "`{}` depends on `{}`: {}",
                member.name,
                other.name,
                rule(member, other, kind, may_use)?
            ))
        })
        .collect()
}

/// The rule that an edge breaks; `None` if it breaks none after all.
fn rule(member: &Package, other: &Package, kind: Kind, may_use: &[&str]) -> Option<String> {
    match (is_connector(member), is_connector(other)) {
        (true, true) => return Some("a connector never depends on another".to_owned()),
        (false, true) if member.name == REGISTRY => return None,
        (false, true) => return Some(format!("only `{REGISTRY}` names connectors")),
        _ => {}
    }
    if other.name == TESTKIT {
        return (kind != Kind::Dev).then(|| "the test kit is a dev-dependency only".to_owned());
    }
    Some(match may_use {
        [] => "it is the lowest layer and uses none of ours".to_owned(),
        _ => format!("its layer may use {} only", may_use.join(", ")),
    })
}

fn may_use(member: &Package) -> Option<&'static [&'static str]> {
    if is_connector(member) {
        return Some(OF_CONNECTORS);
    }
    LAYERS.iter().find(|(name, _)| *name == member.name).map(|(_, may_use)| *may_use)
}

fn is_connector(package: &Package) -> bool {
    package.folder.starts_with("connectors/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        let connector = ["syncline-sqlite", "syncline-postgres"].contains(&name);
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            license: None,
            folder: format!("{}/{name}", if connector { "connectors" } else { "crates" }),
            dependencies: dependencies.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
        }
    }

    /// What is found when one package has one dependency.
    fn found(member: &str, other: &str, kind: Kind) -> Vec<String> {
        broken(&[package(member, &[(other, kind)]), package(other, &[])])
    }

    #[test]
    fn edges_that_break_a_rule_are_found_with_the_rule() {
        for (member, other, kind, rule) in [
            ("syncline-types", "syncline-connect", Kind::Normal, "lowest layer"),
            ("syncline-connect", "syncline-engine", Kind::Dev, "may use syncline-types only"),
            ("syncline-engine", "syncline-postgres", Kind::Normal, "only `syncline-connectors` names"),
            ("syncline", "syncline-sqlite", Kind::Dev, "only `syncline-connectors` names"),
            ("syncline-postgres", "syncline-sqlite", Kind::Dev, "never depends on another"),
            ("syncline-postgres", "syncline-engine", Kind::Normal, "syncline-format, syncline-net only"),
            ("syncline-engine", "syncline-testkit", Kind::Normal, "dev-dependency only"),
            ("syncline-engine", "syncline-testkit", Kind::Build, "dev-dependency only"),
        ] {
            let findings = found(member, other, kind);
            assert!(
                matches!(findings.as_slice(), [one] if one.contains(rule)),
                "{member} {other}: {findings:?}"
            );
            assert!(findings[0].starts_with(&format!("`{member}` depends on `{other}`: ")), "{findings:?}");
        }
    }

    #[test]
    fn edges_that_are_meant_are_not() {
        for (member, other, kind) in [
            ("syncline-connectors", "syncline-postgres", Kind::Normal),
            ("syncline-postgres", "syncline-sql", Kind::Normal),
            ("syncline-postgres", "syncline-testkit", Kind::Dev),
            ("syncline-config", "syncline-steps", Kind::Normal),
            ("syncline", "syncline-connectors", Kind::Normal),
            ("syncline-types", "arrow-array", Kind::Normal),
            ("syncline-types", "syncline-types", Kind::Dev),
        ] {
            let mut members = vec![package(member, &[(other, kind)])];
            if other != "arrow-array" {
                members.push(package(other, &[]));
            }
            assert_eq!(broken(&members), Vec::<String>::new(), "{member} {other}");
        }
    }

    #[test]
    fn a_package_without_a_layer_is_found() {
        let findings = broken(&[package("syncline-new", &[])]);
        assert!(findings[0].contains("`syncline-new` has no layer"), "{findings:?}");
    }
}
