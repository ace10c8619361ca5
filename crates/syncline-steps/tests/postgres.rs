//! Random expressions give in PostgreSQL what they give here, or fail in both.
//!
//! Every run takes other expressions; a failure prints the seed that repeats it.
//! `SYNCLINE_STEPS_EXPRESSIONS` and `SYNCLINE_STEPS_DEPTH` ask for more of them.

#[path = "support/columns.rs"]
mod columns;
#[path = "postgres/generate/mod.rs"]
mod generate;
#[path = "postgres/table.rs"]
mod table;
#[path = "postgres/written.rs"]
mod written;

use std::{collections::BTreeMap, env};

use generate::{Generator, TYPES, Type};
use syncline_steps::evaluate;
use syncline_testkit::{
    seed::Seed,
    servers::{self, postgres},
};
use syncline_types::{LogicalType, text::Values};
use table::{Table, table};

const EXPRESSIONS: u64 = 6_000;
const DEPTH: u64 = 3;
const ROWS: usize = 48;
const DIFFERENCES_SHOWN: usize = 40;

/// Failures that only Syncline knows, each stated in the crate's README.
const OURS_ALONE: &[(&str, &str)] = &[
    ("an exact number is NaN or infinite", "PostgreSQL computes with NaN and Infinity of numeric"),
    ("a date or time is infinite", "PostgreSQL computes with infinite dates and times"),
    ("an exact number has more than 76 digits", "PostgreSQL's numeric has 131072 digits"),
];

/// One row's value of one expression.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Value(Option<String>),
    Failed(String),
}

/// What one side made of an expression.
#[derive(Clone, Debug)]
struct Answer {
    /// The type's name, unless the expression was refused.
    of: String,
    rows: Vec<Outcome>,
}

/// An expression, and whether a numeric's zeros at the end must be PostgreSQL's.
struct Question {
    sql: String,
    exact_scale: bool,
}

fn written(expressions: &[&str]) -> Vec<Question> {
    expressions.iter().map(|sql| Question { sql: (*sql).to_owned(), exact_scale: true }).collect()
}

#[test]
fn expressions_mean_what_they_mean_in_postgres() {
    if servers::left_out("postgres") {
        return;
    }
    let seed = Seed::from_env();
    let (count, deepest) =
        (setting("SYNCLINE_STEPS_EXPRESSIONS", EXPRESSIONS), setting("SYNCLINE_STEPS_DEPTH", DEPTH));
    println!("seed {}, {count} expressions over {ROWS} rows", seed.value());
    let mut generator = Generator { random: seed.rng() };
    let table = table(&mut generator.random, ROWS);
    let mut questions = written(written::EXPRESSIONS);
    for (_, of) in (0..count).zip(TYPES.iter().cycle()) {
        let depth = 1 + generator.random.below(deepest);
        let piece = generator.expression(*of, depth);
        questions.push(Question { sql: piece.sql, exact_scale: piece.exact_scale });
    }
    let report = Report::of(&table, &questions);
    println!("{}", report.summary());
    assert!(report.different.is_empty(), "{} expressions differ", report.different.len());
    assert!(report.same > report.failed_in_both, "most values can be computed");
}

#[test]
fn documented_differences_are_still_there() {
    if servers::left_out("postgres") {
        return;
    }
    let expressions: Vec<&str> = written::DIFFERENT.iter().map(|(sql, _)| *sql).collect();
    // Enough rows that every value occurs.
    let table = table(&mut Seed::new(1).rng(), 200);
    let report = Report::of(&table, &written(&expressions));
    let differing: Vec<&str> = report.different.iter().filter_map(|text| text.lines().next()).collect();
    for (sql, reason) in written::DIFFERENT {
        assert!(differing.contains(sql), "`{sql}` no longer differs: {reason}");
    }
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[derive(Default)]
struct Report {
    same: usize,
    failed_in_both: usize,
    ours_alone: BTreeMap<&'static str, usize>,
    different: Vec<String>,
}

impl Report {
    /// Asks both sides.
    fn of(table: &Table, questions: &[Question]) -> Report {
        let mut report = Report::default();
        for (question, theirs) in questions.iter().zip(&ask(table, questions)) {
            report.compare(question, &syncline(table, &question.sql), theirs);
        }
        report
    }

    fn compare(&mut self, question: &Question, ours: &Answer, theirs: &Answer) {
        let mut differ = |what: String| self.different.push(format!("{}\n    {what}", question.sql));
        if theirs.of != ours.of {
            let reason = match ours.rows.first() {
                Some(Outcome::Failed(reason)) => reason.as_str(),
                _ => "",
            };
            let error = match theirs.rows.first() {
                Some(Outcome::Failed(reason)) => reason.as_str(),
                _ => "",
            };
            differ(format!("type: postgres {} {error}, syncline {} {reason}", theirs.of, ours.of));
            return;
        }
        let theirs_of = theirs.of.clone();
        for (row, (ours, theirs)) in ours.rows.iter().zip(&theirs.rows).enumerate() {
            match (ours, theirs) {
                (Outcome::Failed(_), Outcome::Failed(_)) => self.failed_in_both += 1,
                (Outcome::Value(a), Outcome::Value(b))
                    if same(&theirs_of, question, a.as_deref(), b.as_deref()) =>
                {
                    self.same += 1;
                }
                (Outcome::Failed(reason), _) if ours_alone(reason).is_some() => {
                    *self.ours_alone.entry(ours_alone(reason).unwrap_or_default()).or_default() += 1;
                }
                _ => {
                    differ(format!("row {row}: postgres {theirs:?}, syncline {ours:?}"));
                    return;
                }
            }
        }
    }

    /// What came out, for people.
    fn summary(&self) -> String {
        let mut out = format!("{} values the same, {} failed in both\n", self.same, self.failed_in_both);
        for (reason, count) in &self.ours_alone {
            out.push_str(&format!("{count} failed here only: {reason}\n"));
        }
        for different in self.different.iter().take(DIFFERENCES_SHOWN) {
            out.push_str(&format!("DIFFERENT {different}\n"));
        }
        out
    }
}

fn ours_alone(reason: &str) -> Option<&'static str> {
    OURS_ALONE.iter().find(|(known, _)| reason == *known).map(|(_, why)| *why)
}

/// Whether two texts are one value of a type.
fn same(of: &str, question: &Question, ours: Option<&str>, theirs: Option<&str>) -> bool {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return ours == theirs };
    // Floats are written in different ways, but both so that they come back.
    if of == Type::Float8.name() {
        return float_bits(ours) == float_bits(theirs);
    }
    if of == Type::Float4.name() {
        return ours.parse::<f32>().map(canonical_bits) == theirs.parse::<f32>().map(canonical_bits);
    }
    if of == Type::Timestamptz.name() {
        return ours.replace("+00:00", "+00") == theirs;
    }
    ours == theirs || (of == Type::Numeric.name() && !question.exact_scale && near(ours, theirs))
}

fn float_bits(text: &str) -> Option<u64> {
    let value: f64 = text.parse().ok()?;
    Some(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
}

fn canonical_bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

/// Whether two numbers differ by no more than quotients of other scales may.
fn near(ours: &str, theirs: &str) -> bool {
    let (Ok(a), Ok(b)) = (ours.parse::<f64>(), theirs.parse::<f64>()) else { return false };
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
}

fn syncline(table: &Table, expression: &str) -> Answer {
    let count = table.rows.num_rows();
    let (logical, values, rejects) = match evaluate(expression, &table.schema, &table.rows) {
        Ok(result) => result,
        Err(error) => {
            let failed = Outcome::Failed(error.to_string());
            return Answer { of: "refused".to_owned(), rows: vec![failed; count] };
        }
    };
    let texts = Values::new(&values, logical).expect("the values are of their type");
    let mut rows: Vec<Outcome> = (0..count).map(|row| Outcome::Value(texts.text(row))).collect();
    for reject in rejects {
        rows[reject.row as usize] = Outcome::Failed(reject.error.reason().to_owned());
    }
    Answer { of: type_name(logical).to_owned(), rows }
}

/// The type as PostgreSQL names it.
fn type_name(logical: LogicalType) -> &'static str {
    use LogicalType as L;
    match logical {
        L::Int16 => Type::Int2.name(),
        L::Int32 => Type::Int4.name(),
        L::Int64 => Type::Int8.name(),
        L::Decimal { .. } | L::Numeric => Type::Numeric.name(),
        L::Float32 => Type::Float4.name(),
        L::Float64 => Type::Float8.name(),
        L::Bool => Type::Bool.name(),
        L::Text { padded: true, .. } => "character",
        L::Text { .. } => Type::Text.name(),
        L::Date => Type::Date.name(),
        L::Time { .. } => Type::Time.name(),
        L::Timestamp { zoned: false, .. } => Type::Timestamp.name(),
        L::Timestamp { zoned: true, .. } => Type::Timestamptz.name(),
        L::Interval => Type::Interval.name(),
        L::Json { .. } => Type::Json.name(),
        L::Binary => Type::Bytes.name(),
        L::Uuid => Type::Uuid.name(),
        _ => "another",
    }
}

/// Evaluates an expression for all rows at once, and for each alone where that fails.
const PROBE: &str = r#"
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = 1;
CREATE FUNCTION probe(expression text) RETURNS json LANGUAGE plpgsql AS $body$
DECLARE
  type_name text := 'refused';
  answers json[];
  answer json;
  row_number int;
BEGIN
  BEGIN
    EXECUTE format('SELECT array_agg(json_build_array((%s)::text) ORDER BY k), min(pg_typeof(%s)::text) FROM t', expression, expression)
      INTO answers, type_name;
    RETURN json_build_object('type', type_name, 'rows', answers);
  EXCEPTION WHEN OTHERS THEN
    answers := '{}';
  END;
  FOR row_number IN SELECT k FROM t ORDER BY k LOOP
    BEGIN
      EXECUTE format('SELECT json_build_array((%s)::text), pg_typeof(%s)::text FROM t WHERE k = %s', expression, expression, row_number)
        INTO answer, type_name;
      answers := answers || answer;
    EXCEPTION WHEN OTHERS THEN
      answers := answers || to_json(SQLERRM);
    END;
  END LOOP;
  IF type_name = 'refused' THEN
    BEGIN
      EXECUTE format('SELECT min(x::text) FROM (SELECT pg_typeof(%s) AS x FROM t WHERE false) AS y', expression) INTO type_name;
      EXECUTE format('SELECT pg_typeof(x)::text FROM (SELECT 1 AS one) AS o LEFT JOIN (SELECT %s AS x FROM t WHERE false) AS y ON true', expression) INTO type_name;
    EXCEPTION WHEN OTHERS THEN
      type_name := 'refused';
    END;
  END IF;
  RETURN json_build_object('type', type_name, 'rows', array_to_json(answers));
END $body$;
"#;

/// What PostgreSQL makes of the expressions.
fn ask(table: &Table, questions: &[Question]) -> Vec<Answer> {
    let mut script = format!("{PROBE}\n{}", table.script);
    for question in questions {
        script.push_str(&format!("SELECT probe($expression${}$expression$);\n", question.sql));
    }
    let server = postgres::shared();
    let output = server.try_psql(&server.create_database(), &script).expect("the script runs");
    let answers: Vec<Answer> = output.lines().map(answer).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

fn answer(line: &str) -> Answer {
    let line: serde_json::Value = serde_json::from_str(line).expect("the probe prints JSON");
    let rows = line["rows"].as_array().expect("the probe gives rows").iter().map(|row| match row {
        serde_json::Value::Array(value) => Outcome::Value(value[0].as_str().map(str::to_owned)),
        error => Outcome::Failed(error.as_str().unwrap_or_default().to_owned()),
    });
    let of = line["type"].as_str().expect("the probe gives a type");
    // Lengths of text are of no importance to a value.
    let of = if matches!(of, "character varying" | "unknown") { "text" } else { of };
    Answer { of: of.to_owned(), rows: rows.collect() }
}
