//! A temporary folder for a server, with a `disk` in it that may be a small file system of its own.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{guard::Guard, process::Program, servers::WITHOUT};

/// Removed when it is dropped or the process ends, with every server that works in it.
pub(crate) struct Home {
    path: PathBuf,
    _guard: Guard,
}

impl Home {
    /// A fresh folder that every user may enter, since servers run as users of their own.
    pub(crate) fn new(purpose: &str) -> Self {
        let path = fresh_path(purpose);
        let text = path.to_str().expect("the temporary folder's name is UTF-8");
        let guard = Guard::start(include_str!("home.sh"), &[text]);
        let home = Home { path, _guard: guard };
        create(&home.path);
        create(&home.disk());
        home
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the data go.
    pub(crate) fn disk(&self) -> PathBuf {
        self.path.join("disk")
    }

    /// Makes the disk a file system of so many bytes.
    pub(crate) fn limit_disk(&self, bytes: u64) {
        let mounted = mount(&self.disk(), bytes);
        if let Err(reason) = mounted {
            panic!(
                "could not mount a tmpfs of {bytes} bytes, which tests of a full disk need: {reason}. \
                 Run them as root, in a container with CAP_SYS_ADMIN, or set {WITHOUT}=small-disk"
            );
        }
    }
}

/// Mounts a tmpfs; the error is what `mount` said.
pub(crate) fn mount(folder: &Path, bytes: u64) -> Result<(), String> {
    let finished = Program::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0755"), "syncline-test"])
        .arg(folder)
        .run();
    if finished.code == Some(0) { Ok(()) } else { Err(finished.stderr.trim().to_owned()) }
}

fn fresh_path(purpose: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Real, so that it compares equal to the working directories of our servers.
    let folder = env::temp_dir().canonicalize().expect("there is a temporary folder");
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("syncline-{purpose}-{}-{count}", process::id()));
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return path,
            _ => {}
        }
    }
}

fn create(path: &Path) {
    fs::create_dir(path).unwrap_or_else(|error| panic!("could not create {}: {error}", path.display()));
}
