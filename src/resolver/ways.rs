//! The ways that load balancers make: single rules, rules that a pool made, and rules of version 2.

use std::collections::BTreeMap;

use super::{Found, Question, owner::Owner};
use crate::{
    natmap::{
        Entry, Finding, FindingCode, FrontendPort, Host, InstanceId, Protocol, Rule, Scope, Via, display_set,
    },
    resource::{
        BackendPool, FrontendAddress, LoadBalancer, NatPool, NatRule, PortMapping, ResourceId, RuleTarget,
    },
};

/// All ways of all load balancers, and what is wrong with their rules.
pub(super) fn of_load_balancers(question: &Question<'_>) -> Found {
    let mut found = Found::default();
    for balancer in &question.resources.load_balancers {
        let mut ways = Ways { question, balancer, found: Found::default(), others: 0, gone: BTreeMap::new() };
        for rule in balancer.nat_rules.iter().flatten() {
            ways.add_rule(rule);
        }
        for pool in balancer.backend_pools.iter().flatten() {
            ways.add_pool(pool);
        }
        let mut of_one = ways.finish();
        // A list of all load balancers has others, whose rules are none of this map's business.
        if of_one.entries.is_empty() && !question.concerns(balancer) {
            of_one.findings.clear();
        }
        found.entries.extend(of_one.entries);
        found.findings.extend(of_one.findings);
    }
    found
}

/// The ways of one load balancer.
struct Ways<'a> {
    question: &'a Question<'a>,
    balancer: &'a LoadBalancer,
    found: Found,
    /// Ports that lead to other machines.
    others: usize,
    /// Instances that are gone, with their rules and ports.
    gone: BTreeMap<InstanceId, Vec<String>>,
}

impl Ways<'_> {
    /// A rule of version 1; those of version 2 have their ports in the backend pools.
    fn add_rule(&mut self, rule: &NatRule) {
        match &rule.target {
            RuleTarget::Configuration(target) => {
                let Some(port) = rule.frontend_port else { return };
                let via = match self.pool_of(rule, target) {
                    Some(_) => Via::NatPool,
                    None => Via::NatRule,
                };
                let mut entry = self.entry(Some(rule), port, via);
                entry.rule.pool = self.pool_of(rule, target);
                entry.private_address = self.question.owners.private_address(target);
                entry.backend_port = rule.backend_port;
                self.add(self.question.owners.of(target), entry, rule.id.name());
            }
            RuleTarget::Nothing => self.found.findings.push(self.unattached(rule)),
            RuleTarget::Pool(_) => {}
        }
    }

    /// The NAT pool that made a rule. Only pools make rules for Uniform instances. Which one, the rule's name
    /// says (`<pool>.<instance>`, behind it perhaps card and configuration), else its ports and frontend.
    fn pool_of(&self, rule: &NatRule, target: &ResourceId) -> Option<String> {
        target.up_to("virtualMachineScaleSets")?;
        let instance = target.after("virtualMachines")?;
        let named = |pool: &&NatPool| is_made_by(rule.id.name(), pool.id.name(), instance);
        let fits = |pool: &&NatPool| {
            pool.protocol == rule.protocol
                && Some(pool.backend_port) == rule.backend_port
                && rule.frontend_port.is_some_and(|port| (pool.start..=pool.end).contains(&port))
                && (pool.frontend.is_none() || rule.frontend.is_none() || pool.frontend == rule.frontend)
        };
        let pools = || self.balancer.nat_pools.iter();
        // Names may begin alike (`ssh`, `ssh.1`), and a range may have been changed since.
        let rank = |pool: &&NatPool| (fits(pool), pool.id.name().len());
        let pool = pools().filter(named).max_by_key(rank).or_else(|| pools().find(fits));
        pool.map(|pool| pool.id.name().to_owned()).or_else(|| {
            // Its pool is not among the documents, or was taken away: the name is what is left.
            let name = rule.id.name();
            let dots = name.match_indices('.').map(|(dot, _)| name.split_at(dot).0);
            dots.rev().find(|start| is_made_by(name, start, instance)).map(ToOwned::to_owned)
        })
    }

    /// The ports that rules of version 2 gave to a pool's members.
    fn add_pool(&mut self, pool: &BackendPool) {
        for member in &pool.addresses {
            let (configuration, owner) = self.question.owners.of_member(member);
            for mapping in &member.mappings {
                let mut entry = self.mapped(mapping, pool);
                entry.private_address =
                    member.address.or_else(|| self.question.owners.private_address(configuration?));
                self.add(owner.clone(), entry, &mapping.rule);
            }
        }
    }

    fn mapped(&self, mapping: &PortMapping, pool: &BackendPool) -> Entry {
        let rules = self.balancer.nat_rules.iter().flatten();
        let rule = rules.into_iter().find(|rule| rule.id.name().eq_ignore_ascii_case(&mapping.rule));
        let mut entry = self.entry(rule, mapping.frontend_port, Via::NatRuleV2);
        entry.rule.name.get_or_insert_with(|| mapping.rule.clone());
        entry.rule.pool = Some(pool.id.name().into());
        entry.backend_port = Some(mapping.backend_port);
        entry
    }

    /// What a rule says about every way that it makes.
    fn entry(&self, rule: Option<&NatRule>, port: FrontendPort, via: Via) -> Entry {
        let frontend = rule.and_then(|rule| rule.frontend.as_ref());
        let (address, scope) = address(self.question, self.balancer, frontend);
        // Its own spelling of its name: references may have another case.
        let frontend = frontend.map(|id| self.balancer.frontend(id).map_or(id, |frontend| &frontend.id));
        Entry {
            protocol: rule.map_or(Protocol::Tcp, |rule| rule.protocol),
            rule: Rule {
                name: rule.map(|rule| rule.id.name().to_owned()),
                pool: None,
                load_balancer: Some(self.balancer.name().to_owned()),
                load_balancer_group: self.balancer.id.group().map(ToOwned::to_owned),
                frontend: frontend.map(|id| id.name().to_owned()),
                scope,
                idle_timeout_minutes: rule.and_then(|rule| rule.idle_timeout_minutes),
                tcp_reset: rule.and_then(|rule| rule.tcp_reset),
            },
            ..Entry::new(None, address, port, via)
        }
    }

    fn add(&mut self, owner: Owner, mut entry: Entry, rule: &str) {
        match owner {
            Owner::Ours(instance) => {
                entry.instance = Some(instance);
                self.found.entries.push(entry);
            }
            Owner::Gone(instance) => {
                let gone = self.gone.entry(instance.clone()).or_default();
                gone.push(format!("{rule} on port {}", entry.port));
                entry.instance = Some(instance);
                self.found.entries.push(entry);
            }
            Owner::Others => self.others += 1,
            Owner::Unknown => self.found.entries.push(entry),
        }
    }

    fn unattached(&self, rule: &NatRule) -> Finding {
        let port = rule.frontend_port.map(|port| format!(" (port {port})")).unwrap_or_default();
        let group = self.balancer.id.group().unwrap_or("GROUP");
        let (name, balancer) = (rule.id.name(), self.balancer.name());
        Finding::new(
            FindingCode::UnattachedRule,
            format!("rule {name} of load balancer {balancer}{port} is attached to nothing"),
        )
        .hint(format!(
            "if nobody needs it: `az network lb inbound-nat-rule delete -g {group} --lb-name {balancer} -n {name}`"
        ))
    }

    fn finish(mut self) -> Found {
        if !self.gone.is_empty() {
            let ids: Vec<_> = self.gone.keys().cloned().collect();
            let rules: Vec<_> = self.gone.into_values().flatten().collect();
            self.found.findings.push(
                Finding::new(
                    FindingCode::RuleOfDeletedInstance,
                    format!(
                        "load balancer {} still has rules of instances that are gone ({}): {}",
                        self.balancer.name(),
                        display_set(&ids),
                        rules.join(", ")
                    ),
                )
                .hint("Azure takes them away by itself; until then another instance may get the port, with another host key")
                .about(ids),
            );
        }
        if self.others > 0 && !self.found.entries.is_empty() {
            self.found.findings.push(Finding::new(
                FindingCode::SharedLoadBalancer,
                format!(
                    "load balancer {} also leads to machines that are not this scale set's, on {} ports; they are left out",
                    self.balancer.name(),
                    self.others
                ),
            ));
        }
        self.found
    }
}

/// Whether a rule's name is one that a pool gives its rule for an instance.
fn is_made_by(rule: &str, pool: &str, instance: &str) -> bool {
    let start = format!("{pool}.{instance}");
    let begins = rule.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(&start));
    begins && matches!(rule.as_bytes().get(start.len()), None | Some(b'.'))
}

/// The address of a frontend, and from where it can be reached.
pub(super) fn address(
    question: &Question<'_>,
    balancer: &LoadBalancer,
    frontend: Option<&ResourceId>,
) -> (Option<Host>, Option<Scope>) {
    match frontend.and_then(|id| balancer.frontend(id)).map(|frontend| &frontend.address) {
        Some(FrontendAddress::Private(address)) => (address.map(Host::Ip), Some(Scope::Internal)),
        Some(FrontendAddress::Public(id)) => {
            let documents = &question.resources.public_addresses;
            let address = documents.iter().find(|public| public.id == *id).and_then(|public| public.address);
            (address.map(Host::Ip), Some(Scope::Public))
        }
        Some(FrontendAddress::Unknown) | None => (None, None),
    }
}
