//! What the tests of every crate share: real servers of their own, faults on the way to them,
//! certificates, disks that fill up, the program run as a user runs it, and the suite that proves what a
//! connector claims.
//!
//! Made for Linux, and only ever a dev-dependency. Functions panic with a message that says what to
//! do: a test cannot go on without what it asked for. Whatever is started or mounted here is watched
//! by a small shell that outlives the test process and clears up, however that process ends.
//! Knows no connector.

pub mod certificates;
pub mod conformance;
pub mod disk;
pub mod faults;
pub mod process;
pub mod seed;
pub mod servers;

mod account;
mod cache;
mod guard;
mod home;
mod port;
mod signal;
