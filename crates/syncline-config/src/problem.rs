//! What is wrong, before it is known where: a code, a clause and perhaps a hint.
//!
//! Leaves return a [`Problem`]; whoever knows the place turns it into the project's error.

use std::fmt;

use syncline_connect::nearest;
use syncline_types::{Code, Error, codes};

/// More names than this are no help to anybody.
const NAMES_MAX: usize = 30;
/// A message repeats what the user wrote, and that may be a page.
const REASON_CHARS_MAX: usize = 500;

/// Something wrong, without its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static Code,
    /// A clause without a full stop. Holds no secret and nothing that may be part of one.
    pub(crate) reason: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: &'static Code, reason: impl Into<String>) -> Self {
        Problem { code, reason: reason.into(), hint: None }
    }

    /// Of the code that most problems have.
    pub(crate) fn value(reason: impl Into<String>) -> Self {
        Self::new(&codes::BAD_VALUE, reason)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the nearest of the right names as a hint, or all of them.
    #[must_use]
    pub(crate) fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(name, known.iter().copied()) {
            Some(near) => self.hint(format!("Did you mean `{near}`?")),
            None if known.is_empty() => self,
            None if known.len() > NAMES_MAX => {
                self.hint(format!("There are {}, such as: {}", known.len(), known[..NAMES_MAX].join(", ")))
            }
            None => self.hint(format!("There is: {}", known.join(", "))),
        }
    }

    /// The error that the user sees: "could not `operation` `object`: ...".
    pub(crate) fn error(self, operation: &str, object: impl fmt::Display) -> Error {
        let reason = match self.reason.char_indices().nth(REASON_CHARS_MAX) {
            Some((end, _)) => format!("{}...", &self.reason[..end]),
            None => self.reason,
        };
        let error = Error::new(self.code, operation, object).because(reason);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_short() {
        let names: Vec<String> = (0..1000).map(|number| format!("n{number}")).collect();
        let long = Problem::value("x".repeat(10_000)).did_you_mean("z", names.iter().map(String::as_str));
        let message = long.error("read", "f").to_string();
        assert!(message.chars().count() < 800, "{message}");
        assert!(message.contains("x.... There are 1000, such as: n0, n1"), "{message}");
    }
}
