//! Where a problem is: in a pipeline file with line and column, or in an option of the command line.

use std::path::Path;

use serde::Deserialize;
use syncline_types::{Error, codes};

use crate::{
    de::{Fault, Segment, What},
    node::{Node, Spot},
    problem::Problem,
};

/// A YAML text that has been read, and what it is called in messages.
pub(crate) struct Document {
    name: String,
    root: Node,
}

/// A value in a document, or an option of the command line.
#[derive(Clone)]
pub(crate) enum Place<'a> {
    File {
        document: &'a Document,
        path: Vec<Segment>,
    },
    /// Empty for the command line as a whole.
    CommandLine(String),
}

impl Document {
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let name = path.display().to_string();
        match Node::parse(text) {
            Ok(root) => Ok(Document { name, root }),
            Err((spot, problem)) => Err(error_in(&name, spot, problem)),
        }
    }

    /// The whole as a type, with unknown and missing keys explained.
    pub(crate) fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, Error> {
        T::deserialize(&self.root).map_err(|fault| self.explain(fault))
    }

    pub(crate) fn root(&self) -> Place<'_> {
        Place::File { document: self, path: vec![] }
    }

    fn explain(&self, fault: Fault) -> Error {
        let path = fault.path();
        let about = describe(&path);
        let (spot, problem) = match fault.what {
            What::UnknownKey { key, known } => (fault.spot, unknown_key(&key, known, &about)),
            What::UnknownVariant { variant, known } => {
                let problem = Problem::value(format!("{about} cannot be `{variant}`"));
                (fault.spot, problem.did_you_mean(&variant, known.iter().copied()))
            }
            What::MissingKey(name) => {
                let (node, key) = self.find(&path);
                (Some(key.unwrap_or(node.spot)), Problem::value(format!("{about} has no `{name}`")))
            }
            What::NoValue => {
                let problem = Problem::value(format!("{about} has no value"));
                (self.find(&path).1.or(fault.spot), problem.hint("Give it one, or leave the key out"))
            }
            What::Other(reason) => (fault.spot, Problem::value(format!("{about}: {reason}"))),
        };
        error_in(&self.name, spot, problem)
    }

    /// The value at a path, or the innermost one on the way to it that is there, and the key above it.
    fn find(&self, path: &[Segment]) -> (&Node, Option<Spot>) {
        let mut found = (&self.root, None);
        for segment in path {
            let next = match segment {
                Segment::Key(name) => found.0.get(name).map(|(key, node)| (node, Some(key.spot))),
                Segment::Item(at) => found.0.item(*at).map(|node| (node, None)),
            };
            match next {
                Some(next) => found = next,
                None => break,
            }
        }
        found
    }
}

fn error_in(name: &str, spot: Option<Spot>, problem: Problem) -> Error {
    match spot {
        Some(spot) => problem.error("read", format_args!("{name}:{spot}")),
        None => problem.error("read", name),
    }
}

impl Place<'_> {
    /// The place of a key's value.
    pub(crate) fn key(&self, name: &str) -> Self {
        match self {
            Place::File { document, path } => {
                Place::File { document, path: with(path, Segment::Key(name.to_owned())) }
            }
            Place::CommandLine(group) if group.is_empty() => Place::CommandLine(option(name)),
            Place::CommandLine(_) => self.clone(),
        }
    }

    /// The place of a list's item.
    pub(crate) fn item(&self, at: usize) -> Self {
        match self {
            Place::File { document, path } => Place::File { document, path: with(path, Segment::Item(at)) },
            Place::CommandLine(_) => self.clone(),
        }
    }

    /// The line of the value.
    pub(crate) fn line(&self) -> Option<u64> {
        match self {
            Place::File { document, path } => Some(document.find(path).0.spot.line),
            Place::CommandLine(_) => None,
        }
    }

    /// `problem` with the value.
    pub(crate) fn error(&self, problem: Problem) -> Error {
        match self {
            Place::File { document, path } => {
                let about = describe(path);
                let reason = format!("{about}: {}", problem.reason);
                error_in(&document.name, Some(document.find(path).0.spot), Problem { reason, ..problem })
            }
            Place::CommandLine(name) => problem.error("use", format_args!("`{name}`")),
        }
    }

    /// `problem` with the key whose value this is.
    pub(crate) fn error_at_key(&self, problem: Problem) -> Error {
        match self {
            Place::File { document, path } => {
                let (node, key) = document.find(path);
                let reason = format!("{}: {}", describe(path), problem.reason);
                error_in(&document.name, Some(key.unwrap_or(node.spot)), Problem { reason, ..problem })
            }
            Place::CommandLine(_) => self.error(problem),
        }
    }

    /// What this place is called, to be remembered when the document is gone.
    pub(crate) fn remember(&self) -> Remembered {
        match self {
            Place::File { document, path } => Remembered {
                operation: "read",
                object: format!("{}:{}", document.name, document.find(path).0.spot),
                about: format!("{}: ", describe(path)),
            },
            Place::CommandLine(name) => {
                Remembered { operation: "use", object: format!("`{name}`"), about: String::new() }
            }
        }
    }
}

/// A place without its document: where something stands that is looked at only later.
#[derive(Clone)]
pub(crate) struct Remembered {
    operation: &'static str,
    object: String,
    about: String,
}

impl Remembered {
    pub(crate) fn error(&self, problem: Problem) -> Error {
        let reason = format!("{}{}", self.about, problem.reason);
        Problem { reason, ..problem }.error(self.operation, &self.object)
    }
}

fn with(path: &[Segment], segment: Segment) -> Vec<Segment> {
    path.iter().cloned().chain([segment]).collect()
}

/// The option of the command line that means the same as a key of the file.
fn option(key: &str) -> String {
    match key {
        "limits" => String::new(),
        "streams" => "--stream".to_owned(),
        "from" => "FROM".to_owned(),
        "to" => "TO".to_owned(),
        "rows_per_second" => "--limit-rows".to_owned(),
        "bytes_per_second" => "--limit-bytes".to_owned(),
        other => format!("--{}", other.replace('_', "-")),
    }
}

/// Keys that people know from elsewhere or from the plan of things to come.
const NOT_YET: &[(&str, &str)] = &[("schedule", "pipelines that start by themselves")];

fn unknown_key(key: &str, known: &[&str], about: &str) -> Problem {
    if let Some((_, of)) = NOT_YET.iter().find(|(name, _)| *name == key) {
        let reason = format!("`{key}` in {about} belongs to {of}, which this version does not have");
        return Problem::new(&codes::UNKNOWN_KEY, reason).hint("Remove it");
    }
    let reason = format!("unknown key `{key}` in {about}");
    Problem::new(&codes::UNKNOWN_KEY, reason).did_you_mean(key, known.iter().copied())
}

/// What people call the value at a path.
fn describe(path: &[Segment]) -> String {
    let Some((last, above)) = path.split_last() else { return "the file".to_owned() };
    let of = |name: String| match above {
        [] => name,
        _ => format!("{name} of {}", describe(above)),
    };
    match (last, above) {
        (Segment::Key(name), [Segment::Key(top)]) if top == "connections" => format!("connection `{name}`"),
        (Segment::Key(name), [Segment::Key(top)]) if top == "pipelines" => format!("pipeline `{name}`"),
        (Segment::Key(name), _) => of(format!("`{name}`")),
        (Segment::Item(at), [upper @ .., Segment::Key(list)]) => {
            let one = match list.as_str() {
                "streams" => "stream",
                "steps" => "step",
                _ => return of(format!("item {}", at + 1)),
            };
            format!("{one} {} of {}", at + 1, describe(upper))
        }
        (Segment::Item(at), _) => of(format!("item {}", at + 1)),
    }
}
