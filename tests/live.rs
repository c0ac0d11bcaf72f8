//! The map asked from Azure: the program against the lab's Azure on loopback, which serves documents of which
//! the right map is known, with what can go wrong on the way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/network.rs"]
mod network;
#[path = "support/scenario.rs"]
mod scenario;
#[path = "support/azure.rs"]
mod stand_in;
#[path = "support/vmssh.rs"]
mod vmssh_binary;
#[path = "support/way.rs"]
mod way;

#[path = "live/lab.rs"]
mod lab;
#[path = "live/networks.rs"]
mod networks;
#[path = "live/requests.rs"]
mod requests;
#[path = "live/scenarios.rs"]
mod scenarios;
#[path = "live/trouble.rs"]
mod trouble;
