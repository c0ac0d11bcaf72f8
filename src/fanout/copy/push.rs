//! Files to an instance.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, FuturesUnordered},
};

use super::{
    Copying, FILES_AT_ONCE, Source, Trouble, blocking,
    transfer::{Piece, READ_AHEAD, unreadable},
};
use crate::{
    copy::{
        Details, Tag, is_temporary_of,
        request::{base_name, join, parent},
        temporary_name,
    },
    event::{Failure, Stage},
    ssh::sftp::{Change, Found, FoundKind, RemoteFile, SftpError},
    tree::{self, Item, ItemKind, LocalFile},
};

/// A file where it is not whole yet.
struct Temporary {
    path: Vec<u8>,
    file: RemoteFile,
    /// So much of it is there already.
    length: u64,
}

impl Copying<'_> {
    pub(super) async fn push(&self, sources: &[Arc<Source>], to: &[u8]) -> Result<(), Failure> {
        let size = sources.iter().flat_map(|s| &s.listing.items).map(file_size).sum();
        self.job.watch.planned(self.index, size);
        let into = self.folder_there(to, sources.len()).await.map_err(Trouble::failure)?;
        for source in sources {
            let target = match &source.name {
                Some(name) if into => join(to, name),
                _ => to.to_vec(),
            };
            for path in &source.listing.skipped {
                self.skip(&path.to_string_lossy(), "a link or no file").await;
            }
            self.push_source(source, &target).await?;
        }
        Ok(())
    }

    /// Whether the destination is a folder; made, where it is written as one.
    async fn folder_there(&self, to: &[u8], sources: usize) -> Result<bool, Trouble> {
        match self.sftp.follow(to).await {
            Ok(Found { kind: FoundKind::Folder, .. }) => Ok(true),
            Err(SftpError::Missing) if to.ends_with(b"/") => {
                self.make_folders(to).await.map_err(|error| Trouble::there(error, to))?;
                Ok(true)
            }
            Ok(_) | Err(SftpError::Missing) if sources > 1 || to.ends_with(b"/") => {
                let failure = Failure::new(Stage::Copy, "the destination is no folder there");
                let hint = "several files go into a folder: write a `/` behind it, and it is made";
                Err(Trouble::File(failure.with_hint(hint)))
            }
            Ok(_) | Err(SftpError::Missing) => Ok(false),
            Err(error) => Err(Trouble::there(error, to)),
        }
    }

    /// Makes a folder and those above it.
    async fn make_folders(&self, path: &[u8]) -> Result<(), SftpError> {
        let ends = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0).map(|(at, _)| at);
        let mut made = Ok(());
        for end in ends {
            // Those that are there refuse; what matters is the last one.
            made = self.sftp.make_folder(path.get(..end).unwrap_or(path), None).await;
        }
        match self.sftp.follow(path).await {
            Ok(Found { kind: FoundKind::Folder, .. }) => Ok(()),
            _ => made,
        }
    }

    async fn push_source(&self, source: &Source, target: &[u8]) -> Result<(), Failure> {
        self.push_folders(source, target).await?;
        let mut running = FuturesUnordered::new();
        for item in &source.listing.items {
            if item.kind != ItemKind::File {
                continue;
            }
            if running.len() >= FILES_AT_ONCE
                && let Some(done) = running.next().await
            {
                self.settle(done).await?;
            }
            running.push(self.push_file(item, place(item, target)));
        }
        while let Some(done) = running.next().await {
            self.settle(done).await?;
        }
        if self.job.manner.preserve.is_wished() {
            // The innermost first: what is written into a folder changes its times.
            for item in source.listing.items.iter().rev() {
                if item.kind == ItemKind::Folder {
                    let place = place(item, target);
                    let set = self.sftp.change_at(&place, preserved(&item.details)).await;
                    self.settle_folder(set.map_err(|error| Trouble::there(error, &place))).await?;
                }
            }
        }
        Ok(())
    }

    async fn push_folders(&self, source: &Source, target: &[u8]) -> Result<(), Failure> {
        for item in &source.listing.items {
            if item.kind != ItemKind::Folder {
                continue;
            }
            // To be written to until all is there.
            let mode = item.details.mode.map(|mode| mode & 0o777 | 0o700);
            let place = place(item, target);
            if let Err(error) = self.sftp.make_folder(&place, mode).await
                && !matches!(self.sftp.follow(&place).await, Ok(Found { kind: FoundKind::Folder, .. }))
            {
                self.settle_folder(Err(Trouble::there(error, &place))).await?;
            }
        }
        Ok(())
    }

    async fn settle_folder(&self, ended: Result<(), Trouble>) -> Result<(), Failure> {
        match ended {
            Ok(()) => Ok(()),
            ended => self.settle(ended).await,
        }
    }

    async fn push_file(&self, item: &Item, target: Vec<u8>) -> Result<(), Trouble> {
        let path = item.path.clone();
        let file = blocking(move || LocalFile::open(&path)).await.map_err(|e| here(&item.path, &e))?;
        let file = Arc::new(file);
        let (target, there) = self.standing(target).await?;
        let temporary = self.temporary(&target, &item.details, &file).await?;
        let done = self.fill(&temporary, item, file, there, &target).await;
        if let Err(Trouble::File(_)) = &done {
            // The way is there still: nothing is left behind.
            let _ = self.sftp.remove(&temporary.path).await;
        }
        done
    }

    /// What is there already, at the end of a link where there is one.
    async fn standing(&self, target: Vec<u8>) -> Result<(Vec<u8>, Option<Found>), Trouble> {
        let at = |error| Trouble::there(error, &target);
        let found = match self.sftp.look(&target).await {
            Err(SftpError::Missing) => return Ok((target, None)),
            found => found.map_err(at)?,
        };
        match found.kind {
            FoundKind::File => Ok((target, Some(found))),
            FoundKind::Link => {
                let Ok(end) = self.sftp.follow(&target).await else { return Ok((target, None)) };
                if end.kind != FoundKind::File {
                    return Err(in_the_way(&target));
                }
                Ok((self.sftp.real_path(&target).await.map_err(at)?.to_vec(), Some(end)))
            }
            FoundKind::Folder | FoundKind::Special => Err(in_the_way(&target)),
        }
    }

    async fn temporary(
        &self,
        target: &[u8],
        details: &Details,
        file: &Arc<LocalFile>,
    ) -> Result<Temporary, Trouble> {
        let at = |error| Trouble::there(error, target);
        let name = base_name(target).unwrap_or(target);
        let (folder, tag) = (parent(target), Tag::of(name, details));
        let path = join(folder, &temporary_name(name, &tag, rand::random()));
        if self.job.manner.resume.is_wished()
            && let Some(left) = self.left_behind(folder, name, &tag).await.map_err(at)?
        {
            // A run that goes on with it takes it away from all others.
            self.sftp.rename(&join(folder, &left), &path).await.map_err(at)?;
            let remote = self.sftp.reopen(&path).await.map_err(at)?;
            let length = self.equal_start(&path, &remote, file, details.size).await?;
            return Ok(Temporary { path, file: remote, length });
        }
        // Never looser than it will be, and always to be written by its owner.
        let mode = details.mode.unwrap_or(0o644) & 0o777 | 0o600;
        let remote = self.sftp.create(&path, mode).await.map_err(at)?;
        Ok(Temporary { path, file: remote, length: 0 })
    }

    async fn left_behind(&self, folder: &[u8], name: &[u8], tag: &Tag) -> Result<Option<Bytes>, SftpError> {
        let handle = self.sftp.open_folder(folder).await?;
        let mut found: Option<(u64, Bytes)> = None;
        while let Some(entries) = self.sftp.list(&handle).await? {
            for (entry, there) in entries {
                let size = there.details.size;
                let longer = found.as_ref().is_none_or(|(longest, _)| size > *longest);
                if longer && there.kind == FoundKind::File && is_temporary_of(&entry, name, tag) {
                    found = Some((size, entry));
                }
            }
        }
        self.sftp.close(handle).await?;
        Ok(found.map(|(_, name)| name))
    }

    /// How much of what is there is what belongs there, byte for byte.
    async fn equal_start(
        &self,
        path: &[u8],
        remote: &RemoteFile,
        file: &Arc<LocalFile>,
        size: u64,
    ) -> Result<u64, Trouble> {
        let at = |error| Trouble::there(error, path);
        let there = self.sftp.look(path).await.map_err(at)?.details.size;
        let mut equal = 0;
        let mut pieces = std::pin::pin!(self.pieces(remote, 0, there.min(size)));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(at)?.data;
            let (file, place, length) = (file.clone(), equal, piece.len());
            let own =
                blocking(move || tree::read_at(&file, place, length)).await.map_err(|e| unreadable(&e))?;
            let same = own.iter().zip(piece.iter()).take_while(|(a, b)| a == b).count();
            equal += same as u64;
            if same < length {
                break;
            }
        }
        if there > equal {
            let cut = Change { size: Some(equal), ..Change::default() };
            self.sftp.change(remote, cut).await.map_err(at)?;
        }
        self.job.watch.moved(self.index, equal);
        Ok(equal)
    }

    async fn fill(
        &self,
        temporary: &Temporary,
        item: &Item,
        file: Arc<LocalFile>,
        there: Option<Found>,
        target: &[u8],
    ) -> Result<(), Trouble> {
        let at = |error| Trouble::there(error, target);
        self.write(temporary, &file, item, target).await?;
        let change = if self.job.manner.preserve.is_wished() {
            Some(preserved(&item.details))
        } else {
            // What is replaced keeps its mode.
            there.map(|there| Change { mode: there.details.mode, ..Change::default() })
        };
        let owner = there.and_then(|there| there.owner);
        let remote = &temporary.file;
        let (owned, changed, synced) = tokio::join!(
            // Only root may, and nobody else needs to: its own file is its own.
            async {
                if owner.is_some() {
                    drop(self.sftp.change(remote, Change { owner, ..Change::default() }).await);
                }
            },
            async {
                match change {
                    Some(change) => self.sftp.change(remote, change).await,
                    None => Ok(()),
                }
            },
            self.sftp.sync(remote),
        );
        let () = owned;
        changed.and(synced).map_err(at)?;
        self.sftp.close(remote.clone()).await.map_err(at)?;
        if self.job.manner.verify.is_wished() {
            self.verify(&temporary.path, file, item.details.size).await?;
        }
        self.sftp.replace(&temporary.path, target).await.map_err(at)
    }

    /// Writes what is not there yet: read ahead in order, then as many pieces under way as there is room for.
    async fn write(
        &self,
        temporary: &Temporary,
        file: &Arc<LocalFile>,
        item: &Item,
        target: &[u8],
    ) -> Result<(), Trouble> {
        let read = |(place, length): (u64, u32)| async move {
            let room = self.sftp.room().await;
            let file = file.clone();
            let data = blocking(move || tree::read_at(&file, place, length as usize)).await;
            let data = data.map_err(|error| here(&item.path, &error))?;
            if data.len() < length as usize {
                let failure = Failure::new(
                    Stage::Copy,
                    format!("{} became shorter while it was copied", shown(&item.path)),
                );
                return Err(Trouble::File(failure.with_hint("it is being written here: try again")));
            }
            Ok((place, Piece { data: data.into(), _room: room }))
        };
        let send = |(place, piece): (u64, Piece)| async move {
            self.sftp
                .write(&temporary.file, place, &piece.data)
                .await
                .map_err(|e| Trouble::there(e, target))?;
            self.job.watch.moved(self.index, piece.data.len() as u64);
            Ok(())
        };
        let pieces =
            stream::iter(self.cuts(temporary.length, item.details.size)).map(read).buffered(READ_AHEAD);
        pieces.map_ok(send).try_buffer_unordered(self.depth()).try_collect::<()>().await
    }
}

fn place(item: &Item, target: &[u8]) -> Vec<u8> {
    if item.below.is_empty() { target.to_vec() } else { join(target, &item.below) }
}

fn file_size(item: &Item) -> u64 {
    match item.kind {
        ItemKind::File => item.details.size,
        ItemKind::Folder => 0,
    }
}

fn preserved(details: &Details) -> Change {
    Change { mode: details.mode, times: details.accessed.zip(details.modified), ..Change::default() }
}

fn in_the_way(path: &[u8]) -> Trouble {
    let error = SftpError::Refused("a folder or no file is in the way there".into(), None);
    Trouble::there(error, path)
}

fn shown(path: &Path) -> String {
    crate::clean::clean_line(&path.to_string_lossy())
}

fn here(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::File(Failure::new(Stage::Copy, format!("can't be read here: {}: {error}", shown(path))))
}
