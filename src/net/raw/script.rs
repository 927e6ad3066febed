//! Builds the steps of a [`RawRequest`] from a captured request, a forwarded request, or one of the suite's unusual
//! requests.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};

use super::super::headers::{Framing, with_defaults};
use super::super::http1::Limits;
use super::super::{Destination, Header, Request};
use super::{MAX_FORWARDED_BODY, RawRequest, Step};
use crate::untrusted::{beginning, clean};

/// The number of bytes that [`Script::HalfHead`] sends: less than a request line and `Host`.
const HALF_HEAD: usize = 24;

/// The beginning of a TLS client hello: a record header that announces 512 bytes, version 1.2 and a part of the random.
/// The empty line at the end ends the head for an HTTP parser.
const TLS_HELLO: &[u8] =
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\r\n\r\n";

/// Requests that ordinary HTTP clients do not send, most of them malformed or incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Sends half of the body, then half-closes the connection.
    CutShort,
    /// Sends half of the body and leaves the connection open.
    Stalled,
    /// Sends half of the head and leaves the connection open.
    HalfHead,
    Silent,
    /// Sends twice as much body as `Content-Length` states: the server reads the rest as a second, invalid request.
    TooLong,
    Dripped(Duration),
    Reset,
    HalfClosed,
    Chunked(usize),
    /// Sends `Expect: 100-continue`, and the body after `100 Continue` or this duration.
    ExpectContinue(Duration),
    Http10,
    Pipelined,
    /// Sends this text as `Content-Length`. If the text is a number, the connection is half-closed, so that the peer
    /// does not wait for missing bytes.
    Length(&'static str),
    LengthAndChunks,
    TlsHello,
    HugeHeader,
    /// Sends the names of all headers in lower case, as HTTP/2 proxies do.
    LowerCase,
}

impl Script {
    pub(crate) fn steps(self, request: &Request, destination: &Destination) -> RawRequest {
        let body = &request.body.0;
        let extra_header = match self {
            Self::ExpectContinue(_) => Some(Header::new("Expect", "100-continue")),
            Self::HugeHeader => Some(Header::new("X-Padding", "x".repeat(100 * 1024))),
            _ => None,
        };
        let mut request = request.clone();
        request.headers.extend(extra_header);
        let headers = |framing| with_defaults(&request, destination, framing, false);
        // After `Connection: close`, a server would ignore the bytes that follow the first request.
        let kept_alive = |framing| with_defaults(&request, destination, framing, true);
        let message =
            |headers: &[Header], body: &[u8]| message(&request, "HTTP/1.1", headers, body);
        let length = Framing::Length(body.len());
        let whole = || message(&headers(length), body);
        let head = |headers: &[Header]| Step::Send(message(headers, b""));
        let chunked = |headers: &[Header], size| {
            let chunks = chunks(body, size).into_iter();
            let chunks = chunks.map(|chunk| Step::Send(chunk.into()));
            [head(headers)].into_iter().chain(chunks).collect()
        };
        let half = || {
            let half_of_body = body.slice(..body.len() / 2);
            vec![head(&headers(length)), Step::Send(half_of_body)]
        };
        let steps = match self {
            Self::CutShort => [half(), vec![Step::HalfClose]].concat(),
            Self::Stalled => half(),
            Self::Reset => [half(), vec![Step::Reset]].concat(),
            Self::HalfHead => vec![Step::Send(whole().slice(..HALF_HEAD))],
            Self::Silent => vec![],
            Self::TooLong => {
                let headers = kept_alive(Framing::Length(body.len() / 2));
                vec![Step::Send(message(&headers, body))]
            }
            Self::Dripped(every) => {
                let bytes = whole();
                vec![Step::Drip { bytes, every }]
            }
            Self::HalfClosed => vec![Step::Send(whole()), Step::HalfClose],
            Self::Chunked(size) => chunked(&headers(Framing::Chunked), size),
            Self::LengthAndChunks => {
                let mut headers = kept_alive(Framing::Chunked);
                let framing = headers.iter().position(|h| h.is("Transfer-Encoding"));
                headers.insert(framing.unwrap_or(0), Header::new("Content-Length", "7"));
                chunked(&headers, 64)
            }
            Self::ExpectContinue(limit) => vec![
                head(&headers(length)),
                Step::AwaitContinue(limit),
                Step::Send(body.clone()),
            ],
            Self::Http10 => {
                let mut headers = headers(length);
                headers.retain(|header| !header.is("Host"));
                let message = self::message(&request, "HTTP/1.0", &headers, body);
                vec![Step::Send(message)]
            }
            Self::Pipelined => {
                let one = message(&kept_alive(length), body);
                vec![Step::Send(one.repeat(2).into())]
            }
            Self::Length(text) => {
                let mut headers = headers(length);
                for header in headers.iter_mut().filter(|h| h.is("Content-Length")) {
                    header.value = text.into();
                }
                let is_number = text.parse::<u64>().is_ok();
                let message = Step::Send(message(&headers, body));
                let end = is_number.then_some(Step::HalfClose);
                [message].into_iter().chain(end).collect()
            }
            Self::TlsHello => vec![Step::Send(TLS_HELLO.into()), Step::HalfClose],
            Self::HugeHeader => vec![Step::Send(whole())],
            Self::LowerCase => vec![Step::Send(message(&lower_case(headers(length)), body))],
        };
        RawRequest::new(&request.method, steps)
    }

    /// Returns whether the script leaves an incomplete request open, for which a handler may rightly wait.
    pub(crate) fn holds_connection(self) -> bool {
        matches!(self, Self::Stalled | Self::HalfHead | Self::Silent)
    }

    pub(crate) fn takes_time(self) -> bool {
        matches!(self, Self::Dripped(_) | Self::ExpectContinue(_))
    }

    /// Returns whether the script's request is valid HTTP, so that a handler must respond and not only close the
    /// connection.
    pub(crate) fn is_good_http(self) -> bool {
        matches!(
            self,
            Self::Chunked(_)
                | Self::Dripped(_)
                | Self::ExpectContinue(_)
                | Self::Http10
                | Self::LowerCase
        )
    }
}

impl RawRequest {
    /// Writes a request unchanged: version, target, and headers in their order and case, without added headers.
    ///
    /// The caller must have made the framing headers fit the body. Errors are those of [`check`].
    pub(crate) fn exact(request: &Request) -> Result<Self, String> {
        check(request)?;
        let body = &request.body.0;
        let body = if is_chunked(request) {
            chunks(body, body.len().max(1)).concat()
        } else {
            body.to_vec()
        };
        let bytes = message(request, &request.version, &request.headers, &body);
        Ok(Self::new(&request.method, [Step::Send(bytes)]))
    }

    /// Makes the steps of a forwarded request. Missing default headers are added, except `Accept`.
    pub(crate) fn forwarded(request: &Request, destination: &Destination) -> Self {
        let mut headers = with_defaults(request, destination, Framing::of(request), false);
        headers.retain(|header| !header.is("Accept") || request.headers.contains(header));
        let bytes = message(request, "HTTP/1.1", &headers, &request.body.0);
        Self {
            limits: Limits {
                body: MAX_FORWARDED_BODY,
                redirects: true,
            },
            ..Self::new(&request.method, [Step::Send(bytes)])
        }
    }
}

fn lower_case(mut headers: Vec<Header>) -> Vec<Header> {
    for header in &mut headers {
        header.name = header.name.to_ascii_lowercase().into();
    }
    headers
}

pub(super) fn message(request: &Request, version: &str, headers: &[Header], body: &[u8]) -> Bytes {
    let line = format!("{} {} {version}\r\n", request.method, request.target);
    let mut message = line.into_bytes();
    for header in headers {
        message.extend([header.name.as_bytes(), b": ", &header.value, b"\r\n"].concat());
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(body);
    message.into()
}

fn chunks(body: &[u8], size: usize) -> Vec<Vec<u8>> {
    let chunk = |bytes: &[u8]| {
        let size = format!("{:x}\r\n", bytes.len());
        [size.as_bytes(), bytes, b"\r\n"].concat()
    };
    let last = b"0\r\n\r\n".to_vec();
    body.chunks(size).map(chunk).chain([last]).collect()
}

/// Returns whether a request's last transfer coding is `chunked` (RFC 9112, section 6.1). HTTP/1.0 has no chunks.
pub(crate) fn is_chunked(request: &Request) -> bool {
    let mut headers = request.headers.iter();
    let last = headers.rfind(|header| header.is("Transfer-Encoding"));
    let codings = last.map(Header::text).unwrap_or_default();
    let last = codings.rsplit(',').next().unwrap_or_default();
    request.version == "HTTP/1.1" && last.trim().eq_ignore_ascii_case("chunked")
}

/// Returns an error if a captured request cannot be written without becoming a different request.
///
/// A method and a header name must be tokens. A request target may hold no space or control character, a header value
/// no control character but the tab, so that no header can be injected.
pub(crate) fn check(request: &Request) -> Result<(), String> {
    let shown = |text| clean(&beginning(text, 60));
    if Method::from_bytes(request.method.as_bytes()).is_err() {
        return Err(format!(
            "\"{}\" is not a valid method",
            shown(&request.method)
        ));
    }
    if request.target.is_empty() {
        return Err("the request target is empty".to_owned());
    }
    if request
        .target
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7f)
    {
        return Err("the request target contains a space or a control character".to_owned());
    }
    if !matches!(&*request.version, "HTTP/1.1" | "HTTP/1.0") {
        return Err("the version is neither HTTP/1.1 nor HTTP/1.0".to_owned());
    }
    for Header { name, value } in &request.headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(format!("\"{}\" is not a valid header name", shown(name)));
        }
        if HeaderValue::from_bytes(value).is_err() {
            let what = "contains a line break or a control character";
            return Err(format!("the value of the header {} {what}", shown(name)));
        }
    }
    Ok(())
}
