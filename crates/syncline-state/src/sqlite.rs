//! The embedded store: one SQLite file, written through before a call returns.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::{Serialize, de::DeserializeOwned};
use syncline_connect::{ProgressDelta, ProgressRow};
use syncline_types::{Error, Extent, Position, Result, Split, SplitId, codes};

use crate::{
    Letter, LetterPlace, NewLetter, NewRun, NewStream, RunSummary, SavedRun, SavedSplit, SavedStream, Store,
    StreamPhase,
};

const SCHEMA: &str = include_str!("schema.sql");
/// From version 1 to 2.
const TO_2: &str = include_str!("to_2.sql");
const SCHEMA_VERSION: i64 = 2;

/// How long to wait for another process (`status` reads while a run writes).
const BUSY: Duration = Duration::from_secs(10);

/// Between two attempts where SQLite does not wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// State in an SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

type SqlResult<T> = std::result::Result<T, rusqlite::Error>;

impl SqliteStore {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |error: rusqlite::Error| failure(path, "open", &error);
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        keep_write_ahead_log(&connection).map_err(failed)?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").map_err(failed)?;
        let version = migrate(&mut connection).map_err(failed)?;
        if version > SCHEMA_VERSION {
            return Err(Error::new(&codes::STATE_FAILED, "open the state in", path.display())
                .because("a newer version of Syncline has written it")
                .hint("Use that version, or another directory with --state DIR"));
        }
        Ok(SqliteStore { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)) })
    }

    /// Says anew why a dead letter's row could not go on.
    ///
    /// # Errors
    /// [`codes::STATE_FAILED`].
    pub async fn renew_letter(
        &self,
        id: i64,
        code: &str,
        reason: &str,
        payload: serde_json::Value,
    ) -> Result<()> {
        let (code, reason) = (code.to_owned(), reason.to_owned());
        self.transact("renew a dead letter in", move |transaction| {
            transaction.execute(
                "UPDATE dead_letter SET code = ?2, reason = ?3, payload = ?4, at = datetime('now') WHERE id = ?1",
                params![id, code, reason, payload.to_string()],
            )?;
            Ok(())
        })
        .await
    }

    /// Runs one transaction on a thread that may block.
    async fn transact<T, F>(&self, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> SqlResult<T> + Send + 'static,
    {
        let (path, connection) = (self.path.clone(), Arc::clone(&self.connection));
        let task = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let run = |connection: &mut Connection| {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            };
            run(&mut connection).map_err(|error| failure(&path, operation, &error))
        });
        task.await.unwrap_or_else(|_| {
            Err(Error::new(&codes::BROKEN_INVARIANT, operation, "the state")
                .because("the thread doing it panicked"))
        })
    }
}

/// Of two processes that meet in a fresh file, one is told that it is busy: SQLite does not wait where
/// each could be waiting for the other.
fn keep_write_ahead_log(connection: &Connection) -> SqlResult<()> {
    let began = Instant::now();
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && began.elapsed() < BUSY =>
            {
                thread::sleep(BUSY_PAUSE);
            }
            result => return result,
        }
    }
}

/// Creates the tables in an empty file, and brings those of an older version up to date. Returns the
/// version found or made.
fn migrate(connection: &mut Connection) -> SqlResult<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => transaction.execute_batch(SCHEMA)?,
        1 => transaction.execute_batch(TO_2)?,
        version => return Ok(version),
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(SCHEMA_VERSION)
}

fn failure(path: &Path, operation: &str, error: &rusqlite::Error) -> Error {
    let hint = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "Make room on that disk; the run goes on from here afterwards",
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            "The file is damaged or not Syncline's: move it away, and begin again with --restart"
        }
        _ => "Check the directory, or name another with --state DIR",
    };
    let reason = match error {
        rusqlite::Error::SqliteFailure(code, _) => code.to_string(),
        other => other.to_string(),
    };
    Error::new(&codes::STATE_FAILED, format!("{operation} the state in"), path.display())
        .because(reason)
        .hint(hint)
}

/// Texts in the file are JSON of types that always serialise.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a saved type serialises")
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> SqlResult<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn save_progress(transaction: &Transaction<'_>, run: &str, delta: &ProgressDelta) -> SqlResult<()> {
    let changed = transaction
        .prepare_cached("UPDATE split SET progress = ?4 WHERE run = ?1 AND stream = ?2 AND split = ?3")?
        .execute(params![run, delta.stream, delta.split.0, json(&delta.row)])?;
    if changed == 1 { touch(transaction, run) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}

fn save_phase(transaction: &Transaction<'_>, run: &str, stream: u32, phase: StreamPhase) -> SqlResult<()> {
    transaction.execute(
        "UPDATE stream SET phase = ?3 WHERE run = ?1 AND stream = ?2",
        params![run, stream, phase.name()],
    )?;
    Ok(())
}

fn touch(transaction: &Transaction<'_>, run: &str) -> SqlResult<()> {
    transaction.prepare_cached("UPDATE run SET updated = datetime('now') WHERE run = ?1")?.execute([run])?;
    Ok(())
}

fn load_run(transaction: &Transaction<'_>, pipeline: &str) -> SqlResult<Option<SavedRun>> {
    let run = transaction
        .query_row(
            "SELECT run, epoch, fingerprint, finished FROM run WHERE pipeline = ?1",
            [pipeline],
            |row| {
                Ok(SavedRun {
                    run: row.get(0)?,
                    epoch: row.get(1)?,
                    fingerprint: row.get(2)?,
                    finished: row.get(3)?,
                    streams: vec![],
                })
            },
        )
        .optional()?;
    let Some(mut run) = run else { return Ok(None) };
    run.streams = transaction
        .prepare("SELECT phase, planned, window FROM stream WHERE run = ?1 ORDER BY stream")?
        .query_map([&run.run], |row| {
            let phase: String = row.get(0)?;
            let phase = StreamPhase::from_name(&phase).ok_or(rusqlite::Error::InvalidQuery)?;
            Ok(SavedStream { phase, planned: row.get(1)?, window: row.get(2)?, splits: vec![] })
        })?
        .collect::<SqlResult<_>>()?;
    let mut statement = transaction.prepare(
        "SELECT stream, split, extent, rows_estimate, progress FROM split WHERE run = ?1 ORDER BY stream, split",
    )?;
    let mut rows = statement.query([&run.run])?;
    while let Some(row) = rows.next()? {
        let stream: usize = row.get(0)?;
        let extent: Extent = from_json(row, 2)?;
        let split = Split { id: SplitId(row.get(1)?), extent, rows_estimate: row.get(3)? };
        let progress: Option<String> = row.get(4)?;
        let saved: Option<ProgressRow> = match progress {
            Some(_) => Some(from_json(row, 4)?),
            None => None,
        };
        run.streams
            .get_mut(stream)
            .ok_or(rusqlite::Error::InvalidQuery)?
            .splits
            .push(SavedSplit { split, row: saved });
    }
    Ok(Some(run))
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, pipeline: &str) -> Result<Option<SavedRun>> {
        let pipeline = pipeline.to_owned();
        self.transact("read", move |transaction| load_run(transaction, &pipeline)).await
    }

    async fn create(&self, run: &NewRun) -> Result<()> {
        let run = run.clone();
        self.transact("save a run in", move |transaction| {
            transaction.execute("DELETE FROM run WHERE pipeline = ?1", [&run.pipeline])?;
            transaction.execute(
                "INSERT INTO run (pipeline, run, epoch, fingerprint, from_url, to_url) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![run.pipeline, run.run, run.epoch, run.fingerprint, run.from, run.to],
            )?;
            for (number, stream) in run.streams.iter().enumerate() {
                transaction.execute(
                    "INSERT INTO stream (run, stream, source, target, rows_estimate, window) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![run.run, number, stream.source, stream.target, stream.rows_estimate, stream.window],
                )?;
            }
            Ok(())
        })
        .await
    }

    async fn resume(&self, run: &str, epoch: u64, deltas: &[ProgressDelta], published: &[u32]) -> Result<()> {
        let (run, deltas, published) = (run.to_owned(), deltas.to_vec(), published.to_vec());
        self.transact("save progress in", move |transaction| {
            transaction.execute("UPDATE run SET epoch = ?2 WHERE run = ?1", params![run, epoch])?;
            published
                .iter()
                .try_for_each(|stream| save_phase(transaction, &run, *stream, StreamPhase::Published))?;
            deltas.iter().try_for_each(|delta| save_progress(transaction, &run, delta))
        })
        .await
    }

    async fn finish(&self, run: &str) -> Result<()> {
        let run = run.to_owned();
        self.transact("finish a run in", move |transaction| {
            transaction.execute("UPDATE run SET finished = 1 WHERE run = ?1", [&run])?;
            touch(transaction, &run)
        })
        .await
    }

    async fn save_split(&self, run: &str, stream: u32, split: &Split) -> Result<()> {
        let (run, split) = (run.to_owned(), split.clone());
        self.transact("save a split in", move |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO split (run, stream, split, extent, rows_estimate) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![run, stream, split.id.0, json(&split.extent), split.rows_estimate])?;
            Ok(())
        })
        .await
    }

    async fn save_planned(&self, run: &str, stream: u32) -> Result<()> {
        let run = run.to_owned();
        self.transact("save a stream in", move |transaction| {
            transaction.execute(
                "UPDATE stream SET planned = 1 WHERE run = ?1 AND stream = ?2",
                params![run, stream],
            )?;
            Ok(())
        })
        .await
    }

    async fn save_phase(&self, run: &str, stream: u32, phase: StreamPhase) -> Result<()> {
        let run = run.to_owned();
        self.transact("save a stream in", move |transaction| {
            save_phase(transaction, &run, stream, phase)?;
            touch(transaction, &run)
        })
        .await
    }

    async fn reset_stream(&self, run: &str, stream: u32) -> Result<()> {
        let run = run.to_owned();
        self.transact("reset a stream in", move |transaction| {
            let place = params![run, stream];
            transaction.execute("DELETE FROM split WHERE run = ?1 AND stream = ?2", place)?;
            transaction.execute("DELETE FROM seen WHERE run = ?1 AND stream = ?2", place)?;
            transaction.execute("DELETE FROM dead_letter WHERE run = ?1 AND stream = ?2", place)?;
            transaction.execute(
                "UPDATE stream SET planned = 0, phase = 'copying' WHERE run = ?1 AND stream = ?2",
                place,
            )?;
            Ok(())
        })
        .await
    }

    async fn save_progress(&self, run: &str, delta: &ProgressDelta) -> Result<()> {
        let (run, delta) = (run.to_owned(), delta.clone());
        self.transact("save progress in", move |transaction| save_progress(transaction, &run, &delta)).await
    }

    async fn save_letters(&self, place: &LetterPlace, letters: &[NewLetter]) -> Result<()> {
        let (place, letters) = (place.clone(), letters.to_vec());
        self.transact("save dead letters in", move |transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO dead_letter (pipeline, run, stream, split, began_at, source, row, code, reason, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            for letter in &letters {
                statement.execute(params![
                    place.pipeline,
                    place.run,
                    place.stream,
                    place.split.0,
                    place.at.as_ref().map(|at| &at.0),
                    letter.source,
                    letter.row,
                    letter.code,
                    letter.reason,
                    letter.payload.to_string(),
                ])?;
            }
            Ok(())
        })
        .await
    }

    async fn forget_letters(&self, place: &LetterPlace) -> Result<()> {
        let place = place.clone();
        self.transact("forget dead letters in", move |transaction| {
            transaction
                .prepare_cached(
                    "DELETE FROM dead_letter
                     WHERE pipeline = ?1 AND run = ?2 AND stream = ?3 AND split = ?4 AND began_at IS ?5",
                )?
                .execute(params![
                    place.pipeline,
                    place.run,
                    place.stream,
                    place.split.0,
                    place.at.as_ref().map(|at| &at.0)
                ])?;
            Ok(())
        })
        .await
    }

    async fn save_found(&self, place: &LetterPlace, found: &str) -> Result<()> {
        let (place, found) = (place.clone(), found.to_owned());
        self.transact("save what was found in", move |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO seen (run, stream, split, began_at, found) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET found = excluded.found",
                )?
                .execute(params![
                    place.run,
                    place.stream,
                    place.split.0,
                    began_at(place.at.as_ref()),
                    found
                ])?;
            Ok(())
        })
        .await
    }

    async fn found(&self, run: &str, stream: u32) -> Result<Vec<(SplitId, Option<Position>, String)>> {
        let run = run.to_owned();
        self.transact("read", move |transaction| {
            transaction
                .prepare("SELECT split, began_at, found FROM seen WHERE run = ?1 AND stream = ?2")?
                .query_map(params![run, stream], |row| {
                    let at: String = row.get(1)?;
                    let at = at.strip_prefix(AT).map(|at| Position(at.to_owned()));
                    Ok((SplitId(row.get(0)?), at, row.get(2)?))
                })?
                .collect()
        })
        .await
    }

    async fn marks(&self, pipeline: &str) -> Result<BTreeMap<String, String>> {
        let pipeline = pipeline.to_owned();
        self.transact("read the marks in", move |transaction| marks(transaction, &pipeline)).await
    }

    async fn save_mark(&self, pipeline: &str, source: &str, mark: Option<&str>) -> Result<()> {
        let (pipeline, source, mark) = (pipeline.to_owned(), source.to_owned(), mark.map(str::to_owned));
        self.transact("save a mark in", move |transaction| {
            match mark {
                Some(mark) => transaction.execute(
                    "INSERT INTO mark (pipeline, source, mark) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET mark = excluded.mark",
                    params![pipeline, source, mark],
                )?,
                None => transaction.execute(
                    "DELETE FROM mark WHERE pipeline = ?1 AND source = ?2",
                    params![pipeline, source],
                )?,
            };
            Ok(())
        })
        .await
    }

    async fn summaries(&self) -> Result<Vec<RunSummary>> {
        self.transact("read", summaries).await
    }

    async fn letters(&self, pipeline: &str, id: Option<i64>) -> Result<Vec<Letter>> {
        let pipeline = pipeline.to_owned();
        self.transact("read dead letters in", move |transaction| {
            transaction
                .prepare(
                    "SELECT id, pipeline, run, source, row, code, reason, payload, at FROM dead_letter
                     WHERE pipeline = ?1 AND (?2 IS NULL OR id = ?2) ORDER BY id",
                )?
                .query_map(params![pipeline, id], |row| {
                    Ok(Letter {
                        id: row.get(0)?,
                        pipeline: row.get(1)?,
                        run: row.get(2)?,
                        stream: row.get(3)?,
                        row: row.get(4)?,
                        code: row.get(5)?,
                        reason: row.get(6)?,
                        payload: from_json(row, 7)?,
                        at: row.get(8)?,
                    })
                })?
                .collect()
        })
        .await
    }

    async fn drop_letters(&self, pipeline: &str, id: Option<i64>) -> Result<u64> {
        let pipeline = pipeline.to_owned();
        self.transact("drop dead letters in", move |transaction| {
            let count = transaction.execute(
                "DELETE FROM dead_letter WHERE pipeline = ?1 AND (?2 IS NULL OR id = ?2)",
                params![pipeline, id],
            )?;
            Ok(count as u64)
        })
        .await
    }
}

/// What begins the text of a position: a place at the beginning of a split has the empty one.
const AT: &str = "at ";

fn began_at(at: Option<&Position>) -> String {
    at.map_or_else(String::new, |at| format!("{AT}{}", at.0))
}

fn marks(transaction: &Transaction<'_>, pipeline: &str) -> SqlResult<BTreeMap<String, String>> {
    transaction
        .prepare("SELECT source, mark FROM mark WHERE pipeline = ?1")?
        .query_map([pipeline], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn summaries(transaction: &Transaction<'_>) -> SqlResult<Vec<RunSummary>> {
    let heads: Vec<(String, String, String, String, String)> = transaction
        .prepare("SELECT pipeline, from_url, to_url, started, updated FROM run ORDER BY pipeline")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<SqlResult<_>>()?;
    let mut all = vec![];
    for (pipeline, from, to, started, updated) in heads {
        let Some(run) = load_run(transaction, &pipeline)? else { continue };
        let streams = transaction
            .prepare(
                "SELECT source, target, rows_estimate, window FROM stream WHERE run = ?1 ORDER BY stream",
            )?
            .query_map([&run.run], |row| {
                let (source, target, rows_estimate) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(NewStream { source, target, rows_estimate, window: row.get(3)? })
            })?
            .collect::<SqlResult<_>>()?;
        let letters = transaction.query_row(
            "SELECT count(*) FROM dead_letter WHERE pipeline = ?1",
            [&pipeline],
            |row| row.get(0),
        )?;
        let marks = marks(transaction, &pipeline)?;
        all.push(RunSummary { pipeline, from, to, started, updated, streams, run, letters, marks });
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
