//! Following real servers of both families by their binary logs.

mod broken;
mod changes;
mod formats;
mod inspect;
mod large;
mod origins;
mod place;
mod random;
mod resume;
mod rig;
mod schema;
mod values;
