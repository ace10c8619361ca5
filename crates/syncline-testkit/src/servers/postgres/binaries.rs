//! Where PostgreSQL's programs are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{process::Program, servers::WITHOUT};

/// Where Debian puts each version, in a folder named by its number.
const VERSIONS: &str = "/usr/lib/postgresql";

/// One installation.
#[derive(Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    /// As it tells it itself, such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    pub(super) version: String,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The number before the first dot.
    pub(super) fn major(&self) -> &str {
        let number =
            self.version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        number.and_then(|number| number.split('.').next()).unwrap_or("unknown")
    }
}

/// The newest version installed.
pub(super) fn find() -> &'static Binaries {
    static FOUND: OnceLock<Binaries> = OnceLock::new();
    FOUND.get_or_init(|| {
        let folder = newest(Path::new(VERSIONS)).or_else(in_path).unwrap_or_else(|| {
            panic!("PostgreSQL is not installed: run `cargo x test`, which installs it, or set {WITHOUT}=postgres")
        });
        let answer = Program::new(folder.join("postgres")).arg("--version").run().expect_code(0);
        Binaries { folder, version: answer.stdout.trim().to_owned() }
    })
}

/// The folder of the highest version under `versions` that has a server in it.
fn newest(versions: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(versions).ok()?.flatten();
    folders
        .filter_map(|version| {
            Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path().join("bin")))
        })
        .filter(|(_, folder)| holds_server(folder))
        .max()
        .map(|(_, folder)| folder)
}

fn in_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find(|folder| holds_server(folder))
}

fn holds_server(folder: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    #[test]
    fn the_highest_number_wins_and_half_an_installation_does_not_count() {
        let home = Home::new("versions");
        for (version, programs) in
            [("9", "initdb postgres psql"), ("15", "initdb postgres psql"), ("17", "psql"), ("lib", "")]
        {
            let folder = home.path().join(version).join("bin");
            fs::create_dir_all(&folder).unwrap();
            for program in programs.split_whitespace() {
                fs::write(folder.join(program), "").unwrap();
            }
        }
        assert_eq!(newest(home.path()), Some(home.path().join("15/bin")));
        assert_eq!(newest(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn the_major_version_is_read_from_the_answer() {
        let version = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".to_owned();
        assert_eq!(Binaries { folder: PathBuf::new(), version }.major(), "15");
    }
}
