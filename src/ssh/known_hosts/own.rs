//! Writing vmssh's own known_hosts file, beside other programs that do.
//!
//! Who changes the file holds an exclusive lock on it. A rewrite puts a whole new file in its place, so one
//! who has waited for the lock looks whether what it has locked is still the file.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Another program holds the lock for the few milliseconds that a line takes; a thousand of them at once
/// wait for each other.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// The wait before the next try for a lock, which nobody tells of: at first what a line takes, then twice as long
/// each time, up to 5 ms, as a rewrite of the file takes.
const LOCK_PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_micros(50)..=Duration::from_millis(5);

/// A line takes a hundred bytes, with RSA keys some hundreds: room for tens of thousands of servers,
/// and `/dev/zero` ends.
const LONGEST: u64 = 16 << 20;

/// A file's bytes, up to [`LONGEST`].
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_from(&mut File::open(path)?)
}

fn read_from(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {} MiB", LONGEST >> 20)));
    }
    Ok(bytes)
}

/// How much of which file was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    file: u64,
    pub(super) bytes: u64,
    pub(super) lines: usize,
}

impl Seen {
    /// All of a file that has these contents.
    pub(super) fn of(metadata: Option<&Metadata>, bytes: &[u8]) -> Self {
        let breaks = bytes.iter().filter(|byte| **byte == b'\n').count();
        let open = usize::from(bytes.last().is_some_and(|byte| *byte != b'\n'));
        Self { file: metadata.map_or(0, identity), bytes: bytes.len() as u64, lines: breaks + open }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.ino() ^ metadata.dev().rotate_left(32)
}

/// Where a file that is open can't be replaced, it is always itself.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> u64 {
    0
}

/// The file, locked until this is dropped.
pub(super) struct Locked {
    file: File,
    metadata: Metadata,
}

impl Locked {
    /// Waits for the lock. The file and its folder are made, for the user's eyes only, where there are none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        let end = Instant::now() + LOCK_LIMIT;
        loop {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(path)?;
            lock(&file, end)?;
            let metadata = file.metadata()?;
            // While it was waited for, another may have been put in its place.
            match std::fs::metadata(path) {
                Ok(now) if identity(&now) == identity(&metadata) => return Ok(Self { file, metadata }),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ if Instant::now() >= end => return Err(ErrorKind::TimedOut.into()),
                _ => {}
            }
        }
    }

    /// What others have added since it was read; `None` where it is not what it was.
    pub(super) fn news(&mut self, seen: Seen) -> io::Result<Option<Vec<u8>>> {
        if identity(&self.metadata) != seen.file || self.metadata.len() < seen.bytes {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(seen.bytes))?;
        read_from(&mut self.file).map(Some)
    }

    /// All of it.
    pub(super) fn all(&mut self) -> io::Result<(Vec<u8>, Seen)> {
        self.file.seek(SeekFrom::Start(0))?;
        let bytes = read_from(&mut self.file)?;
        let seen = Seen::of(Some(&self.metadata), &bytes);
        Ok((bytes, seen))
    }

    /// Adds lines in one piece, and gives what then has been seen of the file.
    pub(super) fn append(&mut self, lines: &str, seen: Seen) -> io::Result<Seen> {
        // Somebody's editor may have left the last line without an end: a line glued to it would spoil both.
        let mut last = [b'\n'];
        if self.file.seek(SeekFrom::End(0))? > 0 {
            self.file.seek(SeekFrom::End(-1))?;
            self.file.read_exact(&mut last)?;
        }
        let text = format!("{}{lines}", if last == *b"\n" { "" } else { "\n" });
        self.file.write_all(text.as_bytes())?;
        Ok(Seen {
            file: identity(&self.metadata),
            bytes: seen.bytes + text.len() as u64,
            lines: seen.lines + lines.lines().count(),
        })
    }

    /// Puts a whole new file in its place, with its permissions.
    pub(super) fn replace(self, path: &Path, text: &[u8]) -> io::Result<()> {
        // A link stays a link.
        let path = path.canonicalize()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::Builder::new().prefix(".known_hosts-").tempfile_in(folder)?;
        new.write_all(text)?;
        new.as_file().set_permissions(self.metadata.permissions())?;
        new.as_file().sync_all()?;
        new.persist(&path).map_err(|error| error.error)?;
        // The lock goes only now, with `self`.
        drop(self.file);
        Ok(())
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) else { return Ok(()) };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn lock(file: &File, end: Instant) -> io::Result<()> {
    let mut pause = *LOCK_PAUSE.start();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                thread::sleep(pause);
                pause = (pause * 2).min(*LOCK_PAUSE.end());
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(ErrorKind::TimedOut, "another program holds its lock"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
