//! What a file holds: a CDR, an array of them, one a line, a capture, a HAR, or a sample pasted from TeleCMI's page.
//!
//! In: the bytes of a file that may be hostile. Out: items to send. JSON is kept byte for byte. A captured request that
//! could not be written down without becoming another one is refused, whatever stands around it.

mod har;
mod lines;
mod literals;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::replay::{Place, Recording};
use super::source::Item;
use crate::error::Error;
use crate::exchange::CapturedRequest;
use crate::json::{self, Document};
use crate::wire::raw;

/// What was read, and what the reader should know about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holding {
    /// The things to send, in order.
    pub items: Vec<Item>,
    /// What was skipped or is not whole, a sentence each.
    pub warnings: Vec<String>,
    /// How many more of these there were than anybody reads.
    unsaid: usize,
}

impl Holding {
    /// As many warnings as anybody reads.
    const MOST_WARNINGS: usize = 10;

    /// Takes one thing more. Half a request is sent as it stands, but not without a word; what would become another
    /// request on its way is an error.
    fn add(&mut self, item: Option<Item>, place: Place, name: &str) -> Result<(), Error> {
        if let Some(Item::Captured(recording)) = &item {
            raw::check(&recording.request).map_err(|what| Error::Input {
                place: place.of(name),
                what,
            })?;
            if !recording.request.complete {
                let what = "the body of this request was not captured whole: only a part is sent";
                self.warn(format!("{}: {what}", place.of(name)));
            }
        }
        self.items.extend(item);
        Ok(())
    }

    /// Keeps a warning, or counts it where there are many.
    fn warn(&mut self, warning: String) {
        if self.warnings.len() < Self::MOST_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.unsaid += 1;
        }
    }

    /// The whole, unless there is nothing to send.
    fn whole(mut self, name: &str) -> Result<Self, Error> {
        if self.items.is_empty() {
            let why = self
                .warnings
                .first()
                .map(|warning| format!(": {warning}"))
                .unwrap_or_default();
            let what = format!("holds nothing to send{why}");
            return Err(Error::Input {
                place: name.to_owned(),
                what,
            });
        }
        if self.unsaid > 0 {
            self.warnings
                .push(format!("{name}: and {} more like these", self.unsaid));
        }
        Ok(self)
    }
}

/// Reads a file's bytes; `name` stands in errors.
pub fn read(bytes: &[u8], name: &str) -> Result<Holding, Error> {
    let input = |place: String, what: String| Error::Input { place, what };
    let bytes = bytes
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(bytes)
        .trim_ascii_end();
    if bytes.is_empty() {
        return Err(input(name.to_owned(), "empty".to_owned()));
    }
    let fault = match json::document(bytes) {
        // What is JSON is UTF-8.
        Ok(document) => {
            return read_document(
                std::str::from_utf8(bytes).unwrap_or_default(),
                &document,
                name,
            );
        }
        Err(fault) => fault,
    };
    if let Some(holding) = lines::read(bytes, name)? {
        return holding.whole(name);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| input(name.to_owned(), "not UTF-8 text".to_owned()))?;
    let literals =
        literals::read(text).map_err(|(line, what)| input(Place::Line(line).of(name), what))?;
    if literals.is_empty() {
        let what = format!("{} in column {}", fault.what, fault.column);
        return Err(input(Place::Line(fault.line).of(name), what));
    }
    let items = literals
        .into_iter()
        .map(|literal| Item::Body(literal.into()))
        .collect();
    Holding {
        items,
        ..Holding::default()
    }
    .whole(name)
}

/// One JSON text: an object, an array of objects, or a HAR.
fn read_document(text: &str, document: &Document<'_>, name: &str) -> Result<Holding, Error> {
    let input = |what: String| Error::Input {
        place: name.to_owned(),
        what,
    };
    let mut holding = Holding::default();
    match document {
        Document::Object(members) if members.iter().any(|member| member.name == "log") => {
            for recording in har::read(text).map_err(input)? {
                let place = recording.place;
                holding.add(Some(Item::Captured(Box::new(recording))), place, name)?;
            }
        }
        Document::Object(_) => {
            holding.add(
                object(text, Place::Whole).map_err(input)?,
                Place::Whole,
                name,
            )?;
        }
        Document::Other("array") => {
            let elements: Vec<&RawValue> =
                serde_json::from_str(text).map_err(|error| input(error.to_string()))?;
            for (index, element) in elements.iter().enumerate() {
                let place = Place::Element(index + 1);
                let item = element_of(element.get(), place);
                let item = item.map_err(|what| Error::Input {
                    place: place.of(name),
                    what,
                })?;
                holding.add(item, place, name)?;
            }
        }
        Document::Other(what) => return Err(input(format!("expected an object, found {what}"))),
    }
    holding.whole(name)
}

/// One element of an array, which must be an object as everything else that is sent.
fn element_of(text: &str, place: Place) -> Result<Option<Item>, String> {
    match json::document(text.as_bytes()) {
        Ok(Document::Object(_)) => object(text, place),
        Ok(Document::Other(what)) => Err(format!("expected an object, found {what}")),
        Err(fault) => Err(fault.what.to_owned()),
    }
}

/// The records that are known here.
const RECORDS: [&str; 6] = [
    "exchange",
    "delivery",
    "listening",
    "started",
    "case",
    "summary",
];

/// One object: a CDR as it stands, a capture's request, a delivery's CDR; nothing for the other records.
fn object(text: &str, place: Place) -> Result<Option<Item>, String> {
    #[derive(Deserialize)]
    struct Tagged<'a> {
        r#type: Option<String>,
        #[serde(borrow)]
        cdr: Option<&'a RawValue>,
        #[serde(borrow)]
        v: Option<&'a RawValue>,
    }
    // What is not tagged like a record is a payload, however odd.
    let tagged: Option<Tagged<'_>> = serde_json::from_str(text)
        .ok()
        .filter(|tagged: &Tagged<'_>| tagged.v.is_some());
    Ok(
        match tagged.as_ref().and_then(|tagged| tagged.r#type.as_deref()) {
            Some("exchange") => CapturedRequest::read(text)?.map(|captured| {
                Item::Captured(Box::new(Recording {
                    request: captured.request,
                    at: captured.at,
                    place,
                }))
            }),
            Some("delivery") => match tagged.and_then(|tagged| tagged.cdr).map(RawValue::get) {
                Some(cdr) if cdr.starts_with('{') => {
                    Some(Item::Body(Bytes::copy_from_slice(cdr.as_bytes())))
                }
                Some(_) => return Err("a delivery whose CDR is no object".to_owned()),
                None => None,
            },
            Some(other) if RECORDS.contains(&other) => None,
            _ => Some(Item::Body(Bytes::copy_from_slice(text.trim().as_bytes()))),
        },
    )
}

#[cfg(test)]
mod tests;
