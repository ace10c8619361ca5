//! Random expressions that PostgreSQL accepts, each of a known type.
//!
//! Every part that is not a plain constant reads a column, so that PostgreSQL cannot compute it
//! when it plans: it would then fail for rows that never ask for the part.

mod condition;
mod number;
mod text;
mod time;

use syncline_testkit::seed::Rng;

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Int2,
    Int4,
    Int8,
    Numeric,
    Float4,
    Float8,
    Text,
    Bool,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Json,
    Bytes,
    Uuid,
}

use Type as T;

impl Type {
    /// As PostgreSQL's `pg_typeof` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            T::Int2 => "smallint",
            T::Int4 => "integer",
            T::Int8 => "bigint",
            T::Numeric => "numeric",
            T::Float4 => "real",
            T::Float8 => "double precision",
            T::Text => "text",
            T::Bool => "boolean",
            T::Date => "date",
            T::Time => "time without time zone",
            T::Timestamp => "timestamp without time zone",
            T::Timestamptz => "timestamp with time zone",
            T::Interval => "interval",
            T::Json => "json",
            T::Bytes => "bytea",
            T::Uuid => "uuid",
        }
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) sql: String,
    /// Whether a numeric's zeros at the end must be PostgreSQL's, too. Where values of several
    /// scales meet, Syncline gives all of them the largest.
    pub(crate) exact_scale: bool,
    reads: bool,
    atom: bool,
}

impl Piece {
    fn atom(sql: impl Into<String>, reads: bool) -> Self {
        Piece { sql: sql.into(), exact_scale: true, reads, atom: true }
    }

    /// As an operand: in parentheses unless it is one word.
    fn operand(&self) -> String {
        if self.atom { self.sql.clone() } else { format!("({})", self.sql) }
    }
}

/// Types that have a column, with the columns.
pub(crate) const COLUMNS: &[(Type, &[&str])] = &[
    (T::Int2, &["i2"]),
    (T::Int4, &["i", "j"]),
    (T::Int8, &["l"]),
    (T::Numeric, &["n", "m", "u"]),
    (T::Float4, &["g"]),
    (T::Float8, &["f", "h"]),
    (T::Text, &["s", "t", "v"]),
    (T::Bool, &["b", "a"]),
    (T::Date, &["d", "e"]),
    (T::Time, &["tm"]),
    (T::Timestamp, &["ts", "tt"]),
    (T::Timestamptz, &["tz"]),
    (T::Interval, &["iv"]),
    (T::Json, &["js"]),
    (T::Bytes, &["by"]),
    (T::Uuid, &["id"]),
];

/// Types whose values compare.
const ORDERED: &[Type] = &[
    T::Int2,
    T::Int4,
    T::Int8,
    T::Numeric,
    T::Float4,
    T::Float8,
    T::Text,
    T::Bool,
    T::Date,
    T::Time,
    T::Timestamp,
    T::Timestamptz,
    T::Interval,
    T::Bytes,
    T::Uuid,
];
const INTEGERS: &[Type] = &[T::Int2, T::Int4, T::Int8];
const EXACT: &[Type] = &[T::Int2, T::Int4, T::Int8, T::Numeric, T::Numeric];
const NUMBERS: &[Type] = &[T::Int2, T::Int4, T::Int8, T::Numeric, T::Float4, T::Float8];

/// The types an expression is made of.
pub(crate) const TYPES: &[Type] = &[
    T::Int2,
    T::Int4,
    T::Int4,
    T::Int8,
    T::Numeric,
    T::Numeric,
    T::Numeric,
    T::Float4,
    T::Float8,
    T::Text,
    T::Text,
    T::Text,
    T::Bool,
    T::Bool,
    T::Bool,
    T::Date,
    T::Time,
    T::Timestamp,
    T::Timestamptz,
    T::Interval,
    T::Json,
    T::Bytes,
];

/// Makes expressions.
pub(crate) struct Generator {
    pub(crate) random: Rng,
}

impl Generator {
    fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        *self.random.pick(choices)
    }

    /// An expression of a type that reads at least one column.
    pub(crate) fn expression(&mut self, of: Type, depth: u64) -> Piece {
        if depth == 0 || self.below(12) == 0 {
            return self.column(of);
        }
        if self.below(6) == 0 {
            return self.choice(of, depth - 1);
        }
        let depth = depth - 1;
        match of {
            T::Int2 | T::Int4 | T::Int8 => self.integer(of, depth),
            T::Numeric => self.numeric(depth),
            T::Float4 | T::Float8 => self.float(of, depth),
            T::Text => self.text(depth),
            T::Bool => self.boolean(depth),
            T::Date => self.date(depth),
            T::Time => self.time(depth),
            T::Timestamp | T::Timestamptz => self.timestamp(of, depth),
            T::Interval => self.interval(depth),
            T::Json => self.json(depth),
            T::Bytes => self.bytes(depth),
            T::Uuid => self.column(of),
        }
    }

    fn column(&mut self, of: Type) -> Piece {
        let columns = COLUMNS.iter().find(|(column, _)| *column == of).map_or(&[][..], |(_, names)| *names);
        Piece::atom(self.of(columns), true)
    }

    /// An expression, or now and then a constant.
    fn operand(&mut self, of: Type, depth: u64) -> Piece {
        if self.below(4) == 0
            && let Some(constant) = self.constant(of)
        {
            return Piece::atom(constant, false);
        }
        self.expression(of, depth)
    }

    fn constant(&mut self, of: Type) -> Option<&'static str> {
        Some(match of {
            T::Int2 => self.of(&["1::int2", "(-3)::int2", "0::int2"]),
            T::Int4 => self.of(&["0", "1", "2", "7", "(-1)", "1000", "2147483647"]),
            T::Int8 => self.of(&["3::int8", "10000000000", "(-9000000000000000000)", "0::int8"]),
            T::Numeric => {
                self.of(&["1.5", "0.00", "0.001", "(-12.30)", "1e3", "99999999999.99", "0.5", "2::numeric"])
            }
            T::Float4 => self.of(&["1.5::real", "0::real", "(-2)::real"]),
            T::Float8 => self.of(&["1.5::float8", "0::float8", "1e300::float8", "(-0.1)::float8"]),
            T::Text => self.of(&["'a'", "''", "'ab c'", "'Ä%_\\'", "' x '", "'12'", "'日本'", "'b'"]),
            T::Date => self.of(&["date '2024-02-29'", "date '1969-12-31'", "date '0001-01-01'"]),
            T::Time => self.of(&["time '00:00'", "time '23:59:59.999999'"]),
            T::Timestamp => self.of(&["timestamp '2024-02-29 12:34:56.789'", "timestamp '1970-01-01'"]),
            T::Timestamptz => {
                self.of(&["timestamptz '2024-02-29 12:34:56+02'", "timestamptz '1999-12-31 23:59:59Z'"])
            }
            T::Interval => self.of(&[
                "interval '1 day'",
                "interval '1 month -2 hours'",
                "interval 'P1Y2DT3S'",
                "interval '1' hour",
            ]),
            T::Bool | T::Json | T::Bytes | T::Uuid => return None,
        })
    }

    /// Two operands, of which one reads a column.
    fn pair(&mut self, left: Type, right: Type, depth: u64) -> (Piece, Piece) {
        let (left_piece, right_piece) = (self.operand(left, depth), self.operand(right, depth));
        if left_piece.reads || right_piece.reads {
            (left_piece, right_piece)
        } else {
            (self.column(left), right_piece)
        }
    }

    fn infix(&mut self, op: &str, left: Type, right: Type, depth: u64) -> Piece {
        let (left, right) = self.pair(left, right, depth);
        made(format!("{} {op} {}", left.operand(), right.operand()), &[&left, &right])
    }

    /// Without parentheses, to see that both read it alike.
    fn bare(&mut self, ops: &[&str], of: &[Type]) -> Piece {
        let mut sql = String::new();
        let mut exact_scale = true;
        for at in 0..3 {
            // The first decides the type.
            let of = if at == 0 { of[0] } else { self.of(of) };
            let piece = self.column(of);
            exact_scale &= piece.exact_scale;
            let op = self.of(ops);
            if at > 0 {
                sql.push_str(&format!(" {op} "));
            }
            sql.push_str(&piece.sql);
        }
        Piece { sql, exact_scale, reads: true, atom: false }
    }

    fn call(&mut self, name: &str, of: &[Type], depth: u64) -> Piece {
        let mut args: Vec<Piece> = of.iter().map(|of| self.operand(*of, depth)).collect();
        if !args.iter().any(|arg| arg.reads) {
            args[0] = self.column(of[0]);
        }
        let list: Vec<&str> = args.iter().map(|arg| arg.sql.as_str()).collect();
        let sql = format!("{name}({})", list.join(", "));
        made(sql, &args.iter().collect::<Vec<_>>())
    }

    fn cast(&mut self, of: Type, to: &str, depth: u64) -> Piece {
        let value = self.expression(of, depth);
        let sql = match self.below(2) {
            0 => format!("cast({} as {to})", value.sql),
            _ => format!("{}::{to}", value.operand()),
        };
        made(sql, &[&value])
    }

    /// What picks one of several values.
    fn choice(&mut self, of: Type, depth: u64) -> Piece {
        let (a, b) = (self.expression(of, depth), self.operand(of, depth));
        let condition = self.boolean(depth);
        let ordered = ORDERED.contains(&of);
        let (sql, parts) = match self.below(if ordered { 7 } else { 3 }) {
            0 => (format!("coalesce({}, {})", a.sql, b.sql), vec![&a, &b]),
            1 => (
                format!("case when {} then {} else {} end", condition.sql, a.sql, b.sql),
                vec![&a, &b, &condition],
            ),
            2 => (format!("case when {} then {} end", condition.sql, a.sql), vec![&a, &condition]),
            3 => (format!("nullif({}, {})", a.sql, b.sql), vec![&a, &b]),
            4 => (format!("greatest({}, {}, null)", a.sql, b.sql), vec![&a, &b]),
            5 => (format!("least({}, {})", a.sql, b.sql), vec![&a, &b]),
            _ => (format!("case {} when {} then {} else {} end", a.sql, b.sql, a.sql, b.sql), vec![&a, &b]),
        };
        Piece { exact_scale: of != T::Numeric, atom: false, ..made(sql, &parts) }
    }
}

impl Piece {
    fn compound(self) -> Self {
        Piece { atom: false, ..self }
    }

    fn cast_to_text(self) -> Self {
        Piece { sql: format!("{}::text", self.operand()), atom: false, ..self }
    }
}

/// An expression made of parts.
fn made(sql: String, parts: &[&Piece]) -> Piece {
    Piece {
        sql,
        exact_scale: parts.iter().all(|part| part.exact_scale),
        reads: parts.iter().any(|part| part.reads),
        atom: false,
    }
}
