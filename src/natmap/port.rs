use std::{fmt, num::NonZeroU16, str::FromStr};

use serde::Serialize;
use thiserror::Error;

/// A text that is not a TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is not a port: a port is a number from 1 to 65535")]
pub struct PortError(pub(super) String);

macro_rules! port {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(NonZeroU16);

        impl $name {
            /// The port as a number, 1 to 65535.
            #[must_use]
            pub fn get(self) -> u16 {
                self.0.get()
            }
        }

        impl From<NonZeroU16> for $name {
            fn from(port: NonZeroU16) -> Self {
                Self(port)
            }
        }

        impl TryFrom<u64> for $name {
            type Error = PortError;

            fn try_from(number: u64) -> Result<Self, PortError> {
                u16::try_from(number)
                    .ok()
                    .and_then(NonZeroU16::new)
                    .map(Self)
                    .ok_or_else(|| PortError(number.to_string()))
            }
        }

        impl FromStr for $name {
            type Err = PortError;

            fn from_str(text: &str) -> Result<Self, PortError> {
                // `u16::from_str` would take "+22".
                if !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(PortError(text.into()));
                }
                text.parse().map(Self).map_err(|_| PortError(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

port! {
    /// A port on the load balancer's frontend: the one to dial.
    FrontendPort
}
port! {
    /// A port on the instance: 22 for SSH, 3389 for RDP.
    BackendPort
}

/// Where nothing translates ports, the one to dial is the instance's own.
impl From<BackendPort> for FrontendPort {
    fn from(port: BackendPort) -> Self {
        Self(port.0)
    }
}
