//! Text, JSON and bytes.

use super::{Generator, Piece, Type, Type as T, made};

impl Generator {
    pub(super) fn text(&mut self, depth: u64) -> Piece {
        match self.below(22) {
            0 => {
                let name = self.of(&["lower", "upper", "initcap", "reverse", "btrim", "ltrim", "rtrim"]);
                self.call(name, &[T::Text], depth)
            }
            1 => {
                let name = self.of(&["btrim", "ltrim", "rtrim"]);
                self.call(name, &[T::Text, T::Text], depth)
            }
            2 => {
                let (what, from) = self.pair(T::Text, T::Text, depth);
                let side = self.of(&["both", "leading", "trailing"]);
                made(format!("trim({side} {} from {})", what.operand(), from.operand()), &[&what, &from])
            }
            3 => self.call("substring", &[T::Text, T::Int4], 0),
            4 => self.call("substr", &[T::Text, T::Int4, T::Int4], 0),
            5 => {
                let value = self.expression(T::Text, depth);
                let (start, length) =
                    (self.of(&["1", "2", "-1", "i2::int"]), self.of(&["0", "1", "3", "100"]));
                made(format!("substring({} from {start} for {length})", value.operand()), &[&value])
            }
            6 => {
                let value = self.expression(T::Text, depth);
                let name = self.of(&["left", "right"]);
                let count = self.of(&["0", "1", "2", "-1", "-2", "100", "i2::int"]);
                made(format!("{name}({}, {count})", value.sql), &[&value])
            }
            7 => {
                let value = self.expression(T::Text, depth);
                let name = self.of(&["lpad", "rpad"]);
                let size = self.of(&["0", "3", "7", "-1", "20"]);
                let fill = self.of(&["", ", 'xy'", ", ''", ", s", ", 'ß'"]);
                made(format!("{name}({}, {size}{fill})", value.sql), &[&value])
            }
            8 => self.call("replace", &[T::Text, T::Text, T::Text], depth),
            9 => {
                let (of, more) = (self.concatenated(), self.concatenated());
                self.call("concat", &[T::Text, of, more], depth)
            }
            10 => {
                let of = self.concatenated();
                self.call("concat_ws", &[T::Text, T::Text, of], depth)
            }
            11 => {
                let (value, separator) = self.pair(T::Text, T::Text, depth);
                let field = self.of(&["1", "2", "-1", "-2", "0", "i2::int"]);
                made(format!("split_part({}, {}, {field})", value.sql, separator.sql), &[&value, &separator])
            }
            12 => {
                let value = self.expression(T::Text, depth);
                let count = self.of(&["0", "1", "3", "-1", "i2::int % 5"]);
                made(format!("repeat({}, {count})", value.sql), &[&value])
            }
            13 | 14 => self.infix("||", T::Text, T::Text, depth),
            15 => {
                let of = self.of(&[T::Int4, T::Int8, T::Date, T::Bool, T::Uuid, T::Time]);
                self.infix("||", T::Text, of, depth)
            }
            16 => {
                let of =
                    self.of(&[T::Int4, T::Int8, T::Bool, T::Date, T::Timestamp, T::Time, T::Bytes, T::Uuid]);
                let to = self.of(&["text", "varchar", "varchar(4)"]);
                let value = self.cast(of, to, depth);
                made(format!("{}::text", value.operand()), &[&value])
            }
            17 => Piece::atom(
                self.of(&["js ->> 'a'", "js ->> 'b'", "js -> 'o' ->> 'x'", "js ->> 0", "js -> 'l' ->> -1"]),
                true,
            )
            .compound(),
            18 => self.cast(T::Text, "varchar(3)", depth).cast_to_text(),
            19 => self.cast(T::Text, "char(4)", depth).cast_to_text(),
            20 => Piece::atom(
                self.of(&["c || t", "lower(c)", "concat(s, v)", "v || c", "rtrim(c)", "coalesce(v, t)"]),
                true,
            )
            .compound(),
            _ => self.cast(T::Text, "text", depth),
        }
    }

    /// A type whose text both systems write alike, and whose text `concat` takes as a cast does.
    pub(super) fn concatenated(&mut self) -> Type {
        self.of(&[T::Text, T::Int4, T::Int8, T::Date, T::Timestamp, T::Uuid])
    }

    pub(super) fn json(&mut self, _depth: u64) -> Piece {
        let sql = self.of(&[
            "js -> 'a'",
            "js -> 'o'",
            "js -> 'o' -> 'x'",
            "js -> 'l'",
            "js -> 0",
            "js -> 'l' -> 1",
            "js -> 'l' -> -1",
            "js -> t",
        ]);
        Piece::atom(sql, true).compound()
    }

    pub(super) fn bytes(&mut self, depth: u64) -> Piece {
        self.infix("||", T::Bytes, T::Bytes, depth)
    }
}
