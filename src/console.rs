//! What a Linux instance prints on its serial console about its host keys.
//!
//! cloud-init prints them once, at an instance's first start (its module `keys_to_console`): fingerprints
//! between `BEGIN SSH HOST KEY FINGERPRINTS` and `END`, then the keys between `BEGIN SSH HOST KEY KEYS` and
//! `END`. Its tables with `ci-info:` in front list users' keys, not hosts', and are left alone, as is every
//! other line.

use thiserror::Error;

/// The host keys of the last first start in a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsoleKeys {
    /// Keys as lines: type, base 64, comment.
    pub keys: Vec<String>,
    /// Fingerprints: `SHA256:...`.
    pub fingerprints: Vec<String>,
}

/// Why a log tells no keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsoleError {
    /// There is no block of them.
    #[error("the console's log tells no host keys")]
    None,
    /// The last block has no end: taken while it was being written, or cut off.
    #[error("the console's log ends in the middle of the host keys")]
    Cut,
}

const KEYS: &str = "SSH HOST KEY KEYS";
const FINGERPRINTS: &str = "SSH HOST KEY FINGERPRINTS";

/// Where a line's own text begins: behind carriage returns, terminal sequences, and what a logger puts in
/// front (`<14>Nov 25 11:00:00 cloud-init: `, `ec2: `).
fn marker(line: &str) -> Option<(&str, &str)> {
    let (_, behind) = line.split_once("-----")?;
    let (name, _) = behind.split_once("-----")?;
    name.split_once(' ')
}

#[derive(Debug, Default)]
struct Blocks {
    /// The last complete ones.
    last: ConsoleKeys,
    open: Option<(bool, Vec<String>)>,
}

/// Reads a log.
///
/// # Errors
/// When it tells none, or only the beginning of them.
pub fn host_keys(log: &str) -> Result<ConsoleKeys, ConsoleError> {
    let mut blocks = Blocks::default();
    for line in log.lines() {
        match marker(line) {
            Some(("BEGIN", KEYS)) => {
                if !blocks.last.keys.is_empty() {
                    // A later start that prints no fingerprints: those before are not its own.
                    blocks.last = ConsoleKeys::default();
                }
                blocks.open = Some((true, Vec::new()));
            }
            Some(("BEGIN", FINGERPRINTS)) => {
                // A later start: keys from before are another life's.
                blocks.last = ConsoleKeys::default();
                blocks.open = Some((false, Vec::new()));
            }
            Some(("END", KEYS | FINGERPRINTS)) => match blocks.open.take() {
                Some((true, keys)) => blocks.last.keys = keys,
                Some((false, fingerprints)) => blocks.last.fingerprints = fingerprints,
                None => {}
            },
            _ => match &mut blocks.open {
                Some((true, keys)) => keys.extend(key(line)),
                Some((false, fingerprints)) => fingerprints.extend(fingerprint(line)),
                None => {}
            },
        }
    }
    match blocks {
        Blocks { open: Some(_), .. } => Err(ConsoleError::Cut),
        Blocks { last, .. } if last == ConsoleKeys::default() => Err(ConsoleError::None),
        Blocks { last, .. } => Ok(last),
    }
}

/// The key on a line, from its type on.
fn key(line: &str) -> Option<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let is_type = |word: &&str| word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-");
    let at = words.iter().position(is_type)?;
    // What stands in front is a logger's; what stands behind is the comment.
    words.get(at..at + 2).map(|pair| pair.join(" "))
}

/// The fingerprint on a line: 43 characters of base 64 behind the name of the hash.
fn fingerprint(line: &str) -> Option<String> {
    let is_fingerprint = |word: &&str| word.strip_prefix("SHA256:").is_some_and(|rest| rest.len() == 43);
    line.split_whitespace().find(is_fingerprint).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Ubuntu's cloud-init prints it, with a kernel message in between.
    fn log(tag: &str) -> String {
        let fingerprint = format!("SHA256:{}", tag.repeat(43));
        format!(
            "[   12.1] cloud-init[790]: Generating public/private rsa key pair.\r\n\
             ci-info: +++Authorized keys from /home/azureuser/.ssh/authorized_keys for user azureuser+++\r\n\
             ci-info: | ssh-rsa | SHA256:{user} | - | me@laptop |\r\n\
             <14>Nov 25 11:00:00 cloud-init: ######################################\r\n\
             <14>Nov 25 11:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n\
             <14>Nov 25 11:00:00 cloud-init: 256 {fingerprint} root@web000003 (ED25519)\r\n\
             [   13.0] hv_balloon: Max. dynamic memory size: 8192 MB\r\n\
             <14>Nov 25 11:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r\n\
             -----BEGIN SSH HOST KEY KEYS-----\r\n\
             ssh-ed25519 AAAA{tag} root@web000003\r\n\
             -----END SSH HOST KEY KEYS-----\r\n\
             web000003 login: \r\n",
            user = "u".repeat(43)
        )
    }

    #[test]
    fn the_last_start_counts_and_users_keys_do_not() {
        let keys = host_keys(&format!("{}{}", log("A"), log("B"))).unwrap();
        assert_eq!(keys.keys, ["ssh-ed25519 AAAAB"]);
        assert_eq!(keys.fingerprints, [format!("SHA256:{}", "B".repeat(43))]);
        // A later start that prints no keys says that the earlier ones are not its own.
        let later = log("B");
        let later = &later[..later.find("-----BEGIN SSH HOST KEY KEYS").unwrap()];
        assert!(host_keys(&format!("{}{later}", log("A"))).unwrap().keys.is_empty());
    }

    #[test]
    fn noise_and_halves_are_no_keys() {
        assert_eq!(host_keys("login: \n-----END SSH HOST KEY KEYS-----\n"), Err(ConsoleError::None));
        let log = log("A");
        let half = &log[..log.find("-----END SSH HOST KEY KEYS").unwrap()];
        assert_eq!(host_keys(half), Err(ConsoleError::Cut));
        assert_eq!(host_keys(&format!("{log}{half}")), Err(ConsoleError::Cut));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "(-----|BEGIN |END |SSH HOST KEY (KEYS|FINGERPRINTS)|ssh-|SHA256:|\\PC|\n){0,60}") {
            let _ = host_keys(&text);
        }
    }
}
