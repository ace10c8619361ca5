//! Following: a copy that stays in step.

mod capture;
mod kill;
mod lite;
mod live;
mod mysql_source;
mod recopy;
mod refused;
mod release;
mod schema;
mod targets;
mod watch;
mod ways;
