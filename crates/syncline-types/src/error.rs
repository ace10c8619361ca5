//! The one error of the project.
//!
//! Code acts on [`ErrorKind`] and [`Retry`] only; people read the sentence: what was attempted, on
//! what, why it failed, what to do, and a code that never changes its meaning. A message never
//! holds a value from a row, so a driver's own text is only put in where it cannot.

use std::fmt;

/// `Result` with the project's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as code has to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The command line, the pipeline file or a URL is wrong: exit code 2.
    Config,
    /// The other system refused who we are.
    Auth,
    /// It knows us, and we may not do this.
    Permission,
    /// It cannot be reached, or the connection broke.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// A table, column, database or file does not exist.
    NotFound,
    /// Something is in the way: a lock, another run, a table of somebody else's.
    Conflict,
    /// The two schemas do not fit.
    Schema,
    /// One row's value cannot be carried: the row may be set aside.
    Value,
    /// The snapshot or log position to read from is gone.
    PositionLost,
    /// A newer run has taken over.
    Fenced,
    /// The connector cannot do this at all.
    Unsupported,
    /// Bytes that do not follow their own format.
    Corrupt,
    /// A disk or quota is full.
    Exhausted,
    /// The user asked us to stop.
    Interrupted,
    /// A broken invariant of ours.
    Internal,
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Not without somebody changing something.
    Never,
    /// Wait, with growing pauses, and try again.
    Backoff,
}

/// A class of failure with a number that is stable across versions. All are listed in [`crate::codes`].
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Printed as `SYN-nnnn`.
    pub number: u16,
    /// What code acts on.
    pub kind: ErrorKind,
    /// Whether the engine tries again.
    pub retry: Retry,
    /// One line for the list of codes in the documentation.
    pub title: &'static str,
    /// What to do where an error has no hint of its own: a sentence without its full stop.
    pub advice: &'static str,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SYN-{:04}", self.number)
    }
}

/// A failed operation on a named object, with its reason, its [`Code`] and what to do about it.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: &'static Code,
    operation: String,
    object: String,
    reason: String,
    hint: Option<String>,
    row: Option<u32>,
}

impl Error {
    /// `operation` completes "could not ..."; `object` names what it was done to and may be empty.
    pub fn new(code: &'static Code, operation: impl Into<String>, object: impl fmt::Display) -> Self {
        Error(Box::new(Inner {
            code,
            operation: operation.into(),
            object: object.to_string(),
            reason: String::new(),
            hint: None,
            row: None,
        }))
    }

    /// Why it failed, as a clause without a full stop.
    #[must_use]
    pub fn because(mut self, reason: impl fmt::Display) -> Self {
        self.0.reason = reason.to_string();
        self
    }

    /// What the user can do, as a sentence without its full stop.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.hint = Some(hint.to_string());
        self
    }

    /// The row of the batch at fault, where it is known.
    #[must_use]
    pub fn at_row(mut self, row: u32) -> Self {
        self.0.row = Some(row);
        self
    }

    /// The same, of a batch before which there were so many rows of another.
    #[must_use]
    pub fn further_on(self, rows: usize) -> Self {
        match self.0.row {
            Some(row) => self.at_row(row.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX))),
            None => self,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static Code {
        self.0.code
    }

    /// What code acts on.
    pub fn kind(&self) -> ErrorKind {
        self.0.code.kind
    }

    /// Whether the engine tries again.
    pub fn retry(&self) -> Retry {
        self.0.code.retry
    }

    /// The row of the batch at fault, where it is known.
    pub fn row(&self) -> Option<u32> {
        self.0.row
    }

    /// The reason alone, for a dead letter or a report that names operation and object itself.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The hint alone.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What the user can do: the hint, else what always helps against this code.
    pub fn advice(&self) -> &str {
        self.hint_text().unwrap_or(self.0.code.advice)
    }

    /// What was attempted, on what, and why it failed: the message without hint and code.
    pub fn sentence(&self) -> String {
        let inner = &self.0;
        let mut out = format!("could not {}", inner.operation);
        for (separator, part) in [(" ", &inner.object), (": ", &inner.reason)] {
            if !part.is_empty() {
                out.push_str(separator);
                out.push_str(part);
            }
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sentence())?;
        if let Some(hint) = &self.0.hint {
            write!(f, ". {hint}")?;
        }
        write!(f, " [{}]", self.0.code)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn a_message_names_operation_object_reason_hint_and_code() {
        let error = Error::new(&codes::PERMISSION_DENIED, "read table", "`shop.orders`")
            .because("permission denied")
            .hint("Grant SELECT on it to `x`");
        assert_eq!(
            error.to_string(),
            "could not read table `shop.orders`: permission denied. Grant SELECT on it to `x` [SYN-2003]"
        );
    }

    #[test]
    fn empty_parts_leave_no_gap() {
        let error = Error::new(&codes::BROKEN_INVARIANT, "go on", "");
        assert_eq!(error.to_string(), "could not go on [SYN-6001]");
    }
}
