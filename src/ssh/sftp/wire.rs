//! The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), and what OpenSSH adds to them (PROTOCOL
//! section 4). Names are bytes: a file may be called what is no UTF-8.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::copy::Details;

/// The version that OpenSSH and nearly everybody speaks.
pub(super) const VERSION: u32 = 3;

/// Most bytes of a packet that are taken from a server: OpenSSH's own limit (SFTP_MAX_MSG_LENGTH).
pub(super) const LONGEST_PACKET: usize = 256 * 1024;

/// Bytes of the length in front of every packet.
pub(super) const LENGTH: usize = 4;

/// The least that an entry of a folder takes: two empty texts and no attributes.
const SHORTEST_ENTRY: usize = 12;

/// Opened to be read.
pub(super) const READ: u32 = 0x1;
/// Opened to be written, made, and not there before.
pub(super) const NEW: u32 = 0x2 | 0x8 | 0x20;
/// Opened to be written and read, as it is.
pub(super) const CHANGE: u32 = 0x1 | 0x2;

const HAS_SIZE: u32 = 0x1;
const HAS_OWNER: u32 = 0x2;
const HAS_MODE: u32 = 0x4;
const HAS_TIMES: u32 = 0x8;
const HAS_MORE: u32 = 0x8000_0000;

/// What is asked of a server. Paths and handles are the server's own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: u32,
        mode: Option<u32>,
    },
    Close(&'a [u8]),
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a Bytes,
    },
    Lstat(&'a [u8]),
    Stat(&'a [u8]),
    SetHandle {
        handle: &'a [u8],
        attrs: &'a Attrs,
    },
    SetPath {
        path: &'a [u8],
        attrs: &'a Attrs,
    },
    OpenFolder(&'a [u8]),
    ReadFolder(&'a [u8]),
    Remove(&'a [u8]),
    MakeFolder {
        path: &'a [u8],
        mode: Option<u32>,
    },
    RealPath(&'a [u8]),
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// `posix-rename@openssh.com`: over what is there.
    Replace {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// `fsync@openssh.com`.
    Sync(&'a [u8]),
    /// `limits@openssh.com`.
    Limits,
}

/// Attributes of a file: those that are known, or that are to be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attrs {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<u32>,
    /// Access and modification, in seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

impl Attrs {
    pub(super) fn details(&self) -> Details {
        Details {
            size: self.size.unwrap_or(0),
            mode: self.mode.map(|mode| mode & 0o7777),
            accessed: self.times.map(|times| times.0),
            modified: self.times.map(|times| times.1),
        }
    }
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Bytes,
    pub(super) attrs: Attrs,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Status { code: u32, message: Bytes },
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<Entry>),
    Attrs(Attrs),
    Extended(Bytes),
}

/// What the server can do, from its first packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) version: u32,
    pub(super) extensions: Vec<Bytes>,
}

/// A packet that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<bytes::TryGetError> for Malformed {
    fn from(_: bytes::TryGetError) -> Self {
        Self
    }
}

/// The first packet of a client.
pub(super) fn hello() -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32(5);
    out.put_u8(1);
    out.put_u32(VERSION);
    out.freeze()
}

/// A request as a packet, but for the bytes that are to be written: those follow as they are ([`payload`]).
pub(super) fn encode(id: u32, request: &Request<'_>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32(0);
    out.put_u8(kind(request));
    out.put_u32(id);
    body(&mut out, request);
    let behind = payload(request).map_or(0, Bytes::len);
    let length = u32::try_from(out.len().saturating_sub(LENGTH) + behind).unwrap_or(u32::MAX);
    if let Some(start) = out.get_mut(..LENGTH) {
        start.copy_from_slice(&length.to_be_bytes());
    }
    out.freeze()
}

/// What follows the packet: a copy of it would cost as much as its encryption.
pub(super) fn payload<'a>(request: &Request<'a>) -> Option<&'a Bytes> {
    match request {
        Request::Write { data, .. } => Some(data),
        _ => None,
    }
}

fn kind(request: &Request<'_>) -> u8 {
    match request {
        Request::Open { .. } => 3,
        Request::Close(_) => 4,
        Request::Read { .. } => 5,
        Request::Write { .. } => 6,
        Request::Lstat(_) => 7,
        Request::SetPath { .. } => 9,
        Request::SetHandle { .. } => 10,
        Request::OpenFolder(_) => 11,
        Request::ReadFolder(_) => 12,
        Request::Remove(_) => 13,
        Request::MakeFolder { .. } => 14,
        Request::RealPath(_) => 16,
        Request::Stat(_) => 17,
        Request::Rename { .. } => 18,
        Request::Replace { .. } | Request::Sync(_) | Request::Limits => 200,
    }
}

fn body(out: &mut BytesMut, request: &Request<'_>) {
    let mode = |mode: &Option<u32>| Attrs { mode: *mode, ..Attrs::default() };
    match request {
        Request::Open { path, flags, mode: wanted } => {
            put_text(out, path);
            out.put_u32(*flags);
            put_attrs(out, &mode(wanted));
        }
        Request::Close(text)
        | Request::Lstat(text)
        | Request::Stat(text)
        | Request::OpenFolder(text)
        | Request::ReadFolder(text)
        | Request::Remove(text)
        | Request::RealPath(text) => put_text(out, text),
        Request::Read { handle, offset, length } => {
            put_text(out, handle);
            out.put_u64(*offset);
            out.put_u32(*length);
        }
        Request::Write { handle, offset, data } => {
            put_text(out, handle);
            out.put_u64(*offset);
            out.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
        }
        Request::SetHandle { handle: text, attrs } | Request::SetPath { path: text, attrs } => {
            put_text(out, text);
            put_attrs(out, attrs);
        }
        Request::MakeFolder { path, mode: wanted } => {
            put_text(out, path);
            put_attrs(out, &mode(wanted));
        }
        Request::Rename { from, to } => {
            put_text(out, from);
            put_text(out, to);
        }
        Request::Replace { from, to } => {
            put_text(out, b"posix-rename@openssh.com");
            put_text(out, from);
            put_text(out, to);
        }
        Request::Sync(handle) => {
            put_text(out, b"fsync@openssh.com");
            put_text(out, handle);
        }
        Request::Limits => put_text(out, b"limits@openssh.com"),
    }
}

fn put_text(out: &mut BytesMut, text: &[u8]) {
    out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.put_slice(text);
}

fn put_attrs(out: &mut BytesMut, attrs: &Attrs) {
    let flag = |there: bool, flag: u32| if there { flag } else { 0 };
    out.put_u32(
        flag(attrs.size.is_some(), HAS_SIZE)
            | flag(attrs.owner.is_some(), HAS_OWNER)
            | flag(attrs.mode.is_some(), HAS_MODE)
            | flag(attrs.times.is_some(), HAS_TIMES),
    );
    if let Some(size) = attrs.size {
        out.put_u64(size);
    }
    if let Some((user, group)) = attrs.owner {
        out.put_u32(user);
        out.put_u32(group);
    }
    if let Some(mode) = attrs.mode {
        out.put_u32(mode);
    }
    if let Some((accessed, modified)) = attrs.times {
        out.put_u32(accessed);
        out.put_u32(modified);
    }
}

/// The server's first packet, without its length.
pub(super) fn read_hello(mut packet: Bytes) -> Result<Hello, Malformed> {
    if packet.try_get_u8()? != 2 {
        return Err(Malformed);
    }
    let mut hello = Hello { version: packet.try_get_u32()?, extensions: Vec::new() };
    while packet.has_remaining() {
        hello.extensions.push(text(&mut packet)?);
        text(&mut packet)?;
    }
    Ok(hello)
}

/// A reply and the request that it belongs to, from a packet without its length.
pub(super) fn decode(mut packet: Bytes) -> Result<(u32, Reply), Malformed> {
    let kind = packet.try_get_u8()?;
    let id = packet.try_get_u32()?;
    let reply = match kind {
        101 => {
            let code = packet.try_get_u32()?;
            // Old servers send no message.
            Reply::Status { code, message: text(&mut packet).unwrap_or_default() }
        }
        102 => Reply::Handle(text(&mut packet)?),
        103 => Reply::Data(text(&mut packet)?),
        104 => Reply::Names(entries(&mut packet)?),
        105 => Reply::Attrs(attrs(&mut packet)?),
        201 => Reply::Extended(packet),
        _ => return Err(Malformed),
    };
    Ok((id, reply))
}

fn entries(packet: &mut Bytes) -> Result<Vec<Entry>, Malformed> {
    let count = usize::try_from(packet.try_get_u32()?).map_err(|_| Malformed)?;
    // The number is the server's word; what was sent bounds it.
    if count > packet.len() / SHORTEST_ENTRY {
        return Err(Malformed);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let name = text(packet)?;
        // The line that `ls -l` would print is not used.
        text(packet)?;
        entries.push(Entry { name, attrs: attrs(packet)? });
    }
    Ok(entries)
}

fn attrs(packet: &mut Bytes) -> Result<Attrs, Malformed> {
    let flags = packet.try_get_u32()?;
    let mut attrs = Attrs::default();
    if flags & HAS_SIZE != 0 {
        attrs.size = Some(packet.try_get_u64()?);
    }
    if flags & HAS_OWNER != 0 {
        attrs.owner = Some((packet.try_get_u32()?, packet.try_get_u32()?));
    }
    if flags & HAS_MODE != 0 {
        attrs.mode = Some(packet.try_get_u32()?);
    }
    if flags & HAS_TIMES != 0 {
        attrs.times = Some((packet.try_get_u32()?, packet.try_get_u32()?));
    }
    if flags & HAS_MORE != 0 {
        for _ in 0..packet.try_get_u32()? {
            text(packet)?;
            text(packet)?;
        }
    }
    Ok(attrs)
}

fn text(packet: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = usize::try_from(packet.try_get_u32()?).map_err(|_| Malformed)?;
    if length > packet.len() {
        return Err(Malformed);
    }
    Ok(packet.split_to(length))
}

/// The longest read and write of a reply to [`Request::Limits`]; 0 stands for none told.
pub(super) fn limits(mut data: Bytes) -> Result<(u64, u64), Malformed> {
    data.try_get_u64()?;
    Ok((data.try_get_u64()?, data.try_get_u64()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_laid_out_as_the_draft_says() {
        let packet = encode(7, &Request::Open { path: b"a", flags: READ, mode: Some(0o600) });
        assert_eq!(
            packet[..],
            [0, 0, 0, 22, 3, 0, 0, 0, 7, 0, 0, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 1, 0x80]
        );
    }

    #[test]
    fn a_folder_longer_than_its_packet_is_refused() {
        let packet = [104, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decode(Bytes::copy_from_slice(&packet)), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_packet_breaks_the_reader(packet in prop::collection::vec(any::<u8>(), 0..200)) {
            let packet = Bytes::from(packet);
            let _ = (decode(packet.clone()), read_hello(packet.clone()), limits(packet));
        }

        #[test]
        fn attributes_come_back_as_they_went(
            size in any::<Option<u64>>(), owner in any::<Option<(u32, u32)>>(),
            mode in any::<Option<u32>>(), times in any::<Option<(u32, u32)>>(),
        ) {
            let sent = Attrs { size, owner, mode, times };
            let mut out = BytesMut::new();
            put_attrs(&mut out, &sent);
            prop_assert_eq!(attrs(&mut out.freeze()), Ok(sent));
        }
    }
}
