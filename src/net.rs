//! TCP and names: what lies below SSH.

pub mod connect;
pub mod resolve;
