//! An SFTP server that lies.

use std::{net::TcpListener, sync::Arc, thread, time::Duration};

use russh::{
    Channel, ChannelId,
    keys::{Algorithm, PrivateKey},
    server::{self, Auth, ChannelOpenHandle, Handle, Msg, PublicKeyOffer, Session, VerifiedPublicKey},
};
use tokio::net::TcpStream;

/// How it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Names that lead out of their folder.
    Names,
    /// More data than was asked for.
    MoreThanAsked,
    /// A file that ends early.
    Shorter,
    /// A file of no size that never ends.
    UnsizedWithoutEnd,
    /// A packet of 2 GiB.
    LongPacket,
    /// An answer to nothing.
    WrongId,
    /// A packet that is none.
    Malformed,
    /// No answer to a read.
    Stalls,
    /// A byte at a time.
    DripsForEver,
    /// The same list again and again.
    FolderWithoutEnd,
}

/// The server; it ends with the test program.
pub(crate) struct Liar {
    pub(crate) port: u16,
}

impl Liar {
    pub(crate) fn start(lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let config = Arc::new(server::Config {
                auth_rejection_time_initial: Some(Duration::ZERO),
                keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
                ..server::Config::default()
            });
            runtime.block_on(async move {
                let stream = TcpStream::from_std(stream).unwrap();
                let handler = Handler { lie, buffer: Vec::new(), listed: false };
                if let Ok(session) = server::run_stream(config, stream, handler).await {
                    let _ = session.await;
                }
            });
        });
        Self { port }
    }
}

struct Handler {
    lie: Lie,
    buffer: Vec<u8>,
    listed: bool,
}

/// A file and a folder, in st_mode.
const FILE: u32 = 0o100_644;
const FOLDER: u32 = 0o040_755;

fn text(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
}

fn attrs(size: u64, mode: u32) -> Vec<u8> {
    [&5u32.to_be_bytes()[..], &size.to_be_bytes(), &mode.to_be_bytes()].concat()
}

fn packet(kind: u8, id: u32, body: &[u8]) -> Vec<u8> {
    text(&[&[kind], &id.to_be_bytes()[..], body].concat())
}

fn status(id: u32, code: u32) -> Vec<u8> {
    packet(101, id, &[&code.to_be_bytes()[..], &text(b""), &text(b"")].concat())
}

impl Handler {
    fn names(&self) -> Vec<u8> {
        let bad: &[&[u8]] = match self.lie {
            Lie::Names => &[
                b".",
                b"..",
                b"../escaped",
                b"/tmp/escaped",
                b"a/b",
                b"",
                b"\x1b[2Jx",
                b"x\0y",
                b"sub/../../z",
                b"../../.ssh/authorized_keys",
            ],
            _ => &[],
        };
        let size = if self.lie == Lie::UnsizedWithoutEnd { 0 } else { 100 };
        let mut body = u32::try_from(bad.len() * 2 + 1).unwrap().to_be_bytes().to_vec();
        for (name, mode) in
            bad.iter().flat_map(|name| [(name, FILE), (name, FOLDER)]).chain([(&&b"good"[..], FILE)])
        {
            body.extend([text(name), text(b"\x1b[2J"), attrs(size, mode)].concat());
        }
        body
    }

    fn answer(&mut self, kind: u8, id: u32, length: u32) -> Vec<u8> {
        match kind {
            1 => text(&[2, 0, 0, 0, 3]),
            // A file or a folder is opened.
            3 => packet(102, id, &text(b"file")),
            11 => packet(102, id, &text(b"folder")),
            12 if self.listed && self.lie != Lie::FolderWithoutEnd => status(id, 1),
            12 => {
                self.listed = true;
                packet(104, id, &self.names())
            }
            5 => match self.lie {
                Lie::MoreThanAsked => packet(103, id, &text(&vec![b'x'; length as usize + 1])),
                Lie::Shorter => status(id, 1),
                Lie::LongPacket => vec![0x7f, 0xff, 0xff, 0xff, 103],
                Lie::WrongId => packet(103, id.wrapping_add(77), &text(b"x")),
                Lie::Malformed => packet(103, id, &[0xff, 0xff, 0xff, 0xff]),
                Lie::Stalls | Lie::DripsForEver => Vec::new(),
                _ => packet(103, id, &text(&vec![b'x'; length as usize])),
            },
            7 | 17 => packet(105, id, &attrs(0, FOLDER)),
            _ => status(id, 0),
        }
    }

    /// The next whole packet: its kind, number and last four bytes.
    fn next(&mut self) -> Option<(u8, u32, u32)> {
        let length = u32::from_be_bytes(self.buffer.get(..4)?.try_into().unwrap()) as usize;
        let packet: Vec<u8> = self.buffer.get(4..4 + length)?.to_vec();
        self.buffer.drain(..4 + length);
        let id = u32::from_be_bytes(packet[1..5].try_into().unwrap());
        let last = u32::from_be_bytes(packet[packet.len() - 4..].try_into().unwrap());
        Some((packet[0], id, last))
    }
}

async fn drip(handle: Handle, channel: ChannelId) {
    // A packet of data that announces 200 KiB, a byte at a time.
    let start = [200u32 << 10, 0].map(u32::to_be_bytes).concat();
    let bytes = start.into_iter().chain(std::iter::repeat(1));
    for byte in bytes {
        if handle.data(channel, vec![byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.buffer.extend(data);
        while let Some((kind, id, length)) = self.next() {
            if kind == 5 && self.lie == Lie::DripsForEver {
                tokio::spawn(drip(session.handle(), channel));
            }
            let answer = self.answer(kind, id, length);
            if !answer.is_empty() {
                session.data(channel, answer)?;
            }
        }
        Ok(())
    }
}
