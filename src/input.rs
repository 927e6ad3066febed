//! Reads the files that `send` replays: a CDR, an array of CDRs, a CDR per line, a capture, a HAR, or a sample pasted
//! from TeleCMI's page.
//!
//! The file may be hostile. CDRs in JSON are kept byte for byte. A captured request that cannot be written without
//! becoming a different request is an error for the whole file.

pub(crate) mod decode;
mod har;
mod object;
mod text;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::exchange::CapturedRequest;
use crate::json::{self, Document};
use crate::net::raw;
use object::read_object;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Body(Bytes),
    Captured(String, Box<CapturedRequest>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    pub items: Vec<Item>,
    /// The warnings on skipped or incomplete items, at most `MAX_WARNINGS`, then the number of further warnings.
    pub warnings: Vec<String>,
}

/// A part of a file: an item to send, or a warning with its place.
enum Part {
    Item(Item),
    Warning(String, String),
}

impl Part {
    fn captured(place: &str, captured: CapturedRequest) -> Self {
        Self::Item(Item::Captured(place.to_owned(), Box::new(captured)))
    }
}

pub fn read(bytes: &[u8], name: &str) -> Result<Input, Error> {
    let text = decode::to_utf8(bytes);
    let text = text.map_err(|(line, what)| error(&format!("{name}:{line}"), what))?;
    let is_torn = !text.ends_with(b"\n");
    let bytes = text.trim_ascii_end();
    let mut reader = Reader {
        name,
        input: Input::default(),
        more_warnings: 0,
    };
    match json::document(bytes) {
        _ if bytes.is_empty() => return Err(error(name, "empty")),
        // `from_utf8_lossy` replaces no byte here, since valid JSON is UTF-8.
        Ok(document) => reader.document(&String::from_utf8_lossy(bytes), &document)?,
        Err(_) if reader.lines(bytes, is_torn)? || reader.values(bytes, is_torn)? => {}
        Err(fault) => reader.literals(bytes, &fault)?,
    }
    reader.finish()
}

const MAX_WARNINGS: usize = 10;

struct Reader<'a> {
    name: &'a str,
    input: Input,
    more_warnings: usize,
}

fn error(place: &str, what: impl Into<String>) -> Error {
    Error::Input {
        place: place.to_owned(),
        what: what.into(),
    }
}

impl Reader<'_> {
    fn warn(&mut self, place: &str, what: &str) {
        match self.input.warnings.len() {
            0..MAX_WARNINGS => self.input.warnings.push(format!("{place}: {what}")),
            _ => self.more_warnings += 1,
        }
    }

    fn add(&mut self, parts: Vec<Part>) -> Result<(), Error> {
        for part in parts {
            let item = match part {
                Part::Item(item) => item,
                Part::Warning(place, what) => {
                    self.warn(&place, &what);
                    continue;
                }
            };
            if let Item::Captured(place, captured) = &item {
                raw::check(&captured.request).map_err(|what| error(place, what))?;
                if !captured.request.complete {
                    let what = "the body of this request was not captured completely: only the captured part is sent";
                    self.warn(place, what);
                }
            }
            self.input.items.push(item);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Input, Error> {
        if self.input.items.is_empty() {
            let why = self.input.warnings.first();
            let why = why.map(|warning| format!(": {warning}"));
            let what = format!("contains nothing to send{}", why.unwrap_or_default());
            return Err(error(self.name, what));
        }
        if self.more_warnings > 0 {
            let more = format!("{}: and {} more warnings", self.name, self.more_warnings);
            self.input.warnings.push(more);
        }
        Ok(self.input)
    }

    fn document(&mut self, text: &str, document: &Document<'_>) -> Result<(), Error> {
        let name = self.name;
        if *document != Document::Other("array") {
            let parts = read_object(text, document, name);
            return self.add(parts.map_err(|what| error(name, what))?);
        }
        let elements = serde_json::from_str::<Vec<&RawValue>>(text);
        let elements = elements.map_err(|fault| error(name, fault.to_string()))?;
        for (n, element) in (1..).zip(elements) {
            self.object(element.get(), &format!("{name}: element {n}"))?;
        }
        Ok(())
    }

    fn object(&mut self, text: &str, place: &str) -> Result<(), Error> {
        let document = json::document(text.as_bytes());
        let document = document.map_err(|fault| error(place, fault.message))?;
        let parts = read_object(text, &document, place);
        self.add(parts.map_err(|what| error(place, what))?)
    }
}

#[cfg(test)]
mod tests;
