//! Starting commands and shells: what they run in and what they are given.

use std::{ffi::OsString, io, path::PathBuf, process::Stdio, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
};

#[cfg(unix)]
use super::pty::{self, PtyWish};
use super::{
    files::make_private_folder,
    process::{Leader, Processes},
};

/// What a client asks for on a session channel before it asks to run something.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Environment variables, those that the server lets through.
    pub(super) env: Vec<(String, String)>,
    /// A pseudo-terminal.
    #[cfg(unix)]
    pub(super) pty: Option<PtyWish>,
}

/// Where an instance's commands run.
#[derive(Debug, Clone)]
pub(super) struct Home {
    /// The scratch folder: home and working directory.
    pub(super) folder: PathBuf,
    /// The environment without the client's wishes.
    pub(super) env: Vec<(&'static str, OsString)>,
}

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// Where input goes.
pub(super) enum Writer {
    Pipe(Box<dyn AsyncWrite + Send + Unpin>),
    #[cfg(unix)]
    Pty(pty_process::OwnedWritePty),
}

impl Writer {
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.write_all(bytes).await,
            #[cfg(unix)]
            Self::Pty(pty) => pty.write_all(bytes).await,
        }
    }
}

/// A started command with its ends of the pipes or the pseudo-terminal.
pub(super) struct Started {
    /// The process.
    pub(super) leader: Leader,
    pub(super) stdin: Writer,
    pub(super) stdout: Reader,
    /// None on a terminal, which has one output only.
    pub(super) stderr: Option<Reader>,
}

/// Starts a command, or a shell where there is none.
pub(super) fn start(
    processes: &Arc<Processes>,
    home: &Home,
    wishes: &Wishes,
    command: Option<&[u8]>,
) -> io::Result<Started> {
    make_private_folder(&home.folder)?;
    #[cfg(unix)]
    if let Some(wish) = &wishes.pty {
        let (leader, (read, write)) = processes.start(|| {
            let (read, write, pts) = pty::open(wish)?;
            let mut program = program(home, wishes, command, true);
            program.env("TERM", &wish.term);
            let child = pty_process::Command::from(program).spawn(pts).map_err(io::Error::other)?;
            Ok((child, (read, write)))
        })?;
        return Ok(Started { leader, stdin: Writer::Pty(write), stdout: Box::new(read), stderr: None });
    }
    let (mut leader, ()) = processes.start(|| {
        let mut program = program(home, wishes, command, false);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        in_session_of_its_own(&mut program);
        Ok((program.spawn()?, ()))
    })?;
    let Child { stdin, stdout, stderr, .. } = leader.child();
    match (stdin.take(), stdout.take(), stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Started {
            leader,
            stdin: Writer::Pipe(Box::new(stdin)),
            stdout: Box::new(stdout),
            stderr: Some(Box::new(stderr)),
        }),
        // All three were asked for.
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Without a session of its own a command could reach the terminal that `vmssh` was started from.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the only way to act between fork and exec")]
fn in_session_of_its_own(program: &mut Command) {
    // SAFETY: setsid(2) is async-signal-safe and nothing else is done.
    unsafe { program.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
}

#[cfg(unix)]
fn program(home: &Home, wishes: &Wishes, command: Option<&[u8]>, on_terminal: bool) -> Command {
    use std::os::unix::ffi::OsStrExt as _;

    let mut program = match command {
        Some(command) => {
            let mut program = Command::new("/bin/sh");
            program.arg("-c").arg(std::ffi::OsStr::from_bytes(command));
            program
        }
        // Line editing where it is to be had. No startup files: they would set another PATH.
        None if on_terminal && std::path::Path::new("/bin/bash").exists() => {
            let mut program = Command::new("/bin/bash");
            program.args(["--noprofile", "--norc"]);
            program
        }
        None => Command::new("/bin/sh"),
    };
    program.env_clear().envs(home.env.iter().map(|(name, value)| (name, value)));
    program.envs(wishes.env.iter().map(|(name, value)| (name, value)));
    program.current_dir(&home.folder).kill_on_drop(true);
    program
}

#[cfg(not(unix))]
fn program(home: &Home, wishes: &Wishes, command: Option<&[u8]>, _on_terminal: bool) -> Command {
    let mut program = Command::new("cmd");
    if let Some(command) = command {
        program.arg("/C").arg(String::from_utf8_lossy(command).as_ref());
    }
    // A clean environment would lack what Windows programs need to start at all.
    program.envs(home.env.iter().filter(|(name, _)| *name != "PATH").map(|(name, value)| (name, value)));
    program.envs(wishes.env.iter().map(|(name, value)| (name, value)));
    program.current_dir(&home.folder).kill_on_drop(true);
    program
}
