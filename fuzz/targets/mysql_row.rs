//! See `syncline_mysql::fuzz::mysql_row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_mysql::fuzz::mysql_row(bytes));
