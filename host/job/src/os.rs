//! What differs between operating systems: opening a file without waiting for it, reading
//! a window of it, telling two files apart, and the bytes of a path.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Which file it is, whatever path leads to it. Only regular files have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

// === impl FileId ===

impl FileId {
    /// The identity of a regular file; `None` where the system knows none.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        metadata.is_file().then(|| imp::id(metadata)).flatten()
    }

    /// The identity of the regular file at a path, if there is one.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        Self::of(&std::fs::metadata(path).ok()?)
    }
}

/// Opens a file for reading; a FIFO without a writer does not hold it up.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    imp::open(OpenOptions::new().read(true), path)
}

/// Fills `window` from `offset` on; fails with `UnexpectedEof` where the file ends first.
pub(crate) fn read_window(file: &File, window: &mut [u8], offset: u64) -> io::Result<()> {
    imp::read_window(file, window, offset)
}

/// Reads some bytes from `offset` on; none at the end.
pub(crate) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    imp::read_at(file, out, offset)
}

/// Makes sure that names in a folder stay as they are now.
pub(crate) fn settle_folder(folder: &Path) -> io::Result<()> {
    imp::settle_folder(folder)
}

/// Standard output as a file, so that what was written to it is known to the byte.
pub(crate) fn stdout() -> io::Result<File> {
    imp::stdout()
}

/// A path from bytes as they come from another program.
pub(crate) fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(imp::os_string(bytes))
}

/// The bytes of a path.
pub(crate) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// What a file is, in words, when it is not a regular one.
pub(crate) fn kind_in_words(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() {
        "a directory"
    } else {
        imp::special_in_words(metadata)
    }
}

#[cfg(unix)]
mod imp {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};

    pub(super) fn id(metadata: &Metadata) -> Option<FileId> {
        Some(FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        options.custom_flags(libc::O_NONBLOCK).open(path)
    }

    pub(super) fn read_window(file: &File, window: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(window, offset)
    }

    pub(super) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(out, offset)
    }

    pub(super) fn settle_folder(folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    pub(super) fn stdout() -> io::Result<File> {
        Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    pub(super) fn os_string(bytes: &[u8]) -> OsString {
        OsString::from_vec(bytes.to_vec())
    }

    pub(super) fn special_in_words(metadata: &Metadata) -> &'static str {
        let kind = metadata.file_type();
        if kind.is_fifo() {
            "a FIFO"
        } else if kind.is_socket() {
            "a socket"
        } else if kind.is_block_device() || kind.is_char_device() {
            "a device"
        } else {
            "a special file"
        }
    }
}

#[cfg(windows)]
mod imp {
    use super::*;
    use std::io::{Read, Seek, SeekFrom};
    use std::os::windows::io::AsHandle;

    pub(super) fn id(_: &Metadata) -> Option<FileId> {
        None
    }

    pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        options.open(path)
    }

    pub(super) fn read_window(file: &File, window: &mut [u8], offset: u64) -> io::Result<()> {
        let mut file = file;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(window)
    }

    pub(super) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut file = file;
        file.seek(SeekFrom::Start(offset))?;
        file.read(out)
    }

    pub(super) fn settle_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn stdout() -> io::Result<File> {
        Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
    }

    pub(super) fn os_string(bytes: &[u8]) -> OsString {
        String::from_utf8_lossy(bytes).into_owned().into()
    }

    pub(super) fn special_in_words(_: &Metadata) -> &'static str {
        "a special file"
    }
}
