use super::ResourceId;

/// A scale set's model: how Azure makes its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleSet {
    /// Its id.
    pub id: ResourceId,
    /// How its instances are kept.
    pub orchestration: Orchestration,
    /// How many instances it is to have.
    pub capacity: Option<u64>,
    /// Whether more instances than wanted are made at first, and the surplus deleted (Uniform only): each
    /// takes a port meanwhile.
    pub overprovision: bool,
    /// The user that Azure makes on each instance.
    pub admin_username: Option<String>,
    /// The operating system, where the model tells it.
    pub os: Option<Os>,
    /// What computer names start with; the instance's id in base 36 follows (Uniform).
    pub computer_name_prefix: Option<String>,
    /// The network cards that each instance gets.
    pub cards: Vec<CardModel>,
}

/// How the instances of a scale set are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orchestration {
    /// As parts of the scale set, with numbers as ids. Also what a document of before the choice means.
    Uniform,
    /// As virtual machines of their own.
    Flexible,
}

/// An operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// Linux: SSH on 22.
    Linux,
    /// Windows: RDP on 3389.
    Windows,
}

/// A network card in a scale set's model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardModel {
    /// Its name.
    pub name: String,
    /// Whether it is the instance's first card.
    pub primary: bool,
    /// The security group on the card.
    pub security_group: Option<ResourceId>,
    /// Its IP configurations.
    pub configurations: Vec<ConfigurationModel>,
}

/// An IP configuration in a scale set's model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationModel {
    /// Its name.
    pub name: String,
    /// The subnet that addresses are taken from.
    pub subnet: Option<ResourceId>,
    /// The backend pools that instances join.
    pub backend_pools: Vec<ResourceId>,
    /// The NAT pools (version 1) that give instances their ports.
    pub nat_pools: Vec<ResourceId>,
    /// Whether each instance gets a public address of its own.
    pub public_address: bool,
}

impl ScaleSet {
    /// The ids of the load balancers that the model refers to, each once, in its order.
    #[must_use]
    pub fn load_balancers(&self) -> Vec<ResourceId> {
        let mut found = Vec::new();
        for configuration in self.configurations() {
            for reference in configuration.nat_pools.iter().chain(&configuration.backend_pools) {
                found.extend(reference.up_to("loadBalancers").filter(|id| !found.contains(id)));
            }
        }
        found
    }

    /// All IP configurations of all cards.
    pub fn configurations(&self) -> impl Iterator<Item = &ConfigurationModel> {
        self.cards.iter().flat_map(|card| &card.configurations)
    }

    /// Whether instances have public addresses of their own.
    #[must_use]
    pub fn has_public_addresses(&self) -> bool {
        self.configurations().any(|configuration| configuration.public_address)
    }
}
