//! The hidden file of a pipeline that follows: its mark, and the manifests that were committed with it and
//! are not all published yet. Replacing it is the commit. It stays when the pipeline ends.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use syncline_connect::RunRef;
use syncline_types::{Error, Result, codes};
use xxhash_rust::xxh3::xxh3_64;

use super::{SinkShared, tidy::unlisted};
use crate::{
    client::replace,
    error::{Explain, shown},
    manifest::{self, Manifest},
    publish::Turn,
    schema::name::hidden,
};

/// How the names of runs begin whose parts are written while following.
const RUN: &str = "follow";

/// What a pipeline that follows has committed last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Followed {
    pub(crate) mark: String,
    pub(crate) next: Vec<Next>,
}

/// A manifest that takes the place of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Next {
    /// The name of its folder.
    pub(crate) folder: String,
    pub(crate) before: Manifest,
    pub(crate) manifest: Manifest,
}

/// What parts of a pipeline that follows are named for: it has no run, and its name may hold anything.
pub(crate) fn run_name(pipeline: &str) -> String {
    format!("{RUN}{:016x}", xxh3_64(pipeline.as_bytes()))
}

/// Whether a part's run is one that [`run_name`] names.
pub(crate) fn is_run(run: &str) -> bool {
    run.strip_prefix(RUN).is_some_and(|hash| hash.len() == 16)
}

impl Followed {
    fn path(shared: &SinkShared, pipeline: &str) -> PathBuf {
        shared.root.join(hidden(pipeline, "follow"))
    }

    /// What is known of a pipeline; `None` when it has never followed.
    pub(crate) fn read(shared: &SinkShared, pipeline: &str) -> Result<Option<Self>> {
        let path = Followed::path(shared, pipeline);
        let text = match std::fs::read(&path) {
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound) => return Ok(None),
            text => text.explain("read the mark in", &path)?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|_| {
            Error::new(&codes::BAD_BYTES, "read the mark in", shown(&path))
                .because("it is not as it was written")
                .hint("Remove the file, and begin again with --restart")
        })
    }

    /// Makes it what the pipeline has committed, unless a newer epoch has begun, and publishes it.
    pub(crate) fn commit(&self, shared: &SinkShared, run: &RunRef) -> Result<()> {
        self.write(shared, run)?;
        Followed::publish_pending(shared, run)
    }

    fn write(&self, shared: &SinkShared, run: &RunRef) -> Result<()> {
        let text = serde_json::to_vec(self).expect("manifests serialise");
        let path = Followed::path(shared, &run.pipeline);
        shared.journal(run)?.under(run.epoch, || replace(&path, &text))
    }

    /// Publishes what was committed and is not published, if anything is. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`codes::SCHEMA_CHANGED`] when somebody else has published into a folder since.
    pub(crate) fn publish_pending(shared: &SinkShared, run: &RunRef) -> Result<()> {
        let Some(followed) = Followed::read(shared, &run.pipeline)? else { return Ok(()) };
        if followed.next.is_empty() {
            return Ok(());
        }
        for next in &followed.next {
            next.publish(shared)?;
        }
        Followed { next: vec![], ..followed }.write(shared, run)
    }
}

impl Next {
    fn publish(&self, shared: &SinkShared) -> Result<()> {
        let folder = shared.root.join(&self.folder);
        let _turn = Turn::take(shared, &folder)?;
        let there = manifest::read(&folder)?;
        if there.as_ref() == Some(&self.manifest) {
            self.manifest.publish_schema(&folder)?;
        } else if there.as_ref() == Some(&self.before) {
            self.manifest.publish(&folder)?;
        } else {
            return Err(Error::new(&codes::SCHEMA_CHANGED, "publish into", shown(&folder))
                .because("somebody else has published into it while it was followed into")
                .hint("Copy it again with --restart, and let nobody else write there"));
        }
        unlisted(&folder, &self.manifest, &self.manifest.run)
    }
}
