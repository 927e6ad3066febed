//! The open capture file: lines are appended whole or not at all.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;

use crate::error::Error;

#[derive(Debug)]
pub(super) struct CaptureFile {
    pub file: File,
    /// False for devices and pipes, which have neither length nor last line.
    pub is_regular: bool,
    /// Whether the last line has no newline, so that the next append must begin with one.
    pub is_torn: bool,
}

impl CaptureFile {
    /// Opens or creates the file, and gives warnings about it.
    pub fn open(path: &Path) -> Result<(Self, Vec<String>), Error> {
        let cannot = |source| Error::Write {
            path: path.to_owned(),
            source,
        };
        let special = |file| Self {
            file,
            is_regular: false,
            is_torn: false,
        };
        if let Some(pipe) = open_pipe(path).map_err(cannot)? {
            return Ok((special(pipe), Vec::new()));
        }
        // Read access is for the last line.
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, windows::FILE_SHARE_READ);
        let mut file = options
            .open(path)
            .map_err(|source| match source.raw_os_error() {
                #[cfg(windows)]
                Some(windows::ERROR_SHARING_VIOLATION) => Error::Taken {
                    path: path.to_owned(),
                },
                _ => cannot(source),
            })?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Ok((special(file), Vec::new()));
        }
        let mut warnings = Vec::new();
        warnings.extend(lock(path, &file)?);
        warnings.extend(exposure(path, &metadata));
        let is_torn = has_torn_line(&mut file).map_err(cannot)?;
        if is_torn {
            let text = "the last line is cut off; what comes now begins a new line";
            warnings.push(format!("{}: {text}", path.display()));
        }
        let file = Self {
            file,
            is_regular: true,
            is_torn,
        };
        Ok((file, warnings))
    }

    /// Appends a line to a file of that length. A part of a line is cut off again.
    pub fn append(&mut self, line: &[u8], length: Option<u64>) -> io::Result<()> {
        let line = if self.is_torn && length != Some(0) {
            Cow::Owned([b"\n", line].concat())
        } else {
            Cow::Borrowed(line)
        };
        match write_whole(&mut self.file, &line) {
            Ok(()) => {
                self.is_torn = false;
                Ok(())
            }
            Err((written, error)) => {
                self.roll_back(length, written);
                Err(error)
            }
        }
    }

    /// Cuts off the `written` bytes of a line that did not go in whole, unless another process has appended meanwhile.
    pub fn roll_back(&mut self, length: Option<u64>, written: usize) {
        if written == 0 {
            return;
        }
        let now = self.metadata().ok().flatten();
        let now = now.map(|metadata| metadata.len());
        let is_cut = length
            .filter(|length| now == Some(length + written as u64))
            .is_some_and(|length| self.file.set_len(length).is_ok());
        self.is_torn |= !is_cut;
    }

    /// `None` for devices and pipes.
    pub fn metadata(&self) -> io::Result<Option<fs::Metadata>> {
        self.is_regular.then(|| self.file.metadata()).transpose()
    }
}

/// Whether the file has no name any more.
#[cfg(unix)]
pub(super) fn is_removed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

/// Windows does not remove an open file.
#[cfg(not(unix))]
pub(super) fn is_removed(_: &fs::Metadata) -> bool {
    false
}

/// Opens the path if it is a FIFO, without blocking: a FIFO without a reader, and later a full one, is an error.
#[cfg(unix)]
pub fn open_pipe(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::FileTypeExt as _;
    use tokio::net::unix::pipe;
    if !fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return Ok(None);
    }
    let sender = pipe::OpenOptions::new().open_sender(path)?;
    sender
        .into_nonblocking_fd()
        .map(|descriptor| Some(descriptor.into()))
}

#[cfg(not(unix))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature of the Unix version"
)]
pub fn open_pipe(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// Locks the file; gives a warning where the file system has no locks.
#[cfg(not(windows))]
fn lock(path: &Path, file: &File) -> Result<Option<String>, Error> {
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Taken {
            path: path.to_owned(),
        }),
        Err(fs::TryLockError::Error(error)) => Ok(Some(format!(
            "{}: cannot be locked ({error}): see to it that no other listener saves there",
            path.display()
        ))),
    }
}

/// The share mode keeps other writers out; a lock would keep readers out too.
#[cfg(windows)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature of the Unix version"
)]
fn lock(_: &Path, _: &File) -> Result<Option<String>, Error> {
    Ok(None)
}

#[cfg(windows)]
mod windows {
    pub const FILE_SHARE_READ: u32 = 0x1;
    pub const ERROR_SHARING_VIOLATION: i32 = 32;
}

/// A warning if other users may read or write the file.
#[cfg(unix)]
fn exposure(path: &Path, metadata: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o066 != 0).then(|| {
        let path = path.display();
        format!("{path}: open to others on this machine (mode {mode:o}): chmod 600 {path}")
    })
}

#[cfg(not(unix))]
fn exposure(_: &Path, _: &fs::Metadata) -> Option<String> {
    None
}

/// Whether the last line has no newline.
fn has_torn_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Writes all bytes, with one write(2) if the system takes them at once. An error comes with the number written before.
pub(super) fn write_whole(file: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}
