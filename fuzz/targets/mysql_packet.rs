//! See `syncline_mysql::fuzz::mysql_packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_mysql::fuzz::mysql_packet(bytes));
