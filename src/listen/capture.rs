//! Writes the file of `--save`: one line for each exchange, appended before the response is sent.
//!
//! Lines are written without fsync: they survive a crash of this process, but not a power failure. A partly written
//! line is truncated. The file is locked while the listener runs. A renamed file receives further lines under its new
//! name; a removed file is created again.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::time::Instant;

use super::recorder::REPORT_INTERVAL;
use super::redact::Redactor;
use crate::error::Error;
use crate::exchange::{Exchange, RECORD_TYPES};
use crate::ndjson;
use crate::net::Response;

const PIPE_IS_FULL: &str = "the pipe is full, because its reader does not read";

#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    file: CaptureFile,
    pub redactor: Option<Redactor>,
    pub(super) alarm: Alarm,
    pub saved: u64,
}

impl Capture {
    /// Opens or creates the capture file. The returned warnings say that the file cannot be locked, or that other users
    /// may access the file.
    pub fn open(path: &Path, redact: bool) -> Result<(Self, Vec<String>), Error> {
        let cannot = |source| cannot_write(path, source);
        let (mut file, warnings) = CaptureFile::open(path).map_err(cannot)?;
        if file.is_regular && !begins_with_record(&mut file.file).map_err(cannot)? {
            return Err(Error::Usage(format!(
                "--save {}: the file holds something other than records: name another file",
                path.display()
            )));
        }
        let mut redactor = redact.then(Redactor::default);
        if let Some(redactor) = redactor.as_mut().filter(|_| file.is_regular) {
            file.file.rewind().map_err(cannot)?;
            redactor.resume(&file.file).map_err(cannot)?;
        }
        let capture = Self {
            path: path.to_owned(),
            file,
            redactor,
            alarm: Alarm::default(),
            saved: 0,
        };
        Ok((capture, warnings))
    }

    /// Appends the line of an exchange with one write(2), and returns that line, or `None` with `--redact`. An error is
    /// the reason why the exchange was not saved.
    pub fn append(
        &mut self,
        exchange: &Exchange,
        mut warn: impl FnMut(String),
    ) -> Result<Option<Bytes>, String> {
        let line: Bytes = match &mut self.redactor {
            None => ndjson::line("exchange", exchange).into(),
            Some(redactor) => ndjson::line("exchange", &redactor.redacted(exchange)).into(),
        };
        let appended = self
            .present_length(&mut warn)
            .and_then(|length| self.file.append(&line, length))
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => PIPE_IS_FULL.to_owned(),
                _ => error.to_string(),
            });
        self.saved += u64::from(appended.is_ok());
        if let Some(text) = self.alarm.note(appended.as_ref().err()) {
            warn(self.about(&text));
        }
        appended.map(|()| self.redactor.is_none().then_some(line))
    }

    pub fn purpose(&self) -> String {
        let masked = self.redactor.as_ref().map_or("", |_| ", masked");
        format!("saving to {}{masked}", self.path.display())
    }

    pub fn finish(&mut self) -> Option<String> {
        self.alarm.held_back().map(|text| self.about(&text))
    }

    /// Returns the length of the capture file, which is created again if it was removed.
    fn present_length(&mut self, warn: &mut impl FnMut(String)) -> io::Result<Option<u64>> {
        let Some(metadata) = self.file.metadata()? else {
            return Ok(None);
        };
        if !is_removed(&metadata) {
            return Ok(Some(metadata.len()));
        }
        let (file, more) = CaptureFile::open(&self.path)?;
        self.file = file;
        warn(self.about("the file was removed during the run, and has been created again"));
        more.into_iter().for_each(warn);
        self.file.length()
    }

    fn about(&self, text: &str) -> String {
        format!("{}: {text}", self.path.display())
    }
}

/// A request whose exchange could not be saved is answered with 503. The response body does not name the cause.
pub fn unsaved() -> Response {
    Response::plain(503, "could not be saved\n").with("retry-after", "5")
}

/// `Alarm` warns about failed writes to the capture file: about the first at once, about later ones with their number
/// and at most once a second, and about the first write that succeeds again.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    pub lost: u64,
    cause: Option<String>,
    warned: Option<Instant>,
    is_raised: bool,
}

impl Alarm {
    fn note(&mut self, failure: Option<&String>) -> Option<String> {
        if let Some(cause) = failure {
            self.lost += 1;
            self.cause = Some(cause.clone());
            let is_recent = |at: Instant| at.elapsed() < REPORT_INTERVAL;
            if self.warned.is_some_and(is_recent) {
                return None;
            }
            self.warned = Some(Instant::now());
            self.is_raised = true;
            return self.held_back();
        }
        let works = "saving works again";
        let was_raised = std::mem::take(&mut self.is_raised);
        was_raised.then(|| match self.held_back() {
            Some(failed) => format!("{failed}; {works}"),
            None => works.to_owned(),
        })
    }

    fn held_back(&mut self) -> Option<String> {
        let (cause, lost) = (self.cause.take()?, self.lost);
        let text = format!("cannot be written: {cause}; {lost} not saved so far");
        Some(text)
    }
}

#[derive(Debug)]
struct CaptureFile {
    file: File,
    is_regular: bool,
    /// If the last line of the capture file has no newline, the next append must begin with a newline.
    is_torn: bool,
}

impl CaptureFile {
    fn open(path: &Path) -> io::Result<(Self, Vec<String>)> {
        let mut file = match open_pipe(path)? {
            Some(pipe) => pipe,
            None => options().open(path)?,
        };
        let metadata = file.metadata()?;
        let is_regular = metadata.is_file();
        let mut warnings = Vec::new();
        if is_regular {
            warnings.extend(lock(path, &file)?);
            #[cfg(unix)]
            warnings.extend(exposure(path, &metadata));
        }
        let is_torn = is_regular && has_torn_line(&mut file)?;
        if is_torn {
            let text = "the last line is incomplete; the next exchange begins a new line";
            warnings.push(format!("{}: {text}", path.display()));
        }
        let file = Self {
            file,
            is_regular,
            is_torn,
        };
        Ok((file, warnings))
    }

    /// Appends a line to the capture file of the given length; truncates the file if only a part of the line was written.
    fn append(&mut self, line: &[u8], length: Option<u64>) -> io::Result<()> {
        let line = if self.is_torn && length != Some(0) {
            Cow::Owned([b"\n", line].concat())
        } else {
            Cow::Borrowed(line)
        };
        write_whole(&mut self.file, &line).map_err(|(written, error)| {
            self.roll_back(length, written);
            error
        })?;
        self.is_torn = false;
        Ok(())
    }

    /// Truncates the `written` bytes of an incomplete line, unless another process has appended to the capture file
    /// meanwhile.
    fn roll_back(&mut self, length: Option<u64>, written: usize) {
        let now = self.length().ok().flatten();
        let before = length.filter(|length| now == Some(length + written as u64));
        let is_cut = before.is_some_and(|length| self.file.set_len(length).is_ok());
        self.is_torn |= written > 0 && !is_cut;
    }

    fn length(&self) -> io::Result<Option<u64>> {
        Ok(self.metadata()?.map(|metadata| metadata.len()))
    }

    /// Returns `None` for a FIFO or device.
    fn metadata(&self) -> io::Result<Option<fs::Metadata>> {
        self.is_regular.then(|| self.file.metadata()).transpose()
    }
}

/// The capture file is opened for reading too: [`has_torn_line`] and the redactor read the existing lines.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // On Windows, FILE_SHARE_READ keeps other writers out of the capture file; LockFileEx would keep readers out too.
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0x1);
    options
}

fn cannot_write(path: &Path, source: io::Error) -> Error {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    let path = path.to_owned();
    let is_shared = cfg!(windows) && source.raw_os_error() == Some(ERROR_SHARING_VIOLATION);
    if is_shared || source.kind() == io::ErrorKind::ResourceBusy {
        Error::Taken { path }
    } else {
        Error::Write { path, source }
    }
}

#[cfg(unix)]
fn is_removed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

/// On Windows an open file cannot be removed.
#[cfg(not(unix))]
fn is_removed(_: &fs::Metadata) -> bool {
    false
}

/// Opens `path` without blocking if `path` is a FIFO. A FIFO without a reader gives an error, later also a full FIFO.
#[cfg_attr(not(unix), allow(unused_variables, clippy::unnecessary_wraps))]
pub fn open_pipe(path: &Path) -> io::Result<Option<File>> {
    #[cfg(unix)]
    if fs::metadata(path).is_ok_and(|it| std::os::unix::fs::FileTypeExt::is_fifo(&it.file_type())) {
        let sender = tokio::net::unix::pipe::OpenOptions::new().open_sender(path)?;
        return Ok(Some(sender.into_nonblocking_fd()?.into()));
    }
    Ok(None)
}

/// Locks the capture file; returns a warning if the file system has no locks. On Windows the share mode in [`options`]
/// takes the place of a lock.
fn lock(path: &Path, file: &File) -> io::Result<Option<String>> {
    if cfg!(windows) {
        return Ok(None);
    }
    let path = path.display();
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(fs::TryLockError::WouldBlock) => {
            let text = format!("another listener is saving to {path}");
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
        Err(fs::TryLockError::Error(error)) => Ok(Some(format!(
            "{path}: cannot be locked ({error}): make sure that no other listener saves to this \
             file"
        ))),
    }
}

#[cfg(unix)]
fn exposure(path: &Path, metadata: &fs::Metadata) -> Option<String> {
    let mode = std::os::unix::fs::MetadataExt::mode(metadata) & 0o777;
    let path = path.display();
    let text = format!("{path}: accessible to other users (mode {mode:o}): run chmod 600 {path}");
    (mode & 0o066 != 0).then_some(text)
}

fn has_torn_line(file: &mut File) -> io::Result<bool> {
    let mut last = *b"\n";
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(last != *b"\n")
}

/// Returns whether `--save` may append to a file: an empty file, or one that begins with a record, complete or not.
fn begins_with_record(file: &mut File) -> io::Result<bool> {
    let mut beginning = Vec::new();
    file.rewind()?;
    file.take(65_536).read_to_end(&mut beginning)?;
    beginning.retain(|byte| !byte.is_ascii_whitespace());
    Ok(RECORD_TYPES.iter().any(|name| {
        let record = format!("{{\"type\":\"{name}\"");
        beginning.starts_with(record.as_bytes()) || record.as_bytes().starts_with(&beginning)
    }))
}

/// Writes all bytes, with one write(2) if the kernel takes them at once. An error carries the number of bytes written
/// before.
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

#[cfg(test)]
mod tests;
