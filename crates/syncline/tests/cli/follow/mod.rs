//! Following: a copy that stays in step.

mod kill;
mod live;
mod mysql_source;
mod targets;
