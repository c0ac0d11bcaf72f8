use std::{
    fs::{self, File, FileTimes, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use thiserror::Error;

use super::{LocalFile, from_bytes, to_bytes};
use crate::copy::{self, Details, Tag};

/// A local file or folder could not be made.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub struct TreeError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl TreeError {
    fn at(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |source| Self { path: path.to_owned(), source }
    }
}

/// A file that is being written beside the one that it is to be, and takes its place when it is whole. What
/// was there stays until then. Dropped before, it stays under its temporary name, for a later run to go on with.
#[derive(Debug)]
pub struct Arrival {
    file: Arc<LocalFile>,
    temporary: PathBuf,
    path: PathBuf,
    length: u64,
}

impl Arrival {
    /// Starts to write `path`, or with `resume` goes on with what an earlier run left of the same file. `random`
    /// tells runs apart. Blocks.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn start(path: &Path, tag: &Tag, random: u32, mode: u32, resume: bool) -> Result<Self, TreeError> {
        let failed = TreeError::at(path);
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?;
        if fs::metadata(path).is_ok_and(|there| there.is_dir()) {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let name = to_bytes(name);
        let temporary_name = from_bytes(&copy::temporary_name(&name, tag, random))
            .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let temporary = path.with_file_name(temporary_name);
        if resume && let Some(left) = left_behind(path, &name, tag) {
            // A run that goes on with it takes it away from all others.
            fs::rename(&left, &temporary).map_err(&failed)?;
            let file = options().open(&temporary).map_err(&failed)?;
            let length = file.metadata().map_err(&failed)?.len();
            return Ok(Self { file: Arc::new(LocalFile(file)), temporary, path: path.to_owned(), length });
        }
        let mut options = options();
        // Never looser than it will be, and always to be written by its owner.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode & 0o777 | 0o600);
        #[cfg(not(unix))]
        let _ = mode;
        let file = options.create_new(true).open(&temporary).map_err(&failed)?;
        Ok(Self { file: Arc::new(LocalFile(file)), temporary, path: path.to_owned(), length: 0 })
    }

    /// How many bytes are there.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file as far as it is there, for reading.
    #[must_use]
    pub fn file(&self) -> &Arc<LocalFile> {
        &self.file
    }

    /// Goes back to an earlier length. Blocks.
    ///
    /// # Errors
    /// When that fails.
    pub fn cut(&mut self, length: u64) -> Result<(), TreeError> {
        self.file.0.set_len(length).map_err(TreeError::at(&self.path))?;
        self.length = length;
        Ok(())
    }

    /// Adds to the end. Blocks.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&mut self, data: &[u8]) -> Result<(), TreeError> {
        let mut file = &self.file.0;
        let written = file.seek(SeekFrom::Start(self.length)).and_then(|_| file.write_all(data));
        written.map_err(TreeError::at(&self.path))?;
        self.length += data.len() as u64;
        Ok(())
    }

    /// Puts the file in its place. Without `keep` it has the mode of the file that was there; with it mode and
    /// times are these. Blocks.
    ///
    /// # Errors
    /// When it can't be.
    pub fn finish(self, keep: Option<&Details>) -> Result<(), TreeError> {
        let failed = TreeError::at(&self.path);
        // A link stays one, and its file is replaced.
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        match keep {
            Some(details) => set_on(&self.file.0, details).map_err(&failed)?,
            None => {
                if let Ok(there) = fs::metadata(&path) {
                    self.file.0.set_permissions(there.permissions()).map_err(&failed)?;
                }
            }
        }
        self.file.0.sync_all().map_err(&failed)?;
        fs::rename(&self.temporary, &path).map_err(&failed)
    }

    /// Leaves nothing behind. Blocks.
    pub fn discard(self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// The longest of what earlier runs left of this file.
fn left_behind(path: &Path, name: &[u8], tag: &Tag) -> Option<PathBuf> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| copy::is_temporary_of(&to_bytes(&entry.file_name()), name, tag))
        // A link may lead anywhere.
        .filter_map(|entry| {
            entry.metadata().ok().filter(fs::Metadata::is_file).map(|m| (m.len(), entry.path()))
        })
        .max()
        .map(|(_, path)| path)
}

/// Makes a folder where there is none; true where it did. What is there must be one itself: a link could lead
/// anywhere. Blocks.
///
/// # Errors
/// When there is no folder then.
pub fn make_folder(path: &Path) -> Result<bool, TreeError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => Ok(false),
            _ => Err(TreeError::at(path)(io::ErrorKind::NotADirectory.into())),
        },
        Err(error) => Err(TreeError::at(path)(error)),
    }
}

/// Gives a file or folder this mode and these times. Blocks.
///
/// # Errors
/// When the system does not.
pub fn set_details(path: &Path, details: &Details) -> Result<(), TreeError> {
    File::open(path).and_then(|file| set_on(&file, details)).map_err(TreeError::at(path))
}

fn set_on(file: &File, details: &Details) -> io::Result<()> {
    let time = |seconds: u32| UNIX_EPOCH + Duration::from_secs(seconds.into());
    if let (Some(accessed), Some(modified)) = (details.accessed, details.modified) {
        file.set_times(FileTimes::new().set_accessed(time(accessed)).set_modified(time(modified)))?;
    }
    #[cfg(unix)]
    if let Some(mode) = details.mode {
        // A stranger's file gets no rights of its owner here.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode & 0o777))?;
    }
    Ok(())
}
