//! A data folder made once by `initdb`, which takes a second, and copied for every server.
//!
//! It is kept under the target folder, one per version.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use super::{USER, binaries::Binaries};
use crate::{
    account::{self, Account},
    cache,
    home::Home,
    process::Program,
};

const INITDB: &[&str] =
    &["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"];

/// Makes `data` a fresh data folder.
pub(super) fn copy_to(data: &Path, binaries: &Binaries, account: Option<Account>) {
    cache::copy(&template(binaries, account), data);
}

/// The template for this version, made if it is not there yet.
fn template(binaries: &Binaries, account: Option<Account>) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (&binaries.version, INITDB, account).hash(&mut hasher);
    let name = format!("pg-{}-{:016x}", binaries.major(), hasher.finish());
    cache::kept(&name, |path| make(path, binaries, account))
}

/// Runs `initdb` where the server's account may go, and takes the result home.
fn make(path: &Path, binaries: &Binaries, account: Option<Account>) {
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
    cache::copy(&data, path);
}
