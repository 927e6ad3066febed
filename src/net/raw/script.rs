//! The bytes of a [`RawRequest`]: a captured request as it was, a request to forward, and the scripts of the suite.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};

use super::super::headers::{Framing, with_defaults};
use super::super::http1::Limits;
use super::super::{Destination, Header, Request};
use super::{MAX_FORWARDED_BODY, RawRequest, Step};
use crate::untrusted::{beginning, clean};

/// Bytes of a head that is cut off: the request line and `Host` are longer than this.
const HALF_HEAD: usize = 24;

/// A record header of 512 bytes, a client hello, version 1.2, and then the end.
const TLS_HELLO: &[u8] =
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\r\n\r\n";

/// Requests that an HTTP client cannot send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Half of the body, then the connection is half-closed.
    CutShort,
    /// Half of the body, then nothing.
    Stalled,
    /// Half of a head, then nothing.
    HalfHead,
    /// A connection without a request.
    Silent,
    /// More body than Content-Length says, as if a second, invalid request followed.
    TooLong,
    /// One byte each time this long has passed.
    Dripped(Duration),
    /// Half of the body, then a reset.
    Reset,
    /// The whole request, then the connection is half-closed.
    HalfClosed,
    /// The body in chunks of this many bytes, each in a write of its own.
    Chunked(usize),
    /// The head, and the body after `100 Continue` or after this long.
    ExpectContinue(Duration),
    /// As HTTP/1.0, which needs no `Host`.
    Http10,
    /// Two requests in one write.
    Pipelined,
    /// This Content-Length. After a number the connection is half-closed, so that no peer waits for missing bytes.
    Length(&'static str),
    /// Both Content-Length and chunks.
    LengthAndChunks,
    /// The first bytes of a TLS connection.
    TlsHello,
    /// A header of 100 KiB.
    HugeHeader,
}

impl Script {
    /// The steps of the script for a request.
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
        // `Connection: close` would end the connection before the bytes after the first message are looked at.
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
        };
        RawRequest::new(&request.method, steps)
    }

    /// Whether the connection stays open and the handler may rightly wait for more.
    pub(crate) fn holds_connection(self) -> bool {
        matches!(self, Self::Stalled | Self::HalfHead | Self::Silent)
    }

    /// Whether the script itself is slow.
    pub(crate) fn takes_time(self) -> bool {
        matches!(self, Self::Dripped(_) | Self::ExpectContinue(_))
    }

    /// Whether the request is valid HTTP, so that a close is not enough of an answer.
    pub(crate) fn is_good_http(self) -> bool {
        matches!(
            self,
            Self::Chunked(_) | Self::ExpectContinue(_) | Self::Http10
        )
    }
}

impl RawRequest {
    /// The request with its version, its target and its headers in their order and case, without any default.
    ///
    /// The headers frame the body, and the caller has made them true. Errors are those of [`check`].
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

    /// A request that is forwarded for its sender. `Accept` is not added.
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

/// The bytes of a request with these headers and this body: nothing is checked, added or put in order.
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

/// A body in chunks of this many bytes, and the last chunk.
fn chunks(body: &[u8], size: usize) -> Vec<Vec<u8>> {
    let chunk = |bytes: &[u8]| {
        let size = format!("{:x}\r\n", bytes.len());
        [size.as_bytes(), bytes, b"\r\n"].concat()
    };
    let last = b"0\r\n\r\n".to_vec();
    body.chunks(size).map(chunk).chain([last]).collect()
}

/// Whether the body is chunked by its headers; HTTP/1.0 has no chunks.
pub(crate) fn is_chunked(request: &Request) -> bool {
    let mut headers = request.headers.iter();
    let last = headers.rfind(|header| header.is("Transfer-Encoding"));
    let codings = last.map(Header::text).unwrap_or_default();
    let last = codings.rsplit(',').next().unwrap_or_default();
    request.version == "HTTP/1.1" && last.trim().eq_ignore_ascii_case("chunked")
}

/// Whether a request can be written without becoming another one; the error says why not.
///
/// A method and a name are tokens, a target has neither spaces nor control characters, a value no control character but
/// the tab, so that no line can be smuggled in. Unusual but harmless requests pass.
pub(crate) fn check(request: &Request) -> Result<(), String> {
    let shown = |text| clean(&beginning(text, 60));
    if Method::from_bytes(request.method.as_bytes()).is_err() {
        return Err(format!("\"{}\" is no method", shown(&request.method)));
    }
    if request.target.is_empty() {
        return Err("the target is empty".to_owned());
    }
    if request
        .target
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7f)
    {
        return Err("the target holds a space or a control character".to_owned());
    }
    if !matches!(&*request.version, "HTTP/1.1" | "HTTP/1.0") {
        return Err("the version is neither HTTP/1.1 nor HTTP/1.0".to_owned());
    }
    for Header { name, value } in &request.headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(format!("\"{}\" is no name of a header", shown(name)));
        }
        if HeaderValue::from_bytes(value).is_err() {
            let what = "holds a line break or a control character";
            return Err(format!("the value of the header {} {what}", shown(name)));
        }
    }
    Ok(())
}
