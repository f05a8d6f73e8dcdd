//! One process per data directory: an advisory lock on a file in it, which the kernel releases with the process.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

const FILE_NAME: &str = "tokio-socketio.lock";

/// Held as long as the value lives. The file stays: removing it would race with the next holder.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Creates the directory when it is missing, and locks it.
    pub fn acquire(directory: &Path) -> Result<Self, StoreError> {
        create(directory).map_err(|error| fault(directory, &error))?;
        let lock_file = directory.join(FILE_NAME);
        let at_file = |error: io::Error| fault(&lock_file, &error);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_file)
            .map_err(at_file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(file, lock_file)),
            Err(TryLockError::Error(error)) => return Err(at_file(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(at_file)?;
        writeln!(file, "{}", std::process::id()).map_err(at_file)?;
        Ok(Self { _file: file })
    }
}

fn in_use(file: File, lock_file: PathBuf) -> StoreError {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    let holder = match text.trim().parse::<u32>() {
        Ok(pid) if read.is_ok() => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    StoreError::InUse { lock_file, holder }
}

/// Messages are private, so a new directory is its owner's only. It must be as durable as what is stored in it.
fn create(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)?;
    directory.canonicalize()?.ancestors().skip(1).try_for_each(|parent| match File::open(parent) {
        Ok(parent) => parent.sync_all(),
        // A directory that we cannot open is none that we created.
        Err(_) => Ok(()),
    })
}

fn fault(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}
