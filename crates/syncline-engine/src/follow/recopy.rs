//! Streams that somebody wants to be copied again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_config::{Deletes, StreamChoice};
use syncline_connect::WriteMode;
use syncline_state::Store;
use syncline_types::{Error, Result, codes};

use crate::shell::{Prepared, PreparedStream, prepare::bind};

/// Where in the state the wishes of a pipeline stand.
const WISHES: &str = "+recopy";

/// What is to be copied again of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Only rows for which this is true; without it all of them, and those that are too many go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// Asks for a stream to be copied again, of a pipeline that may be running. Of two wishes for one stream
/// that are not the same, all of it is copied.
///
/// # Errors
/// When the state cannot be written.
pub async fn ask(store: &dyn Store, pipeline: &str, stream: &str, wish: Wish) -> Result<()> {
    let mut wishes = wishes(store, pipeline).await?;
    let wish = match wishes.get(stream) {
        Some(other) if *other != wish => Wish::default(),
        _ => wish,
    };
    wishes.insert(stream.to_owned(), wish);
    let text = serde_json::to_string(&wishes).expect("names and texts serialise");
    store.save_mark(pipeline, WISHES, Some(&text)).await
}

/// Whether such a wish can be fulfilled, and the stream's name in full.
///
/// # Errors
/// [`codes::STREAM_MISSING`] when the pipeline has no such stream; what is wrong with the condition.
pub fn check(prepared: &Prepared, stream: &str, wish: &Wish) -> Result<String> {
    let source = |stream: &PreparedStream| stream.work.target.source.clone();
    let is_it = |one: &&PreparedStream| {
        let name = source(one);
        name.to_string() == stream || one.work.read.stream.in_default_namespace && name.table == stream
    };
    let Some(one) = prepared.streams.iter().find(is_it) else {
        let names: Vec<String> = prepared.streams.iter().map(|one| source(one).to_string()).collect();
        return Err(Error::new(&codes::STREAM_MISSING, "copy again stream", format!("`{stream}`"))
            .because(format!("pipeline `{}` has no such stream", prepared.pipeline.id))
            .hint(format!("Its streams are: {}", names.join(", "))));
    };
    if let Some(filter) = &wish.filter {
        if one.work.by_values() {
            return Err(Error::new(&codes::KEY_MISSING, "copy again a part of", format!("`{}`", source(one)))
                .because("it has no key, by which alone the rows of a part can take the places of those that are there")
                .hint("Copy all of it: leave --where out"));
        }
        let choice = only(&one.choice, filter);
        let about = one.work.read.stream.as_ref().clone();
        bind(&prepared.pipeline, &choice, about, one.work.target.stream, prepared.source.as_ref())?;
    }
    Ok(source(one).to_string())
}

pub(crate) async fn is_asked(store: &dyn Store, pipeline: &str) -> Result<bool> {
    Ok(store.marks(pipeline).await?.contains_key(WISHES))
}

/// What has been asked for.
pub(crate) async fn wishes(store: &dyn Store, pipeline: &str) -> Result<BTreeMap<String, Wish>> {
    let Some(text) = store.marks(pipeline).await?.remove(WISHES) else { return Ok(BTreeMap::new()) };
    serde_json::from_str(&text).map_err(|_| {
        Error::new(&codes::BAD_BYTES, "read what is to be copied again of pipeline", format!("`{pipeline}`"))
            .because("it was written by another version, or changed by hand")
    })
}

pub(crate) async fn forget(store: &dyn Store, pipeline: &str) -> Result<()> {
    store.save_mark(pipeline, WISHES, None).await
}

/// What a stream's copy is when only a part of it is copied again: rows that are not of the part stay.
pub(crate) fn only(choice: &StreamChoice, filter: &str) -> StreamChoice {
    let filter = match &choice.filter {
        Some(all) => format!("({all}) AND ({filter})"),
        None => filter.to_owned(),
    };
    StreamChoice { filter: Some(filter), write: WriteMode::Merge, deletes: Deletes::Ignore, ..choice.clone() }
}
