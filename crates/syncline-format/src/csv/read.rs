//! Reading CSV: records into columns, what does not fit set aside with its line.

use std::io::Read;

use syncline_types::{Error, Result, TableSchema, codes};

use super::{
    CsvOptions, header_names,
    scan::{Field, Flaw, Found, Scanner, unescape},
};
use crate::{
    build::{Building, Shape},
    cell::{self, Misfit},
    encoding::utf8,
    error,
    part::{Limits, PartReader, Step},
    window::WINDOW_BYTES,
};

/// The widest record that is read. An unclosed quote would otherwise take in all that follows.
pub(crate) const RECORD_BYTES_MAX: u64 = 256 << 20;
/// The longest header.
const HEADER_BYTES_MAX: usize = 8 << 20;

/// Reads one file.
pub(crate) struct Reader {
    scanner: Scanner<Box<dyn Read + Send>>,
    options: CsvOptions,
    shape: Shape,
    /// All columns of the file's schema by name, in its order.
    names: Vec<String>,
    layout: Option<Layout>,
    records: u64,
    /// What ended the reading; nothing comes after it.
    failed: Option<Error>,
    scratch: Vec<u8>,
}

/// Which fields a record has.
#[derive(Clone, Debug)]
struct Layout {
    /// How many there are.
    fields: usize,
    /// Where each wanted column is.
    wanted: Vec<usize>,
}

impl Reader {
    pub(crate) fn new(
        options: &CsvOptions,
        schema: &TableSchema,
        indexes: &[usize],
        file: &str,
        read: Box<dyn Read + Send>,
    ) -> Result<Self> {
        options.check()?;
        let text = utf8(options.encoding, read).map_err(|failed| error::read(file, &failed))?;
        let layout =
            (!options.header).then(|| Layout { fields: schema.columns.len(), wanted: indexes.to_vec() });
        Ok(Reader {
            scanner: Scanner::new(text, options),
            options: options.clone(),
            shape: Shape::lines(file, schema, indexes),
            names: schema.columns.iter().map(|column| column.name.clone()).collect(),
            layout,
            records: 0,
            failed: None,
            scratch: vec![],
        })
    }

    /// The place of the fields, from the header where there is one.
    fn layout(&mut self) -> Result<Layout> {
        if let Some(layout) = &self.layout {
            return Ok(layout.clone());
        }
        let file = &self.shape.file;
        // A file without even a header has no rows in whatever layout.
        let Some(header) = read_header(&mut self.scanner, &self.options, file)? else {
            return Ok(Layout { fields: 0, wanted: vec![] });
        };
        let differs = |reason: String| {
            Error::new(&codes::SCHEMA_CHANGED, "read the header of", error::quoted(file))
                .because(reason)
                .hint("All files of a stream must have the same columns")
        };
        if let Some(other) = header.iter().find(|name| !self.names.contains(name)) {
            return Err(differs(format!("the stream has no column `{other}`")));
        }
        if let Some(missing) = self.names.iter().find(|name| !header.contains(name)) {
            return Err(differs(format!("column `{missing}` is not in it")));
        }
        let place = |name: &String| header.iter().position(|other| other == name);
        let wanted = self.shape.columns.iter().filter_map(|column| place(&column.name)).collect();
        let layout = Layout { fields: header.len(), wanted };
        self.layout = Some(layout.clone());
        Ok(layout)
    }

    /// Finds the next record that is no empty line.
    fn advance(&mut self, bytes_max: usize, fields: usize) -> Result<Found> {
        loop {
            let found =
                self.scanner.advance(bytes_max).map_err(|failed| error::read(&self.shape.file, &failed))?;
            // An empty line is no record, unless the file has one column: there it is one field.
            if found != Found::Record || fields == 1 || !self.scanner.is_blank() {
                return Ok(found);
            }
            self.scanner.consume();
        }
    }

    fn fill(&mut self, batch: &mut Building, layout: &Layout, limits: Limits) -> Result<Option<Step>> {
        let fixed = self.shape.fixed_bytes;
        while batch.records() < limits.rows.max(1) {
            let first = batch.records() == 0;
            // A record can become as many bytes of text as it has, besides those of its buffer.
            let allowed =
                if first { (limits.bytes + WINDOW_BYTES as u64).saturating_sub(fixed) / 2 } else { 0 };
            match self.advance(usize::try_from(allowed).unwrap_or(usize::MAX), layout.fields)? {
                Found::End => return Ok(first.then_some(Step::End)),
                Found::TooWide if !first => return Ok(None),
                Found::TooWide => {
                    let twice = 2 * (self.scanner.excess_bytes() + WINDOW_BYTES as u64);
                    if twice > RECORD_BYTES_MAX {
                        return Err(too_wide(&self.scanner, &self.shape.file));
                    }
                    return Ok(Some(Step::Needs(fixed + 2 * twice - WINDOW_BYTES as u64)));
                }
                Found::Record => {}
            }
            let bytes = fixed + self.scanner.record().len() as u64;
            let held = batch.bytes() + bytes + self.scanner.excess_bytes();
            if held > limits.bytes {
                return Ok(first.then_some(Step::Needs(held)));
            }
            check_closed(&self.scanner, &self.shape.file)?;
            let filled = self.push(layout, batch);
            batch.end_record(self.scanner.line(), bytes, filled);
            self.scanner.consume();
            self.records += 1;
        }
        Ok(None)
    }

    /// Appends the record's values to the columns.
    fn push(&mut self, layout: &Layout, batch: &mut Building) -> Result<()> {
        let (line, shape) = (self.scanner.line(), &self.shape);
        let text = check_record(&self.scanner, layout.fields).map_err(|reason| shape.bad(line, reason))?;
        let fields = self.scanner.fields();
        for (index, (builder, column)) in batch.builders.iter_mut().zip(&shape.columns).enumerate() {
            let field =
                layout.wanted.get(index).and_then(|place| fields.get(*place)).copied().unwrap_or_default();
            let raw = text.get(field.range()).unwrap_or_default();
            let pushed = if !field.quoted && raw == self.options.null {
                if column.nullable {
                    builder.push_null();
                    Ok(())
                } else {
                    Err(Misfit("NULL, which the column never is"))
                }
            } else {
                let value = resolved(raw, field, &self.options, &mut self.scratch);
                value.and_then(|value| cell::push(value, column.logical, self.options.binary, builder))
            };
            pushed.map_err(|misfit| shape.misfit(line, index, misfit))?;
        }
        Ok(())
    }
}

impl PartReader for Reader {
    fn next(&mut self, limits: Limits) -> Result<Step> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let mut batch = Building::new(&self.shape);
        match self.layout().and_then(|layout| self.fill(&mut batch, &layout, limits)) {
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
        let layout = self.layout()?;
        for _ in 0..records {
            match self.advance(usize::try_from(RECORD_BYTES_MAX).unwrap_or(usize::MAX), layout.fields)? {
                Found::Record => self.scanner.consume(),
                Found::TooWide => return Err(too_wide(&self.scanner, &self.shape.file)),
                Found::End => return Err(error::shrunk(&self.shape.file)),
            }
            self.records += 1;
        }
        Ok(())
    }
}

/// A quote that is still open at the file's end has taken in what may be many rows: that is no bad row
/// among good ones.
pub(crate) fn check_closed<R: Read>(scanner: &Scanner<R>, file: &str) -> Result<()> {
    let (line, last) = (scanner.line(), scanner.line_end());
    if scanner.flaw() != Some(Flaw::Unterminated) || line == last {
        return Ok(());
    }
    let reason =
        format!("a quote in the row of line {line} is still open in line {last}, where the file ends");
    Err(error::broken(file, reason).hint("Close it, or get the file again from where it was made"))
}

pub(crate) fn too_wide<R: Read>(scanner: &Scanner<R>, file: &str) -> Error {
    let (line, mib) = (scanner.line(), RECORD_BYTES_MAX >> 20);
    error::broken(file, format!("the row that begins in line {line} is longer than {mib} MiB"))
        .hint("Perhaps a quote in it is not closed")
}

/// The header's names; `None` for a file without any line.
pub(crate) fn read_header<R: Read>(
    scanner: &mut Scanner<R>,
    options: &CsvOptions,
    file: &str,
) -> Result<Option<Vec<String>>> {
    match scanner.advance(HEADER_BYTES_MAX).map_err(|failed| error::read(file, &failed))? {
        Found::End => return Ok(None),
        Found::TooWide => return Err(error::broken(file, "its first line is too long for a header")),
        Found::Record => {}
    }
    let bad = |reason: String| error::broken(file, format!("its header: {reason}"));
    let text = check_record(scanner, scanner.fields().len()).map_err(bad)?;
    let mut scratch = vec![];
    let names = scanner.fields().iter().map(|field| {
        let raw = text.get(field.range()).unwrap_or_default();
        resolved(raw, *field, options, &mut scratch).unwrap_or_default().to_owned()
    });
    let names = header_names(names, file)?;
    scanner.consume();
    Ok(Some(names))
}

/// The record's text, or why it is none.
pub(crate) fn check_record<R: Read>(scanner: &Scanner<R>, fields: usize) -> Result<&str, String> {
    let lines = || match scanner.line_end() {
        last if last > scanner.line() => format!(" (it ends in line {last})"),
        _ => String::new(),
    };
    if let Some(flaw) = scanner.flaw() {
        return Err(format!("{}{}", describe(flaw), lines()));
    }
    let text = std::str::from_utf8(scanner.record())
        .map_err(|_| format!("it has bytes that are no text in the file's encoding{}", lines()))?;
    let found = scanner.fields().len();
    if found == fields {
        Ok(text)
    } else {
        Err(format!("it has {found} fields, and {fields} belong there{}", lines()))
    }
}

fn describe(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::StrayQuote => "it has a quote inside a field that does not begin with one",
        Flaw::AfterQuote => "something stands between a closing quote and the next delimiter",
        Flaw::Unterminated => "the file ends inside its quotes",
        Flaw::LineEnd => "it has a line end of another kind than the file's first line, outside of quotes",
        Flaw::Backslash => "the file ends with a backslash",
    }
}

/// A field's value, with `scratch` for one that is not as it stands in the file.
pub(crate) fn resolved<'a>(
    raw: &'a str,
    field: Field,
    options: &CsvOptions,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a str, Misfit> {
    if !field.escaped {
        return Ok(raw);
    }
    scratch.clear();
    scratch.shrink_to(WINDOW_BYTES);
    unescape(raw.as_bytes(), options.quote, options.backslash, scratch);
    // Only ASCII is taken out and put in, so this cannot fail.
    std::str::from_utf8(scratch).map_err(|_| Misfit("no text"))
}
