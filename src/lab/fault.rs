use std::{fmt, ops::RangeInclusive, str::FromStr};

use thiserror::Error;

/// What is wrong with an instance. Each is real on the wire: a client can't tell it from the
/// same trouble with a machine far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// SYNs to the frontend port get no answer, as behind a firewall that drops them. Siblings reach it.
    Drop,
    /// The port answers with RST, as where no SSH server runs; siblings find none either.
    Refuse,
    /// The connection is accepted at once, the identification line comes late.
    Slow,
    /// The server has another host key than the one that known_hosts lists.
    HostKey,
    /// Every sign-in is refused.
    Auth,
}

impl Fault {
    const ALL: [Self; 5] = [Self::Drop, Self::Refuse, Self::Slow, Self::HostKey, Self::Auth];

    fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Refuse => "refuse",
            Self::Slow => "slow",
            Self::HostKey => "hostkey",
            Self::Auth => "auth",
        }
    }
}

/// As it is typed: `hostkey`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let fault = Self::ALL.into_iter().find(|fault| fault.name() == text);
        fault.ok_or_else(|| FaultError::Unknown(text.into()))
    }
}

/// A fault and who has it, as it is typed: `3=drop`, `0-2,7=slow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultSpec {
    instances: Vec<RangeInclusive<usize>>,
    /// What is wrong with them.
    pub fault: Fault,
}

/// Why a text is not a [`FaultSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// There is no `=`.
    #[error("\"{0}\" is not INSTANCES=FAULT, as in 3=drop or 0-2,7=slow")]
    Shape(String),
    /// What stands before the `=` is not a list of numbers and ranges.
    #[error("\"{0}\" is not an instance number or a range such as 0-2")]
    Instances(String),
    /// What stands behind the `=` is no fault.
    #[error("\"{0}\" is not a fault: there are drop, refuse, slow, hostkey and auth")]
    Unknown(String),
}

impl FaultSpec {
    /// The largest instance number that is named.
    pub(super) fn last(&self) -> usize {
        self.instances.iter().map(|range| *range.end()).max().unwrap_or(0)
    }

    /// The fault of one instance; where several specs name it, the last one holds.
    pub(super) fn of(specs: &[Self], instance: usize) -> Option<Fault> {
        let named = |spec: &&Self| spec.instances.iter().any(|range| range.contains(&instance));
        specs.iter().rev().find(named).map(|spec| spec.fault)
    }
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (instances, fault) = text.split_once('=').ok_or_else(|| FaultError::Shape(text.into()))?;
        let fault = fault.trim().parse()?;
        let instances = instances.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self { instances, fault })
    }
}

fn range(part: &str) -> Result<RangeInclusive<usize>, FaultError> {
    // `usize::from_str` would take "+3".
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let (low, high) = part.split_once('-').unwrap_or((part, part));
    match (number(low), number(high)) {
        (Some(low), Some(high)) if low <= high => Ok(low..=high),
        _ => Err(FaultError::Instances(part.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_name_instances_and_the_last_one_holds() {
        let specs: Vec<FaultSpec> =
            ["0-2,7=slow", "2=drop"].iter().map(|text| text.parse().unwrap()).collect();
        let faults: Vec<_> = (0..9).map(|n| FaultSpec::of(&specs, n)).collect();
        let (slow, drop) = (Some(Fault::Slow), Some(Fault::Drop));
        assert_eq!(faults, [slow, slow, drop, None, None, None, None, slow, None]);
        assert_eq!(specs[0].last(), 7);
    }

    #[test]
    fn faults_read_back_as_they_print() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }

    #[test]
    fn wrong_specs_say_what_is_wrong() {
        let error = |text: &str| text.parse::<FaultSpec>().unwrap_err().to_string();
        assert_eq!(error("drop"), "\"drop\" is not INSTANCES=FAULT, as in 3=drop or 0-2,7=slow");
        assert_eq!(
            error("3=fire"),
            "\"fire\" is not a fault: there are drop, refuse, slow, hostkey and auth"
        );
        for part in ["x", "2-1", "", "+3", "1-2-3", "-1"] {
            assert_eq!(
                error(&format!("{part}=drop")),
                format!("\"{part}\" is not an instance number or a range such as 0-2")
            );
        }
    }
}
