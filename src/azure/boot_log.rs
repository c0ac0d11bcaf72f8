//! An instance's serial console, as Azure's boot diagnostics keep it.
//!
//! Azure answers with the address of a blob that lets anybody read it for a while (a SAS URL): a secret. It
//! is asked without a token, and is in no error and no log.

use reqwest::Url;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    arm::{Arm, ArmError},
    cloud::is_loopback,
    live::COMPUTE,
    transport::{self, Trouble},
};
use crate::{clean::clean_line, resource::ResourceId};

/// The longest log, in bytes: Azure keeps a few MB of a console.
const LONGEST: usize = 16 << 20;

/// Why there is no log.
#[derive(Debug, Error)]
pub enum BootLogError {
    /// Azure does not tell where it is.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// Boot diagnostics are off, or the instance has not printed anything.
    #[error("Azure has no console log of {0}")]
    None(String),
    /// The log is at an address that is not asked.
    #[error("the console log of {0} is at an address that is no https one")]
    Address(String),
    /// The storage does not give it.
    #[error("the console log of {what} can't be read: the storage answers {status}")]
    Refused {
        /// Whose.
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// The network does not let it through.
    #[error("the console log of {what} can't be read: {problem}")]
    Network {
        /// Whose.
        what: String,
        /// The innermost cause.
        problem: String,
        /// What kind.
        trouble: Trouble,
    },
    /// It is longer than any console's.
    #[error("the console log of {0} is longer than 16 MiB")]
    TooLong(String),
}

impl BootLogError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Arm(error) => error.hint(),
            Self::None(_) => Some(
                "switch boot diagnostics on (`az vmss update -g GROUP -n NAME --set \
                 virtualMachineProfile.diagnosticsProfile.bootDiagnostics.enabled=true`), or give a log that you have \
                 with `--from-console-log FILE`"
                    .into(),
            ),
            Self::Network { trouble, .. } => Some(trouble.hint().into()),
            _ => Some("take it from the portal (Boot diagnostics, Serial log) and give it with `--from-console-log FILE`".into()),
        }
    }
}

/// The log of an instance (`.../virtualMachineScaleSets/S/virtualMachines/3`, or a virtual machine of a Flexible
/// set). `what` names it for people.
///
/// # Errors
/// When Azure does not give it, or it is not what it should be.
pub async fn read(arm: &Arm, machine: &ResourceId, what: &str) -> Result<Vec<u8>, BootLogError> {
    let path = format!("{machine}/retrieveBootDiagnosticsData");
    let answer = arm.post(&format!("the console log of {what}"), &path, COMPUTE, &json!({})).await?;
    let name = || clean_line(what);
    let link = answer.get("serialConsoleLogBlobUri").and_then(Value::as_str);
    let link = link.filter(|link| !link.is_empty()).ok_or_else(|| BootLogError::None(name()))?;
    let url = Url::parse(link).map_err(|_| BootLogError::Address(name()))?;
    // A stand-in on this machine may name one on this machine.
    let is_local = url.scheme() == "http" && is_loopback(&url) && arm.service().is_local();
    if url.scheme() != "https" && !is_local {
        return Err(BootLogError::Address(name()));
    }
    let network = |error: reqwest::Error| {
        let error = error.without_url();
        let problem = clean_line(&transport::innermost(&error));
        BootLogError::Network { what: name(), problem, trouble: transport::trouble(&error) }
    };
    let limits = super::arm::Limits::default();
    let http = transport::client(limits.connect, limits.request, is_local).map_err(network)?;
    let mut response = http.get(url).send().await.map_err(network)?;
    if !response.status().is_success() {
        return Err(BootLogError::Refused { what: name(), status: response.status().as_u16() });
    }
    let mut log = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        if log.len() + chunk.len() > LONGEST {
            return Err(BootLogError::TooLong(name()));
        }
        log.extend_from_slice(&chunk);
    }
    Ok(log)
}
