//! Following: a copy that stays in step.

mod capture;
mod kill;
mod lite;
mod live;
mod mysql_source;
mod release;
mod targets;
