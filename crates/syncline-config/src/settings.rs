//! The numbers and names of a pipeline: defaults, bounds and the reasons for both.

use std::ops::RangeInclusive;

use syncline_types::{Error, codes};

use crate::{
    model::{Echoes, Following, Limits, OnError, OverBudget, STALL_SECONDS, SchemaChanges, Sync},
    place::Place,
    problem::Problem,
    size,
};

/// A pipeline's name is part of file names and of a column in the target.
pub const NAME_CHARS_MAX: usize = 64;

/// Enough to keep a source and a target busy that are next to each other.
const PARALLEL: u64 = 4;
/// Every lane holds a connection at both ends, and servers allow some hundred in all.
const PARALLEL_BOUNDS: RangeInclusive<u64> = 1..=64;
/// A second or so of work, which is what a crash costs.
const CHUNK_ROWS: u64 = 100_000;
/// One row a chunk is for tests; beyond ten million a lost chunk costs minutes.
const CHUNK_ROWS_BOUNDS: RangeInclusive<u64> = 1..=10_000_000;
/// Rows under way; the process itself needs about as much again.
const MEMORY_BYTES: u64 = 64 << 20;
/// Below, a batch of each lane no longer fits; above, it is a slip of the unit.
const MEMORY_BYTES_BOUNDS: RangeInclusive<u64> = (16 << 20)..=(1 << 40);
/// Longer than a busy server keeps a reader waiting for its next rows.
const IDLE_SECONDS: u64 = 60;
/// Above, a dead connection would hold a run for days.
const IDLE_SECONDS_BOUNDS: RangeInclusive<u64> = 1..=86_400;
/// Above, nobody would hear of a stall on the day that it began.
const STALL_SECONDS_BOUNDS: RangeInclusive<u64> = 1..=86_400;

/// What the user says about a pipeline as a whole, as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given<'a> {
    pub(crate) sync: Option<&'a str>,
    pub(crate) lookback: Option<&'a str>,
    pub(crate) parallel: Option<u64>,
    pub(crate) chunk_rows: Option<u64>,
    pub(crate) memory: Option<&'a str>,
    pub(crate) idle_timeout: Option<&'a str>,
    pub(crate) rows_per_second: Option<&'a str>,
    pub(crate) bytes_per_second: Option<&'a str>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) allow_empty: bool,
    pub(crate) schema_changes: Option<SchemaChanges>,
    pub(crate) stall_after: Option<&'a str>,
    pub(crate) log_budget: Option<&'a str>,
    pub(crate) over_budget: Option<OverBudget>,
    pub(crate) echoes: Option<Echoes>,
}

/// The same, checked and with defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) sync: Sync,
    pub(crate) parallel: usize,
    pub(crate) chunk_rows: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) idle_seconds: u64,
    pub(crate) limits: Limits,
    pub(crate) on_error: OnError,
    pub(crate) allow_empty: bool,
    pub(crate) follow: Following,
}

impl Settings {
    /// Checks what is given at `place`, whose keys have the file's names.
    pub(crate) fn check(given: &Given<'_>, place: &Place<'_>) -> Result<Settings, Error> {
        let sync = given.sync.map(|sync| sync_of(sync).map_err(|problem| place.key("sync").error(problem)));
        let sync = sync.transpose()?.unwrap_or_default();
        check_lookback(given.lookback, sync).map_err(|problem| place.key("lookback").error(problem))?;
        let text = |place: Place<'_>, text: Option<&str>, read: fn(&str) -> Result<u64, Problem>| {
            text.map(|text| read(text).map_err(|problem| place.error(problem))).transpose()
        };
        let bounded = |name: &str, value: u64, bounds: RangeInclusive<u64>| {
            within(value, &bounds).map_err(|problem| place.key(name).error(problem))
        };
        let parallel = bounded("parallel", given.parallel.unwrap_or(PARALLEL), PARALLEL_BOUNDS)?;
        let chunk_rows = bounded("chunk_rows", given.chunk_rows.unwrap_or(CHUNK_ROWS), CHUNK_ROWS_BOUNDS)?;
        let memory = text(place.key("memory"), given.memory, size::bytes)?;
        let idle = text(place.key("idle_timeout"), given.idle_timeout, size::seconds)?;
        let limits = place.key("limits");
        Ok(Settings {
            sync,
            parallel: usize::try_from(parallel).expect("the bounds fit"),
            chunk_rows,
            memory_bytes: bounded("memory", memory.unwrap_or(MEMORY_BYTES), MEMORY_BYTES_BOUNDS)?,
            idle_seconds: bounded("idle_timeout", idle.unwrap_or(IDLE_SECONDS), IDLE_SECONDS_BOUNDS)?,
            limits: Limits {
                rows_per_second: text(
                    limits.key("rows_per_second"),
                    given.rows_per_second,
                    size::rows_per_second,
                )?,
                bytes_per_second: text(
                    limits.key("bytes_per_second"),
                    given.bytes_per_second,
                    size::bytes_per_second,
                )?,
            },
            on_error: given.on_error.unwrap_or_default(),
            allow_empty: given.allow_empty,
            follow: following(given, sync, place)?,
        })
    }
}

/// How changes are followed, where they are.
fn following(given: &Given<'_>, sync: Sync, place: &Place<'_>) -> Result<Following, Error> {
    let said = [
        ("schema_changes", given.schema_changes.is_some()),
        ("stall_after", given.stall_after.is_some()),
        ("log_budget", given.log_budget.is_some()),
        ("over_budget", given.over_budget.is_some()),
        ("echoes", given.echoes.is_some()),
    ];
    if let Some((name, _)) = said.iter().find(|(_, said)| *said && sync != Sync::Follow) {
        let problem = Problem::value("it is about following changes, and this pipeline does not")
            .hint("Remove it, or write sync: follow (--sync follow)");
        return Err(place.key(name).error(problem));
    }
    if given.over_budget.is_some() && given.log_budget.is_none() {
        let problem = Problem::value("there is no budget that could be exceeded")
            .hint("Name one with --log-budget SIZE (log_budget: SIZE)");
        return Err(place.key("over_budget").error(problem));
    }
    let stall = place.key("stall_after");
    let stall_seconds = match given.stall_after {
        Some(text) => size::seconds(text)
            .and_then(|seconds| within(seconds, &STALL_SECONDS_BOUNDS))
            .map_err(|problem| stall.error(problem))?,
        None => STALL_SECONDS,
    };
    let budget = given.log_budget.map(size::bytes).transpose();
    Ok(Following {
        schema_changes: given.schema_changes.unwrap_or_default(),
        stall_seconds,
        log_budget_bytes: budget.map_err(|problem| place.key("log_budget").error(problem))?,
        over_budget: given.over_budget.unwrap_or_default(),
        echoes: given.echoes.unwrap_or_default(),
    })
}

fn within(value: u64, bounds: &RangeInclusive<u64>) -> Result<u64, Problem> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    Err(Problem::value(format!("{value} is not between {} and {}", bounds.start(), bounds.end())))
}

fn sync_of(sync: &str) -> Result<Sync, Problem> {
    match sync {
        "full" => Ok(Sync::Full),
        "incremental" => Ok(Sync::Incremental),
        "follow" => Ok(Sync::Follow),
        other => Err(Problem::value(format!("there is no `{other}`"))
            .did_you_mean(other, ["full", "incremental", "follow"])),
    }
}

/// What is wrong with a setting that only incremental runs have.
pub(crate) fn not_incremental(sync: Sync) -> Problem {
    Problem::value(match sync {
        Sync::Follow => "it belongs to incremental runs, and here every change is followed",
        Sync::Full | Sync::Incremental => "it belongs to incremental runs, and these are full copies",
    })
    .hint("Remove it, or make the runs incremental")
}

/// What it means depends on the cursor's type, which only the source knows.
fn check_lookback(lookback: Option<&str>, sync: Sync) -> Result<(), Problem> {
    let Some(lookback) = lookback else { return Ok(()) };
    if sync != Sync::Incremental {
        return Err(not_incremental(sync));
    }
    if lookback.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    Err(Problem::value(format!("`{lookback}` is nothing to look back by"))
        .hint("It looks like 30s, 10m, 2h or 1d for times, and like 100 for numbers"))
}

/// Whether a pipeline or a connection may be called so.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let problem = |reason: String| Err(Problem::new(&codes::BAD_VALUE, reason));
    if name.is_empty() {
        problem("the name is empty".to_owned())
    } else if name.len() > NAME_CHARS_MAX {
        problem(format!("the name has more than {NAME_CHARS_MAX} characters"))
    } else if !name.chars().all(ordinary) {
        problem("a name has only letters from a to z, digits, `_`, `-` and `.`".to_owned())
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        problem("a name begins with a letter or a digit".to_owned())
    } else {
        Ok(())
    }
}
