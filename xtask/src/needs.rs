//! What the tests need from the machine, and its installation from the system's packages.

use std::{env, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use crate::{Failure, nearest::nearest, policy, run::run};

/// Names what the tests are to do without, separated by commas. The test kit reads it too.
pub(crate) const WITHOUT: &str = "SYNCLINE_TEST_WITHOUT";

struct Need {
    /// As people call it.
    title: &'static str,
    /// Its name in [`WITHOUT`], if tests can do without.
    name: Option<&'static str>,
    packages: &'static [&'static str],
    is_there: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need { title: "PostgreSQL", name: Some("postgres"), packages: &["postgresql"], is_there: has_postgres },
    Need {
        title: "MariaDB",
        name: Some("mariadb"),
        packages: &["mariadb-server-core", "mariadb-client-core"],
        is_there: has_mariadb,
    },
    // SQLite comes as C source inside its crate.
    Need { title: "a C compiler", name: None, packages: &["gcc", "libc6-dev"], is_there: has_c_compiler },
];

/// What can be left out and needs no package: a small disk is a mount, which only root may make;
/// genuine MySQL is in no stable suite, and the test kit fetches it into the target folder.
const NO_PACKAGE: &[&str] = &["mysql", "small-disk"];

/// All names that [`WITHOUT`] may hold.
pub(crate) fn can_be_left_out() -> Vec<&'static str> {
    NEEDS.iter().filter_map(|need| need.name).chain(NO_PACKAGE.iter().copied()).collect()
}

/// What [`WITHOUT`] names now.
pub(crate) fn left_out() -> Result<Vec<String>, Failure> {
    parse(&env::var(WITHOUT).unwrap_or_default())
}

/// What a closing line says about it: nothing, or what was not tested.
pub(crate) fn note(left_out: &[String]) -> String {
    match left_out {
        [] => String::new(),
        names => format!("; LEFT OUT by {WITHOUT}: {}", names.join(", ")),
    }
}

fn parse(list: &str) -> Result<Vec<String>, Failure> {
    let known = can_be_left_out();
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match known.contains(&name) {
            true => Ok(name.to_owned()),
            false => Err(Failure::usage(unknown(name, &known))),
        })
        .collect()
}

fn unknown(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("{WITHOUT} names `{name}`. Did you mean `{near}`?"),
        None => format!("{WITHOUT} names `{name}`; it knows {}", known.join(", ")),
    }
}

/// Installs what is missing and not left out.
pub(crate) fn ensure(left_out: &[String]) -> Result<(), Failure> {
    let wanted = |need: &&Need| !need.name.is_some_and(|name| left_out.iter().any(|left| left == name));
    let missing: Vec<&Need> = NEEDS.iter().filter(wanted).filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() || !in_path("apt-get") {
        return Err(Failure::failed(to_do(&missing)));
    }
    install(&missing)?;
    match missing.iter().find(|need| !(need.is_there)()) {
        None => Ok(()),
        Some(need) => Err(Failure::failed(format!("{} was installed and is still not found", need.title))),
    }
}

fn to_do(missing: &[&Need]) -> String {
    let titles: Vec<&str> = missing.iter().map(|need| need.title).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let names: Vec<&str> = missing.iter().filter_map(|need| need.name).collect();
    let mut text = format!(
        "the tests need {}. Run as root: apt-get install --no-install-recommends {}",
        titles.join(" and "),
        packages.join(" ")
    );
    if !names.is_empty() {
        text += &format!(" (or its like elsewhere); or do without: {WITHOUT}={}", names.join(","));
    }
    text
}

fn install(missing: &[&Need]) -> Result<(), Failure> {
    let _guard = policy::DenyServices::at(Path::new(policy::PATH))
        .map_err(|error| Failure::failed(format!("could not write {}: {error}", policy::PATH)))?;
    run(Command::new("apt-get").arg("update"))?;
    let packages = missing.iter().flat_map(|need| need.packages);
    run(Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "--no-install-recommends"])
        .args(packages))
}

fn has_postgres() -> bool {
    const PROGRAMS: [&str; 3] = ["initdb", "postgres", "psql"];
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders = debian.map(|version| version.path().join("bin"));
    folders.any(|folder| PROGRAMS.iter().all(|program| folder.join(program).is_file()))
        || PROGRAMS.iter().all(|program| in_path(program))
}

fn has_mariadb() -> bool {
    ["mariadbd", "mariadb", "mariadb-install-db"]
        .iter()
        .all(|program| in_path(program) || Path::new("/usr/sbin").join(program).is_file())
}

fn has_c_compiler() -> bool {
    env::var_os("CC").is_some() || in_path("cc")
}

fn in_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_to_be_known() {
        assert_eq!(parse(" postgres,,small-disk ").ok().unwrap(), ["postgres", "small-disk"]);
        assert!(parse("").ok().unwrap().is_empty());
        let failure = parse("postgre").err().unwrap();
        assert_eq!(failure.code, 2);
        assert!(failure.message.contains("Did you mean `postgres`?"), "{}", failure.message);
    }

    #[test]
    fn the_message_says_what_to_install_and_how_to_do_without() {
        let text = to_do(&NEEDS.iter().collect::<Vec<_>>());
        assert!(text.contains("PostgreSQL and MariaDB and a C compiler"), "{text}");
        assert!(text.contains("postgresql mariadb-server-core mariadb-client-core gcc libc6-dev"), "{text}");
        assert!(text.ends_with("SYNCLINE_TEST_WITHOUT=postgres,mariadb"), "{text}");
    }
}
