//! Dates, times and intervals.

use super::{Generator, Piece, Type, Type as T, made};

impl Generator {
    pub(super) fn date(&mut self, depth: u64) -> Piece {
        match self.below(6) {
            0 | 1 => {
                let op = self.of(&["+", "-"]);
                self.infix(op, T::Date, T::Int4, depth)
            }
            2 => self.infix("+", T::Int2, T::Date, depth),
            3 => {
                let of = self.of(&[T::Timestamp, T::Timestamptz]);
                self.cast(of, "date", depth)
            }
            4 => {
                let sql = self.of(&[
                    "make_date(i, 2, 28)",
                    "make_date(2024, i2::int, 29)",
                    "make_date(i2::int, 1, 1)",
                    "make_date(2023, 2, i2::int)",
                ]);
                Piece::atom(sql, true)
            }
            _ => self.cast(T::Text, "date", 0),
        }
    }

    pub(super) fn time(&mut self, depth: u64) -> Piece {
        match self.below(4) {
            0 => {
                let op = self.of(&["+", "-"]);
                self.infix(op, T::Time, T::Interval, depth)
            }
            1 => {
                let to = self.of(&["time", "time(2)"]);
                let of = self.of(&[T::Timestamp, T::Interval, T::Timestamptz]);
                self.cast(of, to, depth)
            }
            2 => self.infix("+", T::Interval, T::Time, depth),
            _ => self.cast(T::Text, "time", 0),
        }
    }

    pub(super) fn timestamp(&mut self, of: Type, depth: u64) -> Piece {
        let other = if of == T::Timestamp { T::Timestamptz } else { T::Timestamp };
        match self.below(9) {
            0 | 1 => {
                let op = self.of(&["+", "-"]);
                self.infix(op, of, T::Interval, depth)
            }
            2 => self.infix("+", T::Interval, of, depth),
            3 if of == T::Timestamp => {
                let op = self.of(&["+", "-"]);
                self.infix(op, T::Date, T::Interval, depth)
            }
            3 => self.cast(other, of.name(), depth),
            4 if of == T::Timestamp => self.infix("+", T::Date, T::Time, depth),
            4 | 5 => {
                let unit = self.of(&[
                    "year",
                    "month",
                    "week",
                    "day",
                    "hour",
                    "minute",
                    "second",
                    "quarter",
                    "decade",
                    "century",
                    "millennium",
                    "milliseconds",
                ]);
                let from = if of == T::Timestamptz { self.of(&[T::Timestamptz, T::Date]) } else { of };
                let value = self.expression(from, depth);
                made(format!("date_trunc('{unit}', {})", value.sql), &[&value])
            }
            6 => self.cast(T::Date, of.name(), depth),
            7 => {
                let to = if of == T::Timestamp { "timestamp(3)" } else { "timestamptz(0)" };
                self.cast(of, to, depth)
            }
            _ => self.cast(T::Text, of.name(), 0),
        }
    }

    pub(super) fn interval(&mut self, depth: u64) -> Piece {
        match self.below(9) {
            0 | 1 => {
                let of = self.of(&[T::Timestamp, T::Timestamptz, T::Time]);
                self.infix("-", of, of, depth)
            }
            2 => {
                let op = self.of(&["+", "-"]);
                self.infix(op, T::Interval, T::Interval, depth)
            }
            3 => {
                let value = self.expression(T::Interval, depth);
                made(format!("- {}", value.operand()), &[&value])
            }
            4 => {
                let factor = self.of(&[T::Int4, T::Float8, T::Int2]);
                self.infix("*", T::Interval, factor, 0)
            }
            5 => {
                let divisor = self.of(&[T::Int4, T::Float8]);
                self.infix("/", T::Interval, divisor, 0)
            }
            6 => {
                let value = self.expression(T::Interval, depth);
                let unit = self.of(&[
                    "year",
                    "month",
                    "day",
                    "hour",
                    "minute",
                    "second",
                    "quarter",
                    "decade",
                    "century",
                    "millennium",
                ]);
                made(format!("date_trunc('{unit}', {})", value.sql), &[&value])
            }
            7 => self.cast(T::Time, "interval", depth),
            _ => self.infix("-", T::Date, T::Timestamp, depth),
        }
    }
}
