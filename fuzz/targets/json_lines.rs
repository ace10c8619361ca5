//! See `syncline_format::fuzz::json_lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_format::fuzz::json_lines(bytes));
