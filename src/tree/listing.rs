use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::to_bytes;
use crate::copy::Details;

/// A file or folder to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it is here.
    pub path: PathBuf,
    /// Where it belongs below the source, by `/`; empty for the source itself.
    pub below: Vec<u8>,
    /// What it is.
    pub kind: ItemKind,
    /// What is known of it.
    pub details: Details,
}

/// What can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// What is to be copied of one source.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Folders before what is in them.
    pub items: Vec<Item>,
    /// Links and special files, which are left out.
    pub skipped: Vec<PathBuf>,
}

/// Lists a file, or a folder with all that is in it. A source that is a link is followed; links below it are
/// not. Blocks.
///
/// # Errors
/// When something can't be looked at, with its path.
pub fn list(source: &Path) -> Result<Listing, (PathBuf, io::Error)> {
    let mut listing = Listing::default();
    let metadata = fs::metadata(source).map_err(|error| (source.to_owned(), error))?;
    let mut folders = vec![];
    add(&mut listing, &mut folders, source.to_owned(), Vec::new(), &metadata);
    while let Some((folder, below)) = folders.pop() {
        let failed = |error| (folder.clone(), error);
        let mut entries: Vec<_> =
            fs::read_dir(&folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
        // The same order each time, whatever the file system's is.
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // Does not follow links.
            let metadata = entry.metadata().map_err(|error| (path.clone(), error))?;
            let below = crate::copy::request::join(&below, &to_bytes(&entry.file_name()));
            add(&mut listing, &mut folders, path, below, &metadata);
        }
    }
    Ok(listing)
}

fn add(
    listing: &mut Listing,
    folders: &mut Vec<(PathBuf, Vec<u8>)>,
    path: PathBuf,
    below: Vec<u8>,
    metadata: &Metadata,
) {
    let kind = if metadata.is_dir() {
        folders.push((path.clone(), below.clone()));
        ItemKind::Folder
    } else if metadata.is_file() {
        ItemKind::File
    } else {
        return listing.skipped.push(path);
    };
    listing.items.push(Item { path, below, kind, details: details(metadata) });
}

/// What is known of a file.
pub(super) fn details(metadata: &Metadata) -> Details {
    #[cfg(unix)]
    let mode = Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777);
    #[cfg(not(unix))]
    let mode = None;
    Details {
        size: metadata.len(),
        mode,
        accessed: metadata.accessed().ok().and_then(seconds),
        modified: metadata.modified().ok().and_then(seconds),
    }
}

/// Version 3 of the protocol has times from 1970 to 2106.
fn seconds(time: SystemTime) -> Option<u32> {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| u32::try_from(since.as_secs()).ok())
}
