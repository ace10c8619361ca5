//! What is particular to SQLite files.

mod kill;
mod readers;
mod trouble;
