//! Prepares captured requests for sending. The bytes of a request stay unchanged, except for the target, `Host`,
//! `Authorization`, `Content-Length` and the user's edits and headers.

use std::sync::Arc;
use std::time::Duration;

use super::edit;
use super::plan::Origin;
use super::template::{PreparedCdr, RequestTemplate};
use crate::cdr::judge::{judge_json, judge_pairs};
use crate::cdr::schema;
use crate::cdr::{CdrText, Fields};
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
        let since = at
            .zip(self.first)
            .map_or(Duration::ZERO, |(at, first)| at.since(first));
        self.latest = self.latest.max(since);
        self.first.map(|_| self.before.saturating_add(self.latest))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CdrPlace {
    Json,
    Form,
    Query,
    Nowhere,
}

fn cdr_place(request: &Request) -> CdrPlace {
    let content_type = header(&request.headers, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if request.method == "GET" && request.query().is_some_and(is_cdr) {
        CdrPlace::Query
    } else if matches!(json::document(&request.body.0), Ok(Document::Object(_))) {
        CdrPlace::Json
    } else if content_type.starts_with("application/x-www-form-urlencoded")
        && request.body.text().is_some_and(is_cdr)
    {
        CdrPlace::Form
    } else {
        CdrPlace::Nowhere
    }
}

fn is_cdr(pairs: &str) -> bool {
    schema::first_documented(&query::decode(pairs).pairs).is_some()
}

pub fn is_editable(request: &Request) -> bool {
    cdr_place(request) != CdrPlace::Nowhere
}

fn fields(request: &Request) -> Option<Fields> {
    let of_pairs = |text: &str| {
        let pairs = query::decode(text).pairs;
        let first = schema::first_documented(&pairs)?;
        judge_pairs(&pairs[first..]).fields
    };
    match cdr_place(request) {
        CdrPlace::Json => judge_json(&request.body.0).fields,
        CdrPlace::Form => of_pairs(request.body.text()?),
        CdrPlace::Query => of_pairs(request.query()?),
        CdrPlace::Nowhere => None,
    }
}

/// Removes the hop-by-hop headers (RFC 9110, section 7.6.1) of a captured request, for clients that add their own.
pub fn strip_hop_by_hop(request: &Request) -> Request {
    Request {
        headers: net::end_to_end(&request.headers),
        ..request.clone()
    }
}

impl RequestTemplate {
    pub(super) fn prepare_capture(&self, captured: &Request) -> PreparedCdr {
        let mut request = captured.clone();
        if !self.edits.is_empty() {
            self.edit(&mut request);
        }
        request.target = query::onto(&self.target, &request.target);
        self.set_headers(&mut request.headers);
        set_length(&mut request);
        PreparedCdr {
            cdr: fields(&request).as_ref().map(CdrText::from),
            requests: vec![Arc::new(request)],
            origin: Origin::Capture,
        }
    }

    fn edit(&self, request: &mut Request) {
        match cdr_place(request) {
            CdrPlace::Json => {
                request.body = edit::edit_object(&request.body.0, &self.edits).into();
            }
            CdrPlace::Form => {
                let form = request.body.text().unwrap_or_default();
                request.body = edit::edit_pairs(form, &self.edits, self.encoding).into();
            }
            CdrPlace::Query => {
                let query = edit::edit_pairs(
                    request.query().unwrap_or_default(),
                    &self.edits,
                    self.encoding,
                );
                request.target = format!("{}?{query}", request.path());
            }
            CdrPlace::Nowhere => {}
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
        if let Some(authorization) = &self.authorization {
            replace(headers, std::slice::from_ref(authorization));
        }
        for (index, header) in self.headers.iter().enumerate() {
            let is_same = |other: &&Header| other.is(&header.name);
            if !self.headers[..index].iter().any(|done| is_same(&done)) {
                let same: Vec<_> = self.headers[index..]
                    .iter()
                    .filter(is_same)
                    .cloned()
                    .collect();
                replace(headers, &same);
            }
        }
    }
}

/// Replaces all headers of one name by the headers `own`, at the position of the first or else at the end.
fn replace(headers: &mut Vec<Header>, own: &[Header]) {
    let Some(name) = own.first().map(|header| header.name.clone()) else {
        return;
    };
    let place = headers.iter().position(|header| header.is(&name));
    headers.retain(|header| !header.is(&name));
    let place = place.unwrap_or(headers.len());
    headers.splice(place..place, own.iter().cloned());
}

/// Corrects each `Content-Length` of a request in its place, or adds the header if the request has a body. Chunked
/// requests stay unchanged.
fn set_length(request: &mut Request) {
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
