//! What a server's first bytes say where they are no SSH identification line.
//!
//! Plain rules over bytes that somebody else wrote.

use crate::clean;

/// How many of the first bytes are kept: the two longest refusals of sshd and a status line of HTTP
/// fit several times.
pub(super) const KEPT: usize = 512;

/// As much of a stranger's text as is quoted in a message.
const QUOTED: usize = 80;

/// True once an identification line of SSH 2 has begun (RFC 4253 section 4.2; lines may precede it).
pub(super) fn is_ssh(first: &[u8]) -> bool {
    first.split(|b| *b == b'\n').any(|line| line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-"))
}

/// The identification line, fit to be shown.
pub(super) fn identification(first: &[u8]) -> String {
    let line = first.split(|b| *b == b'\n').find(|line| line.starts_with(b"SSH-"));
    quote(&String::from_utf8_lossy(line.unwrap_or_default()))
}

/// Why there was no identification line: what happened and what to do.
pub(super) fn explain(first: &[u8]) -> (String, &'static str) {
    let text = String::from_utf8_lossy(first);
    let line = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    if first.is_empty() {
        return (
            "the connection was closed before an identification line".into(),
            "sshd is starting, stopping or has too many sign-ins going on (MaxStartups): try again, fewer at once with -P",
        );
    }
    if line.starts_with("Not allowed at this time") {
        return (
            format!("sshd refuses this address for a while (\"{}\")", quote(line)),
            "too many connections without a sign-in came from here (PerSourcePenalties): wait some minutes, or exempt the address with PerSourcePenaltyExemptList in sshd_config",
        );
    }
    if line.starts_with("Exceeded MaxStartups") {
        return (
            format!("sshd has too many sign-ins going on (\"{}\")", quote(line)),
            "fewer at once with -P, or raise MaxStartups in sshd_config",
        );
    }
    let hint = "check which service is behind this port with `vmssh map`; SSH wants --backend-port 22";
    let message = match first {
        [b'H', b'T', b'T', b'P', b'/', ..] | [b'<', ..] => {
            format!("an HTTP server answers, not SSH (\"{}\")", quote(line))
        }
        // A TPKT header (RFC 1006): what a Remote Desktop server sends.
        [3, 0, ..] => "a Remote Desktop server answers, not SSH".into(),
        // A TLS alert record (RFC 8446 section 5.1).
        [0x15, 3, ..] => "a TLS server answers, not SSH".into(),
        _ if line.starts_with("SSH-") => format!("the server speaks another SSH (\"{}\")", quote(line)),
        _ => format!("the server's first line is no SSH identification (\"{}\")", quote(line)),
    };
    (message, hint)
}

/// A stranger's text, fit to be shown inside a message.
pub(super) fn quote(text: &str) -> String {
    let cleaned = clean::clean_line(text);
    match cleaned.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", cleaned.get(..end).unwrap_or_default()),
        None => cleaned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identification_line_may_follow_others() {
        assert!(is_ssh(b"SSH-2.0-OpenSSH_9.2\r\n"));
        assert!(is_ssh(b"welcome\r\nSSH-1.99-x"));
        assert!(!is_ssh(b"SSH-1.5-old\r\n"));
        assert!(!is_ssh(b"not SSH-2.0-x"));
    }

    #[test]
    fn strangers_are_named() {
        let message = |first: &[u8]| explain(first).0;
        assert_eq!(message(b""), "the connection was closed before an identification line");
        assert_eq!(
            message(b"Not allowed at this time\r\n"),
            "sshd refuses this address for a while (\"Not allowed at this time\")"
        );
        assert_eq!(
            message(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"),
            "an HTTP server answers, not SSH (\"HTTP/1.1 400 Bad Request\")"
        );
        assert_eq!(message(b"\x03\x00\x00\x13\x0e\xd0"), "a Remote Desktop server answers, not SSH");
        assert_eq!(message(b"SSH-1.5-x\n"), "the server speaks another SSH (\"SSH-1.5-x\")");
        let long = message(&[b'x'; 500]);
        assert!(long.ends_with("xxx...\")") && long.len() < 160, "{long}");
        assert!(!message(b"\x1b]0;owned\x07\r\n").contains('\x1b'));
    }
}
