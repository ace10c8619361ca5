//! The pipeline file: read, checked as a whole, and its pipelines with their secrets filled in.
//!
//! Two stages, because the second needs what the first does not: a file is checked without any
//! `${...}` being there, and a run of one pipeline needs no secret of another.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use syncline_connect::{Endpoint, nearest};
use syncline_steps::StepSpec;
use syncline_types::{Error, Result, codes};

use crate::{
    connection::Connection,
    model::{Pipeline, StreamChoice},
    node::TEXT_BYTES_MAX,
    place::{Document, Place, Remembered},
    problem::Problem,
    row_schema,
    secret::{Secrets, Template},
    settings::{Given, Settings, check_name},
    spec::{FileSpec, LimitsSpec, PipelineSpec},
    streams,
    url::is_connection,
};

/// The environment variable with the key of masks, for files that do not say `mask_key`.
const MASK_KEY_VARIABLE: &str = "SYNCLINE_MASK_KEY";

/// A pipeline file that is right as far as can be told without its secrets.
#[derive(Clone)]
pub struct File {
    path: PathBuf,
    connections: Vec<(String, Connection)>,
    pipelines: Vec<Draft>,
    mask_key: Option<(Template, Remembered)>,
}

/// A pipeline whose endpoints are still to be filled in.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) lookback: Option<String>,
    pub(crate) streams: Vec<StreamChoice>,
    pub(crate) settings: Settings,
}

/// One end of a pipeline: the name of a connection in the file, or a connection of its own.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) name: Option<String>,
    pub(crate) connection: Connection,
}

impl File {
    /// Reads and checks a pipeline file.
    ///
    /// # Errors
    /// [`codes::BAD_FILE`], [`codes::UNKNOWN_KEY`], [`codes::BAD_VALUE`] or [`codes::BAD_URL`], with
    /// the line and column.
    pub fn read(path: &Path) -> Result<File> {
        let refused = |problem: Problem| problem.error("read", path.display());
        let bytes = read_bytes(path).map_err(|error| refused(unreadable(&error)))?;
        let text = String::from_utf8(bytes).map_err(|error| refused(not_text(&error)))?;
        File::parse(path, &text)
    }

    /// Checks the text of a pipeline file; `path` is for messages, and the schemas that it names are in
    /// its folder.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn parse(path: &Path, text: &str) -> Result<File> {
        let document = Document::parse(path, text)?;
        let mut spec: FileSpec = document.read()?;
        let root = document.root();
        row_schema::load_all(&mut spec, path.parent().unwrap_or(Path::new("")), &root)?;
        let connections = connections(&spec, &root.key("connections"))?;
        let pipelines = pipelines(&spec, &connections, &root.key("pipelines"))?;
        let mask_key =
            spec.mask_key.as_deref().map(|text| mask_key(text, &root.key("mask_key"))).transpose()?;
        Ok(File { path: path.to_owned(), connections, pipelines, mask_key })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its connections, in the file's order.
    pub fn connection_names(&self) -> impl Iterator<Item = &str> {
        self.connections.iter().map(|(name, _)| name.as_str())
    }

    /// The names of its pipelines, in the file's order.
    pub fn pipeline_names(&self) -> impl Iterator<Item = &str> {
        self.pipelines.iter().map(|pipeline| pipeline.id.as_str())
    }

    /// One of its connections, with secrets filled in.
    ///
    /// # Errors
    /// [`codes::BAD_USAGE`] when there is none of that name, [`codes::MISSING_SECRET`].
    pub fn endpoint(&self, name: &str, secrets: &dyn Secrets) -> Result<Endpoint> {
        match self.connections.iter().find(|(other, _)| other == name) {
            Some((_, connection)) => connection.endpoint(secrets),
            None => Err(self.no_such("connection", name, self.connection_names())),
        }
    }

    /// The pipelines of these names, or all, in the file's order and with secrets filled in.
    ///
    /// # Errors
    /// [`codes::BAD_USAGE`] for a name that is not there, [`codes::MISSING_SECRET`] for a `${...}`
    /// that holds nothing.
    pub fn pipelines(&self, names: &[String], secrets: &dyn Secrets) -> Result<Vec<Pipeline>> {
        for name in names {
            if !self.pipelines.iter().any(|pipeline| pipeline.id == *name) {
                return Err(self.no_such("pipeline", name, self.pipeline_names()));
            }
        }
        self.pipelines
            .iter()
            .filter(|pipeline| names.is_empty() || names.contains(&pipeline.id))
            .map(|pipeline| {
                let mask_key = if pipeline.masks() { self.fill_mask_key(secrets)? } else { None };
                pipeline.fill(mask_key, secrets)
            })
            .collect()
    }

    fn no_such<'a>(&'a self, what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
        Problem::new(&codes::BAD_USAGE, format!("{} has no {what} of that name", self.path.display()))
            .did_you_mean(name, known)
            .error(&format!("find {what}"), format_args!("`{name}`"))
    }

    fn fill_mask_key(&self, secrets: &dyn Secrets) -> Result<Option<SecretString>> {
        let missing =
            |reason: String| Problem::new(&codes::MISSING_SECRET, reason).error("read", "the mask key");
        match &self.mask_key {
            Some((template, at)) => {
                template.fill(secrets).map(|key| Some(key.into())).map_err(|problem| at.error(problem))
            }
            None => match secrets.variable(MASK_KEY_VARIABLE).map(std::ffi::OsString::into_string) {
                None => Ok(None),
                Some(Ok(key)) if !key.is_empty() => Ok(Some(key.into())),
                Some(Ok(_)) => {
                    Err(missing(format!("the environment variable `{MASK_KEY_VARIABLE}` is empty")))
                }
                Some(Err(_)) => {
                    Err(missing(format!("the environment variable `{MASK_KEY_VARIABLE}` is not UTF-8")))
                }
            },
        }
    }
}

/// Names only: a URL may hold a password.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("connections", &self.connection_names().collect::<Vec<_>>())
            .field("pipelines", &self.pipeline_names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Draft {
    fn masks(&self) -> bool {
        let mut steps = self.streams.iter().flat_map(|stream| &stream.steps);
        steps.any(|step| matches!(step, StepSpec::Mask(_)))
    }

    /// The pipeline, with its endpoints filled in.
    pub(crate) fn fill(&self, mask_key: Option<SecretString>, secrets: &dyn Secrets) -> Result<Pipeline> {
        let Settings {
            sync,
            parallel,
            chunk_rows,
            memory_bytes,
            idle_seconds,
            limits,
            on_error,
            allow_empty,
            follow,
        } = self.settings;
        Ok(Pipeline {
            id: self.id.clone(),
            from: self.from.connection.endpoint(secrets)?,
            to: self.to.connection.endpoint(secrets)?,
            from_name: self.from.name.clone(),
            to_name: self.to.name.clone(),
            sync,
            lookback: self.lookback.clone(),
            streams: self.streams.clone(),
            parallel,
            chunk_rows,
            memory_bytes,
            idle_seconds,
            limits,
            on_error,
            allow_empty,
            follow,
            mask_key,
        })
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    // One more than the limit, so that a longer file is noticed and not cut.
    fs::File::open(path)?.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(error: &io::Error) -> Problem {
    let problem = |reason: String| Problem::new(&codes::BAD_FILE, reason);
    match error.kind() {
        io::ErrorKind::NotFound => problem("there is no such file".to_owned())
            .hint("A connection would begin with its scheme, such as `sqlite:`"),
        io::ErrorKind::IsADirectory => problem("it is a folder".to_owned()),
        _ => problem(error.to_string()),
    }
}

fn not_text(error: &std::string::FromUtf8Error) -> Problem {
    let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    Problem::new(&codes::BAD_FILE, format!("line {line} is not UTF-8"))
}

fn connections(spec: &FileSpec, place: &Place<'_>) -> Result<Vec<(String, Connection)>> {
    let specs = spec.connections.as_ref().map_or(&[][..], |connections| &connections.0);
    specs
        .iter()
        .map(|(name, spec)| {
            let place = place.key(name);
            check_name(name).map_err(|problem| place.error_at_key(problem))?;
            let url_place = if spec.is_map { place.key("url") } else { place.clone() };
            let connection =
                Connection::read(&spec.url, &url_place, spec.options.clone(), &place.key("options"))?;
            Ok((name.clone(), connection))
        })
        .collect()
}

fn mask_key(text: &str, place: &Place<'_>) -> Result<(Template, Remembered)> {
    let template = Template::parse(text).map_err(|problem| place.error(problem))?;
    if template.literal() == Some("") {
        return Err(place.error(Problem::value("the key is empty")));
    }
    Ok((template, place.remember()))
}

fn pipelines(spec: &FileSpec, connections: &[(String, Connection)], place: &Place<'_>) -> Result<Vec<Draft>> {
    if spec.pipelines.0.is_empty() {
        return Err(place.error(Problem::value("there is no pipeline")));
    }
    let mut drafts: Vec<Draft> = vec![];
    for (name, spec) in &spec.pipelines.0 {
        let place = place.key(name);
        check_name(name).map_err(|problem| place.error_at_key(problem))?;
        // Names become file names, and some file systems know no upper case.
        if let Some(other) = drafts.iter().find(|other| other.id.eq_ignore_ascii_case(name)) {
            let reason = format!("its name differs from `{}` only in upper and lower case", other.id);
            return Err(place.error_at_key(Problem::value(reason)));
        }
        drafts.push(draft(name, spec, connections, &place)?);
    }
    Ok(drafts)
}

fn draft(
    name: &str,
    spec: &PipelineSpec,
    connections: &[(String, Connection)],
    place: &Place<'_>,
) -> Result<Draft> {
    let none = LimitsSpec::default();
    let limits = spec.limits.as_ref().unwrap_or(&none);
    let given = Given {
        sync: spec.sync.as_deref(),
        lookback: spec.lookback.as_deref(),
        parallel: spec.parallel,
        chunk_rows: spec.chunk_rows,
        memory: spec.memory.as_deref(),
        idle_timeout: spec.idle_timeout.as_deref(),
        rows_per_second: limits.rows_per_second.as_deref(),
        bytes_per_second: limits.bytes_per_second.as_deref(),
        on_error: spec.on_error,
        allow_empty: spec.allow_empty.unwrap_or_default(),
        schema_changes: spec.schema_changes,
        stall_after: spec.stall_after.as_deref(),
        log_budget: spec.log_budget.as_deref(),
        over_budget: spec.over_budget,
        echoes: spec.echoes,
    };
    let from = end(&spec.from, connections, &place.key("from"))?;
    let to = end(&spec.to, connections, &place.key("to"))?;
    let settings = Settings::check(&given, place)?;
    let streams = spec.streams.as_deref();
    Ok(Draft {
        id: name.to_owned(),
        from,
        to,
        lookback: spec.lookback.clone(),
        streams: streams::choices(streams, &spec.stream_settings(), settings.sync, place)?,
        settings,
    })
}

fn end(text: &str, connections: &[(String, Connection)], place: &Place<'_>) -> Result<End> {
    if is_connection(text) {
        return Ok(End { name: None, connection: Connection::read(text, place, [], place)? });
    }
    if let Some((name, connection)) = connections.iter().find(|(name, _)| name == text) {
        return Ok(End { name: Some(name.clone()), connection: connection.clone() });
    }
    if check_name(text).is_err() {
        // Not repeated: it may be a URL without its scheme, and hold a password.
        let problem = Problem::value("this is neither the name of a connection nor a URL");
        return Err(place.error(problem.hint("A URL begins with its scheme, such as `postgres://`")));
    }
    let problem = Problem::value(format!("there is no connection `{text}`"));
    let known = connections.iter().map(|(name, _)| name.as_str());
    Err(place.error(match nearest(text, known.clone()) {
        None if connections.is_empty() => problem.hint("Define it under `connections`, or write a URL"),
        _ => problem.did_you_mean(text, known),
    }))
}

#[cfg(test)]
mod refused;
#[cfg(test)]
pub(crate) mod tests;
