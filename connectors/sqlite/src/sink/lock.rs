//! A file beside the database that keeps other runs of a pipeline away. The operating system lets go
//! of the lock when the process ends, however it does; a file that is left over holds nobody up.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use syncline_types::{Error, Result, codes};

use crate::client::Database;

/// The pipeline's name takes at most so many bytes of the file's.
const NAME_BYTES_MAX: usize = 120;

/// Somebody may remove the file between our opening and locking it, but not each time.
const ATTEMPTS_MAX: usize = 100;

/// A lock that is held. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of a pipeline on a database.
    ///
    /// # Errors
    /// [`codes::ALREADY_RUNNING`] when another process holds it.
    pub(crate) fn take(database: &Database, pipeline: &str) -> Result<Self> {
        let path = path(&database.path, pipeline);
        let failed = |error: &io::Error| {
            Error::new(&codes::PERMISSION_DENIED, "lock", format!("`{}`", path.display()))
                .because(error)
                .hint("Make the database's folder writable for this user")
        };
        for _ in 0..ATTEMPTS_MAX {
            let open = File::options().create(true).truncate(false).write(true).open(&path);
            let file = match open {
                // What another user has left behind can be locked all the same.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.exists() => {
                    File::open(&path)
                }
                open => open,
            };
            let file = file.map_err(|error| failed(&error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(&codes::ALREADY_RUNNING, "run pipeline", format!("`{pipeline}`"))
                        .because(format!("another process holds `{}`", path.display()))
                        .hint("Wait for it to end, or stop it"));
                }
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
            // Whoever had the lock before us may have removed the file since we opened it; then a
            // third can lock another of the same name.
            match is_at(&file, &path) {
                Ok(true) => return Ok(Lock { path, file }),
                Ok(false) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Err(Error::new(&codes::LOCKED, "lock", format!("`{}`", path.display()))
            .because("others keep taking it"))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked nobody else has it, so no other's file is removed. One that is left
        // behind does no harm.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Whether a path leads to this very file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// `<database>-syncline-<pipeline>.lock`
fn path(database: &Path, pipeline: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(format!("-syncline-{}.lock", file_name(pipeline)));
    path.into()
}

/// The pipeline's name with whatever has a meaning in paths as `%` and two digits; one that is too
/// long ends with its length and a sum of its bytes.
fn file_name(pipeline: &str) -> String {
    let mut name = String::new();
    for byte in pipeline.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(char::from(byte)),
            byte => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.len() > NAME_BYTES_MAX {
        let sum = pipeline
            .bytes()
            .fold(0_u64, |sum, byte| sum.wrapping_mul(0x0100_0000_01B3).wrapping_add(u64::from(byte) + 1));
        name.truncate(NAME_BYTES_MAX - 20);
        name.push_str(&format!("..{sum:016x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Dates, SqliteConfig};

    fn database(folder: &Path) -> Database {
        let path = folder.join("a.db").display().to_string();
        Database::new(&SqliteConfig { path, busy_seconds: 0, dates: Dates::Typed }).unwrap()
    }

    #[test]
    fn one_holds_it_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path());
        let held = Lock::take(&database, "a/b").unwrap();
        assert!(folder.path().join("a.db-syncline-a%2fb.lock").exists());
        assert_eq!(Lock::take(&database, "a/b").unwrap_err().code(), &codes::ALREADY_RUNNING);
        let other = Lock::take(&database, "other").unwrap();
        drop((held, other));
        drop(Lock::take(&database, "a/b").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_left_over_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.db-syncline-p.lock"), "").unwrap();
        drop(Lock::take(&database(folder.path()), "p").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn many_who_come_and_go_never_have_it_together() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path());
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(lock) = Lock::take(&database, "p") else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[test]
    fn long_names_stay_apart() {
        let name = |end: &str| file_name(&format!("{}{end}", "x".repeat(300)));
        assert!(name("a").len() <= NAME_BYTES_MAX && name("a") != name("b"));
    }
}
