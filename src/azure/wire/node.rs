//! Tolerant look-ups in a JSON object: without case, under `properties` too, texts for numbers.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::WireError;
use crate::resource::ResourceId;

/// A JSON object of Azure's.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(&'a Map<String, Value>);

impl<'a> Node<'a> {
    pub(super) fn new(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    /// A member of the object itself.
    pub(super) fn own_member(self, name: &str) -> Option<&'a Value> {
        let exact = self.0.get(name);
        let found = exact.or_else(|| {
            self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        });
        found.filter(|value| !value.is_null())
    }

    /// A member of the object or of its `properties`.
    pub(super) fn member(self, name: &str) -> Option<&'a Value> {
        self.own_member(name).or_else(|| match self.own_member("properties")? {
            Value::Object(properties) => Node(properties).own_member(name),
            _ => None,
        })
    }

    fn read<T>(
        self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        let Some(value) = self.member(name) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(WireError::new(name, format!("{} is not {what}", short(value)))),
        }
    }

    /// A text; an empty one is none.
    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>, WireError> {
        Ok(self.read(name, "a text", Value::as_str)?.filter(|text| !text.is_empty()))
    }

    /// A text that must be there.
    pub(super) fn required_text(self, name: &str) -> Result<&'a str, WireError> {
        self.text(name)?.ok_or_else(|| WireError::new(name, "it is missing"))
    }

    /// A yes or no; templates spell it as text.
    pub(super) fn flag(self, name: &str) -> Result<Option<bool>, WireError> {
        self.read(name, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        })
    }

    /// A number from 0 on; templates spell it as text.
    pub(super) fn number(self, name: &str) -> Result<Option<u64>, WireError> {
        self.read(name, "a number", |value| value.as_u64().or_else(|| value.as_str()?.parse().ok()))
    }

    /// A number of minutes.
    pub(super) fn minutes(self, name: &str) -> Result<Option<u16>, WireError> {
        let minutes = self.number(name)?.map(u16::try_from);
        minutes.transpose().map_err(|_| WireError::new(name, "it is too large for a number of minutes"))
    }

    /// A port. Azure writes 0 for none (the frontend port of a rule of version 2).
    pub(super) fn port<P: TryFrom<u64>>(self, name: &str) -> Result<Option<P>, WireError>
    where
        P::Error: std::fmt::Display,
    {
        match self.number(name)? {
            None | Some(0) => Ok(None),
            Some(number) => {
                P::try_from(number).map(Some).map_err(|error| WireError::new(name, error.to_string()))
            }
        }
    }

    /// A port that must be there.
    pub(super) fn required_port<P: TryFrom<u64>>(self, name: &str) -> Result<P, WireError>
    where
        P::Error: std::fmt::Display,
    {
        self.port(name)?.ok_or_else(|| WireError::new(name, "it is missing"))
    }

    /// An IP address; PowerShell writes "Not Assigned" for none.
    pub(super) fn address(self, name: &str) -> Result<Option<IpAddr>, WireError> {
        let Some(text) = self.text(name)?.filter(|text| !text.eq_ignore_ascii_case("Not Assigned")) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| WireError::new(name, format!("\"{text}\" is not an IP address")))
    }

    /// An object.
    pub(super) fn object(self, name: &str) -> Result<Option<Self>, WireError> {
        Ok(self.read(name, "an object", Value::as_object)?.map(Node))
    }

    /// A member of an object in the object, if both are there.
    pub(super) fn down(self, way: &[&str]) -> Result<Option<Self>, WireError> {
        let mut node = self;
        for name in way {
            match node.object(name)? {
                Some(next) => node = next,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    /// The resource's own id.
    pub(super) fn id(self) -> Result<ResourceId, WireError> {
        self.required_text("id").map(ResourceId::new)
    }

    /// A reference to another resource: `{"id": "…"}`.
    pub(super) fn reference(self, name: &str) -> Result<Option<ResourceId>, WireError> {
        let Some(node) = self.object(name)? else { return Ok(None) };
        Ok(node.text("id").map_err(|error| error.inside(name))?.map(ResourceId::new))
    }

    /// A list of references.
    pub(super) fn references(self, name: &str) -> Result<Vec<ResourceId>, WireError> {
        Ok(self.list(name, |node| node.id())?.unwrap_or_default())
    }

    /// A list of objects. PowerShell makes a list of one an object.
    pub(super) fn list<T>(
        self,
        name: &str,
        read: impl Fn(&Node<'a>) -> Result<T, WireError>,
    ) -> Result<Option<Vec<T>>, WireError> {
        let one = |place: usize, value: &'a Value| {
            let at = || format!("{name}[{place}]");
            match value {
                Value::Object(object) => read(&Node(object)).map_err(|error| error.inside(&at())),
                other => Err(WireError::new(&at(), format!("{} is not an object", short(other)))),
            }
        };
        match self.member(name) {
            None => Ok(None),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(place, item)| one(place, item))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(object @ Value::Object(_)) => Ok(Some(vec![one(0, object)?])),
            Some(other) => Err(WireError::new(
                name,
                format!(
                    "{} is not a list (PowerShell cuts deep documents off: `ConvertTo-Json -Depth 20`)",
                    short(other)
                ),
            )),
        }
    }

    /// A list of texts, or a single one.
    pub(super) fn texts(self, name: &str) -> Result<Vec<String>, WireError> {
        let texts = self.read(name, "a list of texts", |value| match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect(),
            _ => None,
        });
        Ok(texts?.unwrap_or_default().into_iter().filter(|text| !text.is_empty()).collect())
    }
}

/// A wrong value as an error shows it: short, whatever it is.
fn short(value: &Value) -> String {
    const SHOWN: usize = 40; // characters: enough to find the place by
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        other => {
            let text = other.to_string();
            match text.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
                None => text,
            }
        }
    }
}
