//! Disks of a few megabytes, for what happens when they are full. They need root.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use crate::home::{self, Home};

/// The file that takes the rest of the space.
const FILLER: &str = "filler";

/// A file system of its own (a tmpfs), unmounted when it is dropped or the test process ends.
pub struct SmallDisk(Home);

impl SmallDisk {
    /// Mounts an empty one.
    ///
    /// # Panics
    /// If we may not mount. A test of a full disk fails then; it is not skipped in silence.
    pub fn new(bytes: u64) -> Self {
        let home = Home::new("disk");
        home.limit_disk(bytes);
        SmallDisk(home)
    }

    /// Its top folder.
    pub fn path(&self) -> PathBuf {
        self.0.disk()
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        fill(&self.path());
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn free(&self) {
        free(&self.path());
    }
}

/// Whether disks can be mounted here, for a test that has another way to get what it needs.
/// [`SmallDisk::new`] looks for itself.
pub fn can_mount() -> bool {
    let home = Home::new("mount");
    home::mount(&home.disk(), 1 << 20).is_ok()
}

pub(crate) fn fill(folder: &Path) {
    let path = folder.join(FILLER);
    let mut file = fs::File::options().create(true).append(true).open(&path).expect("the disk is ours");
    // Small pieces at the end, so that nothing is left.
    for piece in [vec![0_u8; 1 << 20], vec![0; 4096], vec![0; 1]] {
        loop {
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("could not fill {}: {error}", path.display()),
            }
        }
    }
}

pub(crate) fn free(folder: &Path) {
    match fs::remove_file(folder.join(FILLER)) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("could not free the disk: {error}"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::left_out;

    #[test]
    fn a_full_disk_takes_nothing_until_it_is_freed() {
        if left_out("small-disk") {
            return;
        }
        assert!(can_mount());
        let disk = SmallDisk::new(4 << 20);
        let path = disk.path();
        let write = || fs::write(path.join("a"), [1; 5000]);
        disk.fill();
        assert_eq!(write().map_err(|error| error.kind()), Err(ErrorKind::StorageFull));
        disk.free();
        disk.free();
        write().unwrap();
        disk.fill();
        drop(disk);
        assert!(!path.exists(), "it is unmounted and removed");
    }
}
