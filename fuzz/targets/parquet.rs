//! See `syncline_format::fuzz::parquet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_format::fuzz::parquet(bytes));
