//! The state directory: where it is, and that one process at a time works on a pipeline.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use syncline_types::{Error, Result, codes};

use crate::SqliteStore;

/// A directory that holds the state of any number of pipelines.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
}

/// Held while a process works on a pipeline; given back when it is dropped, or by the system when
/// the process ends in whatever way.
#[derive(Debug)]
pub struct PipelineLock {
    _file: File,
}

impl StateDirectory {
    /// A directory, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        StateDirectory { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the store in it; `None` when there is none and `create` does not ask for one.
    ///
    /// # Errors
    /// [`codes::STATE_FAILED`] when the directory or file cannot be made or read.
    pub fn open(&self, create: bool) -> Result<Option<SqliteStore>> {
        let file = self.path.join("state.db");
        if create {
            self.create()?;
        } else if !file.exists() {
            return Ok(None);
        }
        SqliteStore::open(&file).map(Some)
    }

    fn create(&self) -> Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.path).map_err(|error| self.failed("create the state directory", &error))
    }

    /// Takes a pipeline for this process.
    ///
    /// # Errors
    /// [`codes::ALREADY_RUNNING`] when another process has it; [`codes::STATE_FAILED`].
    pub fn lock(&self, pipeline: &str) -> Result<PipelineLock> {
        self.create()?;
        let path = self.lock_file(pipeline);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| self.failed("open a lock file in", &error))?;
        match file.try_lock() {
            Ok(()) => Ok(PipelineLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(&codes::ALREADY_RUNNING, "run pipeline", format!("`{pipeline}`"))
                    .because(format!(
                        "another process is working on it with the state in {}",
                        self.path.display()
                    ))
                    .hint("Wait for it to end, or stop it"))
            }
            Err(TryLockError::Error(error)) => Err(self.failed("lock a file in", &error)),
        }
    }

    /// Whether some process has a pipeline.
    pub fn is_locked(&self, pipeline: &str) -> bool {
        let file = File::open(self.lock_file(pipeline));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    fn lock_file(&self, pipeline: &str) -> PathBuf {
        self.path.join(format!("{pipeline}.lock"))
    }

    fn failed(&self, operation: &str, error: &io::Error) -> Error {
        Error::new(&codes::STATE_FAILED, operation, self.path.display())
            .because(error)
            .hint("Name a directory that can be written with --state DIR")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(folder.path().join("a/b"));
        assert!(state.open(false).unwrap().is_none());
        let first = state.lock("p").unwrap();
        assert_eq!(state.lock("p").unwrap_err().code(), &codes::ALREADY_RUNNING);
        assert!(state.is_locked("p") && !state.is_locked("q"));
        state.lock("q").unwrap();
        drop(first);
        state.lock("p").unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_a_directory_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = StateDirectory::new(file.join("state")).open(true).err().unwrap();
        assert_eq!(error.code(), &codes::STATE_FAILED);
        assert!(error.to_string().contains("--state DIR"), "{error}");
    }
}
