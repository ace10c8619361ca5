//! The window of a run: which rows of a stream it reads. Fixed when the run is created, so that a
//! run which is resumed reads the same.

use serde::{Deserialize, Serialize};
use syncline_connect::Edge;
use syncline_types::{Error, Result, codes};

use super::{Kind, Mark, Seen};

/// By what a stream is read in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The source's column.
    pub column: String,
    /// What its values are.
    pub kind: Kind,
    /// How far behind the mark reading begins, in the kind's unit.
    pub lookback: i128,
    /// Whether rows are added, so that those read before have to be told apart.
    pub appends: bool,
}

/// Which rows a run reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The lowest value; `None` from the first one on.
    pub from: Option<String>,
    /// The highest value; `None` where no row has one.
    pub upto: Option<String>,
    /// Whether rows without a value are read: those of the first run.
    pub with_nulls: bool,
    /// How many rows have no value.
    pub nulls: u64,
    /// The mark of the run before.
    pub before: Option<Mark>,
}

impl Cursor {
    /// Whether a mark can be gone on from.
    ///
    /// # Errors
    /// [`codes::MARK_UNUSABLE`]
    pub fn check(&self, mark: &Mark) -> Result<()> {
        if mark.cursor != self.column {
            return Err(self.unusable(format!("it is one of `{}`", mark.cursor)));
        }
        let fits = mark.kind == self.kind.name()
            && mark.value.as_ref().is_none_or(|value| self.kind.parse(value).is_some());
        if !fits {
            let (was, is) = (&mark.kind, self.kind.name());
            return Err(
                self.unusable(format!("its value is of type {was}, and the column is of type {is} now"))
            );
        }
        if self.appends && mark.seen.is_none() {
            return Err(self.unusable(
                "runs that merge have left it, and it does not say which rows of its value are there".into(),
            ));
        }
        Ok(())
    }

    pub(crate) fn unusable(&self, reason: String) -> Error {
        Error::new(&codes::MARK_UNUSABLE, "go on from the mark of", format!("`{}`", self.column))
            .because(reason)
    }

    /// Which rows a run reads, of a source that goes so far, after the run that left this mark.
    ///
    /// # Errors
    /// [`codes::MARK_UNUSABLE`]; [`codes::VALUE_UNREADABLE`] when nothing can come after the highest
    /// value.
    pub fn window(&self, before: Option<Mark>, edge: &Edge) -> Result<Window> {
        if let Some(mark) = &before {
            self.check(mark)?;
        }
        let highest = edge.highest.as_deref().map(|text| self.bound(text)).transpose()?;
        let mark =
            before.as_ref().and_then(|mark| mark.value.as_deref()).and_then(|text| self.kind.parse(text));
        let from = mark.map(|mark| {
            let from = self.kind.back(mark, self.lookback);
            // Rows further back are not known one by one, and would be added again.
            before
                .as_ref()
                .and_then(|mark| self.since(mark))
                .filter(|_| self.appends)
                .map_or(from, |since| from.max(since))
        });
        // The source may have lost its highest rows.
        let upto = highest.max(mark);
        Ok(Window {
            from: from.map(|from| self.kind.write(from)),
            upto: upto.map(|upto| self.kind.write(upto)),
            with_nulls: before.is_none() && (highest.is_some() || edge.nulls > 0),
            nulls: edge.nulls,
            before,
        })
    }

    fn since(&self, mark: &Mark) -> Option<i128> {
        mark.seen.as_ref().and_then(|seen| seen.since.as_deref()).and_then(|since| self.kind.parse(since))
    }

    fn bound(&self, text: &str) -> Result<i128> {
        self.kind.parse(text).ok_or_else(|| {
            Error::new(&codes::VALUE_UNREADABLE, "find the highest value of", format!("`{}`", self.column))
                .because(
                    "it is infinite, or lies outside the years 1 to 9999, and nothing could come after it",
                )
                .hint("Correct that row, or name another cursor")
        })
    }

    /// The condition on rows of a window, in the language of expressions.
    pub fn condition(&self, window: &Window) -> String {
        let column = format!("\"{}\"", self.column.replace('"', "\"\""));
        let constant = |text: &String| format!("'{}'", text.replace('\'', "''"));
        let from = window.from.as_ref().map(|from| format!("{column} >= {}", constant(from)));
        let upto = window.upto.as_ref().map(|upto| format!("{column} <= {}", constant(upto)));
        let null = window.with_nulls.then(|| format!("{column} IS NULL"));
        match (from, upto, null) {
            (Some(from), Some(upto), _) => format!("{from} AND {upto}"),
            (_, Some(upto), Some(null)) => format!("{upto} OR {null}"),
            (_, Some(upto), None) => upto,
            (_, None, Some(null)) => null,
            // No row has a value: there is nothing to read.
            (_, None, None) => format!("{column} IS NULL AND {column} IS NOT NULL"),
        }
    }

    /// From which value on rows have to be known one by one to the run after this window's.
    pub fn since_after(&self, window: &Window) -> Option<i128> {
        let upto = self.kind.parse(window.upto.as_deref()?)?;
        let from = window.from.as_deref().and_then(|from| self.kind.parse(from));
        let since = self.kind.back(upto, self.lookback);
        Some(from.map_or(since, |from| since.max(from)))
    }

    /// The mark that a run over a window leaves; `None` where it has read nothing and the one there was
    /// stays. `seen` are the rows from [`Cursor::since_after`] on, of a run that appends.
    pub fn mark(&self, window: &Window, seen: Option<Seen>) -> Option<Mark> {
        if window.upto.is_none() && !window.with_nulls {
            return None;
        }
        let value = window.upto.clone();
        Some(Mark { cursor: self.column.clone(), kind: self.kind.name().into(), value, seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(lookback: i128, appends: bool) -> Cursor {
        Cursor { column: "at".into(), kind: Kind::Integer { least: 0 }, lookback, appends }
    }

    fn edge(highest: Option<&str>, nulls: u64) -> Edge {
        Edge { highest: highest.map(str::to_owned), nulls }
    }

    fn seen(since: &str) -> Seen {
        Seen { since: Some(since.into()), columns: vec![], key: None, hashes: vec![] }
    }

    fn mark(value: Option<&str>, seen: Option<Seen>) -> Mark {
        Mark { cursor: "at".into(), kind: "integer".into(), value: value.map(str::to_owned), seen }
    }

    fn condition(cursor: &Cursor, before: Option<Mark>, edge: &Edge) -> String {
        cursor.condition(&cursor.window(before, edge).unwrap())
    }

    #[test]
    fn the_first_run_reads_everything_up_to_the_highest_value() {
        let merge = cursor(5, false);
        assert_eq!(condition(&merge, None, &edge(Some("9"), 2)), r#""at" <= '9' OR "at" IS NULL"#);
        assert_eq!(condition(&merge, None, &edge(None, 2)), r#""at" IS NULL"#);
        let nothing = r#""at" IS NULL AND "at" IS NOT NULL"#;
        assert_eq!(condition(&merge, None, &edge(None, 0)), nothing);
    }

    #[test]
    fn later_runs_look_back_from_the_mark() {
        let before = || Some(mark(Some("9"), Some(seen("7"))));
        assert_eq!(
            condition(&cursor(5, false), before(), &edge(Some("20"), 2)),
            r#""at" >= '4' AND "at" <= '20'"#
        );
        // The rows below 7 are not known, so they are not read again.
        assert_eq!(
            condition(&cursor(5, true), before(), &edge(Some("20"), 0)),
            r#""at" >= '7' AND "at" <= '20'"#
        );
        assert_eq!(
            condition(&cursor(1, true), before(), &edge(Some("20"), 0)),
            r#""at" >= '8' AND "at" <= '20'"#
        );
        assert_eq!(
            condition(&cursor(50, false), before(), &edge(Some("20"), 0)),
            r#""at" >= '0' AND "at" <= '20'"#
        );
        // Rows without a value have been read, and none had one.
        let only_nulls = || Some(mark(None, Some(seen("0"))));
        assert_eq!(condition(&cursor(5, false), only_nulls(), &edge(Some("3"), 2)), r#""at" <= '3'"#);
    }

    #[test]
    fn a_mark_never_goes_back() {
        let merge = cursor(0, false);
        for highest in [Some("3"), None] {
            let window = merge.window(Some(mark(Some("9"), None)), &edge(highest, 0)).unwrap();
            assert_eq!(merge.condition(&window), r#""at" >= '9' AND "at" <= '9'"#);
            assert_eq!(merge.mark(&window, None).unwrap().value.as_deref(), Some("9"));
        }
        let window = merge.window(Some(mark(None, None)), &edge(None, 4)).unwrap();
        assert_eq!(merge.mark(&window, None), None);
        let window = merge.window(None, &edge(None, 4)).unwrap();
        assert_eq!(merge.mark(&window, None).unwrap().value, None);
    }

    #[test]
    fn what_is_remembered_covers_what_the_next_run_reads() {
        for (lookback, since, expected) in [(3, "1", 17), (30, "8", 8), (0, "9", 20)] {
            let append = cursor(lookback, true);
            let window =
                append.window(Some(mark(Some("9"), Some(seen(since)))), &edge(Some("20"), 0)).unwrap();
            assert_eq!(append.since_after(&window), Some(expected), "{lookback} {since}");
        }
        // The source has lost its highest rows: what was known stays known.
        let append = cursor(3, true);
        let window = append.window(Some(mark(Some("90"), Some(seen("90")))), &edge(Some("20"), 0)).unwrap();
        assert_eq!(append.since_after(&window), Some(90));
        let first = cursor(30, true).window(None, &edge(Some("20"), 0)).unwrap();
        assert_eq!(cursor(30, true).since_after(&first), Some(0));
    }

    #[test]
    fn a_mark_that_does_not_fit_is_refused() {
        let refused = |cursor: &Cursor, mark: Mark| {
            cursor.window(Some(mark), &edge(Some("20"), 0)).unwrap_err().code() == &codes::MARK_UNUSABLE
        };
        let merge = cursor(0, false);
        assert!(refused(&merge, Mark { cursor: "id".into(), ..mark(Some("1"), None) }));
        assert!(refused(&merge, Mark { kind: "date".into(), ..mark(Some("2024-01-01"), None) }));
        assert!(refused(&merge, mark(Some("x"), None)));
        assert!(refused(&cursor(0, true), mark(Some("1"), None)), "it does not know the rows at the mark");
        assert!(merge.check(&mark(Some("1"), Some(seen("1")))).is_ok());
    }

    #[test]
    fn nothing_comes_after_an_infinite_value() {
        let date = Cursor { kind: Kind::Date, ..cursor(0, false) };
        let error = date.window(None, &edge(Some("infinity"), 0)).unwrap_err();
        assert_eq!(error.code(), &codes::VALUE_UNREADABLE);
    }

    #[test]
    fn names_are_quoted() {
        let odd = Cursor { column: "a\"b".into(), ..cursor(0, false) };
        let window = odd.window(None, &edge(Some("1"), 0)).unwrap();
        assert_eq!(odd.condition(&window), r#""a""b" <= '1' OR "a""b" IS NULL"#);
    }
}
