//! Remote text made fit for a terminal.
//!
//! An instance's output is data: it must not move the cursor, change the title, write to the
//! clipboard or hide what it says. Control characters are shown in caret notation (`^[`), as
//! `cat -v` and sshd's own log do; bidirectional overrides and other invisible steering characters
//! as `\u{202e}`; bytes that are no UTF-8 as `\xff`. Tab and line feed stay.

use std::fmt::Write as _;

/// Cleans a piece of text. Pieces should end at line ends: a character cut in two by the end of a
/// piece is shown as bytes.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    // Nearly all text is of this kind, and what follows is slow.
    if bytes.iter().all(|byte| (b' '..0x7f).contains(byte)) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_clean(&mut text, c);
        }
        for byte in chunk.invalid() {
            // Writing to a String can't fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Cleans text that must stay on one line: messages and names that come from a remote.
#[must_use]
pub fn clean_line(text: &str) -> String {
    let text = clean(text.trim_end().as_bytes());
    if text.contains('\n') { text.replace('\n', "^J") } else { text }
}

fn push_clean(text: &mut String, c: char) {
    let _ = match c {
        '\n' | '\t' => write!(text, "{c}"),
        '\0'..='\x1f' => write!(text, "^{}", char::from(c as u8 + b'@')),
        '\x7f' => write!(text, "^?"),
        c if is_steering(c) => write!(text, "\\u{{{:x}}}", u32::from(c)),
        c => write!(text, "{c}"),
    };
}

/// Characters that print nothing and change how others are shown: the C1 controls (which some
/// terminals obey), the bidirectional marks, embeddings, overrides and isolates (Unicode Standard
/// Annex 9, "Trojan Source"), line and paragraph separators, and tags.
#[must_use]
pub fn is_steering(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_and_not_obeyed() {
        assert_eq!(clean(b"\x1b]0;owned\x07ok"), "^[]0;owned^Gok");
        assert_eq!(clean(b"50%\r100%\n\tdone"), "50%^M100%\n\tdone");
        assert_eq!(clean("a\u{202e}b\u{9b}31m".as_bytes()), "a\\u{202e}b\\u{9b}31m");
        assert_eq!(clean(b"caf\xe9 \xff"), "caf\\xe9 \\xff");
        assert_eq!(clean("naïve 日本".as_bytes()), "naïve 日本");
        assert_eq!(clean_line("two\nlines\r\n"), "two^Jlines");
    }

    proptest! {
        #[test]
        fn no_control_byte_survives(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = clean(&bytes);
            prop_assert!(text.chars().all(|c| c == '\n' || c == '\t' || !(c.is_control() || is_steering(c))));
        }
    }
}
