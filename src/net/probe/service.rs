//! What a service says when it is connected to: enough of two protocols to know one when it speaks.

use std::time::Duration;

use crate::event::ServiceOutcome;

/// What is expected behind the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// An SSH server: says its identification line unasked (RFC 4253 section 4.2).
    Ssh,
    /// A remote desktop: confirms a connection request ([MS-RDPBCGR] 2.2.1.1 and 2.2.1.2).
    Rdp,
}

/// A connection request that offers TLS, `CredSSP` and RDSTLS, without a cookie: TPKT (RFC 1006), X.224
/// connection request, `RDP_NEG_REQ`.
const RDP_REQUEST: [u8; 19] = [
    3, 0, 0, 19, // TPKT: version, reserved, length
    14, 0xe0, 0, 0, 0, 0, 0, // X.224: length of the rest, CR, destination, source, class 0
    1, 0, 8, 0, 0b0111, 0, 0, 0, // RDP_NEG_REQ: type, flags, length, protocols
];

/// What a server may say before its identification line, and how much of a line is kept: RFC 4253 allows
/// such lines and gives the identification 255 bytes; more than this is no server to wait for.
const MOST: usize = 4096;
const LINE: usize = 255;

impl Service {
    /// What to send first; empty where the service speaks unasked.
    pub(super) fn question(self) -> &'static [u8] {
        match self {
            Self::Ssh => &[],
            Self::Rdp => &RDP_REQUEST,
        }
    }

    /// What so many bytes of it mean; `None` where more must come.
    fn read(self, bytes: &[u8]) -> Option<Said> {
        match self {
            Self::Ssh => identification(bytes),
            Self::Rdp => confirmation(bytes),
        }
    }
}

/// What bytes turned out to be.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Right(String),
    Wrong(String),
}

/// What one service has said so far.
#[derive(Debug)]
pub(super) struct Conversation {
    service: Service,
    bytes: Vec<u8>,
}

impl Conversation {
    pub(super) fn new(service: Service) -> Self {
        Self { service, bytes: Vec::new() }
    }

    /// The service said more; `None` while that does not say who it is.
    pub(super) fn heard(&mut self, bytes: &[u8], after: Duration) -> Option<ServiceOutcome> {
        self.bytes.extend_from_slice(bytes);
        match self.service.read(&self.bytes) {
            Some(Said::Right(said)) => Some(ServiceOutcome::Answered { after, said }),
            Some(Said::Wrong(said)) => Some(ServiceOutcome::Foreign { after, said }),
            None if self.bytes.len() > MOST => Some(self.foreign(after)),
            None => None,
        }
    }

    /// The service closed the connection.
    pub(super) fn ended(&self, after: Duration) -> ServiceOutcome {
        if self.bytes.is_empty() { ServiceOutcome::Closed { after } } else { self.foreign(after) }
    }

    /// The service's time is up.
    pub(super) fn timed_out(&self, after: Duration) -> ServiceOutcome {
        if self.bytes.is_empty() { ServiceOutcome::Silent } else { self.foreign(after) }
    }

    fn foreign(&self, after: Duration) -> ServiceOutcome {
        ServiceOutcome::Foreign { after, said: first_line(&self.bytes) }
    }
}

/// The identification line, which other lines may come before.
fn identification(bytes: &[u8]) -> Option<Said> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.find(|line| line.starts_with(b"SSH-")).map(|line| Said::Right(first_line(line)))
}

/// The connection confirm and what it says about security.
fn confirmation(bytes: &[u8]) -> Option<Said> {
    if bytes.first().is_some_and(|version| *version != 3) {
        return Some(Said::Wrong(first_line(bytes)));
    }
    let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let packet = bytes.get(..length)?;
    // Code of the X.224 packet in its upper half.
    if packet.get(5).is_none_or(|code| code & 0xf0 != 0xd0) {
        return Some(Said::Wrong("not a remote desktop's answer".into()));
    }
    let negotiation = packet.get(11..19).and_then(|part| <[u8; 8]>::try_from(part).ok());
    Some(Said::Right(match negotiation {
        Some([2, _, _, _, number @ ..]) => format!("RDP, {}", protocol(u32::from_le_bytes(number))),
        Some([3, _, _, _, number @ ..]) => format!("RDP, {}", refusal(u32::from_le_bytes(number))),
        _ => format!("RDP, {}", protocol(0)),
    }))
}

/// [MS-RDPBCGR] 2.2.1.2.1, `selectedProtocol`.
fn protocol(number: u32) -> String {
    match number {
        0 => "standard security".into(),
        1 => "TLS".into(),
        2 => "CredSSP".into(),
        4 => "RDSTLS".into(),
        8 => "CredSSP with early user authorization".into(),
        other => format!("security protocol {other}"),
    }
}

/// [MS-RDPBCGR] 2.2.1.2.2, `failureCode`.
fn refusal(number: u32) -> String {
    match number {
        1 => "TLS required".into(),
        2 => "TLS not allowed".into(),
        3 => "no certificate on the server".into(),
        4 => "inconsistent flags".into(),
        5 => "CredSSP required".into(),
        6 => "TLS with user authentication required".into(),
        other => format!("negotiation failed with {other}"),
    }
}

/// Up to the end of the line, without it, cut off where it is long.
fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line.get(..LINE).unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AFTER: Duration = Duration::from_millis(5);

    /// The outcome of what is said piece by piece and then closed, and after how many pieces it was known.
    fn converse(service: Service, pieces: &[&[u8]]) -> (ServiceOutcome, usize) {
        let mut conversation = Conversation::new(service);
        for (place, piece) in pieces.iter().enumerate() {
            if let Some(outcome) = conversation.heard(piece, AFTER) {
                return (outcome, place + 1);
            }
        }
        (conversation.ended(AFTER), pieces.len())
    }

    fn answered(said: &str) -> ServiceOutcome {
        ServiceOutcome::Answered { after: AFTER, said: said.into() }
    }

    fn foreign(said: &str) -> ServiceOutcome {
        ServiceOutcome::Foreign { after: AFTER, said: said.into() }
    }

    #[test]
    fn an_identification_line_is_known_whole_after_other_lines_and_in_pieces() {
        let ssh = |pieces: &[&[u8]]| converse(Service::Ssh, pieces);
        assert_eq!(ssh(&[b"SSH-2.0-OpenSSH_9.2\r\n"]), (answered("SSH-2.0-OpenSSH_9.2"), 1));
        assert_eq!(ssh(&[b"SSH-2.0-O", b"penSSH", b"\r", b"\n"]), (answered("SSH-2.0-OpenSSH"), 4));
        assert_eq!(ssh(&[b"hello\r\nSSH-2.0-x\n more"]), (answered("SSH-2.0-x"), 1));
    }

    #[test]
    fn what_is_said_instead_is_kept() {
        let ssh = |pieces: &[&[u8]]| converse(Service::Ssh, pieces).0;
        assert_eq!(ssh(&[b"Not allowed at this time\r\n"]), foreign("Not allowed at this time"));
        assert_eq!(ssh(&[b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"]), foreign("HTTP/1.1 400 Bad Request"));
        assert_eq!(ssh(&[b"SSH-2.0-cut off"]), foreign("SSH-2.0-cut off"));
        assert_eq!(ssh(&[]), ServiceOutcome::Closed { after: AFTER });
        assert_eq!(ssh(&[&[b'x'; 5000]]), foreign(&"x".repeat(255)));
        assert_eq!(Conversation::new(Service::Ssh).timed_out(AFTER), ServiceOutcome::Silent);
    }

    #[test]
    fn a_remote_desktop_says_which_security_it_chose() {
        let rdp = |pieces: &[&[u8]]| converse(Service::Rdp, pieces);
        let confirm =
            |kind, number| [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, kind, 0, 8, 0, number, 0, 0, 0];
        assert_eq!(rdp(&[&confirm(2, 2)]), (answered("RDP, CredSSP"), 1));
        assert_eq!(rdp(&[&confirm(2, 1)[..7], &confirm(2, 1)[7..]]), (answered("RDP, TLS"), 2));
        assert_eq!(rdp(&[&confirm(3, 5)]), (answered("RDP, CredSSP required"), 1));
        // Without a negotiation it is an old one.
        assert_eq!(
            rdp(&[&[3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0]]),
            (answered("RDP, standard security"), 1)
        );
        assert_eq!(rdp(&[b"SSH-2.0-x\r\n"]), (foreign("SSH-2.0-x"), 1));
        assert_eq!(rdp(&[&[3, 0, 0, 7, 2, 0xf0, 0x80]]).0, foreign("not a remote desktop's answer"));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_outcome_however_they_come(
            bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200, rdp in any::<bool>(),
        ) {
            let service = if rdp { Service::Rdp } else { Service::Ssh };
            let (left, right) = bytes.split_at(cut.min(bytes.len()));
            let whole = converse(service, &[&bytes[..]]).0;
            prop_assert_eq!(converse(service, &[left, right]).0.name(), whole.name());
        }
    }
}
