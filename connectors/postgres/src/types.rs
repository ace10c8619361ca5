//! PostgreSQL's types and ours: what a column of a table means, and what a column is made as.

use syncline_types::{Column, LogicalType};

/// OIDs of the types that we know; they are the same on every server.
pub(crate) mod oid {
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const BYTEA: u32 = 17;
    pub(crate) const NAME: u32 = 19;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const TEXT: u32 = 25;
    pub(crate) const OID: u32 = 26;
    pub(crate) const JSON: u32 = 114;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const BPCHAR: u32 = 1042;
    pub(crate) const VARCHAR: u32 = 1043;
    pub(crate) const DATE: u32 = 1082;
    pub(crate) const TIME: u32 = 1083;
    pub(crate) const TIMESTAMP: u32 = 1114;
    pub(crate) const TIMESTAMPTZ: u32 = 1184;
    pub(crate) const INTERVAL: u32 = 1186;
    pub(crate) const BIT: u32 = 1560;
    pub(crate) const VARBIT: u32 = 1562;
    pub(crate) const NUMERIC: u32 = 1700;
    pub(crate) const UUID: u32 = 2950;
    pub(crate) const JSONB: u32 = 3802;
}

/// A column's type as the catalog has it, domains followed down to what they are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PgType {
    /// OID of the base type.
    pub(crate) oid: u32,
    /// Its modifier, -1 for none.
    pub(crate) modifier: i32,
    /// Whether the base type is an enumeration.
    pub(crate) is_enum: bool,
}

/// The header that modifiers of lengths and numerics carry.
const HEADER: i32 = 4;

impl PgType {
    /// What its values mean.
    pub(crate) fn logical(&self) -> LogicalType {
        use LogicalType as L;
        if self.is_enum {
            return L::TEXT;
        }
        let length = u32::try_from(self.modifier - HEADER).ok().filter(|length| *length > 0);
        let bits = u32::try_from(self.modifier).ok().filter(|bits| *bits > 0);
        let fraction = u8::try_from(self.modifier).ok().filter(|digits| *digits <= 6).unwrap_or(6);
        match self.oid {
            oid::BOOL => L::Bool,
            oid::INT2 => L::Int16,
            oid::INT4 => L::Int32,
            oid::INT8 => L::Int64,
            oid::OID => L::UInt32,
            oid::FLOAT4 => L::Float32,
            oid::FLOAT8 => L::Float64,
            oid::NUMERIC => self.numeric(),
            oid::TEXT => L::TEXT,
            oid::NAME => L::Text { length: Some(63), padded: false },
            oid::VARCHAR => L::Text { length, padded: false },
            oid::BPCHAR => L::Text { length, padded: length.is_some() },
            oid::BYTEA => L::Binary,
            oid::BIT => L::Bits { length: bits, varying: false },
            oid::VARBIT => L::Bits { length: bits, varying: true },
            oid::DATE => L::Date,
            oid::TIME => L::Time { precision: fraction },
            oid::TIMESTAMP => L::Timestamp { zoned: false, precision: fraction },
            oid::TIMESTAMPTZ => L::Timestamp { zoned: true, precision: fraction },
            oid::INTERVAL => L::Interval,
            oid::JSON => L::Json { normalized: false },
            oid::JSONB => L::Json { normalized: true },
            oid::UUID => L::Uuid,
            _ => L::Opaque,
        }
    }

    /// `numeric(p,s)` where a fixed decimal holds it; else decimal text of any size.
    fn numeric(&self) -> LogicalType {
        let packed = self.modifier - HEADER;
        // The scale is kept in eleven bits with its sign.
        let (precision, scale) = (packed >> 16 & 0xFFFF, (packed & 0x7FF ^ 0x400) - 0x400);
        match (u8::try_from(precision), u8::try_from(scale)) {
            (Ok(precision @ 1..=76), Ok(scale)) if self.modifier >= HEADER && scale <= precision => {
                LogicalType::Decimal { precision, scale }
            }
            _ => LogicalType::Numeric,
        }
    }
}

/// How a column is read: as it is, or by the server's own text of it.
pub(crate) fn reads_as_text(logical: LogicalType) -> bool {
    logical == LogicalType::Opaque
}

/// The type that a column of a new table gets when its source's own type name is of no use here.
pub(crate) fn column_type(column: &Column) -> String {
    use LogicalType as L;
    let sized = |name: &str, length: Option<u32>| match length {
        Some(length) => format!("{name}({length})"),
        None => name.to_owned(),
    };
    let fraction = |name: &str, precision: u8, rest: &str| match precision {
        6 => format!("{name}{rest}"),
        precision => format!("{name}({precision}){rest}"),
    };
    match column.logical {
        L::Bool => "boolean".into(),
        L::Int8 | L::Int16 | L::UInt8 => "smallint".into(),
        L::Int32 | L::UInt16 => "integer".into(),
        L::Int64 | L::UInt32 => "bigint".into(),
        L::UInt64 => "numeric(20,0)".into(),
        L::Float32 => "real".into(),
        L::Float64 => "double precision".into(),
        L::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        L::Numeric => "numeric".into(),
        L::Text { length, padded: true } => sized("character", length),
        L::Text { length: Some(length), padded: false } => format!("character varying({length})"),
        L::Text { length: None, padded: false } | L::Opaque => "text".into(),
        L::Binary => "bytea".into(),
        L::Bits { length, varying: false } if length.is_some() => sized("bit", length),
        L::Bits { length, .. } => sized("bit varying", length),
        L::Date => "date".into(),
        L::Time { precision } => fraction("time", precision, " without time zone"),
        L::Timestamp { zoned: false, precision } => fraction("timestamp", precision, " without time zone"),
        L::Timestamp { zoned: true, precision } => fraction("timestamp", precision, " with time zone"),
        L::Interval => "interval".into(),
        L::Json { normalized: false } => "json".into(),
        L::Json { normalized: true } => "jsonb".into(),
        L::Uuid => "uuid".into(),
    }
}

/// A column read as the server's own text. A cast would ask whoever has made one from the type to
/// text: `inet` says `10.0.0.1/32` then.
pub(crate) fn text_of(column: &str) -> String {
    format!("CASE num_nulls({column}) WHEN 0 THEN format('%s', {column}) END")
}

/// Whether two values of a type are the same as soon as they are equal. `1.0` and `1.00` are equal
/// as `numeric`, as are `1 mon` and `30 days`, or `0` and `-0`; others, such as `json`, cannot be compared.
pub(crate) fn equal_is_same(type_name: &str) -> bool {
    let (name, rest) = type_name.split_once('(').unwrap_or((type_name, ""));
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    match (name, after) {
        // Of a fixed scale, so written in one way only.
        ("numeric", _) => !rest.is_empty(),
        ("time" | "timestamp", " without time zone" | " with time zone") => true,
        (
            "boolean"
            | "smallint"
            | "integer"
            | "bigint"
            | "oid"
            | "text"
            | "character varying"
            | "character"
            | "name"
            | "bytea"
            | "uuid"
            | "date"
            | "bit"
            | "bit varying"
            | "time without time zone"
            | "time with time zone"
            | "timestamp without time zone"
            | "timestamp with time zone",
            "",
        ) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logical(oid: u32, modifier: i32) -> LogicalType {
        PgType { oid, modifier, is_enum: false }.logical()
    }

    fn numeric(precision: i32, scale: i32) -> LogicalType {
        logical(oid::NUMERIC, (precision << 16 | scale & 0x7FF) + HEADER)
    }

    #[test]
    fn modifiers_are_read_as_the_server_means_them() {
        use LogicalType as L;
        assert_eq!(numeric(12, 2), L::Decimal { precision: 12, scale: 2 });
        assert_eq!(numeric(76, 76), L::Decimal { precision: 76, scale: 76 });
        for (precision, scale) in [(77, 2), (5, -2), (2, 5), (1000, 0)] {
            assert_eq!(numeric(precision, scale), L::Numeric, "numeric({precision},{scale})");
        }
        assert_eq!(logical(oid::NUMERIC, -1), L::Numeric);
        assert_eq!(logical(oid::VARCHAR, 24), L::Text { length: Some(20), padded: false });
        assert_eq!(logical(oid::VARCHAR, -1), L::TEXT);
        assert_eq!(logical(oid::BPCHAR, 7), L::Text { length: Some(3), padded: true });
        assert_eq!(logical(oid::BPCHAR, -1), L::TEXT);
        assert_eq!(logical(oid::BIT, 12), L::Bits { length: Some(12), varying: false });
        assert_eq!(logical(oid::TIMESTAMP, 3), L::Timestamp { zoned: false, precision: 3 });
        assert_eq!(logical(oid::TIMESTAMPTZ, -1), L::TIMESTAMPTZ);
        assert_eq!(logical(869, -1), L::Opaque);
    }

    #[test]
    fn only_types_with_one_form_of_each_value_are_compared_by_value() {
        for same in
            ["integer", "numeric(12,2)", "character(5)", "timestamp(3) with time zone", "date", "bit(3)"]
        {
            assert!(equal_is_same(same), "{same}");
        }
        for not in [
            "numeric",
            "double precision",
            "interval",
            "jsonb",
            "json[]",
            "integer[]",
            "mood",
            "timestamp(3)[]",
        ] {
            assert!(!equal_is_same(not), "{not}");
        }
    }
}
