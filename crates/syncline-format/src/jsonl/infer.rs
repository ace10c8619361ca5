//! The keys of a JSON Lines file, and what their values could be.

use std::collections::HashMap;

use syncline_types::Result;

use super::{
    lines::{Found, Lines},
    read::{LINE_BYTES_MAX, too_wide},
    scan::{Flaw, Kind, object, unescape},
};
use crate::{
    Compression, Input,
    encoding::{Encoding, utf8},
    error,
    infer::{Columns, Evidence, Types},
};

/// The columns of one file, in the order in which their keys first come; `None` when it has none.
/// Lines that are broken say nothing about types: reading refuses them one by one.
pub(crate) fn columns(compression: Compression, types: Types, input: Input) -> Result<Option<Columns>> {
    let (file, read) = input.open(compression)?;
    let text = utf8(Encoding::Detect, read).map_err(|failed| error::read(&file, &failed))?;
    let mut lines = Lines::new(text);
    let mut keys = Keys { found: vec![], places: HashMap::new(), open: vec![], scratch: vec![] };
    loop {
        match lines
            .advance(usize::try_from(LINE_BYTES_MAX).unwrap_or(usize::MAX))
            .map_err(|failed| error::read(&file, &failed))?
        {
            Found::End => break,
            Found::TooWide => return Err(too_wide(&lines, &file)),
            Found::Line => keys.see(lines.text()),
        }
        lines.consume();
    }
    if types == Types::Text {
        keys.found.iter_mut().for_each(Evidence::text);
    }
    Ok((!keys.found.is_empty()).then_some(Columns { file, found: keys.found, optional: true }))
}

struct Keys {
    found: Vec<Evidence>,
    places: HashMap<String, usize>,
    open: Vec<u8>,
    scratch: Vec<u8>,
}

impl Keys {
    fn see(&mut self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else { return };
        let Keys { found, places, open, scratch } = self;
        // The whole line first, so that one that is broken in its middle adds nothing.
        if object(text, open, |_, _| Ok::<(), Flaw>(())).is_err() {
            return;
        }
        let seen = object(text, open, |key, value| {
            let name = decoded(key.inside(text), key.kind, scratch);
            let place = match places.get(name) {
                Some(place) => *place,
                None => {
                    places.insert(name.to_owned(), found.len());
                    found.push(Evidence::new(name.to_owned()));
                    found.len() - 1
                }
            };
            if let Some(evidence) = found.get_mut(place) {
                match value.kind {
                    Kind::Null => {}
                    Kind::True | Kind::False => evidence.see_bool(),
                    Kind::Number => evidence.see_number(value.raw(text)),
                    Kind::Text { .. } => evidence.see_time(decoded(value.inside(text), value.kind, scratch)),
                    Kind::Nested => evidence.see_nested(),
                }
            }
            Ok::<(), Flaw>(())
        });
        debug_assert!(seen.is_ok(), "it was read a moment ago");
    }
}

/// A text without its escapes; nothing for one that has half a character.
fn decoded<'a>(inside: &'a str, kind: Kind, scratch: &'a mut Vec<u8>) -> &'a str {
    if kind != (Kind::Text { escaped: true }) {
        return inside;
    }
    scratch.clear();
    unescape(inside, scratch);
    std::str::from_utf8(scratch).unwrap_or_default()
}
