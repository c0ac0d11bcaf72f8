//! Azure's documents: read from files, or asked for, into the typed values of `resource`.

pub mod save;
pub mod saved;
pub mod wire;

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
