//! What operating system and decompressors say, as the project's errors.

use std::io;

use syncline_types::{Code, Error, codes};

/// A failed read of the file `name`.
pub(crate) fn read(name: &str, error: &io::Error) -> Error {
    use io::ErrorKind as K;
    let failed = |code: &'static Code| Error::new(code, "read", quoted(name)).because(error);
    match error.kind() {
        K::NotFound => failed(&codes::DATABASE_MISSING),
        K::PermissionDenied => failed(&codes::PERMISSION_DENIED),
        K::UnexpectedEof => broken(name, "it ends before its compressed data does"),
        K::InvalidData | K::InvalidInput | K::Other => broken(name, error),
        K::TimedOut => failed(&codes::TIMED_OUT),
        _ => failed(&codes::UNREACHABLE),
    }
}

/// A failed write to the file `name`.
pub(crate) fn write(name: &str, error: &io::Error) -> Error {
    use io::ErrorKind as K;
    let code = match error.kind() {
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => &codes::DISK_FULL,
        K::PermissionDenied | K::ReadOnlyFilesystem => &codes::PERMISSION_DENIED,
        K::NotFound => &codes::DATABASE_MISSING,
        K::TimedOut => &codes::TIMED_OUT,
        _ => &codes::UNREACHABLE,
    };
    Error::new(code, "write", quoted(name)).because(error)
}

/// A file that is not what it claims to be.
pub(crate) fn broken(name: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::BAD_BYTES, "read", quoted(name))
        .because(reason)
        .hint("Get the file again from where it was made")
}

/// A file's name in a message.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// A file that has less in it than was read of it before.
pub(crate) fn shrunk(name: &str) -> Error {
    Error::new(&codes::SCHEMA_CHANGED, "go on in", quoted(name))
        .because("it has fewer rows than had been read of it")
        .hint("Begin again with --restart")
}
