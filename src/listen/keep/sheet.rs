//! The open file: lines in, appended whole or not at all.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use crate::error::Error;

/// The open file.
#[derive(Debug)]
pub(super) struct Sheet {
    pub file: File,
    /// Whether it has a length and a last line; devices and pipes have none.
    pub is_regular: bool,
    /// Whether its last line lacks its end, so that the next one must begin with it.
    pub torn: bool,
}

impl Sheet {
    /// Opens the file, or makes it. What a person should know about it comes along.
    pub fn open(path: &Path) -> Result<(Self, Vec<String>), Error> {
        let cannot = |source| Error::Write {
            path: path.to_owned(),
            source,
        };
        if let Some(pipe) = pipe(path).map_err(cannot)? {
            return Ok((
                Self {
                    file: pipe,
                    is_regular: false,
                    torn: false,
                },
                Vec::new(),
            ));
        }
        // Reading is for the last line.
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, windows::READ);
        let mut file = options
            .open(path)
            .map_err(|source| match source.raw_os_error() {
                #[cfg(windows)]
                Some(windows::SHARING_VIOLATION) => Error::Taken {
                    path: path.to_owned(),
                },
                _ => cannot(source),
            })?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Ok((
                Self {
                    file,
                    is_regular: false,
                    torn: false,
                },
                Vec::new(),
            ));
        }
        let mut warnings = Vec::new();
        warnings.extend(lock(path, &file)?);
        warnings.extend(exposure(path, &metadata));
        let torn = is_torn(&mut file).map_err(cannot)?;
        if torn {
            let text = "the last line is cut off; what comes now begins a new line";
            warnings.push(format!("{}: {text}", path.display()));
        }
        Ok((
            Self {
                file,
                is_regular: true,
                torn,
            },
            warnings,
        ))
    }

    /// Appends lines, which end there, in one piece to what is so long `before`. If only a part of them went in, what is no
    /// whole line is taken back, where it can be. Gives which lines did not go in, and why.
    pub fn append(
        &mut self,
        lines: &[u8],
        ends: &[usize],
        before: Option<u64>,
    ) -> Vec<(usize, String)> {
        if self.is_regular {
            return match self.append_at_once(lines, ends, before) {
                Ok(()) => Vec::new(),
                Err((whole, error)) => all(whole..ends.len(), &error),
            };
        }
        // A pipe may have room for one line and not for all, and is read meanwhile.
        let mut failures = Vec::new();
        let mut begin = 0;
        for (place, end) in ends.iter().enumerate() {
            if let Err((_, error)) =
                self.append_at_once(&lines[begin..*end], &[end - begin], before)
            {
                failures.extend(all(place..place + 1, &error));
            }
            begin = *end;
        }
        failures
    }

    /// Appends lines with as few writes as the system needs. An error comes with how many lines went in whole before it.
    fn append_at_once(
        &mut self,
        lines: &[u8],
        ends: &[usize],
        before: Option<u64>,
    ) -> Result<(), (usize, io::Error)> {
        let distance: &[u8] = if self.torn && before != Some(0) {
            b"\n"
        } else {
            b""
        };
        let bytes = if distance.is_empty() {
            Cow::Borrowed(lines)
        } else {
            [distance, lines].concat().into()
        };
        let (written, error) = match write_whole(&mut self.file, &bytes) {
            Ok(()) => {
                self.torn = false;
                return Ok(());
            }
            Err(failure) => failure,
        };
        let is_whole = |end: &&usize| distance.len() + **end <= written;
        let whole = ends.iter().take_while(is_whole).count();
        let kept = ends[..whole].last().map_or(0, |end| distance.len() + end);
        self.torn &= whole == 0;
        self.take_back(before.map(|before| before + kept as u64), written - kept);
        Err((whole, error))
    }

    /// Takes back what was written of a line that did not go in whole, or remembers that it stands there.
    pub fn take_back(&mut self, before: Option<u64>, written: usize) {
        if written == 0 {
            return;
        }
        let now = self
            .metadata()
            .ok()
            .flatten()
            .map(|metadata| metadata.len());
        let is_ours = |before: &u64| now == Some(before + written as u64);
        let cut = before
            .filter(is_ours)
            .is_some_and(|before| self.file.set_len(before).is_ok());
        self.torn |= !cut;
    }

    /// What the system says of it; nothing of what has no length.
    pub fn metadata(&self) -> io::Result<Option<fs::Metadata>> {
        self.is_regular.then(|| self.file.metadata()).transpose()
    }
}

/// Whether no folder has the file any more.
#[cfg(unix)]
pub(super) fn is_removed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

/// An open file cannot be removed here.
#[cfg(not(unix))]
pub(super) fn is_removed(_: &fs::Metadata) -> bool {
    false
}

/// Opens a pipe, if that is what the path names. It never holds us up: nobody reads it, or it is full, is an error.
#[cfg(unix)]
pub fn pipe(path: &Path) -> io::Result<Option<File>> {
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
    reason = "as it is where paths can name pipes"
)]
pub fn pipe(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// Locks the file, or says why it cannot be.
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

/// A lock would keep readers out; so nobody else may write because the file was opened so.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "as it is where files are locked")]
fn lock(_: &Path, _: &File) -> Result<Option<String>, Error> {
    Ok(None)
}

/// What Windows calls these.
#[cfg(windows)]
mod windows {
    /// Others may read the file, and do nothing else with it: FILE_SHARE_READ.
    pub const READ: u32 = 0x1;
    /// Somebody else has opened it: ERROR_SHARING_VIOLATION.
    pub const SHARING_VIOLATION: i32 = 32;
}

/// What to say of a file that others on this machine may read or write.
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

/// Whether there is a last line without its end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The same reason for each of these lines.
pub(super) fn all(lines: Range<usize>, error: &io::Error) -> Vec<(usize, String)> {
    let why = match error.kind() {
        io::ErrorKind::WouldBlock => "nobody reads the pipe, and it is full".to_owned(),
        _ => error.to_string(),
    };
    lines.map(|line| (line, why.clone())).collect()
}

/// Writes all the bytes, at once if the system takes them so. An error comes with how many went in before it.
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
