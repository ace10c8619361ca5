//! A pipeline from the command line.
//!
//! Its id finds an unfinished run again when the same command is given, so it must come out the
//! same in every version and on every machine: it is made of what the command means, in a form
//! that belongs to this file alone, and a test holds some ids fast.

use std::fmt::Write;

use serde_json::Value;
use syncline_connect::{Endpoint, Replace, Selection, WriteMode};
use syncline_types::{Error, Result, codes};

use crate::{
    connection::Connection,
    file::{Draft, End},
    model::{Deletes, Echoes, OnError, OverBudget, Pipeline, SchemaChanges, StreamChoice, Sync},
    place::Place,
    problem::Problem,
    secret::Secrets,
    settings::{Given, Settings, check_name},
    spec::{StreamSettings, StreamSpec},
    streams,
    url::is_connection,
};

/// What `copy`, `plan` and `verify` are given in place of a file. Texts are as the user wrote them,
/// passwords too, so it does not print itself.
#[derive(Clone, Default)]
pub struct CopyArgs {
    /// The source's URL.
    pub from: String,
    /// The target's URL.
    pub to: String,
    /// `SOURCE` or `SOURCE=TARGET`; a name with `.`, `=` or `*` in it stands in double quotes. None:
    /// every table of the default namespace.
    pub streams: Vec<String>,
    /// What happens to rows that are there.
    pub write: Option<WriteMode>,
    /// How it finds what to copy: `full` or `incremental`.
    pub sync: Option<String>,
    /// The column by which an incremental run finds what has come.
    pub cursor: Option<String>,
    /// Such as `10m`, or `100` for a cursor that counts.
    pub lookback: Option<String>,
    /// The columns that tell rows apart.
    pub key: Vec<String>,
    /// The columns that are copied.
    pub columns: Vec<String>,
    /// The condition on rows, `--where`.
    pub filter: Option<String>,
    /// How many splits at once.
    pub parallel: Option<u64>,
    /// About how many rows a split has.
    pub chunk_rows: Option<u64>,
    /// Such as `256MiB`.
    pub memory: Option<String>,
    /// Such as `90s`.
    pub idle_timeout: Option<String>,
    /// Such as `50000` or `50k/s`.
    pub limit_rows: Option<String>,
    /// Such as `50MB` or `50MB/s`.
    pub limit_bytes: Option<String>,
    /// What happens to a row that the target cannot take.
    pub on_error: Option<OnError>,
    /// Whether an empty source may replace a target that has rows.
    pub allow_empty: bool,
    /// What happens when a stream's columns change at the source while it is followed.
    pub schema_changes: Option<SchemaChanges>,
    /// After how long without progress a pipeline that follows says so, such as `90s`.
    pub stall_after: Option<String>,
    /// How much of its log the source may keep, such as `20GB`.
    pub log_budget: Option<String>,
    /// What happens when it has to keep more.
    pub over_budget: Option<OverBudget>,
    /// What happens to changes that have come through the target's database.
    pub echoes: Option<Echoes>,
    /// The pipeline's id, in place of one made from the rest.
    pub name: Option<String>,
    /// How an overwrite is published.
    pub replace: Option<Replace>,
    /// What happens to rows at the target that the source no longer has.
    pub deletes: Option<Deletes>,
}

impl CopyArgs {
    /// The pipeline that the arguments describe. It has no steps and so no mask key.
    ///
    /// # Errors
    /// [`codes::BAD_USAGE`], [`codes::BAD_VALUE`], [`codes::BAD_URL`] or [`codes::MISSING_SECRET`],
    /// naming the option.
    pub fn pipeline(&self, secrets: &dyn Secrets) -> Result<Pipeline> {
        let place = Place::CommandLine(String::new());
        if let Some(name) = &self.name {
            check_name(name).map_err(|problem| place.key("name").error(problem))?;
        }
        let (from, to) = (end(&self.from, &place.key("from"))?, end(&self.to, &place.key("to"))?);
        let settings = Settings::check(&self.settings(), &place)?;
        let draft = Draft {
            id: self.name.clone().unwrap_or_default(),
            from,
            to,
            lookback: self.lookback.clone(),
            streams: self.stream_choices(settings.sync, &place)?,
            settings,
        };
        let pipeline = draft.fill(None, secrets)?;
        let id = self.name.clone().unwrap_or_else(|| id(&pipeline));
        Ok(Pipeline { id, ..pipeline })
    }

    fn settings(&self) -> Given<'_> {
        Given {
            sync: self.sync.as_deref(),
            lookback: self.lookback.as_deref(),
            parallel: self.parallel,
            chunk_rows: self.chunk_rows,
            memory: self.memory.as_deref(),
            idle_timeout: self.idle_timeout.as_deref(),
            rows_per_second: self.limit_rows.as_deref(),
            bytes_per_second: self.limit_bytes.as_deref(),
            on_error: self.on_error,
            allow_empty: self.allow_empty,
            schema_changes: self.schema_changes,
            stall_after: self.stall_after.as_deref(),
            log_budget: self.log_budget.as_deref(),
            over_budget: self.over_budget,
            echoes: self.echoes,
        }
    }

    fn stream_choices(&self, sync: Sync, place: &Place<'_>) -> Result<Vec<StreamChoice>> {
        // An option that is not given is an empty list here, and no list in a file.
        let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let settings = StreamSettings {
            write: self.write,
            cursor: self.cursor.clone(),
            key: given(&self.key),
            columns: given(&self.columns),
            filter: self.filter.clone(),
            steps: None,
            replace: self.replace,
            deletes: self.deletes,
        };
        let streams = self
            .streams
            .iter()
            .map(|text| stream(text).map_err(|problem| place.key("streams").error(problem)))
            .collect::<Result<Vec<_>, Error>>()?;
        streams::choices((!streams.is_empty()).then_some(&streams), &settings, sync, place)
    }
}

fn end(text: &str, place: &Place<'_>) -> Result<End> {
    if !is_connection(text) {
        let problem = Problem::new(&codes::BAD_USAGE, "it is no connection")
            .hint("A connection begins with its scheme, such as `sqlite:shop.db` or `postgres://user@host/database`");
        return Err(place.error(problem));
    }
    Ok(End { name: None, connection: Connection::read(text, place, [], place)? })
}

/// `SOURCE` or `SOURCE=TARGET`, divided at the first `=` outside double quotes.
fn stream(text: &str) -> Result<StreamSpec, Problem> {
    let mut quoted = false;
    let divider = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '=' && !quoted
    });
    let Some((at, _)) = divider else { return Ok(text.to_owned().into()) };
    let (name, to) = (&text[..at], &text[at + 1..]);
    if to.is_empty() {
        let reason = format!("`{text}` names no target after the `=`");
        return Err(Problem::value(reason).hint("Leave the `=` out for the same name"));
    }
    Ok(StreamSpec { to: Some(to.to_owned()), ..name.to_owned().into() })
}

/// The id of a pipeline without a name: from and to without secrets, streams, sync, write, cursor, key
/// and where. How fast it runs is not part of it, so that a run may go on with another `--parallel`.
fn id(pipeline: &Pipeline) -> String {
    let mut text = Canonical::default();
    for endpoint in [&pipeline.from, &pipeline.to] {
        text.endpoint(endpoint);
    }
    text.field(
        "sync",
        match pipeline.sync {
            Sync::Full => "full",
            Sync::Incremental => "incremental",
            Sync::Follow => "follow",
        },
    );
    for choice in &pipeline.streams {
        text.stream(choice);
    }
    // Forty-eight bits, folded as FNV's authors advise: enough for the pipelines of one directory.
    let hash = fnv1a(text.0.as_bytes());
    format!("copy-{:012x}", (hash >> 48) ^ (hash & 0xffff_ffff_ffff))
}

/// A text that is equal for equal meanings and for no others: every field has its length.
#[derive(Default)]
struct Canonical(String);

impl Canonical {
    fn field(&mut self, name: &str, value: &str) {
        writeln!(self.0, "{name}:{}:{value}", value.len()).expect("writing to a String cannot fail");
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        self.field("scheme", &endpoint.scheme);
        let port = endpoint.port.map(|port| port.to_string());
        let parts =
            [("user", &endpoint.user), ("host", &endpoint.host), ("port", &port), ("path", &endpoint.path)];
        for (name, value) in parts {
            if let Some(value) = value {
                self.field(name, value);
            }
        }
        for (name, value) in endpoint.options.iter().filter(|(name, _)| !endpoint.hides(name)) {
            match value {
                Value::String(text) => self.field(&format!("option {name}"), text),
                other => self.field(&format!("option {name}"), &other.to_string()),
            }
        }
    }

    fn stream(&mut self, choice: &StreamChoice) {
        match &choice.selection {
            Selection::Default => self.field("all", ""),
            Selection::Name(name) => self.field("stream", &name.to_string()),
            Selection::Glob(pattern) => self.field("pattern", pattern),
        }
        if let Some(to) = &choice.to {
            self.field("to", &to.to_string());
        }
        let write = match choice.write {
            WriteMode::Overwrite => "overwrite",
            WriteMode::Append => "append",
            WriteMode::Merge => "merge",
        };
        self.field("write", write);
        if let Some(cursor) = &choice.cursor {
            self.field("cursor", cursor);
        }
        for column in &choice.key {
            self.field("key", column);
        }
        if let Some(filter) = &choice.filter {
            self.field("where", filter);
        }
        match choice.deletes {
            Deletes::Ignore => {}
            Deletes::Soft => self.field("deletes", "soft"),
            Deletes::Apply => self.field("deletes", "apply"),
            Deletes::Told => self.field("deletes", "told"),
        }
    }
}

/// FNV-1a, 64 bits: ten lines that cannot change under us, unlike a library's default hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
