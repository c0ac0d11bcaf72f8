//! What goes wrong with files on an instance, in words.

use super::wire::Malformed;
use crate::{
    event::{Failure, Stage},
    ssh::greeting::quote,
};

/// Why something asked of an SFTP server was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SftpError {
    /// There is no such file or folder.
    Missing,
    /// The user may not.
    Denied,
    /// The server says no: its words, cleaned, and what to do where that is known.
    Refused(String, Option<&'static str>),
    /// The session as a whole has ended, or can't be trusted any more.
    Ended(Failure),
}

/// Status codes of the draft's section 7.
const NO_SUCH_FILE: u32 = 2;
const PERMISSION_DENIED: u32 = 3;
const FAILURE: u32 = 4;
const BAD_MESSAGE: u32 = 5;
const NOT_SUPPORTED: u32 = 8;

impl SftpError {
    pub(super) fn status(code: u32, message: &[u8]) -> Self {
        match code {
            NO_SUCH_FILE => Self::Missing,
            PERMISSION_DENIED => Self::Denied,
            // OpenSSH says nothing more of a full disk, a name that is too long and twenty other things.
            FAILURE => Self::Refused(
                "the instance's system refused it without a reason".into(),
                Some(
                    "a full disk says no more than this, nor does a name that is too long or a file that is in the \
                     way: look there with `df -h` and `ls -ld`",
                ),
            ),
            NOT_SUPPORTED => Self::Refused("the server can't do that".into(), None),
            BAD_MESSAGE => Self::Refused("the server took the request for a wrong one".into(), None),
            _ => Self::Refused(quote(&String::from_utf8_lossy(message)), None),
        }
    }

    /// A server that does not keep to the protocol.
    pub(super) fn confused(what: &str) -> Self {
        Self::Ended(
            Failure::new(Stage::Copy, format!("the server's SFTP can't be understood: {what}"))
                .with_hint("is what answers there really sshd's sftp-server? compare with `sftp`"),
        )
    }

    /// The same as what became of a file.
    #[must_use]
    pub fn failure(self, path: &[u8]) -> Failure {
        let path = quote(&String::from_utf8_lossy(path));
        match self {
            Self::Missing => Failure::new(Stage::Copy, format!("no such file or folder there: {path}"))
                .with_hint("look what is there: `vmssh exec TARGET -- ls -l FOLDER`"),
            Self::Denied => Failure::new(Stage::Copy, format!("permission denied there: {path}")).with_hint(
                "this user may not: copy to its home folder, then move it with `vmssh exec TARGET -- sudo mv ...`",
            ),
            Self::Refused(why, hint) => {
                let failure = Failure::new(Stage::Copy, format!("{why}: {path}"));
                match hint {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            }
            Self::Ended(failure) => failure,
        }
    }
}

impl From<Malformed> for SftpError {
    fn from(_: Malformed) -> Self {
        Self::confused("a packet is malformed")
    }
}
