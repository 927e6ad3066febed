//! Keeping: every exchange is on file before its sender hears that it came.
//!
//! In: exchanges, one at a time. Out: lines at the end of a file, each appended in one piece, or the reason why that
//! could not be done. The bytes are then with the kernel: they outlive this process, not a power cut.
//!
//! The file is ours alone while we run. It may be renamed, and is then written on under its new name, or removed, and is
//! then begun anew.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::event::Exchange;
use super::redact::Redactor;
use crate::error::Error;
use crate::wire::{Header, Response, record};

/// How often a save that fails is told of, however many do.
const ALARM_EVERY: Duration = Duration::from_secs(1);

/// After how many seconds a sender should try again when its request could not be saved.
const RETRY_AFTER: &str = "5";

/// What is saved of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// All of it, secrets too.
    AsItCame,
    /// All of it, but masked as [`Redactor`] does.
    Redacted,
}

/// Saves exchanges to a file.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    sheet: Sheet,
    /// Masks what is saved, if it is to be masked.
    redactor: Option<Redactor>,
    alarm: Alarm,
    /// How many exchanges are on file.
    pub saved: u64,
}

/// What came of saving one exchange.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// Why it is not on file, if it is not.
    pub failure: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Its record as it is on file, unless that is masked.
    pub line: Option<Bytes>,
}

impl Keeper {
    /// Opens the file, or makes it, for its owner alone. What a person should know about it comes along.
    pub fn open(path: &Path, content: Content) -> Result<(Self, Vec<String>), Error> {
        let (mut sheet, warnings) = Sheet::open(path)?;
        let redactor = match content {
            Content::AsItCame => None,
            Content::Redacted => {
                let mut redactor = Redactor::default();
                if sheet.is_regular {
                    let resumed = sheet.file.rewind().and_then(|()| redactor.resume(&sheet.file));
                    resumed.map_err(|source| Error::Write { path: path.to_owned(), source })?;
                }
                Some(redactor)
            }
        };
        Ok((Self { path: path.to_owned(), sheet, redactor, alarm: Alarm::default(), saved: 0 }, warnings))
    }

    /// Appends an exchange. `now` is the time since the start.
    pub fn keep(&mut self, exchange: &Exchange, now: Duration) -> Kept {
        let line = match &mut self.redactor {
            None => record::line("exchange", exchange),
            Some(redactor) => record::line("exchange", &redactor.redacted(exchange)),
        };
        let mut warnings = Vec::new();
        let appended = self.renew(&mut warnings).and_then(|length| self.sheet.append(&line, length));
        let failure = appended.err().map(|error| match error.kind() {
            io::ErrorKind::WouldBlock => "nobody reads the pipe, and it is full".to_owned(),
            _ => error.to_string(),
        });
        self.saved += u64::from(failure.is_none());
        warnings.extend(self.alarm.note(failure.as_deref(), now).map(|what| self.about(&what)));
        let line = (failure.is_none() && self.redactor.is_none()).then(|| line.into());
        Kept { failure, warnings, line }
    }

    /// What it does, and where.
    #[must_use]
    pub fn purpose(&self) -> String {
        let masked = if self.redactor.is_some() { ", masked" } else { "" };
        format!("saving to {}{masked}", self.path.display())
    }

    /// What masks as this one does, from here on, if it does.
    #[must_use]
    pub fn redactor(&self) -> Option<Redactor> {
        self.redactor.clone()
    }

    /// How many exchanges could not be saved.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.alarm.lost
    }

    /// What is still to be told when nothing more will be saved.
    pub fn finish(&mut self) -> Option<String> {
        self.alarm.rest().map(|what| self.about(&what))
    }

    fn about(&self, what: &str) -> String {
        format!("{}: {what}", self.path.display())
    }

    /// Begins the file anew if it was removed. Gives its length, if it has one: the system is asked once for both.
    fn renew(&mut self, warnings: &mut Vec<String>) -> io::Result<Option<u64>> {
        let metadata = self.sheet.metadata()?;
        if !metadata.as_ref().is_some_and(is_removed) {
            return Ok(metadata.map(|metadata| metadata.len()));
        }
        let (sheet, more) = Sheet::open(&self.path).map_err(|error| match error {
            Error::Write { source, .. } => source,
            other => io::Error::other(other.to_string()),
        })?;
        self.sheet = sheet;
        warnings.push(self.about("removed while it was written to, and begun anew"));
        warnings.extend(more);
        Ok(self.sheet.metadata()?.map(|metadata| metadata.len()))
    }
}

/// The answer to a request that could not be saved: a sender that knows HTTP comes again. Why is not for strangers.
#[must_use]
pub fn unsaved() -> Response {
    let mut response = Response::plain(503, "could not be saved\n");
    response.headers.push(Header::new("retry-after", RETRY_AFTER));
    response
}

/// The open file.
#[derive(Debug)]
struct Sheet {
    file: File,
    /// Whether it has a length and a last line; devices and pipes have none.
    is_regular: bool,
    /// Whether its last line lacks its end, so that the next one must begin with it.
    torn: bool,
}

impl Sheet {
    fn open(path: &Path) -> Result<(Self, Vec<String>), Error> {
        let cannot = |source| Error::Write { path: path.to_owned(), source };
        if let Some(pipe) = pipe(path).map_err(cannot)? {
            return Ok((Self { file: pipe, is_regular: false, torn: false }, Vec::new()));
        }
        // Reading is for the last line.
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, windows::READ);
        let mut file = options.open(path).map_err(|source| match source.raw_os_error() {
            #[cfg(windows)]
            Some(windows::SHARING_VIOLATION) => Error::Taken { path: path.to_owned() },
            _ => cannot(source),
        })?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Ok((Self { file, is_regular: false, torn: false }, Vec::new()));
        }
        let mut warnings = Vec::new();
        warnings.extend(lock(path, &file)?);
        warnings.extend(exposure(path, &metadata));
        let torn = is_torn(&mut file).map_err(cannot)?;
        if torn {
            let text = "the last line is cut off; what comes now begins a new line";
            warnings.push(format!("{}: {text}", path.display()));
        }
        Ok((Self { file, is_regular: true, torn }, warnings))
    }

    /// Appends a line in one piece to what is so long `before`. If only a part of it went in, that is taken back, where it
    /// can be.
    fn append(&mut self, line: &[u8], before: Option<u64>) -> io::Result<()> {
        let bytes =
            if self.torn && before != Some(0) { [b"\n", line].concat().into() } else { Cow::Borrowed(line) };
        match write_whole(&mut self.file, &bytes) {
            Ok(()) => {
                self.torn = false;
                Ok(())
            }
            Err((written, error)) => {
                self.take_back(before, written);
                Err(error)
            }
        }
    }

    /// Takes back what was written of a line that did not go in whole, or remembers that it stands there.
    fn take_back(&mut self, before: Option<u64>, written: usize) {
        if written == 0 {
            return;
        }
        let now = self.metadata().ok().flatten().map(|metadata| metadata.len());
        let is_ours = |before: &u64| now == Some(before + written as u64);
        let cut = before.filter(is_ours).is_some_and(|before| self.file.set_len(before).is_ok());
        self.torn |= !cut;
    }

    /// What the system says of it; nothing of what has no length.
    fn metadata(&self) -> io::Result<Option<fs::Metadata>> {
        self.is_regular.then(|| self.file.metadata()).transpose()
    }
}

/// Whether no folder has the file any more.
#[cfg(unix)]
fn is_removed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

/// An open file cannot be removed here.
#[cfg(not(unix))]
fn is_removed(_: &fs::Metadata) -> bool {
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
    sender.into_nonblocking_fd().map(|descriptor| Some(descriptor.into()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as it is where paths can name pipes")]
pub fn pipe(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// Locks the file, or says why it cannot be.
#[cfg(not(windows))]
fn lock(path: &Path, file: &File) -> Result<Option<String>, Error> {
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Taken { path: path.to_owned() }),
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

/// Writes all the bytes, at once if the system takes them so. An error comes with how many went in before it.
fn write_whole(file: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
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

/// Tells of saves that fail: the first at once, the others in numbers, and that it works again.
#[derive(Debug, Default)]
struct Alarm {
    lost: u64,
    /// Why the latest was lost, if that has not been told.
    untold: Option<String>,
    told: Option<Duration>,
    /// Whether the last word was that it fails.
    raised: bool,
}

impl Alarm {
    /// Takes note of how a save went, and gives what to say of it now.
    fn note(&mut self, failure: Option<&str>, now: Duration) -> Option<String> {
        let Some(cause) = failure else {
            if !std::mem::take(&mut self.raised) {
                return None;
            }
            let works = "saving works again";
            return Some(self.rest().map_or(works.to_owned(), |rest| format!("{rest}; {works}")));
        };
        self.lost += 1;
        self.untold = Some(cause.to_owned());
        if self.told.is_some_and(|told| now.saturating_sub(told) < ALARM_EVERY) {
            return None;
        }
        self.told = Some(now);
        self.raised = true;
        self.rest()
    }

    /// What has not been told yet, which is told thereby.
    fn rest(&mut self) -> Option<String> {
        let cause = self.untold.take()?;
        Some(format!("cannot be written: {cause}; {} lost so far, answered 503", self.lost))
    }
}

#[cfg(test)]
mod tests;
