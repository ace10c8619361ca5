//! From text to a syntax tree, within limits.
//!
//! The grammar is that of `sqlparser` in PostgreSQL's dialect. An expression comes from a file that
//! somebody else may have written, so its size is limited before it is parsed: the parser limits
//! its own recursion, and the number of words bounds how deep a chain of operators can nest.

use sqlparser::{
    ast,
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
    tokenizer::{Location, Token, Tokenizer},
};

use super::problem::Problem;

/// Most bytes of an expression: room for a list of a thousand values, far from what hurts.
const EXPRESSION_BYTES_MAX: usize = 64 << 10;
/// Most words and signs of an expression. A chain like `a + b + c` nests by half as many, and is
/// taken down again by recursion.
const EXPRESSION_TOKENS_MAX: usize = 5_000;
/// Most parentheses and the like within each other that the parser follows, `sqlparser`'s default.
const PARSER_DEPTH_MAX: usize = 50;

/// The syntax tree of an expression, with nothing behind it.
pub(crate) fn expression(text: &str) -> Result<ast::Expr, Problem> {
    whole(text, |parser| parser.parse_expr())
}

/// The syntax tree of a type's name, with nothing behind it.
pub(crate) fn data_type(text: &str) -> Result<ast::DataType, Problem> {
    whole(text, |parser| parser.parse_data_type())
}

fn whole<T>(text: &str, parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>) -> Result<T, Problem> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(Problem::new(None, format!("it is longer than {EXPRESSION_BYTES_MAX} bytes")));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|error| Problem::new(located(error.location), error.message))?;
    let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count();
    if words == 0 {
        return Err(Problem::new(None, "it is empty"));
    }
    if words > EXPRESSION_TOKENS_MAX {
        return Err(Problem::new(None, format!("it has more than {EXPRESSION_TOKENS_MAX} words")));
    }
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(PARSER_DEPTH_MAX).with_tokens_with_locations(tokens);
    let tree = parse(&mut parser).map_err(|error| refused(error, text))?;
    let rest = parser.next_token();
    match rest.token {
        Token::EOF => Ok(tree),
        token => Err(Problem::new(located(rest.span.start), format!("`{token}` is not expected here"))),
    }
}

/// A place, unless it is the empty one that the parser gives where it knows none.
pub(crate) fn located(location: Location) -> Option<Location> {
    (location.line > 0).then_some(location)
}

fn refused(error: ParserError, text: &str) -> Problem {
    match error {
        ParserError::RecursionLimitExceeded => {
            Problem::new(None, format!("it nests deeper than {PARSER_DEPTH_MAX} levels"))
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            let (message, at) = split_location(&message);
            // Of the end the parser does not say where it is.
            match message.strip_suffix(", found: EOF") {
                Some(message) => Problem::new(Some(end_of(text)), format!("{message}, and it ends here")),
                None => Problem::new(at, message),
            }
        }
    }
}

fn end_of(text: &str) -> Location {
    let last = text.trim_end().lines().last().unwrap_or_default();
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Location { line: number(text.trim_end().lines().count()), column: number(last.chars().count() + 1) }
}

/// The parser writes the place behind its message.
fn split_location(message: &str) -> (String, Option<Location>) {
    let place = || {
        let (message, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? }))
    };
    let (message, at) = match place() {
        Some((message, at)) => (message, located(at)),
        None => (message, None),
    };
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    (format!("{first}{}", chars.as_str()), at)
}
