//! The `syncline` program as its users meet it: run as a process of its own, between real servers.
//!
//! Nothing here looks inside. What is asserted is what a user can see: exit codes, what is printed,
//! the tables, and what is left behind.

mod desk;
mod end;
mod ends;
mod lite;
mod tables;

mod copy;
mod deletes;
mod demo;
mod file;
mod follow;
mod full;
mod incremental;
mod kill;
mod letters;
mod limits;
mod made;
mod outages;
mod output;
mod plan;
mod publish;
mod refused;
mod repair;
mod replay;
mod sqlite;
mod steps;
mod stop;
mod tls;
mod trace;
mod twice;
mod verify;
mod verify_live;
