//! `%` tokens, `~` and `${NAME}` in values (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).

use sha1::{Digest as _, Sha1};

/// What is known of this machine and its user.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    /// The user's name here.
    pub user: &'a str,
    /// The user's number here, as text.
    pub uid: &'a str,
    /// The home folder.
    pub home: &'a str,
    /// This machine's name.
    pub hostname: &'a str,
    /// Looks a variable of the environment up.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Local<'_> {
    /// A path with `~` and variables put in, where tokens would mean nothing.
    ///
    /// # Errors
    /// Says what can't be put in.
    pub fn path(&self, text: &str) -> Result<String, String> {
        variables(&tilde(text, self.home)?, self.env)
    }
}

/// What the tokens stand for.
pub(super) struct Tokens<'a> {
    pub(super) local: &'a Local<'a>,
    /// `%h`
    pub(super) host: &'a str,
    /// `%n`
    pub(super) original: &'a str,
    /// `%p`
    pub(super) port: u16,
    /// `%r`
    pub(super) user: &'a str,
    /// `%k`
    pub(super) alias: &'a str,
    /// `%j`
    pub(super) jumps: &'a str,
}

/// The tokens of most values.
pub(super) const ALL: &str = "%CdhijkLlnpru";
/// The tokens of `ProxyCommand`.
pub(super) const PROXY: &str = "%hknpr";
/// The tokens of a jump.
pub(super) const JUMP: &str = "%hnpr";
/// The tokens of `HostName`.
pub(super) const HOST_NAME: &str = "%h";
/// The tokens of `User`, which may not stand for itself.
pub(super) const USER: &str = "%CdhijkLlnpu";

impl Tokens<'_> {
    /// Puts in what tokens stand for; says which one has no meaning there.
    pub(super) fn percent(&self, text: &str, allowed: &str) -> Result<String, String> {
        if !text.contains('%') {
            return Ok(text.to_owned());
        }
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some(token) if allowed.contains(token) => out.push_str(&self.token(token)),
                Some(token) => return Err(format!("`%{token}` means nothing in `{text}`")),
                None => return Err(format!("`%` at the end of `{text}` means nothing: write `%%`")),
            }
        }
        Ok(out)
    }

    fn token(&self, token: char) -> String {
        let local = self.local;
        match token {
            'C' => self.hash(),
            'd' => local.home.into(),
            'h' => self.host.into(),
            'i' => local.uid.into(),
            'j' => self.jumps.into(),
            'k' => self.alias.into(),
            'L' => local.hostname.split('.').next().unwrap_or_default().into(),
            'l' => local.hostname.into(),
            'n' => self.original.into(),
            'p' => self.port.to_string(),
            'r' => self.user.into(),
            'u' => local.user.into(),
            other => other.into(),
        }
    }

    /// The hash of `%l%h%p%r%j`, in OpenSSH since 9.6.
    fn hash(&self) -> String {
        let text = format!("{}{}{}{}{}", self.local.hostname, self.host, self.port, self.user, self.jumps);
        Sha1::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same in a command for the shell. What stands in for a token there and came from elsewhere (a link, a
    /// repository's address) must be nothing but a name: as in ssh(1) since 9.6 and 10.1, of hosts and users.
    pub(super) fn command(&self, text: &str, allowed: &str) -> Result<String, String> {
        let names = [('h', self.host), ('k', self.alias), ('n', self.original), ('r', self.user)];
        for (token, name) in names {
            if text.contains(&format!("%{token}")) && !is_plain(name) {
                return Err(format!("`{name}` is no name to put into a command (`%{token}`)"));
            }
        }
        self.percent(text, allowed)
    }

    /// A path: `~`, variables and tokens.
    pub(super) fn path(&self, text: &str) -> Result<String, String> {
        self.percent(&variables(&tilde(text, self.local.home)?, self.local.env)?, ALL)
    }
}

/// Whether a shell reads it as one word with no meaning of its own.
fn is_plain(name: &str) -> bool {
    let is_special = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){}*?!#~".contains(c);
    !name.starts_with('-') && !name.contains(is_special)
}

/// A leading `~/`. Other users' homes are not looked up.
pub(super) fn tilde(text: &str, home: &str) -> Result<String, String> {
    match text.strip_prefix('~') {
        None => Ok(text.to_owned()),
        Some("") => Ok(home.to_owned()),
        Some(rest) if rest.starts_with('/') => Ok(format!("{}{rest}", home.trim_end_matches('/'))),
        Some(_) => Err(format!("the home folder in `{text}` can't be looked up: write it out")),
    }
}

/// `${NAME}`; one that is not set is an error, as nobody meant an empty text.
pub(super) fn variables(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, after) =
            behind.split_once('}').ok_or_else(|| format!("`${{` in `{text}` is never closed"))?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            return Err(format!("`${{{name}}}` names no variable"));
        }
        out.push_str(before);
        out.push_str(&env(name).ok_or_else(|| format!("the variable {name} in `{text}` is not set"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
