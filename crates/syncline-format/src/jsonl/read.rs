//! Reading JSON Lines: keys in any order, missing ones as NULL, broken lines set aside by number.

use std::{collections::HashMap, io::Read};

use syncline_types::{Error, LogicalType, Result, TableSchema, build::ColumnBuilder, decimal};

use super::{
    JsonLinesOptions,
    lines::{Found, Lines},
    scan::{Flaw, Kind, Value, object, unescape},
};
use crate::{
    build::{Building, Shape},
    cell::{self, Misfit},
    encoding::{Encoding, utf8},
    error,
    part::{Limits, PartReader, Step},
    window::WINDOW_BYTES,
};

/// The widest line that is read.
pub(crate) const LINE_BYTES_MAX: u64 = 256 << 20;
/// Characters of an unknown key that a message shows.
const KEY_SHOWN: usize = 60;

/// Reads one file.
pub(crate) struct Reader {
    lines: Lines<Box<dyn Read + Send>>,
    decoder: Decoder,
    shape: Shape,
    records: u64,
    /// What ended the reading; nothing comes after it.
    failed: Option<Error>,
}

/// Puts an object's values into columns.
struct Decoder {
    options: JsonLinesOptions,
    /// All keys of the file, and where each one's value is kept in `values`.
    keys: Keys,
    /// The values of the wanted columns are the first ones.
    values: Vec<Option<Value>>,
    /// Room for a text without its escapes, and for open brackets.
    scratch: Vec<u8>,
    open: Vec<u8>,
}

/// Keys by name, quickly where they come in the order of the line before.
struct Keys {
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// The places of the keys of the lines before.
    order: Vec<usize>,
}

/// Why a line was not read.
enum Halt {
    Flaw(Flaw),
    Reason(String),
}

impl From<Flaw> for Halt {
    fn from(flaw: Flaw) -> Self {
        Halt::Flaw(flaw)
    }
}

impl Reader {
    pub(crate) fn new(
        options: &JsonLinesOptions,
        schema: &TableSchema,
        indexes: &[usize],
        file: &str,
        read: Box<dyn Read + Send>,
    ) -> Result<Self> {
        let text = utf8(Encoding::Detect, read).map_err(|failed| error::read(file, &failed))?;
        let others = (0..schema.columns.len()).filter(|index| !indexes.contains(index));
        let all = indexes.iter().copied().chain(others);
        let names = all.filter_map(|index| schema.columns.get(index)).map(|column| column.name.clone());
        let decoder = Decoder {
            options: options.clone(),
            values: vec![None; schema.columns.len()],
            keys: Keys::new(names.collect()),
            scratch: vec![],
            open: vec![],
        };
        let shape = Shape::lines(file, schema, indexes);
        Ok(Reader { lines: Lines::new(text), decoder, shape, records: 0, failed: None })
    }

    fn advance(&mut self, bytes_max: usize) -> Result<Found> {
        self.lines.advance(bytes_max).map_err(|failed| error::read(&self.shape.file, &failed))
    }

    fn fill(&mut self, batch: &mut Building, limits: Limits) -> Result<Option<Step>> {
        let fixed = self.shape.fixed_bytes;
        while batch.records() < limits.rows.max(1) {
            let first = batch.records() == 0;
            // A line can become as many bytes of values as it has, besides those of its window.
            let allowed =
                if first { (limits.bytes + WINDOW_BYTES as u64).saturating_sub(fixed) / 2 } else { 0 };
            match self.advance(usize::try_from(allowed).unwrap_or(usize::MAX))? {
                Found::End => return Ok(first.then_some(Step::End)),
                Found::TooWide if !first => return Ok(None),
                Found::TooWide => {
                    let twice = 2 * (self.lines.excess_bytes() + WINDOW_BYTES as u64);
                    if twice > LINE_BYTES_MAX {
                        return Err(too_wide(&self.lines, &self.shape.file));
                    }
                    return Ok(Some(Step::Needs(fixed + 2 * twice - WINDOW_BYTES as u64)));
                }
                Found::Line => {}
            }
            let (line, bytes) = (self.lines.number(), fixed + self.lines.text().len() as u64);
            let held = batch.bytes() + bytes + self.lines.excess_bytes();
            if held > limits.bytes {
                return Ok(first.then_some(Step::Needs(held)));
            }
            let filled = self.decoder.push(self.lines.text(), line, &self.shape, batch);
            batch.end_record(line, bytes, filled);
            self.lines.consume();
            self.records += 1;
        }
        Ok(None)
    }
}

impl Decoder {
    /// Appends a line's values to the columns.
    fn push(&mut self, line: &[u8], number: u64, shape: &Shape, batch: &mut Building) -> Result<()> {
        let text =
            std::str::from_utf8(line).map_err(|_| shape.bad(number, "it has bytes that are no UTF-8"))?;
        self.take_apart(text).map_err(|halt| match halt {
            Halt::Flaw(flaw) => shape.bad(number, flaw),
            Halt::Reason(reason) => shape.bad(number, reason),
        })?;
        for (index, (builder, column)) in batch.builders.iter_mut().zip(&shape.columns).enumerate() {
            let value = self.values.get(index).copied().flatten();
            let json_null = self.options.json_null && matches!(column.logical, LogicalType::Json { .. });
            let pushed = match value.filter(|value| value.kind != Kind::Null || json_null) {
                None if column.nullable => {
                    builder.push_null();
                    Ok(())
                }
                None => Err(Misfit("no value, and the column is never NULL")),
                Some(value) => self.push_value(text, value, column.logical, builder),
            };
            pushed.map_err(|misfit| shape.misfit(number, index, misfit))?;
        }
        Ok(())
    }

    fn push_value(
        &mut self,
        text: &str,
        value: Value,
        logical: LogicalType,
        builder: &mut ColumnBuilder,
    ) -> Result<(), Misfit> {
        use LogicalType as L;
        let raw = value.raw(text);
        match (value.kind, logical) {
            (_, L::Json { .. }) => cell::push(raw, logical, self.options.binary, builder),
            (Kind::Text { escaped: false }, _) => {
                cell::push(value.inside(text), logical, self.options.binary, builder)
            }
            (Kind::Text { escaped: true }, _) => {
                self.scratch.clear();
                self.scratch.shrink_to(WINDOW_BYTES);
                if !unescape(value.inside(text), &mut self.scratch) {
                    return Err(Misfit("half a character"));
                }
                // Only whole characters are taken out and put in, so this cannot fail.
                let text = std::str::from_utf8(&self.scratch).map_err(|_| Misfit("no text"))?;
                cell::push(text, logical, self.options.binary, builder)
            }
            (Kind::Number, logical) if logical.is_integer() && !is_plain(raw) => {
                // Some programs write 1.0 or 1e3 for a whole number.
                let whole =
                    decimal::parse_128(raw, 38, 0).ok_or(Misfit("no whole number that the type holds"))?;
                cell::push(&whole.to_string(), logical, self.options.binary, builder)
            }
            (Kind::Number | Kind::True | Kind::False, L::Date | L::Time { .. } | L::Timestamp { .. })
            | (Kind::Number | Kind::True | Kind::False, L::Interval | L::Uuid | L::Binary | L::Bits { .. }) => {
                Err(Misfit("no text, as which such values are written"))
            }
            (Kind::Nested, logical) if !matches!(logical, L::Text { .. } | L::Opaque) => {
                Err(Misfit("an object or array"))
            }
            _ => cell::push(raw, logical, self.options.binary, builder),
        }
    }

    /// Finds the object's values.
    fn take_apart(&mut self, text: &str) -> Result<(), Halt> {
        let Decoder { keys, values, scratch, open, .. } = self;
        values.fill(None);
        let mut nth = 0;
        object(text, open, |key, value| {
            let name = match key.kind {
                Kind::Text { escaped: true } => {
                    scratch.clear();
                    if !unescape(key.inside(text), scratch) {
                        return Err(Halt::Reason("a key has half a character".to_owned()));
                    }
                    std::str::from_utf8(scratch).unwrap_or_default()
                }
                _ => key.inside(text),
            };
            let place = keys.find(nth, name).ok_or_else(|| {
                let shown: String = name.chars().take(KEY_SHOWN).collect();
                Halt::Reason(format!("it has a key `{shown}`, and the stream has no such column"))
            })?;
            nth += 1;
            match values.get_mut(place) {
                Some(slot @ None) => *slot = Some(value),
                _ => return Err(Halt::Reason(format!("its key `{name}` is there twice"))),
            }
            Ok(())
        })
    }
}

impl Keys {
    fn new(names: Vec<String>) -> Self {
        let places = names.iter().cloned().zip(0..).collect();
        Keys { names, places, order: vec![] }
    }

    /// The place of the `nth` key of a line.
    fn find(&mut self, nth: usize, name: &str) -> Option<usize> {
        let expected = self.order.get(nth).copied();
        if let Some(place) =
            expected.filter(|place| self.names.get(*place).is_some_and(|known| known == name))
        {
            return Some(place);
        }
        let place = *self.places.get(name)?;
        match self.order.get_mut(nth) {
            Some(expected) => *expected = place,
            None => self.order.push(place),
        }
        Some(place)
    }
}

impl PartReader for Reader {
    fn next(&mut self, limits: Limits) -> Result<Step> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let mut batch = Building::new(&self.shape);
        match self.fill(&mut batch, limits) {
            Ok(Some(step)) => return Ok(step),
            Ok(None) => {}
            Err(failed) => {
                self.failed = Some(failed.clone());
                if batch.records() == 0 {
                    return Err(failed);
                }
            }
        }
        // What failed behind these rows is told the next time.
        batch.finish(&self.shape, self.records).map(Step::Rows)
    }

    fn skip(&mut self, records: u64) -> Result<()> {
        for _ in 0..records {
            match self.advance(usize::try_from(LINE_BYTES_MAX).unwrap_or(usize::MAX))? {
                Found::Line => self.lines.consume(),
                Found::TooWide => return Err(too_wide(&self.lines, &self.shape.file)),
                Found::End => return Err(error::shrunk(&self.shape.file)),
            }
            self.records += 1;
        }
        Ok(())
    }
}

pub(crate) fn too_wide<R: Read>(lines: &Lines<R>, file: &str) -> Error {
    error::broken(file, format!("line {} is longer than {} MiB", lines.number(), LINE_BYTES_MAX >> 20))
}

fn is_plain(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}
