//! `queryInboundNatRulePortMapping`: which frontend ports lead to one member of a backend pool.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{World, answer::Answer, request::Request};

/// The action's name, the last segment of its path.
pub(super) const ACTION: &str = "queryInboundNatRulePortMapping";

/// Where answers that come later are asked for; their number follows.
pub(super) const OPERATIONS: &str = "/providers/Microsoft.Network/locations/westeurope/operationResults/";

/// Operations that are remembered; of more the oldest is forgotten.
const REMEMBERED: usize = 1000;

/// Answers that come later.
#[derive(Debug, Default)]
pub(super) struct Operations {
    last: u64,
    running: BTreeMap<u64, Operation>,
}

#[derive(Debug)]
struct Operation {
    polls: u32,
    retry_after: Duration,
    result: Value,
}

/// Answers the action for a pool, at once or later as the world has it.
pub(super) fn query(
    world: &World,
    operations: &Mutex<Operations>,
    base: &str,
    pool: (&str, &Value),
    request: &Request,
) -> Answer {
    let wish: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let by_address = wish.get("ipAddress").and_then(Value::as_str);
    let by_configuration = wish.pointer("/ipConfiguration/id").and_then(Value::as_str);
    if by_address.is_none() && by_configuration.is_none() {
        let message = "The request content must have either ipAddress or ipConfiguration.";
        return Answer::error(StatusCode::BAD_REQUEST, "InvalidRequestContent", message);
    }
    let configuration = by_configuration.or_else(|| configuration_with(world, by_address?));
    let result = json!({"inboundNatRulePortMappings": mappings(world, pool, by_address, configuration)});
    match world.later() {
        None => Answer::ok(&result),
        Some(later) => {
            let operation = Operation { polls: later.polls, retry_after: later.retry_after, result };
            let number = operations.lock().unwrap_or_else(PoisonError::into_inner).add(operation);
            Answer::accepted(location(base, world, number), later.retry_after)
        }
    }
}

/// Answers who asks for an operation again.
pub(super) fn poll(world: &World, operations: &Mutex<Operations>, base: &str, number: &str) -> Answer {
    let mut operations = operations.lock().unwrap_or_else(PoisonError::into_inner);
    let known = number.parse().ok().and_then(|n: u64| Some((n, operations.running.get_mut(&n)?)));
    match known {
        None => Answer::error(
            StatusCode::NOT_FOUND,
            "OperationNotFound",
            &format!("Operation '{number}' not found."),
        ),
        Some((_, Operation { polls: 0, result, .. })) => Answer::ok(result),
        Some((number, operation)) => {
            operation.polls -= 1;
            Answer::accepted(location(base, world, number), operation.retry_after)
        }
    }
}

impl Operations {
    fn add(&mut self, operation: Operation) -> u64 {
        self.last += 1;
        self.running.insert(self.last, operation);
        if self.running.len() > REMEMBERED {
            self.running.pop_first();
        }
        self.last
    }
}

fn location(base: &str, world: &World, number: u64) -> String {
    // The api-version of the action in azure-cli: a client asks the link as it stands.
    format!("{base}/subscriptions/{}{OPERATIONS}{number}?api-version=2023-09-01", world.subscription())
}

/// The mappings of one member: by its IP configuration's id, or where the pool lists addresses, by
/// the address.
fn mappings(
    world: &World,
    (pool_id, pool): (&str, &Value),
    address: Option<&str>,
    configuration: Option<&str>,
) -> Vec<Value> {
    let text =
        |member: &Value, pointer: &str| member.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let is_meant = |member: &&Value| {
        let of = text(member, "/properties/networkInterfaceIPConfiguration/id");
        let at = text(member, "/properties/ipAddress");
        of.zip(configuration).is_some_and(|(of, wanted)| of.eq_ignore_ascii_case(wanted))
            || at.as_deref().is_some_and(|at| Some(at) == address)
    };
    let balancer = pool_id.rsplitn(3, '/').last().unwrap_or_default();
    let members = array(pool, "/properties/loadBalancerBackendAddresses");
    let listed = members.filter(is_meant).flat_map(|m| array(m, "/properties/inboundNatRulesPortMapping"));
    listed
        .map(|listed| {
            let name = text(listed, "/inboundNatRuleName").unwrap_or_default();
            let rule = world.one(&format!("{balancer}/inboundNatRules/{name}"));
            json!({
                "inboundNatRuleName": name,
                "protocol": rule.and_then(|rule| rule.pointer("/properties/protocol")).unwrap_or(&Value::Null),
                "frontendPort": listed.get("frontendPort"),
                "backendPort": listed.get("backendPort"),
            })
        })
        .collect()
}

fn array<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The id of the IP configuration with a private address.
fn configuration_with<'a>(world: &'a World, address: &str) -> Option<&'a str> {
    let configurations = world.values().flat_map(|value| array(value, "/properties/ipConfigurations"));
    let has_it =
        |c: &&Value| c.pointer("/properties/privateIPAddress").and_then(Value::as_str) == Some(address);
    configurations.into_iter().find(has_it)?.get("id")?.as_str()
}
