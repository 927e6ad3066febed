//! Reads a file to send: a CDR, an array of CDRs, one a line, a capture, a HAR, or a sample pasted from TeleCMI's page.
//!
//! The file may be hostile. JSON is kept byte for byte. A captured request that cannot be written without becoming another
//! one is an error, whatever else the file holds.

mod har;
mod lines;
mod literals;

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::exchange::CapturedRequest;
use crate::json::{self, Document};
use crate::net::raw;

/// One item of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The bytes of one JSON object.
    Body(Bytes),
    /// A captured request, to be sent as it was.
    Captured(InputLocation, Box<CapturedRequest>),
}

/// A place in a file; counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputLocation {
    /// The whole file.
    Whole,
    Line(usize),
    Element(usize),
    /// An entry of a HAR.
    Entry(usize),
}

impl InputLocation {
    /// The location with the name of its file, for messages.
    #[must_use]
    pub fn of(self, name: &str) -> String {
        format!("{name}{self}")
    }
}

/// The part behind the name of the file.
impl fmt::Display for InputLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Line(n) => write!(f, ":{n}"),
            Self::Element(n) => write!(f, ": element {n}"),
            Self::Entry(n) => write!(f, ": entry {n}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    pub items: Vec<Item>,
    /// Skipped and incomplete items, a sentence each.
    pub warnings: Vec<String>,
    /// How many more warnings there were.
    more_warnings: usize,
}

impl Input {
    const MAX_WARNINGS: usize = 10;

    /// Adds an item. An incomplete request is sent as it stands, with a warning.
    fn add(&mut self, item: Item, location: InputLocation, name: &str) -> Result<(), Error> {
        if let Item::Captured(_, captured) = &item {
            raw::check(&captured.request).map_err(|what| refused(location.of(name), what))?;
            if !captured.request.complete {
                let what = "the body of this request was not captured whole: only a part is sent";
                self.warn(format!("{}: {what}", location.of(name)));
            }
        }
        self.items.push(item);
        Ok(())
    }

    /// Adds a warning, or counts it where there are many.
    fn warn(&mut self, warning: String) {
        if self.warnings.len() < Self::MAX_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.more_warnings += 1;
        }
    }

    /// The whole input, unless there is nothing to send.
    fn finish(mut self, name: &str) -> Result<Self, Error> {
        if self.items.is_empty() {
            let why = self.warnings.first();
            let why = why
                .map(|warning| format!(": {warning}"))
                .unwrap_or_default();
            return Err(refused(
                name.to_owned(),
                format!("holds nothing to send{why}"),
            ));
        }
        if self.more_warnings > 0 {
            let more = format!("{name}: and {} more like these", self.more_warnings);
            self.warnings.push(more);
        }
        Ok(self)
    }
}

fn refused(place: String, what: String) -> Error {
    Error::Input { place, what }
}

/// Reads a file's bytes; `name` stands in errors.
pub fn read(bytes: &[u8], name: &str) -> Result<Input, Error> {
    let bytes = bytes
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(bytes)
        .trim_ascii_end();
    if bytes.is_empty() {
        return Err(refused(name.to_owned(), "empty".to_owned()));
    }
    let fault = match json::document(bytes) {
        Ok(document) => {
            // Valid JSON is UTF-8.
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            return read_document(text, &document, name);
        }
        Err(fault) => fault,
    };
    if let Some(input) = lines::read(bytes, name)? {
        return input.finish(name);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| refused(name.to_owned(), "not UTF-8 text".to_owned()))?;
    let literals = literals::read(text)
        .map_err(|(line, what)| refused(InputLocation::Line(line).of(name), what))?;
    if literals.is_empty() {
        let what = format!("{} in column {}", fault.message, fault.column);
        return Err(refused(InputLocation::Line(fault.line).of(name), what));
    }
    let bodies = literals.into_iter().map(Bytes::from);
    let input = Input {
        items: bodies.map(Item::Body).collect(),
        ..Input::default()
    };
    input.finish(name)
}

/// Reads one JSON text: an object, an array of objects, or a HAR.
fn read_document(text: &str, document: &Document<'_>, name: &str) -> Result<Input, Error> {
    let whole = |what: String| refused(name.to_owned(), what);
    let mut input = Input::default();
    match document {
        Document::Object(members) => {
            if let Some(requests) = har::read(text, members).map_err(whole)? {
                for (n, captured) in (1..).zip(requests) {
                    let location = InputLocation::Entry(n);
                    let Some(captured) = captured else {
                        let what = "this entry was skipped: no HTTP request";
                        input.warn(format!("{}: {what}", location.of(name)));
                        continue;
                    };
                    input.add(Item::Captured(location, Box::new(captured)), location, name)?;
                }
            } else if let Some(item) = read_object(text, InputLocation::Whole).map_err(whole)? {
                input.add(item, InputLocation::Whole, name)?;
            }
        }
        Document::Other("array") => {
            let elements: Vec<&RawValue> =
                serde_json::from_str(text).map_err(|error| whole(error.to_string()))?;
            for (index, element) in elements.iter().enumerate() {
                let location = InputLocation::Element(index + 1);
                let item = read_element(element.get(), location)
                    .map_err(|what| refused(location.of(name), what))?;
                if let Some(item) = item {
                    input.add(item, location, name)?;
                }
            }
        }
        Document::Other(what) => return Err(whole(format!("expected an object, found {what}"))),
    }
    input.finish(name)
}

/// Reads one element of an array, which must be an object.
fn read_element(text: &str, location: InputLocation) -> Result<Option<Item>, String> {
    match json::document(text.as_bytes()) {
        Ok(Document::Object(_)) => read_object(text, location),
        Ok(Document::Other(what)) => Err(format!("expected an object, found {what}")),
        Err(fault) => Err(fault.message),
    }
}

/// The record types of this program.
const RECORDS: [&str; 6] = [
    "exchange",
    "delivery",
    "listening",
    "started",
    "case",
    "summary",
];

/// Reads one object: a CDR as it stands, the request of an exchange, the CDR of a delivery. Other records are no items.
fn read_object(text: &str, location: InputLocation) -> Result<Option<Item>, String> {
    #[derive(Deserialize)]
    struct Record<'a> {
        r#type: Option<String>,
        #[serde(borrow)]
        cdr: Option<&'a RawValue>,
        #[serde(borrow)]
        v: Option<&'a RawValue>,
    }
    // An object without a type and a version is a payload, however odd.
    let record = serde_json::from_str::<Record<'_>>(text).ok();
    let record = record.filter(|record| record.v.is_some());
    let kind = record.as_ref().and_then(|record| record.r#type.as_deref());
    let body = |text: &str| Item::Body(Bytes::copy_from_slice(text.as_bytes()));
    Ok(match kind {
        Some("exchange") => CapturedRequest::read(text)?
            .map(|captured| Item::Captured(location, Box::new(captured))),
        Some("delivery") => match record.and_then(|record| record.cdr).map(RawValue::get) {
            Some(cdr) if cdr.starts_with('{') => Some(body(cdr)),
            Some(_) => return Err("a delivery whose CDR is no object".to_owned()),
            None => None,
        },
        Some(other) if RECORDS.contains(&other) => None,
        _ => Some(body(text.trim())),
    })
}

#[cfg(test)]
mod tests;
