//! Incremental runs: what each copies, what they leave, and what is refused.

mod append;
mod kill;
mod marks;
mod merge;
mod refused;
