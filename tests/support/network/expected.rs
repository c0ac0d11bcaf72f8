//! The right map of a made-up network, from the ports that its author gave out.

use super::{Balancer, Kind, Member, Network, Translation};
use crate::way::Way;

impl Network {
    /// The right ways into a set.
    pub(crate) fn expected(&self, set: usize) -> Vec<Way> {
        let mut ways = Vec::new();
        let is_there = |member: &Member| !self.instance(*member).gone;
        // Of a Uniform set's instance that is gone, the rule tells whose it was; of a Flexible one's only the
        // card, which is gone as well.
        let is_ours =
            |member: &Member| member.set == set && (is_there(member) || self.sets[set].kind == Kind::Uniform);
        for balancer in &self.balancers {
            for pool in &balancer.nat_pools {
                for (member, port) in pool.ports.iter().filter(|(member, _)| is_ours(member)) {
                    let name = self.pool_rule_name(&pool.to.name, *member);
                    let way = self.way(balancer, &pool.to, *member, *port);
                    ways.push(Way {
                        via: "nat-pool".into(),
                        rule: Some(name),
                        pool: Some(pool.to.name.clone()),
                        ..way
                    });
                }
            }
            for rule in &balancer.pool_rules {
                let pool = &balancer.backend_pools[rule.backend_pool];
                // A bare address leads to an instance by its card, and that is gone with it.
                let is_told = |member: &Member| pool.by_address.is_none() || is_there(member);
                let ports = rule.ports.iter().filter(|(member, _)| is_ours(member) && is_told(member));
                for (member, port) in ports {
                    let way = self.way(balancer, &rule.to, *member, *port);
                    let pool = Some(pool.name.clone());
                    ways.push(Way { via: "nat-rule-v2".into(), pool, ..way });
                }
            }
            for rule in &balancer.single_rules {
                if let Some(member) = rule.target.filter(is_ours) {
                    let way = self.way(balancer, &rule.to, member, rule.port);
                    ways.push(Way { via: "nat-rule".into(), ..way });
                }
            }
        }
        let there = self.members().into_iter().filter(is_ours).filter(is_there);
        ways.extend(there.filter_map(|member| self.own_address(member)));
        ways.sort();
        ways
    }

    fn way(&self, balancer: &Balancer, to: &Translation, member: Member, port: u16) -> Way {
        let frontend = &balancer.frontends[to.frontend];
        Way {
            load_balancer: Some(balancer.name.clone()),
            load_balancer_group: Some(balancer.group.clone()),
            rule: Some(to.name.clone()),
            frontend: Some(frontend.name.clone()),
            scope: Some(if frontend.internal { "internal" } else { "public" }.into()),
            address: frontend.address.clone(),
            port: port.into(),
            backend_port: Some(to.backend_port.into()),
            protocol: if to.udp { "udp" } else { "tcp" }.into(),
            idle_timeout_minutes: Some(to.idle_minutes.into()),
            tcp_reset: Some(to.reset),
            ..self.identity(member)
        }
    }

    fn identity(&self, member: Member) -> Way {
        Way {
            instance: Some(self.instance(member).id.clone()),
            name: Some(self.machine_name(member)),
            computer_name: Some(self.computer_name(member)),
            private_address: (!self.instance(member).gone).then(|| self.private_address(member)),
            ..Way::default()
        }
    }

    fn own_address(&self, member: Member) -> Option<Way> {
        let assigned = self.configuration(member).public?;
        let port = if self.sets[member.set].windows { 3389 } else { 22 };
        Some(Way {
            via: "public-ip".into(),
            frontend: Some(self.own_address_name(member)),
            scope: Some("public".into()),
            address: assigned.then(|| self.own_public_address(member)),
            port,
            backend_port: Some(port),
            protocol: "tcp".into(),
            idle_timeout_minutes: Some(4),
            ..self.identity(member)
        })
    }

    /// What Azure calls the machine.
    pub(crate) fn machine_name(&self, member: Member) -> String {
        let set = &self.sets[member.set];
        let id = &self.instance(member).id;
        if set.kind == Kind::Uniform { format!("{}_{id}", set.name) } else { id.clone() }
    }

    /// What the machine calls itself.
    pub(crate) fn computer_name(&self, member: Member) -> String {
        let set = &self.sets[member.set];
        let id = &self.instance(member).id;
        if set.kind == Kind::Uniform {
            let mut number: usize = id.parse().unwrap();
            let mut digits = ['0'; 6];
            for digit in digits.iter_mut().rev() {
                *digit =
                    char::from_digit(u32::try_from(number % 36).unwrap(), 36).unwrap().to_ascii_uppercase();
                number /= 36;
            }
            format!("{}{}", set.name, digits.iter().collect::<String>())
        } else {
            id.replace('_', "").to_uppercase()
        }
    }

    pub(crate) fn own_address_name(&self, member: Member) -> String {
        let set = &self.sets[member.set];
        match set.kind {
            Kind::Uniform => "own".into(),
            Kind::Flexible | Kind::Alone => format!("own-{}", self.instance(member).id),
        }
    }

    pub(crate) fn own_public_address(&self, member: Member) -> String {
        format!("52.{}.{}.{}", member.set, member.instance, member.card * 16 + member.configuration)
    }

    /// The name of the rule that a pool made for a member.
    pub(crate) fn pool_rule_name(&self, pool: &str, member: Member) -> String {
        let (set, id) = (&self.sets[member.set], &self.instance(member).id);
        let card = &set.cards[member.card];
        let configuration = &card.configurations[member.configuration];
        let place = configuration
            .nat_pools
            .iter()
            .find(|(balancer, place)| self.balancers[*balancer].nat_pools[*place].to.name == pool);
        let all = set.cards.iter().flat_map(|card| &card.configurations);
        let in_pool = all.filter(|c| place.is_some_and(|place| c.nat_pools.contains(place))).count();
        if in_pool > 1 {
            format!("{pool}.{id}.{}.{}", card.name, configuration.name)
        } else {
            format!("{pool}.{id}")
        }
    }

    /// The same network with its NAT pools moved to rules of version 2, as Microsoft's script does it: those
    /// of which `moves` says so.
    pub(crate) fn migrated(&self, moves: impl Fn(usize) -> bool) -> Self {
        let mut network = self.clone();
        for (at, balancer) in network.balancers.iter_mut().enumerate() {
            let pools = std::mem::take(&mut balancer.nat_pools);
            let mut kept = Vec::new();
            for (place, pool) in pools.into_iter().enumerate() {
                let references = |set: &mut super::Machines, to: Option<(usize, usize)>| {
                    for configuration in set.cards.iter_mut().flat_map(|card| &mut card.configurations) {
                        let before = configuration.nat_pools.len();
                        configuration.nat_pools.retain(|reference| *reference != (at, place));
                        if configuration.nat_pools.len() < before {
                            configuration.backend_pools.extend(to.filter(|_| moves(place)));
                            // Places of pools that stay move up; they are put back below.
                            if !moves(place) {
                                configuration.nat_pools.push((at, 1000 + place));
                            }
                        }
                    }
                };
                if moves(place) {
                    let backend_pool = balancer.backend_pools.len();
                    let name = format!("be_migrated_{}", pool.to.name);
                    balancer.backend_pools.push(super::BackendPool { name, by_address: None });
                    network.sets.iter_mut().for_each(|set| references(set, Some((at, backend_pool))));
                    let mut to = pool.to;
                    to.name = format!("natrule_migrated_{}", to.name);
                    let (start, end, ports) = (pool.start, pool.end, pool.ports);
                    balancer.pool_rules.push(super::PoolRule { to, start, end, backend_pool, ports });
                } else {
                    network.sets.iter_mut().for_each(|set| references(set, None));
                    kept.push((place, pool));
                }
            }
            for (new, (old, pool)) in kept.into_iter().enumerate() {
                let configurations = network.sets.iter_mut().flat_map(|set| &mut set.cards);
                for reference in
                    configurations.flat_map(|c| &mut c.configurations).flat_map(|c| &mut c.nat_pools)
                {
                    if *reference == (at, 1000 + old) {
                        *reference = (at, new);
                    }
                }
                balancer.nat_pools.push(pool);
            }
        }
        network
    }
}
