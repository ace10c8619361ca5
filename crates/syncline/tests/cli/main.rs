//! The `syncline` program as its users meet it: run as a process of its own, between real servers.
//!
//! Nothing here looks inside. What is asserted is what a user can see: exit codes, what is printed,
//! the tables, and what is left behind.

mod desk;
mod ends;
mod lite;
mod tables;

mod copy;
mod kill;
mod outages;
mod publish;
mod stop;
mod twice;
