//! Following: a copy that stays in step.

mod kill;
mod lite;
mod live;
mod mysql_source;
mod release;
mod targets;
