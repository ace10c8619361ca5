//! Conditions.

use super::{Generator, ORDERED, Piece, TYPES, Type as T, made};

impl Generator {
    pub(super) fn boolean(&mut self, depth: u64) -> Piece {
        let of = self.of(ORDERED);
        match self.below(22) {
            0..=3 => {
                let op = self.of(&["=", "<>", "<", "<=", ">", ">=", "!="]);
                self.infix(op, of, of, depth)
            }
            4 | 5 => {
                let op = self.of(&["=", "<>", "<", "<=", ">", ">="]);
                let (left, right) = self.of(&[
                    (T::Int4, T::Int8),
                    (T::Int2, T::Numeric),
                    (T::Numeric, T::Float8),
                    (T::Float4, T::Float8),
                    (T::Int8, T::Float4),
                    (T::Numeric, T::Numeric),
                    (T::Date, T::Timestamp),
                    (T::Timestamptz, T::Date),
                    (T::Timestamp, T::Timestamptz),
                    (T::Time, T::Interval),
                ]);
                self.infix(op, left, right, depth)
            }
            6 | 7 => {
                let op = self.of(&["and", "or"]);
                self.infix(op, T::Bool, T::Bool, depth)
            }
            8 => self.bare(&["and", "or", "and not", "or not"], &[T::Bool]),
            9 => {
                let value = self.expression(T::Bool, depth);
                made(format!("not {}", value.operand()), &[&value])
            }
            10 => {
                let of = self.of(TYPES);
                let value = self.expression(of, depth);
                let test = self.of(&["is null", "is not null"]);
                made(format!("{} {test}", value.operand()), &[&value])
            }
            11 => {
                let value = self.expression(T::Bool, depth);
                let test = self.of(&[
                    "is true",
                    "is not true",
                    "is false",
                    "is not false",
                    "is unknown",
                    "is not unknown",
                ]);
                made(format!("{} {test}", value.operand()), &[&value])
            }
            12 => {
                let op = self.of(&["is distinct from", "is not distinct from"]);
                self.infix(op, of, of, depth)
            }
            13 => {
                let value = self.expression(of, depth);
                let (low, high) = (self.operand(of, 0), self.operand(of, 0));
                let not = self.of(&["", "not "]);
                made(
                    format!("{} {not}between {} and {}", value.operand(), low.operand(), high.operand()),
                    &[&value, &low, &high],
                )
            }
            14 => {
                let value = self.expression(of, depth);
                let items: Vec<Piece> = (0..3).map(|_| self.operand(of, 0)).collect();
                let list: Vec<&str> = items.iter().map(|item| item.sql.as_str()).collect();
                let not = self.of(&["", "not "]);
                let sql = format!("{} {not}in ({})", value.operand(), list.join(", "));
                made(sql, &[&value])
            }
            15 | 16 => {
                let value = self.expression(T::Text, depth);
                let op = self.of(&["like", "not like", "ilike", "not ilike"]);
                let pattern = self.of(&[
                    "'a%'",
                    "'%b%'",
                    "'_'",
                    "'%'",
                    "''",
                    "'A_c%'",
                    "'%\\%%'",
                    "'x%%y' escape 'x'",
                    "'%ß_'",
                    "'ab\\_' escape ''",
                    "t || '%'",
                ]);
                made(format!("{} {op} {pattern}", value.operand()), &[&value])
            }
            17 => {
                let value = self.expression(T::Text, depth);
                let op = self.of(&["~", "~*", "!~", "!~*"]);
                let pattern = self.of(&["'^a'", "'b.*c'", "'[0-9]+'", "'^$'", "'Ä|x'", "'a{2}'"]);
                made(format!("{} {op} {pattern}", value.operand()), &[&value])
            }
            18 => self.call("starts_with", &[T::Text, T::Text], depth),
            19 => self.cast(T::Int4, "boolean", depth),
            20 => Piece::atom(
                self.of(&["c = 'ab'", "c = v", "c < 'b  '", "c like 'a%'", "c = 'ab   '", "c = c", "v = c"]),
                true,
            )
            .compound(),
            _ => self.cast(T::Text, "bool", 0),
        }
    }
}
