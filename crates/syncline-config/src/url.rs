//! Connection URLs, taken apart: `scheme://user:password@host:port/path?query` for servers and
//! `scheme:path?query` for everything else.
//!
//! Hand-written, because a URL here is stricter than the web's in one way and laxer in another. It
//! is stricter where a slip in a password could send it to another host: what is ambiguous is
//! refused. It is laxer with paths: blanks, `#`, `[` and `*` are ordinary characters of file names.
//!
//! No message repeats any part of the text but the scheme and well-formed option names: where a
//! URL is malformed, nobody knows which part of it is the password.

use std::net::Ipv6Addr;

use syncline_types::codes;

use crate::{
    problem::Problem,
    secret::{Template, shape},
};

/// A URL's parts, percent-decoded, with their `${...}` not yet filled in.
pub(crate) struct Url {
    pub(crate) scheme: String,
    /// Whether it is written with `//`.
    pub(crate) server: bool,
    pub(crate) user: Option<Template>,
    pub(crate) password: Option<Template>,
    pub(crate) host: Option<Template>,
    pub(crate) port: Option<Template>,
    pub(crate) path: Option<Template>,
    pub(crate) query: Vec<(String, Template)>,
}

/// Whether an argument is a connection and not a file: it begins with `scheme:`. A scheme has two
/// letters or more, so that `C:\data` is a file.
pub fn is_connection(argument: &str) -> bool {
    split_scheme(argument).is_some()
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let well_formed = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (well_formed && scheme.len() >= 2).then_some((scheme, rest))
}

impl Url {
    /// Takes a URL apart.
    pub(crate) fn parse(text: &str) -> Result<Url, Problem> {
        if text.contains(char::is_control) {
            return Err(bad("the URL holds a line break or another control character"));
        }
        if text.trim() != text {
            return Err(bad("the URL begins or ends with a blank"));
        }
        let Some((scheme, rest)) = split_scheme(text) else {
            return Err(bad("the URL begins with no scheme")
                .hint("It looks like `sqlite:shop.db` or `postgres://user@host/database`"));
        };
        let part = Part { text: rest, shape: &shape(rest).map_err(as_url)? };
        let url = match part.strip_prefix("//") {
            Some(part) => server(part)?,
            None => other(part)?,
        };
        Ok(Url { scheme: scheme.to_ascii_lowercase(), ..url })
    }
}

fn bad(reason: impl Into<String>) -> Problem {
    Problem::new(&codes::BAD_URL, reason)
}

fn as_url(problem: Problem) -> Problem {
    Problem { code: &codes::BAD_URL, ..problem }
}

/// A piece of the text with the shape in which to look for what delimits it.
#[derive(Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    shape: &'a str,
}

impl<'a> Part<'a> {
    fn split_at(self, at: usize) -> (Part<'a>, Part<'a>) {
        let ((left, right), (left_shape, right_shape)) = (self.text.split_at(at), self.shape.split_at(at));
        (Part { text: left, shape: left_shape }, Part { text: right, shape: right_shape })
    }

    /// What stands before and after the first of some delimiters of one byte.
    fn split_once(self, delimiter: char) -> (Part<'a>, Option<Part<'a>>) {
        let Some(at) = self.shape.find(delimiter) else { return (self, None) };
        let (left, right) = self.split_at(at);
        (left, Some(right.split_at(delimiter.len_utf8()).1))
    }

    fn strip_prefix(self, prefix: &str) -> Option<Part<'a>> {
        self.shape.starts_with(prefix).then(|| self.split_at(prefix.len()).1)
    }

    fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    fn template(self) -> Result<Template, Problem> {
        Template::parse_with(self.text, decode).map_err(as_url)
    }

    /// `None` where nothing stands.
    fn optional(self) -> Result<Option<Template>, Problem> {
        if self.is_empty() { Ok(None) } else { self.template().map(Some) }
    }
}

/// What follows `scheme://`.
fn server(part: Part<'_>) -> Result<Url, Problem> {
    if part.shape.contains('#') {
        return Err(bad("the URL holds a `#`").hint("A literal # is written %23"));
    }
    let (authority, rest) = part.split_at(part.shape.find(['/', '?']).unwrap_or(part.shape.len()));
    if rest.shape.contains('@') || authority.shape.matches('@').count() > 1 {
        return Err(bad("the URL holds an `@` that could mean another host").hint(
            "In a user or password write @ as %40, / as %2F, ? as %3F and # as %23, \
             or put the whole of it into ${NAME}",
        ));
    }
    let (login, address) = match authority.split_once('@') {
        (login, Some(address)) => (Some(login), address),
        (address, None) => (None, address),
    };
    let (user, password) = match login.map(|login| login.split_once(':')) {
        Some((user, password)) => (user.optional()?, password.map(Part::template).transpose()?),
        None => (None, None),
    };
    let (host, port) = host_and_port(address)?;
    let (path, query) = rest.split_once('?');
    let path = path.strip_prefix("/").unwrap_or(path).optional()?;
    let query = query.map(pairs).transpose()?.unwrap_or_default();
    Ok(Url { scheme: String::new(), server: true, user, password, host, port, path, query })
}

/// What follows `scheme:` where no `//` does: a path, in which `#` and `@` mean nothing.
fn other(part: Part<'_>) -> Result<Url, Problem> {
    let (path, query) = part.split_once('?');
    let login = path.shape.find(':').and_then(|colon| part.shape.get(colon..));
    if login.is_some_and(|login| login.contains('@')) {
        return Err(bad("the URL seems to hold a user and a password, but it has no `//`")
            .hint("Write scheme://user:password@host, or %40 for an @ in a path"));
    }
    let path = path.optional()?;
    let query = query.map(pairs).transpose()?.unwrap_or_default();
    Ok(Url { server: false, path, query, ..EMPTY })
}

const EMPTY: Url = Url {
    scheme: String::new(),
    server: false,
    user: None,
    password: None,
    host: None,
    port: None,
    path: None,
    query: vec![],
};

fn host_and_port(address: Part<'_>) -> Result<(Option<Template>, Option<Template>), Problem> {
    if address.shape.contains(',') {
        return Err(bad("the URL names several hosts, and this version takes one"));
    }
    let (host, port) = match address.strip_prefix("[") {
        Some(inner) => {
            let (host, Some(after)) = inner.split_once(']') else {
                return Err(bad("a `[` before the host has no closing `]`"));
            };
            let host = host.template()?;
            // A zone such as `%eth0` belongs to the address but not to what Rust calls one.
            let number = host.literal().and_then(|text| text.split('%').next()?.parse::<Ipv6Addr>().ok());
            if number.is_none() {
                return Err(bad("what stands in `[...]` is no IPv6 address"));
            }
            let port = match after.strip_prefix(":") {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(bad("only a port may follow the `]` of an IPv6 address")),
            };
            (Some(host), port)
        }
        None => {
            let (host, port) = address.split_once(':');
            let ordinary = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '%');
            if port.is_some_and(|port| port.shape.contains(':')) {
                return Err(
                    bad("the host holds several `:`").hint("An IPv6 address stands in brackets: [::1]")
                );
            }
            if !host.shape.chars().all(ordinary) {
                return Err(bad("the host holds a character that no host name has"));
            }
            (host.optional()?, port)
        }
    };
    let port = port.map(Part::template).transpose()?;
    if let Some(text) = port.as_ref().and_then(Template::literal) {
        parse_port(text)?;
    }
    Ok((host, port))
}

/// A port from its text, which is not repeated: it may be the beginning of a password.
pub(crate) fn parse_port(text: &str) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(bad("the port is not a number from 1 to 65535")),
    }
}

/// The pairs of a query. `+` is a plus.
fn pairs(query: Part<'_>) -> Result<Vec<(String, Template)>, Problem> {
    let mut pairs: Vec<(String, Template)> = vec![];
    let mut rest = (!query.is_empty()).then_some(query);
    while let Some(part) = rest {
        let (pair, after) = part.split_once('&');
        rest = after;
        let (name, Some(value)) = pair.split_once('=') else {
            return Err(bad("an option in the URL's query has no `=`")
                .hint("Options look like ?a=b&c=d; a literal ? is written %3F"));
        };
        let name = option_name(name.text)?;
        if pairs.iter().any(|(other, _)| *other == name) {
            return Err(bad(format!("the option `{name}` stands in the URL twice")));
        }
        pairs.push((name, value.template()?));
    }
    Ok(pairs)
}

fn option_name(text: &str) -> Result<String, Problem> {
    let name = decode(text)?;
    let mut bytes = name.bytes();
    let well_formed = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if well_formed { Ok(name) } else { Err(bad("the URL's query holds a name that no option has")) }
}

/// Percent-decodes a part.
fn decode(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = after.split_at_checked(2).and_then(|(digits, after)| Some((hex(digits)?, after)));
        let Some((byte, after)) = digits else {
            return Err(bad("a `%` in the URL is not followed by two hexadecimal digits")
                .hint("A literal % is written %25"));
        };
        bytes.push(byte);
        rest = after;
    }
    let text = String::from_utf8(bytes).map_err(|_| bad("the URL's %-sequences are not UTF-8"))?;
    if text.contains('\0') { Err(bad("the URL holds a NUL, %00")) } else { Ok(text) }
}

fn hex(digits: &[u8]) -> Option<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.iter().try_fold(0, |byte: u8, digit| Some(byte << 4 | value(digit)?))
}

#[cfg(test)]
mod tests;
