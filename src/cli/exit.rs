use std::process::ExitCode;

/// How the program ends. The numbers are part of the interface (README, "Exit status").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All well.
    Ok,
    /// Some instance failed or is unreachable.
    SomeFailed,
    /// The arguments are wrong.
    Usage,
    /// The target could not be resolved.
    Target,
    /// Refused for safety.
    Refused,
    /// Interrupted by the user.
    Interrupted,
    /// The remote command's own status, or 255 where the session itself failed.
    Remote(u8),
}

impl Exit {
    /// `ssh`'s own status for failures of the session.
    pub(super) const SESSION: Self = Self::Remote(255);

    /// The number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Target => 3,
            Self::Refused => 4,
            // 128 + SIGINT, as a shell says it.
            Self::Interrupted => 130,
            Self::Remote(status) => status,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
