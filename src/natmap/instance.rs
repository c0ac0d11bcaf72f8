use std::{cmp::Ordering, fmt};

use serde::Serialize;

/// The id that Azure gives an instance: a number for Uniform scale sets (`3`), a name for Flexible
/// ones (`web_0e7d4d21`). Never a position in a list: ids have gaps and need not start at 0.
///
/// Ids are ordered as people count: 2 before 10, numbers before names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct InstanceId(String);

impl InstanceId {
    /// Takes the id as a document spells it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a number, where it is one in its usual spelling (`007` is a name).
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.parse().ok().filter(|n: &u64| n.to_string() == self.0)
    }
}

impl From<usize> for InstanceId {
    fn from(number: usize) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Ord for InstanceId {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.0.cmp(&other.0),
        }
    }
}

impl PartialOrd for InstanceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::InstanceId;

    #[test]
    fn ids_are_ordered_as_people_count() {
        let mut ids: Vec<_> = ["web_b", "10", "2", "007", "web_a", "0"].map(InstanceId::new).into();
        ids.sort();
        let text: Vec<_> = ids.iter().map(InstanceId::as_str).collect();
        assert_eq!(text, ["0", "2", "10", "007", "web_a", "web_b"]);
    }
}
