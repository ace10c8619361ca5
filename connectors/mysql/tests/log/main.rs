//! Following real servers of both families by their binary logs.

mod changes;
mod formats;
mod rig;
