//! Azure's documents as `az` prints them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A document in az's form: `properties` merged into what has them, the resource group beside
/// every id that names one, members in alphabetical order. An item of a pool's address list has
/// neither id nor etag nor type there.
pub(super) fn flat(document: &Value) -> Value {
    match document {
        Value::Array(items) => Value::Array(items.iter().map(flat).collect()),
        Value::Object(object) => Value::Object(flat_object(object)),
        other => other.clone(),
    }
}

fn flat_object(object: &Map<String, Value>) -> Map<String, Value> {
    let mut members = BTreeMap::new();
    let properties = object.get("properties").and_then(Value::as_object);
    let own = object.iter().filter(|(name, _)| properties.is_none() || *name != "properties");
    for (name, value) in own.chain(properties.into_iter().flatten()) {
        let mut value = flat(value);
        if name == "loadBalancerBackendAddresses" {
            strip_addresses(&mut value);
        }
        members.insert(name.clone(), value);
    }
    if let Some(group) = object.get("id").and_then(Value::as_str).and_then(group_of) {
        members.insert("resourceGroup".into(), group.into());
    }
    members.into_iter().collect()
}

fn strip_addresses(addresses: &mut Value) {
    for address in addresses.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for name in ["id", "etag", "type", "resourceGroup", "provisioningState"] {
            address.shift_remove(name);
        }
    }
}

/// The resource group that an id names.
fn group_of(id: &str) -> Option<&str> {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case("resourceGroups"))?;
    segments.next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn properties_go_up_and_groups_stand_beside_ids() {
        let id = "/subscriptions/s/resourceGroups/prod-rg/providers/P/t/x";
        let document = json!({
            "name": "x",
            "id": id,
            "tags": {},
            "properties": {
                "b": {"id": id},
                "a": [{"name": "y", "properties": {"z": 1}}],
                "loadBalancerBackendAddresses": [{"id": id, "etag": "e", "name": "m", "properties": {"ipAddress": "10.0.0.4"}}],
            },
        });
        let expected = json!({
            "a": [{"name": "y", "z": 1}],
            "b": {"id": id, "resourceGroup": "prod-rg"},
            "id": id,
            "loadBalancerBackendAddresses": [{"ipAddress": "10.0.0.4", "name": "m"}],
            "name": "x",
            "resourceGroup": "prod-rg",
            "tags": {},
        });
        assert_eq!(flat(&document).to_string(), expected.to_string());
    }
}
