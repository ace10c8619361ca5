//! Defaults of new columns: another system's default need not be a value of its column's type, and
//! then the column gets none.

use syncline_types::{
    Column, DefaultValue, LogicalType, civil,
    decimal::{Digits, parse_128, parse_256},
    interval::Interval,
    text,
};

/// The SQL of a column's default, for a column of this type.
pub(crate) fn default_sql(column: &Column, same_dialect: bool, type_name: &str) -> Option<String> {
    let default = column.default.as_ref()?;
    let given = match default {
        DefaultValue::Bool(value) => value.to_string(),
        DefaultValue::Number(text) | DefaultValue::Text(text) => text.clone(),
    };
    let value = match same_dialect {
        true => given,
        false if written_otherwise(default, column.logical) => return None,
        false => canonical(&given, column.logical)?,
    };
    Some(format!("{}::{type_name}", syncline_sql::quote_text(&value)))
}

/// Whether the default is no text and its column is one: only its own system knows what text it makes.
fn written_otherwise(default: &DefaultValue, logical: LogicalType) -> bool {
    let is_text = matches!(logical, LogicalType::Text { .. } | LogicalType::Json { .. });
    is_text
        && match default {
            DefaultValue::Text(_) => false,
            DefaultValue::Number(text) => {
                text.parse::<i64>().map(|number| number.to_string()).as_ref() != Ok(text)
            }
            DefaultValue::Bool(_) => true,
        }
}

/// The text as a value of the type, in the form that the server reads; `None` when it is none. The
/// server itself is not asked: to it `now` is a date.
fn canonical(given: &str, logical: LogicalType) -> Option<String> {
    use LogicalType as L;
    let mut out = String::new();
    match logical {
        L::Bool => match given {
            "true" | "t" | "1" => out.push_str("true"),
            "false" | "f" | "0" => out.push_str("false"),
            _ => return None,
        },
        L::Int8 => out = given.parse::<i8>().ok()?.to_string(),
        L::Int16 => out = given.parse::<i16>().ok()?.to_string(),
        L::Int32 => out = given.parse::<i32>().ok()?.to_string(),
        L::Int64 => out = given.parse::<i64>().ok()?.to_string(),
        L::UInt8 => out = given.parse::<u8>().ok()?.to_string(),
        L::UInt16 => out = given.parse::<u16>().ok()?.to_string(),
        L::UInt32 => out = given.parse::<u32>().ok()?.to_string(),
        L::UInt64 => out = given.parse::<u64>().ok()?.to_string(),
        L::Float32 | L::Float64 => {
            let value: f64 = given.parse().ok()?;
            out = value.is_finite().then(|| format!("{value:?}"))?;
        }
        L::Decimal { precision, scale } => {
            let fits = match precision {
                ..=38 => parse_128(given, precision, scale).is_some(),
                _ => parse_256(given, precision, scale).is_some(),
            };
            out = fits.then(|| given.to_owned())?;
        }
        L::Numeric => out = Digits::parse(given).map(|_| given.to_owned())?,
        L::Text { length, .. } => {
            let fits = length.is_none_or(|length| given.chars().count() <= length as usize);
            out = (fits && !given.contains('\0')).then(|| given.to_owned())?;
        }
        L::Date => civil::write_date(civil::parse_date(given)?, &mut out),
        L::Time { .. } => civil::write_time(civil::parse_time(given)?, &mut out),
        L::Timestamp { zoned, .. } => {
            let (micros, has_zone) = civil::parse_timestamp(given)?;
            (zoned == has_zone).then(|| civil::write_timestamp(micros, zoned, &mut out))?;
        }
        L::Interval => Interval::parse(given)?.write(&mut out),
        L::Json { .. } => {
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(given).is_ok();
            out = valid.then(|| given.to_owned())?;
        }
        L::Uuid => text::write_uuid(&text::parse_uuid(given)?, &mut out),
        L::Binary | L::Bits { .. } | L::Opaque => return None,
    }
    Some(out)
}
