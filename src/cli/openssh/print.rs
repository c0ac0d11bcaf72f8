//! `-G`: the options that would be used, a line for each, keywords in lower case.

use std::collections::HashSet;

use crate::{clean::clean_line, openssh_config::HostConfig};

/// What holds where nothing is said, as ssh_config(5) documents it: programs and scripts that ask look for these.
const DEFAULTS: [(&str, &str); 18] = [
    ("AddressFamily", "any"),
    ("BatchMode", "no"),
    ("ClearAllForwardings", "no"),
    ("ExitOnForwardFailure", "no"),
    ("ForkAfterAuthentication", "no"),
    ("GatewayPorts", "no"),
    ("HashKnownHosts", "no"),
    ("PasswordAuthentication", "yes"),
    ("KbdInteractiveAuthentication", "yes"),
    ("PermitLocalCommand", "no"),
    ("PubkeyAuthentication", "true"),
    ("RequestTTY", "auto"),
    ("SessionType", "default"),
    ("StdinNull", "no"),
    ("ForwardAgent", "no"),
    ("EscapeChar", "~"),
    ("NumberOfPasswordPrompts", "3"),
    ("LogLevel", "INFO"),
];

/// The lines, what vmssh makes of the options before what is only written in them.
pub(super) fn lines(typed: &str, host: &HostConfig, planned: Vec<(&'static str, String)>) -> String {
    let mut lines = vec![
        ("Host", typed.to_owned()),
        ("HostName", host.host.clone()),
        ("Port", host.port.unwrap_or(22).to_string()),
    ];
    lines.extend(planned);
    let ours: HashSet<_> = lines.iter().map(|(name, _)| *name).collect();
    lines.extend(host.lines().into_iter().filter(|(name, _)| !ours.contains(name)));
    let said: HashSet<_> = lines.iter().map(|(name, _)| *name).collect();
    let rest = DEFAULTS.iter().filter(|(name, _)| !said.contains(name));
    lines.extend(rest.map(|(name, value)| (*name, (*value).to_owned())));
    // In one order, whatever said them: what was printed is read again and printed the same. The first line names the
    // host.
    if let Some((_, rest)) = lines.split_first_mut() {
        rest.sort_by_key(|(name, _)| name.to_lowercase());
    }
    lines.iter().map(|(name, value)| format!("{} {}\n", name.to_lowercase(), clean_line(value))).collect()
}
