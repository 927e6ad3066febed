//! Scripts: from one good request to the requests that an HTTP client cannot send.

use std::time::Duration;

use bytes::Bytes;

use super::super::headers::{Framing, with_defaults};
use super::super::{Destination, Header, Request};
use super::{RawRequest, Step};

/// How long a connection that is about to be reset stays open, so that the peer has begun to read when it happens.
const DELAY_BEFORE_RESET: Duration = Duration::from_millis(100);

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
    #[must_use]
    pub fn steps(self, request: &Request, destination: &Destination) -> RawRequest {
        let body = &request.body.0;
        let length = Framing::Length(body.len());
        let headers = |framing| with_defaults(request, destination, framing, false);
        // `Connection: close` would end the connection before the bytes after the first message are looked at.
        let kept_alive = |framing| with_defaults(request, destination, framing, true);
        let write = |headers: &[Header], body: &[u8]| {
            Step::Send(message(request, "HTTP/1.1", headers, body))
        };
        let whole = || message(request, "HTTP/1.1", &headers(length), body);
        let half = || {
            vec![
                write(&headers(length), b""),
                Step::Send(body.slice(..body.len() / 2)),
            ]
        };
        let steps = match self {
            Self::CutShort => [half(), vec![Step::HalfClose]].concat(),
            Self::Stalled => half(),
            Self::Reset => [half(), vec![Step::Pause(DELAY_BEFORE_RESET), Step::Reset]].concat(),
            Self::HalfHead => {
                let mut bytes = whole();
                bytes.truncate(HALF_HEAD);
                vec![Step::Send(bytes)]
            }
            Self::Silent => vec![],
            Self::TooLong => vec![write(&kept_alive(Framing::Length(body.len() / 2)), body)],
            Self::Dripped(every) => vec![Step::Drip {
                bytes: whole(),
                every,
            }],
            Self::HalfClosed => vec![Step::Send(whole()), Step::HalfClose],
            Self::Chunked(size) => chunked(write(&headers(Framing::Chunked), b""), body, size),
            Self::LengthAndChunks => {
                let mut headers = kept_alive(Framing::Chunked);
                let framing = headers.iter().position(|h| h.is("Transfer-Encoding"));
                headers.insert(framing.unwrap_or(0), Header::new("Content-Length", "7"));
                chunked(write(&headers, b""), body, 64)
            }
            Self::ExpectContinue(limit) => {
                let mut request = request.clone();
                request.headers.push(Header::new("Expect", "100-continue"));
                let headers = with_defaults(&request, destination, length, false);
                vec![
                    write(&headers, b""),
                    Step::AwaitContinue(limit),
                    Step::Send(request.body.0),
                ]
            }
            Self::Http10 => {
                let mut headers = headers(length);
                headers.retain(|header| !header.is("Host"));
                vec![Step::Send(message(request, "HTTP/1.0", &headers, body))]
            }
            Self::Pipelined => {
                let one = message(request, "HTTP/1.1", &kept_alive(length), body);
                vec![Step::Send(one.repeat(2).into())]
            }
            Self::Length(text) => {
                let mut headers = headers(length);
                for header in headers.iter_mut().filter(|h| h.is("Content-Length")) {
                    header.value = text.into();
                }
                let mut steps = vec![write(&headers, body)];
                if text.parse::<u64>().is_ok() {
                    steps.push(Step::HalfClose);
                }
                steps
            }
            Self::TlsHello => vec![Step::Send(TLS_HELLO.into()), Step::HalfClose],
            Self::HugeHeader => {
                let mut request = request.clone();
                let padding = Header::new("X-Padding", "x".repeat(100 * 1024));
                request.headers.push(padding);
                return RawRequest::verbatim(&request, destination);
            }
        };
        RawRequest::new(&request.method, steps)
    }

    /// Whether the connection stays open and the handler may rightly wait for more.
    #[must_use]
    pub fn holds_connection(self) -> bool {
        matches!(self, Self::Stalled | Self::HalfHead | Self::Silent)
    }

    /// Whether the script itself is slow.
    #[must_use]
    pub fn takes_time(self) -> bool {
        matches!(self, Self::Dripped(_) | Self::ExpectContinue(_))
    }

    /// Whether the request is valid HTTP, so that a close is not enough of an answer.
    #[must_use]
    pub fn is_good_http(self) -> bool {
        matches!(
            self,
            Self::Chunked(_) | Self::ExpectContinue(_) | Self::Http10
        )
    }
}

impl RawRequest {
    /// The request as it is, in one piece, with a `Content-Length` that is true.
    #[must_use]
    pub fn verbatim(request: &Request, destination: &Destination) -> Self {
        let length = Framing::Length(request.body.len());
        let headers = with_defaults(request, destination, length, false);
        let bytes = message(request, "HTTP/1.1", &headers, &request.body.0);
        Self::new(&request.method, [Step::Send(bytes)])
    }

    /// A request that is passed on for its sender. `Accept` is not added.
    #[must_use]
    pub fn passed_on(request: &Request, destination: &Destination) -> Self {
        let mut headers = with_defaults(request, destination, Framing::of(request), false);
        headers.retain(|header| !header.is("Accept") || request.headers.contains(header));
        let bytes = message(request, "HTTP/1.1", &headers, &request.body.0);
        Self {
            passed_on: true,
            ..Self::new(&request.method, [Step::Send(bytes)])
        }
    }
}

/// The head of a request as given: nothing is checked, added or put in order.
#[must_use]
pub fn head(method: &str, target: &str, version: &str, headers: &[Header]) -> Bytes {
    let mut head = format!("{method} {target} {version}\r\n").into_bytes();
    for header in headers {
        head.extend_from_slice(header.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(&header.value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// The request's head with these headers, and a body.
fn message(request: &Request, version: &str, headers: &[Header], body: &[u8]) -> Bytes {
    let head = head(&request.method, &request.target, version, headers);
    [&head[..], body].concat().into()
}

/// A head, and a body in chunks of this many bytes.
fn chunked(head: Step, body: &[u8], size: usize) -> Vec<Step> {
    let chunk = |bytes: &[u8]| {
        let size = format!("{:x}\r\n", bytes.len());
        Step::Send([size.as_bytes(), bytes, b"\r\n"].concat().into())
    };
    let last = Step::Send(Bytes::from_static(b"0\r\n\r\n"));
    let chunks = body.chunks(size).map(chunk);
    [head].into_iter().chain(chunks).chain([last]).collect()
}
