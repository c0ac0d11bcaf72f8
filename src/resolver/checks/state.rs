//! The instances' states, and what Azure is about to retire.

use std::collections::BTreeMap;

use super::{instances_are, set_options, words};
use crate::{
    natmap::{Finding, FindingCode, InstanceId, NatMap, Power, Via},
    resolver::Question,
};

pub(super) fn all(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let mut findings = not_running(question, map);
    findings.extend(outdated(map));
    findings.extend(retirement(map));
    findings
}

fn not_running(question: &Question<'_>, map: &NatMap) -> Vec<Finding> {
    let mut by_power: BTreeMap<Power, Vec<InstanceId>> = BTreeMap::new();
    for instance in &map.instances {
        if let Some(power) = instance.power.filter(|power| *power != Power::Running) {
            by_power.entry(power).or_default().push(instance.id.clone());
        }
    }
    let finding = |(power, ids): (Power, Vec<InstanceId>)| {
        let hint = match power {
            Power::Starting => "it answers when it has started: try again in a minute".into(),
            Power::Stopping | Power::Deallocating => {
                "somebody is stopping it: wait for that, and start it then if it is needed".into()
            }
            // A Uniform set starts its instances; a Flexible one's are machines of their own.
            _ if question.scope.is_uniform() || map.scale_set.is_none() => {
                let them = if ids.len() == 1 { "it" } else { "them" };
                format!("start {them}: `az vmss start {} --instance-ids {}`", set_options(map), words(&ids))
            }
            _ => {
                let group = map.scale_set.as_ref().map_or("GROUP", |set| &set.group);
                let first = ids.first().map_or("NAME", InstanceId::as_str);
                format!("start it: `az vm start -g {group} -n {first}`")
            }
        };
        Finding::new(FindingCode::InstanceNotRunning, format!("{} {power}", instances_are(&ids)))
            .hint(hint)
            .about(ids)
    };
    by_power.into_iter().map(finding).collect()
}

fn outdated(map: &NatMap) -> Option<Finding> {
    let outdated: Vec<_> =
        map.instances.iter().filter(|i| i.model_current == Some(false)).map(|i| i.id.clone()).collect();
    (!outdated.is_empty()).then(|| {
        let message = format!("{} not on the scale set's latest model", instances_are(&outdated));
        Finding::new(FindingCode::OutdatedModel, message)
            .hint(format!(
                "bring them up to it: `az vmss update-instances {} --instance-ids {}`",
                set_options(map),
                words(&outdated)
            ))
            .about(outdated)
    })
}

/// Azure's announcement "Inbound NAT rule V1 for Virtual Machine Scale Sets will be retired".
fn retirement(map: &NatMap) -> Option<Finding> {
    map.entries.iter().any(|entry| entry.via == Via::NatPool).then(|| {
        Finding::new(
            FindingCode::NatPoolRetirement,
            "the ports come from an inbound NAT pool (version 1); Azure ends these on 30 September 2027",
        )
        .hint("move to inbound NAT rules of version 2; the ports may change: https://learn.microsoft.com/azure/load-balancer/load-balancer-nat-pool-migration")
    })
}
