//! What is open, and the answer to each request.

use std::{collections::HashMap, fs::File, io, os::unix::fs::FileExt as _, path::Path};

use super::{
    folder::{self, Folder},
    wire::{Attrs, Entry, LONGEST_PACKET, OpenFlags, Reply, Request, Status},
};
use crate::lab::USER;

/// Files and folders open at once. A client has a few of each; each takes one of the lab's file handles.
const MAX_OPEN: usize = 64;

/// Entries of a folder in one reply: OpenSSH's. With the longest names they fit into a packet.
const ENTRIES: usize = 100;

/// The most that is read at once: a packet's room without its head (OpenSSH's figure).
const LONGEST_READ: usize = LONGEST_PACKET - 1024;

/// An instance's files, as one client works on them.
pub(in super::super) struct Files {
    folder: Folder,
    open: HashMap<u32, Open>,
    next: u32,
}

/// What a handle stands for.
enum Open {
    File { file: File, flags: OpenFlags },
    Folder(cap_std::fs::ReadDir),
}

/// Why a request was not granted.
enum Refused {
    By(io::Error),
    With(Status),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::By(error)
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::With(status) => status,
            Refused::By(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoSuchFile,
                io::ErrorKind::PermissionDenied => Self::PermissionDenied,
                _ => Self::Failure,
            },
        }
    }
}

impl Files {
    /// Opens an instance's folder.
    pub(in super::super) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: Folder::open(folder)?, open: HashMap::new(), next: 0 })
    }

    /// Does what is asked for. Blocks while the file system does.
    pub(super) fn answer(&mut self, request: Request) -> Reply {
        self.granted(request).unwrap_or_else(|refused| Reply::Status(refused.into()))
    }

    fn granted(&mut self, request: Request) -> Result<Reply, Refused> {
        let folder = &self.folder;
        match request {
            Request::Hello => return Ok(Reply::Version),
            Request::Limits => {
                return Ok(Reply::Limits(
                    [LONGEST_PACKET, LONGEST_READ, LONGEST_READ, MAX_OPEN].map(|n| n as u64),
                ));
            }
            Request::Unknown => return Err(Refused::With(Status::Unsupported)),
            Request::Open { path, flags, attrs } => {
                self.room()?;
                let file = self.folder.open_file(&path, flags, &attrs)?;
                return Ok(self.keep(Open::File { file, flags }));
            }
            Request::OpenFolder(path) => {
                self.room()?;
                let entries = self.folder.list(&path)?;
                return Ok(self.keep(Open::Folder(entries)));
            }
            Request::Close(handle) => {
                number(&handle)
                    .and_then(|number| self.open.remove(&number))
                    .ok_or(Refused::With(Status::Failure))?;
            }
            Request::Read { handle, offset, length } => return read(self.file(&handle)?.0, offset, length),
            Request::Write { handle, offset, data } => write(self.file(&handle)?, offset, &data)?,
            Request::StatOpen(handle) => return Ok(Reply::Attrs(folder::stat_open(self.file(&handle)?.0)?)),
            Request::ChangeOpen { handle, attrs } => folder::change(self.file(&handle)?.0, &attrs)?,
            Request::Sync(handle) => self.file(&handle)?.0.sync_all()?,
            Request::ReadFolder(handle) => return self.read_folder(&handle),
            Request::Lstat(path) => return Ok(Reply::Attrs(folder.lstat(&path)?)),
            Request::Stat(path) => return Ok(Reply::Attrs(folder.stat(&path)?)),
            Request::RealPath(path) => return Ok(name(folder.real_path(&path)?)),
            Request::ReadLink(path) => return Ok(name(folder.read_link(&path)?)),
            Request::Change { path, attrs } => folder.change(&path, &attrs)?,
            Request::Remove(path) => folder.remove(&path)?,
            Request::MakeFolder { path, attrs } => folder.make_folder(&path, &attrs)?,
            Request::RemoveFolder(path) => folder.remove_folder(&path)?,
            Request::Rename { from, to } => folder.rename(&from, &to)?,
            Request::Replace { from, to } => folder.replace(&from, &to)?,
            Request::Link { target, path } => folder.link(&target, &path)?,
        }
        Ok(Reply::Status(Status::Ok))
    }

    fn room(&self) -> Result<(), Refused> {
        if self.open.len() < MAX_OPEN { Ok(()) } else { Err(Refused::With(Status::Failure)) }
    }

    fn keep(&mut self, open: Open) -> Reply {
        // Comes round after four thousand million; what is open then has been open for days.
        while self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let handle = self.next;
        self.next = handle.wrapping_add(1);
        self.open.insert(handle, open);
        Reply::Handle(handle)
    }

    fn file(&self, handle: &[u8]) -> Result<(&File, OpenFlags), Refused> {
        match number(handle).and_then(|number| self.open.get(&number)) {
            Some(Open::File { file, flags }) => Ok((file, *flags)),
            _ => Err(Refused::With(Status::Failure)),
        }
    }

    fn read_folder(&mut self, handle: &[u8]) -> Result<Reply, Refused> {
        let Some(Open::Folder(entries)) = number(handle).and_then(|number| self.open.get_mut(&number)) else {
            return Err(Refused::With(Status::Failure));
        };
        let mut listed = Vec::new();
        for entry in entries.take(ENTRIES) {
            let entry = entry?;
            let name = std::os::unix::ffi::OsStringExt::into_vec(entry.file_name());
            // One that went in between is left out.
            if let Ok(metadata) = entry.metadata() {
                let attrs = folder::attrs(&metadata);
                listed.push(Entry { line: line(&name, &attrs), name, attrs });
            }
        }
        if listed.is_empty() { Err(Refused::With(Status::Eof)) } else { Ok(Reply::Names(listed)) }
    }
}

/// The number of a handle.
fn number(handle: &[u8]) -> Option<u32> {
    handle.try_into().ok().map(u32::from_be_bytes)
}

fn read(file: &File, offset: u64, length: u32) -> Result<Reply, Refused> {
    let mut data = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(LONGEST_READ)];
    let wanted = data.len();
    let read = file.read_at(&mut data, offset)?;
    if read == 0 && wanted > 0 {
        return Err(Refused::With(Status::Eof));
    }
    data.truncate(read);
    Ok(Reply::Data(data))
}

fn write((file, flags): (&File, OpenFlags), offset: u64, data: &[u8]) -> io::Result<()> {
    if flags.has(OpenFlags::APPEND) {
        let mut file = file;
        return io::Write::write_all(&mut file, data);
    }
    file.write_all_at(data, offset)
}

/// The reply to what asks for one name.
fn name(name: Vec<u8>) -> Reply {
    Reply::Names(vec![Entry { line: name.clone(), name, attrs: Attrs::default() }])
}

/// A line as `ls -l` prints it, without the date: everything here belongs to the one user.
fn line(name: &[u8], attrs: &Attrs) -> Vec<u8> {
    let mode = attrs.mode.unwrap_or(0);
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        _ => '-',
    };
    let bits = "rwxrwxrwx".chars().zip((0..9).rev());
    let bits: String = bits.map(|(letter, bit)| if mode >> bit & 1 == 1 { letter } else { '-' }).collect();
    let size = attrs.size.unwrap_or(0);
    let mut line = format!("{kind}{bits}    1 {USER} {USER} {size:>12} ").into_bytes();
    line.extend_from_slice(name);
    line
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn handles_that_are_none_and_too_many_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let mut files = Files::open(&parent.path().join("home")).unwrap();
        let failure = Reply::Status(Status::Failure);
        for handle in [&b""[..], &[0, 0, 0, 7], &[1; 300]] {
            let handle = Bytes::copy_from_slice(handle);
            assert_eq!(files.answer(Request::Read { handle: handle.clone(), offset: 0, length: 9 }), failure);
            assert_eq!(files.answer(Request::ReadFolder(handle.clone())), failure);
            assert_eq!(files.answer(Request::Close(handle)), failure);
        }
        let open = || Request::OpenFolder(Bytes::from_static(b"."));
        for _ in 0..MAX_OPEN {
            assert!(matches!(files.answer(open()), Reply::Handle(_)));
        }
        assert_eq!(files.answer(open()), failure);
        files.answer(Request::Close(Bytes::from_static(&[0; 4])));
        assert!(matches!(files.answer(open()), Reply::Handle(_)));
        assert_eq!(files.answer(Request::Unknown), Reply::Status(Status::Unsupported));
    }

    #[test]
    fn a_line_looks_like_that_of_ls() {
        let attrs = Attrs { size: Some(5), mode: Some(0o100_640), ..Attrs::default() };
        let line = String::from_utf8(line(b"x", &attrs)).unwrap();
        assert_eq!(line, "-rw-r-----    1 azureuser azureuser            5 x");
    }
}
