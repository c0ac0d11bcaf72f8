use super::{WireError, node::Node};
use crate::{
    natmap::{InstanceId, Power},
    resource::{Card, CardConfiguration, Kind, Machine, Membership},
};

/// An instance of a Uniform scale set, or a virtual machine (Compute: virtualMachines).
pub(super) fn read(node: &Node<'_>) -> Result<Machine, WireError> {
    let id = node.id()?;
    let name = node.text("name")?.unwrap_or_else(|| id.name()).to_owned();
    let uniform = id.kind() == Some(Kind::UniformInstance);
    let membership = match (node.reference("virtualMachineScaleSet")?, id.up_to("virtualMachineScaleSets")) {
        (_, Some(set)) | (Some(set), None) => Membership::Of(set),
        // What Azure lists of a Flexible set's instances has name, id and place, and no more.
        (None, None) if node.member("vmId").is_none() && node.member("networkProfile").is_none() => {
            Membership::Unsaid
        }
        (None, None) => Membership::None,
    };
    // A Flexible set knows its machines by name; ids may spell it in another case.
    let instance = if uniform { node.text("instanceId")?.unwrap_or_else(|| id.name()) } else { &name };
    let computer_name = |way| -> Result<Option<String>, WireError> {
        let named = node.object(way)?;
        Ok(named.map(|named| named.text("computerName")).transpose()?.flatten().map(ToOwned::to_owned))
    };
    Ok(Machine {
        instance: InstanceId::new(instance),
        name,
        vm_id: node.text("vmId")?.filter(|id| is_guid(id)).map(ToOwned::to_owned),
        computer_name: computer_name("osProfile")?.or(computer_name("instanceView")?),
        power: power(node)?,
        model_current: node.flag("latestModelApplied")?,
        membership,
        cards: match node.object("networkProfile")? {
            Some(network) => {
                network.references("networkInterfaces").map_err(|error| error.inside("networkProfile"))?
            }
            None => Vec::new(),
        },
        id,
    })
}

/// Whether a text is a GUID (RFC 9562, section 4). Host keys are filed under `vmId`s, so a text that is none,
/// and means something to a known_hosts file (`*`), is not taken for one.
fn is_guid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let mut groups = text.split('-');
    let fits =
        |length| groups.next().is_some_and(|g| g.len() == length && g.bytes().all(|b| b.is_ascii_hexdigit()));
    lengths.into_iter().all(fits) && text.len() == 36
}

/// The power state: a status of the instance view, or what `az vm list --show-details` prints of it.
fn power(node: &Node<'_>) -> Result<Option<Power>, WireError> {
    if let Some(view) = node.object("instanceView")? {
        let codes = view
            .list("statuses", |status| Ok(status.text("code")?.map(ToOwned::to_owned)))
            .map_err(|error| error.inside("instanceView"))?
            .unwrap_or_default();
        let power = |code: &String| {
            let (kind, state) = code.split_once('/')?;
            kind.eq_ignore_ascii_case("PowerState").then(|| state.parse().ok())?
        };
        return Ok(codes.iter().flatten().find_map(power));
    }
    let shown = node.text("powerState")?.and_then(|text| text.strip_prefix("VM "));
    Ok(shown.and_then(|state| state.parse().ok()))
}

/// A network card (Network: networkInterfaces).
pub(super) fn card(node: &Node<'_>) -> Result<Card, WireError> {
    let id = node.id()?;
    Ok(Card {
        machine: node.reference("virtualMachine")?.or_else(|| id.up_to("virtualMachines")),
        primary: node.flag("primary")?.unwrap_or(false),
        security_group: node.reference("networkSecurityGroup")?,
        configurations: node.list("ipConfigurations", configuration)?.unwrap_or_default(),
        id,
    })
}

fn configuration(node: &Node<'_>) -> Result<CardConfiguration, WireError> {
    Ok(CardConfiguration {
        id: node.id()?,
        primary: node.flag("primary")?.unwrap_or(false),
        private_address: node.address("privateIPAddress")?,
        subnet: node.reference("subnet")?,
        nat_rules: node.references("loadBalancerInboundNatRules")?,
        backend_pools: node.references("loadBalancerBackendAddressPools")?,
        public_address: node.reference("publicIPAddress")?,
    })
}

#[cfg(test)]
mod tests {
    use super::is_guid;

    #[test]
    fn only_guids_are_taken_for_one() {
        assert!(is_guid("ef8751b5-70ce-51c4-bbbc-0e536A5718a5"));
        for text in
            ["*", "", "a,b", "ef8751b5-70ce-51c4-bbbc-0e536a5718a5-", "ef8751b5-70ce-51c4-bbbc-0e536a5718*5"]
        {
            assert!(!is_guid(text), "{text}");
        }
    }
}
