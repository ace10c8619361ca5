//! Columns and batches from the text forms of their values.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use syncline_types::{
    LogicalType as L, civil, decimal,
    interval::Interval,
    special::{
        DATE_INFINITY, DATE_MINUS_INFINITY, DECIMAL128_NAN, DECIMAL256_NAN, TIMESTAMP_INFINITY,
        TIMESTAMP_MINUS_INFINITY,
    },
    text::{parse_hex, parse_uuid},
};

const GOOD: &str = "the table holds only good values";

/// A column read by the text forms of the types crate, not by the casts under test.
pub(crate) fn array(logical: L, values: &[Option<&str>]) -> ArrayRef {
    fn each<T>(values: &[Option<&str>], read: impl Fn(&str) -> T) -> Vec<Option<T>> {
        values.iter().map(|value| value.map(&read)).collect()
    }
    let int = |text: &str| text.parse::<i64>().expect(GOOD);
    match logical {
        L::Bool => Arc::new(BooleanArray::from(each(values, |text| text == "true"))),
        L::Int8 => Arc::new(Int8Array::from(each(values, |text| int(text) as i8))),
        L::UInt8 => Arc::new(UInt8Array::from(each(values, |text| int(text) as u8))),
        L::UInt16 => Arc::new(UInt16Array::from(each(values, |text| int(text) as u16))),
        L::UInt32 => Arc::new(UInt32Array::from(each(values, |text| int(text) as u32))),
        L::UInt64 => Arc::new(UInt64Array::from(each(values, |text| text.parse::<u64>().expect(GOOD)))),
        L::Int16 => Arc::new(Int16Array::from(each(values, |text| int(text) as i16))),
        L::Int32 => Arc::new(Int32Array::from(each(values, |text| int(text) as i32))),
        L::Int64 => Arc::new(Int64Array::from(each(values, int))),
        L::Float32 => Arc::new(Float32Array::from(each(values, |text| text.parse::<f32>().expect(GOOD)))),
        L::Float64 => Arc::new(Float64Array::from(each(values, |text| text.parse::<f64>().expect(GOOD)))),
        L::Decimal { precision: precision @ ..=38, scale } => {
            let units = each(values, |text| match text {
                "NaN" => DECIMAL128_NAN,
                text => decimal::parse_128(text, precision, scale).expect(GOOD),
            });
            let array = Decimal128Array::from(units).with_data_type(logical.arrow());
            Arc::new(array)
        }
        L::Decimal { precision, scale } => {
            let units = each(values, |text| match text {
                "NaN" => DECIMAL256_NAN,
                text => decimal::parse_256(text, precision, scale).expect(GOOD),
            });
            Arc::new(Decimal256Array::from(units).with_data_type(logical.arrow()))
        }
        L::Binary => Arc::new(BinaryArray::from_iter(each(values, |text| parse_hex(text).expect(GOOD)))),
        L::Date => Arc::new(Date32Array::from(each(values, |text| match text {
            "infinity" => DATE_INFINITY,
            "-infinity" => DATE_MINUS_INFINITY,
            text => civil::parse_date(text).expect(GOOD) as i32,
        }))),
        L::Time { .. } => {
            Arc::new(Time64MicrosecondArray::from(each(values, |text| civil::parse_time(text).expect(GOOD))))
        }
        L::Timestamp { .. } => {
            let array = TimestampMicrosecondArray::from(each(values, |text| match text {
                "infinity" => TIMESTAMP_INFINITY,
                "-infinity" => TIMESTAMP_MINUS_INFINITY,
                text => civil::parse_timestamp(text).expect(GOOD).0,
            }));
            Arc::new(array.with_data_type(logical.arrow()))
        }
        L::Interval => sixteen(each(values, |text| Interval::parse(text).expect(GOOD).to_bytes())),
        L::Uuid => sixteen(each(values, |text| parse_uuid(text).expect(GOOD))),
        _ => Arc::new(StringArray::from(values.to_vec())),
    }
}

fn sixteen(values: Vec<Option<[u8; 16]>>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16).expect(GOOD))
}
