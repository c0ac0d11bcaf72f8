//! Public addresses of instances: no load balancer, no translation.

use super::{Question, owner::Owner};
use crate::{
    natmap::{BackendPort, Entry, FrontendPort, Host, Rule, Scope, Via},
    resource::{Os, PublicAddress, ResourceId},
};

/// SSH, and RDP on Windows: what one wants of an instance of which every port can be dialled.
const SSH: u64 = 22;
const RDP: u64 = 3389;

/// A way in per public address of an instance. Any port of the instance can be dialled: the entry has the
/// usual one of its system, and a wanted backend port takes its place.
pub(super) fn entries(question: &Question<'_>) -> Vec<Entry> {
    let windows = question.scope.model.is_some_and(|model| model.os == Some(Os::Windows));
    let Ok(usual) = BackendPort::try_from(if windows { RDP } else { SSH }) else { return Vec::new() };
    let way = |public: &PublicAddress| {
        let configuration = configuration_of(question, public)?;
        let Owner::Ours(instance) = question.owners.of(&configuration) else { return None };
        let (address, port) = (public.address.map(Host::Ip), FrontendPort::from(usual));
        Some(Entry {
            backend_port: Some(usual),
            private_address: question.owners.private_address(&configuration),
            rule: Rule {
                frontend: Some(public.id.name().to_owned()),
                scope: Some(Scope::Public),
                idle_timeout_minutes: public.idle_timeout_minutes,
                ..Rule::default()
            },
            ..Entry::new(Some(instance), address, port, Via::PublicIp)
        })
    };
    question.resources.public_addresses.iter().filter_map(way).collect()
}

/// The IP configuration of a card that a public address belongs to; a frontend's is none.
fn configuration_of(question: &Question<'_>, public: &PublicAddress) -> Option<ResourceId> {
    let is_cards = |id: &&ResourceId| id.after("networkInterfaces").is_some();
    if let Some(used_by) = public.used_by.as_ref().filter(is_cards) {
        return Some(used_by.clone());
    }
    if public.id.after("networkInterfaces").is_some() {
        return public.id.up_to("ipConfigurations");
    }
    let configurations = question.resources.cards.iter().flat_map(|card| &card.configurations);
    configurations.into_iter().find(|c| c.public_address.as_ref() == Some(&public.id)).map(|c| c.id.clone())
}
