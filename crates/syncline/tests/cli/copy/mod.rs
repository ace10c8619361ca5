//! `syncline copy` that goes well: every way to write, and every kind of table.

mod abroad;
mod chunks;
mod modes;
mod names;
mod numbered;
mod shapes;
mod streams;
