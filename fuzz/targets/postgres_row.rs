//! See `syncline_postgres::fuzz::postgres_row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_postgres::fuzz::postgres_row(bytes));
