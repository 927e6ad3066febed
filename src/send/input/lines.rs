//! One object a line: bodies written by hand, or a capture.
//!
//! A program that writes a capture may be killed in the middle of a line: unreadable lines of a capture are skipped with a
//! warning. A file written by hand must be valid; only its last line may be cut off.

use super::{Input, InputLocation, RECORDS, read_object};
use crate::error::Error;
use crate::json::{self, Document, Member};

/// The lines of a file, sorted out.
#[derive(Default)]
struct Lines {
    input: Input,
    /// How many lines are records of known types.
    records: usize,
    /// How many lines are valid JSON and no records.
    payloads: usize,
    /// Records of unknown types: index of the item, line and type.
    unknown: Vec<(usize, usize, String)>,
    /// The first lines that are no items, and why not.
    bad: Vec<(usize, String)>,
    /// How many more of them there are.
    more_bad: usize,
    /// The last line, if it is not JSON.
    torn: Option<usize>,
}

/// Reads lines; none if this is no file of lines.
pub(super) fn read(bytes: &[u8], name: &str) -> Result<Option<Input>, Error> {
    let mut found = Lines::default();
    let mut first_is_object = None;
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let mut lines = lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .peekable();
    while let Some((index, line)) = lines.next() {
        let is_object = found.add(line, index + 1, lines.peek().is_none(), name)?;
        first_is_object.get_or_insert(is_object);
    }
    if found.records > 0 && found.payloads == 0 {
        return Ok(Some(found.capture(name)));
    }
    if first_is_object != Some(true) {
        return Ok(None);
    }
    if let Some((line, what)) = found.bad.into_iter().next() {
        return Err(Error::Input {
            place: InputLocation::Line(line).of(name),
            what,
        });
    }
    if let Some(line) = found.torn {
        found.input.warn(torn(line, name));
    }
    Ok(Some(found.input))
}

fn torn(line: usize, name: &str) -> String {
    format!(
        "{}: the last line is cut off and was skipped",
        InputLocation::Line(line).of(name)
    )
}

impl Lines {
    /// Adds one line, and says whether it is an object.
    fn add(
        &mut self,
        line: &[u8],
        number: usize,
        is_last: bool,
        name: &str,
    ) -> Result<bool, Error> {
        let location = InputLocation::Line(number);
        let members = match json::document(line) {
            Ok(Document::Object(members)) => members,
            Ok(Document::Other(what)) => {
                self.payloads += 1;
                self.note(number, format!("expected an object, found {what}"));
                return Ok(false);
            }
            Err(_) if is_last => {
                self.torn = Some(number);
                return Ok(false);
            }
            Err(fault) => {
                self.note(
                    number,
                    format!("{} in column {}", fault.message, fault.column),
                );
                return Ok(false);
            }
        };
        match record_type(&members) {
            Some(kind) if RECORDS.contains(&kind.as_str()) => self.records += 1,
            Some(kind) => self.unknown.push((self.input.items.len(), number, kind)),
            None => self.payloads += 1,
        }
        drop(members);
        // Valid JSON is UTF-8.
        match read_object(std::str::from_utf8(line).unwrap_or_default(), location) {
            Ok(Some(item)) => self.input.add(item, location, name)?,
            Ok(None) => {}
            Err(what) => self.note(number, what),
        }
        Ok(true)
    }

    /// Notes why a line is no item, or counts it: a hostile file may have millions.
    fn note(&mut self, line: usize, what: String) {
        if self.bad.len() < Input::MAX_WARNINGS {
            self.bad.push((line, what));
        } else {
            self.more_bad += 1;
        }
    }

    /// The input of a capture, without the lines that could not be read.
    fn capture(mut self, name: &str) -> Input {
        let unknown = std::mem::take(&mut self.unknown);
        for (_, line, kind) in &unknown {
            self.note(
                *line,
                format!("a record of a type that is not known here, {kind:?}"),
            );
        }
        let mut skipped = unknown.into_iter().map(|(item, ..)| item).peekable();
        let mut item = 0..;
        self.input.items.retain(|_| {
            skipped
                .next_if_eq(&item.next().unwrap_or(usize::MAX))
                .is_none()
        });
        self.bad.sort_by_key(|(line, _)| *line);
        let mut input = self.input;
        for (line, what) in self.bad {
            input.warn(format!(
                "{}: this line was skipped: {what}",
                InputLocation::Line(line).of(name)
            ));
        }
        input.more_warnings += self.more_bad;
        if let Some(line) = self.torn {
            input.warn(torn(line, name));
        }
        input
    }
}

/// The type of a record, which also has the number of a version.
fn record_type(members: &[Member<'_>]) -> Option<String> {
    let of_name = |name: &str| members.iter().find(|member| member.name == name);
    of_name("v").filter(|member| member.is_number())?;
    let kind = of_name("type").filter(|member| member.is_string())?;
    Some(json::unquoted(kind.raw).into_owned())
}
