//! Numbers.

use super::{EXACT, Generator, INTEGERS, NUMBERS, Piece, Type, Type as T, made};

impl Generator {
    pub(super) fn integer(&mut self, of: Type, depth: u64) -> Piece {
        let narrower = match of {
            T::Int2 => T::Int2,
            T::Int4 => self.of(&[T::Int2, T::Int4]),
            _ => self.of(INTEGERS),
        };
        match self.below(if of == T::Int4 { 14 } else { 8 }) {
            0..=2 => {
                let op = self.of(&["+", "-", "*", "/", "%"]);
                if self.below(2) == 0 {
                    self.infix(op, of, narrower, depth)
                } else {
                    self.infix(op, narrower, of, depth)
                }
            }
            3 => {
                let value = self.expression(of, depth);
                made(format!("- {}", value.operand()), &[&value])
            }
            4 => self.call("abs", &[of], depth),
            5 => self.call("mod", &[of, narrower], depth),
            6 => {
                let from = self.of(NUMBERS);
                self.cast(from, of.name(), depth)
            }
            7 if of == T::Int4 => self.bare(&["+", "-", "*", "/", "%"], &[T::Int4, T::Int2]),
            7 => self.cast(T::Text, of.name(), 0),
            8 => {
                let name = self.of(&["length", "char_length", "octet_length"]);
                self.call(name, &[T::Text], depth)
            }
            9 => self.call("strpos", &[T::Text, T::Text], depth),
            10 => self.infix("-", T::Date, T::Date, depth),
            11 => self.cast(T::Bool, "int", depth),
            12 => self.call("length", &[T::Bytes], depth),
            _ => {
                let (part, text) = self.pair(T::Text, T::Text, depth);
                made(format!("position({} in {})", part.operand(), text.operand()), &[&part, &text])
            }
        }
    }

    pub(super) fn numeric(&mut self, depth: u64) -> Piece {
        let other = self.of(EXACT);
        match self.below(16) {
            0..=4 => {
                let op = self.of(&["+", "-", "*", "/", "%"]);
                if self.below(2) == 0 {
                    self.infix(op, T::Numeric, other, depth)
                } else {
                    self.infix(op, other, T::Numeric, depth)
                }
            }
            5 => {
                let value = self.expression(T::Numeric, depth);
                made(format!("- {}", value.operand()), &[&value])
            }
            6 => {
                let name = self.of(&["round", "trunc", "ceil", "floor", "abs", "sign", "ceiling"]);
                self.call(name, &[T::Numeric], depth)
            }
            7 | 8 => {
                let value = self.expression(T::Numeric, depth);
                let name = self.of(&["round", "trunc"]);
                let places = self.of(&["0", "1", "2", "5", "-1", "-3", "i2::int", "15"]);
                made(format!("{name}({}, {places})", value.sql), &[&value])
            }
            9 => self.call("mod", &[T::Numeric, other], depth),
            10 => self.call("sqrt", &[T::Numeric], depth),
            11 => {
                let value = self.expression(T::Numeric, depth);
                let exponent = self.of(&[
                    "2.0",
                    "3::numeric",
                    "0.0",
                    "-1::numeric",
                    "5.00",
                    "-2.0",
                    "17::numeric",
                    "1::numeric",
                ]);
                made(format!("power({}, {exponent})", value.sql), &[&value])
            }
            12 => {
                let from = self.of(NUMBERS);
                let to =
                    self.of(&["numeric", "numeric(10,2)", "decimal(38,10)", "numeric(5)", "numeric(60,20)"]);
                self.cast(from, to, depth)
            }
            13 => self.extract(depth),
            14 => self.bare(&["+", "-", "*", "/"], &[T::Numeric, T::Int4, T::Int8, T::Numeric]),
            _ => self.cast(T::Text, "numeric", 0),
        }
    }

    pub(super) fn extract(&mut self, depth: u64) -> Piece {
        let (of, fields): (Type, &[&str]) = self.of(&[
            (
                T::Timestamp,
                &[
                    "year",
                    "month",
                    "day",
                    "hour",
                    "minute",
                    "second",
                    "dow",
                    "isodow",
                    "doy",
                    "quarter",
                    "week",
                    "epoch",
                    "isoyear",
                    "century",
                    "decade",
                    "millennium",
                    "milliseconds",
                    "microseconds",
                ][..],
            ),
            (T::Timestamptz, &["year", "hour", "epoch", "week", "second"]),
            (
                T::Date,
                &[
                    "year",
                    "month",
                    "day",
                    "dow",
                    "isodow",
                    "doy",
                    "quarter",
                    "week",
                    "epoch",
                    "isoyear",
                    "century",
                    "decade",
                    "millennium",
                ],
            ),
            (T::Time, &["hour", "minute", "second", "epoch", "milliseconds", "microseconds"]),
            (
                T::Interval,
                &[
                    "year",
                    "month",
                    "day",
                    "hour",
                    "minute",
                    "second",
                    "epoch",
                    "quarter",
                    "century",
                    "decade",
                    "millennium",
                    "milliseconds",
                    "microseconds",
                ],
            ),
        ]);
        let field = self.of(fields);
        let value = self.expression(of, depth);
        made(format!("extract({field} from {})", value.sql), &[&value])
    }

    pub(super) fn float(&mut self, of: Type, depth: u64) -> Piece {
        let wide = of == T::Float8;
        let other = if wide { self.of(NUMBERS) } else { T::Float4 };
        match self.below(if wide { 9 } else { 5 }) {
            0 | 1 => {
                let op = self.of(&["+", "-", "*", "/"]);
                if self.below(2) == 0 {
                    self.infix(op, of, other, depth)
                } else {
                    self.infix(op, other, of, depth)
                }
            }
            2 => {
                let value = self.expression(of, depth);
                made(format!("- {}", value.operand()), &[&value])
            }
            3 => self.call("abs", &[of], depth),
            4 => {
                let from = self.of(NUMBERS);
                self.cast(from, of.name(), depth)
            }
            5 => {
                let name = self.of(&["round", "trunc", "ceil", "floor", "sqrt", "sign"]);
                let of = self.of(&[T::Float8, T::Float8, T::Int4, T::Int8]);
                self.call(name, &[of], depth)
            }
            6 => self.call("power", &[T::Float8, T::Float8], depth),
            7 => {
                let of = self.of(&[T::Timestamp, T::Date, T::Timestamptz]);
                let field = self.of(&["year", "month", "epoch", "dow", "second", "week"]);
                let value = self.expression(of, depth);
                made(format!("date_part('{field}', {})", value.sql), &[&value])
            }
            _ => self.cast(T::Text, "float8", 0),
        }
    }
}
