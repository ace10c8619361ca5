//! Reading from real servers of both families: every value, every kind of key, one snapshot over
//! several connections, and what goes wrong.

mod faults;
mod keys;
mod login;
mod snapshot;
mod table;
mod values;
mod wide;
