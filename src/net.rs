//! Names, TCP connections and TCP probes: what lies below SSH. Knows nothing of SSH or Azure.

pub mod connect;
pub mod descriptors;
pub mod probe;
pub mod resolve;
mod tcp_info;
