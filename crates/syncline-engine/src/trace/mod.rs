//! Where one row is, and why it is not where it is looked for.
//!
//! Both ends are asked for it, the steps are done one after the other, dead letters are looked through
//! for its key, and where a pipeline follows, its place in the log and what it has noted of the changes that it
//! has read. The log itself is not read for it.

mod key;
pub(crate) mod row;

use std::time::Duration;

use arrow_array::RecordBatch;
use serde::Serialize;
use serde_json::Value;
use syncline_config::{Deletes, Pipeline};
use syncline_connect::{Context, Read, WriteMode};
use syncline_state::{Letter, StateDirectory, Store};
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Error, Result, TableSchema, codes, fingerprint::RowHasher};
use tokio::time::Instant;

use self::{key::Key, row::AtSource};
use crate::{
    follow::{Told, recent::last_change},
    shell::{Registry, StreamWork, work::broken},
    verify::{
        self, Ends, Kind, Standing,
        look::Lookup,
        pair::Pair,
        rows,
        settle::{self, Seems},
        wanted::FoundRow,
    },
};

/// A step that keeps a row from going on.
#[derive(Clone, Debug)]
pub struct Step {
    /// Counted from 1, as in errors and in a plan; a stream's `where` is its first.
    pub number: usize,
    /// The key it is written under.
    pub kind: &'static str,
    /// As one line.
    pub text: String,
    /// Why, unless it just leaves the row out.
    pub refused: Option<Error>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The stream's name at the source.
    pub stream: String,
    /// And at the target.
    pub target: String,
    /// The row's key, by the source's columns.
    pub key: Value,
    /// Whether the source has it.
    pub at_source: bool,
    /// How many steps there are.
    pub steps: usize,
    /// Which of them keeps it from going on.
    pub step: Option<Step>,
    /// Why the source's row cannot be read.
    pub unreadable: Option<Error>,
    /// Its dead letters, oldest first.
    pub letters: Vec<Letter>,
    /// Whether the target has it.
    pub at_target: bool,
    /// The columns that are not the same at both ends, where both have it.
    pub differing: Vec<String>,
    /// How far the pipeline is that follows.
    pub standing: Option<Standing>,
    /// What the pipeline has read of it last, where it follows.
    pub told: Option<Told>,
    /// What it all comes to.
    pub verdict: Verdict,
}

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is at the target as it is at the source.
    Applied,
    /// A step leaves it out, and the target does not have it.
    Filtered,
    /// Neither end has it.
    Absent,
    /// The source has it no more, and the pipeline leaves such rows at the target.
    Kept,
    /// It differs, and the pipeline has not come so far yet.
    NotReadYet,
    /// It could not go on, and is a dead letter.
    DeadLettered,
    /// It cannot go on, and there is no dead letter of it.
    Refused,
    /// The target does not have it.
    Missing,
    /// The target has it otherwise.
    Different,
    /// The target has it, and should not.
    Extra,
}

impl Verdict {
    /// Whether it is where it should be.
    pub fn is_well(self) -> bool {
        matches!(self, Verdict::Applied | Verdict::Filtered | Verdict::Absent | Verdict::Kept)
    }
}

/// Looks for a row of a stream, by its name at the source or at the target. Where a pipeline follows, a
/// row that differs is looked at again for as long as `settle` says.
///
/// # Errors
/// When there is no such stream, when the key is not one, and when an end cannot be read.
pub async fn trace(
    pipeline: &Pipeline,
    stream: &str,
    key: &[String],
    registry: Registry,
    cx: &Context,
    state: &StateDirectory,
    settle: Duration,
) -> Result<Traced> {
    let ends = Ends::open(pipeline, registry, cx).await?;
    let place = verify::followed(pipeline, registry, cx, ends.source.as_ref(), state).await?;
    let (work, (input, steps)) = chosen(&ends, stream)?;
    let name = work.target.source.to_string();
    let key = Key::read(key, work)?;
    let (texts, arrays) = key.typed(&work.read.stream.schema)?;
    // Letters first: one that comes meanwhile is of a row that is looked at later.
    let letters = match state.open(false)? {
        Some(store) => store.letters(&pipeline.id, None).await?,
        None => vec![],
    };
    let read = whole(work, input, &key);
    let found = row::read(ends.source.as_ref(), &read, &key.names(), &texts).await?;
    let (raw, unreadable) = match found {
        AtSource::Row(row) => (Some(row), None),
        AtSource::Nothing => (None, None),
        AtSource::Unreadable(error) => (None, Some(error)),
    };
    let mask_key = pipeline.mask_key.as_ref();
    let step = match &raw {
        Some(raw) => row::stopped_by(&row::project(raw, &names_of(input))?, input, steps, mask_key, &name)?,
        None => None,
    };
    let known = match (&raw, arrays) {
        (Some(raw), _) => Known::Row(raw.clone()),
        (None, Some(arrays)) => Known::Key(key.row(&read.schema(), &arrays)?, key.names()),
        (None, None) => Known::Nothing,
    };
    let row = match &known {
        Known::Row(row) | Known::Key(row, _) => Some(row.clone()),
        Known::Nothing => None,
    };
    let target_key = TargetKey::of(pipeline, work, input, steps, known)?;
    let is_its = |letter: &Letter| {
        letter.stream == name
            && (has(letter, &key.names(), &texts) || has(letter, &work.target.key, &target_key.texts))
    };
    let letters: Vec<Letter> = letters.into_iter().filter(is_its).collect();
    let lookup = Lookup { pipeline, work, ends: &ends };
    let found = FoundRow { key: target_key.hash(&lookup).await?, split: None, text: Some(target_key.texts) };
    let mut place = place;
    if let Some(watched) = &place
        && !watched.follows(&work.target.source).await?
    {
        place = None;
    }
    let seemed = settle::one(&lookup, place.as_ref(), found, Instant::now() + settle).await?;
    let at_source = raw.is_some() || unreadable.is_some();
    let stopped = unreadable.is_some() || step.as_ref().is_some_and(|step| step.refused.is_some());
    let passes = raw.is_some() && step.is_none();
    Ok(Traced {
        stream: name,
        target: work.target.name.to_string(),
        key: rows::key_object(&texts, &work.read.stream.schema, &key.names()),
        at_source,
        steps: steps.len(),
        verdict: judge(work, seemed.seems, (at_source, passes, stopped), !letters.is_empty()),
        step,
        unreadable,
        letters,
        at_target: match seemed.seems {
            Seems::Equal => passes,
            Seems::Differs(kind) | Seems::Unsettled(kind) => kind != Kind::Missing,
        },
        differing: seemed.columns,
        standing: match &place {
            Some(place) => Some(place.standing().await?),
            None => None,
        },
        told: match (&place, row) {
            (Some(_), Some(row)) => last_change(state, &pipeline.id, &work.read, &row).await?,
            _ => None,
        },
    })
}

/// What it comes to, from how the ends compare, and whether the source has the row, the steps let it pass,
/// and it cannot go on.
fn judge(
    work: &StreamWork,
    seems: Seems,
    (at_source, passes, stopped): (bool, bool, bool),
    has_letters: bool,
) -> Verdict {
    if stopped {
        return if has_letters { Verdict::DeadLettered } else { Verdict::Refused };
    }
    // What leaves a filter is deleted where changes are followed, whatever becomes of what is deleted.
    let keeps = match &work.passage {
        Some(passage) => passage.keeps() && !at_source,
        None => work.target.write != WriteMode::Overwrite && work.deletes == Deletes::Ignore && !passes,
    };
    match seems {
        Seems::Equal if passes => Verdict::Applied,
        Seems::Equal if at_source => Verdict::Filtered,
        Seems::Equal => Verdict::Absent,
        Seems::Differs(Kind::Extra) | Seems::Unsettled(Kind::Extra) if keeps => Verdict::Kept,
        Seems::Unsettled(_) => Verdict::NotReadYet,
        Seems::Differs(Kind::Missing | Kind::Different) if has_letters => Verdict::DeadLettered,
        Seems::Differs(Kind::Missing) => Verdict::Missing,
        Seems::Differs(Kind::Different) => Verdict::Different,
        Seems::Differs(Kind::Extra) => Verdict::Extra,
    }
}

/// Whether a letter's row has these values, as far as it holds them.
fn has(letter: &Letter, columns: &[String], texts: &[String]) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is = |(column, wanted): (&String, &String)| {
        letter.payload.get(column).is_some_and(|value| text(value) == *wanted)
    };
    !columns.is_empty() && columns.iter().zip(texts).all(is)
}

/// The stream of this name, with what its steps begin with, and the steps.
fn chosen<'a>(ends: &'a Ends, stream: &str) -> Result<(&'a StreamWork, &'a (TableSchema, Vec<StepSpec>))> {
    let is = |work: &StreamWork, exactly: bool| {
        let (source, target) = (&work.target.source, &work.target.name);
        source.to_string() == stream
            || !exactly && (source.table == stream || target.to_string() == stream || target.table == stream)
    };
    let ends_so = |name: &&String| **name == stream || name.rsplit('.').next() == Some(stream);
    if let Some(name) = ends.logs.iter().find(ends_so) {
        return Err(verify::log_of_changes("trace a row of", name));
    }
    let mut all = ends.works.iter().zip(&ends.written);
    let exact = all.clone().find(|(work, _)| is(work, true));
    exact.or_else(|| all.find(|(work, _)| is(work, false))).ok_or_else(|| {
        let names: Vec<String> = ends.works.iter().map(|work| work.target.source.to_string()).collect();
        let error = Error::new(&codes::STREAM_MISSING, "trace a row of", format!("`{stream}`"))
            .because("the pipeline has no such stream");
        match syncline_connect::nearest(stream, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("Did you mean `{near}`?")),
            None => error.hint(format!("It has {}", names.join(", "))),
        }
    })
}

fn names_of(schema: &TableSchema) -> Vec<String> {
    schema.columns.iter().map(|column| column.name.clone()).collect()
}

/// All that the steps begin with, and the key, whatever they need of it: without the filters.
fn whole(work: &StreamWork, input: &TableSchema, key: &Key) -> Read {
    let names = key.names();
    let wanted = |name: &String| input.column(name).is_some() || names.contains(name);
    let all = work.read.stream.schema.columns.iter().map(|column| &column.name);
    let columns = all.filter(|name| wanted(name)).cloned().collect();
    Read { columns, filter: None, ..Read::clone(&work.read) }
}

/// The key that the row has at the target.
struct TargetKey {
    schema: TableSchema,
    row: RecordBatch,
    texts: Vec<String>,
}

impl TargetKey {
    /// By the steps that make it; filters and schemas have no part in that. Of a row that the source has
    /// no more only the key is known.
    fn of(
        pipeline: &Pipeline,
        work: &StreamWork,
        input: &TableSchema,
        steps: &[StepSpec],
        known: Known,
    ) -> Result<Self> {
        let (name, key) = (work.target.source.to_string(), &work.target.key);
        if key.is_empty() {
            return Err(Error::new(&codes::KEY_MISSING, "find a row at", format!("`{}`", work.target.name))
                .because("it has no key, so nobody can say which row is which")
                .hint("Name a unique key with --key COL,... (key: [COL])"));
        }
        let unknown = || {
            Error::new(&codes::KEY_MISSING, "find a row at", format!("`{}`", work.target.name))
                .because("the source has no such row, and its key alone does not tell the key at the target")
                .hint("`syncline verify` compares all rows")
        };
        let decides = |step: &&StepSpec| !matches!(step, StepSpec::Filter(_) | StepSpec::Validate(_));
        let open: Vec<StepSpec> = steps.iter().filter(decides).cloned().collect();
        let chain = Chain::bind(&open, input, pipeline.mask_key.as_ref(), &name)?.only(key)?;
        let row = match known {
            Known::Row(row) => row,
            Known::Key(row, names) if chain.input_columns().iter().all(|name| names.contains(name)) => row,
            Known::Key(..) | Known::Nothing => return Err(unknown()),
        };
        let applied = chain.apply(row::project(&row, chain.input_columns())?)?;
        let schema = chain.output().clone();
        let texts = rows::texts(&applied.rows, &schema, key)?.pop().ok_or_else(unknown)?;
        Ok(TargetKey { schema, row: applied.rows, texts })
    }

    /// Its hash, as rows of the two ends are paired by.
    async fn hash(&self, lookup: &Lookup<'_>) -> Result<u128> {
        let Ends { source, target, .. } = lookup.ends;
        let pair = Pair::of_some(lookup.pipeline, lookup.work, source, target).await?;
        let hash = RowHasher::new(&self.schema, &pair.pairing)?.hash(&self.row)?.pop();
        hash.ok_or_else(|| broken("a key has no hash"))
    }
}

/// What is known of the row.
enum Known {
    /// All that the steps begin with.
    Row(RecordBatch),
    /// The columns of these names.
    Key(RecordBatch, Vec<String>),
    Nothing,
}
