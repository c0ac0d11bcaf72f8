//! Outputs kept until they are shown: in memory while short, then in one unnamed temporary file of
//! the run, never more than a limit each and in all.
//!
//! Keeping must not cost a run its results: what can't be kept (no room left on the disk) is counted
//! and named, like what is beyond the limit.

use std::{
    cell::RefCell,
    fmt,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Most outputs are a few lines. A thousand instances with less than this each take 16 MB; what is
/// longer goes to the file in blocks of this size.
const BLOCK: usize = 16 << 10;

/// The file's blocks: 4 GiB. Temporary folders are often memory or a small disk, and nobody reads more.
const MOST_BLOCKS: u32 = 1 << 18;

/// What an output is, for telling whether two are the same.
pub(super) type Fingerprint = [u8; 32];

/// The file of a run. One file, so that no number of outputs uses up the file descriptors.
#[derive(Debug, Clone, Default)]
pub(super) struct Store(Arc<Mutex<Blocks>>);

#[derive(Debug, Default)]
struct Blocks {
    file: Option<File>,
    used: u32,
    free: Vec<u32>,
}

impl Store {
    /// An empty spool that keeps `limit` bytes at most.
    pub(super) fn spool(&self, limit: u64) -> Spool {
        Spool {
            store: self.clone(),
            blocks: Vec::new(),
            tail: Vec::new(),
            digest: Sha256::new(),
            kept: 0,
            dropped: 0,
            limit,
            trouble: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<u32> {
        let mut blocks = self.lock();
        let block = match blocks.free.pop() {
            Some(block) => block,
            None if blocks.used < MOST_BLOCKS => {
                blocks.used += 1;
                blocks.used - 1
            }
            None => return Err(io::Error::other("4 GiB are kept already")),
        };
        let written = blocks.at(block).and_then(|file| file.write_all(bytes));
        if written.is_err() {
            blocks.free.push(block);
        }
        written.map(|()| block)
    }

    fn read(&self, block: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; BLOCK];
        self.lock().at(block)?.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Blocks {
    /// The file, at the start of a block.
    fn at(&mut self, block: u32) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        let file = self.file.insert(file);
        file.seek(SeekFrom::Start(u64::from(block) * BLOCK as u64))?;
        Ok(file)
    }
}

/// Keeps what is pushed, up to a limit, and counts the rest.
#[derive(Debug)]
pub(super) struct Spool {
    store: Store,
    /// Full blocks in the file, and what follows them.
    blocks: Vec<u32>,
    tail: Vec<u8>,
    digest: Sha256,
    kept: u64,
    dropped: u64,
    limit: u64,
    trouble: Option<String>,
}

impl Spool {
    /// Appends bytes; what is beyond the limit or can't be kept is counted and dropped.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX);
            let room = (BLOCK - self.tail.len()).min(left);
            if room == 0 || self.trouble.is_some() {
                self.dropped += bytes.len() as u64;
                return;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.tail.extend_from_slice(now);
            self.digest.update(now);
            self.kept += now.len() as u64;
            bytes = later;
            if self.tail.len() == BLOCK {
                self.write_out();
            }
        }
    }

    fn write_out(&mut self) {
        match self.store.write(&self.tail) {
            Ok(block) => {
                self.blocks.push(block);
                self.tail.clear();
            }
            // The full tail stays in memory; there is no room for more.
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    /// True where nothing came.
    pub(super) fn is_empty(&self) -> bool {
        self.kept == 0
    }

    /// How many bytes were not kept.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Why, where it was not the limit.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The same for the same kept bytes. SHA-256, as the bytes are a remote's: two different outputs
    /// must not be shown as one.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.digest.clone().finalize().into()
    }

    /// Hands the kept bytes over in pieces that end at line ends where lines are not too long.
    pub(super) fn for_each_piece(&self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut piece = Vec::new();
        for block in &self.blocks {
            piece.extend(self.store.read(*block)?);
            let end = piece.iter().rposition(|b| *b == b'\n').map_or(character_end(&piece), |at| at + 1);
            each(piece.get(..end).unwrap_or(&piece))?;
            piece.drain(..end);
        }
        piece.extend_from_slice(&self.tail);
        if piece.is_empty() { Ok(()) } else { each(&piece) }
    }
}

/// Its blocks are the next one's.
impl Drop for Spool {
    fn drop(&mut self) {
        self.store.lock().free.append(&mut self.blocks);
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
pub(super) struct AsText<'a>(pub(super) &'a Spool);

impl Serialize for AsText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for AsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = RefCell::new(f);
        let write = |piece: &[u8]| {
            f.borrow_mut().write_str(&String::from_utf8_lossy(piece)).map_err(io::Error::other)
        };
        self.0.for_each_piece(write).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(spool: &Spool) -> String {
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
        let mut spool = Store::default().spool(100_000);
        let line = "naïve line, with a two-byte character\n".repeat(50);
        for _ in 0..100 {
            spool.push(line.as_bytes());
        }
        let all = line.repeat(100);
        assert_eq!((spool.dropped(), spool.trouble()), (all.len() as u64 - 100_000, None));
        assert_eq!(text(&spool), all[..100_000]);
        assert_eq!(text(&spool).len(), 100_000, "it can be read again");
    }

    #[test]
    fn pieces_end_between_characters_and_lines() {
        let mut spool = Store::default().spool(u64::MAX);
        let long = "ü".repeat(BLOCK) + "\nshort";
        spool.push(long.as_bytes());
        assert_eq!(AsText(&spool).to_string(), long);
        let mut lines = 0;
        let mut odd = Store::default().spool(u64::MAX);
        odd.push("x\n".repeat(BLOCK).as_bytes());
        odd.for_each_piece(|piece| {
            lines += 1;
            assert_eq!(piece.last(), Some(&b'\n'));
            Ok(())
        })
        .unwrap();
        assert_eq!(lines, 2);
    }

    #[test]
    fn many_spools_share_one_file_and_leave_their_room_to_others() {
        let store = Store::default();
        for round in 0..3 {
            let mut spools: Vec<_> = (0..50).map(|_| store.spool(u64::MAX)).collect();
            for (number, spool) in spools.iter_mut().enumerate() {
                spool.push(format!("{round} {number}\n").repeat(5000).as_bytes());
            }
            for (number, spool) in spools.iter().enumerate() {
                assert_eq!(text(spool), format!("{round} {number}\n").repeat(5000));
            }
        }
        assert!(store.lock().used <= 50 * 3, "{}", store.lock().used);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_named() {
        let store = Store::default();
        store.lock().used = MOST_BLOCKS;
        let mut spool = store.spool(u64::MAX);
        spool.push(&[b'x'; 3 * BLOCK]);
        assert_eq!(text(&spool).len(), BLOCK);
        assert_eq!((spool.dropped(), spool.trouble()), (2 * BLOCK as u64, Some("4 GiB are kept already")));
    }

    #[test]
    fn only_the_same_bytes_have_the_same_fingerprint() {
        let of = |pieces: &[&str]| {
            let mut spool = Store::default().spool(5);
            pieces.iter().for_each(|p| spool.push(p.as_bytes()));
            spool.fingerprint()
        };
        assert_eq!(of(&["ab", "c"]), of(&["abc"]));
        assert_ne!(of(&["abc"]), of(&["abd"]));
    }
}
