//! How each action on a lane is done: reading with the steps applied, writing whole or in part,
//! dead letters, committing.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{RecordBatch, UInt32Array};
use serde_json::Value;
use syncline_connect::{Batch, Next, Outcome, Reader, Reject, Session, Writer};
use syncline_state::{LetterPlace, NewLetter};
use syncline_types::{Error, ErrorKind, Position, Progress, Result, Split, SplitId, row_json};

use super::{
    prefetch::Prefetch,
    work::{StreamWork, Work, broken},
};
use crate::{
    core::{Answer, LaneAction},
    follow::owner_of,
    incremental::Place,
};

/// What a lane keeps between its actions.
#[derive(Default)]
pub struct LaneState {
    reader: Option<Box<dyn Reader>>,
    writer: Option<Box<dyn Writer>>,
    warm: Option<Warm>,
    split: Option<OpenSplit>,
    held: Held,
}

/// A split that was opened before its turn.
struct Warm {
    stream: usize,
    split: SplitId,
    /// The snapshot it reads; in another one it is of no use.
    session: Arc<dyn Session>,
    reader: Box<dyn Reader>,
}

/// The split being read.
struct OpenSplit {
    stream: usize,
    id: SplitId,
    /// What was durable when the attempt began, or at its last commit: with stream and split, the
    /// place of its dead letters.
    began_at: Option<Position>,
}

impl OpenSplit {
    fn place(&self) -> Place {
        (self.id, self.began_at.clone())
    }
}

/// The batch under way, until it is dealt with.
#[derive(Default)]
struct Held {
    batch: Option<Batch>,
    /// Letters of rows that failed in the reader or in a step.
    before: Vec<NewLetter>,
    /// Rows of the batch that the target refused.
    refused: BTreeMap<u32, Error>,
    /// Rows that it wants again, and the part they are counted from.
    again: Vec<u32>,
    /// Errors that spoke of some row of a part, for when bisecting has found the row.
    suspects: Vec<(Range<u32>, Error)>,
    /// The part written last.
    part: Range<u32>,
}

impl Work {
    /// Does an action of one lane.
    ///
    /// # Errors
    /// What the source, a step, the sink or the store fails with.
    pub async fn perform_lane(&self, state: &mut LaneState, action: LaneAction) -> Result<Answer> {
        match action {
            LaneAction::OpenWriter => state.writer = Some(self.sink.writer(&self.run()?).await?),
            LaneAction::ForgetLetters { stream, split, at } => {
                self.store.forget_letters(&self.place(stream, split, at)?).await?;
            }
            LaneAction::OpenReader { stream, split, at } => {
                self.open_reader(state, stream, &split, at).await?
            }
            LaneAction::Read => return self.read(state).await,
            LaneAction::Write { part } => return self.write(state, part).await,
            LaneAction::WriteAgain => return self.write_again(state).await,
            LaneAction::Flush => {
                let result = state.writer()?.flush().await;
                state.held.suspect(result)?;
            }
            LaneAction::Abort => state.writer()?.abort().await?,
            LaneAction::SaveLetters { found } => return self.save_letters(state, found).await,
            LaneAction::Commit { delta, next } => {
                self.save_found(state.split()?).await?;
                let warm = self.warm_up(next);
                let commit = state.writer()?.commit(std::slice::from_ref(&delta));
                let (committed, warm) = tokio::join!(commit, warm);
                state.warm = warm;
                committed?;
                if let (Some(split), Progress::At(position)) = (&mut state.split, delta.row.progress) {
                    split.began_at = Some(position);
                    self.begin_attempt(state)?;
                }
            }
            LaneAction::SaveProgress(delta) => self.store.save_progress(&self.run()?.run, &delta).await?,
            LaneAction::Confirm(position) => state.reader()?.confirm(&position).await?,
            LaneAction::CloseReader => state.close_reader(),
            LaneAction::Close => {
                state.close_reader();
                state.warm = None;
                state.writer = None;
            }
            LaneAction::Reload => {
                return Ok(Answer::Target(self.sink.progress(&self.pipeline).await?));
            }
        }
        Ok(Answer::Done)
    }

    fn place(&self, stream: usize, split: SplitId, at: Option<Position>) -> Result<LetterPlace> {
        let run = self.run()?;
        let stream = self.stream(stream)?.target.stream;
        Ok(LetterPlace { pipeline: owner_of(&run.pipeline).to_owned(), run: run.run, stream, split, at })
    }

    async fn open_reader(
        &self,
        state: &mut LaneState,
        stream: usize,
        split: &Split,
        at: Option<Position>,
    ) -> Result<()> {
        let session = self.session()?;
        let fits = |warm: &Warm| {
            at.is_none()
                && (warm.stream, warm.split) == (stream, split.id)
                && Arc::ptr_eq(&warm.session, &session)
        };
        state.reader = Some(match state.warm.take().filter(fits) {
            Some(warm) => warm.reader,
            None => self.start_reader(&session, stream, split, at.as_ref()).await?,
        });
        state.split = Some(OpenSplit { stream, id: split.id, began_at: at });
        state.held = Held::default();
        self.begin_attempt(state)
    }

    /// Whatever was found by an attempt from the same place does not count any more.
    fn begin_attempt(&self, state: &LaneState) -> Result<()> {
        let split = state.split()?;
        if let Some(sift) = self.sift(split.stream) {
            sift.begin(&split.place());
        }
        Ok(())
    }

    /// Another process must know what was found of rows that are about to be committed.
    async fn save_found(&self, split: &OpenSplit) -> Result<()> {
        let found = self.sift(split.stream).and_then(|sift| sift.take_down(&split.place()));
        let Some(found) = found else { return Ok(()) };
        let place = self.place(split.stream, split.id, split.began_at.clone())?;
        self.store.save_found(&place, &found).await
    }

    async fn start_reader(
        &self,
        session: &Arc<dyn Session>,
        stream: usize,
        split: &Split,
        at: Option<&Position>,
    ) -> Result<Box<dyn Reader>> {
        let reader = session.open(&self.stream(stream)?.read, split, at).await?;
        Ok(match &self.cx {
            Some(cx) => Box::new(Prefetch::start(reader, cx)),
            None => reader,
        })
    }

    /// Opens the next split while the last one is being committed. If it cannot be opened, it is
    /// opened again when it is its turn, and the reason shows then.
    async fn warm_up(&self, next: Option<(usize, Split)>) -> Option<Warm> {
        let (stream, split) = next?;
        let session = self.session().ok()?;
        let reader = self.start_reader(&session, stream, &split, None).await.ok()?;
        Some(Warm { stream, split: split.id, session, reader })
    }

    async fn read(&self, state: &mut LaneState) -> Result<Answer> {
        // The last batch gives its memory back before the next one is waited for.
        state.held = Held::default();
        let mut batch = match state.reader()?.next().await? {
            Next::Batch(batch) => batch,
            Next::Idle(position) => return Ok(Answer::Idle(position)),
            Next::End => return Ok(Answer::End),
        };
        self.limits.pass(batch.rows.num_rows() as u64, batch.bytes).await;
        let split = state.split()?;
        let (stream, sift, place) = (self.stream(split.stream)?, self.sift(split.stream), split.place());
        let mut unread = std::mem::take(&mut batch.rejects);
        let mut failed = vec![];
        if !stream.chain.is_empty() {
            let empty = RecordBatch::new_empty(batch.rows.schema());
            let whole = std::mem::replace(&mut batch.rows, empty);
            let input = match sift {
                Some(sift) => sift.for_chain(&whole)?,
                None => whole.clone(),
            };
            let mut applied = stream.chain.apply(input.clone())?;
            if let Some(sift) = sift {
                sift.sift(&place, &whole, &mut applied, &mut unread)?;
            }
            batch.rows = applied.rows;
            for reject in applied.rejects {
                let payload = stream.chain.letter(&input, reject.row as usize)?;
                failed.push((reject, payload));
            }
        }
        let mut first = None;
        for (reject, payload) in unread.into_iter().map(|reject| (reject, Value::Null)).chain(failed) {
            first.get_or_insert_with(|| reject.error.clone());
            state.held.before.push(letter(stream, reject, payload));
        }
        let answer = Answer::Batch {
            rows: u32::try_from(batch.rows.num_rows()).map_err(|_| broken("a batch has too many rows"))?,
            bytes: batch.bytes,
            position: batch.position.clone(),
            rejected: first.map(|error| self.failure(error)),
        };
        state.held.batch = Some(batch);
        Ok(answer)
    }

    async fn write(&self, state: &mut LaneState, part: Option<Range<u32>>) -> Result<Answer> {
        let batch = state.held.batch.as_ref().ok_or_else(|| broken("no batch is held"))?;
        let rows = u32::try_from(batch.rows.num_rows()).map_err(|_| broken("a batch has too many rows"))?;
        state.held.part = part.clone().unwrap_or(0..rows);
        let sliced;
        let batch = match part {
            None => batch,
            Some(part) => {
                sliced = part_of(batch, batch.rows.slice(part.start as usize, part.len()));
                &sliced
            }
        };
        let (split, target) = (state.split.as_ref(), &self.stream(state.split()?.stream)?.target);
        let split = split.ok_or_else(|| broken("no split is open"))?.id;
        let writer = state.writer.as_mut().ok_or_else(|| broken("the lane has no writer"))?;
        let result = writer.write(target, split, batch).await;
        let outcomes = state.held.suspect(result)?;
        let start = state.held.part.start;
        Ok(self.outcomes(state, outcomes, |row| start + row))
    }

    /// Sends the rows again that the target wanted again, in their order.
    async fn write_again(&self, state: &mut LaneState) -> Result<Answer> {
        let rows = std::mem::take(&mut state.held.again);
        let batch = state.held.batch.as_ref().ok_or_else(|| broken("no batch is held"))?;
        let picked = pick(&batch.rows, &rows)?;
        let picked = part_of(batch, picked);
        let (split, target) = (state.split()?.id, &self.stream(state.split()?.stream)?.target);
        let writer = state.writer.as_mut().ok_or_else(|| broken("the lane has no writer"))?;
        let result = writer.write(target, split, &picked).await;
        let outcomes = state.held.suspect(result)?;
        Ok(self.outcomes(state, outcomes, |row| rows.get(row as usize).copied().unwrap_or(row)))
    }

    /// Sorts what the target said of single rows; `place` is a row's place in the whole batch.
    fn outcomes(&self, state: &mut LaneState, outcomes: Vec<Outcome>, place: impl Fn(u32) -> u32) -> Answer {
        let mut first = None;
        let mut millis = 0;
        for outcome in outcomes {
            match outcome {
                Outcome::Reject(reject) => {
                    first.get_or_insert_with(|| reject.error.clone());
                    state.held.refused.insert(place(reject.row), reject.error);
                }
                Outcome::Again { row, after_millis } => {
                    millis = millis.max(after_millis);
                    state.held.again.push(place(row));
                }
            }
        }
        let again = (!state.held.again.is_empty()).then(|| {
            let error = Error::new(&syncline_types::codes::SERVER_BUSY, "write rows to", &self.to)
                .because(format!("it keeps putting off {} rows", state.held.again.len()));
            (millis, self.failure(error))
        });
        Answer::Written { refused: first.map(|error| self.failure(error)), again }
    }

    async fn save_letters(&self, state: &mut LaneState, found: Vec<u32>) -> Result<Answer> {
        let split = state.split()?;
        let stream = self.stream(split.stream)?;
        let place = self.place(split.stream, split.id, split.began_at.clone())?;
        let held = &mut state.held;
        for row in found {
            let error = held.suspected(row).ok_or_else(|| broken("a row was found without an error"))?;
            held.refused.insert(row, error);
        }
        let mut letters = std::mem::take(&mut held.before);
        let before = letters.len();
        if let Some(batch) = &held.batch {
            for (row, error) in &held.refused {
                let payload = row_json(&batch.rows, stream.chain.output(), *row as usize)?;
                let reject = Reject { row: *row, place: None, error: error.clone() };
                letters.push(letter(stream, reject, payload));
            }
        }
        self.store.save_letters(&place, &letters).await?;
        let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
        Ok(Answer::Lettered { before: count(before), refused: count(held.refused.len()) })
    }
}

impl LaneState {
    fn reader(&mut self) -> Result<&mut Box<dyn Reader>> {
        self.reader.as_mut().ok_or_else(|| broken("the lane has no reader"))
    }

    fn writer(&mut self) -> Result<&mut Box<dyn Writer>> {
        self.writer.as_mut().ok_or_else(|| broken("the lane has no writer"))
    }

    fn split(&self) -> Result<&OpenSplit> {
        self.split.as_ref().ok_or_else(|| broken("no split is open"))
    }

    fn close_reader(&mut self) {
        self.reader = None;
        self.split = None;
        self.held = Held::default();
    }
}

impl Held {
    /// Remembers an error that speaks of some row of the part written last.
    fn suspect<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.kind() == ErrorKind::Value
        {
            self.suspects.push((self.part.clone(), error.clone()));
        }
        result
    }

    /// The latest error that can only have meant this row.
    fn suspected(&self, row: u32) -> Option<Error> {
        self.suspects
            .iter()
            .rev()
            .find(|(part, error)| match error.row() {
                Some(at) => part.start + at == row,
                None => *part == (row..row + 1),
            })
            .map(|(_, error)| error.clone())
    }
}

/// A batch of some rows of another; it has no position of its own, and no memory to give back.
fn part_of(batch: &Batch, rows: RecordBatch) -> Batch {
    let share = rows.num_rows() as u64 * batch.bytes / (batch.rows.num_rows() as u64).max(1);
    Batch { rows, bytes: share, position: None, rejects: vec![], memory: None }
}

fn pick(rows: &RecordBatch, wanted: &[u32]) -> Result<RecordBatch> {
    let indexes = UInt32Array::from(wanted.to_vec());
    arrow_select::take::take_record_batch(rows, &indexes).map_err(|error| broken(&error.to_string()))
}

fn letter(stream: &StreamWork, reject: Reject, payload: Value) -> NewLetter {
    NewLetter {
        source: stream.target.source.to_string(),
        row: reject.place,
        code: reject.error.code().to_string(),
        reason: reject.error.sentence(),
        payload,
    }
}
