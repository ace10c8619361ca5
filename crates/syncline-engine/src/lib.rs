//! What a run consists of: decided in [`core`], done in the [`shell`] around it; what of a
//! stream an [`incremental`] run reads; whether both ends agree afterwards, in [`verify`]; and where one
//! row is, in [`trace`].

mod between;
pub mod core;
pub mod follow;
pub mod incremental;
pub mod repair;
pub mod shell;
pub mod trace;
pub mod verify;

pub use between::Between;
