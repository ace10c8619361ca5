//! The engine's decisions, without its deeds: events in, actions out.
//!
//! Nothing here does IO, reads a clock or draws randomness (jitter comes from a seed), so a
//! simulation can drive exactly this code through any order of events with a crash between any two.
//! The order that nothing may change: dead letters, then the target's commit, then our state, then
//! the source's confirmation. A split is saved before it is read. What the target says of its
//! progress outranks what our state says.

mod action;
mod backoff;
mod bisect;
mod job;
mod lane;
mod run;
mod start;
mod stream;

pub use action::{Action, Answer, Event, Failure, LaneAction, Scope, Step, StreamAction};
pub use backoff::RetryPolicy;
pub use job::{Job, OnError, StreamJob};
pub use run::{Core, Ending, Refusal};
pub use stream::{StreamFailure, StreamPhase, StreamView};
