//! Every type there and back, by the program itself between real databases.
//!
//! [`matrix`] is the one table of types: a connector that is added gets a column in it, and a route
//! here. What a database holds is read by its own tools as its own text, so that no code of ours
//! takes part in the comparison. Shapes of tables between two PostgreSQL servers, their names and
//! their numbering are proved in `tests/cli`.

#[path = "../cli/desk.rs"]
#[allow(dead_code, reason = "it is shared with the target `cli`, which uses all of it")]
mod desk;

mod carried;
mod lite;
mod matrix;
mod my;
mod own;
mod ran;
mod wide;

mod defaults;
mod encodings;
mod equal;
mod files;
mod keys;
mod large;
mod logged;
mod mysql;
mod refused;
mod routes;

mod shapes;
mod widened;
