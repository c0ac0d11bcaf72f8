//! `--password-file`: the first line of a file that nobody else may read.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    path::Path,
};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::error::{Error, Kind};

/// As `SSH_ASKPASS` is read; no password is longer.
const LONGEST: usize = 1024;

/// Reads the password; `-` is standard input, whose other lines are left to whoever reads on. Blocks.
pub(super) fn read(path: &Path) -> Result<SecretString, Error> {
    let trouble = |error: io::Error| {
        Error::new(Kind::Usage, format!("can't read the password from {}", path.display()))
            .caused_by(Some(&error))
            .hint("its first line is the password; `-` reads it from standard input")
    };
    let mut source = if path == Path::new("-") {
        stdin().map_err(trouble)?
    } else {
        let file = File::open(path).map_err(trouble)?;
        check_mode(path, &file)?;
        file
    };
    let line = first_line(&mut source).map_err(trouble)?;
    let text = std::str::from_utf8(&line)
        .map_err(|_| trouble(io::Error::new(io::ErrorKind::InvalidData, "it is not text")))?;
    if text.is_empty() {
        return Err(trouble(io::Error::new(io::ErrorKind::InvalidData, "its first line is empty")));
    }
    Ok(SecretString::from(text))
}

/// Byte by byte: what is read too far would be missing in the remote command's input.
fn first_line(source: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = Zeroizing::new([0]);
    loop {
        match source.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if *byte == [b'\n'] => break,
            Ok(_) if line.len() == LONGEST => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its first line is too long for one"));
            }
            Ok(_) => line.extend_from_slice(&*byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// Standard input without the buffer that the library puts before it.
fn stdin() -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }
    #[cfg(windows)]
    {
        use std::os::windows::io::AsHandle as _;
        Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
    }
}

/// As strict as with a private key; a pipe has no readers but those that hold it.
fn check_mode(path: &Path, file: &File) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let about = file.metadata().map_err(|e| Error::from_chain(Kind::Usage, &e))?;
        let is_mine = about.uid() == rustix::process::geteuid().as_raw();
        if about.is_file() && is_mine && about.mode() & 0o077 != 0 {
            let mode = about.mode() & 0o7777;
            let name = path.to_string_lossy();
            let quoted = shlex::try_quote(&name).unwrap_or(Cow::Borrowed(&name));
            let message =
                format!("the password file {name} has mode {mode:04o}: others than you can read it");
            return Err(Error::new(Kind::Refused, message).hint(format!("`chmod 600 {quoted}`")));
        }
    }
    #[cfg(not(unix))]
    let _ = (path, file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_read() {
        let mut source = &b"correct horse\r\nthe command's input\n"[..];
        assert_eq!(first_line(&mut source).unwrap().as_slice(), b"correct horse");
        assert_eq!(source, b"the command's input\n");
        assert_eq!(first_line(&mut &b"no end"[..]).unwrap().as_slice(), b"no end");
        assert!(first_line(&mut &[b'x'; 2000][..]).is_err());
    }
}
