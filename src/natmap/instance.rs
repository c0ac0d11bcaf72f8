use std::{cmp::Ordering, fmt, net::IpAddr, str::FromStr};

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
        // Ids are compared often: without a text of the number to compare with.
        let usual = self.0.bytes().all(|byte| byte.is_ascii_digit())
            && (self.0.len() == 1 || !self.0.starts_with('0'));
        self.0.parse().ok().filter(|_| usual)
    }
}

/// How many digits of base 36 a computer name has behind its prefix.
const COMPUTER_NAME_DIGITS: u32 = 6;

impl InstanceId {
    /// The name that an instance of a Uniform scale set gets for itself: the prefix of its model, and the id in
    /// base 36, upper case, six digits (Azure documentation, "Learn about instance names for virtual machine
    /// scale sets"). `None` for an id that is no number.
    #[must_use]
    pub fn computer_name(&self, prefix: &str) -> Option<String> {
        let number = self.number()?;
        let digit = |place: u32| {
            let value = number / 36_u64.pow(place) % 36;
            char::from_digit(u32::try_from(value).ok()?, 36)
        };
        let digits: String = (0..COMPUTER_NAME_DIGITS).rev().map(digit).collect::<Option<_>>()?;
        Some(format!("{prefix}{}", digits.to_uppercase()))
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

/// An instance, with or without a way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its name in Azure (`web_3`), where known.
    pub name: Option<String>,
    /// The name that it knows itself by (`hostname`), where known.
    pub computer_name: Option<String>,
    /// Azure's GUID of the machine, where known: stays the same while ids and ports pass on to others.
    pub vm_id: Option<String>,
    /// Whether it runs, where known.
    pub power: Option<Power>,
    /// Whether it is on the scale set's latest model, where known.
    pub model_current: Option<bool>,
    /// Its private addresses, the first card's first, as far as they are known.
    pub private_addresses: Vec<IpAddr>,
}

impl Instance {
    /// An instance of which only the id is known.
    #[must_use]
    pub fn new(id: InstanceId) -> Self {
        Self {
            id,
            name: None,
            computer_name: None,
            vm_id: None,
            power: None,
            model_current: None,
            private_addresses: Vec::new(),
        }
    }
}

/// The power state of an instance (`PowerState/…` in its instance view).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// It runs.
    Running,
    /// It starts.
    Starting,
    /// It stops.
    Stopping,
    /// It stands still and keeps its place.
    Stopped,
    /// It gives up its place.
    Deallocating,
    /// It stands still and has no place.
    Deallocated,
}

impl Power {
    /// The word that Azure and this program have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Deallocating => "deallocating",
            Self::Deallocated => "deallocated",
        }
    }
}

/// A word that is no power state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPower;

impl FromStr for Power {
    type Err = NoPower;

    fn from_str(word: &str) -> Result<Self, NoPower> {
        let all = [
            Self::Running,
            Self::Starting,
            Self::Stopping,
            Self::Stopped,
            Self::Deallocating,
            Self::Deallocated,
        ];
        all.into_iter().find(|power| power.as_str().eq_ignore_ascii_case(word)).ok_or(NoPower)
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::InstanceId;

    #[test]
    fn computer_names_count_in_base_36() {
        let name = |id: &str| InstanceId::new(id).computer_name("lab");
        for (id, right) in
            [("0", "lab000000"), ("10", "lab00000A"), ("85", "lab00002D"), ("999", "lab0000RR")]
        {
            assert_eq!(name(id).as_deref(), Some(right));
        }
        assert_eq!(name("web_0e7d4d21"), None);
    }

    #[test]
    fn ids_are_ordered_as_people_count() {
        let mut ids: Vec<_> = ["web_b", "10", "2", "007", "web_a", "0"].map(InstanceId::new).into();
        ids.sort();
        let text: Vec<_> = ids.iter().map(InstanceId::as_str).collect();
        assert_eq!(text, ["0", "2", "10", "007", "web_a", "web_b"]);
    }
}
