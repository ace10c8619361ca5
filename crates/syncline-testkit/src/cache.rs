//! What takes long to make, made once and kept under the target folder, so `cargo clean` forgets it.
//!
//! A lock lets one process make it while others wait; it appears by a rename, so half of one is
//! never seen.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::process::Program;

/// The folder kept under `name`. If it is not there yet, `make` fills the path it is given, where
/// nothing is.
pub(crate) fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = folder();
    let path = folder.join(name);
    if path.exists() {
        return path;
    }
    let lock = fs::File::create(folder.join(format!("{name}.lock"))).expect("the target folder is ours");
    lock.lock().expect("a lock can be waited for");
    if !path.exists() {
        let unfinished = folder.join(format!("{name}.unfinished"));
        remove(&unfinished);
        make(&unfinished);
        fs::rename(&unfinished, &path).expect("both are in the target folder");
    }
    path
}

/// Copies a folder with its owners.
pub(crate) fn copy(from: &Path, to: &Path) {
    let done = Program::new("cp").args(["-a", "--reflink=auto", "--sparse=never"]).args([from, to]).run();
    assert!(done.code == Some(0), "could not copy a server's fresh data folder\n{done}");
}

/// Removes a file or folder that need not be there.
fn remove(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            panic!("could not remove {}: {error}", path.display())
        }
        _ => {}
    }
}

/// `testkit` in the target folder: the one above the running test that is marked as a cache.
fn folder() -> PathBuf {
    let program = env::current_exe().expect("a running program has a path");
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let folder = target.map_or_else(|| env::temp_dir().join("syncline-testkit"), |it| it.join("testkit"));
    fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("could not create {}: {error}", folder.display()));
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_a_half_made_one_is_made_again() {
        let name = format!("cache-test-{}", std::process::id());
        fs::create_dir_all(folder().join(format!("{name}.unfinished/left"))).unwrap();
        let path = kept(&name, |path| {
            assert!(!path.exists());
            fs::create_dir(path).unwrap();
        });
        assert_eq!(kept(&name, |_| panic!("it is there")), path);
        assert!(!path.join("left").exists());
        remove(&path);
        fs::remove_file(folder().join(format!("{name}.lock"))).unwrap();
    }
}
