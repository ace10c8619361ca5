//! Which tables are made up: the ready ones, and the little language of `columns`.

use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes};

use crate::config::GenerateConfig;

/// A made-up table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) columns: Vec<Made>,
}

/// A made-up column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Percent of values that are NULL.
    pub(crate) null_percent: u8,
}

/// What a column's values are like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// 1, 2, 3 ...
    Sequence,
    /// Any value of a type; lengths where the type has none of its own.
    Any { logical: LogicalType, least: u32, most: u32 },
}

/// The table of the benchmarks: twelve columns, about 200 bytes a row.
const ORDERS: &str = "id:sequence,customer_id:int32,product_id:int32,quantity:int16,price:decimal(12,2),\
    customer:text(10..40),note:text(0..80)?20,created_at:timestamp,ship_date:date?10,paid:bool,\
    attributes:json,hash:binary(32..32)";

/// Four small columns.
const NARROW: &str = "id:sequence,account:int32,amount:decimal(12,2),at:timestamp";

/// Every type once.
const TYPES: &str = "id:sequence,c_bool:bool?10,c_int8:int8,c_int16:int16?10,c_int32:int32,c_int64:int64,\
    c_uint8:uint8,c_uint16:uint16,c_uint32:uint32,c_uint64:uint64,c_float32:float32,c_float64:float64,\
    c_decimal:decimal(12,2),c_wide:decimal(60,20),c_numeric:numeric?10,c_text:text(0..40)?10,\
    c_binary:binary(0..40)?10,c_bit:bit(12),c_date:date,c_time:time,c_timestamp:timestamp?10,\
    c_timestamptz:timestamptz,c_interval:interval,c_json:json,c_jsonb:jsonb,c_uuid:uuid";

/// Longest text or binary that may be asked for: PostgreSQL's own limit is 1 GiB.
const LENGTH_MAX: u32 = 256 << 20;

const READY: &[(&str, &str)] = &[("orders", ORDERS), ("narrow", NARROW), ("types", TYPES)];

pub(crate) fn tables(config: &GenerateConfig) -> Result<Vec<Table>> {
    let names: Vec<&str> = config.path.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(Error::new(&codes::BAD_URL, "use connection", "`generate:`")
            .because("it names no table")
            .hint("Write generate:orders, or generate:NAME?columns=..."));
    }
    names.into_iter().map(|name| table(name, config)).collect()
}

fn table(name: &str, config: &GenerateConfig) -> Result<Table> {
    let ready = READY.iter().find(|(ready, _)| *ready == name).map(|(_, columns)| *columns);
    let columns = match (&config.columns, ready) {
        (Some(columns), _) => parse(columns)?,
        (None, Some(ready)) => parse(ready)?,
        (None, None) => {
            let near = syncline_connect::nearest(name, READY.iter().map(|(name, _)| *name));
            let hint = match near {
                Some(near) => format!("Did you mean `{near}`? Any other name needs `columns`"),
                None => {
                    "The ready tables are orders, narrow and types; any other name needs `columns`".into()
                }
            };
            return Err(Error::new(&codes::STREAM_MISSING, "make up table", format!("`{name}`"))
                .because("there is no ready table of that name")
                .hint(hint));
        }
    };
    Ok(Table { name: name.to_owned(), rows: config.rows, columns })
}

impl Table {
    pub(crate) fn schema(&self) -> TableSchema {
        let columns = self.columns.iter().map(Made::column).collect();
        let key = self.key().map(|column| column.name.clone());
        TableSchema::new("generate", columns).with_key(key)
    }

    /// The column that counts.
    pub(crate) fn key(&self) -> Option<&Made> {
        self.columns.iter().find(|column| column.kind == Kind::Sequence)
    }
}

impl Made {
    fn column(&self) -> Column {
        let column = Column::new(&self.name, self.kind.logical());
        if self.null_percent == 0 { column.required() } else { column }
    }
}

impl Kind {
    pub(crate) fn logical(&self) -> LogicalType {
        match self {
            Kind::Sequence => LogicalType::Int64,
            Kind::Any { logical, .. } => *logical,
        }
    }
}

fn wrong(spec: &str, reason: &str) -> Error {
    Error::new(&codes::BAD_VALUE, "read the column", format!("`{spec}`"))
        .because(reason)
        .hint("Columns are written name:type, as in id:sequence,price:decimal(12,2)?10")
}

/// Reads `name:type(args)?percent, ...`; commas inside parentheses do not separate.
fn parse(text: &str) -> Result<Vec<Made>> {
    let mut columns: Vec<Made> = vec![];
    let mut depth = 0_u32;
    let outside = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    for spec in text.split(outside) {
        let column = parse_column(spec.trim())?;
        if columns.iter().any(|known| known.name == column.name) {
            return Err(wrong(spec, "there is another column of this name"));
        }
        let second_key =
            column.kind == Kind::Sequence && columns.iter().any(|known| known.kind == Kind::Sequence);
        if second_key {
            return Err(wrong(spec, "there is another sequence"));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn parse_column(spec: &str) -> Result<Made> {
    let (name, rest) = spec.split_once(':').ok_or_else(|| wrong(spec, "it has no type"))?;
    let (kind, null_percent) = match rest.split_once('?') {
        Some((kind, percent)) => {
            let percent = percent.trim().parse().ok().filter(|percent| *percent <= 100);
            (kind, percent.ok_or_else(|| wrong(spec, "after `?` comes a percentage"))?)
        }
        None => (rest, 0),
    };
    let kind =
        parse_kind(kind.trim()).ok_or_else(|| wrong(spec, "its type is not one that can be made up"))?;
    if name.trim().is_empty() || (kind == Kind::Sequence && null_percent > 0) {
        return Err(wrong(spec, "it has no name, or is a sequence with NULLs"));
    }
    Ok(Made { name: name.trim().to_owned(), kind, null_percent })
}

fn parse_kind(text: &str) -> Option<Kind> {
    use LogicalType as L;
    let (name, arguments) = match text.split_once('(') {
        Some((name, arguments)) => (name, Some(arguments.strip_suffix(')')?)),
        None => (text, None),
    };
    let any = |logical| Some(Kind::Any { logical, least: 0, most: 0 });
    let numbers = |separator: &str| {
        let (a, b) = arguments?.split_once(separator)?;
        Some((a.trim().parse::<u32>().ok()?, b.trim().parse::<u32>().ok()?))
    };
    let sized = |logical| match arguments {
        None => Some(Kind::Any { logical, least: 0, most: 40 }),
        Some(_) => {
            let (least, most) = numbers("..")?;
            (least <= most && most <= LENGTH_MAX).then_some(Kind::Any { logical, least, most })
        }
    };
    match (name, arguments) {
        ("text", _) => return sized(L::TEXT),
        ("binary", _) => return sized(L::Binary),
        ("decimal", Some(_)) => {
            let (precision, scale) = numbers(",")?;
            let (precision, scale) = (u8::try_from(precision).ok()?, u8::try_from(scale).ok()?);
            return (1..=76)
                .contains(&precision)
                .then_some(precision >= scale)?
                .then(|| any(L::Decimal { precision, scale }))?;
        }
        ("bit", Some(length)) => {
            let length: u32 = length.trim().parse().ok().filter(|length| (1..=4_096).contains(length))?;
            return any(L::Bits { length: Some(length), varying: false });
        }
        (_, Some(_)) => return None,
        (_, None) => {}
    }
    any(match name {
        "sequence" => return Some(Kind::Sequence),
        "bool" => L::Bool,
        "int8" => L::Int8,
        "int16" => L::Int16,
        "int32" => L::Int32,
        "int64" => L::Int64,
        "uint8" => L::UInt8,
        "uint16" => L::UInt16,
        "uint32" => L::UInt32,
        "uint64" => L::UInt64,
        "float32" => L::Float32,
        "float64" => L::Float64,
        "numeric" => L::Numeric,
        "date" => L::Date,
        "time" => L::TIME,
        "timestamp" => L::TIMESTAMP,
        "timestamptz" => L::TIMESTAMPTZ,
        "interval" => L::Interval,
        "json" => L::JSON,
        "jsonb" => L::Json { normalized: true },
        "uuid" => L::Uuid,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_tables_can_be_read() {
        let counts: Vec<usize> = READY.iter().map(|(_, columns)| parse(columns).unwrap().len()).collect();
        assert_eq!(counts, [12, 4, 26]);
    }

    #[test]
    fn what_cannot_be_made_up_is_refused() {
        for bad in [
            "",
            "id",
            "id:",
            ":text",
            "id:nonsense",
            "a:text,a:text",
            "a:text(5..1)",
            "a:decimal(80,2)",
            "a:decimal(2,3)",
            "a:int32?101",
            "a:sequence?5",
            "a:sequence,b:sequence",
            "a:bit(0)",
            "a:int32(4)",
            "a:text(0..999999999)",
        ] {
            assert_eq!(parse(bad).map_err(|error| error.code()).unwrap_err(), &codes::BAD_VALUE, "{bad}");
        }
    }
}
