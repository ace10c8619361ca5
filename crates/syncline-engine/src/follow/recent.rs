//! Which changes were read last, so that it can be said of a row what the log has told of it.
//!
//! A file in the state directory has so many of them, the latest in the place of the oldest: of each the hash of its
//! row's key at the source, its number among the pipeline's changes, when it was committed, and what it was. It is
//! for people who ask. Nothing depends on it, so that it is not written through, and a pipeline that cannot write
//! it goes on.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use arrow_array::{Array, RecordBatch};
use serde::Serialize;
use syncline_connect::{Changes, How, Read};
use syncline_state::{StateDirectory, Store};
use syncline_types::{
    Column, Error, Result, codes,
    fingerprint::{Family, RowHasher, hash_text},
};

use super::mark::{FollowMark, LOG};

/// So many changes are known.
const COUNT_MAX: u64 = 1 << 20;
const ENTRY_BYTES: usize = 40;
/// The number of entries that were ever written comes first.
const HEAD_BYTES: u64 = 8;

/// What was done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It was new.
    Inserted,
    /// It was changed.
    Updated,
    /// It got this key instead of another one.
    MovedHere,
    /// It got another key.
    MovedAway,
    /// It was deleted.
    Deleted,
}

impl Done {
    const ALL: [Done; 5] = [Done::Inserted, Done::Updated, Done::MovedHere, Done::MovedAway, Done::Deleted];

    fn of(number: u64) -> Option<Done> {
        Done::ALL.into_iter().find(|done| *done as u64 == number)
    }
}

/// The last change of a row that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastChange {
    /// Its number among the pipeline's changes.
    pub number: u64,
    /// When it was committed at the source, in microseconds since 1970, where that was told.
    pub committed_micros: Option<i64>,
    /// What it was.
    pub done: Done,
}

/// What is known of a row's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its last one.
    pub last: Option<LastChange>,
    /// Whether that is applied, or only read.
    pub is_applied: bool,
    /// The first of all changes that are still known: of those before it nothing is.
    pub known_from: u64,
}

/// The file, for whoever follows.
pub struct Recent {
    file: File,
    path: PathBuf,
    written: AtomicU64,
    /// Once it could not be written.
    failed: AtomicBool,
}

fn path_of(state: &Path, pipeline: &str) -> PathBuf {
    state.join(format!("{pipeline}.recent"))
}

/// Hashes a row's key by its values at the source, for a stream of this name.
fn hasher(read: &Read) -> Result<(u128, RowHasher)> {
    let key = read.gone_schema();
    let of = |column: &Column| (column.name.clone(), Family::common(column.logical, column.logical));
    let columns: Vec<(String, Family)> = key.columns.iter().map(of).collect();
    Ok((hash_text(&read.stream.name.to_string()), RowHasher::new(&key, &columns)?))
}

fn hashes(read: &Read, rows: &RecordBatch) -> Result<Vec<u128>> {
    let (stream, hasher) = hasher(read)?;
    Ok(hasher.hash(rows)?.into_iter().map(|hash| hash ^ stream).collect())
}

/// The columns of the rows' keys, in the order in which a deletion tells them; `None` where there are not all.
fn keys(read: &Read, rows: &RecordBatch) -> Option<RecordBatch> {
    let schema = rows.schema();
    let places =
        read.gone_schema().key.iter().map(|name| schema.index_of(name).ok()).collect::<Option<Vec<_>>>()?;
    let keys = rows.project(&places).ok()?;
    keys.columns().iter().all(|column| column.null_count() == 0).then_some(keys)
}

impl Recent {
    /// Opens the file of a pipeline, which `forgets` all that it has, or has lost its end.
    ///
    /// # Errors
    /// [`codes::STATE_FAILED`] when it cannot be made.
    pub(crate) fn open(state: &Path, pipeline: &str, forgets: bool) -> Result<Self> {
        let path = path_of(state, pipeline);
        let open = || -> io::Result<(File, u64)> {
            let file =
                OpenOptions::new().create(true).truncate(forgets).read(true).write(true).open(&path)?;
            let written = count(&file).unwrap_or(0);
            let is_whole = file.metadata()?.len() >= HEAD_BYTES + written.min(COUNT_MAX) * ENTRY_BYTES as u64;
            Ok((file, if is_whole { written } else { 0 }))
        };
        let (file, written) = open().map_err(|error| {
            Error::new(&codes::STATE_FAILED, "note changes in", path.display()).because(error)
        })?;
        Ok(Recent { file, path, written: AtomicU64::new(written), failed: AtomicBool::new(false) })
    }

    /// Notes changes that were read behind `base` others.
    pub(crate) fn note(&self, read: &Read, changes: &Changes, base: u64, micros: Option<i64>) -> Result<()> {
        if read.stream.schema.key.is_empty() || self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity((changes.written.len() + changes.went.len()) * ENTRY_BYTES);
        let mut add = |hash: u128, sequence: u64, done: Done| {
            bytes.extend_from_slice(&hash.to_le_bytes());
            bytes.extend_from_slice(&(base + sequence + 1).to_le_bytes());
            bytes.extend_from_slice(&micros.unwrap_or(i64::MIN).to_le_bytes());
            bytes.extend_from_slice(&(done as u64).to_le_bytes());
        };
        for (hash, went) in hashes(read, &changes.gone)?.into_iter().zip(&changes.went) {
            add(hash, went.sequence, if went.moved { Done::MovedAway } else { Done::Deleted });
        }
        let rows = keys(read, &changes.rows).map_or(Ok(vec![]), |rows| hashes(read, &rows))?;
        for (hash, written) in rows.into_iter().zip(&changes.written) {
            let done = match written.how {
                How::Insert => Done::Inserted,
                How::Update => Done::Updated,
                How::Move => Done::MovedHere,
            };
            add(hash, written.sequence, done);
        }
        if let Err(error) = self.write(&bytes) {
            self.failed.store(true, Ordering::Relaxed);
            let path = self.path.display();
            tracing::warn!(%error, %path, "cannot note which changes were read: trace will not tell them");
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut written = self.written.load(Ordering::Relaxed);
        let mut rest = bytes;
        while !rest.is_empty() {
            let place = written % COUNT_MAX;
            let room = (COUNT_MAX - place) as usize * ENTRY_BYTES;
            let (now, later) = rest.split_at(rest.len().min(room));
            self.file.write_all_at(now, HEAD_BYTES + place * ENTRY_BYTES as u64)?;
            written += (now.len() / ENTRY_BYTES) as u64;
            rest = later;
        }
        self.file.write_all_at(&written.to_le_bytes(), 0)?;
        self.written.store(written, Ordering::Relaxed);
        Ok(())
    }
}

fn count(file: &File) -> io::Result<u64> {
    let mut head = [0; HEAD_BYTES as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(u64::from_le_bytes(head))
}

/// What was read last of a row, of which the columns of its key are enough; `None` where that is not known, or where
/// nothing was noted at all.
///
/// # Errors
/// When the row is not one of the stream's, or the state cannot be read.
pub(crate) async fn last_change(
    state: &StateDirectory,
    pipeline: &str,
    read: &Read,
    row: &RecordBatch,
) -> Result<Option<Told>> {
    let Some(key) = keys(read, row) else { return Ok(None) };
    let mark = match state.open(false)? {
        Some(store) => store.marks(pipeline).await?.remove(LOG),
        None => None,
    };
    let applied = mark.map_or(Ok(0), |text| FollowMark::read(&text).map(|mark| mark.changes))?;
    let wanted = hashes(read, &key)?;
    let Ok(bytes) = fs::read(path_of(state.path(), pipeline)) else { return Ok(None) };
    let entries = bytes.get(HEAD_BYTES as usize..).unwrap_or_default();
    let (mut last, mut known_from) = (None::<LastChange>, None);
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let number =
            |from: usize| entry[from..from + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
        let at = number(16);
        let Some(done) = Done::of(number(32)).filter(|_| at > 0) else { continue };
        known_from = Some(known_from.map_or(at, |first: u64| first.min(at)));
        let is_its = wanted.first().is_some_and(|wanted| entry.starts_with(&wanted.to_le_bytes()));
        if is_its && last.is_none_or(|last| last.number <= at) {
            let micros = Some(number(24).cast_signed()).filter(|micros| *micros != i64::MIN);
            last = Some(LastChange { number: at, committed_micros: micros, done });
        }
    }
    let is_applied = last.is_some_and(|last| last.number <= applied);
    Ok(known_from.map(|known_from| Told { last, is_applied, known_from }))
}
