//! What people and programs see: tables, JSON, folded and prefixed outputs, progress.
//!
//! Everything here consumes values and events and writes to a given `Write`. No worker knows that
//! a table or a bar exists.

pub mod copy;
pub mod exec;
pub mod file;
mod flat;
pub mod hosts;
pub mod html;
pub mod inventory;
pub mod json;
pub mod map;
pub mod metrics;
mod percent;
pub mod probe;
pub mod progress;
pub mod screen;
mod spool;
pub mod ssh_config;
pub mod summary;
pub mod table;
pub mod trust;
pub mod watch;
