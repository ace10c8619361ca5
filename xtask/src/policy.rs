//! Keeps Debian's packages from starting their services while they are installed.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Asked by every package that would start a service.
pub(crate) const PATH: &str = "/usr/sbin/policy-rc.d";

/// "Action not allowed", in the words of that interface.
const DENY: &str = "#!/bin/sh\nexit 101\n";

/// Denies while it lives; then what was there before is back.
pub(crate) struct DenyServices {
    path: PathBuf,
    before: Option<(Vec<u8>, Permissions)>,
}

impl DenyServices {
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let before = match fs::read(path) {
            Ok(bytes) => Some((bytes, fs::metadata(path)?.permissions())),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let guard = DenyServices { path: path.to_owned(), before };
        fs::write(path, DENY)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
        Ok(guard)
    }
}

impl Drop for DenyServices {
    fn drop(&mut self) {
        let restored = match self.before.take() {
            None => fs::remove_file(&self.path),
            Some((bytes, permissions)) => {
                fs::write(&self.path, bytes).and_then(|()| fs::set_permissions(&self.path, permissions))
            }
        };
        if let Err(error) = restored {
            eprintln!("cargo x: could not restore {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_comes_back() {
        let path = std::env::temp_dir().join(format!("syncline-policy-{}", std::process::id()));
        let denies = || {
            let guard = DenyServices::at(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), DENY);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
            drop(guard);
        };
        denies();
        assert!(!path.exists());
        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        denies();
        assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 0\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_file(&path).unwrap();
    }
}
