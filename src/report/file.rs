//! Files that a person names to get a report in.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

/// A file that is to be written, and can be as far as is known.
///
/// It replaces one of its name only when it is whole. A link stays one, and its file is replaced; what is
/// no file (a pipe, `/dev/stdout`) is written to.
#[derive(Debug)]
pub struct NewFile(Place);

#[derive(Debug)]
enum Place {
    /// What is no file: opened already.
    Open(File),
    /// The file, and the permissions of the one that it replaces.
    Beside(PathBuf, Option<Permissions>),
}

impl NewFile {
    /// Checks that this can be written. Nothing is left behind, also where the program is ended before it
    /// writes.
    ///
    /// # Errors
    /// When it can't be written, or is one that is not to be.
    pub fn prepare(path: &Path) -> io::Result<Self> {
        let place = match std::fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => Place::Open(OpenOptions::new().write(true).open(path)?),
            // Replacing a file asks its folder for leave, not the file.
            Ok(there) if there.permissions().readonly() => {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            Ok(there) => Place::Beside(path.canonicalize()?, Some(there.permissions())),
            Err(_) => Place::Beside(path.to_owned(), None),
        };
        if let Place::Beside(path, _) = &place {
            beside(path)?.close()?;
        }
        Ok(Self(place))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it can't be written. A file of this name is as it was then.
    pub fn write(self, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self.0 {
            Place::Open(file) => written(file, contents).map(drop),
            Place::Beside(path, permissions) => {
                let temporary = beside(&path)?;
                let file = written(temporary.as_file(), contents)?;
                if let Some(permissions) = permissions {
                    file.set_permissions(permissions)?;
                }
                file.sync_all()?;
                temporary.persist(&path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

/// A file in the same folder, so that it can take the other's place.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = Builder::new();
    // As others create files: what the process's mask leaves of it. Reports are there to be read.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".vmssh-").tempfile_in(folder)
}

fn written<W: Write>(file: W, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<W> {
    let mut out = BufWriter::new(file);
    contents(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn write(path: &Path) -> io::Result<()> {
        NewFile::prepare(path)?.write(|out| out.write_all(b"new"))
    }

    #[test]
    fn links_stay_links_and_what_must_not_be_written_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        fs::set_permissions(&real, Permissions::from_mode(0o444)).unwrap();
        assert_eq!(write(&real).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(write(folder.path()).is_err());
        write(Path::new("/dev/null")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn until_it_is_whole_there_is_nothing_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        assert!(NewFile::prepare(&folder.path().join("none/report.html")).is_err());
        fs::write(&path, "old").unwrap();
        let file = NewFile::prepare(&path).unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names(), 1);
        let failed = file.write(|out| out.write_all(b"half").and(Err(io::ErrorKind::StorageFull.into())));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!((names(), fs::read_to_string(&path).unwrap().as_str()), (1, "old"));
    }
}
