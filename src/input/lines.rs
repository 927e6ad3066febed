//! One object a line: bodies written by hand, or a capture.
//!
//! A program that writes a capture may be killed in the middle of a line: unreadable lines of a capture are skipped with a
//! warning. A file written by hand must be valid; only its last line may be cut off.

use super::Item;
use super::{Input, InputLocation, RECORDS, read_object, refused};
use crate::error::Error;
use crate::json::{self, Document, Member};

#[derive(Default)]
struct Lines {
    /// The objects to send: the line, and the type of a record if it is unknown.
    items: Vec<(usize, Option<String>, Item)>,
    has_records: bool,
    has_payloads: bool,
    /// The first lines that are no items, and why not.
    bad: Vec<(usize, String)>,
    /// How many more of them there are.
    more_bad: usize,
    /// The last line, if it is cut off.
    cut_off: Option<usize>,
}

/// Reads lines; none if this is no file of lines.
pub(super) fn read(bytes: &[u8], name: &str) -> Result<Option<Input>, Error> {
    let mut lines = Lines::default();
    let mut first_is_object = None;
    let numbered = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let mut numbered = numbered
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .peekable();
    while let Some((number, line)) = numbered.next() {
        let is_object = lines.add(line, number, numbered.peek().is_none());
        first_is_object.get_or_insert(is_object);
    }
    let is_capture = lines.has_records && !lines.has_payloads;
    if is_capture || first_is_object == Some(true) {
        lines.finish(is_capture, name).map(Some)
    } else {
        Ok(None)
    }
}

impl Lines {
    /// Adds one line, and says whether it is an object.
    fn add(&mut self, line: &[u8], number: usize, is_last: bool) -> bool {
        let kind = match json::document(line) {
            Ok(Document::Object(members)) => record_type(&members),
            Ok(Document::Other(what)) => {
                self.has_payloads = true;
                self.note(number, format!("expected an object, found {what}"));
                return false;
            }
            Err(error) if is_last && (error.is_cut_off || ends_in_character(line)) => {
                self.cut_off = Some(number);
                return false;
            }
            Err(error) => {
                let what = format!("{} in column {}", error.message, error.column);
                self.note(number, what);
                return false;
            }
        };
        let is_known = |kind: &String| RECORDS.contains(&kind.as_str());
        self.has_records |= kind.as_ref().is_some_and(is_known);
        self.has_payloads |= kind.is_none();
        // Valid JSON is UTF-8.
        let text = std::str::from_utf8(line).unwrap_or_default();
        match read_object(text, InputLocation::Line(number)) {
            Ok(Some(item)) => {
                let unknown = kind.filter(|kind| !is_known(kind));
                self.items.push((number, unknown, item));
            }
            Ok(None) => {}
            Err(what) => self.note(number, what),
        }
        true
    }

    /// Notes why a line is no item, or counts it: a hostile file may have millions.
    fn note(&mut self, line: usize, what: String) {
        if self.bad.len() < Input::MAX_WARNINGS {
            self.bad.push((line, what));
        } else {
            self.more_bad += 1;
        }
    }

    /// The input: of a capture without the lines that could not be read.
    fn finish(mut self, is_capture: bool, name: &str) -> Result<Input, Error> {
        let mut input = Input::default();
        for (line, unknown, item) in std::mem::take(&mut self.items) {
            match unknown.filter(|_| is_capture) {
                Some(kind) => {
                    let what = format!("a record of a type that is not known here, {kind:?}");
                    self.note(line, what);
                }
                None => input.add(item, InputLocation::Line(line), name)?,
            }
        }
        self.bad.sort_by_key(|(line, _)| *line);
        for (line, what) in self.bad {
            let place = InputLocation::Line(line).of(name);
            if !is_capture {
                return Err(refused(place, what));
            }
            input.warn(format!("{place}: this line was skipped: {what}"));
        }
        input.more_warnings += self.more_bad;
        if let Some(line) = self.cut_off {
            let place = InputLocation::Line(line).of(name);
            input.warn(format!("{place}: the last line is cut off and was skipped"));
        }
        Ok(input)
    }
}

/// Whether a text ends in the middle of a character.
fn ends_in_character(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_err_and(|error| error.error_len().is_none())
}

/// The type of a record, which also has the number of a version.
fn record_type(members: &[Member<'_>]) -> Option<String> {
    let of_name = |name: &str| members.iter().find(|member| member.name == name);
    of_name("v").filter(|member| member.is_number())?;
    let kind = of_name("type").filter(|member| member.is_string())?;
    Some(json::unquoted(kind.raw).into_owned())
}
