use serde::Serialize;

use super::InstanceId;

/// Something noteworthy about a map, for people and for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, for scripts.
    pub code: FindingCode,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence that says what was found and on what.
    pub message: String,
    /// The next thing to do, usually a command to paste.
    pub hint: Option<String>,
    /// The instances that it is about, where it is about some of them only.
    pub instances: Vec<InstanceId>,
}

impl Finding {
    /// A finding about the whole map.
    pub fn new(code: FindingCode, message: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), message: message.into(), hint: None, instances: Vec::new() }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which instances it is about.
    #[must_use]
    pub fn about(mut self, instances: Vec<InstanceId>) -> Self {
        self.instances = instances;
        self
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something will not work for some instances.
    Warning,
    /// The map contradicts itself or can't be used.
    Error,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal, $severity:ident;)+) => {
        /// The kinds of findings. Each has one severity; `docs/findings.md` says what each means and what
        /// mends it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingCode {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FindingCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as it is printed.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// How much a finding of this kind matters.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }
        }
    };
}

codes! {
    /// Neither a load balancer nor public addresses lead to the instances.
    NoLoadBalancer => "no-load-balancer", Warning;
    /// The scale set has no instances.
    NoInstances => "no-instances", Info;
    /// A load balancer has no inbound NAT rule that leads to the scale set.
    NoNatRule => "no-nat-rule", Warning;
    /// Some instances have no port, while others have.
    InstanceWithoutPort => "instance-without-port", Warning;
    /// A rule that leads nowhere.
    UnattachedRule => "unattached-rule", Warning;
    /// A rule of an instance that is gone.
    RuleOfDeletedInstance => "rule-of-deleted-instance", Warning;
    /// A frontend whose public address is not assigned.
    FrontendWithoutAddress => "frontend-without-address", Error;
    /// A frontend whose address the documents do not tell.
    AddressUnknown => "address-unknown", Warning;
    /// The ports of a range are known, not which instance has which.
    PossiblePorts => "possible-ports", Info;
    /// Ports that lead to machines of which the documents do not tell whether they are this scale set's.
    InstanceUnknown => "instance-unknown", Warning;
    /// Two instances on one endpoint.
    SharedEndpoint => "shared-endpoint", Error;
    /// The range has fewer ports than there are instances.
    RangeTooSmall => "range-too-small", Warning;
    /// The range has no room for a scale-out, overprovisioning counted.
    RangeNearlyFull => "range-nearly-full", Warning;
    /// Instances that are not on the latest model.
    OutdatedModel => "outdated-model", Warning;
    /// Instances that do not run.
    InstanceNotRunning => "instance-not-running", Warning;
    /// Inbound NAT pools are retired on a date.
    NatPoolRetirement => "nat-pool-retirement", Info;
    /// Instances that have ports, but none for the wanted backend port.
    BackendPortNotMapped => "backend-port-not-mapped", Warning;
    /// No security rule lets the backend port in.
    SecurityGroupDenies => "security-group-denies", Warning;
    /// No security group at all: a Standard load balancer or address lets nothing in.
    NoSecurityGroup => "no-security-group", Warning;
    /// The load balancer forgets idle connections before our keepalive.
    IdleTimeoutShort => "idle-timeout-short", Warning;
    /// The load balancer is shared with other machines.
    SharedLoadBalancer => "shared-load-balancer", Info;
    /// Instances have ports for several backend ports.
    SeveralBackendPorts => "several-backend-ports", Info;
    /// All frontends are internal.
    InternalOnly => "internal-only", Info;
    /// A list of endpoints contradicts the load balancer.
    StaleConnectionInfo => "stale-connection-info", Warning;
    /// Something that the map needs could not be read, or was not among the documents.
    NotRead => "not-read", Warning;
    /// Something that only findings need could not be read.
    NotChecked => "not-checked", Info;
    /// A document that tells nothing about a scale set.
    UnknownDocument => "unknown-document", Warning;
    /// A document that is an empty list.
    EmptyDocument => "empty-document", Info;
}

impl Serialize for FindingCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_with_its_severity() {
        let table = include_str!("../../docs/findings.md");
        let documented: Vec<_> =
            table.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 5).collect();
        assert_eq!(documented.len(), FindingCode::ALL.len());
        for (code, line) in FindingCode::ALL.iter().zip(documented) {
            let severity = serde_json::to_value(code.severity()).unwrap();
            let expected = format!("| `{}` | {} |", code.as_str(), severity.as_str().unwrap());
            assert!(line.starts_with(&expected), "{expected} is not how this begins: {line}");
        }
    }
}
