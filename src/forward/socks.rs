//! What a SOCKS server hears and says, versions 4, 4a and 5 (RFC 1928), connecting only and without
//! signing in. Pure: bytes in, a step out.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Place;

/// The longest request: version 4a with a user and a host name of 255 characters each, and some. A client
/// that has sent more without an end is none.
const LONGEST: usize = 1024;

/// Which version a client speaks, and so how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 4 and 4a.
    V4,
    /// 5.
    V5,
}

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Nothing is settled yet.
    #[default]
    Greeting,
    /// Version 5, that nobody signs in is settled.
    Request,
}

/// What to do about the bytes of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Wait for more.
    More,
    /// Answer this, take so many bytes away, and go on with the request.
    Answer {
        /// To be sent.
        answer: &'static [u8],
        /// Bytes that are done with.
        used: usize,
    },
    /// Connect there; what is behind the used bytes is for the connection already.
    Connect {
        /// Where to.
        to: Place,
        /// How to answer.
        version: Version,
        /// Bytes that are done with.
        used: usize,
    },
    /// Answer this, which may be nothing, and end it.
    Refuse {
        /// To be sent.
        answer: &'static [u8],
        /// Why.
        why: &'static str,
    },
}

/// How a connection came out, for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It stands.
    Connected,
    /// The instance's sshd does not allow it.
    NotAllowed,
    /// Nothing came back in time.
    Unreachable,
    /// It could not be made.
    Refused,
    /// Something else.
    Failed,
}

/// The answer to a request.
#[must_use]
pub fn reply(version: Version, reply: Reply) -> Vec<u8> {
    // The address and port that the connection goes out from are not known here: zeros.
    match version {
        Version::V4 => {
            let code = if reply == Reply::Connected { 0x5a } else { 0x5b };
            vec![0, code, 0, 0, 0, 0, 0, 0]
        }
        Version::V5 => {
            let code = match reply {
                Reply::Connected => 0,
                Reply::Failed => 1,
                Reply::NotAllowed => 2,
                Reply::Unreachable => 4,
                Reply::Refused => 5,
            };
            vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0]
        }
    }
}

/// Reads what a client has sent so far.
#[must_use]
pub fn read(stage: Stage, bytes: &[u8]) -> Step {
    let step = match (stage, bytes) {
        (_, []) => Some(Step::More),
        (Stage::Greeting, [4, rest @ ..]) => version_4(rest),
        (Stage::Greeting, [5, rest @ ..]) => greeting(rest),
        (Stage::Request, [5, rest @ ..]) => request(rest),
        _ => Some(Step::Refuse { answer: &[], why: "a client that does not speak SOCKS" }),
    };
    match step {
        Some(step) => step,
        None if bytes.len() > LONGEST => Step::Refuse { answer: &[], why: "a request without an end" },
        None => Step::More,
    }
}

/// `None` where more is needed.
fn version_4(bytes: &[u8]) -> Option<Step> {
    let (&[command, high, low, a, b, c, d], behind) = bytes.split_first_chunk::<7>()?;
    let (_user, mut behind) = text(behind)?;
    // 4a: an impossible address says that a name follows.
    let host = if [a, b, c] == [0; 3] && d != 0 {
        let (name, rest) = text(behind)?;
        behind = rest;
        name
    } else {
        Ipv4Addr::new(a, b, c, d).to_string().into_bytes()
    };
    let refuse = |why| Step::Refuse { answer: &[0, 0x5b, 0, 0, 0, 0, 0, 0], why };
    if command != 1 {
        return Some(refuse("a command other than connect"));
    }
    let Some(to) = place(&host, u16::from_be_bytes([high, low])) else {
        return Some(refuse("a host or port that is none"));
    };
    // The version's own byte, too.
    Some(Step::Connect { to, version: Version::V4, used: 1 + bytes.len() - behind.len() })
}

/// A text with a zero behind it, and what follows.
fn text(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((text.to_vec(), rest.get(1..)?))
}

fn greeting(bytes: &[u8]) -> Option<Step> {
    let (&count, methods) = bytes.split_first()?;
    let methods = methods.get(..count.into())?;
    if !methods.contains(&0) {
        return Some(Step::Refuse { answer: &[5, 0xff], why: "a client that wants to sign in" });
    }
    Some(Step::Answer { answer: &[5, 0], used: 2 + methods.len() })
}

fn request(bytes: &[u8]) -> Option<Step> {
    let (&[command, _reserved, kind], rest) = bytes.split_first_chunk::<3>()?;
    let (host, rest) = match kind {
        1 => {
            let (address, rest) = rest.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*address).to_string().into_bytes(), rest)
        }
        3 => {
            let (&length, rest) = rest.split_first()?;
            let (name, rest) = rest.split_at_checked(length.into())?;
            (name.to_vec(), rest)
        }
        4 => {
            let (address, rest) = rest.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*address).to_string().into_bytes(), rest)
        }
        _ => {
            return Some(Step::Refuse {
                answer: &[5, 8, 0, 1, 0, 0, 0, 0, 0, 0],
                why: "an address of an unknown kind",
            });
        }
    };
    let (port, behind) = rest.split_first_chunk::<2>()?;
    if command != 1 {
        return Some(Step::Refuse {
            answer: &[5, 7, 0, 1, 0, 0, 0, 0, 0, 0],
            why: "a command other than connect",
        });
    }
    let Some(to) = place(&host, u16::from_be_bytes(*port)) else {
        return Some(Step::Refuse {
            answer: &[5, 1, 0, 1, 0, 0, 0, 0, 0, 0],
            why: "a host or port that is none",
        });
    };
    Some(Step::Connect { to, version: Version::V5, used: 1 + bytes.len() - behind.len() })
}

fn place(host: &[u8], port: u16) -> Option<Place> {
    let host = std::str::from_utf8(host).ok()?;
    let good = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    (good && port != 0).then(|| Place::Port { host: host.into(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn connect(host: &str, port: u16, version: Version, used: usize) -> Step {
        Step::Connect { to: Place::Port { host: host.into(), port }, version, used }
    }

    #[test]
    fn requests_of_every_version_are_understood() {
        let v4 = b"\x04\x01\x00\x50\x7f\x00\x00\x01me\0GET";
        assert_eq!(read(Stage::Greeting, v4), connect("127.0.0.1", 80, Version::V4, 11));
        let v4a = b"\x04\x01\x00\x50\x00\x00\x00\x01\0db\0";
        assert_eq!(read(Stage::Greeting, v4a), connect("db", 80, Version::V4, 12));
        assert_eq!(read(Stage::Greeting, b"\x05\x02\x00\x02rest"), Step::Answer { answer: &[5, 0], used: 4 });
        let name = b"\x05\x01\x00\x03\x02db\x15\x38rest";
        assert_eq!(read(Stage::Request, name), connect("db", 5432, Version::V5, 9));
        let v6 = [&[5, 1, 0, 4][..], &Ipv6Addr::LOCALHOST.octets(), &[0, 22]].concat();
        assert_eq!(read(Stage::Request, &v6), connect("::1", 22, Version::V5, 22));
    }

    #[test]
    fn what_is_not_served_is_refused_in_the_client_s_words() {
        let answer = |stage, bytes: &[u8]| match read(stage, bytes) {
            Step::Refuse { answer, .. } => answer.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer(Stage::Greeting, b"GET / HTTP/1.1"), b"");
        assert_eq!(answer(Stage::Greeting, b"\x05\x01\x02"), b"\x05\xff");
        assert_eq!(answer(Stage::Request, b"\x05\x02\x00\x01\x7f\0\0\x01\0\x50")[1], 7);
        assert_eq!(answer(Stage::Request, b"\x05\x01\x00\x05")[1], 8);
        assert_eq!(answer(Stage::Request, b"\x05\x01\x00\x03\x00\0\x50")[1], 1);
        assert_eq!(answer(Stage::Request, b"\x05\x01\x00\x03\x02d\x1b\0\x50")[1], 1);
        assert_eq!(answer(Stage::Greeting, b"\x04\x02\x00\x50\x7f\x00\x00\x01\0")[1], 0x5b);
        let endless = [&b"\x04\x01\x00\x50\x7f\x00\x00\x01"[..], &[b'a'; 2000]].concat();
        assert_eq!(answer(Stage::Greeting, &endless), b"");
    }

    proptest! {
        #[test]
        fn a_request_that_is_cut_short_waits_for_its_rest(cut in 0_usize..9) {
            let whole = b"\x05\x01\x00\x03\x02db\x15\x38";
            prop_assert_eq!(read(Stage::Request, &whole[..cut]), Step::More);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for stage in [Stage::Greeting, Stage::Request] {
                if let Step::Answer { used, .. } | Step::Connect { used, .. } = read(stage, &bytes) {
                    prop_assert!(used <= bytes.len());
                }
            }
        }
    }
}
