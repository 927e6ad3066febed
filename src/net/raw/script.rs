//! A [`RawRequest`] is a list of steps for one connection: those of a captured request, of a forwarded request, or of one
//! of the suite's unusual requests.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::super::client::LIMITS;
use super::super::headers::{Framing, with_defaults};
use super::super::http1::{Limits, Outgoing};
use super::super::{Destination, Header, Request};
use crate::untrusted::{beginning, clean};

/// Limit of a forwarded response's body in bytes, which is held in memory.
pub const MAX_FORWARDED_BODY: usize = 64 * 1024 * 1024;

/// Delay before a reset, so that the peer has begun to read the request.
const DELAY_BEFORE_RESET: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The step writes all bytes at once.
    Send(Bytes),
    /// The step writes one byte at a time, with the delay `every` between bytes.
    Drip { bytes: Bytes, every: Duration },
    /// The step waits for `100 Continue`, up to this duration, then continues without it (RFC 9110, section 10.1.1).
    AwaitContinue(Duration),
    /// The step shuts down the writing side of the connection. The response is still read.
    HalfClose,
    /// The step resets the connection after [`DELAY_BEFORE_RESET`], and must be the last step.
    Reset,
}

/// A request as a list of steps. After the last step the connection stays open until the response or the timeout. A
/// response ends the steps early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawRequest {
    pub(crate) steps: Vec<Step>,
    /// The request's method decides where the response ends: a response to `HEAD` has no body.
    pub(super) method: Method,
    pub(super) limits: Limits,
}

impl RawRequest {
    pub(super) fn new(method: &str, steps: impl Into<Vec<Step>>) -> Self {
        Self {
            steps: steps.into(),
            method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
            limits: LIMITS,
        }
    }

    /// Makes a request with which hyper parses the response. The bytes that hyper writes for this request are
    /// discarded.
    pub(super) fn unsent(&self) -> Outgoing {
        let mut request = Outgoing::default();
        *request.method_mut() = self.method.clone();
        request
    }

    /// Runs the steps of a request up to the first write error. `is_sending` is true during a [`Step::Send`], in which
    /// a timeout counts as `Phase::Send`.
    pub(super) async fn write(
        &self,
        mut stream: impl AsyncWrite + Unpin,
        continued: &Notify,
        is_sending: &AtomicBool,
    ) -> io::Result<()> {
        for step in &self.steps {
            is_sending.store(matches!(step, Step::Send(_)), Ordering::Relaxed);
            match step {
                Step::Send(bytes) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await?;
                }
                Step::Drip { bytes, every } => {
                    for byte in bytes.chunks(1) {
                        stream.write_all(byte).await?;
                        stream.flush().await?;
                        sleep(*every).await;
                    }
                }
                Step::AwaitContinue(limit) => {
                    let _ = timeout(*limit, continued.notified()).await;
                }
                Step::HalfClose => stream.shutdown().await?,
                Step::Reset => sleep(DELAY_BEFORE_RESET).await,
            }
        }
        Ok(())
    }
}

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
        let version = if self == Self::Http10 {
            "HTTP/1.0"
        } else {
            "HTTP/1.1"
        };
        let head = message(request, version, &self.headers(request, destination), b"");
        let whole = [&head[..], body].concat();
        let (head, half_of_body) = (Step::Send(head), body.slice(..body.len() / 2));
        let steps = match self {
            Self::CutShort => vec![head, Step::Send(half_of_body), Step::HalfClose],
            Self::Stalled => vec![head, Step::Send(half_of_body)],
            Self::Reset => vec![head, Step::Send(half_of_body), Step::Reset],
            Self::HalfHead => vec![Step::Send(whole[..HALF_HEAD].to_vec().into())],
            Self::Silent => vec![],
            Self::Dripped(every) => vec![Step::Drip {
                bytes: whole.into(),
                every,
            }],
            Self::Chunked(_) | Self::LengthAndChunks => {
                let size = match self {
                    Self::Chunked(size) => size,
                    _ => 64,
                };
                let chunks = chunks(body, size).map(Step::Send);
                [head].into_iter().chain(chunks).collect()
            }
            Self::ExpectContinue(limit) => {
                vec![head, Step::AwaitContinue(limit), Step::Send(body.clone())]
            }
            Self::Pipelined => vec![Step::Send(whole.repeat(2).into())],
            Self::TlsHello => vec![Step::Send(TLS_HELLO.into()), Step::HalfClose],
            Self::HalfClosed => vec![Step::Send(whole.into()), Step::HalfClose],
            Self::Length(text) if text.parse::<u64>().is_ok() => {
                vec![Step::Send(whole.into()), Step::HalfClose]
            }
            Self::TooLong | Self::Http10 | Self::Length(_) | Self::HugeHeader | Self::LowerCase => {
                vec![Step::Send(whole.into())]
            }
        };
        RawRequest::new(&request.method, steps)
    }

    fn headers(self, request: &Request, destination: &Destination) -> Vec<Header> {
        let length = request.body.len();
        let framing = match self {
            Self::TooLong => Framing::Length(length / 2),
            Self::Chunked(_) | Self::LengthAndChunks => Framing::Chunked,
            _ => Framing::Length(length),
        };
        // After `Connection: close`, a server would ignore the bytes that follow the first request.
        let keep_alive = matches!(
            self,
            Self::TooLong | Self::LengthAndChunks | Self::Pipelined
        );
        let mut request = request.clone();
        request.headers.extend(match self {
            Self::ExpectContinue(_) => Some(Header::new("Expect", "100-continue")),
            Self::HugeHeader => Some(Header::new("X-Padding", "x".repeat(100 * 1024))),
            _ => None,
        });
        let mut headers = with_defaults(&request, destination, framing, keep_alive);
        match self {
            Self::LengthAndChunks => {
                let framing = headers.iter().position(|h| h.is("Transfer-Encoding"));
                headers.insert(framing.unwrap_or(0), Header::new("Content-Length", "7"));
            }
            Self::Http10 => headers.retain(|header| !header.is("Host")),
            Self::Length(text) => {
                for header in headers.iter_mut().filter(|h| h.is("Content-Length")) {
                    header.value = text.into();
                }
            }
            Self::LowerCase => {
                for header in &mut headers {
                    header.name = header.name.to_ascii_lowercase().into();
                }
            }
            _ => {}
        }
        headers
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
        Ok(Self::written(request, &request.version, &request.headers))
    }

    fn written(request: &Request, version: &str, headers: &[Header]) -> Self {
        let body = &request.body.0;
        let body = if is_chunked(request) {
            let chunks: Vec<_> = chunks(body, body.len().max(1)).collect();
            chunks.concat()
        } else {
            body.to_vec()
        };
        let bytes = message(request, version, headers, &body);
        Self::new(&request.method, [Step::Send(bytes)])
    }

    /// Makes the steps of a forwarded request. Missing default headers are added, except `Accept`.
    pub(crate) fn forwarded(request: &Request, destination: &Destination) -> Self {
        let mut headers = with_defaults(request, destination, Framing::of(request), false);
        headers.retain(|header| !header.is("Accept") || request.headers.contains(header));
        Self {
            limits: Limits {
                body: MAX_FORWARDED_BODY,
                redirects: true,
            },
            ..Self::written(request, "HTTP/1.1", &headers)
        }
    }
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

fn chunks(body: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    let chunk = |bytes: &[u8]| {
        let size = format!("{:x}\r\n", bytes.len());
        [size.as_bytes(), bytes, b"\r\n"].concat().into()
    };
    let last = Bytes::from_static(b"0\r\n\r\n");
    body.chunks(size).map(chunk).chain([last])
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
    let shown = |text| clean(&beginning(text, 60)).into_owned();
    if Method::from_bytes(request.method.as_bytes()).is_err() {
        let method = shown(&request.method);
        return Err(format!("\"{method}\" is not a valid method"));
    }
    if request.target.is_empty() {
        return Err("the request target is empty".to_owned());
    }
    let is_unsendable = |byte: u8| byte <= b' ' || byte == 0x7f;
    if request.target.bytes().any(is_unsendable) {
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
