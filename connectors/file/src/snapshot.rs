//! Reading: the files as they are when the session begins, each a split, row by row.

mod edge;
mod reader;
mod session;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use syncline_connect::{Context, Edge, Finding, Read, Selection, Session, Source, Stream};
use syncline_types::{Error, Predicate, Result, StreamName, codes};

use crate::{
    error::shown,
    schema::{FileSet, Place, ToldBy},
};
use session::FileSession;

/// Files as a source.
pub(crate) struct FileSource {
    place: Arc<Place>,
    cx: Context,
    /// The files of each stream, as they were when its columns were looked for.
    discovered: Mutex<BTreeMap<StreamName, Arc<FileSet>>>,
}

impl FileSource {
    pub(crate) async fn open(place: Place, cx: Context) -> Result<Self> {
        let place = Arc::new(place);
        let look = Arc::clone(&place);
        // Whether there is something shows now, and not when the first stream is asked for.
        cx.blocking("look at files", move || look.find().map(drop)).await?;
        Ok(FileSource { place, cx, discovered: Mutex::default() })
    }

    async fn looking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Place) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.place);
        self.cx.blocking(name, move || work(&place)).await
    }

    fn known(&self, name: &StreamName) -> Option<Arc<FileSet>> {
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The files of a stream as they are now; those of strangers have to be as they were.
    async fn set_of(&self, stream: &Arc<Stream>) -> Result<FileSet> {
        let (known, stream) = (self.known(&stream.name), Arc::clone(stream));
        self.looking("look at files", move |place| {
            let set = place.set_of(&stream)?;
            match known.filter(|known| known.told_by != ToldBy::Manifest) {
                Some(known) => must_be_same(&known, &set).map(|()| set),
                None => Ok(set),
            }
        })
        .await
    }
}

/// Fails with the first file that is not as it was.
fn must_be_same(then: &FileSet, now: &FileSet) -> Result<()> {
    if then.fingerprint == now.fingerprint {
        return Ok(());
    }
    for file in &then.files {
        file.open()?;
    }
    let new = now.files.iter().find(|file| then.files.iter().all(|known| known.path != file.path));
    let path = new.or(now.files.first()).map(|file| shown(&file.path)).unwrap_or_default();
    Err(Error::new(&codes::SCHEMA_CHANGED, "read", path)
        .because("the file has come since the run was planned")
        .hint("Wait until all files are there, and run again"))
}

#[async_trait]
impl Source for FileSource {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        let selection = selection.clone();
        let found = self.looking("discover streams", move |place| place.discover(&selection)).await?;
        let mut discovered = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = found.into_iter().map(|(stream, set)| {
            discovered.insert(stream.name.clone(), Arc::new(set));
            stream
        });
        Ok(streams.collect())
    }

    /// Files evaluate nothing.
    fn evaluates(&self, _: &Stream, _: &Predicate) -> bool {
        false
    }

    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        let mut findings = vec![];
        for read in reads {
            let name = &read.stream.name;
            let Some(set) = self.known(name) else { continue };
            findings.extend(finding(name, &set).map(|finding| finding.of(name)));
        }
        Ok(findings)
    }

    async fn begin(&self, reads: &[Arc<Read>], _: usize) -> Result<Box<dyn Session>> {
        let mut sets = BTreeMap::new();
        for read in reads {
            sets.insert(read.stream.name.clone(), self.set_of(&read.stream).await?);
        }
        let cx = self.cx.clone();
        let session = self.looking("open files", move |_| FileSession::begin(sets, cx)).await?;
        Ok(Box::new(session))
    }

    async fn edge(&self, stream: &Stream, column: &str) -> Result<Edge> {
        let stream = Arc::new(stream.clone());
        let set = self.set_of(&stream).await?;
        let (cx, column) = (self.cx.clone(), column.to_owned());
        self.looking("look how far a column goes", move |_| edge::edge(&cx, &stream, &set, &column)).await
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

/// How a stranger's files are understood.
fn finding(name: &StreamName, set: &FileSet) -> Option<Finding> {
    let first = set.files.first()?;
    let files = match set.files.len() {
        1 => shown(&first.path),
        count => format!("{count} files from {}", shown(&first.path)),
    };
    let columns: Vec<String> =
        set.schema.columns.iter().map(|column| format!("{} {}", column.name, column.logical)).collect();
    let columns = columns.join(", ");
    let how = match set.told_by {
        ToldBy::Manifest => return None,
        ToldBy::SchemaFile => {
            format!("the columns are from the `{}` beside: {columns}", crate::manifest::SCHEMA)
        }
        ToldBy::Values => {
            format!("types were found from all values ({columns}); `types=text` takes every column as text")
        }
        ToldBy::Nothing => format!("every column is taken as text ({columns})"),
        ToldBy::Files => format!("the files tell their columns ({columns})"),
    };
    Some(Finding::note(format!("`{name}` is {files}, {}; {how}", first.layout.describe())))
}
