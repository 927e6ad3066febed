//! Keeping: every exchange is on file before its sender hears that it came.
//!
//! In: exchanges, one at a time. Out: lines at the end of a file, all that are at hand appended in one piece, or for each
//! the reason why that could not be done. The bytes are then with the kernel: they outlive this process, not a power cut.
//!
//! The file is ours alone while we run. It may be renamed, and is then written on under its new name, or removed, and is
//! then begun anew.

mod sheet;

use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::redact::Redactor;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::ndjson;
use crate::wire::{Header, Response};
pub use sheet::pipe;
use sheet::{Sheet, all, is_removed};

/// How often a save that fails is told of, however many do.
const ALARM_EVERY: Duration = Duration::from_secs(1);

/// A buffer that is larger has served for something out of the ordinary, and does not serve again.
const LARGEST_KEPT: usize = 512 * 1024;

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
    redactor: Option<Box<Redactor>>,
    alarm: Alarm,
    gathered: Box<Gathered>,
    /// How many exchanges are on file.
    pub saved: u64,
}

/// What is to be appended next.
#[derive(Debug, Default)]
struct Gathered {
    lines: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// What was appended last.
    appended: Bytes,
}

/// What came of saving one exchange.
#[derive(Debug, PartialEq, Eq, Default)]
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
                    let resumed = sheet
                        .file
                        .rewind()
                        .and_then(|()| redactor.resume(&sheet.file));
                    resumed.map_err(|source| Error::Write {
                        path: path.to_owned(),
                        source,
                    })?;
                }
                Some(Box::new(redactor))
            }
        };
        let keeper = Self {
            path: path.to_owned(),
            sheet,
            redactor,
            alarm: Alarm::default(),
            gathered: Box::default(),
            saved: 0,
        };
        Ok((keeper, warnings))
    }

    /// Begins to gather exchanges.
    pub fn begin(&mut self) {
        let Gathered {
            lines,
            ends,
            appended,
        } = &mut *self.gathered;
        ends.clear();
        lines.clear();
        // Unless somebody keeps what was appended last, its buffer serves once more.
        if let Ok(buffer) = std::mem::take(appended).try_into_mut()
            && buffer.capacity() <= LARGEST_KEPT
        {
            *lines = buffer.into();
            lines.clear();
        }
    }

    /// Adds an exchange to those that are appended next.
    pub fn add(&mut self, exchange: &Exchange) {
        let Gathered { lines, ends, .. } = &mut *self.gathered;
        let line = match &mut self.redactor {
            None => ndjson::line("exchange", exchange),
            Some(redactor) => ndjson::line("exchange", &redactor.redacted(exchange)),
        };
        lines.extend_from_slice(&line);
        ends.push(lines.len());
    }

    /// Appends what was added; tells what came of each. `now` is the time since the start.
    pub fn keep(&mut self, now: Duration) -> Vec<Kept> {
        let Gathered { lines, ends, .. } = std::mem::take(&mut *self.gathered);
        let lines = Bytes::from(lines);
        let mut warnings = Vec::new();
        let failures = match self.renew(&mut warnings) {
            Ok(length) => self.sheet.append(&lines, &ends, length),
            Err(error) => all(0..ends.len(), &error),
        };
        let mut failures = failures.into_iter().peekable();
        let mut begin = 0;
        let kept = ends.iter().enumerate().map(|(place, end)| {
            let failure = failures
                .next_if(|(failed, _)| *failed == place)
                .map(|(_, why)| why);
            self.saved += u64::from(failure.is_none());
            let mut warnings = std::mem::take(&mut warnings);
            let alarm = self.alarm.note(failure.as_deref(), now);
            warnings.extend(alarm.map(|what| about(&self.path, &what)));
            let is_shown = failure.is_none() && self.redactor.is_none();
            let line = is_shown.then(|| lines.slice(begin..*end));
            begin = *end;
            Kept {
                failure,
                warnings,
                line,
            }
        });
        let kept = kept.collect();
        (self.gathered.ends, self.gathered.appended) = (ends, lines);
        kept
    }

    /// What it does, and where.
    #[must_use]
    pub fn purpose(&self) -> String {
        let masked = if self.redactor.is_some() {
            ", masked"
        } else {
            ""
        };
        format!("saving to {}{masked}", self.path.display())
    }

    /// What masks as this one does, from here on, if it does.
    #[must_use]
    pub fn redactor(&self) -> Option<Redactor> {
        self.redactor.as_deref().cloned()
    }

    /// How many exchanges could not be saved.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.alarm.lost
    }

    /// What is still to be told when nothing more will be saved.
    pub fn finish(&mut self) -> Option<String> {
        self.alarm.rest().map(|what| about(&self.path, &what))
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
        warnings.push(about(
            &self.path,
            "removed while it was written to, and begun anew",
        ));
        warnings.extend(more);
        Ok(self.sheet.metadata()?.map(|metadata| metadata.len()))
    }
}

fn about(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

/// The answer to a request that could not be saved: a sender that knows HTTP comes again. Why is not for strangers.
#[must_use]
pub fn unsaved() -> Response {
    let mut response = Response::plain(503, "could not be saved\n");
    response
        .headers
        .push(Header::new("retry-after", RETRY_AFTER));
    response
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
            return Some(
                self.rest()
                    .map_or(works.to_owned(), |rest| format!("{rest}; {works}")),
            );
        };
        self.lost += 1;
        self.untold = Some(cause.to_owned());
        if self
            .told
            .is_some_and(|told| now.saturating_sub(told) < ALARM_EVERY)
        {
            return None;
        }
        self.told = Some(now);
        self.raised = true;
        self.rest()
    }

    /// What has not been told yet, which is told thereby.
    fn rest(&mut self) -> Option<String> {
        let cause = self.untold.take()?;
        Some(format!(
            "cannot be written: {cause}; {} lost so far, answered 503",
            self.lost
        ))
    }
}

#[cfg(test)]
mod tests;
