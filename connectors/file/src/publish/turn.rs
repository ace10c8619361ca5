//! Whose turn it is to replace a folder's manifest: one lane of one process at a time.

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::{MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use syncline_types::{Error, Result, codes};

use crate::{client::is_at, error::Explain, error::shown, sink::SinkShared};

/// How long to wait for another process before the engine is told, which waits longer.
const WAIT_MAX: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// The turn; dropping it ends it.
pub(crate) struct Turn<'a> {
    _lane: Option<MutexGuard<'a, ()>>,
    /// The folder itself is locked, so no file is left behind, and a crash lets go of it.
    folder: File,
}

impl<'a> Turn<'a> {
    /// Waits for the turn, in a folder that is there.
    ///
    /// # Errors
    /// [`codes::LOCKED`] when another process has it for long.
    pub(crate) fn take(shared: &'a SinkShared, path: &Path) -> Result<Self> {
        let lane = shared.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + WAIT_MAX;
        loop {
            let folder = File::open(path).explain("lock the folder", path)?;
            match folder.try_lock() {
                // Whoever had the turn before us may have removed the folder.
                Ok(()) if is_at(&folder, path).explain("lock the folder", path)? => {
                    return Ok(Turn { _lane: Some(lane), folder });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock)
                    if Instant::now() < until && !shared.cx.stop().is_cancelled() =>
                {
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(&codes::LOCKED, "publish into", shown(path))
                        .because("another process is publishing into it"));
                }
                Err(TryLockError::Error(error)) => return Err(error).explain("lock the folder", path),
            }
        }
    }
}

impl Turn<'_> {
    /// The turn, if there is such a folder and nobody has it now.
    pub(super) fn now(path: &Path) -> Result<Option<Self>> {
        let folder = match File::open(path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).explain("lock the folder", path),
        };
        match folder.try_lock() {
            Ok(()) => Ok(Some(Turn { _lane: None, folder })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).explain("lock the folder", path),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Closing it does the same.
        let _ = self.folder.unlock();
    }
}
