//! Local files and folders: listed to be copied, read in pieces, and written so that they arrive whole.

mod arrival;
mod listing;
mod path;

pub use arrival::{Arrival, TreeError, make_folder, set_details};
pub use listing::{Item, ItemKind, Listing, list};
pub use path::{from_bytes, to_bytes};

use std::{fs::File, io, path::Path};

/// A local file that is open to be read.
#[derive(Debug)]
pub struct LocalFile(File);

impl LocalFile {
    /// Opens it. Blocks.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }
}

/// Reads so many bytes from a place on; fewer only where the file ends. Blocks.
///
/// # Errors
/// When it can't be read.
pub fn read_at(file: &LocalFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = data.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_some(&file.0, rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(filled);
    Ok(data)
}

#[cfg(unix)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
