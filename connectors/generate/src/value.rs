//! Values: each is a function of seed, column and row, so any split can be made on its own.

use syncline_types::{LogicalType, build::ColumnBuilder, civil::DAY_MICROS, interval::Interval};

use crate::schema::{Kind, Made};

/// A small generator (splitmix64), begun anew for every value.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, column: usize, row: u64) -> Self {
        let mut dice = Dice(seed ^ (column as u64).wrapping_mul(0xA076_1D64_78BD_642F));
        dice.0 = dice.roll() ^ row.wrapping_mul(0xE703_7ED1_A0B4_28DB);
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly below `bound`, near enough for made-up rows.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(bound)) >> 64) as u64
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.below(most.abs_diff(least) + 1).cast_signed()
    }

    fn decimal(&mut self, digits: u8) -> i128 {
        let wide = u128::from(self.roll()) << 64 | u128::from(self.roll());
        let magnitude = (wide % 10_u128.pow(digits.min(38).into())).cast_signed();
        if self.below(2) == 0 { magnitude } else { -magnitude }
    }
}

/// Words of several scripts, with what CSV and SQL stumble over.
const WORDS: &[&str] = &[
    "amber",
    "river",
    "Zoë",
    "O'Brien",
    "naïve",
    "東京",
    "\"quoted\"",
    "straße",
    "смета",
    "line\nbreak",
    "a\\b",
    "comma, here",
    "🚀",
    "e\u{301}clair",
    "tab\there",
    "plain",
    "silver",
    "harbour",
    "ünïcode",
    "x",
];

/// The first and last day of made-up dates: 1970-01-01 and 2069-12-31.
const DAYS: std::ops::Range<i64> = 0..36_524;

/// Appends the value of one row. Its bytes, about, are returned.
pub(crate) fn push(column: &Made, number: usize, seed: u64, row: u64, builder: &mut ColumnBuilder) -> u64 {
    let mut dice = Dice::new(seed, number, row);
    if column.null_percent > 0 && dice.below(100) < u64::from(column.null_percent) {
        builder.push_null();
        return 1;
    }
    let Kind::Any { logical, least, most } = column.kind else {
        if let ColumnBuilder::Int64(builder) = builder {
            builder.push((row + 1).cast_signed());
        }
        return 8;
    };
    match builder {
        ColumnBuilder::Bool(builder) => builder.push(dice.below(2) == 1),
        ColumnBuilder::Int8(builder) => builder.push(dice.roll() as i8),
        ColumnBuilder::Int16(builder) => builder.push(dice.roll() as i16),
        ColumnBuilder::Int32(builder) => builder.push(dice.roll() as i32),
        ColumnBuilder::Int64(builder) => builder.push(dice.roll().cast_signed()),
        ColumnBuilder::UInt8(builder) => builder.push(dice.roll() as u8),
        ColumnBuilder::UInt16(builder) => builder.push(dice.roll() as u16),
        ColumnBuilder::UInt32(builder) => builder.push(dice.roll() as u32),
        ColumnBuilder::UInt64(builder) => builder.push(dice.roll()),
        ColumnBuilder::Float32(builder) => builder.push(dice.between(-1_000_000, 1_000_000) as f32 / 64.0),
        ColumnBuilder::Float64(builder) => builder.push(dice.between(-1 << 52, 1 << 52) as f64 / 1024.0),
        ColumnBuilder::Decimal128(builder) => {
            let LogicalType::Decimal { precision, .. } = logical else { return 0 };
            builder.push(dice.decimal(precision));
        }
        ColumnBuilder::Decimal256(builder) => builder.push(arrow_i256(dice.decimal(38))),
        ColumnBuilder::Date(builder) => builder.push(dice.between(DAYS.start, DAYS.end - 1) as i32),
        ColumnBuilder::Time(builder) => builder.push(dice.between(0, DAY_MICROS - 1)),
        ColumnBuilder::Timestamp(builder) => {
            builder.push(dice.between(DAYS.start * DAY_MICROS, DAYS.end * DAY_MICROS - 1));
        }
        ColumnBuilder::Sixteen(builder) => {
            builder.push(match logical {
                LogicalType::Interval => Interval {
                    months: dice.between(-1_200, 1_200) as i32,
                    days: dice.between(-1_000, 1_000) as i32,
                    micros: dice.between(-DAY_MICROS, DAY_MICROS),
                }
                .to_bytes(),
                _ => uuid_v4(&mut dice),
            });
            return 16;
        }
        ColumnBuilder::Binary(builder) => {
            let length = dice.between(least.into(), most.into()) as usize;
            let buffer = builder.buffer();
            let end = buffer.len() + length;
            while buffer.len() < end {
                buffer.extend_from_slice(&dice.roll().to_le_bytes());
            }
            buffer.truncate(end);
            builder.end();
            return length as u64;
        }
        ColumnBuilder::Text(builder) => {
            let buffer = builder.buffer();
            let start = buffer.len();
            text(logical, least, most, &mut dice, buffer);
            let length = (buffer.len() - start) as u64;
            builder.end();
            return length;
        }
    }
    8
}

fn arrow_i256(
    value: i128,
) -> <arrow_array::types::Decimal256Type as arrow_array::ArrowPrimitiveType>::Native {
    value.into()
}

fn uuid_v4(dice: &mut Dice) -> [u8; 16] {
    let mut bytes = (u128::from(dice.roll()) << 64 | u128::from(dice.roll())).to_be_bytes();
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    bytes
}

/// Appends a text of a type.
fn text(logical: LogicalType, least: u32, most: u32, dice: &mut Dice, out: &mut Vec<u8>) {
    match logical {
        LogicalType::Bits { length, .. } => {
            out.extend((0..length.unwrap_or(8)).map(|_| if dice.below(2) == 0 { b'0' } else { b'1' }));
        }
        LogicalType::Numeric => {
            let mut number = String::new();
            syncline_types::decimal::write_128(dice.decimal(30), dice.below(10) as u8, &mut number);
            out.extend_from_slice(number.as_bytes());
        }
        LogicalType::Json { .. } => {
            let word = WORDS[16 - dice.below(2) as usize];
            let (size, tags) = (dice.below(100), dice.below(9));
            // As PostgreSQL writes jsonb, so that both kinds of JSON come back as the same text.
            out.extend_from_slice(
                format!("{{\"size\": {size}, \"tags\": [{tags}], \"color\": \"{word}\"}}").as_bytes(),
            );
        }
        _ => {
            let length = dice.between(least.into(), most.into()) as usize;
            let end = out.len() + length;
            while out.len() < end {
                let word = WORDS[dice.below(WORDS.len() as u64) as usize];
                let room = end - out.len();
                // A word that does not fit is left out in favour of a letter.
                match word.len() + 1 {
                    needed if needed <= room => {
                        out.extend_from_slice(word.as_bytes());
                        out.push(b' ');
                    }
                    _ => out.push(b'a' + dice.below(26) as u8),
                }
            }
        }
    }
}
