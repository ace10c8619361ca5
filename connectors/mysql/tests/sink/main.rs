//! The sink on real servers of both families, beyond what the conformance suite asks of every one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod applier;
mod guard;
mod keyed;
mod plan;
mod publish;
mod rig;
mod servers;
mod values;
