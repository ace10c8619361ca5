//! What a run consists of: decided in [`core`], done in the [`shell`] around it; and whether both
//! ends agree afterwards, in [`verify`].

pub mod core;
pub mod repair;
pub mod shell;
pub mod verify;
