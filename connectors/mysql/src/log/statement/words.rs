//! A statement's words. Comments are passed over, but for those that the server takes as words.

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// A keyword, a name or a number.
    Plain(&'a str),
    /// A name in quotes; a text in double quotes may be one too.
    Quoted(String),
    /// A text. What it says does not matter.
    Text,
    Sign(char),
}

pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut rest) = (vec![], text);
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match first {
            '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => {
                // A version may follow, and then words for the server.
                let inside = after.trim_start_matches(['*', 'M', '!']);
                inside.trim_start_matches(|c: char| c.is_ascii_digit())
            }
            '/' if rest.starts_with("/*") => after.split_once("*/").map_or("", |(_, rest)| rest),
            '*' if rest.starts_with("*/") => &rest[2..],
            '#' => line_end(rest),
            '-' if rest.starts_with("-- ") || rest.starts_with("--\n") || rest.starts_with("--\t") => {
                line_end(rest)
            }
            '\'' => {
                words.push(Word::Text);
                quoted(after, '\'').1
            }
            '`' | '"' => {
                let (name, rest) = quoted(after, first);
                words.push(match first {
                    '`' => Word::Quoted(name),
                    // A name only where the server was told so; then it is a short one.
                    _ if name.contains(' ') => Word::Text,
                    _ => Word::Quoted(name),
                });
                rest
            }
            first if is_plain(first) => {
                let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
                words.push(Word::Plain(&rest[..end]));
                &rest[end..]
            }
            first if first.is_whitespace() => after,
            sign => {
                words.push(Word::Sign(sign));
                after
            }
        };
    }
    words
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '\u{80}'..)
}

fn line_end(rest: &str) -> &str {
    rest.split_once('\n').map_or("", |(_, rest)| rest)
}

/// What stands before the closing quote, and what follows it. A quote in a name is written twice; in a
/// text a backslash may stand before it.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            name.extend(chars.next().map(|(_, c)| c));
        } else if c != quote {
            name.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            chars.next();
            name.push(quote);
        } else {
            return (name, &text[at + 1..]);
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_told_from_texts_and_comments() {
        let found = words("a`b``c`/* x */'it''s \\' y'#z\n\"d\" /*!50000 e */-- f\n.1");
        let quoted = |name: &str| Word::Quoted(name.into());
        let expected = [
            Word::Plain("a"),
            quoted("b`c"),
            Word::Text,
            quoted("d"),
            Word::Plain("e"),
            Word::Sign('.'),
            Word::Plain("1"),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = words(&text);
            let _ = super::super::statement(&bytes);
        }
    }
}
