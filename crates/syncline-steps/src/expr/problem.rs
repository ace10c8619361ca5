//! What is wrong with an expression, and where.

use sqlparser::tokenizer::Location;
use syncline_connect::nearest;
use syncline_types::{Code, Error, codes};

/// A mistake in an expression, found before any row is read.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: &'static Code,
    at: Option<Location>,
    reason: String,
    hint: Option<String>,
}

impl Problem {
    /// `reason` is a clause without a full stop.
    pub(crate) fn new(at: Option<Location>, reason: impl Into<String>) -> Self {
        Problem { code: &codes::BAD_EXPRESSION, at, reason: reason.into(), hint: None }
    }

    /// A name that no column has.
    pub(crate) fn unknown_column<'a>(
        at: Option<Location>,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let problem = Problem {
            code: &codes::UNKNOWN_COLUMN,
            ..Problem::new(at, format!("there is no column `{name}`"))
        };
        match nearest(name, known.iter().copied()) {
            Some(near) => problem.hint(format!("Did you mean `{near}`?")),
            None => problem.hint(format!("The columns are: {}", known.join(", "))),
        }
    }

    /// What the user can do, as a sentence without its full stop.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The hint with the nearest of the right names, if there is a near one.
    #[must_use]
    pub(crate) fn did_you_mean<'a>(self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, candidates) {
            Some(near) => self.hint(format!("Did you mean `{near}`?")),
            None => self,
        }
    }

    /// As the project's error; `object` names the step or option that holds the expression.
    pub(crate) fn into_error(self, object: &str) -> Error {
        let reason = match self.at {
            Some(Location { line, column }) => format!("line {line}, column {column}: {}", self.reason),
            None => self.reason,
        };
        let error = Error::new(self.code, "understand", object).because(reason);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
