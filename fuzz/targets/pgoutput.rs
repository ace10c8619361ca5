//! See `syncline_postgres::fuzz::pgoutput`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_postgres::fuzz::pgoutput(bytes));
