//! Names, TCP connections and TCP probes: what lies below SSH. Knows nothing of SSH or Azure.

pub mod connect;
pub mod descriptors;
mod error_queue;
pub mod probe;
pub mod proxy_command;
pub mod resolve;
#[cfg(target_os = "linux")]
mod socket_option;
pub mod source;
mod tcp_info;
