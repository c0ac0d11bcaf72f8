//! The NAT map of Azure's documents, against made-up networks of which the right map is known.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/network.rs"]
mod network;
#[path = "support/scenario.rs"]
mod scenario;
#[path = "support/vmssh.rs"]
mod vmssh_binary;
#[path = "support/way.rs"]
mod way;

#[path = "azure/cases.rs"]
mod cases;
#[path = "azure/combinations.rs"]
mod combinations;
#[path = "azure/partial.rs"]
mod partial;
#[path = "azure/properties.rs"]
mod properties;
#[path = "azure/recorded.rs"]
mod recorded;
#[path = "azure/scenarios.rs"]
mod scenarios;
#[path = "azure/security.rs"]
mod security;
