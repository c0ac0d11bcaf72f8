//! One error for the whole command line: what failed, why, and what to do; the kind decides the
//! exit status.

use std::{error::Error as StdError, io};

use super::exit::Exit;
use crate::{
    azure::{
        arm::ArmError,
        cloud::ServiceError,
        live::LiveError,
        profile::ProfileError,
        saved::{Problem, SavedError},
    },
    event::Failure,
    lab::LabError,
    natmap::SelectError,
    resolver::ResolveError,
    script::CommandError,
    ssh::ClientError,
};

/// What a terminal that has gone away gives, by the same number on every Unix.
const EIO: i32 = 5;

/// What kind of failure, for the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Usage,
    Target,
    Refused,
    /// The SSH session itself.
    Session,
    Other,
    Interrupted,
    /// Whoever read our output has gone: an end, not an error.
    ClosedPipe,
}

/// An error as the user sees it.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) causes: Vec<String>,
    pub(super) hints: Vec<String>,
}

impl Error {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// The message of an error and, apart, those of its causes.
    pub(super) fn from_chain(kind: Kind, error: &dyn StdError) -> Self {
        Self::new(kind, error.to_string()).caused_by(error.source())
    }

    /// Adds the messages of an error and its causes.
    pub(super) fn caused_by(mut self, error: Option<&dyn StdError>) -> Self {
        let mut next = error;
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some libraries repeat their cause in their own message.
            if !self.message.contains(&text) && self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a hint where there is one.
    pub(super) fn hints(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
    }

    pub(super) fn exit(&self) -> Exit {
        match self.kind {
            Kind::Usage => Exit::Usage,
            Kind::Target => Exit::Target,
            Kind::Refused => Exit::Refused,
            Kind::Session => Exit::SESSION,
            Kind::Other => Exit::SomeFailed,
            Kind::Interrupted => Exit::Interrupted,
            Kind::ClosedPipe => Exit::Ok,
        }
    }

    /// Writing our own output failed.
    pub(super) fn output(error: &io::Error) -> Self {
        let terminal_gone = cfg!(unix) && error.raw_os_error() == Some(EIO);
        if error.kind() == io::ErrorKind::BrokenPipe || terminal_gone {
            return Self::new(Kind::ClosedPipe, "the output was closed");
        }
        Self::new(Kind::Other, "can't write the output").caused_by(Some(error))
    }

    /// The user stopped us.
    pub(super) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        Self::from_chain(Kind::Usage, &error).hint("put the command behind `--`: `... -- uptime`")
    }
}

impl From<SelectError> for Error {
    fn from(error: SelectError) -> Self {
        let kind = if let SelectError::NoSuchInstance { .. } = error { Kind::Usage } else { Kind::Target };
        let hint = match &error {
            SelectError::NoSuchInstance { .. } => "see them all with `vmssh map TARGET`",
            SelectError::OnlyPossible(_) => {
                "save the real list and use it: `az vmss list-instance-connection-info -g GROUP -n NAME > ports.json`, then `@ports.json`"
            }
            SelectError::NoWayIn(_) => "`vmssh map TARGET` says why, and what mends it",
            SelectError::Nothing => "see what the target has with `vmssh map TARGET`",
            SelectError::NoSuchBackendPort { .. } => "choose one with `--backend-port`",
            SelectError::NoAddress => "give it with `--address`; `vmssh map TARGET` says where to look it up",
        };
        Self::from_chain(kind, &error).hint(hint)
    }
}

impl From<SavedError> for Error {
    fn from(error: SavedError) -> Self {
        let hint = match &error.problem {
            Problem::Read(_) | Problem::EmptyFolder | Problem::TooMany => {
                "give the path of what `az ... > FILE` wrote, or of a folder of such files, as `@PATH`"
            }
            Problem::Empty => "did az fail? run it again and look",
            Problem::NotJson(_) => "let az print JSON (`-o json`), and save it whole",
            Problem::TooLong | Problem::NotText | Problem::Unknown(_) | Problem::Value(_) => {
                "vmssh reads what these print: `az vmss show`, `az vmss list-instances`, `az vmss nic list`, \
                 `az network lb show`, `az network public-ip show`, `az vmss list-instance-connection-info` and their kin"
            }
        };
        Self::new(Kind::Target, error.to_string()).hint(hint)
    }
}

impl From<LiveError> for Error {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Arm(error) => error.into(),
            LiveError::Document { .. } => Self::from_chain(Kind::Target, &error).hint(
                "look at what az gets: `az vmss show`, `az network lb show`; saved, `@FILE` takes it as well",
            ),
        }
    }
}

impl From<ResolveError> for Error {
    fn from(error: ResolveError) -> Self {
        let hint = match &error {
            ResolveError::SeveralScaleSets(_) => {
                "choose one with `--scale-set NAME`, or `--scale-set GROUP/NAME` where names repeat"
            }
            ResolveError::NoSuchScaleSet { .. } => {
                "save its model too: `az vmss show -g GROUP -n NAME > set.json`"
            }
            ResolveError::NothingToMap(_) => {
                "save the load balancer and the scale set too: `az network lb show -g GROUP -n NAME > lb.json`, \
                 `az vmss show -g GROUP -n NAME > set.json`"
            }
        };
        Self::from_chain(Kind::Target, &error).hint(hint)
    }
}

impl From<ArmError> for Error {
    fn from(error: ArmError) -> Self {
        let hint = error.hint();
        Self::from_chain(Kind::Target, &error).hints(hint)
    }
}

impl From<ProfileError> for Error {
    fn from(error: ProfileError) -> Self {
        Self::from_chain(Kind::Target, &error).hint(error.hint())
    }
}

impl From<ServiceError> for Error {
    fn from(error: ServiceError) -> Self {
        Self::from_chain(Kind::Target, &error).hint(error.hint())
    }
}

impl From<LabError> for Error {
    fn from(error: LabError) -> Self {
        let kind = match error {
            LabError::Instances(_) | LabError::NoSuchInstance { .. } | LabError::BasePort { .. } => {
                Kind::Usage
            }
            _ => Kind::Target,
        };
        let hint = error.hint();
        Self::from_chain(kind, &error).hints(hint)
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let kind = if error.is_refusal() { Kind::Refused } else { Kind::Usage };
        let hint = error.hint();
        Self::from_chain(kind, &error).hints(hint)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(Kind::Session, failure.to_string()).hints(failure.hint)
    }
}
