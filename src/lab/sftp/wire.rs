//! The packets, as a server reads and writes them.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Most bytes of a packet: OpenSSH's own limit (SFTP_MAX_MSG_LENGTH).
pub(super) const LONGEST_PACKET: usize = 256 * 1024;

/// Bytes of the length in front of every packet.
const LENGTH: usize = 4;

/// The version that is spoken.
const VERSION: u32 = 3;

/// What this server knows beyond the draft, with the version of each.
const EXTENSIONS: [(&str, &str); 3] =
    [("posix-rename@openssh.com", "1"), ("fsync@openssh.com", "1"), ("limits@openssh.com", "1")];

const HAS_SIZE: u32 = 0x1;
const HAS_OWNER: u32 = 0x2;
const HAS_MODE: u32 = 0x4;
const HAS_TIMES: u32 = 0x8;
const HAS_MORE: u32 = 0x8000_0000;

/// Bits of what a file is opened for (section 6.3 of the draft).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFlags(u32);

impl OpenFlags {
    pub(super) const READ: Self = Self(0x1);
    pub(super) const WRITE: Self = Self(0x2);
    pub(super) const APPEND: Self = Self(0x4);
    pub(super) const CREATE: Self = Self(0x8);
    pub(super) const TRUNCATE: Self = Self(0x10);
    pub(super) const EXCLUSIVE: Self = Self(0x20);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
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

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// The first packet.
    Hello,
    Open {
        path: Bytes,
        flags: OpenFlags,
        attrs: Attrs,
    },
    Close(Bytes),
    Read {
        handle: Bytes,
        offset: u64,
        length: u32,
    },
    Write {
        handle: Bytes,
        offset: u64,
        data: Bytes,
    },
    Lstat(Bytes),
    Stat(Bytes),
    StatOpen(Bytes),
    Change {
        path: Bytes,
        attrs: Attrs,
    },
    ChangeOpen {
        handle: Bytes,
        attrs: Attrs,
    },
    OpenFolder(Bytes),
    ReadFolder(Bytes),
    Remove(Bytes),
    MakeFolder {
        path: Bytes,
        attrs: Attrs,
    },
    RemoveFolder(Bytes),
    RealPath(Bytes),
    Rename {
        from: Bytes,
        to: Bytes,
    },
    /// `posix-rename@openssh.com`: over what is there.
    Replace {
        from: Bytes,
        to: Bytes,
    },
    ReadLink(Bytes),
    Link {
        target: Bytes,
        path: Bytes,
    },
    /// `fsync@openssh.com`.
    Sync(Bytes),
    /// `limits@openssh.com`.
    Limits,
    /// Of a kind that is not known here.
    Unknown,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    /// A line as `ls -l` prints it.
    pub(super) line: Vec<u8>,
    pub(super) attrs: Attrs,
}

/// Codes of section 7 of the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Eof,
    NoSuchFile,
    PermissionDenied,
    Failure,
    Unsupported,
}

impl Status {
    fn code_and_words(self) -> (u32, &'static str) {
        match self {
            Self::Ok => (0, "Success"),
            Self::Eof => (1, "End of file"),
            Self::NoSuchFile => (2, "No such file"),
            Self::PermissionDenied => (3, "Permission denied"),
            Self::Failure => (4, "Failure"),
            Self::Unsupported => (8, "Operation unsupported"),
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Version,
    Status(Status),
    Handle(u32),
    Data(Vec<u8>),
    Names(Vec<Entry>),
    Attrs(Attrs),
    /// The longest packet, read and write, and how many handles.
    Limits([u64; 4]),
}

/// A packet that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<bytes::TryGetError> for Malformed {
    fn from(_: bytes::TryGetError) -> Self {
        Self
    }
}

/// Takes the first packet, without its length, from what came, once it is whole.
pub(super) fn packet(came: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
    let mut head = &came[..];
    let Ok(length) = head.try_get_u32() else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    if length > LONGEST_PACKET {
        return Err(Malformed);
    }
    if head.len() < length {
        return Ok(None);
    }
    came.advance(LENGTH);
    Ok(Some(came.split_to(length).freeze()))
}

/// A request and its number; the first packet has none.
pub(super) fn request(mut packet: Bytes) -> Result<(u32, Request), Malformed> {
    let kind = packet.try_get_u8()?;
    // For the first packet this is the client's version: 3 is spoken with all, as OpenSSH does.
    let id = packet.try_get_u32()?;
    if kind == 1 {
        return Ok((id, Request::Hello));
    }
    let p = &mut packet;
    let request = match kind {
        3 => Request::Open { path: text(p)?, flags: OpenFlags(p.try_get_u32()?), attrs: attrs(p)? },
        4 => Request::Close(text(p)?),
        5 => Request::Read { handle: text(p)?, offset: p.try_get_u64()?, length: p.try_get_u32()? },
        6 => Request::Write { handle: text(p)?, offset: p.try_get_u64()?, data: text(p)? },
        7 => Request::Lstat(text(p)?),
        8 => Request::StatOpen(text(p)?),
        9 => Request::Change { path: text(p)?, attrs: attrs(p)? },
        10 => Request::ChangeOpen { handle: text(p)?, attrs: attrs(p)? },
        11 => Request::OpenFolder(text(p)?),
        12 => Request::ReadFolder(text(p)?),
        13 => Request::Remove(text(p)?),
        14 => Request::MakeFolder { path: text(p)?, attrs: attrs(p)? },
        15 => Request::RemoveFolder(text(p)?),
        16 => Request::RealPath(text(p)?),
        17 => Request::Stat(text(p)?),
        18 => Request::Rename { from: text(p)?, to: text(p)? },
        19 => Request::ReadLink(text(p)?),
        // OpenSSH's order and not the draft's (PROTOCOL, section 4.1).
        20 => Request::Link { target: text(p)?, path: text(p)? },
        200 => extended(p)?,
        _ => Request::Unknown,
    };
    Ok((id, request))
}

fn extended(packet: &mut Bytes) -> Result<Request, Malformed> {
    Ok(match &text(packet)?[..] {
        b"posix-rename@openssh.com" => Request::Replace { from: text(packet)?, to: text(packet)? },
        b"fsync@openssh.com" => Request::Sync(text(packet)?),
        b"limits@openssh.com" => Request::Limits,
        _ => Request::Unknown,
    })
}

fn text(packet: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = usize::try_from(packet.try_get_u32()?).map_err(|_| Malformed)?;
    if length > packet.len() {
        return Err(Malformed);
    }
    Ok(packet.split_to(length))
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
        // Each takes eight bytes at least, so the packet's end ends this.
        for _ in 0..packet.try_get_u32()? {
            text(packet)?;
            text(packet)?;
        }
    }
    Ok(attrs)
}

/// A reply as a packet.
pub(super) fn reply(id: u32, reply: &Reply) -> Bytes {
    let mut body = BytesMut::new();
    let kind = match reply {
        Reply::Version => 2,
        Reply::Status(_) => 101,
        Reply::Handle(_) => 102,
        Reply::Data(_) => 103,
        Reply::Names(_) => 104,
        Reply::Attrs(_) => 105,
        Reply::Limits(_) => 201,
    };
    body.put_u8(kind);
    body.put_u32(if matches!(reply, Reply::Version) { VERSION } else { id });
    match reply {
        Reply::Version => {
            for (name, version) in EXTENSIONS {
                put_text(&mut body, name.as_bytes());
                put_text(&mut body, version.as_bytes());
            }
        }
        Reply::Status(status) => {
            let (code, words) = status.code_and_words();
            body.put_u32(code);
            put_text(&mut body, words.as_bytes());
            put_text(&mut body, b"en");
        }
        Reply::Handle(handle) => put_text(&mut body, &handle.to_be_bytes()),
        Reply::Data(data) => put_text(&mut body, data),
        Reply::Names(entries) => put_names(&mut body, entries),
        Reply::Attrs(attrs) => put_attrs(&mut body, attrs),
        Reply::Limits(limits) => limits.iter().for_each(|limit| body.put_u64(*limit)),
    }
    let mut packet = BytesMut::with_capacity(LENGTH + body.len());
    put_text(&mut packet, &body);
    packet.freeze()
}

fn put_names(out: &mut BytesMut, entries: &[Entry]) {
    out.put_u32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    for entry in entries {
        put_text(out, &entry.name);
        put_text(out, &entry.line);
        put_attrs(out, &entry.attrs);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_taken_when_they_are_whole() {
        let mut came = BytesMut::from(&[0, 0, 0, 5, 1, 0, 0, 0][..]);
        assert_eq!(packet(&mut came), Ok(None));
        came.extend_from_slice(&[3, 0, 0]);
        let hello = packet(&mut came).unwrap().unwrap();
        assert_eq!(request(hello), Ok((3, Request::Hello)));
        assert_eq!(came[..], [0, 0]);
        assert_eq!(packet(&mut BytesMut::from(&[0xff; 4][..])), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_packet_breaks_the_reader(kind in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = request(Bytes::from([vec![kind], rest.clone()].concat()));
            let _ = packet(&mut BytesMut::from(&rest[..]));
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
