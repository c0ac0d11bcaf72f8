//! SFTP on an instance's own folder, as OpenSSH's server speaks it: version 3
//! (draft-ietf-secsh-filexfer-02) and the extensions that its clients use (OpenSSH's PROTOCOL,
//! section 4).
//!
//! Written here and not taken from `ssh`: the lab is the other side, and what is shared hides its
//! mistakes. By hand, as the crates take names for UTF-8.

mod files;
mod folder;
mod wire;

use bytes::{Bytes, BytesMut};
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};

pub(super) use files::Files;
use wire::{Malformed, Request};

use super::line::{self, Input, Line};
use crate::event::Exit;

/// What an SFTP server ends with after a packet that is none: OpenSSH's.
const STATUS_MALFORMED: u32 = 255;

/// Serves until the client ends it or sends what is no packet.
pub(super) async fn serve(files: Files, mut input: UnboundedReceiver<Input>, line: Line) {
    let exit = tokio::select! {
        exit = talk(files, &mut input, &line) => Some(exit),
        () = line.gone.cancelled() => None,
    };
    line::discard(&mut input, &line.gate);
    if let Some(status) = exit {
        // The only error is that the client has gone just now.
        drop(line::say_exit(&line, Exit::Status(status)).await);
    }
}

/// Answers requests one after the other; gives the exit status.
async fn talk(mut files: Files, input: &mut UnboundedReceiver<Input>, line: &Line) -> u32 {
    let mut waiting = BytesMut::new();
    let mut greeted = false;
    while let Some(next) = input.recv().await {
        let cost = next.cost();
        let done = match next {
            Input::Data(bytes) => {
                waiting.extend_from_slice(&bytes);
                answer_all(files, &mut waiting, &mut greeted, line).await
            }
            Input::Resize(_) => Ok(files),
            Input::Eof => Err(0),
        };
        // Only now: until then it keeps more from being read.
        line.gate.went(cost);
        files = match done {
            Ok(files) => files,
            Err(status) => return status,
        };
    }
    0
}

/// Answers the whole packets that wait. The error is the exit status to end with.
async fn answer_all(
    mut files: Files,
    waiting: &mut BytesMut,
    greeted: &mut bool,
    line: &Line,
) -> Result<Files, u32> {
    while let Some(packet) = wire::packet(waiting).map_err(malformed)? {
        let (id, request) = wire::request(packet).map_err(malformed)?;
        // Whoever begins with something else speaks something else.
        if matches!(request, Request::Hello) == *greeted {
            return Err(STATUS_MALFORMED);
        }
        *greeted = true;
        // The file system may take its time.
        let answering = spawn_blocking(move || {
            let reply = files.answer(request);
            (files, wire::reply(id, &reply))
        });
        let (back, mut reply) = answering.await.map_err(|_| STATUS_MALFORMED)?;
        files = back;
        while !reply.is_empty() {
            let piece: Bytes = reply.split_to(reply.len().min(line::CHUNK));
            line::send(None, piece, line).await.map_err(|_| 0_u32)?;
        }
    }
    Ok(files)
}

fn malformed(_: Malformed) -> u32 {
    STATUS_MALFORMED
}
