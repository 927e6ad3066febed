//! Reads the files that `send` replays: a CDR, an array of CDRs, a CDR per line, a capture, a HAR, or a sample pasted
//! from TeleCMI's page.
//!
//! The file may be hostile. CDRs in JSON are kept byte for byte. A captured request that cannot be written without
//! becoming a different request is an error for the whole file.

mod har;
mod text;

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::exchange::CapturedRequest;
use crate::json::{self, Document, Member};
use crate::net::raw;

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

pub fn read(bytes: &[u8], name: &str) -> Result<Input, Error> {
    let bytes = bytes
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(bytes)
        .trim_ascii_end();
    let mut reader = Reader {
        name,
        input: Input::default(),
        more_warnings: 0,
    };
    match json::document(bytes) {
        _ if bytes.is_empty() => return Err(error(name, "empty")),
        // `from_utf8_lossy` replaces no byte here, since valid JSON is UTF-8.
        Ok(document) => reader.document(&String::from_utf8_lossy(bytes), &document)?,
        Err(_) if reader.lines(bytes)? => {}
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

    fn add(&mut self, item: Item) -> Result<(), Error> {
        if let Item::Captured(place, captured) = &item {
            raw::check(&captured.request).map_err(|what| error(place, what))?;
            if !captured.request.complete {
                let what = "the body of this request was not captured whole: only a part is sent";
                self.warn(place, what);
            }
        }
        self.input.items.push(item);
        Ok(())
    }

    fn finish(mut self) -> Result<Input, Error> {
        if self.input.items.is_empty() {
            let why = self.input.warnings.first();
            let why = why.map(|warning| format!(": {warning}"));
            let what = format!("holds nothing to send{}", why.unwrap_or_default());
            return Err(error(self.name, what));
        }
        if self.more_warnings > 0 {
            let more = format!("{}: and {} more like these", self.name, self.more_warnings);
            self.input.warnings.push(more);
        }
        Ok(self.input)
    }

    fn document(&mut self, text: &str, document: &Document<'_>) -> Result<(), Error> {
        let name = self.name;
        let requests = har::read(text, document).map_err(|what| error(name, what))?;
        if let Some(requests) = requests {
            for (n, captured) in (1..).zip(requests) {
                let place = format!("{name}: entry {n}");
                match captured {
                    Some(captured) => self.add(Item::Captured(place, Box::new(captured)))?,
                    None => self.warn(&place, "this entry was skipped: no HTTP request"),
                }
            }
            return Ok(());
        }
        let mut objects = vec![(name.to_owned(), text)];
        if *document == Document::Other("array") {
            let elements = serde_json::from_str::<Vec<&RawValue>>(text);
            let elements = elements.map_err(|fault| error(name, fault.to_string()))?;
            let places = (1..).map(|n| format!("{name}: element {n}"));
            objects = places
                .zip(elements.into_iter().map(RawValue::get))
                .collect();
        }
        for (place, text) in objects {
            let document = json::document(text.as_bytes());
            let document = document.map_err(|fault| error(&place, fault.message))?;
            let item = read_object(text, &document, &place);
            if let Some(item) = item.map_err(|what| error(&place, what))? {
                self.add(item)?;
            }
        }
        Ok(())
    }
}

const RECORDS: [&str; 6] = [
    "exchange",
    "delivery",
    "listening",
    "started",
    "case",
    "summary",
];

/// The `type` of a record. A record has a version number in `v`; an object without `v` is a payload.
fn record_type<'a>(document: &'a Document<'_>) -> Option<Cow<'a, str>> {
    member(document, "v").filter(|member| member.is_number())?;
    let kind = member(document, "type").filter(|member| member.is_string())?;
    Some(json::unquoted(kind.raw))
}

fn member<'a>(document: &'a Document<'a>, name: &str) -> Option<&'a Member<'a>> {
    match document {
        Document::Object(members) => members.iter().find(|member| member.name == name),
        Document::Other(_) => None,
    }
}

/// Reads the item in an object: the object itself if it is a CDR, the request of an `exchange` record, or the CDR of a
/// `delivery` record. Other records have no item.
fn read_object(text: &str, document: &Document<'_>, place: &str) -> Result<Option<Item>, String> {
    if let Document::Other(what) = document {
        return Err(format!("expected an object, found {what}"));
    }
    let body = |text: &str| Some(Item::Body(Bytes::copy_from_slice(text.as_bytes())));
    Ok(match record_type(document).as_deref() {
        Some("exchange") => CapturedRequest::read(text)?
            .map(|captured| Item::Captured(place.to_owned(), Box::new(captured))),
        Some("delivery") => match member(document, "cdr").map(|cdr| cdr.raw) {
            None | Some("null") => None,
            Some(cdr) if cdr.starts_with('{') => body(cdr),
            Some(_) => return Err("a delivery whose CDR is no object".to_owned()),
        },
        Some(other) if RECORDS.contains(&other) => None,
        _ => body(text.trim()),
    })
}

#[cfg(test)]
mod tests;
