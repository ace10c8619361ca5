//! Declared types and ours: what a column of a table means, and what a column is declared as.
//!
//! SQLite takes any words as a type and derives from them an affinity, by which it converts what is
//! stored: a text that looks like a number becomes one in a column whose type holds `INT`, or no
//! word it knows. Types that we declare for values kept as text therefore hold the word `TEXT`
//! wherever a value could look like a number.

use syncline_types::{Column, LogicalType};

/// What a column without a type is called, as in a STRICT table.
pub(crate) const ANY: &str = "ANY";

/// How SQLite converts what is stored in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// Texts that are numbers become integers or reals.
    Integer,
    /// Numbers become text.
    Text,
    /// Nothing is converted.
    Blob,
    /// Numbers become reals.
    Real,
    /// As `Integer`.
    Numeric,
}

impl Affinity {
    /// By SQLite's own five rules, in their order.
    pub(crate) fn of(declared: &str) -> Self {
        let upper = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
        if has(&["INT"]) {
            Affinity::Integer
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Affinity::Text
        } else if upper.trim().is_empty() || has(&["BLOB"]) {
            Affinity::Blob
        } else if has(&["REAL", "FLOA", "DOUB"]) {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }

    /// A type name with this affinity that also a STRICT table knows.
    fn plain_type(self) -> &'static str {
        match self {
            Affinity::Integer | Affinity::Numeric => "INTEGER",
            Affinity::Text => "TEXT",
            Affinity::Blob => "BLOB",
            Affinity::Real => "REAL",
        }
    }
}

/// What a declared type means; `None` when nothing is declared, and only the values can tell.
pub(crate) fn logical(declared: &str) -> Option<LogicalType> {
    use LogicalType as L;
    let (name, arguments) = take_apart(declared);
    let one = |least: u32, most: u32| match arguments.as_slice() {
        [only] if (least..=most).contains(only) => Some(*only),
        _ => None,
    };
    let fraction = one(0, 6).and_then(|digits| u8::try_from(digits).ok()).unwrap_or(6);
    Some(match name.as_str() {
        "" | "ANY" => return None,
        "BOOLEAN" | "BOOL" => L::Bool,
        "DATE" => L::Date,
        "TIME" | "TIME WITHOUT TIME ZONE" => L::Time { precision: fraction },
        "DATETIME" | "TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE" => {
            L::Timestamp { zoned: false, precision: fraction }
        }
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => L::Timestamp { zoned: true, precision: fraction },
        "INTERVAL" => L::Interval,
        "DECIMAL" | "NUMERIC" | "DECIMAL_TEXT" | "NUMERIC_TEXT" => decimal(&arguments),
        "JSON" | "JSONB" | "JSON_TEXT" => L::JSON,
        "UUID" | "GUID" => L::Uuid,
        "BIT_TEXT" => L::Bits { length: one(1, u32::MAX), varying: false },
        "VARBIT_TEXT" => L::Bits { length: one(1, u32::MAX), varying: true },
        "FLOAT4" => L::Float32,
        _ => match Affinity::of(declared) {
            Affinity::Integer => L::Int64,
            Affinity::Text => L::TEXT,
            Affinity::Blob => L::Binary,
            Affinity::Real => L::Float64,
            Affinity::Numeric => L::Numeric,
        },
    })
}

/// `DECIMAL(p,s)` where a fixed decimal holds it; else decimal text of any size.
fn decimal(arguments: &[u32]) -> LogicalType {
    let (precision, scale) = match arguments {
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => return LogicalType::Numeric,
    };
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=76), Ok(scale)) if scale <= precision => {
            LogicalType::Decimal { precision, scale }
        }
        _ => LogicalType::Numeric,
    }
}

/// The words in capitals with single blanks, and the numbers in parentheses. Numbers that cannot be
/// read are as good as none.
fn take_apart(declared: &str) -> (String, Vec<u32>) {
    let (before, rest) = declared.split_once('(').unwrap_or((declared, ""));
    let (inside, after) = rest.split_once(')').unwrap_or((rest, ""));
    let words = before.split_whitespace().chain(after.split_whitespace());
    let name = words.map(str::to_ascii_uppercase).collect::<Vec<_>>().join(" ");
    let arguments: Option<Vec<u32>> = inside.split(',').map(|part| part.trim().parse().ok()).collect();
    (name, arguments.unwrap_or_default())
}

/// Whether a declared type is one of those that hold a date or a time.
pub(crate) fn is_date_like(logical: LogicalType) -> bool {
    matches!(logical, LogicalType::Date | LogicalType::Time { .. } | LogicalType::Timestamp { .. })
}

/// The type that a column of a new table gets.
pub(crate) fn column_type(column: &Column, dialect: &str) -> String {
    let verbatim = column.native.as_deref().filter(|native| {
        dialect == crate::dialect::NAME && logical(native) == Some(column.logical) && can_be_written(native)
    });
    // Numbers of a column without a type stay numbers; those of other systems may have more digits.
    let loose = dialect == crate::dialect::NAME && column.native.as_deref() == Some(ANY);
    match verbatim {
        Some(native) => native.to_owned(),
        None if loose && column.logical == LogicalType::Numeric => "NUMERIC".to_owned(),
        None => own_type(column.logical),
    }
}

/// As [`column_type`], for a table that only knows the types of a STRICT one.
pub(crate) fn strict_type(column: &Column) -> &'static str {
    Affinity::of(&own_type(column.logical)).strict(column.logical)
}

impl Affinity {
    /// Values that are texts need a text column where the types' names mean nothing.
    fn strict(self, logical: LogicalType) -> &'static str {
        use LogicalType as L;
        match logical {
            L::Bool => "INTEGER",
            L::Date | L::Time { .. } | L::Timestamp { .. } | L::Interval | L::Uuid => "TEXT",
            _ => self.plain_type(),
        }
    }
}

/// A type name that can be put into a statement as it is. SQLite keeps names that stood in quotes
/// without them.
pub(crate) fn can_be_written(declared: &str) -> bool {
    const NOT_IN_A_TYPE: &[&str] = &[
        "AS",
        "CHECK",
        "COLLATE",
        "CONSTRAINT",
        "DEFAULT",
        "GENERATED",
        "KEY",
        "NOT",
        "NULL",
        "PRIMARY",
        "REFERENCES",
        "UNIQUE",
        "WITH",
    ];
    let (name, _) = take_apart(declared);
    let plain = declared.chars().all(|c| c.is_ascii_alphanumeric() || "_ (),".contains(c));
    let parentheses: Vec<char> = declared.chars().filter(|c| "()".contains(*c)).collect();
    let closed = parentheses.is_empty() || (parentheses == ['(', ')'] && declared.trim().ends_with(')'));
    plain
        && closed
        && name.split(' ').all(|word| !NOT_IN_A_TYPE.contains(&word))
        && name.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
}

/// What we declare for a meaning. [`logical`] reads each of these back.
fn own_type(logical: LogicalType) -> String {
    use LogicalType as L;
    let sized = |name: &str, length: Option<u32>| match length {
        Some(length) => format!("{name}({length})"),
        None => name.to_owned(),
    };
    let fraction = |name: &str, precision: u8| match precision {
        6 => name.to_owned(),
        precision => format!("{name}({precision})"),
    };
    match logical {
        L::Bool => "BOOLEAN".into(),
        L::Int8 | L::Int16 | L::Int32 | L::Int64 | L::UInt8 | L::UInt16 | L::UInt32 => "INTEGER".into(),
        // Larger than SQLite's integers.
        L::UInt64 => "DECIMAL_TEXT(20,0)".into(),
        L::Float32 => "FLOAT4".into(),
        L::Float64 => "REAL".into(),
        L::Decimal { precision, scale } => format!("DECIMAL_TEXT({precision},{scale})"),
        L::Numeric => "NUMERIC_TEXT".into(),
        L::Text { length, padded: true } => sized("CHAR", length),
        L::Text { length: Some(length), padded: false } => format!("VARCHAR({length})"),
        L::Text { length: None, padded: false } | L::Opaque => "TEXT".into(),
        L::Binary => "BLOB".into(),
        L::Bits { length, varying: false } => sized("BIT_TEXT", length),
        L::Bits { length, varying: true } => sized("VARBIT_TEXT", length),
        L::Date => "DATE".into(),
        L::Time { precision } => fraction("TIME", precision),
        L::Timestamp { zoned: false, precision } => fraction("TIMESTAMP", precision),
        L::Timestamp { zoned: true, precision } => fraction("TIMESTAMPTZ", precision),
        L::Interval => "INTERVAL".into(),
        L::Json { .. } => "JSON_TEXT".into(),
        L::Uuid => "UUID".into(),
    }
}

/// A type for a column that is to convert as one declared so does, in a statement of ours.
pub(crate) fn same_affinity(declared: &str) -> &str {
    if can_be_written(declared) {
        return declared;
    }
    match Affinity::of(declared) {
        Affinity::Integer => "INTEGER",
        Affinity::Text => "TEXT",
        Affinity::Blob => "",
        Affinity::Real => "REAL",
        Affinity::Numeric => "NUMERIC",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One of each kind, and of each kind's sizes.
    pub(crate) const ALL: &[LogicalType] = {
        use LogicalType as L;
        &[
            L::Bool,
            L::Int8,
            L::Int16,
            L::Int32,
            L::Int64,
            L::UInt8,
            L::UInt16,
            L::UInt32,
            L::UInt64,
            L::Float32,
            L::Float64,
            L::Decimal { precision: 12, scale: 2 },
            L::Decimal { precision: 38, scale: 38 },
            L::Decimal { precision: 76, scale: 10 },
            L::Numeric,
            L::TEXT,
            L::Text { length: Some(10), padded: false },
            L::Text { length: Some(5), padded: true },
            L::Binary,
            L::Bits { length: Some(12), varying: false },
            L::Bits { length: None, varying: false },
            L::Bits { length: Some(12), varying: true },
            L::Bits { length: None, varying: true },
            L::Date,
            L::Time { precision: 6 },
            L::Time { precision: 0 },
            L::TIMESTAMP,
            L::Timestamp { zoned: false, precision: 3 },
            L::TIMESTAMPTZ,
            L::Timestamp { zoned: true, precision: 0 },
            L::Interval,
            L::JSON,
            L::Json { normalized: true },
            L::Uuid,
            L::Opaque,
        ]
    };

    #[test]
    fn declared_types_are_understood() {
        use LogicalType as L;
        let decimal = |precision, scale| L::Decimal { precision, scale };
        for (declared, expected) in [
            ("BOOLEAN", L::Bool),
            ("bool", L::Bool),
            ("INTEGER", L::Int64),
            ("bigint(20) unsigned", L::Int64),
            ("TINYINT(1)", L::Int64),
            ("POINT", L::Int64),
            ("DATE", L::Date),
            ("datetime", L::TIMESTAMP),
            ("TIMESTAMP(3)", L::Timestamp { zoned: false, precision: 3 }),
            ("TIMESTAMP(9)", L::TIMESTAMP),
            ("timestamp  with  time zone", L::TIMESTAMPTZ),
            ("TIMESTAMPTZ", L::TIMESTAMPTZ),
            ("TIME", L::TIME),
            ("DECIMAL( 10 , 2 )", decimal(10, 2)),
            ("NUMERIC(5)", decimal(5, 0)),
            ("NUMERIC(2,5)", L::Numeric),
            ("DECIMAL(100,2)", L::Numeric),
            ("DECIMAL(99999999999,2)", L::Numeric),
            ("NUMERIC", L::Numeric),
            ("MONEY", L::Numeric),
            ("JSON", L::JSON),
            ("UUID", L::Uuid),
            ("guid", L::Uuid),
            ("varchar ( 10 )", L::TEXT),
            ("NATIVE CHARACTER(70)", L::TEXT),
            ("CLOB", L::TEXT),
            ("BLOB", L::Binary),
            ("REAL", L::Float64),
            ("double precision", L::Float64),
            ("FLOAT", L::Float64),
            ("FLOAT4", L::Float32),
        ] {
            assert_eq!(logical(declared), Some(expected), "{declared}");
        }
        for nothing in ["", " ", "any"] {
            assert_eq!(logical(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn our_own_types_mean_what_they_were_made_for() {
        use LogicalType as L;
        for from in ALL {
            let declared = own_type(*from);
            let back = logical(&declared).unwrap();
            let expected = match *from {
                L::Int8 | L::Int16 | L::Int32 | L::UInt8 | L::UInt16 | L::UInt32 => L::Int64,
                L::UInt64 => L::Decimal { precision: 20, scale: 0 },
                L::Text { .. } | L::Opaque => L::TEXT,
                L::Json { .. } => L::JSON,
                same => same,
            };
            assert_eq!(back, expected, "{from} as {declared}");
            assert!(
                matches!(
                    syncline_sql::fit(*from, back),
                    syncline_sql::Fit::Exact | syncline_sql::Fit::Widened
                ),
                "{from} does not fit {declared}"
            );
        }
    }

    #[test]
    fn only_plain_type_names_are_copied() {
        let column = |native: &str, logical| Column::new("c", logical).native(native);
        for (native, expected) in [
            ("VARCHAR(20)", "VARCHAR(20)"),
            ("national text", "national text"),
            // In quotes it was a type name, without them it is not.
            ("TEXT DEFAULT", "TEXT"),
            ("TEXT)", "TEXT"),
            ("TEXT'", "TEXT"),
            // It means something else here.
            ("INT", "TEXT"),
        ] {
            assert_eq!(column_type(&column(native, LogicalType::TEXT), "sqlite"), expected, "{native}");
        }
        assert_eq!(column_type(&column("VARCHAR(20)", LogicalType::TEXT), "postgres"), "TEXT");
    }
}
