//! Syncline's own tables in the file: how far each split is, who may write, and what we made.
//!
//! Each function is one step of a transaction that its caller has open.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use syncline_connect::{Marking, ProgressRow, RunRef, TargetProgress};
use syncline_sql::bookkeeping::{
    CHECKPOINT, MADE, MARK, NO_SPLIT, NO_STREAM, StreamMark, marking as marking_statements, read_mark,
    read_progress, write_mark, write_progress,
};
use syncline_types::{Error, Result, SplitId, codes};

use crate::{dialect::text_constant, error::Explain, origin, schema::Table};

const CREATE_CHECKPOINT: &str = "CREATE TABLE IF NOT EXISTS main._syncline_checkpoint (
    pipeline TEXT NOT NULL, run TEXT NOT NULL, stream INTEGER NOT NULL, split INTEGER NOT NULL,
    epoch INTEGER NOT NULL, position TEXT NOT NULL, PRIMARY KEY (pipeline, stream, split)) WITHOUT ROWID";

/// A table is ours as long as its statement is still the one we left.
const CREATE_MADE: &str = "CREATE TABLE IF NOT EXISTS main._syncline_made (
    name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, sql TEXT NOT NULL) WITHOUT ROWID";

/// How far incremental runs have come. Made with the first mark.
const CREATE_MARK: &str = "CREATE TABLE IF NOT EXISTS main._syncline_mark (
    pipeline TEXT NOT NULL, stream TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (pipeline, stream)) WITHOUT ROWID";

/// A position that nothing has been saved in yet.
const NOTHING: &str = "";

const SAVE: &str =
    "INSERT INTO main._syncline_checkpoint AS c (pipeline, run, stream, split, epoch, position)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (pipeline, stream, split) DO UPDATE SET
    run = excluded.run, epoch = excluded.epoch,
    position = CASE WHEN excluded.position = '' THEN c.position ELSE excluded.position END";

/// Creates the tables where they are not.
pub(crate) fn create(connection: &Connection) -> Result<()> {
    for sql in [CREATE_CHECKPOINT, CREATE_MADE] {
        connection.execute_batch(sql).explain("create", "Syncline's own tables")?;
    }
    origin::identify(connection)
}

/// Whether there is a table of ours.
pub(crate) fn exists(connection: &Connection, table: &str) -> Result<bool> {
    exists_at_all(connection, table).explain("look for", format!("`{table}`"))
}

fn exists_at_all(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT count(*) > 0 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1",
        [table],
        |row| row.get(0),
    )
}

fn checkpoint_failed<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.explain("keep progress in", format!("`{CHECKPOINT}`"))
}

fn epoch_of(connection: &Connection, pipeline: &str) -> Result<Option<u64>> {
    if !exists(connection, CHECKPOINT)? {
        return Ok(None);
    }
    let epoch = connection
        .query_row(
            "SELECT epoch FROM main._syncline_checkpoint WHERE pipeline = ?1 AND stream = ?2 AND split = ?3",
            params![pipeline, NO_STREAM, NO_SPLIT],
            |row| row.get(0),
        )
        .optional();
    checkpoint_failed(epoch)
}

/// Begins an epoch higher than any before.
pub(crate) fn take_epoch(connection: &Connection, pipeline: &str, epoch_min: u64) -> Result<u64> {
    let known = epoch_of(connection, pipeline)?.unwrap_or(0);
    let epoch = known.max(epoch_min).saturating_add(1);
    let saved = connection.execute(
        "INSERT INTO main._syncline_checkpoint (pipeline, run, stream, split, epoch, position)
         VALUES (?1, '', ?2, ?3, ?4, '') ON CONFLICT (pipeline, stream, split) DO UPDATE SET epoch = excluded.epoch",
        params![pipeline, NO_STREAM, NO_SPLIT, epoch],
    );
    checkpoint_failed(saved)?;
    Ok(epoch)
}

/// Fails unless this run's epoch is the present one. The transaction keeps it so until its end.
pub(crate) fn fence(connection: &Connection, run: &RunRef) -> Result<()> {
    match epoch_of(connection, &run.pipeline)? {
        Some(epoch) if epoch == run.epoch => Ok(()),
        _ => Err(fenced(&run.pipeline)),
    }
}

/// The error of a process that a newer one has replaced.
pub(crate) fn fenced(pipeline: &str) -> Error {
    Error::new(&codes::FENCED, "write for pipeline", format!("`{pipeline}`"))
        .because("a newer run has taken over, and this one may write no more")
}

/// Fails when a newer epoch than this has begun.
pub(crate) fn fence_newer(connection: &Connection, pipeline: &str, epoch: u64) -> Result<()> {
    match epoch_of(connection, pipeline)? {
        Some(newer) if newer > epoch => Err(fenced(pipeline)),
        _ => Ok(()),
    }
}

fn save(connection: &Connection, run: &RunRef, stream: i64, split: i64, position: &str) -> Result<()> {
    let saved = connection.prepare_cached(SAVE).and_then(|mut statement| {
        statement.execute(params![run.pipeline, run.run, stream, split, run.epoch, position])
    });
    checkpoint_failed(saved).map(drop)
}

/// Names the run in the pipeline's own row, so that it is known even before it has a stream.
pub(crate) fn name_run(connection: &Connection, run: &RunRef) -> Result<()> {
    save(connection, run, NO_STREAM.into(), NO_SPLIT, NOTHING)
}

/// The mark of a stream of this run.
pub(crate) fn mark(connection: &Connection, run: &RunRef, stream: u32) -> Result<Option<StreamMark>> {
    let position: Option<String> = checkpoint_failed(
        connection
            .query_row(
                "SELECT position FROM main._syncline_checkpoint
                 WHERE pipeline = ?1 AND stream = ?2 AND split = ?3 AND run = ?4",
                params![run.pipeline, stream, NO_SPLIT, run.run],
                |row| row.get(0),
            )
            .optional(),
    )?;
    position.as_deref().map(read_mark).transpose()
}

/// Saves a stream's mark.
pub(crate) fn save_mark(connection: &Connection, run: &RunRef, stream: u32, mark: StreamMark) -> Result<()> {
    save(connection, run, stream.into(), NO_SPLIT, &write_mark(mark))
}

/// The marks of a pipeline's streams.
pub(crate) fn marks(connection: &Connection, pipeline: &str) -> Result<BTreeMap<String, String>> {
    if !exists(connection, MARK)? {
        return Ok(BTreeMap::new());
    }
    let read = || {
        let mut statement =
            connection.prepare("SELECT stream, mark FROM main._syncline_mark WHERE pipeline = ?1")?;
        let rows = statement.query_map([pipeline], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()
    };
    read().explain("read the marks in", format!("`{MARK}`"))
}

/// Does to a stream's mark what publishing it asks for.
pub(crate) fn set_mark(
    connection: &Connection,
    run: &RunRef,
    stream: &str,
    marking: Marking<'_>,
) -> Result<()> {
    let set = || {
        match marking {
            Marking::Save(_) => connection.execute_batch(CREATE_MARK)?,
            _ if !exists_at_all(connection, MARK)? => return Ok(()),
            _ => {}
        }
        marking_statements("main._syncline_mark", &run.pipeline, stream, marking, text_constant)
            .iter()
            .try_for_each(|statement| connection.execute_batch(statement))
    };
    set().explain("keep a mark in", format!("`{MARK}`"))
}

/// Writes to a split's row without changing how far it is: the first change of its transaction.
pub(crate) fn touch(connection: &Connection, run: &RunRef, stream: u32, split: SplitId) -> Result<()> {
    save(connection, run, stream.into(), split.0.into(), NOTHING)
}

/// Saves how far a split is.
pub(crate) fn save_split(
    connection: &Connection,
    run: &RunRef,
    stream: u32,
    split: SplitId,
    row: &ProgressRow,
) -> Result<()> {
    save(connection, run, stream.into(), split.0.into(), &write_progress(row))
}

/// Everything known of a pipeline.
pub(crate) fn progress(connection: &Connection, pipeline: &str) -> Result<TargetProgress> {
    let mut progress = TargetProgress::default();
    if !exists(connection, CHECKPOINT)? {
        return Ok(progress);
    }
    let read = || {
        let mut statement = connection.prepare(
            "SELECT run, stream, split, epoch, position FROM main._syncline_checkpoint
             WHERE pipeline = ?1 ORDER BY stream, split",
        )?;
        let rows = statement.query_map([pipeline], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        rows.collect::<rusqlite::Result<Vec<(String, i64, i64, u64, String)>>>()
    };
    for (run, stream, split, epoch, position) in checkpoint_failed(read())? {
        if !run.is_empty() {
            progress.run = Some(run);
        }
        let Ok(stream) = u32::try_from(stream) else {
            progress.epoch = progress.epoch.max(epoch);
            continue;
        };
        match u32::try_from(split) {
            Ok(_) if position.is_empty() => {}
            Ok(split) => {
                progress.splits.insert((stream, SplitId(split)), read_progress(&position)?);
            }
            Err(_) => {
                if read_mark(&position)? == StreamMark::Published {
                    progress.published.push(stream);
                }
            }
        }
    }
    Ok(progress)
}

/// Forgets how far a stream's splits are.
pub(crate) fn forget_splits(connection: &Connection, run: &RunRef, stream: u32) -> Result<()> {
    let forgotten = connection.execute(
        "DELETE FROM main._syncline_checkpoint WHERE pipeline = ?1 AND stream = ?2 AND split <> ?3",
        params![run.pipeline, stream, NO_SPLIT],
    );
    checkpoint_failed(forgotten).map(drop)
}

/// The runs of a pipeline that have left something.
pub(crate) fn runs(connection: &Connection, pipeline: &str) -> Result<Vec<String>> {
    let read = || {
        let mut statement = connection.prepare(
            "SELECT DISTINCT run FROM main._syncline_checkpoint WHERE pipeline = ?1 AND run <> ''",
        )?;
        let runs = statement.query_map([pipeline], |row| row.get(0))?;
        runs.collect::<rusqlite::Result<Vec<String>>>()
    };
    checkpoint_failed(read())
}

/// Forgets a pipeline, and the table itself once nobody needs it.
pub(crate) fn forget(connection: &Connection, pipeline: &str) -> Result<()> {
    let forget = || {
        connection.execute("DELETE FROM main._syncline_checkpoint WHERE pipeline = ?1", [pipeline])?;
        let empty: bool = connection.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM main._syncline_checkpoint)",
            [],
            |row| row.get(0),
        )?;
        match empty {
            true => connection.execute_batch("DROP TABLE main._syncline_checkpoint"),
            false => Ok(()),
        }
    };
    checkpoint_failed(forget())
}

/// Whether a table is one that we made, and nobody has changed since.
pub(crate) fn made(connection: &Connection, table: &Table) -> Result<bool> {
    if !exists(connection, MADE)? {
        return Ok(false);
    }
    connection
        .query_row(
            "SELECT count(*) > 0 FROM main._syncline_made WHERE name = ?1 AND sql = ?2",
            [&table.name, &table.sql],
            |row| row.get(0),
        )
        .explain("look up who made", format!("`{}`", table.name))
}

/// Remembers that a table, as it is now, is ours. What is gone is forgotten.
pub(crate) fn record_made(connection: &Connection, table: &str) -> Result<()> {
    let record = || {
        connection.execute(
            "DELETE FROM main._syncline_made AS m WHERE NOT EXISTS (
               SELECT 1 FROM main.sqlite_schema s WHERE s.type = 'table' AND s.name = m.name COLLATE NOCASE)",
            [],
        )?;
        connection.execute(
            "INSERT INTO main._syncline_made (name, sql)
             SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE
             ON CONFLICT (name) DO UPDATE SET sql = excluded.sql",
            [table],
        )
    };
    record().explain("remember who made", format!("`{table}`")).map(drop)
}
