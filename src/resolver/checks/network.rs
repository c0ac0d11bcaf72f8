//! Load balancers, rules, frontends: does a way lead to every instance, and from where.

use std::{collections::HashSet, time::Duration};

use super::{instances_have, set_options};
use crate::{
    natmap::{
        BackendPort, Entry, Finding, FindingCode, FrontendPort, InstanceId, Known, NatMap, Protocol, Scope,
    },
    resolver::{Question, owner::Owner},
    resource::{BackendPool, Frontend, FrontendAddress, LoadBalancer, NatRule, RuleTarget},
};

pub(super) fn all(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let mut findings = if map.entries.is_empty() {
        no_way_at_all(question, map)
    } else {
        instances_without_port(question, map).into_iter().collect()
    };
    findings.extend(unknown_instances(question, map));
    findings.extend(backend_port_not_mapped(question, map));
    findings.extend(frontends_without_address(question, map));
    findings.extend(own_addresses_missing(question, map));
    findings.extend(several_backend_ports(map));
    findings.extend(internal_only(map));
    findings.extend(idle_timeout(question.wish.keepalive, map));
    findings
}

/// Nothing leads in: why.
fn no_way_at_all(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let balancers: Vec<_> =
        question.resources.load_balancers.iter().filter(|balancer| question.concerns(balancer)).collect();
    let referred = question.scope.model.map(|model| model.load_balancers()).unwrap_or_default();
    let expects_own_addresses = question.scope.model.is_some_and(|model| model.has_public_addresses());
    if balancers.is_empty() && referred.is_empty() && !expects_own_addresses && question.scope.model.is_some()
    {
        let private = match map.instances.iter().flat_map(|i| &i.private_addresses).next() {
            Some(address) => format!("; inside the virtual network they have addresses such as {address}"),
            None => String::new(),
        };
        let name = question.scope.name().map(|set| set.name).unwrap_or_default();
        return vec![
            Finding::new(
                FindingCode::NoLoadBalancer,
                format!("scale set {name} has no load balancer and no public addresses{private}"),
            )
            .hint(
                "reach them from a machine in the virtual network, through a VPN, or through Azure Bastion",
            ),
        ];
    }
    if balancers.is_empty() && referred.is_empty() && question.resources.connection_info.is_none() {
        return vec![
            Finding::new(FindingCode::NotRead, "no document tells what leads to the instances").hint(format!(
                "`az vmss show {} > set.json` names the load balancers; `az network lb show` tells the ports",
                set_options(map)
            )),
        ];
    }
    // Nobody is there to have a port.
    let is_empty = map.instances.is_empty() && question.scope.model.is_some_and(|m| m.capacity == Some(0));
    if is_empty {
        let name = question.scope.name().map(|set| set.name).unwrap_or_default();
        return vec![Finding::new(FindingCode::NoInstances, format!("scale set {name} has no instances"))];
    }
    let known = |balancer: &&LoadBalancer| balancer.rules_listed;
    let of_one =
        |balancer| no_port_given(question, balancer).unwrap_or_else(|| no_nat_rule(question, balancer, map));
    balancers.into_iter().filter(known).map(of_one).collect()
}

/// A rule of version 2 over the scale set's pool, and no member has a port of it.
fn no_port_given(question: &Question<'_>, balancer: &LoadBalancer) -> Option<Finding> {
    let has_ours = |pool: &&BackendPool| {
        pool.addresses.iter().any(|member| matches!(question.owners.of_member(member).1, Owner::Ours(_)))
    };
    let pool = balancer.backend_pools.iter().flatten().find(|pool| {
        let leads_there = |rule: &NatRule| rule.target == RuleTarget::Pool(pool.id.clone());
        balancer.nat_rules.iter().flatten().any(leads_there) && has_ours(pool)
    })?;
    let (name, group) = (balancer.name(), balancer.id.group().unwrap_or("GROUP"));
    Some(
        Finding::new(
            FindingCode::InstanceWithoutPort,
            format!(
                "load balancer {name} has a NAT rule for pool {}, and its document gives no member a port",
                pool.id.name()
            ),
        )
        .hint(format!(
            "take it again, an old az leaves the ports out: `az network lb show -g {group} -n {name} > lb.json`; \
             rules over a pool need a Standard load balancer"
        )),
    )
}

fn no_nat_rule(question: &Question<'_>, balancer: &LoadBalancer, map: &NatMap) -> Finding {
    let rules = balancer.nat_rules.as_deref().unwrap_or_default();
    let leads_elsewhere = rules.iter().any(|rule| rule.target != RuleTarget::Nothing);
    let name = balancer.name();
    let message = match &map.scale_set {
        Some(set) if leads_elsewhere => {
            format!("load balancer {name} has no inbound NAT rule for scale set {}", set.name)
        }
        _ => format!("load balancer {name} has no inbound NAT rule"),
    };
    let in_model = |pool: &&BackendPool| {
        question.scope.model.is_some_and(|m| m.configurations().any(|c| c.backend_pools.contains(&pool.id)))
    };
    let pool = balancer.backend_pools.iter().flatten().find(in_model).map_or("POOL", |pool| pool.id.name());
    let is_public = |frontend: &&Frontend| matches!(frontend.address, FrontendAddress::Public(_));
    let frontends = || balancer.frontends.iter().flatten();
    let frontend = frontends().find(is_public).or_else(|| frontends().next());
    let frontend = frontend.map_or("FRONTEND", |frontend| frontend.id.name());
    let (start, end) = free_range(balancer);
    Finding::new(FindingCode::NoNatRule, message).hint(format!(
        "make one for the whole pool: `az network lb inbound-nat-rule create -g {} --lb-name {name} -n ssh --protocol Tcp \
         --frontend-ip {frontend} --backend-address-pool {pool} --backend-port 22 \
         --frontend-port-range-start {start} --frontend-port-range-end {end}`",
        balancer.id.group().unwrap_or("GROUP"),
    ))
}

/// A range like azure-cli's own, behind those that are there.
fn free_range(balancer: &LoadBalancer) -> (u16, u16) {
    const START: u16 = 50_000;
    const PORTS: u16 = 120;
    let of_rules =
        balancer.nat_rules.iter().flatten().flat_map(|rule| [rule.range.map(|r| r.1), rule.frontend_port]);
    let of_pools = balancer.nat_pools.iter().map(|pool| pool.end);
    let taken = of_rules.flatten().chain(of_pools).map(FrontendPort::get).filter(|port| *port >= START).max();
    let start = taken.map_or(START, |taken| taken.saturating_add(1)).min(u16::MAX - PORTS);
    (start, start + PORTS - 1)
}

/// Instances that have no port while others have.
fn instances_without_port(question: &Question<'_>, map: &NatMap) -> Option<Finding> {
    let reached: HashSet<_> = map.entries.iter().filter_map(|entry| entry.instance.as_ref()).collect();
    // Where ports are only possible, or a load balancer's rules are not all known, nothing can be said.
    let all_known = question.missing_load_balancers().is_empty()
        && question.resources.load_balancers.iter().all(|balancer| balancer.rules_listed);
    if reached.is_empty() || !all_known || map.entries.iter().any(Entry::is_possible) {
        return None;
    }
    let without: Vec<_> = map.instance_ids().filter(|id| !reached.contains(*id)).cloned().collect();
    if without.is_empty()
        || question.resources.connection_info.is_some() && !question.resources.machines_listed
    {
        return None;
    }
    Some(
        Finding::new(
            FindingCode::InstanceWithoutPort,
            format!("{} no endpoint: no rule leads there", instances_have(&without)),
        )
        .hint(if question.scope.is_uniform() {
            format!(
                "an instance gets its port with the latest model: `az vmss update-instances {} --instance-ids {}`; \
                 else widen the range of the rule or pool",
                set_options(map),
                super::words(&without)
            )
        } else {
            "attach a rule to its card: `az network nic ip-config inbound-nat-rule add -h`; with a rule of version 2, \
             put the card into the rule's backend pool"
                .into()
        })
        .about(without),
    )
}

/// Listed ports whose machines the documents do not place.
fn unknown_instances(question: &Question<'_>, map: &NatMap) -> Option<Finding> {
    let unplaced: Vec<_> =
        map.entries.iter().filter(|entry| entry.is_possible() && entry.known != Known::Computed).collect();
    let first = unplaced.first()?;
    let ports = unplaced.iter().map(|entry| entry.port.to_string()).collect::<Vec<_>>().join(", ");
    let group = map.scale_set.as_ref().map_or("GROUP", |set| &set.group);
    let hint = if first.rule.load_balancer.is_none() {
        format!("save the load balancer, which tells it: `az network lb show -g {group} -n NAME > lb.json`")
    } else if question.scope.is_uniform() {
        // A pool of bare addresses: only the cards tell whose they are.
        let name = map.scale_set.as_ref().map_or("NAME", |set| &set.name);
        format!("save the cards too: `az vmss nic list -g {group} --vmss-name {name} > cards.json`")
    } else {
        format!(
            "save these too: `az vm list -g {group} > vms.json` and `az network nic list -g {group} > cards.json`"
        )
    };
    Some(
        Finding::new(
            FindingCode::InstanceUnknown,
            format!("which instances are behind the ports {ports} the documents do not tell"),
        )
        .hint(hint),
    )
}

/// Instances that have ports, but not for the wanted one.
fn backend_port_not_mapped(question: &Question<'_>, map: &NatMap) -> Option<Finding> {
    let wanted = question.wish.backend_port?;
    let fits =
        |entry: &&Entry| entry.via.is_own_address() || entry.backend_port.is_none_or(|port| port == wanted);
    let fitting: HashSet<_> = map.entries.iter().filter(fits).filter_map(|e| e.instance.as_ref()).collect();
    let mut without: Vec<InstanceId> = Vec::new();
    let mut there: Vec<BackendPort> = Vec::new();
    for entry in &map.entries {
        if let (Some(id), Some(port)) = (&entry.instance, entry.backend_port)
            && !fitting.contains(id)
        {
            without.push(id.clone());
            there.push(port);
        }
    }
    without.dedup();
    there.sort();
    there.dedup();
    let there = there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    // That none has it is said where the port is used.
    (!without.is_empty() && !fitting.is_empty()).then(|| {
        Finding::new(
            FindingCode::BackendPortNotMapped,
            format!("{} no rule for backend port {wanted}, only for {there}", instances_have(&without)),
        )
        .hint("choose one that is there with `--backend-port`")
        .about(without)
    })
}

/// Frontends that have no address yet. Those whose address was not read are `unread`'s.
fn frontends_without_address(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let mut seen = HashSet::new();
    let mut findings = Vec::new();
    for entry in map.entries.iter().filter(|entry| entry.address.is_none()) {
        let (Some(frontend), Some(balancer)) = (&entry.rule.frontend, &entry.rule.load_balancer) else {
            continue;
        };
        let is_read = super::unread::frontend_is_read(question, &entry.rule);
        if is_read && seen.insert((&entry.rule.load_balancer_group, balancer, frontend)) {
            findings.push(
                Finding::new(
                    FindingCode::FrontendWithoutAddress,
                    format!("frontend {frontend} of load balancer {balancer} has no address yet"),
                )
                .hint(format!(
                    "see whether one is assigned: `az network public-ip list -g {} -o table`",
                    entry.rule.load_balancer_group.as_deref().unwrap_or("GROUP")
                )),
            );
        }
    }
    let none: Vec<_> = question
        .resources
        .connection_info
        .iter()
        .flatten()
        .filter(|line| line.address.is_none())
        .filter(|line| {
            map.entries.iter().any(|e| e.instance.as_ref() == Some(&line.instance) && e.address.is_none())
        })
        .map(|line| line.instance.clone())
        .collect();
    if findings.is_empty() && !none.is_empty() {
        let message =
            format!("the frontend of {} has no public address yet", crate::natmap::display_set(&none));
        findings.push(
            Finding::new(FindingCode::FrontendWithoutAddress, message)
                .hint("see whether one is assigned: `az network public-ip list -g GROUP -o table`")
                .about(none),
        );
    }
    findings
}

/// Instances whose own public address is not assigned.
fn own_addresses_missing(question: &Question<'_>, map: &NatMap) -> Option<Finding> {
    let without: Vec<_> = map
        .entries
        .iter()
        .filter(|entry| entry.via.is_own_address() && entry.address.is_none())
        .filter_map(|entry| entry.instance.clone())
        .collect();
    (!without.is_empty()).then(|| {
        Finding::new(
            FindingCode::FrontendWithoutAddress,
            format!("{} a public address that is not assigned yet", instances_have(&without)),
        )
        .hint(if question.scope.is_uniform() {
            format!("see them: `az vmss list-instance-public-ips {} -o table`", set_options(map))
        } else {
            "see them: `az network public-ip list -g GROUP -o table`".into()
        })
        .about(without)
    })
}

fn several_backend_ports(map: &NatMap) -> Option<Finding> {
    let tcp = map.entries.iter().filter(|e| e.protocol == Protocol::Tcp && e.instance.is_some());
    let mut ports: Vec<_> = tcp.filter_map(|entry| entry.backend_port).collect();
    ports.sort();
    ports.dedup();
    let ports = ports.iter().map(ToString::to_string).collect::<Vec<_>>();
    (ports.len() > 1).then(|| {
        Finding::new(
            FindingCode::SeveralBackendPorts,
            format!("the rules lead to several ports of the instances: {}", ports.join(", ")),
        )
        .hint("`--backend-port` picks one; other verbs than `map` take 22 where none is given")
    })
}

fn internal_only(map: &NatMap) -> Option<Finding> {
    let internal = |entry: &Entry| entry.rule.scope == Some(Scope::Internal);
    (!map.entries.is_empty() && map.entries.iter().all(internal)).then(|| {
        Finding::new(
            FindingCode::InternalOnly,
            "all frontends are internal: they answer inside the virtual network, a peered one or a VPN only",
        )
        .hint("run vmssh from a machine there")
    })
}

/// A load balancer forgets a connection that stands idle, by default without a word to either end.
fn idle_timeout(keepalive: Duration, map: &NatMap) -> Option<Finding> {
    let tcp = map.entries.iter().filter(|entry| entry.protocol == Protocol::Tcp);
    let shortest = tcp.filter_map(|entry| entry.rule.idle_timeout_minutes).min()?;
    let idle = Duration::from_secs(u64::from(shortest) * 60);
    (idle <= keepalive).then(|| {
        Finding::new(
            FindingCode::IdleTimeoutShort,
            format!(
                "the load balancer forgets connections after {shortest} min without traffic, and a sign of life is sent \
                 every {} s only",
                keepalive.as_secs()
            ),
        )
        .hint(format!("send them sooner: `ssh -o ServerAliveInterval={}`", (idle / 2).as_secs().max(1)))
    })
}
