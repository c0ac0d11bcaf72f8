//! Files from an instance. What it says of them is not trusted: names are names and no paths, and links are
//! never made or followed.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use super::{Copying, FILES_AT_ONCE, Trouble, blocking};
use crate::{
    clean::clean_line,
    copy::{Details, Tag, is_safe_name, request::join},
    event::{Failure, Stage},
    ssh::sftp::{Found, FoundKind, RemoteFile},
    tree::{self, Arrival, from_bytes, to_bytes},
};

/// Names that are taken from one instance: ten times what a large source tree has. A server can go on for ever.
const MOST_NAMES: usize = 1_000_000;

/// Folders within folders; paths end at 4 KiB on most systems.
const DEEPEST: usize = 256;

/// What is read of a file whose size is 0, as those of /proc are.
const MOST_UNSIZED: u64 = 16 << 20;

/// What is compared at the end of a partial file before it is gone on with.
const COMPARED: u64 = 1 << 20;

/// A file or folder there, and where it goes.
struct Wanted {
    remote: Vec<u8>,
    local: PathBuf,
    details: Details,
    depth: usize,
}

impl Copying<'_> {
    pub(super) async fn pull(&self, from: &[Vec<u8>], to: &[PathBuf]) -> Result<(), Failure> {
        for (remote, local) in from.iter().zip(to) {
            let done = self.pull_source(remote, local).await;
            match done {
                Err(Trouble::File(failure)) => self.fail(failure).await,
                other => other.map_err(Trouble::failure)?,
            }
        }
        Ok(())
    }

    async fn pull_source(&self, remote: &[u8], local: &Path) -> Result<(), Trouble> {
        let found = self.sftp.follow(remote).await.map_err(|error| Trouble::there(error, remote))?;
        let wanted =
            Wanted { remote: remote.to_vec(), local: local.to_owned(), details: found.details, depth: 0 };
        match found.kind {
            FoundKind::Folder if self.job.manner.folders.is_wished() => {
                self.pull_folders(wanted).await.map_err(Trouble::Session)
            }
            FoundKind::Folder => {
                let failure = Failure::new(Stage::Copy, format!("a folder: {}", shown(remote)));
                Err(Trouble::File(failure.with_hint("copy it with all that is in it: `-r`")))
            }
            FoundKind::File => {
                self.job.watch.planned(self.index, found.details.size);
                let done = self.pull_file(&wanted).await;
                self.settle(done).await.map_err(Trouble::Session)
            }
            FoundKind::Link | FoundKind::Special => {
                Err(Trouble::File(Failure::new(Stage::Copy, format!("no file: {}", shown(remote)))))
            }
        }
    }

    async fn pull_folders(&self, root: Wanted) -> Result<(), Failure> {
        let (mut waiting, mut names, mut made) = (vec![root], 0, Vec::new());
        while let Some(folder) = waiting.pop() {
            let path = folder.local.clone();
            let is_root = folder.depth == 0;
            let done = blocking(move || {
                // The one that the person named may be a link of theirs.
                if is_root && path.is_dir() { Ok(false) } else { tree::make_folder(&path) }
            })
            .await;
            let listed = match done {
                Ok(_) => self.pull_folder(&folder, &mut waiting, &mut names).await,
                Err(error) => Err(error.into()),
            };
            match listed {
                Ok(()) => made.push((folder.local, folder.details)),
                Err(Trouble::Session(failure)) => return Err(failure),
                Err(Trouble::File(failure)) => self.fail(failure).await,
            }
        }
        if self.job.manner.preserve.is_wished() {
            let set = blocking(move || {
                // The innermost first: what is written into a folder changes its times.
                made.iter().rev().try_for_each(|(path, details)| tree::set_details(path, details))
            });
            if let Err(error) = set.await {
                self.fail(Trouble::from(error).failure()).await;
            }
        }
        Ok(())
    }

    /// Takes the files of one folder, list by list, so that the number of them is no matter.
    async fn pull_folder(
        &self,
        folder: &Wanted,
        waiting: &mut Vec<Wanted>,
        names: &mut usize,
    ) -> Result<(), Trouble> {
        let at = |error| Trouble::there(error, &folder.remote);
        let handle = self.sftp.open_folder(&folder.remote).await.map_err(at)?;
        while let Some(entries) = self.sftp.list(&handle).await.map_err(at)? {
            *names += entries.len();
            if *names > MOST_NAMES || folder.depth > DEEPEST {
                let failure = Failure::new(Stage::Copy, "the folder there has no end");
                let hint = "more than a million names, or folders 256 deep: copy parts of it, or what `tar` makes of it";
                return Err(Trouble::Session(failure.with_hint(hint)));
            }
            let mut files = Vec::new();
            for (name, found) in entries {
                match self.entry(folder, &name, found).await {
                    Some((FoundKind::Folder, wanted)) => waiting.push(wanted),
                    Some((_, wanted)) => files.push(wanted),
                    None => {}
                }
            }
            self.job
                .watch
                .planned(self.index, files.iter().fold(0, |all: u64, f| all.saturating_add(f.details.size)));
            self.pull_files(&files).await.map_err(Trouble::Session)?;
        }
        self.sftp.close(handle).await.map_err(at)
    }

    async fn pull_files(&self, files: &[Wanted]) -> Result<(), Failure> {
        let mut running = FuturesUnordered::new();
        for file in files {
            if running.len() >= FILES_AT_ONCE
                && let Some(done) = running.next().await
            {
                self.settle(done).await?;
            }
            running.push(self.pull_file(file));
        }
        while let Some(done) = running.next().await {
            self.settle(done).await?;
        }
        Ok(())
    }

    /// What is to be done with an entry of a folder: nothing, where it is not to be let in.
    async fn entry(&self, folder: &Wanted, name: &Bytes, found: Found) -> Option<(FoundKind, Wanted)> {
        if matches!(&name[..], b"." | b"..") {
            return None;
        }
        let remote = join(&folder.remote, name);
        let Some(local) = is_safe_name(name).then(|| from_bytes(name)).flatten() else {
            let failure =
                Failure::new(Stage::Copy, format!("a name that is no name of a file here: {}", shown(name)));
            self.fail(failure.with_hint(
                "the instance may be hostile; what is rightly called so can be packed with `tar`",
            ))
            .await;
            return None;
        };
        match found.kind {
            FoundKind::File | FoundKind::Folder => {
                let local = folder.local.join(local);
                Some((found.kind, Wanted { remote, local, details: found.details, depth: folder.depth + 1 }))
            }
            FoundKind::Link => {
                self.skip(&shown(&remote), "a symbolic link").await;
                None
            }
            FoundKind::Special => {
                self.skip(&shown(&remote), "no file").await;
                None
            }
        }
    }

    async fn pull_file(&self, wanted: &Wanted) -> Result<(), Trouble> {
        let at = |error| Trouble::there(error, &wanted.remote);
        let file = self.sftp.open(&wanted.remote).await.map_err(at)?;
        let name = wanted.local.file_name().map(|name| to_bytes(name).into_owned()).unwrap_or_default();
        let tag = Tag::of(&name, &wanted.details);
        let (path, random) = (wanted.local.clone(), rand::random());
        let (mode, resume) = (wanted.details.mode.unwrap_or(0o644), self.job.manner.resume.is_wished());
        let arrival = blocking(move || Arrival::start(&path, &tag, random, mode, resume)).await?;
        let arrival = self.go_on(wanted, &file, arrival).await?;
        match self.take(wanted, &file, arrival).await {
            Ok(arrival) => {
                self.sftp.close(file).await.map_err(at)?;
                let keep = self.job.manner.preserve.is_wished().then_some(wanted.details);
                Ok(blocking(move || arrival.finish(keep.as_ref())).await?)
            }
            Err((arrival, trouble)) => {
                if let Trouble::File(_) = &trouble {
                    blocking(move || arrival.discard()).await;
                    let _ = self.sftp.close(file).await;
                }
                Err(trouble)
            }
        }
    }

    /// Whether what an earlier run left ends as the file there goes on; else it starts anew.
    async fn go_on(
        &self,
        wanted: &Wanted,
        file: &RemoteFile,
        mut arrival: Arrival,
    ) -> Result<Arrival, Trouble> {
        let length = arrival.length();
        if length == 0 {
            return Ok(arrival);
        }
        let start = length.saturating_sub(COMPARED);
        let mut same = length <= wanted.details.size;
        let mut place = start;
        let mut pieces = std::pin::pin!(self.pieces(file, start, if same { length } else { start }));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Trouble::there(error, &wanted.remote))?.data;
            let (own, from, count) = (arrival.file().clone(), place, piece.len());
            let own = blocking(move || tree::read_at(&own, from, count)).await;
            same &= own.is_ok_and(|own| own == piece);
            place += count as u64;
        }
        if !same {
            return Ok(blocking(move || arrival.cut(0).map(|()| arrival)).await?);
        }
        self.job.watch.moved(self.index, length);
        Ok(arrival)
    }

    /// Takes what is missing.
    async fn take(
        &self,
        wanted: &Wanted,
        file: &RemoteFile,
        mut arrival: Arrival,
    ) -> Result<Arrival, (Arrival, Trouble)> {
        let size = wanted.details.size;
        let mut pieces = std::pin::pin!(self.pieces(file, arrival.length(), size));
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Err((arrival, Trouble::there(error, &wanted.remote))),
            };
            arrival = self.add(arrival, piece.data).await?;
        }
        while size == 0 && arrival.length() < MOST_UNSIZED {
            match self.sftp.read(file, arrival.length(), self.sftp.piece()).await {
                Ok(data) if data.is_empty() => break,
                Ok(data) => arrival = self.add(arrival, data).await?,
                Err(error) => return Err((arrival, Trouble::there(error, &wanted.remote))),
            }
        }
        if size == 0 && arrival.length() >= MOST_UNSIZED {
            let failure =
                Failure::new(Stage::Copy, format!("a file of no size has no end: {}", shown(&wanted.remote)));
            return Err((arrival, Trouble::File(failure)));
        }
        if self.job.manner.verify.is_wished()
            && let Err(trouble) = self.verify(&wanted.remote, arrival.file().clone(), arrival.length()).await
        {
            return Err((arrival, trouble));
        }
        Ok(arrival)
    }

    async fn add(&self, mut arrival: Arrival, data: Bytes) -> Result<Arrival, (Arrival, Trouble)> {
        let count = data.len() as u64;
        let (arrival, written) = blocking(move || {
            let written = arrival.write(&data);
            (arrival, written)
        })
        .await;
        match written {
            Ok(()) => {
                self.job.watch.moved(self.index, count);
                Ok(arrival)
            }
            Err(error) => Err((arrival, error.into())),
        }
    }
}

fn shown(path: &[u8]) -> String {
    clean_line(&String::from_utf8_lossy(path))
}
