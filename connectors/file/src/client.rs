//! Files as the disk keeps them: written so that a crash leaves them whole or absent, and known again
//! by size, time and number.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write},
    path::Path,
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use syncline_types::Result;

use crate::error::Explain;

/// Replaces a small file at once: whoever opens it sees the old text or the new one, also after the
/// machine has lost its power.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.tmp"));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    let written = write();
    if written.is_err() {
        // What is left of a draft takes room and helps nobody.
        let _ = fs::remove_file(&draft);
    }
    written.explain("write", path)?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Makes names that were added to a folder, changed or removed in it outlive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).explain("write to the folder", folder)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.explain("remove", path),
    }
}

/// Whether there is something at a path.
///
/// # Errors
/// When we may not look.
pub(crate) fn look(path: &Path) -> Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).explain("look at", path),
    }
}

/// The names of a folder's entries, in order.
pub(crate) fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    let mut names = read().explain("list the folder", folder)?;
    names.sort_unstable();
    Ok(names)
}

/// By what a file is known again: who writes to it, or puts another in its place, changes one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) bytes: u64,
    /// When it was written last, in nanoseconds from 1970.
    pub(crate) modified: u64,
    /// Its number on its disk; 0 where there is none.
    pub(crate) number: u64,
}

impl Identity {
    pub(crate) fn of(file: &Metadata) -> Self {
        let modified = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0);
        Identity { bytes: file.len(), modified, number: number(file) }
    }
}

#[cfg(unix)]
fn number(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}

/// Whether a path still leads to this very file.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
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
pub(crate) fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_at_once_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        replace(&path, b"old").unwrap();
        let old = Identity::of(&fs::metadata(&path).unwrap());
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_ne!(old, Identity::of(&fs::metadata(&path).unwrap()));
        assert_eq!(names(folder.path()).unwrap(), ["a.json"]);
    }

    #[test]
    fn what_cannot_be_replaced_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(names(folder.path()).unwrap(), ["a.json"]);
    }
}
