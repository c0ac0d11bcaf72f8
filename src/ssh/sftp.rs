//! Files on an instance, over SFTP: requests under way by the dozen, all of them bounded.
//!
//! The protocol is spoken here and not by a crate: the crates there are take names for UTF-8, and a file that
//! is called otherwise could be neither read nor written.

mod flow;
mod link;
mod trouble;
mod wire;

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use self::{
    flow::Flow,
    link::Link,
    wire::{Attrs, Reply, Request},
};
use super::Session;
use crate::{
    copy::{Details, pace::Pace},
    event::Failure,
};

pub use trouble::SftpError;

/// What a server takes in one request where it does not tell: 32 KiB is what every server must (draft, section 3).
const USUAL_PIECE: u32 = 32 * 1024;

/// The largest piece: what OpenSSH takes. Larger ones save little and cost memory.
const LARGEST_PIECE: u32 = 255 * 1024;

/// A server that is silent for so long with requests open is given up. A disk that spins up takes ten
/// seconds, a network file system that fails over a minute.
const SILENCE: Duration = Duration::from_secs(90);

/// A session with an instance's files. Paths are bytes; those that are relative are in the user's home.
pub struct Sftp {
    link: Link,
    piece: u32,
    flow: Flow,
}

impl std::fmt::Debug for Sftp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sftp")
    }
}

/// A file or folder that is open there.
#[derive(Debug, Clone)]
pub struct RemoteFile(Bytes);

/// What stands somewhere on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: FoundKind,
    /// What is known of it.
    pub details: Details,
    /// User and group.
    pub owner: Option<(u32, u32)>,
}

/// Kinds of what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundKind {
    /// A file, or what the server does not tell.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Special,
}

/// What a file is to become.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Last use and last change, in seconds since 1970.
    pub times: Option<(u32, u32)>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// Bytes.
    pub size: Option<u64>,
}

impl From<Change> for Attrs {
    fn from(change: Change) -> Self {
        Self { size: change.size, owner: change.owner, mode: change.mode, times: change.times }
    }
}

impl From<Attrs> for Found {
    fn from(attrs: Attrs) -> Self {
        // The type is in the mode, as stat(2) has it.
        let kind = match attrs.mode.map(|mode| mode & 0o170_000) {
            Some(0o040_000) => FoundKind::Folder,
            Some(0o120_000) => FoundKind::Link,
            Some(0o100_000 | 0) | None => FoundKind::File,
            Some(_) => FoundKind::Special,
        };
        Self { kind, details: attrs.details(), owner: attrs.owner }
    }
}

impl Session {
    /// Starts SFTP. At most `budget` bytes of files are under way at once.
    ///
    /// # Errors
    /// When the server has no SFTP, or speaks another one.
    pub async fn sftp(&self, budget: u32) -> Result<Sftp, Failure> {
        let (link, can_limit) = Link::open(self, budget).await?;
        let mut piece = USUAL_PIECE;
        if can_limit && let Ok(Reply::Extended(data)) = link.ask(&Request::Limits).await {
            let (read, write) = wire::limits(data).unwrap_or_default();
            let told = read.min(write).min(u64::from(LARGEST_PIECE));
            piece = u32::try_from(told).unwrap_or(USUAL_PIECE).max(USUAL_PIECE);
        }
        // One piece has to fit whatever the budget is.
        let piece = piece.min(budget.max(USUAL_PIECE));
        Ok(Sftp { link, piece, flow: Flow::new(Pace::new(piece, budget)) })
    }
}

impl Sftp {
    /// The most bytes that are read or written at once.
    #[must_use]
    pub fn piece(&self) -> u32 {
        self.piece
    }

    /// Leave to hold a piece in memory; waits while too many are under way.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.link.room(self.piece).await
    }

    /// What stands at a path; a link is a link.
    ///
    /// # Errors
    /// When nothing does, or it can't be told.
    pub async fn look(&self, path: &[u8]) -> Result<Found, SftpError> {
        self.attrs(&Request::Lstat(path)).await.map(Found::from)
    }

    /// What a path leads to, links followed.
    ///
    /// # Errors
    /// When that is nothing, or it can't be told.
    pub async fn follow(&self, path: &[u8]) -> Result<Found, SftpError> {
        self.attrs(&Request::Stat(path)).await.map(Found::from)
    }

    /// The path without links.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub async fn real_path(&self, path: &[u8]) -> Result<Bytes, SftpError> {
        match self.ask(&Request::RealPath(path)).await? {
            Reply::Names(names) => names
                .into_iter()
                .next()
                .map(|e| e.name)
                .ok_or_else(|| SftpError::confused("a path has no name")),
            _ => Err(unasked()),
        }
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn open(&self, path: &[u8]) -> Result<RemoteFile, SftpError> {
        self.handle(&Request::Open { path, flags: wire::READ, mode: None }).await
    }

    /// Makes a file that was not there, to be written and with at most this mode.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn create(&self, path: &[u8], mode: u32) -> Result<RemoteFile, SftpError> {
        self.handle(&Request::Open { path, flags: wire::NEW, mode: Some(mode) }).await
    }

    /// Opens a file that is there, to be read and written.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn reopen(&self, path: &[u8]) -> Result<RemoteFile, SftpError> {
        self.handle(&Request::Open { path, flags: wire::CHANGE, mode: None }).await
    }

    /// Reads so many bytes from a place on; fewer only where the file ends.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn read(&self, file: &RemoteFile, offset: u64, length: u32) -> Result<Bytes, SftpError> {
        let first = self.read_once(file, offset, length).await?;
        if first.len() == length as usize || first.is_empty() {
            return Ok(first);
        }
        let mut all = first.to_vec();
        loop {
            let got = u32::try_from(all.len()).unwrap_or(length);
            let more = self.read_once(file, offset + u64::from(got), length.saturating_sub(got)).await?;
            all.extend_from_slice(&more);
            if more.is_empty() || all.len() == length as usize {
                return Ok(all.into());
            }
        }
    }

    async fn read_once(&self, file: &RemoteFile, offset: u64, length: u32) -> Result<Bytes, SftpError> {
        match self.in_turn(&Request::Read { handle: &file.0, offset, length }, length).await? {
            Reply::Data(data) if data.len() > length as usize => {
                Err(SftpError::confused("it sends more than was asked for"))
            }
            Reply::Data(data) if data.is_empty() => Err(SftpError::confused("it sends nothing of a file")),
            Reply::Data(data) => Ok(data),
            // The end of the file.
            Reply::Status { code: 1, .. } => Ok(Bytes::new()),
            Reply::Status { code, message } => Err(SftpError::status(code, &message)),
            _ => Err(unasked()),
        }
    }

    /// Writes a piece to a place.
    ///
    /// # Errors
    /// When it was not written.
    pub async fn write(&self, file: &RemoteFile, offset: u64, data: &Bytes) -> Result<(), SftpError> {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let request = Request::Write { handle: &file.0, offset, data };
        Self::is_done(self.in_turn(&request, length).await?)
    }

    /// Changes a file that is open.
    ///
    /// # Errors
    /// When the server does not.
    pub async fn change(&self, file: &RemoteFile, change: Change) -> Result<(), SftpError> {
        self.done(&Request::SetHandle { handle: &file.0, attrs: &change.into() }).await
    }

    /// Changes what is at a path.
    ///
    /// # Errors
    /// When the server does not.
    pub async fn change_at(&self, path: &[u8], change: Change) -> Result<(), SftpError> {
        self.done(&Request::SetPath { path, attrs: &change.into() }).await
    }

    /// Brings a file onto the disk; nothing where the server can't (`fsync@openssh.com`).
    ///
    /// # Errors
    /// When that failed.
    pub async fn sync(&self, file: &RemoteFile) -> Result<(), SftpError> {
        if !self.link.can_sync() {
            return Ok(());
        }
        self.done(&Request::Sync(&file.0)).await
    }

    /// Closes what is open.
    ///
    /// # Errors
    /// When something written before was not.
    pub async fn close(&self, file: RemoteFile) -> Result<(), SftpError> {
        self.done(&Request::Close(&file.0)).await
    }

    /// Renames a file over what is there, in one step where the server can (`posix-rename@openssh.com`); else
    /// what is there goes first.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn replace(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        if self.link.can_replace() {
            return self.done(&Request::Replace { from, to }).await;
        }
        match self.done(&Request::Rename { from, to }).await {
            Err(SftpError::Refused(..)) => {
                self.remove(to).await?;
                self.done(&Request::Rename { from, to }).await
            }
            other => other,
        }
    }

    /// Renames to a name that nothing has.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        self.done(&Request::Rename { from, to }).await
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn remove(&self, path: &[u8]) -> Result<(), SftpError> {
        self.done(&Request::Remove(path)).await
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// When it can't be made, or is there.
    pub async fn make_folder(&self, path: &[u8], mode: Option<u32>) -> Result<(), SftpError> {
        self.done(&Request::MakeFolder { path, mode }).await
    }

    /// Opens a folder to be listed.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn open_folder(&self, path: &[u8]) -> Result<RemoteFile, SftpError> {
        self.handle(&Request::OpenFolder(path)).await
    }

    /// The next names in a folder, `.` and `..` among them; `None` at its end.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn list(&self, folder: &RemoteFile) -> Result<Option<Vec<(Bytes, Found)>>, SftpError> {
        match self.link.ask(&Request::ReadFolder(&folder.0)).await? {
            Reply::Names(names) if names.is_empty() => {
                Err(SftpError::confused("a folder goes on with nothing"))
            }
            Reply::Names(names) => Ok(Some(names.into_iter().map(|e| (e.name, e.attrs.into())).collect())),
            Reply::Status { code: 1, .. } => Ok(None),
            Reply::Status { code, message } => Err(SftpError::status(code, &message)),
            _ => Err(unasked()),
        }
    }

    async fn ask(&self, request: &Request<'_>) -> Result<Reply, SftpError> {
        match self.link.ask(request).await? {
            Reply::Status { code, message } => Err(SftpError::status(code, &message)),
            reply => Ok(reply),
        }
    }

    async fn done(&self, request: &Request<'_>) -> Result<(), SftpError> {
        Self::is_done(self.link.ask(request).await?)
    }

    /// Asks for bytes of a file, or sends them, when that is not too much at once.
    async fn in_turn(&self, request: &Request<'_>, bytes: u32) -> Result<Reply, SftpError> {
        let turn = self.flow.turn(bytes).await;
        let started = Instant::now();
        let reply = self.link.ask(request).await?;
        self.flow.answered(turn, started.elapsed(), self.link.fastest());
        Ok(reply)
    }

    fn is_done(reply: Reply) -> Result<(), SftpError> {
        match reply {
            Reply::Status { code: 0, .. } => Ok(()),
            Reply::Status { code, message } => Err(SftpError::status(code, &message)),
            _ => Err(unasked()),
        }
    }

    async fn handle(&self, request: &Request<'_>) -> Result<RemoteFile, SftpError> {
        match self.ask(request).await? {
            Reply::Handle(handle) => Ok(RemoteFile(handle)),
            _ => Err(unasked()),
        }
    }

    async fn attrs(&self, request: &Request<'_>) -> Result<Attrs, SftpError> {
        match self.ask(request).await? {
            Reply::Attrs(attrs) => Ok(attrs),
            _ => Err(unasked()),
        }
    }
}

fn unasked() -> SftpError {
    SftpError::confused("an answer belongs to another question")
}
