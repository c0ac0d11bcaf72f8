//! Made-up Azure networks: what is there, as typed values. `render` writes the documents that Azure would
//! answer with, `spelling` what the tools print of them, and `expected` the right map, from what is written
//! here and from nothing that the resolver does.

#![allow(dead_code, unused_imports, reason = "every test program uses some of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "network/balancers.rs"]
mod balancers;
#[path = "network/expected.rs"]
mod expected;
#[path = "network/generate.rs"]
mod generate;
#[path = "network/render.rs"]
mod render;
#[path = "network/spelling.rs"]
mod spelling;

#[allow(unused_imports, reason = "every test program uses some of it")]
pub(crate) use self::{
    generate::networks,
    render::{Documents, SECRET},
    spelling::{Document, Spelling},
};

pub(crate) const SUBSCRIPTION: &str = "0b1f6471-1bf0-4dda-aec3-cb9272f09590";

/// All that is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    pub(crate) sets: Vec<Machines>,
    pub(crate) balancers: Vec<Balancer>,
    pub(crate) groups: Vec<Group>,
    pub(crate) subnets: Vec<Subnet>,
    /// References are spelled in another case than the ids that they name.
    pub(crate) odd_case: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Uniform,
    Flexible,
    /// Virtual machines of no scale set.
    Alone,
}

/// A scale set with its instances, or machines of their own.
#[derive(Debug, Clone)]
pub(crate) struct Machines {
    pub(crate) kind: Kind,
    pub(crate) group: String,
    pub(crate) name: String,
    /// The group that the cards are in, where they are resources of their own.
    pub(crate) card_group: String,
    pub(crate) overprovision: bool,
    pub(crate) windows: bool,
    pub(crate) cards: Vec<Card>,
    pub(crate) instances: Vec<Instance>,
}

/// An instance: a number, or a virtual machine's name.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) power: &'static str,
    pub(crate) current: bool,
    /// Deleted; rules may still lead to it.
    pub(crate) gone: bool,
}

/// A network card that each instance has.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) name: String,
    pub(crate) primary: bool,
    /// The security group's name, in the set's group.
    pub(crate) security_group: Option<String>,
    pub(crate) configurations: Vec<Configuration>,
}

#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    pub(crate) network: String,
    pub(crate) subnet: String,
    pub(crate) v6: bool,
    /// (load balancer, its pool), by place.
    pub(crate) backend_pools: Vec<(usize, usize)>,
    /// The same, of NAT pools.
    pub(crate) nat_pools: Vec<(usize, usize)>,
    /// A public address for each instance; `Some(false)` where none is assigned yet.
    pub(crate) public: Option<bool>,
}

/// A card's configuration of one instance, by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) set: usize,
    pub(crate) instance: usize,
    pub(crate) card: usize,
    pub(crate) configuration: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) sku: &'static str,
    pub(crate) frontends: Vec<Frontend>,
    pub(crate) backend_pools: Vec<BackendPool>,
    pub(crate) nat_pools: Vec<NatPool>,
    pub(crate) pool_rules: Vec<PoolRule>,
    pub(crate) single_rules: Vec<SingleRule>,
}

#[derive(Debug, Clone)]
pub(crate) struct Frontend {
    pub(crate) name: String,
    pub(crate) internal: bool,
    pub(crate) address: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct BackendPool {
    pub(crate) name: String,
    /// Members are bare addresses; the flag says whether the virtual network is named.
    pub(crate) by_address: Option<bool>,
}

/// What pools and rules of both versions have.
#[derive(Debug, Clone)]
pub(crate) struct Translation {
    pub(crate) name: String,
    pub(crate) frontend: usize,
    pub(crate) backend_port: u16,
    pub(crate) udp: bool,
    pub(crate) idle_minutes: u16,
    pub(crate) reset: bool,
}

/// An inbound NAT pool (version 1) with the ports that Azure gave.
#[derive(Debug, Clone)]
pub(crate) struct NatPool {
    pub(crate) to: Translation,
    pub(crate) start: u16,
    pub(crate) end: u16,
    pub(crate) ports: Vec<(Member, u16)>,
}

/// An inbound NAT rule of version 2.
#[derive(Debug, Clone)]
pub(crate) struct PoolRule {
    pub(crate) to: Translation,
    pub(crate) start: u16,
    pub(crate) end: u16,
    pub(crate) backend_pool: usize,
    pub(crate) ports: Vec<(Member, u16)>,
}

#[derive(Debug, Clone)]
pub(crate) struct SingleRule {
    pub(crate) to: Translation,
    pub(crate) port: u16,
    pub(crate) target: Option<Member>,
}

/// A network security group; the defaults are added.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) group: String,
    pub(crate) name: String,
    /// (priority, allows, source, destination ports).
    pub(crate) rules: Vec<(u32, bool, &'static str, &'static str)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Subnet {
    pub(crate) group: String,
    pub(crate) network: String,
    pub(crate) name: String,
    pub(crate) security_group: Option<String>,
}

impl Machines {
    /// A set with one card of one configuration that is in no pool.
    pub(crate) fn new(kind: Kind, name: &str, ids: &[&str]) -> Self {
        Self {
            kind,
            group: "prod-rg".into(),
            name: name.into(),
            card_group: "prod-rg".into(),
            overprovision: false,
            windows: false,
            cards: vec![Card::new("nic", vec![Configuration::new("cfg")])],
            instances: ids.iter().map(|id| Instance::new(id)).collect(),
        }
    }

    /// The first card's first configuration.
    pub(crate) fn configuration(&mut self) -> &mut Configuration {
        &mut self.cards[0].configurations[0]
    }
}

impl Instance {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.into(), power: "running", current: true, gone: false }
    }
}

impl Card {
    pub(crate) fn new(name: &str, configurations: Vec<Configuration>) -> Self {
        Self { name: name.into(), primary: true, security_group: None, configurations }
    }
}

impl Configuration {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            network: "net".into(),
            subnet: "machines".into(),
            v6: false,
            backend_pools: Vec::new(),
            nat_pools: Vec::new(),
            public: None,
        }
    }
}

impl Translation {
    pub(crate) fn new(name: &str, frontend: usize, backend_port: u16) -> Self {
        Self { name: name.into(), frontend, backend_port, udp: false, idle_minutes: 4, reset: false }
    }
}

impl Balancer {
    /// A Standard load balancer with one public frontend.
    pub(crate) fn new(name: &str, address: &str) -> Self {
        Self {
            group: "prod-rg".into(),
            name: name.into(),
            sku: "Standard",
            frontends: vec![Frontend::public("fe0", address)],
            backend_pools: Vec::new(),
            nat_pools: Vec::new(),
            pool_rules: Vec::new(),
            single_rules: Vec::new(),
        }
    }

    pub(crate) fn nat_pool(mut self, name: &str, start: u16, end: u16, backend_port: u16) -> Self {
        let to = Translation::new(name, 0, backend_port);
        self.nat_pools.push(NatPool { to, start, end, ports: Vec::new() });
        self
    }

    pub(crate) fn backend_pool(mut self, name: &str) -> Self {
        self.backend_pools.push(BackendPool { name: name.into(), by_address: None });
        self
    }

    /// A rule of version 2 on the last backend pool.
    pub(crate) fn pool_rule(mut self, name: &str, start: u16, end: u16, backend_port: u16) -> Self {
        let to = Translation::new(name, 0, backend_port);
        let backend_pool = self.backend_pools.len() - 1;
        self.pool_rules.push(PoolRule { to, start, end, backend_pool, ports: Vec::new() });
        self
    }

    pub(crate) fn single(mut self, name: &str, port: u16, target: Option<Member>) -> Self {
        self.single_rules.push(SingleRule { to: Translation::new(name, 0, 22), port, target });
        self
    }
}

impl Frontend {
    pub(crate) fn public(name: &str, address: &str) -> Self {
        Self { name: name.into(), internal: false, address: Some(address.into()) }
    }
}

impl Member {
    /// The first card's first configuration.
    pub(crate) fn first(set: usize, instance: usize) -> Self {
        Self { set, instance, card: 0, configuration: 0 }
    }
}

impl Network {
    /// All configurations of all instances.
    pub(crate) fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for (set, machines) in self.sets.iter().enumerate() {
            for instance in 0..machines.instances.len() {
                for (card, of_card) in machines.cards.iter().enumerate() {
                    for configuration in 0..of_card.configurations.len() {
                        members.push(Member { set, instance, card, configuration });
                    }
                }
            }
        }
        members
    }

    pub(crate) fn configuration(&self, member: Member) -> &Configuration {
        &self.sets[member.set].cards[member.card].configurations[member.configuration]
    }

    pub(crate) fn instance(&self, member: Member) -> &Instance {
        &self.sets[member.set].instances[member.instance]
    }

    /// The private address: each virtual network counts for itself, so that two may have the same.
    pub(crate) fn private_address(&self, member: Member) -> String {
        let own = self.configuration(member);
        let alike = |other: &Member| {
            let configuration = self.configuration(*other);
            configuration.network == own.network && configuration.v6 == own.v6
        };
        let place = self.members().into_iter().filter(alike).position(|other| other == member).unwrap();
        // Azure keeps the first four addresses of a subnet.
        let number = u16::try_from(place + 4).unwrap();
        match own.v6 {
            true => format!("fd00::{number:x}"),
            false => format!("10.0.{}.{}", number >> 8, number & 0xff),
        }
    }

    /// Gives every member of every pool a port, in an order that is not that of the ids. Where a range is
    /// full, the rest get none.
    pub(crate) fn share_out(mut self, salt: usize) -> Self {
        let members = self.members();
        let configurations: Vec<_> = members.iter().map(|m| self.configuration(*m).clone()).collect();
        let among = |wanted: fn(&Configuration) -> &Vec<(usize, usize)>, place: (usize, usize)| {
            let mut there: Vec<_> = members
                .iter()
                .zip(&configurations)
                .filter(|(_, configuration)| wanted(configuration).contains(&place))
                .map(|(member, _)| *member)
                .collect();
            there.reverse();
            let by = salt % there.len().max(1);
            there.rotate_left(by);
            there
        };
        for (at, balancer) in self.balancers.iter_mut().enumerate() {
            for (place, pool) in balancer.nat_pools.iter_mut().enumerate() {
                pool.ports =
                    among(|c| &c.nat_pools, (at, place)).into_iter().zip(pool.start..=pool.end).collect();
            }
            for rule in &mut balancer.pool_rules {
                let there = among(|c| &c.backend_pools, (at, rule.backend_pool));
                rule.ports = there.into_iter().zip(rule.start..=rule.end).collect();
            }
        }
        self
    }
}
