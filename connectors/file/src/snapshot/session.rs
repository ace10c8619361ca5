//! A session: the files as they were when it began, open where there are not too many.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_connect::{Context, Digest, Read, Reader, Session, Splitter};
use syncline_types::{Error, Extent, Position, Result, Split, SplitId, StreamName, codes};

use super::reader::FileReader;
use crate::{
    decode::{Expected, FileSpec},
    schema::FileSet,
};

/// Parts that are kept open, so that whoever publishes meanwhile takes none away. Systems allow a
/// thousand files and more to a process.
const OPEN_MAX: usize = 256;

pub(super) struct FileSession {
    streams: BTreeMap<StreamName, Arc<Files>>,
    cx: Context,
}

struct Files {
    set: FileSet,
    /// By number in the set.
    open: BTreeMap<usize, File>,
}

/// Which file of which set a split is.
#[derive(Serialize, Deserialize)]
struct Place {
    file: usize,
    of: String,
}

impl FileSession {
    pub(super) fn begin(sets: BTreeMap<StreamName, FileSet>, cx: Context) -> Result<Self> {
        let mut left = OPEN_MAX;
        let mut streams = BTreeMap::new();
        for (name, set) in sets {
            let mut open = BTreeMap::new();
            for (number, spec) in set.files.iter().enumerate() {
                let is_part = matches!(spec.expected, Expected::Part { .. });
                if is_part && left > 0 {
                    open.insert(number, spec.open()?);
                    left -= 1;
                }
            }
            streams.insert(name, Arc::new(Files { set, open }));
        }
        Ok(FileSession { streams, cx })
    }

    fn files(&self, read: &Read) -> Result<&Arc<Files>> {
        self.streams.get(&read.stream.name).ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "read", format!("`{}`", read.stream.name))
                .because("the session has not begun with it")
        })
    }
}

fn garbled(read: &Read) -> Error {
    Error::new(&codes::BAD_BYTES, "read a split of", format!("`{}`", read.stream.name))
        .because("it is not as it was written")
}

impl Files {
    /// The number of the file that a split is.
    fn number(&self, read: &Read, split: &Split) -> Result<usize> {
        let Extent::Own(text) = &split.extent else { return Err(garbled(read)) };
        let place: Place = serde_json::from_str(text).map_err(|_| garbled(read))?;
        if place.of != self.set.fingerprint {
            return Err(Error::new(&codes::SCHEMA_CHANGED, "go on with", format!("`{}`", read.stream.name))
                .because("its files are not those for which the run was planned")
                .hint("Begin again with --restart"));
        }
        Ok(place.file)
    }

    fn split(&self, number: usize, rows_estimate: Option<u64>) -> Option<Split> {
        let place = Place { file: number, of: self.set.fingerprint.clone() };
        Some(Split {
            id: SplitId(u32::try_from(number).ok()?),
            extent: Extent::Own(serde_json::to_string(&place).expect("a place serialises")),
            rows_estimate,
        })
    }

    /// A file of its own to read from, at its beginning.
    fn open(&self, number: usize, spec: &FileSpec) -> Result<File> {
        match self.open.get(&number) {
            Some(file) => again(file, spec),
            None => spec.open(),
        }
    }
}

/// Opens a file once more, also when its name has gone.
#[cfg(target_os = "linux")]
fn again(file: &File, spec: &FileSpec) -> Result<File> {
    use std::os::fd::AsRawFd;
    let own = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    match File::open(own) {
        Ok(file) => Ok(file),
        // Some machines have no /proc.
        Err(_) => spec.open(),
    }
}

/// Opens a file once more.
#[cfg(not(target_os = "linux"))]
fn again(_: &File, spec: &FileSpec) -> Result<File> {
    let _: Option<PathBuf> = None;
    spec.open()
}

#[async_trait]
impl Session for FileSession {
    fn describe(&self) -> String {
        let files: usize = self.streams.values().map(|files| files.set.files.len()).sum();
        match files {
            1 => "one file; if it changes while it is read, that is an error".into(),
            files => format!("{files} files; if one changes while it is read, that is an error"),
        }
    }

    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        let files = self.files(read)?;
        let next = match last {
            Some(last) => files.number(read, last)? + 1,
            None => 0,
        };
        let splits = files.set.rows.iter().enumerate().skip(next);
        let splits: Option<VecDeque<Split>> =
            splits.map(|(number, rows)| files.split(number, *rows)).collect();
        Ok(Box::new(FileSplitter(splits.ok_or_else(|| garbled(read))?)))
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        let files = Arc::clone(self.files(read)?);
        let number = files.number(read, split)?;
        let spec = files.set.files.get(number).cloned().ok_or_else(|| garbled(read))?;
        let at = at.map(|at| at.0.parse::<u64>()).transpose().map_err(|_| garbled(read))?;
        let schema = read.schema();
        let opened = self.cx.blocking("open a file", move || {
            let file = files.open(number, &spec)?;
            Ok((spec, file))
        });
        let (spec, file) = opened.await?;
        Ok(Box::new(FileReader::start(spec, file, schema, at.unwrap_or(0), &self.cx)))
    }

    async fn digest(&self, read: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(Error::new(&codes::UNSUPPORTED, "compute a checksum of", format!("`{}`", read.stream.name))
            .because("files compute nothing"))
    }
}

/// Gives out the files, one after the other.
struct FileSplitter(VecDeque<Split>);

#[async_trait]
impl Splitter for FileSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        Ok(self.0.pop_front())
    }
}
