//! Remarks: what is worth saying about something that arrived.

use serde::Serialize;

use crate::untrusted::Untrusted;

/// What a remark is about. The words are those of the records and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A documented field is not there.
    Missing,
    /// A field that no notification of TeleCMI's is known to have.
    Unknown,
    /// A known field that does not belong in this kind of CDR.
    Unexpected,
    /// A value of another JSON type than documented.
    Retyped,
    /// A value that is documented not to occur, or odd for its field.
    OddValue,
    /// A name that stands there more than once.
    DuplicateKey,
    /// A number that common JSON readers would round or write differently.
    InexactNumber,
    /// Another notification than an outgoing CDR.
    OtherKind,
    /// JSON, but not an object.
    NotAnObject,
    /// Not JSON at all.
    NotJson,
    /// A JavaScript literal, as on TeleCMI's page, where JSON was wanted.
    JsLiteral,
    /// Nothing where a CDR was wanted.
    Empty,
    /// No CDR where none is needed: a health check, or a person's browser.
    NoCdr,
    /// No content type, or one that does not fit the body.
    ContentType,
    /// A body in a form that is named and kept, but not unpacked.
    Encoded,
    /// A query string that is not properly encoded.
    BadQuery,
    /// The message was not what HTTP wants: too large, cut off, without a host …
    BadRequest,
    /// Transfer-Encoding and Content-Length together, which proxies read in different ways.
    AmbiguousFraming,
    /// Something that arrived before: the same fields, and the text says whether also the same bytes.
    Duplicate,
    /// The identifiers of something that arrived before, with another body.
    Conflict,
    /// More remarks than are kept.
    More,
}

impl Code {
    /// Whether it is a departure from the documented schema or from HTTP, which `--strict` refuses. A
    /// duplicate is neither.
    #[must_use]
    pub fn departs(self) -> bool {
        !matches!(self, Self::Duplicate | Self::Conflict | Self::NoCdr)
    }
}

/// The most remarks kept of one request.
pub const MOST: usize = 100;

/// The first [`MOST`] remarks, and one that says how many more there were.
pub fn bound(remarks: &mut Vec<Remark>) {
    if let Some(more) = remarks.len().checked_sub(MOST).filter(|more| *more > 0) {
        remarks.truncate(MOST);
        // A capacity for thousands would stay allocated as long as the record.
        remarks.shrink_to_fit();
        remarks.push(Remark::new(Code::More, format!("and {more} remarks more")));
    }
}

/// One remark. Its text may quote what came from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// What it is about.
    pub code: Code,
    /// The field it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Untrusted>,
    /// The remark in words. Where there is a field the words leave its name out.
    pub text: Untrusted,
}

impl Remark {
    /// A remark about the whole.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            field: None,
            text: Untrusted::new(text),
        }
    }

    /// A remark about one field.
    #[must_use]
    pub fn on(field: &str, code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            field: Some(Untrusted::new(field)),
            text: Untrusted::new(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_remarks_neither_the_text_nor_the_room_is_kept() {
        let mut remarks = vec![Remark::new(Code::BadQuery, "x"); 50_000];
        bound(&mut remarks);
        assert_eq!(remarks.len(), MOST + 1);
        assert_eq!(
            remarks.last().map(|last| last.text.as_it_came()),
            Some("and 49900 remarks more")
        );
        assert!(remarks.capacity() < 2 * MOST + 2, "{}", remarks.capacity());
        let as_they_were = remarks[..MOST].to_vec();
        let mut few = as_they_were.clone();
        bound(&mut few);
        assert_eq!(few, as_they_were);
    }
}
