//! What a run consists of: decided in [`core`], done in the [`shell`] around it.

pub mod core;
pub mod shell;
