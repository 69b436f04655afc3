//! Why a spool cannot be opened, and what to do about it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing can be written to the directory.
    #[error("cannot write to {}; make it a directory that this process may write to: {error}", .directory.display())]
    Directory {
        /// The spool's.
        directory: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The directory can be written, and a file in it cannot.
    #[error(
        "the directory can be written, but not {}{}; give it, and every *.callback beside it, to the user that this process runs \
         as (chown): {error}",
        .path.display(),
        .owner.map(|user| format!(", which belongs to the user {user}")).unwrap_or_default()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: Option<u32>,
        /// The system's reason.
        error: io::Error,
    },
}

impl OpenError {
    pub(super) fn directory(directory: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Directory {
            directory: directory.to_owned(),
            error,
        }
    }

    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File {
            path: path.to_owned(),
            owner: fs::metadata(path).ok().map(|file| file.uid()),
            error,
        }
    }
}
