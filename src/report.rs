//! What people and programs see: tables, JSON, folded and prefixed outputs, progress.
//!
//! Everything here consumes values and events and writes to a given `Write`. No worker knows that
//! a table or a bar exists.

pub mod exec;
pub mod json;
pub mod map;
mod spool;
pub mod summary;
pub mod table;
