//! Pieces of files on their way, and what both directions do with them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::{Copying, Trouble, blocking};
use crate::{
    event::{Failure, Stage},
    ssh::sftp::{RemoteFile, SftpError},
    tree::{self, LocalFile},
};

/// Requests of one file under way; the share of the instance bounds them as well.
const MOST_PIECES: usize = 160;

/// Pieces that are read from the disk ahead of the connection.
pub(super) const READ_AHEAD: usize = 4;

/// A piece, and the leave to hold it in memory.
pub(super) struct Piece {
    pub(super) data: Bytes,
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

impl Copying<'_> {
    /// How many pieces of one file may be under way.
    pub(super) fn depth(&self) -> usize {
        usize::try_from(self.job.share / self.sftp.piece()).unwrap_or(1).clamp(1, MOST_PIECES)
    }

    /// Where pieces start and how long they are.
    pub(super) fn cuts(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u32)> + use<> {
        let piece = self.sftp.piece();
        let step = usize::try_from(piece).unwrap_or(usize::MAX);
        (from..to).step_by(step).map(move |at| (at, u32::try_from(to - at).unwrap_or(piece).min(piece)))
    }

    /// The pieces of a file there, in order. One that is shorter than it should be is an error.
    pub(super) fn pieces<'s>(
        &'s self,
        file: &'s RemoteFile,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = Result<Piece, SftpError>> + 's {
        let read = move |(at, length): (u64, u32)| async move {
            let room = self.sftp.room().await;
            let data = self.sftp.read(file, at, length).await?;
            if data.len() < length as usize {
                return Err(SftpError::Refused(
                    "it became shorter while it was read".into(),
                    Some("it is being written there: try again"),
                ));
            }
            Ok(Piece { data, _room: room })
        };
        stream::iter(self.cuts(from, to)).map(read).buffered(self.depth())
    }

    /// Reads both sides again and compares them, as SHA-256 of each.
    pub(super) async fn verify(
        &self,
        remote: &[u8],
        local: Arc<LocalFile>,
        size: u64,
    ) -> Result<(), Trouble> {
        let there = |error| Trouble::there(error, remote);
        let file = self.sftp.open(remote).await.map_err(there)?;
        let mut hash = Sha256::new();
        let mut pieces = std::pin::pin!(self.pieces(&file, 0, size));
        while let Some(piece) = pieces.next().await {
            hash.update(&piece.map_err(there)?.data);
        }
        self.sftp.close(file.clone()).await.map_err(there)?;
        let piece = self.sftp.piece() as usize;
        let here = blocking(move || local_hash(&local, size, piece)).await;
        let here = here.map_err(|error| unreadable(&error))?;
        if here == hash.finalize().to_vec() {
            return Ok(());
        }
        let failure = Failure::new(Stage::Copy, "what arrived is not what was sent: the checksums differ");
        Err(Trouble::File(
            failure.with_hint("the file changed meanwhile, or a disk or memory is failing: try again"),
        ))
    }
}

fn local_hash(file: &LocalFile, size: u64, piece: usize) -> std::io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    let mut at = 0;
    while at < size {
        let data = tree::read_at(file, at, piece.min(usize::try_from(size - at).unwrap_or(piece)))?;
        if data.is_empty() {
            break;
        }
        at += data.len() as u64;
        hash.update(&data);
    }
    Ok(hash.finalize().to_vec())
}

/// A local file could not be read.
pub(super) fn unreadable(error: &std::io::Error) -> Trouble {
    Trouble::File(Failure::new(Stage::Copy, format!("can't be read here: {error}")))
}
