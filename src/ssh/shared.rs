//! What all connections of a run share.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{
    ClientOptions, agent::Agent, identity::Identity, known_hosts::KnownHosts, password::Password,
    person::Person,
};
use crate::net::resolve::Resolver;

pub(super) struct Shared {
    pub(super) options: ClientOptions,
    pub(super) resolver: Resolver,
    pub(super) person: Person,
    pub(super) known_hosts: KnownHosts,
    pub(super) identities: Vec<Arc<Identity>>,
    pub(super) password: Password,
    pub(super) agent: Option<Arc<Agent>>,
    /// What is said as connections are left, which may outlive who wanted them by a second.
    pub(super) goodbyes: TaskTracker,
}
