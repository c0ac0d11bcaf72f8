//! Ways to prove who one is (RFC 4252).

use russh::MethodKind;

/// A method of signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Keys and certificates.
    PublicKey,
    /// Questions that the server asks (RFC 4256): a password through PAM, a code.
    KeyboardInteractive,
    /// A password.
    Password,
}

impl Method {
    /// OpenSSH's order (ssh_config(5), PreferredAuthentications), of those that there are here.
    pub const DEFAULT: [Self; 3] = [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    /// The method that the protocol calls so; `None` for those that are absent here (`gssapi-with-mic`,
    /// `hostbased`, `none`) and for unknown ones.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::DEFAULT.into_iter().find(|method| method.name() == name)
    }

    /// What the protocol calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        (&self.kind()).into()
    }

    pub(super) fn kind(self) -> MethodKind {
        match self {
            Self::PublicKey => MethodKind::PublicKey,
            Self::KeyboardInteractive => MethodKind::KeyboardInteractive,
            Self::Password => MethodKind::Password,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_called_as_the_protocol_has_them() {
        for method in Method::DEFAULT {
            assert_eq!(Method::from_name(method.name()), Some(method));
        }
        assert_eq!(Method::from_name("gssapi-with-mic"), None);
    }
}
