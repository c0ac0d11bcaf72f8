use super::{WireError, node::Node};
use crate::resource::{CardModel, ConfigurationModel, Orchestration, Os, ScaleSet};

/// A scale set's model (Compute: virtualMachineScaleSets).
pub(super) fn read(node: &Node<'_>) -> Result<ScaleSet, WireError> {
    let profile = node.object("virtualMachineProfile")?;
    let inside = |error: WireError| error.inside("virtualMachineProfile");
    let system = profile.map(|p| p.object("osProfile")).transpose().map_err(inside)?.flatten();
    let text = |name: &str| match &system {
        Some(system) => system.text(name).map_err(|error| error.inside("osProfile")),
        None => Ok(None),
    };
    let flexible = node.text("orchestrationMode")?.is_some_and(|mode| mode.eq_ignore_ascii_case("Flexible"));
    Ok(ScaleSet {
        id: node.id()?,
        orchestration: if flexible { Orchestration::Flexible } else { Orchestration::Uniform },
        capacity: match node.object("sku")? {
            Some(sku) => sku.number("capacity").map_err(|error| error.inside("sku"))?,
            None => None,
        },
        overprovision: node.flag("overprovision")?.unwrap_or(false),
        admin_username: text("adminUsername")?.map(ToOwned::to_owned),
        computer_name_prefix: text("computerNamePrefix")?.map(ToOwned::to_owned),
        os: profile.as_ref().map(os).transpose().map_err(inside)?.flatten(),
        cards: profile.as_ref().map(cards).transpose().map_err(inside)?.unwrap_or_default(),
    })
}

fn os(profile: &Node<'_>) -> Result<Option<Os>, WireError> {
    let disk = profile.down(&["storageProfile", "osDisk"])?;
    let kind = disk.map(|disk| disk.text("osType")).transpose()?.flatten();
    Ok(match kind {
        Some(kind) if kind.eq_ignore_ascii_case("Windows") => Some(Os::Windows),
        Some(kind) if kind.eq_ignore_ascii_case("Linux") => Some(Os::Linux),
        _ => None,
    })
}

fn cards(profile: &Node<'_>) -> Result<Vec<CardModel>, WireError> {
    let Some(network) = profile.object("networkProfile")? else { return Ok(Vec::new()) };
    Ok(network.list("networkInterfaceConfigurations", card)?.unwrap_or_default())
}

fn card(node: &Node<'_>) -> Result<CardModel, WireError> {
    Ok(CardModel {
        name: node.required_text("name")?.to_owned(),
        primary: node.flag("primary")?.unwrap_or(false),
        security_group: node.reference("networkSecurityGroup")?,
        configurations: node.list("ipConfigurations", configuration)?.unwrap_or_default(),
    })
}

fn configuration(node: &Node<'_>) -> Result<ConfigurationModel, WireError> {
    Ok(ConfigurationModel {
        name: node.required_text("name")?.to_owned(),
        subnet: node.reference("subnet")?,
        backend_pools: node.references("loadBalancerBackendAddressPools")?,
        nat_pools: node.references("loadBalancerInboundNatPools")?,
        // az and ARM say `publicIPAddressConfiguration`.
        public_address: node.member("publicIPAddressConfiguration").is_some_and(serde_json::Value::is_object),
    })
}
