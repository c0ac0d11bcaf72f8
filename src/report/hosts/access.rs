use std::path::Path;

use thiserror::Error;

use crate::clean::is_steering;

/// How to sign in to all hosts, and where their keys are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Whom to sign in as; `None` leaves it to the program that is configured.
    pub user: Option<ConfigUser>,
    /// Private keys. Where there are some, no others are to be offered: an agent with six would use up all
    /// attempts that a server allows before it comes to them.
    pub identities: Vec<ConfigPath>,
    /// Files of known host keys; the first gets new ones.
    pub known_hosts: Vec<ConfigPath>,
}

/// A text that can't be written into a configuration in such a way that every reader takes it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} \"{text}\" can't be written into a configuration: {problem}")]
pub struct Unfit {
    what: &'static str,
    text: String,
    problem: &'static str,
}

/// The name of a user on the instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigUser(String);

impl ConfigUser {
    /// Takes a name of letters, digits and `. _ - @ + \`: also `jonw@example.com` and `DOMAIN\jonw`.
    ///
    /// # Errors
    /// For anything else: OpenSSH refuses or expands most of it, differently from version to version.
    pub fn new(name: &str) -> Result<Self, Unfit> {
        let unfit = |problem| Err(Unfit { what: "the user name", text: name.into(), problem });
        if name.is_empty() || name.starts_with('-') {
            return unfit("it is empty or looks like an option");
        }
        // A backslash before another one or at the end would quote.
        let quotes = name.ends_with('\\') || name.contains("\\\\");
        if quotes || !name.chars().all(|c| c.is_alphanumeric() || "._-@+\\".contains(c)) {
            return unfit("a user name has letters, digits and . _ - @ + only");
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The absolute path of a file, fit for OpenSSH's configuration and Ansible's variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigPath(String);

impl ConfigPath {
    /// Takes an absolute path.
    ///
    /// # Errors
    /// When it is relative or no UTF-8, or has something that can't be quoted for all readers: a double quote,
    /// a backslash (a quote of OpenSSH 8.7 and later only), `${` (OpenSSH's variables), `{{`, `{%` or `{#`
    /// (Ansible's templates), or characters that print nothing.
    pub fn new(path: &Path) -> Result<Self, Unfit> {
        let unfit = |problem| Err(Unfit { what: "the path", text: path.display().to_string(), problem });
        let Some(text) = path.to_str() else { return unfit("it is not UTF-8") };
        // OpenSSH for Windows takes both.
        let text = if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
        if !path.is_absolute() {
            return unfit("it is not absolute");
        }
        if text.contains(['"', '\\']) {
            return unfit("it has a double quote or a backslash");
        }
        if ["${", "{{", "{%", "{#"].iter().any(|start| text.contains(start)) {
            return unfit("it has \"${\", \"{{\", \"{%\" or \"{#\", which would be replaced");
        }
        if text.chars().any(|c| c.is_control() || is_steering(c)) {
            return unfit("it has characters that print nothing");
        }
        Ok(Self(text))
    }

    /// The path as OpenSSH expands it back: `%` doubled (ssh_config(5), TOKENS).
    #[must_use]
    pub fn escaped(&self) -> String {
        self.0.replace('%', "%%")
    }

    /// The same in double quotes, as one word of a configuration's line.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.escaped())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_plain_or_refused() {
        for good in ["azureuser", "jonw@example.com", "DOM\\jonw", "a.b-c_d+e", "müller"] {
            assert_eq!(ConfigUser::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a\nProxyCommand x",
            "a\"b",
            "a'b",
            "a#b",
            "%r",
            "${HOME}",
            "a\\\\b",
            "a\\",
            "{{ x }}",
            "a\u{202e}",
            "a\0",
            "a:b",
            "a/b",
            "a,b",
            "*",
        ] {
            assert!(ConfigUser::new(bad).is_err(), "{bad:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_quoted_or_refused() {
        let quoted = |path: &str| ConfigPath::new(Path::new(path)).map(|path| path.quoted());
        assert_eq!(quoted("/home/a b/it's #1, 100%{}").unwrap(), "\"/home/a b/it's #1, 100%%{}\"");
        for bad in
            ["key", "~/.ssh/id", "/a\"b", "/a\\b", "/${X}", "/{{x}}", "/{%x", "/{#", "/a\nb", "/\u{200b}"]
        {
            assert!(quoted(bad).is_err(), "{bad:?}");
        }
        let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"/a\xff");
        assert!(ConfigPath::new(Path::new(bytes)).unwrap_err().to_string().ends_with("it is not UTF-8"));
    }
}
