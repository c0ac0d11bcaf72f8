//! What lists without a load balancer's word give: az's list of endpoints, bare ranges, and mappings of an
//! address that the answer does not name.

use std::collections::HashSet;

use super::{Found, Question, owner::Owner, ways};
use crate::{
    natmap::{
        BackendPort, Entry, Finding, FindingCode, FrontendPort, Known, Protocol, Rule, Via, display_set,
    },
    resource::{ConnectionInfoLine, LoadBalancer, ResourceId, RuleTarget},
};

/// A range of frontend ports whose instances are not known: a NAT pool, or a rule of version 2.
struct Range<'a> {
    balancer: &'a LoadBalancer,
    id: &'a ResourceId,
    via: Via,
    protocol: Protocol,
    frontend: Option<&'a ResourceId>,
    start: FrontendPort,
    end: FrontendPort,
    backend_port: Option<BackendPort>,
    idle_timeout_minutes: Option<u16>,
}

/// Entries beside those that the load balancers gave.
pub(super) fn entries(question: &Question<'_>, given: &[Entry]) -> Found {
    let ranges = open_ranges(question);
    let mut found = Found::default();
    let mut covered = HashSet::new();
    if let Some(lines) = &question.resources.connection_info {
        found.findings.extend(contradictions(lines));
        // az asks one load balancer only: where one was not read, it may be that one.
        let by_balancers = given.iter().any(|entry| entry.instance.is_some() && !entry.via.is_own_address());
        let others: Vec<_> = lines.iter().filter(|line| !is_given(line, given)).cloned().collect();
        if by_balancers && question.missing_load_balancers().is_empty() {
            found.findings.extend(stale_lines(&others));
        } else {
            listed(question, &others, lines.is_empty(), &ranges, &mut found, &mut covered);
        }
    }
    for (place, range) in ranges.iter().enumerate() {
        if !covered.contains(&place) {
            found.entries.extend(range.possible(question, given));
            found.findings.push(range.finding(question));
        }
    }
    found.entries.extend(loose(question, given));
    found
}

/// az's list, enriched by the pools that its ports lie in.
fn listed(
    question: &Question<'_>,
    lines: &[ConnectionInfoLine],
    is_empty: bool,
    ranges: &[Range<'_>],
    found: &mut Found,
    covered: &mut HashSet<usize>,
) {
    let mut gone = Vec::new();
    // az refuses Flexible sets, and Uniform ones count their instances: a name is that of an IP configuration
    // of some machine behind the same load balancer.
    let (ours, others): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.instance.number().is_some());
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|line| line.instance.as_str()).collect();
        found.findings.push(Finding::new(
            FindingCode::SharedLoadBalancer,
            format!(
                "the list of endpoints also names what is no instance of a scale set: {}",
                names.join(", ")
            ),
        ));
    }
    for line in ours {
        if let Owner::Gone(id) = question.owners.present(line.instance.clone()) {
            gone.push(id);
        }
        let mut entry =
            Entry::new(Some(line.instance.clone()), line.address.clone(), line.port, Via::NatRule);
        let mut inside = ranges.iter().enumerate().filter(|(_, range)| range.contains(line.port));
        // Two ranges may hold one port on different frontends: then neither is told.
        if let (Some((place, range)), None) = (inside.next(), inside.next()) {
            covered.insert(place);
            entry.backend_port = range.backend_port;
            entry.via = range.via;
            let address = entry.address.take();
            let from_range = range.rule(question);
            (entry.address, entry.rule) = (address.or(from_range.0), from_range.1);
        }
        found.entries.push(entry);
    }
    if is_empty {
        found.findings.push(
            Finding::new(
                FindingCode::NoNatRule,
                "the list names no instance: its load balancer has no inbound NAT rule",
            )
            .hint("see the rules: `az network lb inbound-nat-rule list -g GROUP --lb-name NAME`"),
        );
    }
    if !gone.is_empty() {
        let message = format!("the list of endpoints names instances that are gone: {}", display_set(&gone));
        found.findings.push(
            Finding::new(FindingCode::RuleOfDeletedInstance, message)
                .hint("take it again: `az vmss list-instance-connection-info -g GROUP -n NAME`")
                .about(gone),
        );
    }
}

/// Whether the load balancers say what a line of az's list says.
fn is_given(line: &ConnectionInfoLine, given: &[Entry]) -> bool {
    given.iter().any(|entry| {
        entry.instance.as_ref() == Some(&line.instance)
            && entry.port == line.port
            && (entry.address.is_none() || line.address.is_none() || entry.address == line.address)
    })
}

/// Two lists that say different things about one instance: az prints one endpoint for each.
fn contradictions(lines: &[ConnectionInfoLine]) -> Option<Finding> {
    let mut seen = HashSet::new();
    let mut twice: Vec<_> =
        lines.iter().filter(|line| !seen.insert(&line.instance)).map(|line| line.instance.clone()).collect();
    twice.sort();
    twice.dedup();
    (!twice.is_empty()).then(|| {
        let message = format!(
            "two lists of endpoints contradict each other about {}: they are of two scale sets, or of two times",
            display_set(&twice)
        );
        Finding::new(FindingCode::StaleConnectionInfo, message).hint("leave one of them out").about(twice)
    })
}

/// Lines of az's list that the load balancers contradict.
fn stale_lines(lines: &[ConnectionInfoLine]) -> Option<Finding> {
    let wrong: Vec<_> = lines.iter().map(|line| line.instance.clone()).collect();
    (!wrong.is_empty()).then(|| {
        Finding::new(
            FindingCode::StaleConnectionInfo,
            format!(
                "the list of endpoints contradicts the load balancer about {}; the load balancer is right",
                display_set(&wrong)
            ),
        )
        .hint("`az vmss list-instance-connection-info` mixes up load balancers that are shared; leave its output out")
        .about(wrong)
    })
}

/// Mappings of an address that was asked for, and is not in the answer.
fn loose(question: &Question<'_>, given: &[Entry]) -> Vec<Entry> {
    // One address may have been asked for twice, by itself and by its card.
    let mut seen = HashSet::new();
    let new = question.resources.loose_mappings.iter().filter(|mapping| {
        !given.iter().any(|entry| {
            entry.port == mapping.frontend_port && entry.rule.name.as_ref() == Some(&mapping.rule)
        }) && seen.insert((&mapping.rule, mapping.frontend_port, mapping.backend_port))
    });
    new.map(|mapping| Entry {
        backend_port: Some(mapping.backend_port),
        known: Known::Queried,
        rule: Rule { name: Some(mapping.rule.clone()), ..Rule::default() },
        ..Entry::new(None, None, mapping.frontend_port, Via::NatRuleV2)
    })
    .collect()
}

/// The ranges of load balancers whose documents do not tell which instance has which port.
fn open_ranges<'a>(question: &'a Question<'_>) -> Vec<Range<'a>> {
    let balancers = || question.resources.load_balancers.iter();
    let pools = balancers().filter(|lb| !lb.rules_listed).flat_map(|balancer| {
        balancer.nat_pools.iter().map(move |pool| Range {
            balancer,
            id: &pool.id,
            via: Via::NatPool,
            protocol: pool.protocol,
            frontend: pool.frontend.as_ref(),
            start: pool.start,
            end: pool.end,
            backend_port: Some(pool.backend_port),
            idle_timeout_minutes: pool.idle_timeout_minutes,
        })
    });
    let rules = balancers().flat_map(|balancer| {
        balancer.nat_rules.iter().flatten().filter_map(move |rule| {
            let (RuleTarget::Pool(pool), Some((start, end))) = (&rule.target, rule.range) else {
                return None;
            };
            let is_told = balancer.backend_pools.iter().flatten().any(|told| told.id == *pool);
            (!is_told).then_some(Range {
                balancer,
                id: &rule.id,
                via: Via::NatRuleV2,
                protocol: rule.protocol,
                frontend: rule.frontend.as_ref(),
                start,
                end,
                backend_port: rule.backend_port,
                idle_timeout_minutes: rule.idle_timeout_minutes,
            })
        })
    });
    let is_ours = |range: &Range<'_>| match question.scope.model {
        // The model names its own pools; a balancer's other pools are other sets'.
        Some(model) if range.via == Via::NatPool => {
            model.configurations().any(|c| c.nat_pools.contains(range.id))
        }
        _ => true,
    };
    pools.chain(rules).filter(is_ours).collect()
}

impl Range<'_> {
    fn contains(&self, port: FrontendPort) -> bool {
        self.protocol == Protocol::Tcp && (self.start..=self.end).contains(&port)
    }

    /// The address and the parts of the load balancer that all ways of the range have.
    fn rule(&self, question: &Question<'_>) -> (Option<crate::natmap::Host>, Rule) {
        let (address, scope) = ways::address(question, self.balancer, self.frontend);
        let named = self.balancer.id.kind().is_some();
        let rule = Rule {
            name: (self.via == Via::NatRuleV2).then(|| self.id.name().to_owned()),
            pool: (self.via == Via::NatPool).then(|| self.id.name().to_owned()),
            load_balancer: named.then(|| self.balancer.name().to_owned()),
            load_balancer_group: self.balancer.id.group().map(ToOwned::to_owned),
            frontend: self.frontend.map(|id| id.name().to_owned()),
            scope,
            idle_timeout_minutes: self.idle_timeout_minutes,
            tcp_reset: None,
        };
        (address, rule)
    }

    /// All ports of the range but those of which it is known where they lead.
    fn possible(&self, question: &Question<'_>, given: &[Entry]) -> Vec<Entry> {
        let (address, rule) = self.rule(question);
        let same_range = |entry: &&Entry| {
            let of = |rule: &Rule| {
                (rule.load_balancer.clone(), rule.load_balancer_group.clone(), rule.frontend.clone())
            };
            entry.protocol == self.protocol && of(&entry.rule) == of(&rule)
        };
        let taken: HashSet<_> = given.iter().filter(same_range).map(|entry| entry.port).collect();
        let ports = (self.start.get()..=self.end.get()).filter_map(|port| u64::from(port).try_into().ok());
        let ports = ports.filter(|port| !taken.contains(port));
        ports
            .map(|port| Entry {
                backend_port: self.backend_port,
                protocol: self.protocol,
                known: Known::Computed,
                rule: rule.clone(),
                ..Entry::new(None, address.clone(), port, self.via)
            })
            .collect()
    }

    fn finding(&self, question: &Question<'_>) -> Finding {
        let what = if self.via == Via::NatPool { "pool" } else { "rule" };
        let (group, balancer) = (self.balancer.id.group(), self.balancer.id.after("loadBalancers"));
        let set = question.scope.name();
        let hint = match (group, balancer, set) {
            (Some(group), Some(balancer), _) => {
                format!("save the load balancer too: `az network lb show -g {group} -n {balancer} > lb.json`")
            }
            (_, _, Some(set)) => format!(
                "save the real list: `az vmss list-instance-connection-info -g {} -n {} > ports.json`",
                set.group, set.name
            ),
            _ => "save the real list: `az vmss list-instance-connection-info -g GROUP -n NAME > ports.json`"
                .into(),
        };
        Finding::new(
            FindingCode::PossiblePorts,
            format!(
                "{what} \"{}\" gives the range {}-{}, not which instance has which port (it is not start + id)",
                self.id.name(),
                self.start,
                self.end
            ),
        )
        .hint(hint)
    }
}
