//! The conversation with a SOCKS client; its rules are in [`crate::forward::socks`].

use std::{io, time::Duration};

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::stream::Near;
use crate::forward::{
    Place,
    socks::{self, Stage, Step, Version},
};

/// A client sends its request at once; this leaves time for a slow network behind an open port.
const LIMIT: Duration = Duration::from_secs(30);

/// What a client asked for.
pub(super) struct Asked {
    pub(super) to: Place,
    pub(super) version: Version,
    /// What it sent behind the request, meant for whom it asked for.
    pub(super) ahead: Vec<u8>,
}

/// Why a client got nothing.
pub(super) enum NotAsked {
    /// It went away, or took too long.
    Gone,
    /// What it said is not served.
    Refused(&'static str),
}

/// Somebody to talk to.
pub(super) trait Talk {
    /// What they say next; nothing at the end.
    async fn hear(&mut self) -> io::Result<Bytes>;
    /// Says something to them.
    async fn say(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Finds out what a client wants.
pub(super) async fn ask(client: &mut impl Talk) -> Result<Asked, NotAsked> {
    timeout(LIMIT, converse(client)).await.unwrap_or(Err(NotAsked::Gone))
}

async fn converse(client: &mut impl Talk) -> Result<Asked, NotAsked> {
    let (mut heard, mut stage) = (Vec::new(), Stage::Greeting);
    loop {
        match socks::read(stage, &heard) {
            Step::More => {
                let more = client.hear().await.map_err(|_| NotAsked::Gone)?;
                if more.is_empty() {
                    return Err(NotAsked::Gone);
                }
                heard.extend_from_slice(&more);
            }
            Step::Answer { answer, used } => {
                client.say(answer).await.map_err(|_| NotAsked::Gone)?;
                heard.drain(..used.min(heard.len()));
                stage = Stage::Request;
            }
            Step::Connect { to, version, used } => {
                heard.drain(..used.min(heard.len()));
                return Ok(Asked { to, version, ahead: heard });
            }
            Step::Refuse { answer, why } => {
                let _ = client.say(answer).await;
                return Err(NotAsked::Refused(why));
            }
        }
    }
}

async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut bytes = bytes::BytesMut::with_capacity(512);
    stream.read_buf(&mut bytes).await?;
    Ok(bytes.freeze())
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await
}

impl Talk for Near {
    async fn hear(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Tcp(stream) => hear(stream).await,
            #[cfg(unix)]
            Self::Unix(stream) => hear(stream).await,
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => say(stream, bytes).await,
            #[cfg(unix)]
            Self::Unix(stream) => say(stream, bytes).await,
        }
    }
}

/// A client on the instance's side.
impl Talk for (&mut ChannelReadHalf, &ChannelWriteHalf<Msg>) {
    async fn hear(&mut self) -> io::Result<Bytes> {
        loop {
            match self.0.wait().await {
                Some(ChannelMsg::Data { data }) => return Ok(data),
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return Ok(Bytes::new()),
                Some(_) => {}
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.1.data_bytes(bytes).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
