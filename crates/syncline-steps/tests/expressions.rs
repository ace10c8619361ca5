//! The expression language, one table of expressions after the other. What PostgreSQL has as well is
//! compared with it in `postgres.rs`; here is what it lacks, and what can be read.

#[path = "support/columns.rs"]
mod columns;

use arrow_array::RecordBatch;
use proptest::prelude::*;
use syncline_steps::evaluate;
use syncline_types::{Column, LogicalType as L, TableSchema, codes, text::Values};

/// A column: name, type, and the values of the four rows.
type Source = (&'static str, L, [&'static str; 4]);

const SOURCES: &[Source] = &[
    ("id", L::Int32, ["1", "2", "3", "4"]),
    ("i", L::Int32, ["5", "-7", "0", "NULL"]),
    ("tiny", L::Int8, ["-128", "127", "0", "NULL"]),
    ("byte", L::UInt8, ["255", "0", "7", "NULL"]),
    ("word", L::UInt32, ["4294967295", "0", "7", "NULL"]),
    ("huge", L::UInt64, ["18446744073709551615", "0", "5", "NULL"]),
    ("amount", L::Decimal { precision: 12, scale: 2 }, ["12.50", "-0.01", "NaN", "NULL"]),
    (
        "wide",
        L::Decimal { precision: 60, scale: 20 },
        ["1.00000000000000000001", "-2.50000000000000000000", "NaN", "NULL"],
    ),
    ("any", L::Numeric, ["1.50", "-1e3", "NaN", "NULL"]),
    ("ratio", L::Float64, ["0.5", "-0", "NaN", "NULL"]),
    ("name", L::TEXT, ["Äpfel", "", "a b", "NULL"]),
    ("code", L::Text { length: Some(4), padded: true }, ["ab  ", "    ", "abcd", "NULL"]),
    ("flag", L::Bool, ["true", "false", "true", "NULL"]),
    ("day", L::Date, ["2024-02-29", "1999-12-31", "infinity", "NULL"]),
    ("at", L::TIMESTAMP, ["2024-02-29 12:34:56.789", "1969-12-31 23:59:59.999999", "-infinity", "NULL"]),
    (
        "point",
        L::Timestamp { zoned: true, precision: 3 },
        ["2024-02-29 12:34:56.789", "1970-01-01", "infinity", "NULL"],
    ),
    ("span", L::Interval, ["P1M", "PT36H", "P-1D", "NULL"]),
    (
        "doc",
        L::JSON,
        [
            r#"{"address": {"city": "Köln", "no": 7.50}, "tags": ["x", null]}"#,
            r#"{"address": null}"#,
            "[1]",
            "NULL",
        ],
    ),
    ("bits", L::Bits { length: Some(4), varying: false }, ["0101", "0000", "1111", "NULL"]),
    ("shape", L::Opaque, ["(1,2)", "(3,4)", "(5,6)", "NULL"]),
    ("Odd Name", L::Int32, ["1", "2", "3", "4"]),
    ("Mixed", L::Int32, ["1", "2", "3", "4"]),
];

fn schema() -> TableSchema {
    let columns = SOURCES.iter().map(|(name, logical, values)| {
        let column = Column::new(*name, *logical);
        if values.contains(&"NULL") { column } else { column.required() }
    });
    TableSchema::new("test", columns.collect())
}

fn rows() -> RecordBatch {
    let arrays = SOURCES.iter().map(|(_, logical, values)| {
        let values: Vec<Option<&str>> =
            values.iter().map(|value| (*value != "NULL").then_some(*value)).collect();
        columns::array(*logical, &values)
    });
    RecordBatch::try_new(schema().arrow(), arrays.collect()).expect("the columns fit")
}

/// The type, and each row's value, `NULL` or `!reason`.
fn run(expression: &str) -> Result<(L, Vec<String>), syncline_types::Error> {
    let rows = rows();
    let (logical, array, rejects) = evaluate(expression, &schema(), &rows)?;
    let values = Values::new(&array, logical)?;
    let mut out: Vec<String> =
        (0..rows.num_rows()).map(|row| values.text(row).unwrap_or("NULL".to_owned())).collect();
    for reject in rejects {
        assert_eq!(reject.error.code(), &codes::STEP_FAILED);
        out[reject.row as usize] = format!("!{}", reject.error.reason());
    }
    Ok((logical, out))
}

fn check(cases: &[(&str, L, [&str; 4])]) {
    for (expression, logical, expected) in cases {
        let (of, values) = run(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(values, expected, "{expression}");
        assert_eq!(of, *logical, "{expression}");
    }
}

const fn decimal(precision: u8, scale: u8) -> L {
    L::Decimal { precision, scale }
}

const NOT_A_NUMBER: &str = "!an exact number is NaN or infinite";
const INFINITE: &str = "!a date or time is infinite";

#[test]
fn integers_that_postgres_lacks_are_read_as_the_next_wider() {
    let out_of_range = "!an integer is out of range";
    check(&[
        ("tiny", L::Int8, ["-128", "127", "0", "NULL"]),
        ("tiny + tiny", L::Int16, ["-256", "254", "0", "NULL"]),
        ("byte * byte", L::Int16, [out_of_range, "0", "49", "NULL"]),
        ("-byte", L::Int16, ["-255", "0", "-7", "NULL"]),
        ("word + 1", L::Int64, ["4294967296", "1", "8", "NULL"]),
        ("huge + 1", decimal(21, 0), ["18446744073709551616", "1", "6", "NULL"]),
        ("-huge", decimal(20, 0), ["-18446744073709551615", "0", "-5", "NULL"]),
        ("abs(huge)", decimal(20, 0), ["18446744073709551615", "0", "5", "NULL"]),
        ("huge % 7", decimal(1, 0), ["1", "0", "5", "NULL"]),
        ("huge = 5", L::Bool, ["false", "false", "true", "NULL"]),
        ("huge > -1", L::Bool, ["true", "true", "true", "NULL"]),
        ("huge = word", L::Bool, ["false", "true", "false", "NULL"]),
        ("byte > tiny", L::Bool, ["true", "false", "true", "NULL"]),
        ("coalesce(huge, huge)", L::UInt64, ["18446744073709551615", "0", "5", "NULL"]),
        ("coalesce(huge, 0)", decimal(20, 0), ["18446744073709551615", "0", "5", "0"]),
        ("huge::bigint", L::Int64, [out_of_range, "0", "5", "NULL"]),
        ("huge::text || 'x'", L::TEXT, ["18446744073709551615x", "0x", "5x", "NULL"]),
        ("byte::boolean", L::Bool, ["true", "false", "true", "NULL"]),
    ]);
}

#[test]
fn exact_numbers_stay_exact_and_keep_a_size() {
    check(&[
        ("amount * i", decimal(22, 2), ["62.50", "0.07", NOT_A_NUMBER, "NULL"]),
        ("amount * 2", decimal(13, 2), ["25.00", "-0.02", NOT_A_NUMBER, "NULL"]),
        ("amount + 0.005", decimal(14, 3), ["12.505", "-0.005", NOT_A_NUMBER, "NULL"]),
        ("round(amount * 1.19, 2)", decimal(14, 2), ["14.88", "-0.01", NOT_A_NUMBER, "NULL"]),
        ("amount / 3", L::Numeric, ["4.1666666666666667", "-0.00333333333333333333", NOT_A_NUMBER, "NULL"]),
        (
            "wide * wide",
            L::Numeric,
            [
                "1.0000000000000000000200000000000000000001",
                "6.2500000000000000000000000000000000000000",
                NOT_A_NUMBER,
                "NULL",
            ],
        ),
        (
            "wide + amount",
            decimal(61, 20),
            ["13.50000000000000000001", "-2.51000000000000000000", NOT_A_NUMBER, "NULL"],
        ),
        ("any + 1", L::Numeric, ["2.50", "-999", NOT_A_NUMBER, "NULL"]),
        ("any > 1", L::Bool, ["true", "false", NOT_A_NUMBER, "NULL"]),
        ("amount = 12.5", L::Bool, ["true", "false", NOT_A_NUMBER, "NULL"]),
        ("amount is null", L::Bool, ["false", "false", "false", "true"]),
        ("amount::text", L::TEXT, ["12.50", "-0.01", "NaN", "NULL"]),
        ("amount::float8", L::Float64, ["12.5", "-0.01", "NaN", "NULL"]),
        ("amount::numeric", decimal(12, 2), ["12.50", "-0.01", "NaN", "NULL"]),
        ("amount::numeric(3,1)", decimal(3, 1), ["12.5", "0.0", NOT_A_NUMBER, "NULL"]),
        (
            "amount::numeric(2,1)",
            decimal(2, 1),
            ["!a number does not fit its precision and scale", "0.0", NOT_A_NUMBER, "NULL"],
        ),
        ("coalesce(amount, 0)", decimal(12, 2), ["12.50", "-0.01", "NaN", "0.00"]),
        ("ratio::numeric", L::Numeric, ["0.5", "0", NOT_A_NUMBER, "NULL"]),
        (
            "power(10::numeric, id * 25)",
            L::Numeric,
            [
                "10000000000000000000000000.0000000000000000",
                "100000000000000000000000000000000000000000000000000.0000000000000000",
                "!an exact number has more than 76 digits",
                "!an exact number has more than 76 digits",
            ],
        ),
    ]);
}

#[test]
fn infinite_dates_compare_and_do_not_compute() {
    check(&[
        ("day > '2024-01-01'", L::Bool, ["true", "false", "true", "NULL"]),
        ("day > at", L::Bool, ["false", "true", "true", "NULL"]),
        ("at < point", L::Bool, ["false", "true", "true", "NULL"]),
        ("day + 1", L::Date, ["2024-03-01", "2000-01-01", INFINITE, "NULL"]),
        ("extract(year from at)", decimal(19, 0), ["2024", "1969", INFINITE, "NULL"]),
        (
            "at + span",
            L::TIMESTAMP,
            ["2024-03-29 12:34:56.789", "1970-01-02 11:59:59.999999", INFINITE, "NULL"],
        ),
        ("point::date", L::Date, ["2024-02-29", "1970-01-01", "infinity", "NULL"]),
        ("point::time", L::TIME, ["12:34:56.789", "00:00:00", INFINITE, "NULL"]),
        ("day::text", L::TEXT, ["2024-02-29", "1999-12-31", "infinity", "NULL"]),
    ]);
}

#[test]
fn json_is_taken_apart_by_dots_and_arrows() {
    check(&[
        ("doc.address.city", L::JSON, ["\"Köln\"", "NULL", "NULL", "NULL"]),
        ("doc.address ->> 'city'", L::TEXT, ["Köln", "NULL", "NULL", "NULL"]),
        ("(doc.address ->> 'no')::numeric(5,1)", decimal(5, 1), ["7.5", "NULL", "NULL", "NULL"]),
        ("doc -> 'tags' ->> 0", L::TEXT, ["x", "NULL", "NULL", "NULL"]),
        ("doc -> 'tags' -> 1", L::JSON, ["null", "NULL", "NULL", "NULL"]),
        ("doc -> 'tags' ->> 1", L::TEXT, ["NULL", "NULL", "NULL", "NULL"]),
        ("doc -> 0", L::JSON, ["NULL", "NULL", "1", "NULL"]),
        ("doc.address is null", L::Bool, ["false", "false", "true", "true"]),
    ]);
}

#[test]
fn only_what_is_asked_for_can_fail() {
    let zero = "!division by zero";
    check(&[
        ("10 / i", L::Int32, ["2", "-1", zero, "NULL"]),
        ("case when i <> 0 then 10 / i end", L::Int32, ["2", "-1", "NULL", "NULL"]),
        ("i <> 0 and 10 / i > 0", L::Bool, ["true", "false", "false", "NULL"]),
        ("10 / i > 0 and i <> 0", L::Bool, ["true", "false", zero, "NULL"]),
        ("i = 0 or 10 / i > 0", L::Bool, ["true", "false", "true", "NULL"]),
        ("coalesce(id, 10 / i)", L::Int32, ["1", "2", "3", "4"]),
        ("coalesce(10 / i, id)", L::Int32, ["2", "-1", zero, "4"]),
        ("(10 / i) is null", L::Bool, ["false", "false", zero, "true"]),
        ("case 10 / i when 2 then 'two' else 'other' end", L::TEXT, ["two", "other", zero, "other"]),
        ("10 / i in (2, 3)", L::Bool, ["true", "false", zero, "NULL"]),
        ("10 / i between 0 and 5", L::Bool, ["true", "false", zero, "NULL"]),
        ("nullif(10 / i, 2)", L::Int32, ["NULL", "-1", zero, "NULL"]),
        ("concat(10 / i, 'x')", L::TEXT, ["2x", "-1x", zero, "x"]),
        ("greatest(10 / i, id)", L::Int32, ["2", "2", zero, "4"]),
    ]);
}

#[test]
fn names_fold_and_quotes_hold() {
    check(&[
        ("ID + Id", L::Int32, ["2", "4", "6", "8"]),
        ("\"Odd Name\"", L::Int32, ["1", "2", "3", "4"]),
        ("mixed + MIXED + \"Mixed\"", L::Int32, ["3", "6", "9", "12"]),
    ]);
}

#[test]
fn padded_text_and_bits() {
    check(&[
        ("code = 'ab'", L::Bool, ["true", "false", "false", "NULL"]),
        ("code || '!'", L::TEXT, ["ab!", "!", "abcd!", "NULL"]),
        ("length(code)", L::Int32, ["2", "0", "4", "NULL"]),
        ("code", L::Text { length: Some(4), padded: true }, ["ab  ", "    ", "abcd", "NULL"]),
        ("bits > '0101'", L::Bool, ["false", "false", "true", "NULL"]),
        ("bits || '1'", L::Bits { length: None, varying: true }, ["01011", "00001", "11111", "NULL"]),
        ("bits::text", L::TEXT, ["0101", "0000", "1111", "NULL"]),
        ("shape::text || '?'", L::TEXT, ["(1,2)?", "(3,4)?", "(5,6)?", "NULL"]),
        ("shape is null", L::Bool, ["false", "false", "false", "true"]),
    ]);
}

/// Every mistake says where it is and what would be right.
#[test]
fn mistakes_are_found_before_any_row() {
    let bad = &codes::BAD_EXPRESSION;
    for (expression, code, expected) in [
        (
            "amont > 0",
            &codes::UNKNOWN_COLUMN,
            "line 1, column 1: there is no column `amont`. Did you mean `amount`?",
        ),
        (
            "i +\n  zzz",
            &codes::UNKNOWN_COLUMN,
            "line 2, column 3: there is no column `zzz`. The columns are: id, i,",
        ),
        ("lenght(name)", bad, "line 1, column 1: there is no function `lenght`. Did you mean `length`?"),
        ("i + name", bad, "line 1, column 1: there is no `+` between integer and text"),
        ("i = name", bad, "line 1, column 1: integer cannot be compared with text. Cast one side"),
        ("i and flag", bad, "line 1, column 1: a side of AND is boolean, and this is integer"),
        ("i = 'x'", bad, "line 1, column 5: a text is not a valid integer"),
        ("case when flag then 1 else 'x' end", bad, "line 1, column 28: a text is not a valid integer"),
        (
            "case when flag then i else name end",
            bad,
            "line 1, column 28: text and integer have no type in common",
        ),
        ("i::interger", bad, "line 1, column 1: there is no type `interger`. Did you mean `integer`?"),
        ("i::date", bad, "line 1, column 1: integer cannot be cast to date"),
        ("left(name)", bad, "there is no left(text). There is left(text, integer)"),
        ("now()", bad, "line 1, column 1: `now` is left out: its result changes"),
        ("current_date - day", bad, "`current_date` is left out"),
        ("to_char(day, 'YYYY')", bad, "`to_char` is left out"),
        ("count(*)", bad, "`count` is left out: an expression sees one row"),
        ("extract(yaer from day)", bad, "there is no field `yaer`. Did you mean `year`?"),
        ("date_trunc('moth', at)", bad, "line 1, column 12: there is no field `moth`. Did you mean `month`?"),
        ("extract(hour from day)", bad, "date has no field `hour`"),
        ("(select 1)", bad, "a subquery is not part of the language"),
        ("array[1]", bad, "an array is not part of the language"),
        ("at at time zone 'UTC'", bad, "AT TIME ZONE is not part of the language"),
        ("name similar to 'a'", bad, "SIMILAR TO is not part of the language"),
        ("i #> 1", bad, "the operator `#>` is not understood"),
        ("sum(i) over ()", bad, "`sum` is left out"),
        ("lower(distinct name)", bad, "`lower` takes plain values and nothing else"),
        ("name.first", bad, "`name` is text, so it has no fields"),
        ("doc = '{}'", bad, "values that are json have no order and no equality"),
        ("shape = '(1,2)'", bad, "have no order and no equality"),
        ("1 / 0", bad, "line 1, column 1: division by zero"),
        ("name ~ '('", bad, "line 1, column 8: this is not a regular expression that is understood"),
        ("name ~ name", bad, "a regular expression must be a constant string"),
        ("name like 'a' escape 'ab'", bad, "ESCAPE takes a constant string of one character"),
        ("interval '1 dya'", bad, "a text is not a valid interval"),
        ("", bad, "it is empty"),
        ("  -- nothing\n", bad, "it is empty"),
        ("i +", bad, "line 1, column 4: expected: an expression, and it ends here"),
        ("i i", bad, "line 1, column 3: `i` is not expected here"),
        ("i; drop table x", bad, "line 1, column 2: `;` is not expected here"),
        ("'open", bad, "line 1, column 1"),
        ("$1", bad, "are not understood"),
    ] {
        let error = run(expression).expect_err(expression);
        assert_eq!(error.code(), code, "{expression}: {error}");
        let text = error.to_string();
        assert!(text.contains("could not understand the expression: "), "{text}");
        assert!(text.contains(expected), "{expression}: {text}");
    }
}

/// A file that somebody else has written can neither blow the stack nor take forever.
#[test]
fn size_and_depth_have_limits() {
    let nested =
        |open: &str, close: &str, count: usize| format!("{}i{}", open.repeat(count), close.repeat(count));
    assert!(run(&nested("(", ")", 40)).is_ok());
    assert!(run(&nested("abs(", ")", 30)).is_ok());
    assert!(run(&format!("i{}", " + 1".repeat(90))).is_ok());
    assert!(run(&vec!["i = 1"; 800].join(" or ")).is_ok());
    assert!(run(&format!("i in ({})", vec!["1"; 2_000].join(", "))).is_ok());
    for hostile in [
        nested("(", ")", 10_000),
        nested("abs(", ")", 2_000),
        nested("case when flag then ", " end", 500),
        nested("not ", "", 2_000),
        nested("- ", "", 2_000),
        format!("i{}", " + i".repeat(2_400)),
        format!("name{}", " || name".repeat(2_400)),
        format!("i{}", "::int".repeat(2_400)),
        format!("doc{}", " -> 'a'".repeat(2_400)),
        format!("flag{}", " is true".repeat(2_400)),
        format!("i{}", " between 1 and 2".repeat(1_000)),
        format!("i in ({})", vec!["1"; 50_000].join(", ")),
        "i".repeat(100_000),
        "((((((((((((((((((((((((((((((((((((((((((((((((".to_owned(),
    ] {
        let error = run(&hostile).expect_err("it is refused");
        assert!(error.to_string().len() < 1_000);
    }
}

/// A value that is used several times is computed once, so that nesting does not multiply the work.
#[test]
fn nesting_does_not_multiply_the_work() {
    let mut expression = "i".to_owned();
    for _ in 0..20 {
        expression = format!("nullif({expression} + 1, 3)");
    }
    assert!(run(&expression).is_ok());
    let mut expression = "flag".to_owned();
    for _ in 0..20 {
        expression = format!("({expression} between false and true)");
    }
    assert!(run(&expression).is_ok());
}

#[test]
fn texts_have_limits() {
    let too_long = "!a text is too long";
    for expression in
        ["repeat(name, 2147483647)", "lpad(name, 2147483647, 'x')", "rpad('x', 2000000000 + id)"]
    {
        let (_, values) = run(expression).unwrap();
        assert_eq!(values[0], too_long, "{expression}");
    }
}

#[test]
fn constants_are_columns_too() {
    check(&[
        ("1", L::Int32, ["1", "1", "1", "1"]),
        ("null", L::TEXT, ["NULL", "NULL", "NULL", "NULL"]),
        ("'x'", L::TEXT, ["x", "x", "x", "x"]),
        ("interval '1 day'", L::Interval, ["P1D", "P1D", "P1D", "P1D"]),
        ("case when true then i end", L::Int32, ["5", "-7", "0", "NULL"]),
        ("true and flag", L::Bool, ["true", "false", "true", "NULL"]),
        ("-2147483648", L::Int32, ["-2147483648"; 4]),
        ("2147483648", L::Int64, ["2147483648"; 4]),
        ("1.50", decimal(3, 2), ["1.50"; 4]),
    ]);
}

#[test]
fn a_batch_without_rows_is_fine() {
    let empty = rows().slice(0, 0);
    for expression in
        ["1", "i + 1", "amount / 3", "case when flag then name end", "name like 'a%'", "day + 1", "doc.a"]
    {
        let (_, values, rejects) = evaluate(expression, &schema(), &empty).unwrap();
        assert_eq!((values.len(), rejects.len()), (0, 0), "{expression}");
    }
}

proptest! {
    #[test]
    fn no_expression_panics(words in prop::collection::vec(prop::sample::select(vec![
        "i", "amount", "name", "flag", "day", "doc", "any", "ratio", "(", ")", "(", ")", "+", "-", "*", "/", "%", "||", "=",
        "<", "and", "or", "not", "is", "null", "case", "when", "then", "else", "end", "in", ",", "between", "like",
        "'x'", "1", "2.5", "::", "int", "numeric(3,1)", "text", "date", "interval", "coalesce", "abs", "round", "->",
        "->>", "extract", "year", "from", "distinct", "substring", "for", "\"", "'", ".", "[", "]", "~", "cast", "as",
    ]), 1..12)) {
        let _ = run(&words.join(" "));
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = run(&text);
    }
}
