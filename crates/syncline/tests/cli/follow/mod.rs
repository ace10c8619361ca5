//! Following: a copy that stays in step.

mod beside;
mod capture;
mod keyless;
mod kill;
mod lite;
mod live;
mod mysql_capture;
mod mysql_source;
mod origins;
mod recopy;
mod refused;
mod release;
mod schema;
mod targets;
mod watch;
mod ways;
