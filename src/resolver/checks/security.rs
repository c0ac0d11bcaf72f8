//! Do the security groups let the backend ports in? A packet has to pass the subnet's and the card's.

use std::collections::{BTreeMap, HashMap};

use crate::{
    natmap::{BackendPort, Entry, Finding, FindingCode, InstanceId, NatMap, Protocol, Scope},
    resolver::{
        Question,
        owner::Owner,
        security::{Answer, Knock, ask},
    },
    resource::{Access, CardConfiguration, ResourceId, SecurityGroup, SecurityRule},
};

/// The security groups on the way to a card's IP configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Gates {
    card: Option<ResourceId>,
    subnet: Option<ResourceId>,
}

/// What keeps a backend port out, for the instances that it concerns.
#[derive(Default)]
struct Closed<'a> {
    instances: Vec<InstanceId>,
    frontend_ports: Vec<u16>,
    group: Option<(&'a SecurityGroup, Option<&'a SecurityRule>)>,
}

pub(super) fn all(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let mut closed: BTreeMap<(BackendPort, String), Closed<'_>> = BTreeMap::new();
    for entry in map.entries.iter().filter(|entry| entry.protocol == Protocol::Tcp) {
        let (Some(instance), Some(port), Some(scope)) =
            (&entry.instance, entry.backend_port, entry.rule.scope)
        else {
            continue;
        };
        let Some(gates) = gates(question, entry) else { continue };
        let knock =
            Knock { scope, protocol: Protocol::Tcp, port: port.get(), destination: entry.private_address };
        if let Some(gate) = closed_gate(question, &gates, knock, entry) {
            let name = gate.map(|(group, _)| group.id.to_string()).unwrap_or_default();
            let closed = closed.entry((port, name)).or_default();
            closed.instances.push(instance.clone());
            closed.frontend_ports.push(entry.port.get());
            closed.group = gate;
        }
    }
    closed.into_iter().map(|((port, _), closed)| closed.finding(port, map)).collect()
}

/// The gate that is closed: a group with its rule, or `None` inside for no group where one is needed.
#[expect(clippy::option_option, reason = "closed by nothing is not the same as not closed")]
fn closed_gate<'a>(
    question: &Question<'a>,
    gates: &Gates,
    knock: Knock,
    entry: &Entry,
) -> Option<Option<(&'a SecurityGroup, Option<&'a SecurityRule>)>> {
    let mut on_subnet = None;
    let mut subnet_known = false;
    if let Some(subnet) = question.resources.subnets.iter().find(|s| Some(&s.id) == gates.subnet.as_ref()) {
        subnet_known = true;
        on_subnet = subnet.security_group.as_ref();
    }
    let groups = [on_subnet, gates.card.as_ref()];
    for id in groups.iter().flatten() {
        if let Some(group) = question.resources.security_groups.iter().find(|group| group.id == **id)
            && let Answer::Closed(rule) = ask(group, knock)
        {
            return Some(Some((group, rule)));
        }
    }
    let none = groups.iter().all(Option::is_none) && subnet_known;
    (none && knock.scope == Scope::Public && needs_group(question, entry)).then_some(None)
}

/// Standard load balancers and addresses let nothing in without a security group.
fn needs_group(question: &Question<'_>, entry: &Entry) -> bool {
    let is_standard =
        |sku: &Option<String>| sku.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("Standard"));
    if entry.via.is_own_address() {
        let addresses = &question.resources.public_addresses;
        return addresses
            .iter()
            .any(|a| Some(a.id.name()) == entry.rule.frontend.as_deref() && is_standard(&a.sku));
    }
    question.balancer_of(&entry.rule).is_some_and(|balancer| is_standard(&balancer.sku))
}

/// The gates of the configuration that an entry leads to: the card's own, where its card is known, else the
/// model's, where all of its cards have the same.
fn gates(question: &Question<'_>, entry: &Entry) -> Option<Gates> {
    if let Some(address) = entry.private_address {
        // Another virtual network may have the same address.
        let is_ours = |c: &&CardConfiguration| {
            c.private_address == Some(address)
                && matches!(question.owners.of(&c.id), Owner::Ours(id) if Some(&id) == entry.instance.as_ref())
        };
        for card in &question.resources.cards {
            if let Some(found) = card.configurations.iter().find(is_ours) {
                return Some(Gates { card: card.security_group.clone(), subnet: found.subnet.clone() });
            }
        }
    }
    let model = question.scope.model?;
    let mut all: HashMap<Gates, ()> = HashMap::new();
    for card in &model.cards {
        for configuration in &card.configurations {
            let gates = Gates { card: card.security_group.clone(), subnet: configuration.subnet.clone() };
            all.insert(gates, ());
        }
    }
    let mut all = all.into_keys();
    match (all.next(), all.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

impl Closed<'_> {
    fn finding(mut self, port: BackendPort, map: &NatMap) -> Finding {
        self.instances.dedup();
        let all = self.instances.len() == map.instances.len();
        let whom =
            if all { String::new() } else { format!(" of {}", crate::natmap::display_set(&self.instances)) };
        let Some((group, rule)) = self.group else {
            return Finding::new(
                FindingCode::NoSecurityGroup,
                format!(
                    "no security group is on the cards or the subnet{whom}: a Standard load balancer or address then \
                     lets nothing in to port {port}"
                ),
            )
            .hint("make one that allows the port and put it on the subnet: `az network nsg create`, `az network nsg rule create`")
            .about(if all { Vec::new() } else { self.instances });
        };
        let name = group.id.name();
        let by = rule.map(|r| format!(" (rule {}, priority {})", r.name, r.priority)).unwrap_or_default();
        let mut message = format!("security group {name} keeps everybody out of port {port}{whom}{by}");
        let allows_frontend = group.rules.iter().any(|rule| {
            let is_some_of = |span: &crate::resource::PortSpan| {
                span.start > 0 && self.frontend_ports.iter().any(|port| span.contains(*port))
            };
            rule.access == Access::Allow && rule.ports.iter().any(is_some_of)
        });
        if allows_frontend {
            message.push_str("; it lets in the frontend ports, but security groups see the backend port");
        }
        Finding::new(FindingCode::SecurityGroupDenies, message)
            .hint(match (free_priority(group, rule), rule) {
                (None, Some(rule)) => format!(
                    "no priority before rule {} is left: change that rule, `az network nsg rule show -g {} --nsg-name {name} -n {}`",
                    rule.name,
                    group.id.group().unwrap_or("GROUP"),
                    rule.name
                ),
                (priority, _) => format!(
                    "`az network nsg rule create -g {} --nsg-name {name} -n allow-{port} --priority {} --direction Inbound \
                     --access Allow --protocol Tcp --source-address-prefixes YOUR-ADDRESS --destination-port-ranges {port}`",
                    group.id.group().unwrap_or("GROUP"),
                    priority.map_or("PRIORITY".into(), |priority| priority.to_string()),
                ),
            })
            .about(if all { Vec::new() } else { self.instances })
    }
}

/// A priority that no rule has, ahead of the one that denies. 1000 is what Azure's own tools begin with;
/// 100 is the first that a rule may have.
fn free_priority(group: &SecurityGroup, denying: Option<&SecurityRule>) -> Option<u32> {
    const USUAL: u32 = 1000;
    const FIRST: u32 = 100;
    let before = denying.map_or(USUAL + 1, |rule| rule.priority.min(USUAL + 1));
    let is_free = |priority: &u32| group.rules.iter().all(|rule| rule.priority != *priority);
    (FIRST..before).rev().find(is_free)
}
