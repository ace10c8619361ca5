//! `${NAME}` and `${file:PATH}`: values that are not written into the pipeline file.
//!
//! They are put into parts that are parsed already, and what they hold is never looked at again: a
//! password with `@`, `/` or `${` stays a password. A literal `${` is written `$${`.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use syncline_types::codes;

use crate::problem::Problem;

/// A password, a token, a certificate with its chain: anything longer was named by mistake.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where the values of `${...}` come from.
pub trait Secrets {
    /// An environment variable; `None` when it is not set.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The bytes of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The environment and the files of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSecrets;

impl Secrets for ProcessSecrets {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        // One more than the limit, so that a longer file is noticed and not cut.
        File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A text with its references taken apart.
#[derive(Clone)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone)]
enum Piece {
    Text(String),
    Reference(Reference),
}

/// What stands between `${` and `}`.
#[derive(Clone)]
enum Reference {
    Variable(String),
    File(PathBuf),
}

impl Template {
    /// Takes a text apart as it is.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        Self::parse_with(text, |literal| Ok(literal.to_owned()))
    }

    /// Takes a text apart, with its literal parts translated.
    pub(crate) fn parse_with(
        text: &str,
        mut literal: impl FnMut(&str) -> Result<String, Problem>,
    ) -> Result<Self, Problem> {
        let mut pieces = vec![];
        let mut plain = String::new();
        for span in spans(text)? {
            match span {
                Span::Literal(text) => plain.push_str(&literal(text)?),
                Span::Escape => plain.push_str("${"),
                Span::Reference(inner) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Reference(Reference::parse(inner)?));
                }
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template(pieces))
    }

    /// The text, when it refers to nothing.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The references between `<` and `>` and the rest as it is.
    #[cfg(test)]
    pub(crate) fn outline(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Reference(Reference::Variable(name)) => format!("<{name}>"),
            Piece::Reference(Reference::File(path)) => format!("<file:{}>", path.display()),
        };
        self.0.iter().map(piece).collect()
    }

    /// Whether anything in it is filled in.
    pub(crate) fn has_reference(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Reference(_)))
    }

    /// Whether it is one reference and nothing else.
    pub(crate) fn is_one_reference(&self) -> bool {
        matches!(self.0.as_slice(), [Piece::Reference(_)])
    }

    /// The text with its references filled in.
    pub(crate) fn fill(&self, secrets: &dyn Secrets) -> Result<String, Problem> {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Ok(text.clone()),
                Piece::Reference(reference) => reference.value(secrets),
            })
            .collect()
    }
}

impl Reference {
    fn parse(inner: &str) -> Result<Self, Problem> {
        if let Some(path) = inner.strip_prefix("file:") {
            return if path.is_empty() {
                Err(Problem::value("`${file:}` names no file"))
            } else {
                Ok(Reference::File(path.into()))
            };
        }
        let mut chars = inner.chars();
        let named = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if named {
            return Ok(Reference::Variable(inner.to_owned()));
        }
        // What stands there may be a piece of a password, so it is not repeated.
        Err(Problem::value("what follows a `${` is no name of an environment variable")
            .hint("Write ${NAME}, ${file:PATH}, or $${ for a literal ${"))
    }

    fn value(&self, secrets: &dyn Secrets) -> Result<String, Problem> {
        let missing = |reason: String| Problem::new(&codes::MISSING_SECRET, reason);
        match self {
            Reference::Variable(name) => {
                let what = format!("the environment variable `{name}`");
                let value = secrets.variable(name).ok_or_else(|| {
                    missing(format!("{what} is not set")).hint("Set it, or name a file with ${file:PATH}")
                })?;
                let text = value.into_string().map_err(|_| missing(format!("{what} is not UTF-8")))?;
                if text.is_empty() { Err(missing(format!("{what} is empty"))) } else { Ok(text) }
            }
            Reference::File(path) => {
                let what = format!("the secret file `{}`", path.display());
                let bytes =
                    secrets.file(path).map_err(|error| missing(format!("{what} cannot be read: {error}")))?;
                if bytes.len() as u64 > SECRET_BYTES_MAX {
                    return Err(missing(format!("{what} has more than {SECRET_BYTES_MAX} bytes")));
                }
                let text = String::from_utf8(bytes).map_err(|_| missing(format!("{what} is not UTF-8")))?;
                // Editors end a file with a newline that is no part of the secret.
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                if text.is_empty() { Err(missing(format!("{what} is empty"))) } else { Ok(text.to_owned()) }
            }
        }
    }
}

/// A text in which nothing between `${` and `}` looks like punctuation: what may delimit the parts
/// of the original stands at the same byte here.
pub(crate) fn shape(text: &str) -> Result<String, Problem> {
    let mut shape = String::with_capacity(text.len());
    for span in spans(text)? {
        match span {
            Span::Literal(text) => shape.push_str(text),
            Span::Escape => shape.push_str("xxx"),
            Span::Reference(inner) => shape.extend(std::iter::repeat_n('x', inner.len() + "${}".len())),
        }
    }
    Ok(shape)
}

enum Span<'a> {
    Literal(&'a str),
    /// `$${`
    Escape,
    Reference(&'a str),
}

fn spans(text: &str) -> Result<Vec<Span<'_>>, Problem> {
    let mut spans = vec![];
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let inner = &from["${".len()..];
        if let Some(before) = before.strip_suffix('$') {
            spans.extend([Span::Literal(before), Span::Escape]);
            rest = inner;
        } else {
            let Some((inner, after)) = inner.split_once('}') else {
                return Err(Problem::value("a `${` has no closing `}`").hint("A literal ${ is written $${"));
            };
            spans.extend([Span::Literal(before), Span::Reference(inner)]);
            rest = after;
        }
    }
    spans.push(Span::Literal(rest));
    Ok(spans)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// An environment and files that a test makes up.
    #[derive(Default)]
    pub(crate) struct Fake {
        pub(crate) variables: BTreeMap<&'static str, OsString>,
        pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
    }

    impl Secrets for Fake {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.variables.get(name).cloned()
        }

        fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
            let path = path.to_str().unwrap_or_default();
            self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    pub(crate) fn fake(variables: &[(&'static str, &str)], files: &[(&'static str, &str)]) -> Fake {
        Fake {
            variables: variables.iter().map(|(name, value)| (*name, (*value).into())).collect(),
            files: files.iter().map(|(path, text)| (*path, text.as_bytes().to_vec())).collect(),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let secrets = fake(
            &[("A", "alpha"), ("_b2", "${A}"), ("EMPTY", "")],
            &[("/s", "secret\n"), ("/crlf", "secret\r\n"), ("/two", "a\n\n"), ("/empty", "\n")],
        );
        let found = Template::parse(text).and_then(|template| template.fill(&secrets));
        let found = found.as_deref().map_err(|problem| problem.reason.as_str());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn references_are_filled_in_once() {
        check("", Ok(""));
        check("plain", Ok("plain"));
        check("${A}", Ok("alpha"));
        check("x-${A}-${A}y", Ok("x-alpha-alphay"));
        check("${_b2}", Ok("${A}"));
        check("${file:/s}", Ok("secret"));
        check("${file:/crlf}", Ok("secret"));
        check("${file:/two}", Ok("a\n"));
    }

    #[test]
    fn a_dollar_is_only_special_before_a_brace() {
        check("pa$$word$", Ok("pa$$word$"));
        check("$A {A} $ {A}", Ok("$A {A} $ {A}"));
        check("$${A}", Ok("${A}"));
        check("$$${A}", Ok("$${A}"));
        check("$${", Ok("${"));
        check("${A}$${A}${A}", Ok("alpha${A}alpha"));
    }

    #[test]
    fn what_is_missing_is_named_and_its_value_never_is() {
        check("${B}", Err("the environment variable `B` is not set"));
        check("${EMPTY}", Err("the environment variable `EMPTY` is empty"));
        check("${file:/no}", Err("the secret file `/no` cannot be read: entity not found"));
        check("${file:/empty}", Err("the secret file `/empty` is empty"));
        check("${file:}", Err("`${file:}` names no file"));
        check("${A", Err("a `${` has no closing `}`"));
        for bad in ["${}", "${A-B}", "${A:-x}", "${1}", "${a b}", "${ü}", "${env:A}"] {
            check(bad, Err("what follows a `${` is no name of an environment variable"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn values_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let mut secrets = Fake::default();
        secrets.variables.insert("A", OsString::from_vec(vec![0xff]));
        secrets.files.insert("/f", vec![0xff]);
        secrets.files.insert("/long", vec![b'x'; 64 * 1024 + 1]);
        for (text, expected) in [
            ("${A}", "the environment variable `A` is not UTF-8"),
            ("${file:/f}", "the secret file `/f` is not UTF-8"),
            ("${file:/long}", "the secret file `/long` has more than 65536 bytes"),
        ] {
            let problem = Template::parse(text).unwrap().fill(&secrets).unwrap_err();
            assert_eq!((problem.reason.as_str(), problem.code), (expected, &codes::MISSING_SECRET));
        }
    }

    #[test]
    fn the_process_reads_its_own_environment_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let text = format!("${{file:{}}}", path.display());
        assert_eq!(Template::parse(&text).unwrap().fill(&ProcessSecrets), Ok("hunter2".to_owned()));
        assert!(Template::parse("${PATH}").unwrap().fill(&ProcessSecrets).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_can_be_written(text in ".*") {
            let escaped = text.replace("${", "$${");
            let template = Template::parse(&escaped).unwrap();
            prop_assert_eq!(template.fill(&Fake::default()), Ok(text));
        }

        #[test]
        fn the_shape_has_the_same_length(text in "[a${}:/@ü]*") {
            if let Ok(shape) = shape(&text) {
                prop_assert_eq!(shape.len(), text.len());
            }
        }
    }
}
