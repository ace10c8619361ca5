//! See `syncline_format::fuzz::gzip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_format::fuzz::gzip(bytes));
