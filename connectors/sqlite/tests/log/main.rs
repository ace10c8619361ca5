//! Following a file: what an application does to it is told, all of it, whatever it is done by.

#![allow(clippy::unwrap_used, reason = "this is a test, in several files")]

mod broken;
mod changes;
mod keep;
mod origins;
mod pushed_out;
mod random;
mod rig;
mod schema;
mod values;
mod whole;
