//! See `syncline_mysql::fuzz::binlog`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| syncline_mysql::fuzz::binlog(bytes));
