//! Ranges of ports: is there one for every instance, and for those that a scale-out brings.

use std::collections::HashSet;

use crate::{
    natmap::{Finding, FindingCode, FrontendPort, NatMap, Via},
    resolver::{Question, owner::Owner},
    resource::{LoadBalancer, ResourceId, RuleTarget},
};

/// While a Uniform set with overprovisioning scales out, it may have this many times its instances, and
/// each takes a port (azure-cli makes its ranges twice as long for this reason).
const OVERPROVISIONED: u64 = 2;

/// A range of a pool or of a rule of version 2.
struct Range<'a> {
    kind: &'static str,
    id: &'a ResourceId,
    balancer: &'a LoadBalancer,
    start: FrontendPort,
    end: FrontendPort,
    /// How many IP configurations of each instance get a port of it.
    per_instance: u64,
    /// Members of its pool that are not the scale set's, and have ports too.
    others: u64,
}

pub(super) fn all(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let model = question.scope.model;
    let count = map.instances.len() as u64;
    let instances = count.max(model.and_then(|model| model.capacity).unwrap_or(0));
    let overprovision = model.is_some_and(|model| model.overprovision) && question.scope.is_uniform();
    let most = if overprovision { instances * OVERPROVISIONED } else { instances + 1 };
    if instances == 0 || question.scope.id.is_none() {
        return Vec::new();
    }
    let check = |range: Range<'_>| {
        let ports = u64::from(range.end.get().saturating_sub(range.start.get())) + 1;
        let wanted = instances * range.per_instance + range.others;
        let scaled_out = most * range.per_instance + range.others;
        if ports < wanted {
            let message = format!("{range} has {ports} ports, and {}", range.users(instances));
            Some(range.finding(FindingCode::RangeTooSmall, message, scaled_out))
        } else if ports < scaled_out {
            let why = if overprovision { " (overprovisioning makes twice as many at first)" } else { "" };
            let message = format!(
                "{range} has {ports} ports, and {}: a scale-out needs up to {scaled_out}{why}",
                range.users(instances)
            );
            Some(range.finding(FindingCode::RangeNearlyFull, message, scaled_out))
        } else {
            None
        }
    };
    ranges(question, map).filter_map(check).collect()
}

/// The ranges that serve this scale set: those that its model or its entries name.
fn ranges<'a>(question: &'a Question<'_>, map: &NatMap) -> impl Iterator<Item = Range<'a>> {
    let used: HashSet<_> = map
        .entries
        .iter()
        .filter_map(|e| {
            let name = if e.via == Via::NatPool { &e.rule.pool } else { &e.rule.name };
            let balancer = &question.balancer_of(&e.rule)?.id;
            Some((e.via == Via::NatPool, balancer, name.as_ref()?.to_lowercase()))
        })
        .collect();
    let in_model = |pool: &ResourceId| {
        question.scope.model.is_some_and(|model| model.configurations().any(|c| c.nat_pools.contains(pool)))
    };
    let mut found = Vec::new();
    for balancer in &question.resources.load_balancers {
        let is_used = |is_pool: bool, id: &ResourceId| {
            used.contains(&(is_pool, &balancer.id, id.name().to_lowercase()))
        };
        for pool in &balancer.nat_pools {
            if in_model(&pool.id) || is_used(true, &pool.id) {
                let (start, end) = (pool.start, pool.end);
                let configurations = question.scope.model.iter().flat_map(|model| model.configurations());
                let in_pool = configurations.filter(|c| c.nat_pools.contains(&pool.id)).count();
                let per_instance = in_pool.max(1) as u64;
                found.push(Range {
                    kind: "pool",
                    id: &pool.id,
                    balancer,
                    start,
                    end,
                    per_instance,
                    others: 0,
                });
            }
        }
        for rule in balancer.nat_rules.iter().flatten() {
            if let (RuleTarget::Pool(pool), Some((start, end))) = (&rule.target, rule.range)
                && is_used(false, &rule.id)
            {
                let (per_instance, others) = (1, others_in(question, balancer, pool));
                found.push(Range { kind: "rule", id: &rule.id, balancer, start, end, per_instance, others });
            }
        }
    }
    found.into_iter()
}

/// Members of a backend pool that are other machines'.
fn others_in(question: &Question<'_>, balancer: &LoadBalancer, pool: &ResourceId) -> u64 {
    let pools = balancer.backend_pools.iter().flatten().filter(|there| there.id == *pool);
    let members = pools.flat_map(|pool| &pool.addresses);
    members.filter(|member| question.owners.of_member(member).1 == Owner::Others).count() as u64
}

impl std::fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({}-{})", self.kind, self.id.name(), self.start, self.end)
    }
}

impl Range<'_> {
    /// Who needs ports of it.
    fn users(&self, instances: u64) -> String {
        let each = match self.per_instance {
            1 => String::new(),
            several => format!(" with {several} IP configurations each"),
        };
        let others = match self.others {
            0 => String::new(),
            others => format!(", and its pool {others} others"),
        };
        format!("the scale set {instances} instances{each}{others}")
    }

    fn finding(&self, code: FindingCode, message: String, needed: u64) -> Finding {
        let end = (u64::from(self.start.get()) + needed).saturating_sub(1).min(u64::from(u16::MAX) - 1);
        Finding::new(code, message).hint(format!(
            "widen it: `az network lb inbound-nat-{} update -g {} --lb-name {} -n {} --frontend-port-range-end {end}`",
            self.kind,
            self.balancer.id.group().unwrap_or("GROUP"),
            self.balancer.name(),
            self.id.name(),
        ))
    }
}
