//! How the tools spell Azure's documents.

use serde_json::{Map, Value, json};

/// A document as it is saved.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    One(Value),
    List(Vec<Value>),
}

/// Who printed a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Azure itself, or `az rest`: `properties`, lists as one page.
    Arm,
    /// The same, lists as pages of so many.
    Pages(usize),
    /// az 2.91: flattened, with `resourceGroup` beside each id.
    Az,
    /// az up to about 2.50: `…Ip…`, and nulls printed.
    OldAz,
    /// PowerShell's `ConvertTo-Json`: flattened, PascalCase.
    PowerShell,
}

impl Spelling {
    pub(crate) const ALL: [Self; 5] = [Self::Arm, Self::Pages(2), Self::Az, Self::OldAz, Self::PowerShell];

    /// The documents as this tool spells them.
    pub(crate) fn spell(self, documents: &[Document]) -> Vec<Value> {
        documents.iter().flat_map(|document| self.document(document)).collect()
    }

    fn document(self, document: &Document) -> Vec<Value> {
        match (self, document) {
            (_, Document::One(value)) => vec![self.value(value)],
            (Self::Arm, Document::List(items)) => vec![json!({ "value": items })],
            (Self::Pages(size), Document::List(items)) => {
                let count = items.len().div_ceil(size);
                let page = |(place, items): (usize, &[Value])| match place + 1 < count {
                    true => json!({"value": items, "nextLink": "https://management.azure.com/next"}),
                    false => json!({ "value": items }),
                };
                items.chunks(size).enumerate().map(page).collect()
            }
            (_, Document::List(items)) => vec![items.iter().map(|item| self.value(item)).collect()],
        }
    }

    fn value(self, value: &Value) -> Value {
        match self {
            Self::Arm | Self::Pages(_) => value.clone(),
            Self::Az => flattened(value, "resourceGroup"),
            Self::OldAz => old(&flattened(value, "resourceGroup")),
            Self::PowerShell => pascal(&flattened(value, "resourceGroupName")),
        }
    }
}

/// Members of `properties` on the object itself, and the group beside each id.
fn flattened(value: &Value, group_member: &str) -> Value {
    match value {
        Value::Object(object) => {
            let mut flat = Map::new();
            for (key, value) in object {
                match value {
                    Value::Object(properties) if key == "properties" => flat.extend(
                        properties.iter().map(|(key, value)| (key.clone(), flattened(value, group_member))),
                    ),
                    value => {
                        flat.insert(key.clone(), flattened(value, group_member));
                    }
                }
            }
            let group = flat.get("id").and_then(Value::as_str).and_then(|id| id.split('/').nth(4));
            if let Some(group) = group.map(str::to_owned) {
                flat.insert(group_member.into(), group.into());
            }
            Value::Object(flat)
        }
        Value::Array(items) => items.iter().map(|item| flattened(item, group_member)).collect(),
        other => other.clone(),
    }
}

fn old(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut spelled: Map<_, _> =
                object.iter().map(|(key, value)| (key.replace("IP", "Ip"), old(value))).collect();
            for null in
                ["etag", "location", "privateIpAddress", "publicIpAddress", "backendIpConfiguration", "zones"]
            {
                spelled.entry(null).or_insert(Value::Null);
            }
            Value::Object(spelled)
        }
        Value::Array(items) => items.iter().map(old).collect(),
        other => other.clone(),
    }
}

fn pascal(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let capital = |key: &str| key[..1].to_uppercase() + &key[1..];
            object.iter().map(|(key, value)| (capital(key), pascal(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(pascal).collect(),
        other => other.clone(),
    }
}
