//! The columns of a CSV file, and what their values could be.

use syncline_types::Result;

use super::{
    CsvOptions,
    read::{RECORD_BYTES_MAX, check_closed, check_record, read_header, resolved, too_wide},
    scan::{Found, Scanner},
    unnamed,
};
use crate::{
    Compression, Input,
    encoding::utf8,
    error,
    infer::{Columns, Evidence, Types},
};

/// The columns of one file; `None` when it has not even a header. Records that are broken say nothing
/// about types: reading refuses them one by one.
pub(crate) fn columns(
    options: &CsvOptions,
    compression: Compression,
    types: Types,
    input: Input,
) -> Result<Option<Columns>> {
    options.check()?;
    let (file, read) = input.open(compression)?;
    let text = utf8(options.encoding, read).map_err(|failed| error::read(&file, &failed))?;
    let mut scanner = Scanner::new(text, options);
    let mut found: Vec<Evidence> = vec![];
    if options.header {
        let Some(names) = read_header(&mut scanner, options, &file)? else { return Ok(None) };
        found.extend(names.into_iter().map(Evidence::new));
    }
    let record_bytes_max = usize::try_from(RECORD_BYTES_MAX).unwrap_or(usize::MAX);
    let mut scratch = vec![];
    while types == Types::Infer || found.is_empty() {
        match scanner.advance(record_bytes_max).map_err(|failed| error::read(&file, &failed))? {
            Found::End => break,
            Found::TooWide => return Err(too_wide(&scanner, &file)),
            Found::Record => check_closed(&scanner, &file)?,
        }
        // Without a header the first row says how many columns there are.
        if found.is_empty() && !scanner.is_blank() {
            found.extend((0..scanner.fields().len()).map(|index| Evidence::new(unnamed(index))));
        }
        if let Ok(text) = check_record(&scanner, found.len()) {
            for (field, evidence) in scanner.fields().iter().zip(&mut found) {
                let raw = text.get(field.range()).unwrap_or_default();
                if !field.quoted && raw == options.null {
                    continue;
                }
                if let Ok(value) = resolved(raw, *field, options, &mut scratch) {
                    evidence.see_text(value);
                }
            }
        }
        scanner.consume();
    }
    if types == Types::Text {
        found.iter_mut().for_each(Evidence::text);
    }
    Ok((!found.is_empty()).then_some(Columns { file, found, optional: false }))
}
