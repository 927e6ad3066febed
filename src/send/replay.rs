//! Captured requests, and how they are sent again: exactly as they came, but for what the user and the new place want.

use std::fmt;
use std::time::Duration;

use super::amend;
use super::source::{Envelope, Letter};
use crate::cdr::Fields;
use crate::cdr::judge::{judge_json, judge_pairs};
use crate::cdr::schema;
use crate::cdr::text::CdrText;
use crate::clock::Timestamp;
use crate::json::{self, Document};
use crate::wire::{Header, Request, header, hop, query, raw};

/// One request out of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The request as it came.
    pub request: Request,
    /// When it came, if the capture says so.
    pub at: Option<Timestamp>,
    /// Where it stands in its file.
    pub place: Place,
}

/// Where something stands in a file; counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is all the file holds.
    Whole,
    /// In this line.
    Line(usize),
    /// This element of an array.
    Element(usize),
    /// This entry of a HAR.
    Entry(usize),
}

impl Place {
    /// The place with the name of its file, for messages.
    #[must_use]
    pub fn of(self, name: &str) -> String {
        format!("{name}{self}")
    }
}

/// What follows the name of the file.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Line(n) => write!(f, ":{n}"),
            Self::Element(n) => write!(f, ": element {n}"),
            Self::Entry(n) => write!(f, ": entry {n}"),
        }
    }
}

/// The times of captured requests as they become the times of a run: counted from the first, never running backwards,
/// and each round behind the one before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeline {
    first: Option<Timestamp>,
    /// The end of the rounds before this one.
    before: Duration,
    /// The latest time in this round.
    latest: Duration,
}

impl Timeline {
    /// Begins a round where the one before ended.
    pub fn next_round(&mut self) {
        self.before = self.before.saturating_add(self.latest);
        self.latest = Duration::ZERO;
    }

    /// The place of the next request. One without a time follows the one before it, if that has any.
    pub fn place(&mut self, at: Option<Timestamp>) -> Option<Duration> {
        self.first = self.first.or(at);
        let since = at
            .zip(self.first)
            .map_or(Duration::ZERO, |(at, first)| at.since(first));
        self.latest = self.latest.max(since);
        self.first.map(|_| self.before.saturating_add(self.latest))
    }
}

/// Where in a request its CDR is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carried {
    /// The body is a JSON object.
    Json,
    /// The body is a form.
    Form,
    /// In the query.
    Query,
    /// There is none that we could tell.
    Nowhere,
}

/// Finds the CDR in a request.
fn carried(request: &Request) -> Carried {
    let content_type = header(&request.headers, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if request.method == "GET" && request.query().is_some_and(is_cdr) {
        Carried::Query
    } else if matches!(json::document(&request.body.0), Ok(Document::Object(_))) {
        Carried::Json
    } else if content_type.starts_with("application/x-www-form-urlencoded")
        && request.body.text().is_some_and(is_cdr)
    {
        Carried::Form
    } else {
        Carried::Nowhere
    }
}

/// Whether a query or a form has a parameter that a CDR has.
fn is_cdr(pairs: &str) -> bool {
    schema::first_documented(&query::decode(pairs).pairs).is_some()
}

/// Whether a request holds a CDR that edits can change.
#[must_use]
pub fn is_editable(request: &Request) -> bool {
    carried(request) != Carried::Nowhere
}

/// The fields of a request's CDR.
fn fields(request: &Request) -> Option<Fields> {
    let of_pairs = |text: &str| {
        let pairs = query::decode(text).pairs;
        let first = schema::first_documented(&pairs)?;
        judge_pairs(&pairs[first..])
            .fields
            .as_ref()
            .map(Fields::from)
    };
    match carried(request) {
        Carried::Json => judge_json(&request.body.0)
            .fields
            .as_ref()
            .map(Fields::from),
        Carried::Form => of_pairs(request.body.text()?),
        Carried::Query => of_pairs(request.query()?),
        Carried::Nowhere => None,
    }
}

/// A captured request without the headers that belong to the connection it came on, for a client that makes its own.
#[must_use]
pub fn unbound(request: &Request) -> Request {
    Request {
        headers: hop::end_to_end(&request.headers),
        ..request.clone()
    }
}

impl Envelope {
    /// A captured request for the new place: on to the URL, with the user's edits and headers.
    pub(super) fn again(&self, captured: &Request) -> Letter {
        let mut request = captured.clone();
        if !self.edits.is_empty() {
            self.edit(&mut request);
        }
        request.target = query::onto(&self.target, &request.target);
        self.address(&mut request.headers);
        frame(&mut request);
        let cdr = fields(&request).as_ref().map(CdrText::from);
        Letter::captured(request, cdr)
    }

    /// Makes the user's edits where the CDR is.
    fn edit(&self, request: &mut Request) {
        match carried(request) {
            Carried::Json => {
                request.body = amend::object(&request.body.0, &self.edits).into();
            }
            Carried::Form => {
                let form = request.body.text().unwrap_or_default();
                request.body = amend::pairs(form, &self.edits, self.encoding).into();
            }
            Carried::Query => {
                let query = amend::pairs(
                    request.query().unwrap_or_default(),
                    &self.edits,
                    self.encoding,
                );
                request.target = format!("{}?{query}", request.path());
            }
            Carried::Nowhere => {}
        }
        request.size = request.body.len() as u64;
    }

    /// The headers for the new place: a `Host` it accepts, the URL's user, and the user's own headers.
    fn address(&self, headers: &mut Vec<Header>) {
        if let Some(host) = &self.host {
            match headers.iter_mut().find(|header| header.is("Host")) {
                Some(header) => header.value = host.clone().into(),
                None => headers.insert(0, Header::new("Host", host.clone())),
            }
        }
        if let Some(authorization) = &self.authorization {
            replace(headers, std::slice::from_ref(authorization));
        }
        let own = self.headers.own();
        let mut rest = own;
        while let Some(header) = rest.first() {
            if !own[..own.len() - rest.len()]
                .iter()
                .any(|done| done.is(&header.name))
            {
                let same: Vec<Header> = rest
                    .iter()
                    .filter(|other| other.is(&header.name))
                    .cloned()
                    .collect();
                replace(headers, &same);
            }
            rest = &rest[1..];
        }
    }
}

/// Puts headers of one name where the first of that name stands, in place of all of them, or last.
fn replace(headers: &mut Vec<Header>, own: &[Header]) {
    let Some(name) = own.first().map(|header| header.name.clone()) else {
        return;
    };
    let place = headers.iter().position(|header| header.is(&name));
    headers.retain(|header| !header.is(&name));
    let place = place.unwrap_or(headers.len());
    headers.splice(place..place, own.iter().cloned());
}

/// Sees to it that the headers say how long the body is: what a length says is corrected in its place, and a body of
/// which nothing is said gets one.
fn frame(request: &mut Request) {
    if raw::is_chunked(request) {
        return;
    }
    let length = request.body.len().to_string();
    let mut stated = false;
    for header in request
        .headers
        .iter_mut()
        .filter(|header| header.is("Content-Length"))
    {
        stated = true;
        let says = header.text().parse::<usize>().ok();
        if says != Some(request.body.len()) {
            header.value = length.clone().into();
        }
    }
    if !stated && !request.body.is_empty() {
        request.headers.push(Header::new("Content-Length", length));
    }
}

#[cfg(test)]
mod tests;
