//! What a lab leaves on disk while it runs: one private folder, removed with the lab.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use russh::keys::{
    PrivateKey, PublicKey,
    ssh_key::{self, LineEnding},
};
use serde_json::Value;
use tempfile::TempDir;

use super::{LabError, azure};

/// Attempts to remove the folder: a process that is being killed may still put a file in.
const REMOVE_TRIES: usize = 10;

/// The wait between two of them, so that the whole takes a tenth of a second at worst.
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

/// A lab's private folder. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) bin: PathBuf,
    pub(super) key: PathBuf,
    pub(super) known_hosts: PathBuf,
    pub(super) connection_info: PathBuf,
    pub(super) nat_pool: PathBuf,
    pub(super) azure: PathBuf,
}

impl Folder {
    /// Makes the folder, for its owner only, with a `bin` for the instances' commands.
    pub(super) fn make(state_dir: &Path) -> Result<Self, LabError> {
        let error = |source| LabError::Folder { path: state_dir.into(), source };
        let path = Self::make_empty(state_dir).map_err(error)?;
        let folder = Self {
            bin: path.join("bin"),
            key: path.join("id_ed25519"),
            known_hosts: path.join("known_hosts"),
            connection_info: path.join(azure::CONNECTION_INFO),
            nat_pool: path.join(azure::NAT_POOL),
            azure: path.join(azure::FOLDER),
            path,
        };
        folder.make_bin().map_err(error)?;
        Ok(folder)
    }

    fn make_empty(state_dir: &Path) -> io::Result<PathBuf> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("vmssh-lab-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        // Commands work in it, so its name must not depend on where one stands.
        builder.tempdir_in(std::path::absolute(state_dir)?).map(TempDir::keep)
    }

    /// A `hostname` that answers with the instance's name. Written before anything is started: a
    /// program can't be run while another process that is just starting has it open for writing.
    fn make_bin(&self) -> io::Result<()> {
        make_private_folder(&self.bin)?;
        if cfg!(unix) {
            write(
                &self.bin.join("hostname"),
                0o700,
                b"#!/bin/sh\nprintf '%s\\n' \"$VMSSH_LAB_COMPUTER_NAME\"\n",
            )?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the key and the listing of host keys: each instance's under its names, joined by commas.
    pub(super) fn fill(
        &self,
        key: &PrivateKey,
        names: &[String],
        host_keys: &[PublicKey],
    ) -> Result<(), LabError> {
        let key = key.to_openssh(LineEnding::LF).map_err(LabError::key)?;
        let known_hosts = known_hosts(names, host_keys).map_err(LabError::key)?;
        for (path, content) in [(&self.key, key.as_bytes()), (&self.known_hosts, known_hosts.as_bytes())] {
            write(path, 0o600, content).map_err(|source| LabError::Folder { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Writes the documents that `az` would print.
    pub(super) fn write_documents(&self, world: &azure::World) -> Result<(), LabError> {
        make_private_folder(&self.azure)
            .map_err(|source| LabError::Folder { path: self.azure.clone(), source })?;
        for (name, document) in azure::printed(world) {
            let path = self.path.join(name);
            let written = write(&path, 0o600, pretty(&document).as_bytes());
            written.map_err(|source| LabError::Folder { path, source })?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for _ in 0..REMOVE_TRIES {
            match std::fs::remove_dir_all(&self.path) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => std::thread::sleep(REMOVE_PAUSE),
            }
        }
        tracing::warn!(folder = %self.path.display(), "the lab's folder could not be removed");
    }
}

/// Makes a folder that only its owner can enter; one that is there is fine.
pub(super) fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Writes a new file that only its owner can use.
#[cfg_attr(not(unix), expect(unused_variables, reason = "there are no modes"))]
fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    options.open(path)?.write_all(content)
}

/// Lines as ssh-keyscan(1) prints them.
fn known_hosts(names: &[String], host_keys: &[PublicKey]) -> ssh_key::Result<String> {
    let line = |(names, key): (&String, &PublicKey)| Ok(format!("{names} {}\n", key.to_openssh()?));
    names.iter().zip(host_keys).map(line).collect()
}

/// As `az` prints it: two spaces, and a line feed at the end.
fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}
