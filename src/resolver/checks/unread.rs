//! What the documents refer to and do not hold.

use std::collections::HashSet;

use crate::{
    natmap::{Entry, Finding, FindingCode, NatMap, Rule},
    resolver::Question,
    resource::{Frontend, FrontendAddress, Kind, ResourceId, Unread},
};

pub(super) fn all(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let mut findings = load_balancers(question);
    findings.extend(refused(question));
    findings.extend(frontends(question, map));
    findings.extend(own_addresses(question, map));
    findings.extend(security(question));
    findings.extend(question.resources.unknown.iter().map(|document| {
        Finding::new(
            FindingCode::UnknownDocument,
            format!("{} tells nothing about a scale set: {}", document.name, document.looks_like),
        )
    }));
    findings.extend(empty(&question.resources.empty));
    findings
}

fn empty(names: &[String]) -> Option<Finding> {
    (!names.is_empty()).then(|| {
        Finding::new(
            FindingCode::EmptyDocument,
            format!("empty lists do not tell what they are lists of, and say nothing: {}", names.join(", ")),
        )
    })
}

/// Why a resource could not be read, where Azure said so.
fn reason(question: &Question<'_>, id: &ResourceId) -> Option<String> {
    let unread = question.resources.unread.iter().find(|unread| unread.id == *id)?;
    Some(unread.reason.clone())
}

/// Load balancers that the model refers to and no document tells of.
fn load_balancers(question: &Question<'_>) -> Vec<Finding> {
    let refused: HashSet<_> = question.resources.unread.iter().map(|unread| &unread.id).collect();
    let missing = question.missing_load_balancers().into_iter().filter(|id| !refused.contains(id));
    let finding = |id: ResourceId| {
        let (group, name) = (id.group().unwrap_or("GROUP"), id.name());
        Finding::new(FindingCode::NotRead, format!("load balancer {name} is not among the documents"))
            .hint(format!("`az network lb show -g {group} -n {name} > {name}.json`"))
    };
    missing.map(finding).collect()
}

/// What Azure did not let us read, and may lead to instances. Of frontends' addresses it is said where they
/// are missing.
fn refused(question: &Question<'_>) -> Vec<Finding> {
    let finding = |unread: &Unread| {
        let name = unread.id.name();
        let what = match (unread.id.kind()?, name) {
            (Kind::LoadBalancer, name) => format!("load balancer {name}"),
            (Kind::UniformInstance | Kind::VirtualMachine, _) => "the list of instances".into(),
            (Kind::Card, "*") => "the list of network cards".into(),
            (Kind::PublicAddress, "*") => "the list of the instances' public addresses".into(),
            _ => return None,
        };
        let message = format!("{what} could not be read: {}", unread.reason);
        Some(Finding::new(FindingCode::NotRead, message).hint(
            "the map may lack what it tells; the role Reader on the resource group lets you read all of it",
        ))
    };
    question.resources.unread.iter().filter_map(finding).collect()
}

/// The frontend that a rule listens on, where its load balancer's document tells of it.
fn frontend_of<'a>(question: &'a Question<'_>, rule: &Rule) -> Option<&'a Frontend> {
    let name = rule.frontend.as_deref()?;
    let mut frontends = question.balancer_of(rule)?.frontends.iter().flatten();
    frontends.find(|frontend| frontend.id.name().eq_ignore_ascii_case(name))
}

/// Whether the document that tells a frontend's address was read, so that none there means none assigned.
pub(super) fn frontend_is_read(question: &Question<'_>, rule: &Rule) -> bool {
    match frontend_of(question, rule).map(|frontend| &frontend.address) {
        Some(FrontendAddress::Public(id)) => question.resources.public_addresses.iter().any(|p| p.id == *id),
        Some(FrontendAddress::Private(_)) => true,
        Some(FrontendAddress::Unknown) | None => false,
    }
}

/// Frontends whose address is in no document.
fn frontends(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let mut seen = HashSet::new();
    let mut findings = Vec::new();
    let without = |entry: &&Entry| {
        // Of az's list it is known that there is none: it printed `None`.
        let of_list = question.resources.connection_info.is_some() && entry.rule.name.is_none();
        entry.address.is_none() && !entry.via.is_own_address() && !of_list
    };
    for entry in map.entries.iter().filter(without) {
        let rule = &entry.rule;
        let place = (&rule.load_balancer_group, &rule.load_balancer, &rule.frontend, rule.name.is_some());
        if !frontend_is_read(question, rule) && seen.insert(place) {
            findings.push(address_unknown(question, entry));
        }
    }
    // One line per frontend: where pools have no names of their own frontends, one line for all.
    findings.dedup_by(|a, b| a.message == b.message);
    findings
}

fn address_unknown(question: &Question<'_>, entry: &Entry) -> Finding {
    let rule = &entry.rule;
    let lookup = match public_address(question, rule) {
        Some(id) => {
            let reason = reason(question, &id).map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!(
                "`az network public-ip show -g {} -n {} > ip.json`{reason}",
                id.group().unwrap_or("GROUP"),
                id.name()
            )
        }
        None => format!(
            "`az network lb show -g {} -n {} > lb.json`",
            rule.load_balancer_group.as_deref().unwrap_or("GROUP"),
            rule.load_balancer.as_deref().unwrap_or("NAME")
        ),
    };
    let what = match &rule.frontend {
        Some(frontend) => format!("frontend {frontend}"),
        None => {
            format!(
                "the frontend of {}",
                entry.rule_name().map_or("a rule".into(), |rule| format!("\"{rule}\""))
            )
        }
    };
    Finding::new(FindingCode::AddressUnknown, format!("the documents do not tell the address of {what}"))
        .hint(format!("add what tells it, {lookup}, or give it with `--address`"))
}

/// The public address that a frontend refers to.
fn public_address(question: &Question<'_>, rule: &Rule) -> Option<ResourceId> {
    match &frontend_of(question, rule)?.address {
        FrontendAddress::Public(id) => Some(id.clone()),
        FrontendAddress::Private(_) | FrontendAddress::Unknown => None,
    }
}

/// Public addresses of instances that the model promises.
fn own_addresses(question: &Question<'_>, map: &NatMap) -> Option<Finding> {
    let promised = question.scope.model.is_some_and(|model| model.has_public_addresses());
    let found = map.entries.iter().any(|entry| entry.via.is_own_address());
    (promised && !found).then(|| {
        Finding::new(
            FindingCode::NotRead,
            "each instance has a public address of its own, and these are not among the documents",
        )
        .hint(format!("`az vmss list-instance-public-ips {} > addresses.json`", super::set_options(map)))
    })
}

/// Security groups and subnets that Azure did not let us read. What was not asked for is no finding.
fn security(question: &Question<'_>) -> Option<Finding> {
    let unread: Vec<_> = question
        .resources
        .unread
        .iter()
        .filter(|unread| matches!(unread.id.kind(), Some(Kind::SecurityGroup | Kind::Subnet)))
        .map(|unread| format!("{} ({})", unread.id.name(), unread.reason))
        .collect();
    (!unread.is_empty()).then(|| {
        Finding::new(
            FindingCode::NotChecked,
            format!("whether security groups let the ports in was not checked: {}", unread.join(", ")),
        )
    })
}
