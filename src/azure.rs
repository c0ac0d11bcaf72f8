//! Azure: its documents, read from files or asked for, into the typed values of `resource`; sign-in, and
//! questions to the Azure Resource Manager.

pub mod arm;
pub mod boot_log;
pub mod cloud;
pub mod credential;
pub mod event;
pub mod live;
pub mod near;
pub mod profile;
pub mod save;
pub mod saved;
mod transport;
pub mod wire;

#[cfg(test)]
mod tests;

/// How much of a scale set is asked from Azure: every request costs time and counts against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What leads to the instances: the scale set, its load balancers and their public addresses.
    Ports,
    /// Also which machine is behind each port: `vmId`, power and model state.
    Identity,
    /// Also network cards, security groups and subnets: private addresses, and what keeps packets out.
    Full,
}
