//! The headers of an outgoing request, for the client and the raw writer.

use super::destination::Destination;
use super::{Header, Request};

/// How the client announces itself.
pub const USER_AGENT: &str = concat!("telecmi-cdr/", env!("CARGO_PKG_VERSION"));

/// How the end of a body is announced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// By a length, true or not.
    Length(usize),
    /// By a last chunk.
    Chunked,
    /// As the request's own `Transfer-Encoding` says.
    Own,
}

impl Framing {
    /// The true framing of a request.
    pub fn of(request: &Request) -> Self {
        if request.headers.iter().any(|h| h.is("Transfer-Encoding")) {
            Self::Own
        } else {
            Self::Length(request.body.len())
        }
    }
}

/// The missing default headers in curl's order, then the request's own headers, then the framing.
///
/// `Connection: close` (RFC 9112, 9.6) makes the peer close first, so that a burst does not run out of ports.
pub(super) fn with_defaults(
    request: &Request,
    destination: &Destination,
    framing: Framing,
    keep_alive: bool,
) -> Vec<Header> {
    let has = |name: &str| request.headers.iter().any(|header| header.is(name));
    let mut headers = Vec::with_capacity(request.headers.len() + 6);
    let defaults = [
        ("Host", destination.authority()),
        ("User-Agent", USER_AGENT),
        ("Accept", "*/*"),
    ];
    for (name, value) in defaults {
        if !has(name) {
            headers.push(Header::new(name, value));
        }
    }
    if !has("Authorization") {
        headers.extend(destination.authorization());
    }
    let frames = |header: &Header| {
        header.is("Content-Length")
            || (header.is("Transfer-Encoding") && !matches!(framing, Framing::Own))
    };
    let own = request.headers.iter().filter(|header| !frames(header));
    headers.extend(own.cloned());
    match framing {
        Framing::Length(0) if !states_empty_body(request) => {}
        Framing::Length(length) => headers.push(Header::new("Content-Length", length.to_string())),
        Framing::Chunked => headers.push(Header::new("Transfer-Encoding", "chunked")),
        Framing::Own => {}
    }
    if !keep_alive && !has("Connection") {
        headers.push(Header::new("Connection", "close"));
    }
    headers
}

/// Whether a length of 0 is stated: where the method leads one to expect a body (RFC 9110, 8.6), or the user stated one.
fn states_empty_body(request: &Request) -> bool {
    match &*request.method {
        "POST" | "PUT" | "PATCH" => true,
        "GET" | "HEAD" => false,
        _ => request.headers.iter().any(|h| h.is("Content-Length")),
    }
}
