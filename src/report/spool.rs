//! One instance's output, kept until it is shown: in memory while short, then in an unnamed
//! temporary file, never more than a limit.

use std::{
    fmt,
    io::{self, Read, Seek, Write},
};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

/// Most outputs are a few lines. A thousand instances with less than this each take 16 MB.
const IN_MEMORY: usize = 16 << 10;

/// Reads and writes in pieces of this size; a page cache's worth, no more.
const PIECE: usize = 16 << 10;

/// What an output is, for telling whether two are the same.
pub(super) type Fingerprint = [u8; 32];

/// Keeps what is pushed, up to a limit, and counts the rest.
pub(super) struct Spool {
    file: Option<SpooledTempFile>,
    digest: Sha256,
    kept: u64,
    dropped: u64,
    limit: u64,
}

impl Spool {
    /// An empty spool that keeps `limit` bytes at most.
    pub(super) fn new(limit: u64) -> Self {
        Self { file: None, digest: Sha256::new(), kept: 0, dropped: 0, limit }
    }

    /// Appends bytes; beyond the limit they are counted and dropped.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX).min(bytes.len());
        let (keep, drop) = bytes.split_at(room);
        if !keep.is_empty() {
            self.file.get_or_insert_with(|| SpooledTempFile::new(IN_MEMORY)).write_all(keep)?;
            self.digest.update(keep);
        }
        self.kept += keep.len() as u64;
        self.dropped += drop.len() as u64;
        Ok(())
    }

    /// True where nothing came.
    pub(super) fn is_empty(&self) -> bool {
        self.kept == 0
    }

    /// How many bytes came beyond the limit.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The same for the same kept bytes. SHA-256, as the bytes are a remote's: two different outputs
    /// must not be shown as one.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.digest.clone().finalize().into()
    }

    /// Hands the kept bytes over in pieces that end at line ends where lines are not too long.
    pub(super) fn for_each_piece(&mut self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.rewind()?;
        let mut piece = Vec::new();
        loop {
            let before = piece.len();
            io::Read::by_ref(file).take(PIECE as u64).read_to_end(&mut piece)?;
            if piece.len() == before {
                break;
            }
            let end = piece.iter().rposition(|b| *b == b'\n').map_or(character_end(&piece), |at| at + 1);
            each(piece.get(..end).unwrap_or(&piece))?;
            piece.drain(..end);
        }
        if piece.is_empty() { Ok(()) } else { each(&piece) }
    }
}

/// Where the last whole UTF-8 character ends.
fn character_end(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        // Only a cut-off end has no error length; bytes that are no UTF-8 stay where they are.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// The kept bytes as a JSON text, invalid UTF-8 replaced; streamed, not built in memory.
pub(super) struct AsText<'a>(pub(super) std::cell::RefCell<&'a mut Spool>);

impl Serialize for AsText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for AsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut spool = self.0.borrow_mut();
        let mut write = |piece: &[u8]| f.write_str(&String::from_utf8_lossy(piece)).map_err(io::Error::other);
        spool.for_each_piece(&mut write).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(spool: &mut Spool) -> String {
        let mut text = Vec::new();
        spool
            .for_each_piece(|p| {
                text.extend_from_slice(p);
                Ok(())
            })
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_pushed_comes_back_up_to_the_limit() {
        let mut spool = Spool::new(100_000);
        let line = "naïve line, with a two-byte character\n".repeat(50);
        for _ in 0..100 {
            spool.push(line.as_bytes()).unwrap();
        }
        let all = line.repeat(100);
        assert_eq!(spool.dropped(), all.len() as u64 - 100_000);
        assert_eq!(text(&mut spool), all[..100_000]);
        assert_eq!(text(&mut spool).len(), 100_000, "it can be read again");
    }

    #[test]
    fn pieces_end_between_characters_and_lines() {
        let mut spool = Spool::new(u64::MAX);
        let long = "ü".repeat(PIECE) + "\nshort";
        spool.push(long.as_bytes()).unwrap();
        let shown = AsText(std::cell::RefCell::new(&mut spool)).to_string();
        assert_eq!(shown, long);
    }

    #[test]
    fn only_the_same_bytes_have_the_same_fingerprint() {
        let of = |pieces: &[&str]| {
            let mut spool = Spool::new(5);
            pieces.iter().for_each(|p| spool.push(p.as_bytes()).unwrap());
            spool.fingerprint()
        };
        assert_eq!(of(&["ab", "c"]), of(&["abc"]));
        assert_ne!(of(&["abc"]), of(&["abd"]));
    }
}
