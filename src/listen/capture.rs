//! The file of `--save`: one line for each exchange, appended before its sender is answered.
//!
//! An appended line is with the kernel: it outlives this process, not a power cut. The file is locked while the listener
//! runs. A renamed file is written on under its new name; a removed one is begun anew.

mod file;

use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::redact::Redactor;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::ndjson;
use crate::net::{Header, Response};
pub use file::open_pipe;
use file::{CaptureFile, is_removed};

/// Upper rate of warnings about failed writes.
const ALARM_INTERVAL: Duration = Duration::from_secs(1);

/// `Retry-After` of the 503 for an exchange that could not be saved, in seconds.
const RETRY_AFTER: &str = "5";

#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    file: CaptureFile,
    /// With `--redact`.
    redactor: Option<Box<Redactor>>,
    alarm: Alarm,
    /// How many exchanges are on file.
    pub saved: u64,
}

/// The result of saving one exchange.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Appended {
    /// Why the exchange is not on file.
    pub failure: Option<String>,
    pub warnings: Vec<String>,
    /// The line as it is on file; absent with `--redact`.
    pub line: Option<Bytes>,
}

impl Capture {
    /// Opens or creates the file, and gives warnings about it.
    pub fn open(path: &Path, redact: bool) -> Result<(Self, Vec<String>), Error> {
        let (mut file, warnings) = CaptureFile::open(path)?;
        let mut redactor = redact.then(Box::<Redactor>::default);
        if let Some(redactor) = &mut redactor
            && file.is_regular
        {
            let rewound = file.file.rewind();
            let resumed = rewound.and_then(|()| redactor.resume(&file.file));
            resumed.map_err(|source| Error::Write {
                path: path.to_owned(),
                source,
            })?;
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

    /// Appends an exchange with one write. `now` is the time since the start.
    pub fn append(&mut self, exchange: &Exchange, now: Duration) -> Appended {
        let line = match &mut self.redactor {
            None => ndjson::line("exchange", exchange),
            Some(redactor) => ndjson::line("exchange", &redactor.redacted(exchange)),
        };
        let mut warnings = Vec::new();
        let appended = self
            .reopen_if_removed(&mut warnings)
            .and_then(|length| self.file.append(&line, length));
        let failure = appended.err().map(|error| match error.kind() {
            io::ErrorKind::WouldBlock => "nobody reads the pipe, and it is full".to_owned(),
            _ => error.to_string(),
        });
        self.saved += u64::from(failure.is_none());
        let alarm = self.alarm.note(failure.as_deref(), now);
        warnings.extend(alarm.map(|text| self.about(&text)));
        let is_shareable = failure.is_none() && self.redactor.is_none();
        Appended {
            failure,
            warnings,
            line: is_shareable.then(|| line.into()),
        }
    }

    /// For the startup notes.
    #[must_use]
    pub fn purpose(&self) -> String {
        let masked = if self.redactor.is_some() {
            ", masked"
        } else {
            ""
        };
        format!("saving to {}{masked}", self.path.display())
    }

    /// A copy of the redactor, which gives the same masks to the same exchanges.
    #[must_use]
    pub fn redactor(&self) -> Option<Redactor> {
        self.redactor.as_deref().cloned()
    }

    /// How many exchanges could not be saved.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.alarm.lost
    }

    /// The last warning, if failures were held back by the rate limit.
    pub fn finish(&mut self) -> Option<String> {
        let text = self.alarm.held_back()?;
        Some(self.about(&text))
    }

    /// Returns the length of the file; `None` for pipes and devices.
    fn reopen_if_removed(&mut self, warnings: &mut Vec<String>) -> io::Result<Option<u64>> {
        let metadata = self.file.metadata()?;
        if !metadata.as_ref().is_some_and(is_removed) {
            return Ok(metadata.map(|metadata| metadata.len()));
        }
        let (file, more) = CaptureFile::open(&self.path).map_err(|error| match error {
            Error::Write { source, .. } => source,
            other => io::Error::other(other.to_string()),
        })?;
        self.file = file;
        warnings.push(self.about("removed while it was written to, and begun anew"));
        warnings.extend(more);
        Ok(self.file.metadata()?.map(|metadata| metadata.len()))
    }

    fn about(&self, text: &str) -> String {
        format!("{}: {text}", self.path.display())
    }
}

/// The answer to a request that could not be saved. The cause is not for the sender.
#[must_use]
pub fn unsaved() -> Response {
    let mut response = Response::plain(503, "could not be saved\n");
    response
        .headers
        .push(Header::new("retry-after", RETRY_AFTER));
    response
}

/// Rate limit of the warnings about failed writes: the first at once, then counts, then that writing works again.
#[derive(Debug, Default)]
struct Alarm {
    lost: u64,
    /// The latest cause, until a warning names it.
    cause: Option<String>,
    warned: Option<Duration>,
    /// Whether the last warning said that writing fails.
    is_raised: bool,
}

impl Alarm {
    /// Notes the result of a write, and gives the warning that is due.
    fn note(&mut self, failure: Option<&str>, now: Duration) -> Option<String> {
        let Some(cause) = failure else {
            if !std::mem::take(&mut self.is_raised) {
                return None;
            }
            let works = "saving works again";
            return Some(
                self.held_back()
                    .map_or(works.to_owned(), |failed| format!("{failed}; {works}")),
            );
        };
        self.lost += 1;
        self.cause = Some(cause.to_owned());
        if self
            .warned
            .is_some_and(|warned| now.saturating_sub(warned) < ALARM_INTERVAL)
        {
            return None;
        }
        self.warned = Some(now);
        self.is_raised = true;
        self.held_back()
    }

    fn held_back(&mut self) -> Option<String> {
        let cause = self.cause.take()?;
        Some(format!(
            "cannot be written: {cause}; {} lost so far, answered 503",
            self.lost
        ))
    }
}

#[cfg(test)]
mod tests;
