//! Dead letters tried once more: their rows are read again from the source by key, go through the
//! steps as they are now, and are merged. A letter whose row is written is dropped.
//!
//! A letter holds what passed the masks, so its key is compared in the form that it is kept in: that
//! of the target for rows that the target refused, that of the source for rows on which a step failed,
//! with a masked key hashed. What has no key, or could not even be decoded, cannot be tried alone.

use std::{collections::HashMap, fs, sync::Arc};

use arrow_array::{RecordBatch, UInt32Array};
use serde_json::Value;
use syncline_config::{OnError, Pipeline};
use syncline_connect::{Context, Next, Origin, Read, Sink, Source, Target, Task, WriteMode};
use syncline_state::{Letter, NewLetter, SqliteStore, StateDirectory, Store};
use syncline_types::{Comparison, Error, Predicate, Result, codes, row_json};
use tokio_util::sync::CancellationToken;

use super::{
    Scratch,
    guard::Guard,
    origin_of,
    small::{Desk, repair_of},
    spill::Spill,
};
use crate::{
    shell::{
        Registry, StreamWork,
        prepare::{bind, choose},
        work::broken,
    },
    verify::{self, place::Place},
};

/// Letters that a source is asked for in one condition; more are found by reading all.
const ASKED_MAX: usize = 200;

/// What came of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its row is written, and the letter dropped.
    Written,
    /// Its row failed again; the letter says how.
    Refused {
        /// The stable code.
        code: String,
        /// The sentence.
        reason: String,
    },
    /// The source no longer has the row, or the pipeline no longer copies it. The letter stays.
    Gone,
    /// It cannot be tried by itself, and why. The letter stays.
    Alone(&'static str),
}

/// A letter that was to be replayed.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Its id.
    pub letter: i64,
    /// Its stream.
    pub stream: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// Replays a pipeline's letters, or one of them.
///
/// # Errors
/// When it cannot begin, as [`super::repair`]; or when rows cannot be read or published.
pub async fn replay(
    pipeline: &Pipeline,
    id: Option<i64>,
    registry: Registry,
    cx: &Context,
    state: &StateDirectory,
    stop: &CancellationToken,
) -> Result<Vec<Replayed>> {
    let (from, to) = (registry(&pipeline.from.scheme)?, registry(&pipeline.to.scheme)?);
    if !to.capabilities().sink.is_some_and(|sink| sink.merge) {
        return Err(Error::new(
            &codes::UNSUPPORTED,
            "replay dead letters into",
            format!("`{}`", pipeline.to),
        )
        .because(format!("`{}` cannot merge", to.name()))
        .hint("Run the pipeline again"));
    }
    let source: Arc<dyn Source> = Arc::from(from.source(&from.configure(&pipeline.from)?, cx.clone()).await?);
    let config = to.configure(&pipeline.to)?;
    let store = state.open(true)?.ok_or_else(|| broken("the state was not created"))?;
    let holder: Arc<dyn Sink> = Arc::from(to.sink(&config, cx.clone()).await?);
    let guard = Guard::take(&pipeline.id, "replay dead letters of", state, &store, holder).await?;
    let sink: Arc<dyn Sink> = Arc::from(to.sink(&config, cx.clone()).await?);
    let place = verify::followed(pipeline, registry, cx, source.as_ref(), state).await?;
    let name = repair_of(&pipeline.id);
    let scratch = Scratch::create(state.path().join(format!("repair-{name}")))?;
    // Rows that fail again are letters again, whatever a run does with them.
    let lenient = Pipeline { on_error: OnError::DeadLetter, ..pipeline.clone() };
    let origin = Origin::default();
    let store_of_desk = Arc::new(store.clone());
    let mut desk =
        Desk { pipeline: &lenient, name: name.clone(), sink, store: store_of_desk, origin, cx, stop };
    let result = tokio::select! {
        result = all(&mut desk, &store, id, &source, place.as_ref(), &scratch) => result,
        () = stop.cancelled() => Err(Error::new(&codes::INTERRUPTED, "replay dead letters of", format!("`{}`", pipeline.id))
            .because("it was asked to stop")
            .hint("The same command does what is left")),
    };
    let closed = desk.sink.close(&name).await;
    let released = guard.release().await;
    let replayed = result?;
    closed.and(released)?;
    Ok(replayed)
}

async fn all(
    desk: &mut Desk<'_>,
    store: &SqliteStore,
    id: Option<i64>,
    source: &Arc<dyn Source>,
    place: Option<&Place>,
    scratch: &Scratch,
) -> Result<Vec<Replayed>> {
    desk.sink.close(&desk.name).await?;
    let mut letters = store.letters(&desk.pipeline.id, id).await?;
    let mut replayed = vec![];
    let mut works = vec![];
    for (choice, stream) in choose(desk.pipeline, source.as_ref()).await? {
        works.push(bind(desk.pipeline, choice, stream, 0, source.as_ref())?);
    }
    desk.origin = origin_of(source.as_ref(), &works, desk.sink.as_ref()).await?;
    for work in works {
        let name = work.target.source.to_string();
        let (own, others) = letters.into_iter().partition(|letter| letter.stream == name);
        letters = others;
        let told = Lookup { work: &work, place, letters: own }.replay(desk, source, scratch).await?;
        for (letter, outcome, payload) in told {
            match &outcome {
                Outcome::Written => store.drop_letters(&desk.pipeline.id, Some(letter)).await.map(drop)?,
                Outcome::Refused { code, reason } => {
                    store.renew_letter(letter, code, reason, payload).await?;
                }
                Outcome::Gone | Outcome::Alone(_) => {}
            }
            replayed.push(Replayed { letter, stream: name.clone(), outcome });
        }
    }
    let stray = |letter: Letter| Replayed {
        letter: letter.id,
        stream: letter.stream,
        outcome: Outcome::Alone("the pipeline no longer has its stream"),
    };
    replayed.extend(letters.into_iter().map(stray));
    replayed.sort_by_key(|replayed| replayed.letter);
    Ok(replayed)
}

/// A stream's letters, and their rows at the source.
struct Lookup<'a> {
    work: &'a StreamWork,
    /// Where the pipeline is, if it follows.
    place: Option<&'a Place>,
    letters: Vec<Letter>,
}

/// Letters by the text of their keys.
type Keys = HashMap<String, Vec<usize>>;

/// The rows found: how each letter ended that did not come so far as to be written, and the letters of
/// those that did, by their key at the target.
#[derive(Default)]
struct Found {
    ended: HashMap<usize, (Outcome, Value)>,
    passed: Keys,
}

fn key_text(row: &Value, key: &[String]) -> Option<String> {
    let parts: Option<Vec<&Value>> = key.iter().map(|column| row.get(column)).collect();
    Some(Value::from(parts?.into_iter().cloned().collect::<Vec<_>>()).to_string())
}

fn refused(error: &Error) -> Outcome {
    Outcome::Refused { code: error.code().to_string(), reason: error.sentence() }
}

impl Lookup<'_> {
    async fn replay(
        &self,
        desk: &Desk<'_>,
        source: &Arc<dyn Source>,
        scratch: &Scratch,
    ) -> Result<Vec<(i64, Outcome, Value)>> {
        let mut found = Found::default();
        let (mut at_target, mut at_source) = (Keys::new(), Keys::new());
        for (number, letter) in self.letters.iter().enumerate() {
            match self.place(letter) {
                Ok((true, key)) => at_source.entry(key).or_default().push(number),
                Ok((false, key)) => at_target.entry(key).or_default().push(number),
                Err(why) => drop(found.ended.insert(number, (Outcome::Alone(why), Value::Null))),
            }
        }
        if !at_target.is_empty() || !at_source.is_empty() {
            fs::create_dir_all(&scratch.0).map_err(|error| broken(&error.to_string()))?;
            let mut spill = Spill::create(&scratch.0, "rows", &self.work.target.schema)?;
            self.read(desk, source, &at_target, &at_source, &mut found, &mut spill).await?;
            let rows = spill.end()?;
            if rows.rows() > 0 {
                if let Some(place) = self.place {
                    place.touched().await?;
                }
                let target = Target {
                    stream: 0,
                    task: Task::Load,
                    write: WriteMode::Merge,
                    staged: true,
                    overwrite_said: false,
                    cursor: None,
                    ..Target::clone(&self.work.target)
                };
                let read = rows.read(&target.source);
                let caught = desk.run_catching(Arc::new(rows), read, target).await?;
                self.sort_out(caught, &mut found);
            }
        }
        let outcome = |(number, letter): (usize, &Letter)| {
            let (outcome, payload) = found.ended.remove(&number).unwrap_or((Outcome::Gone, Value::Null));
            (letter.id, outcome, payload)
        };
        Ok(self.letters.iter().enumerate().map(outcome).collect())
    }

    /// The key of a letter's row, and whether it is in the form of the source.
    fn place(&self, letter: &Letter) -> std::result::Result<(bool, String), &'static str> {
        if self.work.target.key.is_empty() {
            return Err("its stream has no key; run the pipeline again");
        }
        if !letter.payload.is_object() {
            return Err(
                "the source could not decode the row; run the pipeline again once it is mended there",
            );
        }
        let failed_in_step = letter.code == codes::STEP_FAILED.to_string();
        let source_key = &self.work.read.stream.schema.key;
        let key = if failed_in_step { source_key } else { &self.work.target.key };
        match key_text(&letter.payload, key) {
            Some(text) if !key.is_empty() => Ok((failed_in_step, text)),
            _ => Err("the letter does not hold its key; run the pipeline again"),
        }
    }

    /// What is read: where no step stands between and there are few letters, only their rows.
    fn asked(&self, source: &dyn Source, at_target: &Keys) -> Arc<Read> {
        let key = &self.work.target.key;
        let whole = Arc::clone(&self.work.read);
        if !self.work.chain.is_empty() || at_target.len() > ASKED_MAX {
            return whole;
        }
        let equal = |column: &String, value: &Value| match value {
            Value::Number(number) => Some(Predicate::Compare {
                column: column.clone(),
                op: Comparison::Equal,
                constant: number.to_string(),
            }),
            Value::String(text) => Some(Predicate::Compare {
                column: column.clone(),
                op: Comparison::Equal,
                constant: text.clone(),
            }),
            _ => None,
        };
        let row = |text: &String| {
            let values: Vec<Value> = serde_json::from_str(text).ok()?;
            let parts: Option<Vec<Predicate>> =
                key.iter().zip(&values).map(|(column, value)| equal(column, value)).collect();
            parts.map(Predicate::And)
        };
        let Some(rows) = at_target.keys().map(row).collect::<Option<Vec<_>>>() else { return whole };
        let rows = Predicate::Or(rows);
        let filter = match whole.filter.clone() {
            Some(own) => Predicate::And(vec![own, rows]),
            None => rows,
        };
        match source.evaluates(&whole.stream, &filter) {
            true => Arc::new(Read { filter: Some(filter), ..Read::clone(&whole) }),
            false => whole,
        }
    }

    async fn read(
        &self,
        desk: &Desk<'_>,
        source: &Arc<dyn Source>,
        at_target: &Keys,
        at_source: &Keys,
        found: &mut Found,
        spill: &mut Spill,
    ) -> Result<()> {
        let read = self.asked(source.as_ref(), at_target);
        let session = source.begin(std::slice::from_ref(&read), desk.pipeline.parallel).await?;
        let mut splitter = session.splitter(&read, None).await?;
        while let Some(split) = splitter.next().await? {
            let mut reader = session.open(&read, &split, None).await?;
            loop {
                match reader.next().await? {
                    Next::Batch(batch) => self.take(&batch.rows, at_target, at_source, found, spill)?,
                    Next::Idle(_) => {}
                    Next::End => break,
                }
            }
        }
        Ok(())
    }

    /// Picks the letters' rows out of a batch and sends them through the steps.
    fn take(
        &self,
        rows: &RecordBatch,
        at_target: &Keys,
        at_source: &Keys,
        found: &mut Found,
        spill: &mut Spill,
    ) -> Result<()> {
        let matched = self.matched(rows, at_target, at_source)?;
        if matched.is_empty() {
            return Ok(());
        }
        let indexes = UInt32Array::from_iter_values(matched.iter().map(|(row, _)| *row));
        let input = arrow_select::take::take_record_batch(rows, &indexes);
        let input = input.map_err(|error| broken(&error.to_string()))?;
        let chain = &self.work.chain;
        let applied = chain.apply(input.clone())?;
        for reject in applied.rejects {
            let payload = chain.letter(&input, reject.row as usize)?;
            for number in &matched[reject.row as usize].1 {
                found.ended.insert(*number, (refused(&reject.error), payload.clone()));
            }
        }
        for row in 0..applied.rows.num_rows() {
            let at = applied.source_rows.as_ref().map_or(row, |source| source[row] as usize);
            let told = row_json(&applied.rows, chain.output(), row)?;
            let key = key_text(&told, &self.work.target.key).ok_or_else(|| broken("a row has no key"))?;
            let letters = &matched[at].1;
            found.passed.entry(key).or_default().extend(letters);
            found.ended.extend(letters.iter().map(|number| (*number, (Outcome::Written, Value::Null))));
        }
        spill.write(&applied.rows)
    }

    /// The rows of a batch that letters are about, with the letters of each.
    fn matched(
        &self,
        rows: &RecordBatch,
        at_target: &Keys,
        at_source: &Keys,
    ) -> Result<Vec<(u32, Vec<usize>)>> {
        let mut matched: std::collections::BTreeMap<u32, Vec<usize>> = Default::default();
        let place = |row: usize| u32::try_from(row).map_err(|_| broken("a batch has too many rows"));
        if !at_target.is_empty() {
            let keys = self.work.chain.only(&self.work.target.key)?;
            let columns: Option<Vec<usize>> =
                keys.input_columns().iter().map(|name| rows.schema().index_of(name).ok()).collect();
            let columns = columns.ok_or_else(|| broken("a column of the key was not read"))?;
            let narrow = rows.project(&columns).map_err(|error| broken(&error.to_string()))?;
            let applied = keys.apply(narrow)?;
            for row in 0..applied.rows.num_rows() {
                let told = row_json(&applied.rows, keys.output(), row)?;
                let letters = key_text(&told, &self.work.target.key).and_then(|key| at_target.get(&key));
                if let Some(letters) = letters {
                    let at = applied.source_rows.as_ref().map_or(place(row)?, |source| source[row]);
                    matched.entry(at).or_default().extend(letters);
                }
            }
        }
        if !at_source.is_empty() {
            for row in 0..rows.num_rows() {
                let told = self.work.chain.letter(rows, row)?;
                let key = key_text(&told, &self.work.read.stream.schema.key);
                if let Some(letters) = key.and_then(|key| at_source.get(&key)) {
                    matched.entry(place(row)?).or_default().extend(letters);
                }
            }
        }
        Ok(matched.into_iter().collect())
    }

    /// Rows that the target has refused once more.
    fn sort_out(&self, caught: Vec<NewLetter>, found: &mut Found) {
        for letter in caught {
            let key = key_text(&letter.payload, &self.work.target.key);
            for number in key.and_then(|key| found.passed.get(&key)).into_iter().flatten() {
                let outcome = Outcome::Refused { code: letter.code.clone(), reason: letter.reason.clone() };
                found.ended.insert(*number, (outcome, letter.payload.clone()));
            }
        }
    }
}
