//! Files of all kinds, good and bad, through the connector's own interface.

mod applier;
mod changed;
mod folders;
mod modes;
mod rig;
mod strangers;
