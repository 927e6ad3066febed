//! One object a line: bodies written by hand, or a capture.
//!
//! A capture is what programs wrote, of which one may have been killed in the middle of a line: what cannot be read is
//! skipped with a warning, and the rest is replayed. What a person wrote has to be right; only its last line may be cut
//! off.

use super::{Holding, Place, RECORDS, object};
use crate::error::Error;
use crate::json::{self, Document, Kind, Member};

/// What the lines of a file amount to.
#[derive(Default)]
struct Lines {
    holding: Holding,
    /// Lines that are records known here.
    records: usize,
    /// Lines that can be read and are none of these.
    payloads: usize,
    /// What looks like records, but of types that are not known here: the item they have become, line and type.
    strange: Vec<(usize, usize, String)>,
    /// The first lines that are no items, and why.
    bad: Vec<(usize, String)>,
    /// How many more of them there are.
    more_bad: usize,
    /// The last line, if it is not even JSON.
    torn: Option<usize>,
}

/// Reads lines; nothing if this is no file of lines at all.
pub(super) fn read(bytes: &[u8], name: &str) -> Result<Option<Holding>, Error> {
    let mut found = Lines::default();
    let mut first_is_object = None;
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let mut lines = lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .peekable();
    while let Some((index, line)) = lines.next() {
        let is_object = found.take(line, index + 1, lines.peek().is_none(), name)?;
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
            place: Place::Line(line).of(name),
            what,
        });
    }
    if let Some(line) = found.torn {
        found.holding.warn(torn(line, name));
    }
    Ok(Some(found.holding))
}

fn torn(line: usize, name: &str) -> String {
    format!(
        "{}: the last line is cut off and was skipped",
        Place::Line(line).of(name)
    )
}

impl Lines {
    /// Takes one line, and says whether it is an object.
    fn take(
        &mut self,
        line: &[u8],
        number: usize,
        is_last: bool,
        name: &str,
    ) -> Result<bool, Error> {
        let place = Place::Line(number);
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
                self.note(number, format!("{} in column {}", fault.what, fault.column));
                return Ok(false);
            }
        };
        match record_type(&members) {
            Some(kind) if RECORDS.contains(&kind.as_str()) => self.records += 1,
            Some(kind) => self.strange.push((self.holding.items.len(), number, kind)),
            None => self.payloads += 1,
        }
        drop(members);
        // What is JSON is UTF-8.
        match object(std::str::from_utf8(line).unwrap_or_default(), place) {
            Ok(item) => self.holding.add(item, place, name)?,
            Err(what) => self.note(number, what),
        }
        Ok(true)
    }

    /// Notes why a line is no item, or counts it where there are many: a hostile file may have millions.
    fn note(&mut self, line: usize, what: String) {
        if self.bad.len() < Holding::MOST_WARNINGS {
            self.bad.push((line, what));
        } else {
            self.more_bad += 1;
        }
    }

    /// What is left of a capture without the lines that could not be read.
    fn capture(mut self, name: &str) -> Holding {
        let strange = std::mem::take(&mut self.strange);
        for (_, line, kind) in &strange {
            self.note(
                *line,
                format!("a record of a type that is not known here, {kind:?}"),
            );
        }
        let mut skipped = strange.into_iter().map(|(item, ..)| item).peekable();
        let mut item = 0..;
        self.holding.items.retain(|_| {
            skipped
                .next_if_eq(&item.next().unwrap_or(usize::MAX))
                .is_none()
        });
        self.bad.sort_by_key(|(line, _)| *line);
        let mut holding = self.holding;
        for (line, what) in self.bad {
            holding.warn(format!(
                "{}: this line was skipped: {what}",
                Place::Line(line).of(name)
            ));
        }
        holding.unsaid += self.more_bad;
        if let Some(line) = self.torn {
            holding.warn(torn(line, name));
        }
        holding
    }
}

/// The type of what looks like a record: it has one, and the number of a version.
fn record_type(members: &[Member<'_>]) -> Option<String> {
    let of_kind = |name: &str, kind: Kind| {
        members
            .iter()
            .find(|member| member.name == name && member.kind == kind)
    };
    of_kind("v", Kind::Number)?;
    Some(json::unquoted(of_kind("type", Kind::String)?.raw))
}
