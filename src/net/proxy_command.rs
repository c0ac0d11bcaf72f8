//! A program that stands in for a connection: what it prints comes from the server, what it reads goes there
//! (ssh_config(5), `ProxyCommand`). It is started only where the user's own configuration names it.

use std::{
    io,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The running program, as a stream. Dropped, it is ended.
#[derive(Debug)]
pub struct ProxyCommand {
    input: Option<ChildStdin>,
    output: ChildStdout,
    _child: Child,
}

impl ProxyCommand {
    /// Starts it by the shell, whose standard error is this process's.
    ///
    /// # Errors
    /// When the shell can't be started.
    pub fn start(shell: &str, command: &str) -> io::Result<Self> {
        // Without `exec` the shell would stay, and be ended in the program's place.
        let mut child = Command::new(shell)
            .args(["-c", &format!("exec {command}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let streams = child.stdin.take().zip(child.stdout.take());
        let (input, output) = streams.ok_or_else(|| io::Error::other("it has no standard streams"))?;
        Ok(Self { input: Some(input), output, _child: child })
    }
}

impl AsyncRead for ProxyCommand {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProxyCommand {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(cx))
    }

    /// Closes the program's standard input, which tells it that nothing more comes.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_by_the_program_and_its_end_is_seen() {
        let mut program = ProxyCommand::start("/bin/sh", "tr a-z A-Z").unwrap();
        program.write_all(b"hello").await.unwrap();
        program.shutdown().await.unwrap();
        let mut said = String::new();
        program.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "HELLO");
        assert!(program.write_all(b"x").await.is_err());
    }
}
