//! The operating system's errors in our own words, and nowhere else.
//!
//! Its messages name no content of a file, so they may be passed on.

use std::{io, path::Path};

use syncline_types::{Code, Error, Result, codes};

/// Gives an error of the operating system its operation and object.
pub(crate) trait Explain<T> {
    /// The value, or the error in our own words: "could not `operation` `path`: ...".
    fn explain(self, operation: &str, path: &Path) -> Result<T>;
}

impl<T> Explain<T> for io::Result<T> {
    fn explain(self, operation: &str, path: &Path) -> Result<T> {
        self.map_err(|error| translate(&error, operation, path))
    }
}

/// Translates an error met while doing `operation` to `path`.
pub(crate) fn translate(error: &io::Error, operation: &str, path: &Path) -> Error {
    let (code, hint) = class(error.kind());
    let translated = Error::new(code, operation, shown(path)).because(error);
    match hint {
        Some(hint) => translated.hint(hint),
        None => translated,
    }
}

/// A path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

fn class(kind: io::ErrorKind) -> (&'static Code, Option<&'static str>) {
    use io::ErrorKind as K;
    match kind {
        K::NotFound | K::NotADirectory | K::IsADirectory => (
            &codes::DATABASE_MISSING,
            Some("Check the path; it counts from the folder that the command runs in"),
        ),
        K::PermissionDenied | K::ReadOnlyFilesystem => {
            (&codes::PERMISSION_DENIED, Some("Check the permissions of the file and of its folder"))
        }
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
            (&codes::DISK_FULL, Some("Make room on that disk; the same command goes on from here afterwards"))
        }
        K::InvalidData | K::UnexpectedEof | K::InvalidInput => (&codes::BAD_BYTES, None),
        _ => (&codes::UNREACHABLE, Some("Check the disk that the file is on")),
    }
}
