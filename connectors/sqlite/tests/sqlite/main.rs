//! The connector driven directly, with real files: what a pipeline does, step by step.

#![allow(clippy::unwrap_used, reason = "this is a test, in several files")]

mod applier;
mod failures;
mod keyed;
mod keys;
mod merge;
mod overwrite;
mod plan;
mod rig;
mod sink;
mod snapshot;
mod source;
mod types;
