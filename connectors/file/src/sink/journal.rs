//! The hidden file in which a pipeline's unfinished run is kept: who may write, how far each split is,
//! and in which parts its rows are. One entry a line, added at the end and never changed; a line that a
//! crash has cut off does not count.
//!
//! A commit is an entry: before it the rows are on the disk, after it they are the run's. It is added
//! under a lock, and only where no newer epoch stands in the file.

mod entry;

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use syncline_types::{Error, Result, codes};

use crate::{
    client::{is_at, sync_folder},
    error::{Explain, shown, translate},
    schema::name::hidden,
};

pub(crate) use entry::{Entry, Known, Landing, PartState};

/// Entries are written in milliseconds, so whoever holds the lock for so long is stuck.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// A pipeline's journal, open, and everything it said when it was last looked at.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    pipeline: String,
    file: File,
    /// Bytes of whole entries that are read.
    upto: u64,
    pub(crate) known: Known,
}

/// The error of a process that a newer one has replaced.
pub(crate) fn fenced(pipeline: &str) -> Error {
    Error::new(&codes::FENCED, "write for pipeline", format!("`{pipeline}`"))
        .because("a newer run has taken over, and this one may write no more")
}

impl Journal {
    /// What a journal says, without a lock; `None` where there is none.
    pub(crate) fn look(root: &Path, pipeline: &str) -> Result<Option<Known>> {
        Ok(Journal::open(root, pipeline)?.map(|journal| journal.known))
    }

    /// The run that the journal in a file keeps; `None` where it keeps none, or has gone meanwhile.
    pub(crate) fn run_of(path: &Path) -> Result<Option<String>> {
        match File::open(path) {
            Ok(file) => Ok(Journal::read(path.to_owned(), "", file)?.known.run),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).explain("open the progress in", path),
        }
    }

    /// Opens a journal that is there.
    pub(crate) fn open(root: &Path, pipeline: &str) -> Result<Option<Journal>> {
        let path = path(root, pipeline);
        match File::options().read(true).write(true).open(&path) {
            Ok(file) => Journal::read(path, pipeline, file).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).explain("open the progress in", &path),
        }
    }

    /// Opens the journal, and makes it where there is none.
    pub(crate) fn make(root: &Path, pipeline: &str) -> Result<Journal> {
        let path = path(root, pipeline);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.explain("keep progress in", &path)?;
        sync_folder(root)?;
        Journal::read(path, pipeline, file)
    }

    fn read(path: PathBuf, pipeline: &str, file: File) -> Result<Journal> {
        let known = Known::default();
        let mut journal = Journal { path, pipeline: pipeline.to_owned(), file, upto: 0, known };
        journal.refresh()?;
        Ok(journal)
    }

    /// Reads what has been added since.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        let mut text = vec![];
        let read = self.file.seek(SeekFrom::Start(self.upto)).and_then(|_| self.file.read_to_end(&mut text));
        read.explain("read the progress in", &self.path)?;
        let mut rest = text.len();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            rest -= line.len();
            // Only the last line can be cut off; another that is not whole was damaged.
            let Some(entry) = entry::parse(line) else {
                return if rest == 0 { Ok(()) } else { Err(self.damaged()) };
            };
            self.known.take(entry);
            self.upto += line.len() as u64;
        }
        Ok(())
    }

    fn damaged(&self) -> Error {
        Error::new(&codes::BAD_BYTES, "read the progress in", shown(&self.path))
            .because("an entry is not as it was written")
            .hint("Remove the file, and begin again with --restart")
    }

    /// Adds entries as the process of this epoch.
    ///
    /// # Errors
    /// [`codes::FENCED`] when a newer epoch has begun or the journal is gone.
    pub(crate) fn add(&mut self, epoch: u64, entries: &[Entry]) -> Result<()> {
        self.locked(|journal| {
            journal.fence(epoch)?;
            journal.append(entries)
        })
    }

    /// Begins an epoch higher than any before and than `epoch_min`.
    pub(crate) fn take_epoch(&mut self, epoch_min: u64) -> Result<u64> {
        self.locked(|journal| {
            journal.must_be_there()?;
            let epoch = journal.known.epoch.max(epoch_min).saturating_add(1);
            journal.append(&[Entry::Epoch { epoch }])?;
            Ok(epoch)
        })
    }

    /// Does something that no newer epoch begins under.
    ///
    /// # Errors
    /// [`codes::FENCED`] when one has begun, or the journal is gone.
    pub(crate) fn under(&mut self, epoch: u64, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.locked(|journal| {
            journal.fence(epoch)?;
            work()
        })
    }

    /// Removes the journal, unless a newer epoch than this has begun.
    pub(crate) fn remove(mut self, epoch: Option<u64>) -> Result<()> {
        self.locked(|journal| {
            if epoch.is_some_and(|epoch| journal.known.epoch > epoch) {
                return Err(fenced(&journal.pipeline));
            }
            fs::remove_file(&journal.path).explain("remove", &journal.path)
        })
    }

    /// Fails unless this is the present epoch. Holds no longer than the lock does.
    pub(crate) fn fence(&self, epoch: u64) -> Result<()> {
        self.must_be_there()?;
        if self.known.epoch == epoch { Ok(()) } else { Err(fenced(&self.pipeline)) }
    }

    fn must_be_there(&self) -> Result<()> {
        match is_at(&self.file, &self.path).explain("look at", &self.path)? {
            true => Ok(()),
            false => Err(fenced(&self.pipeline)),
        }
    }

    /// Does something while nobody else adds entries, and with all of them known.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Journal) -> Result<T>) -> Result<T> {
        self.lock()?;
        let result = self.refresh().and_then(|()| work(self));
        let unlocked = self.file.unlock().explain("keep progress in", &self.path);
        result.and_then(|value| unlocked.map(|()| value))
    }

    fn lock(&self) -> Result<()> {
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(&codes::LOCKED, "keep progress in", shown(&self.path))
                        .because("another process does not let go of it"));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(translate(&error, "keep progress in", &self.path));
                }
            }
        }
    }

    /// Adds entries, durably. What cannot be written whole is taken back.
    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let mut text = vec![];
        for entry in entries {
            entry::write(entry, &mut text);
        }
        let mut write = || {
            // Behind the last whole entry may be the beginning of one that a crash has cut off.
            self.file.set_len(self.upto)?;
            self.file.seek(SeekFrom::Start(self.upto))?;
            self.file.write_all(&text)?;
            self.file.sync_data()
        };
        if let Err(error) = write() {
            let _ = self.file.set_len(self.upto);
            return Err(translate(&error, "keep progress in", &self.path));
        }
        self.upto += text.len() as u64;
        for entry in entries {
            self.known.take(entry.clone());
        }
        Ok(())
    }
}

fn path(root: &Path, pipeline: &str) -> PathBuf {
    root.join(hidden(pipeline, "journal"))
}

#[cfg(test)]
mod tests {
    use syncline_connect::{ProgressDelta, ProgressRow};
    use syncline_types::{Progress, SplitId};

    use super::*;

    fn commit(split: u32, rows: u64) -> Entry {
        let row = ProgressRow { progress: Progress::Done, rows, bytes: 0, rejected: 0 };
        let delta = ProgressDelta { stream: 0, split: SplitId(split), row };
        Entry::commit(&[delta], vec![])
    }

    #[test]
    fn what_was_added_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::make(folder.path(), "p").unwrap();
        let epoch = journal.take_epoch(6).unwrap();
        assert_eq!(epoch, 7);
        journal.add(epoch, &[Entry::Run { run: "r".into() }, commit(0, 5)]).unwrap();
        let mut other = Journal::open(folder.path(), "p").unwrap().unwrap();
        other.add(epoch, &[commit(1, 6)]).unwrap();
        journal.add(epoch, &[commit(0, 9)]).unwrap();
        let known = Journal::look(folder.path(), "p").unwrap().unwrap();
        let rows: Vec<u64> = known.splits.values().map(|row| row.rows).collect();
        assert_eq!((known.epoch, known.run.as_deref(), rows), (7, Some("r"), vec![9, 6]));
    }

    #[test]
    fn an_older_epoch_adds_nothing_and_neither_does_who_lost_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut old = Journal::make(folder.path(), "p").unwrap();
        let epoch = old.take_epoch(0).unwrap();
        let mut new = Journal::open(folder.path(), "p").unwrap().unwrap();
        let newer = new.take_epoch(0).unwrap();
        assert_eq!(old.add(epoch, &[commit(0, 1)]).unwrap_err().code(), &codes::FENCED);
        Journal::open(folder.path(), "p").unwrap().unwrap().remove(Some(newer)).unwrap();
        assert_eq!(new.add(newer, &[commit(0, 1)]).unwrap_err().code(), &codes::FENCED);
    }

    #[test]
    fn an_entry_that_was_cut_off_does_not_count_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::make(folder.path(), "p").unwrap();
        let epoch = journal.take_epoch(0).unwrap();
        journal.add(epoch, &[commit(0, 1)]).unwrap();
        let whole = fs::read(&journal.path).unwrap();
        journal.add(epoch, &[commit(1, 1)]).unwrap();
        let longer = fs::read(&journal.path).unwrap();
        for cut in whole.len()..longer.len() {
            fs::write(&journal.path, &longer[..cut]).unwrap();
            let mut again = Journal::open(folder.path(), "p").unwrap().unwrap();
            assert_eq!(again.known.splits.len(), 1, "{cut}");
            again.add(epoch, &[commit(2, 1)]).unwrap();
            assert_eq!(Journal::look(folder.path(), "p").unwrap().unwrap().splits.len(), 2, "{cut}");
        }
        let mut damaged = longer;
        damaged[2] ^= 1;
        fs::write(&journal.path, &damaged).unwrap();
        assert_eq!(Journal::look(folder.path(), "p").unwrap_err().code(), &codes::BAD_BYTES);
    }
}
