//! Genuine MySQL, which Debian's stable suites do not have: taken from the unstable one of the same
//! mirror, unpacked into the target folder and run through its own C library. Nothing is installed
//! on the machine.
//!
//! Unstable moves: whichever version it holds on the day is the one that is tested with, and every
//! failure to get it fails the tests that need it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{cache, process::Program, servers::WITHOUT};

/// The suite that has it.
const SUITE: &str = "sid";

/// Server and client; what they need comes along.
const PACKAGES: [&str; 2] = ["mysql-server-core", "mysql-client-core"];

/// Only for scripts of the server's package, which are not run.
const NOT_NEEDED: [&str; 2] = ["perl", "libperl"];

/// Signs every suite of Debian.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where a machine says which mirror it uses.
const SOURCES: [&str; 2] = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

/// 70 MB come over the network.
const FETCH_MAX: Duration = Duration::from_secs(600);

/// The root of the unpacked packages, fetched if they are not there yet.
pub(super) fn root() -> PathBuf {
    cache::kept("mysql", |root| {
        fs::create_dir(root).unwrap_or_else(|error| panic!("could not create {}: {error}", root.display()));
        let apt = root.join("apt");
        for archive in fetch(&apt) {
            let unpacked =
                Program::new("dpkg-deb").args(["-x".as_ref(), archive.as_os_str()]).arg(root).run();
            assert!(unpacked.code == Some(0), "could not unpack {}\n{unpacked}", archive.display());
        }
        fs::remove_dir_all(&apt).expect("we made it");
    })
}

/// Downloads the packages into a private world of apt's and returns their files.
fn fetch(apt: &Path) -> Vec<PathBuf> {
    for folder in ["lists/partial", "archives/partial", "dpkg"] {
        fs::create_dir_all(apt.join(folder)).expect("the target folder is ours");
    }
    let write = |name: &str, text: &str| fs::write(apt.join(name), text).expect("the target folder is ours");
    write("dpkg/status", "");
    write("sources.list", &format!("deb [signed-by={KEYRING}] {} {SUITE} main\n", mirror()));
    write("apt.conf", &configuration(apt));
    for arguments in [&["update"][..], &["install", "-y", "--no-install-recommends", "--download-only"]] {
        let packages: &[&str] = if arguments.len() > 1 { &PACKAGES } else { &[] };
        let done = Program::new("apt-get")
            .args(["-c".into(), apt.join("apt.conf")])
            .arg("-qq")
            .args(arguments)
            .args(packages)
            .deadline(FETCH_MAX)
            .run();
        assert!(
            done.code == Some(0),
            "genuine MySQL could not be fetched from the {SUITE} suite; \
             set {WITHOUT}=mysql to do without\n{done}"
        );
    }
    let files = fs::read_dir(apt.join("archives")).expect("apt-get filled it").flatten();
    let archives =
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|it| it == "deb"));
    archives.filter(|path| !is_not_needed(path)).collect()
}

fn is_not_needed(archive: &Path) -> bool {
    let name = archive.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    NOT_NEEDED.iter().any(|start| name.starts_with(start))
}

/// Everything apart from the machine's own apt. What the machine's configuration runs after an
/// update or an installation (containers empty the cache then) would disturb another apt at work.
fn configuration(apt: &Path) -> String {
    let folder = apt.display();
    format!(
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n\
         Dir::State \"{folder}\";\nDir::State::lists \"{folder}/lists\";\n\
         Dir::State::status \"{folder}/dpkg/status\";\n\
         Dir::Cache \"{folder}\";\nDir::Cache::archives \"{folder}/archives\";\n\
         Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::SourceList \"{folder}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\nDir::Etc::PreferencesParts \"/dev/null\";\n\
         Acquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n"
    )
}

/// The mirror that the machine's own packages come from.
fn mirror() -> String {
    let texts = SOURCES.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.into_iter().find_map(|text| mirror_in(&text)).unwrap_or_else(|| {
        panic!(
            "genuine MySQL comes from Debian's mirror, and none is named in {}; \
             install MySQL 8 or later, or set {WITHOUT}=mysql",
            SOURCES.join(" or ")
        )
    })
}

/// The first address that is of the archive itself and not of its security updates.
fn mirror_in(sources: &str) -> Option<String> {
    let lines = sources.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    words
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_in_both_notations() {
        let stanza = "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian-security\n\n\
                      URIs: https://mirror.example/debian/\nSuites: bookworm\n";
        assert_eq!(mirror_in(stanza).as_deref(), Some("https://mirror.example/debian/"));
        let line = "deb [arch=amd64] http://mirror.example/debian bookworm main\n";
        assert_eq!(mirror_in(line).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror_in("deb http://mirror.example/ubuntu jammy main"), None);
    }
}
