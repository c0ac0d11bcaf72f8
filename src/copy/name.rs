//! Which names of a remote may become names here.

/// Whether a name that a remote tells can be used as it is for an entry of a local folder: it is one name and no
/// path, and leads nowhere else.
///
/// Control characters are refused as well: a file must not be made whose name steers a terminal. So is what
/// Windows takes for a drive, a stream or a device's separator, there.
#[must_use]
pub fn is_safe_name(name: &[u8]) -> bool {
    let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
    let separates = |byte: &u8| *byte == b'/' || (cfg!(windows) && b"\\:*?\"<>|".contains(byte));
    let leads_elsewhere = name.is_empty() || name == b"." || name == b"..";
    // A server may send more than a file system takes; no file system takes more than this.
    let is_short = name.len() <= 255;
    is_short && !leads_elsewhere && !name.iter().any(|byte| is_control(byte) || separates(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_stay_where_they_are_put_are_let_in() {
        for good in [&b"a"[..], b"...", b"..a", b"it's \"quoted\"", b"-rf", b"caf\xe9", "日本".as_bytes()] {
            assert!(is_safe_name(good), "{good:?}");
        }
        for bad in [
            &b""[..],
            b".",
            b"..",
            b"/",
            b"a/b",
            b"/etc/passwd",
            b"../x",
            b"a\0",
            b"\x1b[2J",
            b"a\nb",
            &[b'x'; 256],
        ] {
            assert!(!is_safe_name(bad), "{bad:?}");
        }
    }
}
