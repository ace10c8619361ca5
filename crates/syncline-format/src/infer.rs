//! Finds the types of files that come without a schema, from all values of all files.
//!
//! A type is taken only where every value of the column is exactly one of its values: leading zeros,
//! `+49`, whole numbers of more than 18 digits and decimals of more than 38 stay text.

use syncline_types::{Column, Error, LogicalType, Result, TableSchema, civil, codes};

use crate::{Compression, Format, Input, csv, jsonl, parquet};

/// Where the types of a file come from that has no schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Types {
    /// From its values, for which all files are read once.
    #[default]
    Infer,
    /// Every column is text.
    Text,
}

/// The schema of files that belong together: ours where the files hold it, else one without a key whose
/// columns are nullable wherever the format does not say otherwise.
///
/// # Errors
/// When a file cannot be read, is empty of columns, or has other columns than the first.
pub fn infer(
    format: &Format,
    compression: Compression,
    types: Types,
    inputs: impl IntoIterator<Item = Result<Input>>,
) -> Result<TableSchema> {
    let mut columns: Option<Columns> = None;
    let mut add = |found: Option<Columns>| {
        match (&mut columns, found) {
            (_, None) => {}
            (None, Some(found)) => columns = Some(found),
            (Some(columns), Some(found)) => columns.merge(&found)?,
        }
        Ok(())
    };
    let mut inputs = inputs.into_iter();
    match format {
        Format::Csv(options) => {
            inputs.try_for_each(|input| add(csv::infer::columns(options, compression, types, input?)?))?;
        }
        Format::JsonLines(_) => {
            inputs.try_for_each(|input| add(jsonl::infer::columns(compression, types, input?)?))?;
        }
        Format::Parquet(_) => {
            return parquet::infer::schema(compression, types, inputs)?.ok_or_else(|| all_empty(format));
        }
    }
    let columns = columns.ok_or_else(|| all_empty(format))?;
    Ok(TableSchema::new(format.name(), columns.found.iter().map(Evidence::column).collect()))
}

fn all_empty(format: &Format) -> Error {
    Error::new(&codes::NEEDS_DECISION, "find the columns of", format!("{} files", format.name()))
        .because("they are all empty, or there is none")
        .hint("Put a file with columns there")
}

/// What the columns of one file, or of several, look like.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The file they were first seen in.
    pub(crate) file: String,
    pub(crate) found: Vec<Evidence>,
    /// Whether a file may lack some of them.
    pub(crate) optional: bool,
}

impl Columns {
    fn merge(&mut self, other: &Columns) -> Result<()> {
        for evidence in &other.found {
            match self.found.iter_mut().find(|known| known.name == evidence.name) {
                Some(known) => known.merge(evidence),
                None if self.optional => self.found.push(evidence.clone()),
                None => return Err(differ(&other.file, &evidence.name, &self.file)),
            }
        }
        let missing = |known: &&Evidence| !other.found.iter().any(|evidence| evidence.name == known.name);
        match self.found.iter().find(missing) {
            Some(missing) if !self.optional => Err(differ(&self.file, &missing.name, &other.file)),
            _ => Ok(()),
        }
    }
}

fn differ(one: &str, column: &str, other: &str) -> Error {
    Error::new(&codes::NEEDS_DECISION, "take files for one stream", format!("`{one}` and `{other}`"))
        .because(format!("the first has a column `{column}` and the second has not"))
        .hint("Name the files of each stream by a glob of their own")
}

/// What one column's values could be.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) name: String,
    /// Types that all values so far are values of.
    fits: u16,
    seen: bool,
    /// Whether there are objects or arrays.
    nested: bool,
    /// Most digits before and after the point.
    whole: usize,
    fraction: usize,
}

const BOOL: u16 = 1;
const INT: u16 = 1 << 1;
const DECIMAL: u16 = 1 << 2;
const DOUBLE: u16 = 1 << 3;
const DATE: u16 = 1 << 4;
const TIMESTAMP: u16 = 1 << 5;
const TIMESTAMPTZ: u16 = 1 << 6;
const NUMERIC: u16 = 1 << 7;
const ALL: u16 = (1 << 8) - 1;

/// Digits that a 64-bit float keeps, whatever they are.
const DOUBLE_DIGITS: usize = 15;
/// Digits that the shortest form of a 64-bit float has at most.
const DOUBLE_DIGITS_WRITTEN: usize = 17;
/// Digits of a whole number that 64 bits always hold.
const INT_DIGITS: usize = 18;
/// Digits of a decimal that every system holds.
const DECIMAL_DIGITS: usize = 38;

impl Evidence {
    pub(crate) fn new(name: String) -> Self {
        Evidence { name, fits: ALL, seen: false, nested: false, whole: 0, fraction: 0 }
    }

    /// Whatever the values are, they are taken as texts.
    pub(crate) fn text(&mut self) {
        self.nested = false;
        self.see(0);
    }

    /// Takes a text, whose form may be one of several types.
    pub(crate) fn see_text(&mut self, text: &str) {
        if self.fits != 0 || !self.seen {
            let fits = self.of_text(text);
            self.see(fits);
        }
    }

    /// Takes a JSON text, which is a time or nothing but a text.
    pub(crate) fn see_time(&mut self, text: &str) {
        self.see(of_time(text));
    }

    /// Takes a JSON number, which is one whatever its length.
    pub(crate) fn see_number(&mut self, text: &str) {
        let fits = Number::parse(text).map_or(0, |number| self.of_number(&number, text));
        self.see(fits | NUMERIC);
    }

    pub(crate) fn see_bool(&mut self) {
        self.see(BOOL);
    }

    pub(crate) fn see_nested(&mut self) {
        self.nested = true;
        self.see(0);
    }

    fn see(&mut self, fits: u16) {
        self.seen = true;
        self.fits &= fits;
    }

    fn merge(&mut self, other: &Evidence) {
        self.fits &= other.fits;
        self.seen |= other.seen;
        self.nested |= other.nested;
        self.whole = self.whole.max(other.whole);
        self.fraction = self.fraction.max(other.fraction);
    }

    /// The types that a text is exactly a value of.
    fn of_text(&mut self, text: &str) -> u16 {
        match text.as_bytes() {
            b"true" | b"false" | b"TRUE" | b"FALSE" | b"True" | b"False" => BOOL,
            b"NaN" | b"Infinity" | b"-Infinity" => DOUBLE,
            [b'-' | b'0'..=b'9', ..] => match Number::parse(text) {
                Some(number) => self.of_number(&number, text),
                None => of_time(text),
            },
            _ => 0,
        }
    }

    fn of_number(&mut self, number: &Number, text: &str) -> u16 {
        let digits = number.whole + number.fraction;
        let double = |most: usize| if digits <= most { DOUBLE } else { 0 };
        if number.exponent {
            let finite =
                text.parse::<f64>().is_ok_and(|value| value.is_finite() && (value != 0.0 || number.zero));
            return if finite { double(DOUBLE_DIGITS_WRITTEN) } else { 0 };
        }
        // Only a float keeps the sign of zero.
        if number.negative && number.zero {
            return double(DOUBLE_DIGITS);
        }
        if number.fraction == 0 && digits > INT_DIGITS || digits > DECIMAL_DIGITS {
            return 0;
        }
        self.whole = self.whole.max(number.whole);
        self.fraction = self.fraction.max(number.fraction);
        DECIMAL | double(DOUBLE_DIGITS) | if number.fraction == 0 { INT } else { 0 }
    }

    fn column(&self) -> Column {
        Column::new(&self.name, if self.seen { self.logical() } else { LogicalType::TEXT })
    }

    fn logical(&self) -> LogicalType {
        let fits = |bit: u16| self.fits & bit != 0;
        let digits = self.whole + self.fraction;
        if self.nested {
            LogicalType::JSON
        } else if fits(BOOL) {
            LogicalType::Bool
        } else if fits(INT) {
            LogicalType::Int64
        } else if fits(DECIMAL) && digits <= DECIMAL_DIGITS {
            // The values to come may have more digits before the point than those that are there.
            let precision = if digits <= INT_DIGITS { INT_DIGITS } else { DECIMAL_DIGITS };
            let small = |digits: usize| u8::try_from(digits).unwrap_or(u8::MAX);
            LogicalType::Decimal { precision: small(precision), scale: small(self.fraction) }
        } else if fits(DOUBLE) {
            LogicalType::Float64
        } else if fits(NUMERIC) {
            LogicalType::Numeric
        } else if fits(DATE) {
            LogicalType::Date
        } else if fits(TIMESTAMP) {
            LogicalType::TIMESTAMP
        } else if fits(TIMESTAMPTZ) {
            LogicalType::TIMESTAMPTZ
        } else {
            LogicalType::TEXT
        }
    }
}

/// A number as it is written: `-`, digits without a leading zero, a point and digits, an exponent.
struct Number {
    negative: bool,
    zero: bool,
    whole: usize,
    fraction: usize,
    exponent: bool,
}

impl Number {
    fn parse(text: &str) -> Option<Number> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (rest.get(..at)?, Some(rest.get(at + 1..)?)),
            None => (rest, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !digits(whole) || !digits(fraction) {
            return None;
        }
        if let Some(exponent) = exponent {
            let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            if unsigned.is_empty() || !digits(unsigned) {
                return None;
            }
        }
        let zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        let whole_digits = if whole == "0" { 0 } else { whole.len() };
        Some(Number {
            negative,
            zero,
            whole: whole_digits,
            fraction: fraction.len(),
            exponent: exponent.is_some(),
        })
    }
}

/// Dates and timestamps of four-digit years.
fn of_time(text: &str) -> u16 {
    if text.as_bytes().get(4) != Some(&b'-') {
        return 0;
    }
    match text.len() {
        10 => civil::parse_date(text).map_or(0, |_| DATE),
        16.. => match civil::parse_timestamp(text) {
            Some((_, true)) => TIMESTAMPTZ,
            Some((_, false)) => TIMESTAMP,
            None => 0,
        },
        _ => 0,
    }
}
