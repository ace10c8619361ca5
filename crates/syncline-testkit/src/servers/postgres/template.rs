//! A data folder made once by `initdb`, which takes a second, and copied for every server.
//!
//! It is kept under the target folder, one per version, so `cargo clean` forgets it. A lock lets one
//! process make it while others wait; it appears by a rename, so half of one is never seen.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{USER, binaries::Binaries};
use crate::{
    account::{self, Account},
    home::Home,
    process::Program,
};

const INITDB: &[&str] =
    &["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"];

/// Makes `data` a fresh data folder.
pub(super) fn copy_to(data: &Path, binaries: &Binaries, account: Option<Account>) {
    copy(&template(binaries, account), data);
}

/// The template for this version, made if it is not there yet.
fn template(binaries: &Binaries, account: Option<Account>) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (&binaries.version, INITDB, account).hash(&mut hasher);
    let folder = cache_folder();
    let name = format!("pg-{}-{:016x}", binaries.major(), hasher.finish());
    let path = folder.join(&name);
    if path.exists() {
        return path;
    }
    let lock = fs::File::create(folder.join(format!("{name}.lock"))).expect("the target folder is ours");
    lock.lock().expect("a lock can be waited for");
    if !path.exists() {
        make(&path, &folder.join(format!("{name}.unfinished")), binaries, account);
    }
    path
}

/// Runs `initdb` where the server's account may go, and takes the result home.
fn make(path: &Path, unfinished: &Path, binaries: &Binaries, account: Option<Account>) {
    let home = Home::new("initdb");
    let data = home.disk().join("data");
    account::give(&home.disk(), account);
    let initdb = Program::new(binaries.program("initdb"))
        .for_server(account)
        .args(INITDB)
        .args(["-D".as_ref(), data.as_os_str()])
        .run();
    assert!(
        initdb.code == Some(0),
        "PostgreSQL's initdb failed; may its account enter the folder?\n{initdb}"
    );
    match fs::remove_dir_all(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            panic!("could not remove {}: {error}", unfinished.display())
        }
        _ => {}
    }
    copy(&data, unfinished);
    fs::rename(unfinished, path).expect("both are in the target folder");
}

fn copy(from: &Path, to: &Path) {
    let done = Program::new("cp").args(["-a", "--reflink=auto"]).args([from, to]).run();
    assert!(done.code == Some(0), "could not copy PostgreSQL's fresh data folder\n{done}");
}

/// `testkit` in the target folder: the one above the running test that is marked as a cache.
fn cache_folder() -> PathBuf {
    let program = env::current_exe().expect("a running program has a path");
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let folder = target.map_or_else(|| env::temp_dir().join("syncline-testkit"), |it| it.join("testkit"));
    fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("could not create {}: {error}", folder.display()));
    folder
}
