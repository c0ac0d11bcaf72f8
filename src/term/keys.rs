//! Bytes of a terminal as keys.
//!
//! What a terminal sends is not always typed: pastes, answers to questions that a program before us asked,
//! noise on a line. All of it is read to its end and what means nothing is dropped. (crossterm's own reader
//! is not used where there are bytes to be read: it waits without limit for the end of some sequences, so
//! that not even Ctrl-C gets through, and subtracts from numbers in them without looking.)

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::{sync::mpsc, time::timeout};

use crate::event::Key;

/// So long an Esc may be the beginning of another key: terminals send a key at once, but a network may
/// cut it in two. Vim waits as long (`ttimeoutlen` in its defaults is 100 ms, in Neovim's 50 ms).
const ESCAPE_WAIT: Duration = Duration::from_millis(50);

/// No key's sequence is longer; what goes on beyond it is noise.
const LONGEST: usize = 32;

const ESC: u8 = 0x1b;

/// Begins to read the keys that are pressed. The stream ends where the terminal has gone away.
///
/// From here on, what is typed goes there and nowhere else, as with [`super::stdin`].
///
/// # Errors
/// When there is no thread to be had.
#[cfg(unix)]
pub fn keys() -> io::Result<impl Stream<Item = Key> + Send> {
    super::stdin().map(decode)
}

/// Begins to read the keys that are pressed. The stream ends where the console has gone away.
///
/// # Errors
/// When there is no thread to be had.
#[cfg(not(unix))]
pub fn keys() -> io::Result<impl Stream<Item = Key> + Send> {
    console::keys()
}

/// The keys in what a terminal sends. Ends where that ends.
#[cfg_attr(not(unix), expect(dead_code, reason = "a console has keys, not bytes"))]
fn decode(bytes: mpsc::Receiver<Bytes>) -> impl Stream<Item = Key> + Send {
    let start = (bytes, Decoder::default(), Vec::new().into_iter());
    stream::unfold(start, async |(mut bytes, mut decoder, mut decoded)| {
        loop {
            if let Some(key) = decoded.next() {
                return Some((key, (bytes, decoder, decoded)));
            }
            let chunk = if decoder.is_undecided() {
                timeout(ESCAPE_WAIT, bytes.recv()).await
            } else {
                Ok(bytes.recv().await)
            };
            decoded = match chunk {
                Ok(Some(chunk)) => decoder.feed(&chunk),
                Ok(None) => return None,
                Err(_) => decoder.settle(),
            }
            .into_iter();
        }
    })
}

/// What has been read of a key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Read {
    /// Nothing.
    #[default]
    Nothing,
    /// An Esc: the key, or the beginning of another.
    Escape,
    /// `ESC O` (SS3): one more byte says which key.
    Single,
    /// `ESC [` (CSI) and what followed it.
    Sequence(Vec<u8>),
    /// A paste, which is text and not keys, and the sequence in it that may end it.
    Paste(Vec<u8>),
}

/// Bytes in, keys out.
#[derive(Debug, Default)]
struct Decoder(Read);

impl Decoder {
    /// True while an Esc may be itself or the beginning of another key.
    fn is_undecided(&self) -> bool {
        self.0 == Read::Escape
    }

    /// No more came: it was Esc itself.
    fn settle(&mut self) -> Vec<Key> {
        match std::mem::take(&mut self.0) {
            Read::Escape => vec![Key::Escape],
            other => {
                self.0 = other;
                Vec::new()
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        bytes.iter().filter_map(|byte| self.byte(*byte)).collect()
    }

    fn byte(&mut self, byte: u8) -> Option<Key> {
        // Whatever was begun: the way out is always open.
        if byte == b'C' & 0x1f {
            self.0 = Read::Nothing;
            return Some(Key::Ctrl('c'));
        }
        let (read, key) = match (std::mem::take(&mut self.0), byte) {
            (Read::Paste(end), _) => (pasted(end, byte), None),
            (Read::Escape, b'[') => (Read::Sequence(Vec::new()), None),
            (Read::Escape, b'O') => (Read::Single, None),
            (Read::Escape, ESC) => (Read::Escape, Some(Key::Escape)),
            // A key with Alt held, which means nothing here.
            (Read::Escape, _) => (Read::Nothing, None),
            (_, ESC) => (Read::Escape, None),
            (Read::Single, _) => (Read::Nothing, named(byte)),
            (Read::Sequence(begun), _) => sequence(begun, byte),
            (Read::Nothing, _) => (Read::Nothing, plain(byte)),
        };
        self.0 = read;
        key
    }
}

/// One byte more of a sequence (ECMA-48 section 5.4): parameters, and a final byte from `@` to `~`.
fn sequence(mut begun: Vec<u8>, byte: u8) -> (Read, Option<Key>) {
    match byte {
        b'~' if begun == b"200" => (Read::Paste(Vec::new()), None),
        b'@'..=b'~' => (Read::Nothing, in_sequence(&begun, byte)),
        b' '..=b'?' if begun.len() < LONGEST => {
            begun.push(byte);
            (Read::Sequence(begun), None)
        }
        _ => (Read::Nothing, plain(byte).filter(|_| byte < b' ')),
    }
}

/// One byte more of a paste, which `ESC [ 201 ~` ends.
fn pasted(mut end: Vec<u8>, byte: u8) -> Read {
    const END: &[u8] = b"\x1b[201~";
    end.push(byte);
    match END.starts_with(&end) {
        true if end == END => Read::Nothing,
        true => Read::Paste(end),
        false => Read::Paste(Vec::from_iter((byte == ESC).then_some(ESC))),
    }
}

/// A byte by itself.
fn plain(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' => Some(Key::Enter),
        1..=26 => Some(Key::Ctrl(char::from(byte + b'a' - 1))),
        b' '..=b'~' => Some(Key::Char(char::from(byte))),
        _ => None,
    }
}

/// What xterm, VT220 and the Linux console send for the keys with a name. Modifiers come in a second
/// parameter and change nothing.
fn in_sequence(parameters: &[u8], last: u8) -> Option<Key> {
    match (parameters.split(|byte| *byte == b';').next().unwrap_or_default(), last) {
        (b"1" | b"7", b'~') => Some(Key::Home),
        (b"4" | b"8", b'~') => Some(Key::End),
        (b"5", b'~') => Some(Key::PageUp),
        (b"6", b'~') => Some(Key::PageDown),
        (b"" | b"1", _) => named(last),
        _ => None,
    }
}

fn named(last: u8) -> Option<Key> {
    match last {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'F' => Some(Key::End),
        b'H' => Some(Key::Home),
        b'M' => Some(Key::Enter),
        _ => None,
    }
}

/// Consoles tell of keys as events.
#[cfg(not(unix))]
mod console {
    use std::{io, thread};

    use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
    use futures_util::stream::{self, Stream};
    use tokio::sync::mpsc;

    use crate::event::Key;

    /// Keys typed ahead; more than a person types between two pages.
    const AHEAD: usize = 64;

    pub(super) fn keys() -> io::Result<impl Stream<Item = Key> + Send> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        thread::Builder::new().name("keys".into()).spawn(move || {
            while let Ok(event) = event::read() {
                if let Some(key) = key(&event)
                    && sender.blocking_send(key).is_err()
                {
                    return;
                }
            }
        })?;
        Ok(stream::unfold(receiver, async |mut keys| keys.recv().await.map(|key| (key, keys))))
    }

    fn key(event: &Event) -> Option<Key> {
        let Event::Key(KeyEvent { code, modifiers, kind, .. }) = *event else { return None };
        match code {
            _ if kind == KeyEventKind::Release => None,
            KeyCode::Char(c) if modifiers == KeyModifiers::CONTROL => Some(Key::Ctrl(c.to_ascii_lowercase())),
            KeyCode::Char(c) if !modifiers.contains(KeyModifiers::ALT) => Some(Key::Char(c)),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            KeyCode::PageUp => Some(Key::PageUp),
            KeyCode::PageDown => Some(Key::PageDown),
            KeyCode::Home => Some(Key::Home),
            KeyCode::End => Some(Key::End),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc => Some(Key::Escape),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys = decoder.feed(bytes);
        keys.extend(decoder.settle());
        keys
    }

    #[test]
    fn keys_of_the_usual_terminals() {
        use Key::{Char, Ctrl, Down, End, Enter, Escape, Home, PageDown, PageUp, Up};
        for (bytes, keys) in [
            (&b"jG /"[..], &[Char('j'), Char('G'), Char(' '), Char('/')][..]),
            (b"\x1b[A\x1b[B\x1bOA\x1bOB", &[Up, Down, Up, Down]),
            (b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1bOH", &[Home, End, Home, End, Home, End, Home]),
            (b"\x1b[5~\x1b[6~\x1b[6;5~\x1b[1;2B", &[PageUp, PageDown, PageDown, Down]),
            (b"\r\n\x03\x0c\x1a", &[Enter, Enter, Ctrl('c'), Ctrl('l'), Ctrl('z')]),
            (b"\x1b", &[Escape]),
            (b"\x1b\x1b", &[Escape, Escape]),
        ] {
            assert_eq!(decoded(bytes), keys, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_dropped() {
        for bytes in [
            &b"\x1bq"[..],
            b"\x1b[<0;0;0M",
            b"\x1b[0;0R",
            b"\x1b[?1;2c",
            b"\x1b[99999999999999999999~",
            "äöü日本".as_bytes(),
            b"\x80\xff\x7f\0",
            b"\x1b[200~quit? q\x1b[A\x1b[201\x1b\x1b[201~",
        ] {
            assert_eq!(decoded(bytes), [], "{bytes:?}");
        }
    }

    #[test]
    fn ctrl_c_gets_through_whatever_was_begun() {
        for begun in ["\x1b", "\x1b[", "\x1b[<1;1", "\x1bO", "\x1b[200~text"] {
            assert_eq!(decoded(format!("{begun}\x03j").as_bytes()), [Key::Ctrl('c'), Key::Char('j')]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_cut_in_two_is_one_and_an_escape_alone_is_itself() {
        let (sender, receiver) = mpsc::channel(1);
        let mut keys = std::pin::pin!(decode(receiver));
        let parts = tokio::spawn(async move {
            for part in ["\x1b", "[", "A", "\x1b"] {
                sender.send(Bytes::from(part)).await.unwrap();
            }
            tokio::time::sleep(ESCAPE_WAIT * 2).await;
            sender.send(Bytes::from("q")).await.unwrap();
        });
        let mut seen = Vec::new();
        while let Some(key) = keys.next().await {
            seen.push(key);
        }
        parts.await.unwrap();
        assert_eq!(seen, [Key::Up, Key::Escape, Key::Char('q')]);
    }

    proptest! {
        #[test]
        fn cut_anywhere_the_keys_are_the_same(
            bytes in prop::collection::vec(prop_oneof![Just(ESC), Just(b'['), Just(b'O'), any::<u8>()], 0..80),
            cut in any::<prop::sample::Index>(),
        ) {
            let (left, right) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut decoder = Decoder::default();
            let mut keys = decoder.feed(left);
            keys.extend(decoder.feed(right));
            keys.extend(decoder.settle());
            prop_assert_eq!(keys, decoded(&bytes));
        }

        #[test]
        fn nothing_is_kept_of_noise(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            let kept = match decoder.0 {
                Read::Sequence(kept) | Read::Paste(kept) => kept.len(),
                _ => 0,
            };
            prop_assert!(kept <= LONGEST);
        }
    }
}
