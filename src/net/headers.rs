//! The headers of an outgoing request, common to the HTTP client and the raw writer.

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};

use super::destination::Destination;
use super::{Failure, Header, Request};
use crate::untrusted::clean;

pub const USER_AGENT: &str = concat!("telecmi-cdr/", env!("CARGO_PKG_VERSION"));

/// How a request's body is delimited (RFC 9112, section 6).
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// A body delimited by `Content-Length`, whose value may be wrong on purpose.
    Length(usize),
    Chunked,
    /// A body delimited by the request's own `Transfer-Encoding`.
    Own,
}

impl Framing {
    pub fn of(request: &Request) -> Self {
        if request.headers.iter().any(|h| h.is("Transfer-Encoding")) {
            Self::Own
        } else {
            Self::Length(request.body.len())
        }
    }
}

/// Returns the missing default headers in curl's order, then the request's own headers, then the framing headers.
///
/// `Connection: close` (RFC 9112, section 9.6) makes the peer close first, so that sockets in TIME_WAIT do not use up
/// the local ports.
pub(super) fn with_defaults(
    request: &Request,
    destination: &Destination,
    framing: Framing,
    keep_alive: bool,
) -> Vec<Header> {
    let has = |name: &str| request.headers.iter().any(|header| header.is(name));
    let mut headers = Vec::with_capacity(request.headers.len() + 6);
    headers.extend([
        destination.host_header.clone(),
        Header::from_static("User-Agent", USER_AGENT),
        Header::from_static("Accept", "*/*"),
    ]);
    headers.extend(destination.authorization.clone());
    headers.retain(|default| !has(&default.name));
    let frames = |header: &Header| {
        header.is("Content-Length")
            || (header.is("Transfer-Encoding") && !matches!(framing, Framing::Own))
    };
    let own = request.headers.iter().filter(|header| !frames(header));
    headers.extend(own.cloned());
    match framing {
        Framing::Length(0) if !states_empty_body(request) => {}
        Framing::Length(length) => {
            headers.push(Header {
                name: "Content-Length".into(),
                value: length.to_string().into(),
            });
        }
        Framing::Chunked => headers.push(Header::from_static("Transfer-Encoding", "chunked")),
        Framing::Own => {}
    }
    if !keep_alive && !has("Connection") {
        headers.push(Header::from_static("Connection", "close"));
    }
    headers
}

/// Converts the method, and the headers with the default headers, to hyper's types.
pub(super) fn parsed(
    request: &Request,
    destination: &Destination,
    keep_alive: bool,
) -> Result<(Method, HeaderMap), Failure> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| Failure::cannot_be_sent("the method is not valid"))?;
    if method == Method::CONNECT {
        let text = "CONNECT opens a tunnel and cannot be sent as a request";
        return Err(Failure::cannot_be_sent(text));
    }
    let all = with_defaults(request, destination, Framing::of(request), keep_alive);
    let mut fields = HeaderMap::with_capacity(all.len());
    for Header { name, value } in all {
        let field = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("the header name {:?} is not valid", clean(&name)))
            .map_err(Failure::cannot_be_sent)?;
        let value = HeaderValue::from_maybe_shared(value)
            .map_err(|_| format!("the value of the header {} cannot be sent", clean(&name)))
            .map_err(Failure::cannot_be_sent)?;
        fields.append(field, value);
    }
    Ok((method, fields))
}

/// Returns whether a request with an empty body gets `Content-Length: 0`: for methods that expect a body (RFC 9110,
/// section 8.6), and for others, except GET and HEAD, if the user gave a length.
fn states_empty_body(request: &Request) -> bool {
    match &*request.method {
        "POST" | "PUT" | "PATCH" => true,
        "GET" | "HEAD" => false,
        _ => request.headers.iter().any(|h| h.is("Content-Length")),
    }
}
