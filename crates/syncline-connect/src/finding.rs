//! What a check found, for `plan` to show before anything is touched.

use serde::Serialize;
use syncline_types::{Error, StreamName};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It will work, and something is weaker or other than one may think.
    Warning,
    /// A run would fail: it is not begun.
    Blocker,
}

/// One thing that a check found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A sentence without its full stop.
    pub message: String,
    /// The error a run would end with; only on blockers.
    pub error: Option<Error>,
    /// The stream it is about, as the source calls it; `None` when it is about the connection.
    pub stream: Option<StreamName>,
}

impl Finding {
    /// Worth knowing.
    pub fn note(message: impl Into<String>) -> Self {
        Finding { severity: Severity::Note, message: message.into(), error: None, stream: None }
    }

    /// It will work, and something is weaker or other than one may think.
    pub fn warning(message: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, message: message.into(), error: None, stream: None }
    }

    /// A run would end with this error.
    pub fn blocker(error: Error) -> Self {
        Finding { severity: Severity::Blocker, message: error.to_string(), error: Some(error), stream: None }
    }

    /// Says which of the source's streams it is about.
    pub fn of(mut self, stream: &StreamName) -> Self {
        self.stream = Some(stream.clone());
        self
    }
}
