//! A hidden file beside the streams' folders that keeps other runs of a pipeline away. The operating
//! system lets go of the lock when the process ends, however it does; a file that is left over holds
//! nobody up.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use syncline_types::{Error, Result, codes};

use crate::{client::is_at, error::Explain, error::shown, schema::name::hidden};

/// Somebody may remove the file between our opening and locking it, but not each time.
const ATTEMPTS_MAX: usize = 100;

/// A lock that is held. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of a pipeline on a folder.
    ///
    /// # Errors
    /// [`codes::ALREADY_RUNNING`] when another process holds it.
    pub(crate) fn take(root: &Path, pipeline: &str) -> Result<Self> {
        let path = root.join(hidden(pipeline, "lock"));
        for _ in 0..ATTEMPTS_MAX {
            let open = File::options().create(true).truncate(false).write(true).open(&path);
            let file = open.explain("lock", &path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(&codes::ALREADY_RUNNING, "run pipeline", format!("`{pipeline}`"))
                        .because(format!("another process holds {}", shown(&path)))
                        .hint("Wait for it to end, or stop it"));
                }
                Err(TryLockError::Error(error)) => return Err(error).explain("lock", &path),
            }
            // Whoever had the lock before us may have removed the file since we opened it; then a
            // third can lock another of the same name.
            if is_at(&file, &path).explain("lock", &path)? {
                return Ok(Lock { path, file });
            }
        }
        Err(Error::new(&codes::LOCKED, "lock", shown(&path)).because("others keep taking it"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path(), "a/b").unwrap();
        assert!(folder.path().join(".syncline-a%2Fb.lock").exists());
        assert_eq!(Lock::take(folder.path(), "a/b").unwrap_err().code(), &codes::ALREADY_RUNNING);
        let other = Lock::take(folder.path(), "other").unwrap();
        drop((held, other));
        drop(Lock::take(folder.path(), "a/b").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn many_who_come_and_go_never_have_it_together() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(lock) = Lock::take(folder.path(), "p") else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
