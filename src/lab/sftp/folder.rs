//! An instance's folder, and paths in it. No path leads out of it: not by `..` and not by links.

use std::{
    ffi::OsStr,
    fs::{File, FileTimes},
    io,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::PermissionsExt as _,
    },
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, DirBuilder, DirBuilderExt as _, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _},
};

use super::{
    super::files::make_private_folder,
    wire::{Attrs, OpenFlags},
};

/// Modes of what is made where the client names none, before the umask: OpenSSH's.
const NEW_FILE: u32 = 0o666;
const NEW_FOLDER: u32 = 0o777;

/// Permission bits, with those for set-user-id and the like.
const PERMISSIONS: u32 = 0o7777;

/// An instance's folder.
pub(super) struct Folder {
    dir: Dir,
    /// What the instance calls it.
    path: PathBuf,
    /// What its shell may call it.
    real: PathBuf,
}

impl Folder {
    /// Opens the folder; makes it where nothing has run yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make_private_folder(path)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { dir, path: path.to_owned(), real: path.canonicalize()? })
    }

    /// A client's path as one inside of the folder, which is the working folder.
    fn inside<'a>(&self, path: &'a [u8]) -> io::Result<&'a Path> {
        let path = Path::new(OsStr::from_bytes(path));
        let inside = if path.is_absolute() {
            let inside = path.strip_prefix(&self.path).or_else(|_| path.strip_prefix(&self.real));
            inside.map_err(|_| io::Error::from(io::ErrorKind::PermissionDenied))?
        } else {
            path
        };
        Ok(if inside.as_os_str().is_empty() { Path::new(".") } else { inside })
    }

    pub(super) fn open_file(&self, path: &[u8], flags: OpenFlags, attrs: &Attrs) -> io::Result<File> {
        let has = |flag| flags.has(flag);
        let mut options = OpenOptions::new();
        options
            .read(has(OpenFlags::READ))
            .write(has(OpenFlags::WRITE))
            .append(has(OpenFlags::APPEND))
            .create(has(OpenFlags::CREATE))
            .truncate(has(OpenFlags::TRUNCATE))
            .create_new(has(OpenFlags::CREATE) && has(OpenFlags::EXCLUSIVE))
            .mode(attrs.mode.unwrap_or(NEW_FILE) & PERMISSIONS)
            // A pipe that nobody writes to would hold a thread for ever.
            .custom_flags(libc::O_NONBLOCK);
        Ok(self.dir.open_with(self.inside(path)?, &options)?.into_std())
    }

    pub(super) fn stat(&self, path: &[u8]) -> io::Result<Attrs> {
        self.dir.metadata(self.inside(path)?).map(|metadata| attrs(&metadata))
    }

    pub(super) fn lstat(&self, path: &[u8]) -> io::Result<Attrs> {
        self.dir.symlink_metadata(self.inside(path)?).map(|metadata| attrs(&metadata))
    }

    pub(super) fn change(&self, path: &[u8], wanted: &Attrs) -> io::Result<()> {
        let inside = self.inside(path)?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        // Only a file has a length to set, and only one that is open to be written.
        options.write(wanted.size.is_some());
        match self.dir.open_with(inside, &options) {
            Ok(file) => change(&file.into_std(), wanted),
            // One that can't be read may still be given a mode.
            Err(error) => match wanted.mode {
                Some(mode) if wanted.size.is_none() && wanted.times.is_none() => {
                    let permissions = std::fs::Permissions::from_mode(mode & PERMISSIONS);
                    self.dir.set_permissions(inside, cap_std::fs::Permissions::from_std(permissions))
                }
                _ => Err(error),
            },
        }
    }

    pub(super) fn list(&self, path: &[u8]) -> io::Result<cap_std::fs::ReadDir> {
        self.dir.read_dir(self.inside(path)?)
    }

    pub(super) fn remove(&self, path: &[u8]) -> io::Result<()> {
        self.dir.remove_file(self.inside(path)?)
    }

    pub(super) fn make_folder(&self, path: &[u8], wanted: &Attrs) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.mode(wanted.mode.unwrap_or(NEW_FOLDER) & PERMISSIONS);
        self.dir.create_dir_with(self.inside(path)?, &builder)
    }

    pub(super) fn remove_folder(&self, path: &[u8]) -> io::Result<()> {
        self.dir.remove_dir(self.inside(path)?)
    }

    /// Moves, over what is there.
    pub(super) fn replace(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        self.dir.rename(self.inside(from)?, &self.dir, self.inside(to)?)
    }

    /// Moves where nothing is yet.
    pub(super) fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        match self.dir.symlink_metadata(self.inside(to)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.replace(from, to),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    pub(super) fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let target = self.dir.read_link_contents(self.inside(path)?)?;
        Ok(target.into_os_string().into_vec())
    }

    /// Makes a link; one to an absolute path would lead out and is refused.
    pub(super) fn link(&self, target: &[u8], path: &[u8]) -> io::Result<()> {
        self.dir.symlink(OsStr::from_bytes(target), self.inside(path)?)
    }

    /// The absolute path, links resolved where it leads to something.
    pub(super) fn real_path(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let inside = self.inside(path)?;
        let resolved = match self.dir.canonicalize(inside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => plain(inside)?,
            resolved => resolved?,
        };
        let mut whole = self.path.clone();
        whole.extend(resolved.components().filter(|part| *part != Component::CurDir));
        Ok(whole.into_os_string().into_vec())
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir if !plain.pop() => return Err(io::ErrorKind::PermissionDenied.into()),
            _ => {}
        }
    }
    Ok(plain)
}

pub(super) fn attrs(metadata: &Metadata) -> Attrs {
    // Times of version 3 end in 2106.
    let time = |seconds: i64| u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
    Attrs {
        size: Some(metadata.len()),
        owner: Some((metadata.uid(), metadata.gid())),
        mode: Some(metadata.mode()),
        times: Some((time(metadata.atime()), time(metadata.mtime()))),
    }
}

/// What is known of an open file.
pub(super) fn stat_open(file: &File) -> io::Result<Attrs> {
    Metadata::from_file(file).map(|metadata| attrs(&metadata))
}

/// Changes an open file.
pub(super) fn change(file: &File, wanted: &Attrs) -> io::Result<()> {
    if let Some(owner) = wanted.owner
        && stat_open(file)?.owner != Some(owner)
    {
        // As for any user but root.
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if let Some(size) = wanted.size {
        file.set_len(size)?;
    }
    if let Some(mode) = wanted.mode {
        file.set_permissions(std::fs::Permissions::from_mode(mode & PERMISSIONS))?;
    }
    if let Some((accessed, modified)) = wanted.times {
        let time = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
        file.set_times(FileTimes::new().set_accessed(time(accessed)).set_modified(time(modified)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let home = outside.path().join("home");
        let folder = Folder::open(&home).unwrap();
        std::os::unix::fs::symlink("..", home.join("up")).unwrap();
        std::os::unix::fs::symlink(outside.path(), home.join("out")).unwrap();
        let absolute = outside.path().join("secret");
        let climbing = home.join("../secret");
        for path in ["../secret", "up/secret", "out/secret", "a/../../secret", "/etc/passwd"]
            .map(Path::new)
            .into_iter()
            .chain([&*absolute, &*climbing])
        {
            let bytes = path.as_os_str().as_bytes();
            assert!(folder.stat(bytes).is_err(), "{}", path.display());
            assert!(
                folder.open_file(bytes, OpenFlags::READ, &Attrs::default()).is_err(),
                "{}",
                path.display()
            );
            assert!(folder.remove(bytes).is_err(), "{}", path.display());
            assert!(folder.list(bytes).is_err(), "{}", path.display());
            assert!(folder.change(bytes, &Attrs { mode: Some(0), ..Attrs::default() }).is_err());
            assert!(folder.replace(b"up", bytes).is_err() && folder.replace(bytes, b"in").is_err());
        }
        assert!(folder.link(b"/etc/passwd", b"link").is_err());
        assert_eq!(std::fs::read(absolute).unwrap(), b"x");
    }

    #[test]
    fn paths_are_told_as_the_shell_has_them() {
        let parent = tempfile::tempdir().unwrap();
        let home = parent.path().join("home");
        let folder = Folder::open(&home).unwrap();
        let real = |path: &[u8]| folder.real_path(path).map(|path| PathBuf::from(OsStr::from_bytes(&path)));
        assert_eq!(real(b".").unwrap(), home);
        assert_eq!(real(b"").unwrap(), home);
        assert_eq!(real(home.as_os_str().as_bytes()).unwrap(), home);
        assert_eq!(real(b"./not/../there").unwrap(), home.join("there"));
        assert!(real(b"..").is_err());
        assert!(real(b"no/../../x").is_err());
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_holds_nothing_up() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(&parent.path().join("home")).unwrap();
        let made =
            std::process::Command::new("mkfifo").arg(parent.path().join("home/pipe")).status().unwrap();
        assert!(made.success());
        folder.open_file(b"pipe", OpenFlags::READ, &Attrs::default()).unwrap();
    }
}
