//! Prepares captured requests for sending. The bytes of a request stay unchanged, except for the target, `Host`,
//! `Authorization`, `Content-Length` and the user's edits and headers.

use std::sync::Arc;
use std::time::Duration;

use super::Origin;
use super::edit::{edit_object, edit_pairs};
use super::template::{PreparedCdr, RequestTemplate};
use crate::cdr::CdrText;
use crate::cdr::judge::judge_pairs;
use crate::cdr::schema;
use crate::clock::Timestamp;
use crate::json::{self, Document};
use crate::net::{self, Header, Request, header, query, raw};

/// Converts the capture times of requests to due times. Due times are relative to the first request and never decrease;
/// each round follows the previous one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeline {
    first: Option<Timestamp>,
    before: Duration,
    /// The latest capture time in the current round, relative to the first request.
    latest: Duration,
}

impl Timeline {
    pub fn next_round(&mut self) {
        self.before = self.before.saturating_add(self.latest);
        self.latest = Duration::ZERO;
    }

    /// Returns the due time of the next request. A request without a capture time is due with the previous request.
    pub fn place(&mut self, at: Option<Timestamp>) -> Option<Duration> {
        self.first = self.first.or(at);
        let since = at.zip(self.first).map(|(at, first)| at.since(first));
        self.latest = self.latest.max(since.unwrap_or_default());
        self.first.map(|_| self.before.saturating_add(self.latest))
    }
}

/// The part of a captured request that holds the CDR.
enum CdrPlace {
    Json,
    Form,
    Query,
}

fn cdr_place(request: &Request) -> Option<CdrPlace> {
    let is_cdr = |pairs: &str| schema::first_documented(&query::decode(pairs).pairs).is_some();
    let content_type = header(&request.headers, "content-type").unwrap_or_default();
    let content_type = content_type.to_ascii_lowercase();
    if request.method == "GET" && request.query().is_some_and(is_cdr) {
        Some(CdrPlace::Query)
    } else if matches!(json::document(&request.body.0), Ok(Document::Object(_))) {
        Some(CdrPlace::Json)
    } else {
        let is_form = content_type.starts_with("application/x-www-form-urlencoded");
        (is_form && request.body.text().is_some_and(is_cdr)).then_some(CdrPlace::Form)
    }
}

pub fn is_editable(request: &Request) -> bool {
    cdr_place(request).is_some()
}

fn cdr(request: &Request) -> Option<CdrText> {
    let pairs = match cdr_place(request)? {
        CdrPlace::Json => return CdrText::read(&request.body.0),
        CdrPlace::Form => request.body.text()?,
        CdrPlace::Query => request.query()?,
    };
    let pairs = query::decode(pairs).pairs;
    let judged = judge_pairs(&pairs[schema::first_documented(&pairs)?..]);
    judged.fields.as_ref().map(CdrText::from)
}

/// Removes the hop-by-hop headers (RFC 9110, section 7.6.1) of a captured request, for clients that add their own.
pub fn strip_hop_by_hop(request: &Request) -> Request {
    Request {
        headers: net::end_to_end(&request.headers),
        ..request.clone()
    }
}

impl RequestTemplate {
    pub fn prepare_capture(&self, captured: &Request) -> PreparedCdr {
        let mut request = captured.clone();
        if !self.edits.is_empty() {
            self.edit(&mut request);
        }
        request.target = query::onto(&self.target, &request.target);
        self.set_headers(&mut request.headers);
        set_length(&mut request);
        PreparedCdr {
            cdr: cdr(&request),
            requests: vec![Arc::new(request)],
            origin: Origin::Capture,
        }
    }

    fn edit(&self, request: &mut Request) {
        let edits = &self.edits;
        let pairs = |text: Option<&str>| edit_pairs(text.unwrap_or_default(), edits, self.encoding);
        match cdr_place(request) {
            Some(CdrPlace::Json) => request.body = edit_object(&request.body.0, edits).into(),
            Some(CdrPlace::Form) => request.body = pairs(request.body.text()).into(),
            Some(CdrPlace::Query) => {
                request.target = format!("{}?{}", request.path(), pairs(request.query()));
            }
            None => {}
        }
        request.size = request.body.len() as u64;
    }

    /// Sets `Host` and `Authorization` of a captured request for the new destination, then the user's headers.
    fn set_headers(&self, headers: &mut Vec<Header>) {
        if let Some(host) = &self.host {
            match headers.iter_mut().find(|header| header.is("Host")) {
                Some(header) => header.value = host.clone().into(),
                None => headers.insert(0, Header::new("Host", host.clone())),
            }
        }
        for own in [self.authorization.as_slice(), &self.headers] {
            for header in own {
                replace(headers, own, header);
            }
        }
    }
}

/// Replaces the headers with the name of `header` by those of `own`, at the position of the first or else at the end.
fn replace(headers: &mut Vec<Header>, own: &[Header], header: &Header) {
    let is_same = |other: &Header| other.is(&header.name);
    let place = headers.iter().position(is_same);
    headers.retain(|other| !is_same(other));
    let place = place.unwrap_or(headers.len());
    let own = own.iter().filter(|other| is_same(other)).cloned();
    headers.splice(place..place, own);
}

/// Corrects each `Content-Length` of a request in its place, or adds the header if the request has a body. Chunked
/// requests stay unchanged.
fn set_length(request: &mut Request) {
    if raw::is_chunked(request) {
        return;
    }
    let length = request.body.len();
    let mut stated = false;
    let headers = request.headers.iter_mut();
    for header in headers.filter(|header| header.is("Content-Length")) {
        stated = true;
        if header.text().parse() != Ok(length) {
            header.value = length.to_string().into();
        }
    }
    if !stated && length > 0 {
        let length = length.to_string();
        request.headers.push(Header::new("Content-Length", length));
    }
}

#[cfg(test)]
mod tests;
