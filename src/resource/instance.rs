use std::net::IpAddr;

use super::ResourceId;
use crate::natmap::{InstanceId, Power};

/// An instance of a Uniform scale set, or a virtual machine (of a Flexible one, or of none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its id.
    pub id: ResourceId,
    /// The id under which its scale set knows it: the number, or the machine's name.
    pub instance: InstanceId,
    /// Its name in Azure (`web_3`).
    pub name: String,
    /// Azure's GUID of the machine: stays the same while ids and ports pass on to others.
    pub vm_id: Option<String>,
    /// The name that it knows itself by (`hostname`).
    pub computer_name: Option<String>,
    /// Whether it runs, where the instance view was asked for.
    pub power: Option<Power>,
    /// Whether it is on the scale set's latest model.
    pub model_current: Option<bool>,
    /// Whose it is.
    pub membership: Membership,
    /// Its network cards.
    pub cards: Vec<ResourceId>,
}

/// Which scale set a machine belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// This one.
    Of(ResourceId),
    /// None: a machine of its own.
    None,
    /// The document is too bare to tell: what Azure lists of a Flexible set's instances.
    Unsaid,
}

impl Machine {
    /// Takes over what a later document says; what it leaves out stays.
    pub(super) fn merge(&mut self, later: Self) {
        self.vm_id = later.vm_id.or(self.vm_id.take());
        self.computer_name = later.computer_name.or(self.computer_name.take());
        self.power = later.power.or(self.power);
        self.model_current = later.model_current.or(self.model_current);
        if later.membership != Membership::Unsaid {
            self.membership = later.membership;
        }
        if !later.cards.is_empty() {
            self.cards = later.cards;
        }
    }
}

/// A network card of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its id. Names of cards repeat from instance to instance; the id does not.
    pub id: ResourceId,
    /// The machine that it is in.
    pub machine: Option<ResourceId>,
    /// Whether it is the machine's first card.
    pub primary: bool,
    /// The security group on the card.
    pub security_group: Option<ResourceId>,
    /// Its IP configurations.
    pub configurations: Vec<CardConfiguration>,
}

/// An IP configuration of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardConfiguration {
    /// Its id.
    pub id: ResourceId,
    /// Whether it is the card's first.
    pub primary: bool,
    /// Its private address.
    pub private_address: Option<IpAddr>,
    /// Its subnet.
    pub subnet: Option<ResourceId>,
    /// The NAT rules (version 1) that lead to it.
    pub nat_rules: Vec<ResourceId>,
    /// The backend pools that it is in.
    pub backend_pools: Vec<ResourceId>,
    /// Its public address.
    pub public_address: Option<ResourceId>,
}
