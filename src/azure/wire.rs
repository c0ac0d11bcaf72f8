//! Azure's JSON, read into `resource` values.
//!
//! Each document is recognised by its shape: by its id, else its type, else its members. Read alike are what
//! Azure sends (`properties`), what `az` prints of it (flattened), old and new spellings (`…Ip…`, `…IP…`),
//! PowerShell's PascalCase, arrays and ARM's list pages: members are looked up without case, on the object
//! itself and under its `properties`. Nothing is guessed: a member of a wrong type is an error that names it.

mod load_balancer;
mod machine;
mod node;
mod scale_set;
mod security_group;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    natmap::{FrontendPort, Host, InstanceId},
    resource::{
        BackendPool, ConnectionInfoLine, Frontend, Kind, LoadBalancer, NatPool, NatRule, PortMapping,
        ResourceId, Resources, Unread,
    },
};
use node::Node;

/// The schema's name in what `map --save` writes.
pub const SAVED_SCHEMA: &str = "vmssh.azure/1";

/// What an empty list looks like: az prints one for many things that are not there.
pub(super) const EMPTY_LIST: &str = "an empty list";

/// Why a document of a known shape can't be used: a member is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {problem}")]
pub struct WireError {
    /// The member, with the way to it: `inboundNatRules[3].frontendPort`.
    pub at: String,
    /// What is wrong with it.
    pub problem: String,
}

impl WireError {
    fn new(at: &str, problem: impl Into<String>) -> Self {
        Self { at: at.into(), problem: problem.into() }
    }

    /// The same error seen from the object around.
    fn inside(self, name: &str) -> Self {
        let dot = if self.at.starts_with('[') { "" } else { "." };
        Self { at: format!("{name}{dot}{}", self.at), problem: self.problem }
    }
}

/// What a document turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Resources.
    Resources(Box<Resources>),
    /// Nothing that is known; what it looks like.
    Unknown(String),
}

/// Reads a document.
///
/// # Errors
/// When its shape is known and a member has a value of another type or out of range.
pub fn read(document: &Value) -> Result<Read, WireError> {
    let mut resources = Resources::default();
    let mut unknown = None;
    collect(document, &mut resources, &mut unknown)?;
    Ok(match unknown {
        Some(looks_like) if resources.is_empty() => Read::Unknown(looks_like),
        _ => Read::Resources(Box::new(resources)),
    })
}

fn collect(
    document: &Value,
    resources: &mut Resources,
    unknown: &mut Option<String>,
) -> Result<(), WireError> {
    match document {
        Value::Array(items) => list(items, true, resources, unknown),
        Value::Object(object) => object_of_any_kind(object, resources, unknown),
        other => {
            unknown.get_or_insert_with(|| description(other));
            Ok(())
        }
    }
}

/// A list as az prints it, or a page of one. Where it is whole, what is not in it is not there.
fn list(
    items: &[Value],
    whole: bool,
    resources: &mut Resources,
    unknown: &mut Option<String>,
) -> Result<(), WireError> {
    if items.is_empty() {
        unknown.get_or_insert_with(|| EMPTY_LIST.into());
    }
    for (place, item) in items.iter().enumerate() {
        let mut one = Resources::default();
        collect(item, &mut one, unknown).map_err(|error| error.inside(&format!("[{place}]")))?;
        // A list of each kind is a list of all of that kind.
        one.machines_listed |= whole && !one.machines.is_empty();
        one.cards_listed |= whole && !one.cards.is_empty();
        for balancer in &mut one.load_balancers {
            balancer.rules_listed |= whole && balancer.nat_rules.is_some();
        }
        if place == 0 && resources.is_empty() {
            *resources = one;
        } else {
            append(resources, one);
        }
    }
    Ok(())
}

/// Within one list ids do not repeat, so nothing has to be looked up.
fn append(resources: &mut Resources, one: Resources) {
    if one.load_balancers.is_empty() {
        resources.machines.extend(one.machines);
        resources.cards.extend(one.cards);
        resources.machines_listed |= one.machines_listed;
        resources.cards_listed |= one.cards_listed;
        let rest = Resources {
            scale_sets: one.scale_sets,
            public_addresses: one.public_addresses,
            security_groups: one.security_groups,
            subnets: one.subnets,
            connection_info: one.connection_info,
            loose_mappings: one.loose_mappings,
            ..Resources::default()
        };
        if !rest.is_empty() {
            resources.merge(rest);
        }
    } else {
        resources.merge(one);
    }
}

fn object_of_any_kind(
    object: &Map<String, Value>,
    resources: &mut Resources,
    unknown: &mut Option<String>,
) -> Result<(), WireError> {
    let node = Node::new(object);
    if node.text("schema").ok().flatten() == Some(SAVED_SCHEMA) {
        return saved(&node, resources, unknown);
    }
    if object.keys().all(|key| instance_of(key).is_some()) {
        resources.connection_info = Some(connection_info(object)?);
        return Ok(());
    }
    // Also what Windows PowerShell makes of a list: `{"value": […], "Count": 2}`.
    if let Some(Value::Array(items)) = node.own_member("value") {
        let whole = node.text("nextLink").ok().flatten().is_none();
        return list(items, whole, resources, unknown).map_err(|error| error.inside("value"));
    }
    if node.member("inboundNatRulePortMappings").is_some() {
        let mappings = node.list("inboundNatRulePortMappings", load_balancer::port_mapping)?;
        resources.loose_mappings = mappings.unwrap_or_default();
        return Ok(());
    }
    match kind_of(&node) {
        Some(kind) => {
            let at = node.text("name").ok().flatten().unwrap_or("the document").to_owned();
            resource(kind, &node, resources).map_err(|error| error.inside(&at))
        }
        None if load_balancer::is_nat_pool(&node) => {
            let pool = load_balancer::nat_pool(&node)?;
            let parts = LoadBalancer { nat_pools: vec![pool], ..LoadBalancer::unknown(ResourceId::new("")) };
            resources.load_balancers.push(parts);
            Ok(())
        }
        None => {
            unknown.get_or_insert_with(|| description(&Value::Object(object.clone())));
            Ok(())
        }
    }
}

/// The kind of a resource: its id's, else its type's.
fn kind_of(node: &Node<'_>) -> Option<Kind> {
    let id = node.text("id").ok().flatten().map(ResourceId::new);
    if let Some(kind) = id.as_ref().and_then(ResourceId::kind) {
        return Some(kind);
    }
    // A template has a type and expressions, and nothing that Azure has made of them.
    let of_type = node.text("type").ok().flatten()?;
    id.is_some().then(|| ResourceId::new(format!("/subscriptions/-/{of_type}/-")).kind())?
}

fn resource(kind: Kind, node: &Node<'_>, resources: &mut Resources) -> Result<(), WireError> {
    match kind {
        Kind::ScaleSet => resources.scale_sets.push(scale_set::read(node)?),
        Kind::UniformInstance | Kind::VirtualMachine => resources.machines.push(machine::read(node)?),
        Kind::Card => resources.cards.push(machine::card(node)?),
        Kind::LoadBalancer => resources.load_balancers.push(load_balancer::read(node)?),
        Kind::PublicAddress => resources.public_addresses.push(load_balancer::public_address(node)?),
        Kind::SecurityGroup => resources.security_groups.push(security_group::read(node)?),
        Kind::Subnet => resources.subnets.push(security_group::subnet(node)?),
        Kind::VirtualNetwork => {
            resources.subnets = node.list("subnets", security_group::subnet)?.unwrap_or_default();
        }
        Kind::NatRule | Kind::NatPool | Kind::BackendPool | Kind::Frontend => {
            resources.load_balancers.push(part_of_load_balancer(kind, node)?);
        }
        Kind::CardConfiguration => {
            return Err(WireError::new("id", "an IP configuration alone tells nothing: save its card"));
        }
    }
    Ok(())
}

/// What `az network lb … list` and `show` print of a load balancer's parts.
fn part_of_load_balancer(kind: Kind, node: &Node<'_>) -> Result<LoadBalancer, WireError> {
    let id = ResourceId::new(node.required_text("id")?);
    let of = id.up_to("loadBalancers").ok_or_else(|| WireError::new("id", "it names no load balancer"))?;
    let mut balancer = LoadBalancer::unknown(of);
    match kind {
        Kind::NatRule => balancer.nat_rules = Some(vec![load_balancer::nat_rule(node)?]),
        Kind::NatPool => balancer.nat_pools.push(load_balancer::nat_pool(node)?),
        Kind::BackendPool => balancer.backend_pools = Some(vec![load_balancer::backend_pool(node)?]),
        _ => balancer.frontends = Some(vec![load_balancer::frontend(node)?]),
    }
    Ok(balancer)
}

/// What `map --save` wrote: documents in Azure's form, and which lists of them are whole.
fn saved(node: &Node<'_>, resources: &mut Resources, unknown: &mut Option<String>) -> Result<(), WireError> {
    // No documents are no empty list: that is said of lists that az printed.
    if let Some(Value::Array(documents)) =
        node.own_member("documents").filter(|d| **d != Value::Array(vec![]))
    {
        list(documents, false, resources, unknown).map_err(|error| error.inside("documents"))?;
    }
    if let Some(Value::Object(lines)) = node.own_member("connectionInfo") {
        resources.connection_info = Some(connection_info(lines)?);
    }
    resources
        .loose_mappings
        .extend(node.list("inboundNatRulePortMappings", load_balancer::port_mapping)?.unwrap_or_default());
    for id in node.texts("natRulesListed")?.into_iter().map(ResourceId::new) {
        let of_it = resources.load_balancers.iter_mut().find(|balancer| balancer.id == id);
        of_it.into_iter().for_each(|balancer| balancer.rules_listed = true);
    }
    resources.machines_listed = node.flag("machinesListed")?.unwrap_or(false);
    resources.cards_listed = node.flag("cardsListed")?.unwrap_or(false);
    resources.unread = node
        .list("unread", |unread| {
            Ok(Unread {
                id: ResourceId::new(unread.required_text("id")?),
                reason: unread.required_text("reason")?.to_owned(),
            })
        })?
        .unwrap_or_default();
    Ok(())
}

/// The id in az's key `instance 3`.
fn instance_of(key: &str) -> Option<&str> {
    key.strip_prefix("instance ").filter(|id| !id.trim().is_empty())
}

/// `{"instance 0": "20.1.2.3:50000", …}`. An empty object is what az prints for a load balancer
/// without NAT rules.
fn connection_info(object: &Map<String, Value>) -> Result<Vec<ConnectionInfoLine>, WireError> {
    let lines = object.iter().map(|(key, value)| {
        let wrong = |problem: String| WireError { at: format!("\"{key}\""), problem };
        let text = value.as_str().ok_or_else(|| wrong("its value is not a text \"ADDRESS:PORT\"".into()))?;
        // az puts no brackets round IPv6: the last colon is the port's.
        let (address, port) =
            text.rsplit_once(':').ok_or_else(|| wrong(format!("\"{text}\" is not ADDRESS:PORT")))?;
        let address = match address {
            "None" => None,
            address => Some(address.parse::<Host>().map_err(|e| wrong(e.to_string()))?),
        };
        let port = port.parse::<FrontendPort>().map_err(|e| wrong(e.to_string()))?;
        Ok(ConnectionInfoLine { instance: InstanceId::new(instance_of(key).unwrap_or(key)), address, port })
    });
    lines.collect()
}

/// What an unknown document looks like, for the error: its type where it tells one, else its first
/// member names.
fn description(value: &Value) -> String {
    const SHOWN: usize = 5; // enough to recognise a document by, short enough for a line
    match value {
        Value::Array(items) => match items.first() {
            None => EMPTY_LIST.into(),
            Some(first) => format!("a list of {}, the first: {}", items.len(), description(first)),
        },
        Value::Object(object) => {
            let node = Node::new(object);
            let text = |name: &str| node.text(name).ok().flatten();
            let id = text("id").filter(|id| id.starts_with("/subscriptions/"));
            let is_template = text("$schema").is_some_and(|schema| schema.contains("eploymentTemplate"));
            match (text("type"), id, text("schema")) {
                _ if is_template => "a template for deployments, which knows no ports or instances".into(),
                (_, _, Some(schema)) => format!("a document of the schema {schema}"),
                (Some(kind), ..) => format!("it says that it is a {kind}"),
                (None, Some(id), _) => format!("it has the id {id}"),
                (None, None, _) => {
                    let names: Vec<_> = object.keys().take(SHOWN).map(|k| format!("\"{k}\"")).collect();
                    format!("an object with {}", names.join(", "))
                }
            }
        }
        Value::String(_) => "a text".into(),
        Value::Number(_) => "a number".into(),
        Value::Bool(_) | Value::Null => value.to_string(),
    }
}
