use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// The id of a resource of Azure: `/subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME/…`.
///
/// Azure spells one id in several ways (`resourcegroups`, group names in another case), so ids compare
/// without case; they print as they were first spelled. A text of any other form is kept as it is and
/// has no parts.
#[derive(Debug, Clone)]
pub struct ResourceId(String);

/// What kind of resource an id names, by its types: the ones that a map is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A scale set.
    ScaleSet,
    /// An instance of a Uniform scale set.
    UniformInstance,
    /// A virtual machine, perhaps of a Flexible scale set.
    VirtualMachine,
    /// A network card, of a virtual machine or of a Uniform instance.
    Card,
    /// A card's IP configuration.
    CardConfiguration,
    /// A load balancer.
    LoadBalancer,
    /// A load balancer's frontend.
    Frontend,
    /// A load balancer's backend pool.
    BackendPool,
    /// An inbound NAT rule.
    NatRule,
    /// An inbound NAT pool.
    NatPool,
    /// A public address, of its own or of a Uniform instance.
    PublicAddress,
    /// A network security group.
    SecurityGroup,
    /// A subnet.
    Subnet,
    /// A virtual network.
    VirtualNetwork,
}

/// The last type segment of an id, what precedes it where that matters, and the kind.
const KINDS: [(&str, Kind); 13] = [
    ("virtualMachineScaleSets", Kind::ScaleSet),
    ("virtualMachines", Kind::VirtualMachine),
    ("networkInterfaces", Kind::Card),
    ("ipConfigurations", Kind::CardConfiguration),
    ("loadBalancers", Kind::LoadBalancer),
    ("frontendIPConfigurations", Kind::Frontend),
    ("backendAddressPools", Kind::BackendPool),
    ("inboundNatRules", Kind::NatRule),
    ("inboundNatPools", Kind::NatPool),
    ("publicIPAddresses", Kind::PublicAddress),
    ("networkSecurityGroups", Kind::SecurityGroup),
    ("subnets", Kind::Subnet),
    ("virtualNetworks", Kind::VirtualNetwork),
];

impl ResourceId {
    /// Takes an id as a document spells it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id of a resource in a group: `namespace_and_type` is `Microsoft.Network/loadBalancers`.
    #[must_use]
    pub fn of(subscription: &str, group: &str, namespace_and_type: &str, name: &str) -> Self {
        Self(format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace_and_type}/{name}"
        ))
    }

    /// The id of a child.
    #[must_use]
    pub fn child(&self, of_type: &str, name: &str) -> Self {
        Self(format!("{self}/{of_type}/{name}"))
    }

    /// The path under which all children of a type are listed.
    #[must_use]
    pub fn child_list(&self, of_type: &str) -> String {
        format!("{self}/{of_type}")
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segment behind one of this name: `after("loadBalancers")` is the load balancer's name.
    #[must_use]
    pub fn after(&self, name: &str) -> Option<&str> {
        let mut segments = self.0.split('/');
        segments.find(|segment| segment.eq_ignore_ascii_case(name))?;
        segments.next().filter(|segment| !segment.is_empty())
    }

    /// The subscription.
    #[must_use]
    pub fn subscription(&self) -> Option<&str> {
        self.after("subscriptions")
    }

    /// The resource group.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.after("resourceGroups")
    }

    /// The last segment: the resource's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// The kind, told from the types in the id; `None` for a text that is no id, or another kind.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let mut backwards = self.0.trim_end_matches('/').rsplit('/');
        let (_name, of_type) = (backwards.next()?, backwards.next()?);
        let is_id = self.0.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("/subscriptions/"));
        let kind = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(of_type)).map(|(_, kind)| *kind);
        match kind.filter(|_| is_id) {
            Some(Kind::VirtualMachine) if self.after("virtualMachineScaleSets").is_some() => {
                Some(Kind::UniformInstance)
            }
            kind => kind,
        }
    }

    /// The id up to and including a type's name: of a backend pool's id, `up_to("loadBalancers")` is the
    /// load balancer's id.
    #[must_use]
    pub fn up_to(&self, of_type: &str) -> Option<Self> {
        let mut end = 0;
        let mut segments = self.0.split('/');
        loop {
            let segment = segments.next()?;
            end += segment.len() + 1;
            if segment.eq_ignore_ascii_case(of_type) {
                let name = segments.next().filter(|name| !name.is_empty())?;
                return self.0.get(..end + name.len()).map(Self::new);
            }
        }
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ResourceId {}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = "/subscriptions/s/resourcegroups/Prod-RG/providers/microsoft.compute/\
         virtualMachineScaleSets/web/virtualMachines/3/networkInterfaces/nic/ipConfigurations/cfg";

    #[test]
    fn parts_are_found_in_any_case() {
        let id = ResourceId::new(CONFIGURATION);
        assert_eq!(id.group(), Some("Prod-RG"));
        assert_eq!(id.after("VIRTUALMACHINES"), Some("3"));
        assert_eq!((id.name(), id.kind()), ("cfg", Some(Kind::CardConfiguration)));
        let instance = id.up_to("virtualMachines").unwrap();
        assert!(instance.as_str().ends_with("/web/virtualMachines/3"));
        assert_eq!(instance.kind(), Some(Kind::UniformInstance));
        assert_eq!(id.up_to("networkinterfaces").unwrap().kind(), Some(Kind::Card));
        assert_eq!(id.up_to("loadBalancers"), None);
        assert_eq!(id, ResourceId::new(CONFIGURATION.to_uppercase()));
    }

    #[test]
    fn what_is_no_id_has_no_parts() {
        for text in
            ["", "/", "web", "[resourceId('x')]", "/subscriptions", "loadBalancers/x", "ü/ß/loadBalancers"]
        {
            let id = ResourceId::new(text);
            assert_eq!((id.kind(), id.subscription()), (None, None), "{text}");
        }
    }
}
