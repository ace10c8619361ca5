//! The table that both sides evaluate expressions over: nasty values of every type.

use arrow_array::RecordBatch;
use syncline_testkit::seed::Rng;
use syncline_types::{Column, LogicalType as L, TableSchema};

use crate::columns;

/// A column: its name, its type on both sides and the texts it is filled from. NULL comes on top.
struct Source {
    name: &'static str,
    postgres: &'static str,
    logical: L,
    values: &'static [&'static str],
}

const INTS: &[&str] = &["0", "1", "-1", "2", "7", "100", "-5", "2147483647", "-2147483648"];
const FLOATS: &[&str] = &[
    "0",
    "-0",
    "1.5",
    "-2.5",
    "0.5",
    "2.5",
    "0.1",
    "1e300",
    "-1e300",
    "1e-300",
    "NaN",
    "Infinity",
    "-Infinity",
    "2",
    "123456789.125",
    "-3",
];
const TEXTS: &[&str] = &[
    "a",
    "",
    "ab c",
    "Äb",
    " x ",
    "abcabc",
    "12",
    "-7",
    "true",
    "日本語",
    "a%b_c\\",
    "ß",
    "2024-02-29",
    "1.50",
    "NaN",
    "b",
    "B",
    "aab",
    "no",
    " 5 ",
    "99999999999",
    "12:30",
    "1e5",
    "hello World-foo",
    "a\nb",
];
const DATES: &[&str] = &[
    "2024-02-29",
    "1970-01-01",
    "0001-01-01",
    "4713-01-01 BC",
    "5874897-12-31",
    "infinity",
    "-infinity",
    "1999-12-31",
    "2000-01-03",
    "0044-03-15 BC",
    "2023-01-01",
    "2020-12-31",
    "2001-01-01",
    "1900-03-01",
];
const MOMENTS: &[&str] = &[
    "2024-02-29 12:34:56.789012",
    "1969-12-31 23:59:59.999999",
    "0001-01-01",
    "4713-01-01 00:00:00 BC",
    "280000-01-01 00:00:00",
    "infinity",
    "-infinity",
    "2000-01-01 00:00:00.0005",
    "1970-01-01",
    "2021-01-03 23:59:59.5",
    "2010-12-31 00:00:00",
    "0099-06-15 01:02:03 BC",
    "2100-12-31 23:00:00",
];

const DECIMAL_12_2: L = L::Decimal { precision: 12, scale: 2 };
const DECIMAL_30_10: L = L::Decimal { precision: 30, scale: 10 };

const SOURCES: &[Source] = &[
    Source {
        name: "i2",
        postgres: "int2",
        logical: L::Int16,
        values: &["0", "1", "-3", "5", "32767", "-32768", "2", "28"],
    },
    Source { name: "i", postgres: "int4", logical: L::Int32, values: INTS },
    Source { name: "j", postgres: "int4", logical: L::Int32, values: INTS },
    Source {
        name: "l",
        postgres: "int8",
        logical: L::Int64,
        values: &["0", "1", "-1", "3", "10000000000", "9223372036854775807", "-9223372036854775808", "12"],
    },
    Source {
        name: "n",
        postgres: "numeric(12,2)",
        logical: DECIMAL_12_2,
        values: &[
            "0.00",
            "1.00",
            "-1.50",
            "9999999999.99",
            "-0.01",
            "123.45",
            "2.50",
            "NaN",
            "10.00",
            "0.05",
        ],
    },
    Source {
        name: "m",
        postgres: "numeric(30,10)",
        logical: DECIMAL_30_10,
        values: &[
            "0.0000000000",
            "1.0000000001",
            "-12345678901234567890.1234567890",
            "0.5000000000",
            "99.9999999999",
            "-3.0000000000",
        ],
    },
    Source {
        name: "u",
        postgres: "numeric",
        logical: L::Numeric,
        values: &[
            "0",
            "1.50",
            "-0.000000001",
            "123456789012345678901234567890.123",
            "NaN",
            "Infinity",
            "3",
            "2.5",
            "-7.25",
            "1000000",
            "0.1000",
        ],
    },
    Source {
        name: "g",
        postgres: "float4",
        logical: L::Float32,
        values: &[
            "0",
            "-0",
            "1.5",
            "-2.5",
            "0.1",
            "3.4e38",
            "1e-45",
            "NaN",
            "Infinity",
            "-Infinity",
            "16777217",
        ],
    },
    Source { name: "f", postgres: "float8", logical: L::Float64, values: FLOATS },
    Source { name: "h", postgres: "float8", logical: L::Float64, values: FLOATS },
    Source { name: "s", postgres: "text", logical: L::TEXT, values: TEXTS },
    Source { name: "t", postgres: "text", logical: L::TEXT, values: TEXTS },
    Source {
        name: "v",
        postgres: "varchar(8)",
        logical: L::Text { length: Some(8), padded: false },
        values: &["ab", "ab  ", "", "Äb", "12345678", " a"],
    },
    Source {
        name: "c",
        postgres: "char(5)",
        logical: L::Text { length: Some(5), padded: true },
        values: &["ab   ", "     ", "abcde", "a    ", "Äb   "],
    },
    Source { name: "b", postgres: "bool", logical: L::Bool, values: &["true", "false"] },
    Source { name: "a", postgres: "bool", logical: L::Bool, values: &["true", "false"] },
    Source { name: "d", postgres: "date", logical: L::Date, values: DATES },
    Source { name: "e", postgres: "date", logical: L::Date, values: DATES },
    Source {
        name: "tm",
        postgres: "time",
        logical: L::TIME,
        values: &["00:00", "23:59:59.999999", "12:34:56.789", "24:00:00", "06:30:00.005"],
    },
    Source { name: "ts", postgres: "timestamp", logical: L::TIMESTAMP, values: MOMENTS },
    Source { name: "tt", postgres: "timestamp", logical: L::TIMESTAMP, values: MOMENTS },
    Source { name: "tz", postgres: "timestamptz", logical: L::TIMESTAMPTZ, values: MOMENTS },
    Source {
        name: "iv",
        postgres: "interval",
        logical: L::Interval,
        values: &[
            "PT0S",
            "P1D",
            "P1M",
            "P-1Y2M-3DT4H-5M6.5S",
            "PT-0.000001S",
            "P178000000Y",
            "P30D",
            "PT24H",
            "P1Y",
            "P13M45DT36H",
        ],
    },
    Source {
        name: "js",
        postgres: "json",
        logical: L::JSON,
        values: &[
            r#"{"a": 1, "b":"x\"y\u00e4", "o": {"x" : [1,2] , "y":null}, "l":[1, "z", null, {"q":1.50}]}"#,
            "[10, [2], \"t\"]",
            "null",
            r#"{"a":null,"a":"last","b":true,"o":"s","l":{}}"#,
            "\"s\"",
            "{}",
            r#" { "a" : { "d" : [ ] } , "": 5 } "#,
        ],
    },
    Source {
        name: "by",
        postgres: "bytea",
        logical: L::Binary,
        values: &["\\x", "\\x00ff", "\\x6162", "\\x61"],
    },
    Source {
        name: "id",
        postgres: "uuid",
        logical: L::Uuid,
        values: &[
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    },
];

/// The table for both sides.
pub(crate) struct Table {
    /// The statements that make it as `t`, its rows numbered from 0 by `k`.
    pub(crate) script: String,
    pub(crate) schema: TableSchema,
    pub(crate) rows: RecordBatch,
}

/// A table of so many rows.
pub(crate) fn table(random: &mut Rng, rows: usize) -> Table {
    let columns: Vec<Vec<Option<&str>>> = SOURCES
        .iter()
        .map(|source| (0..rows).map(|_| (!random.one_in(9)).then(|| *random.pick(source.values))).collect())
        .collect();
    let declared: Vec<String> =
        SOURCES.iter().map(|source| format!("{} {}", source.name, source.postgres)).collect();
    let mut script = format!("CREATE TABLE t (k int, {});\n", declared.join(", "));
    for row in 0..rows {
        let values: Vec<String> = columns.iter().map(|column| literal(column[row])).collect();
        script.push_str(&format!("INSERT INTO t VALUES ({row}, {});\n", values.join(", ")));
    }
    let schema = TableSchema::new(
        "postgres",
        SOURCES.iter().map(|source| Column::new(source.name, source.logical)).collect(),
    );
    let arrays =
        SOURCES.iter().zip(&columns).map(|(source, values)| columns::array(source.logical, values)).collect();
    let rows = RecordBatch::try_new(schema.arrow(), arrays).expect("the columns fit their types");
    Table { script, schema, rows }
}

fn literal(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")))
}
