//! To be written.

pub mod escape;
pub mod pty;
pub mod shell;
