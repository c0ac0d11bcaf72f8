//! Escapes of an interactive session: what the user types to vmssh itself instead of the instance.
//!
//! They are those of ssh(1): an escape character counts at the very start and after a line end, and
//! only together with a known character behind it. A pure machine: typed bytes in, steps out.

/// What ^Z sends.
const CONTROL_Z: u8 = 0x1a;

/// What to do with typed bytes, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send these to the instance.
    Send(Vec<u8>),
    /// `~.`: end the session. Nothing typed behind it is looked at.
    Disconnect,
    /// `~^Z`: stop vmssh as ^Z would, until it is brought back.
    Suspend,
    /// `~?`: show the escapes.
    Help,
    /// `~#`: show what the connection carries.
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Inside,
    /// Behind an escape character that is held back until the next byte says what it means.
    Escape,
}

/// The machine. It remembers where on a line the last byte left it, so that escapes work however
/// the bytes are cut up.
#[derive(Debug, Clone)]
pub struct Escape {
    character: u8,
    at: At,
}

impl Escape {
    /// A machine for this escape character, at the start of a line.
    #[must_use]
    pub fn new(character: u8) -> Self {
        Self { character, at: At::LineStart }
    }

    /// Takes typed bytes.
    pub fn feed(&mut self, typed: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        for &byte in typed {
            match (self.at, byte) {
                (At::LineStart, byte) if byte == self.character => self.at = At::Escape,
                (At::Escape, byte) if byte == self.character => self.send(&mut steps, byte),
                (At::Escape, b'.') => {
                    steps.push(Step::Disconnect);
                    return steps;
                }
                (At::Escape, CONTROL_Z) => self.act(&mut steps, Step::Suspend),
                (At::Escape, b'?') => self.act(&mut steps, Step::Help),
                (At::Escape, b'#') => self.act(&mut steps, Step::List),
                (At::Escape, byte) => {
                    self.send(&mut steps, self.character);
                    self.send(&mut steps, byte);
                }
                (_, byte) => self.send(&mut steps, byte),
            }
        }
        steps
    }

    /// At the end of the input: the escape character that was held back, to be sent after all.
    pub fn finish(&mut self) -> Option<u8> {
        (std::mem::replace(&mut self.at, At::Inside) == At::Escape).then_some(self.character)
    }

    fn send(&mut self, steps: &mut Vec<Step>, byte: u8) {
        match steps.last_mut() {
            Some(Step::Send(bytes)) => bytes.push(byte),
            _ => steps.push(Step::Send(vec![byte])),
        }
        self.at = if matches!(byte, b'\r' | b'\n') { At::LineStart } else { At::Inside };
    }

    /// The instance saw nothing of the escape: for it, and so for the next escape, the line has not begun.
    fn act(&mut self, steps: &mut Vec<Step>, step: Step) {
        steps.push(step);
        self.at = At::LineStart;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Steps in short: `<.>` and so on for what vmssh does, bytes as they are sent.
    fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut escape = Escape::new(b'~');
        let mut seen = Vec::new();
        for piece in pieces {
            for step in escape.feed(piece) {
                match step {
                    Step::Send(bytes) => seen.extend(bytes),
                    Step::Disconnect => return [&seen[..], b"<.>"].concat(),
                    Step::Suspend => seen.extend(b"<Z>"),
                    Step::Help => seen.extend(b"<?>"),
                    Step::List => seen.extend(b"<#>"),
                }
            }
        }
        seen.extend(escape.finish());
        seen
    }

    #[test]
    fn escapes_count_at_the_start_of_a_line_only() {
        for (typed, expected) in [
            ("~.", "<.>"),
            ("ls\r~.rest", "ls\r<.>"),
            ("ls\n~.", "ls\n<.>"),
            ("ls ~.", "ls ~."),
            ("~?~#~\x1a~.", "<?><#><Z><.>"),
            ("~~.", "~."),
            ("~~~.", "~~."),
            ("~/bin\r", "~/bin\r"),
            ("~\r~.", "~\r<.>"),
            ("~x~.", "~x~."),
            ("cd ~\r", "cd ~\r"),
            ("a\r~", "a\r~"),
        ] {
            assert_eq!(run([typed.as_bytes()]), expected.as_bytes(), "{typed:?}");
        }
    }

    #[test]
    fn another_character_can_be_the_escape() {
        let mut escape = Escape::new(b'%');
        assert_eq!(escape.feed(b"~.\r%."), [Step::Send(b"~.\r".to_vec()), Step::Disconnect]);
    }

    /// Bytes among which escapes and line ends are frequent.
    fn typed() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![prop::sample::select(&b"~.?#\r\n\x1aa"[..]), any::<u8>()];
        prop::collection::vec(byte, 0..64)
    }

    proptest! {
        #[test]
        fn bytes_without_the_escape_character_come_out_unchanged(
            bytes in prop::collection::vec(any::<u8>().prop_filter("escape", |b| *b != b'~'), 0..256),
        ) {
            prop_assert_eq!(run([&bytes[..]]), bytes);
        }

        #[test]
        fn an_escape_character_inside_a_line_comes_out_unchanged(
            bytes in prop::collection::vec(any::<u8>().prop_filter("line end", |b| !b"\r\n".contains(b)), 0..256),
        ) {
            let line = [&b"a"[..], &bytes[..]].concat();
            prop_assert_eq!(run([&line[..]]), line);
        }

        #[test]
        fn how_the_bytes_are_cut_up_changes_nothing(bytes in typed(), size in 1_usize..9) {
            prop_assert_eq!(run(bytes.chunks(size)), run([&bytes[..]]));
        }
    }
}
