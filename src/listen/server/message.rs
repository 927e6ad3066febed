//! The head of each request as it came, where one request ends and the next begins, and its body within limits.
//!
//! hyper lower-cases names, drops the fragment, and removes the `Content-Length` beside a `Transfer-Encoding`. So the bytes
//! are read once more here, by their place on the connection. httparse refuses a malformed head as a whole, where the
//! record is to show it; so [`read_head`] is lenient, and hyper judges.

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::{MAX_HEAD, RequestError};
use crate::net::{Header, Request};

/// Bytes kept of a body over the limit.
pub(super) const KEPT: usize = 64 * 1024;

/// Bytes read beyond the limit, so that a sender that writes before it reads comes to read the 413.
const DRAINED: u64 = 16 * 1024 * 1024;

const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Reads a complete head into a request without a body; values share its bytes.
pub(super) fn read_head(bytes: &Bytes) -> Option<Request> {
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map_while(|line| {
            let line = line.strip_suffix(b"\n")?;
            Some(line.strip_suffix(b"\r").unwrap_or(line))
        });
    let mut words = std::str::from_utf8(lines.next()?).ok()?.splitn(3, ' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let line = lines.next()?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        headers.push(Header {
            name: std::str::from_utf8(&line[..colon]).ok()?.to_owned().into(),
            value: bytes.slice_ref(line[colon + 1..].trim_ascii()),
        });
    }
    Some(Request {
        version: version.to_owned().into(),
        ..Request::new(method, target, headers, Bytes::new())
    })
}

fn values<'a>(request: &'a Request, name: &'a str) -> impl Iterator<Item = &'a Header> {
    request.headers.iter().filter(move |header| header.is(name))
}

/// What is wrong with a head, though it could be read.
pub(super) fn head_error(request: &Request) -> Option<RequestError> {
    match values(request, "host").count() {
        _ if request.target.len() > RequestError::MAX_TARGET => Some(RequestError::TargetTooLong),
        0 if request.version == "HTTP/1.1" => Some(RequestError::NoHost),
        0 | 1 => None,
        _ => Some(RequestError::SeveralHosts),
    }
}

/// How the end of a body is known; the error says why it cannot be known.
pub(super) fn framing(request: &Request) -> Result<Framing, &'static str> {
    if let Some(codings) = values(request, "transfer-encoding").last() {
        let codings = codings.text();
        let last = codings.rsplit(',').next().unwrap_or_default().trim();
        return if request.version == "HTTP/1.0" {
            Err("HTTP/1.0 knows no Transfer-Encoding")
        } else if last.eq_ignore_ascii_case("chunked") {
            Ok(Framing::Chunks)
        } else {
            Err("the Transfer-Encoding does not end in chunked")
        };
    }
    let lengths: Vec<_> = values(request, "content-length").map(length).collect();
    match lengths[..] {
        [] => Ok(Framing::Length(0)),
        [None, ..] => Err("the Content-Length is no number"),
        [Some(first), ref others @ ..] if others.iter().all(|other| *other == Some(first)) => {
            Ok(Framing::Length(first))
        }
        _ => Err("the Content-Length is stated twice, differently"),
    }
}

/// Digits only: a sign, a list or a decimal point is no length.
fn length(header: &Header) -> Option<u64> {
    let text = std::str::from_utf8(&header.value).ok()?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// How a body ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With an empty line behind the chunks. hyper reads no further than the next empty line.
    Chunks,
    /// Not known: hyper refuses the head.
    Unknown,
}

/// Cuts a connection's bytes so that hyper never reads beyond the end of a head or a body, and keeps each head.
#[derive(Default)]
pub(super) struct MessageReader {
    /// The body that is arriving; a head follows it.
    pub body: Option<Framing>,
    /// Whether the line that is arriving is empty so far.
    is_line_empty: bool,
    /// The head that is arriving, or has arrived and has not been taken.
    pub head: Vec<u8>,
}

impl MessageReader {
    /// How many of these bytes may be read before the next look.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        match &mut self.body {
            None | Some(Framing::Length(0)) => self.advance_head(bytes),
            Some(Framing::Length(left)) => {
                let length =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= length as u64;
                length
            }
            Some(Framing::Chunks) => self.end_of_empty_line(bytes).unwrap_or(bytes.len()),
            Some(Framing::Unknown) => bytes.len(),
        }
    }

    fn advance_head(&mut self, bytes: &[u8]) -> usize {
        // Empty lines before a request line are ignored (RFC 9112, 2.2).
        let is_blank = |byte: &&u8| self.head.is_empty() && matches!(byte, b'\r' | b'\n');
        let blank = bytes.iter().take_while(is_blank).count();
        let end = self.end_of_empty_line(&bytes[blank..]);
        let length = end.map_or(bytes.len(), |end| blank + end);
        self.head.extend_from_slice(&bytes[blank..length]);
        if end.is_some() {
            let head = read_head(&Bytes::copy_from_slice(&self.head));
            let framing = head.and_then(|head| framing(&head).ok());
            self.body = Some(framing.unwrap_or(Framing::Unknown));
        } else if self.head.len() > MAX_HEAD {
            self.body = Some(Framing::Unknown);
            self.head = Vec::new();
        }
        length
    }

    fn end_of_empty_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let is_end = |byte: &u8| {
            let is_end = self.is_line_empty && *byte == b'\n';
            self.is_line_empty = *byte == b'\n' || (self.is_line_empty && *byte == b'\r');
            is_end
        };
        bytes.iter().position(is_end).map(|at| at + 1)
    }
}

/// As much of a body as has come.
#[derive(Debug, Default)]
pub(super) struct PartialBody {
    pub kept: Vec<u8>,
    /// Bytes that came, kept or not.
    pub size: u64,
    /// Why the body is not complete, if it is not.
    pub error: Option<RequestError>,
}

impl PartialBody {
    /// Adds a chunk. Of a body over the limit only the beginning is kept.
    pub fn push(&mut self, mut chunk: impl Buf, limit: u64) {
        let mut room = chunk.remaining();
        self.size += room as u64;
        if self.size > limit {
            self.kept.truncate(KEPT);
            self.kept.shrink_to_fit();
            room = room.min(KEPT - self.kept.len());
        }
        self.kept.extend_from_slice(&chunk.copy_to_bytes(room));
    }

    /// Reads a body to its end, or as far as the limits allow, or until it is given up.
    pub async fn read<B: Buf, E: Error>(
        body: impl Stream<Item = Result<B, E>>,
        head: &Request,
        connection: &Connection,
    ) -> Self {
        let (limits, stop) = (&connection.shared.limits, &connection.shared.stop);
        let limit = limits.max_body;
        let is_announced = matches!(framing(head), Ok(Framing::Length(length)) if length > limit);
        let mut partial = Self::default();
        let mut expects = values(head, "expect");
        let is_continue = |header: &Header| header.value.eq_ignore_ascii_case(b"100-continue");
        if is_announced && head.version == "HTTP/1.1" && expects.any(is_continue) {
            // Reading would make hyper ask for the body with `100 Continue`.
            partial.error = Some(RequestError::TooLarge { limit });
            return partial;
        }
        let mut body = std::pin::pin!(body);
        let reading = async {
            while !is_announced && partial.size <= limit {
                match body.next().await {
                    Some(Ok(chunk)) => partial.push(chunk, limit),
                    Some(Err(error)) => return Some(RequestError::BodyBroken(root_cause(&error))),
                    None => return None,
                }
            }
            let draining = async {
                while partial.size <= limit.saturating_add(DRAINED)
                    && let Some(Ok(chunk)) = body.next().await
                {
                    partial.push(chunk, 0);
                }
            };
            let _ = timeout(DRAIN_TIME, draining).await;
            None
        };
        let stopping = async {
            stop.cancelled().await;
            // The other half of the grace is for the answer.
            sleep(limits.grace / 2).await;
        };
        let error = tokio::select! {
            biased;
            () = sleep(limits.body_timeout) => Some(RequestError::BodyTimeout),
            () = connection.body_given_up.cancelled() => Some(RequestError::BodyTimeout),
            () = stopping => Some(RequestError::Stopping),
            error = reading => error,
        };
        let is_too_large = is_announced || partial.size > limit;
        let too_large = is_too_large.then_some(RequestError::TooLarge { limit });
        partial.error = too_large.or(error);
        partial
    }
}

/// The innermost cause: the outer ones only say that a body was being read.
fn root_cause(mut error: &dyn Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> Request {
        read_head(&format!("POST /a#b HTTP/1.1\r\n{fields}\r\nbody").into()).unwrap()
    }

    #[test]
    fn a_head_is_read_as_it_came() {
        let head = head("Host: x\r\nX-Odd:\t a  b \r\nx-odd:\r\n");
        assert_eq!((&*head.method, head.target.as_str()), ("POST", "/a#b"));
        let names: Vec<_> = head.headers.iter().map(|h| &*h.name).collect();
        assert_eq!(names, ["Host", "X-Odd", "x-odd"]);
        let values: Vec<_> = values(&head, "x-odd").map(Header::text).collect();
        assert_eq!(values, ["a  b", ""]);
    }

    #[test]
    fn what_is_no_head_is_not_read() {
        for bytes in [
            "",
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(read_head(&bytes.into()), None, "{bytes:?}");
        }
        assert!(read_head(&"GET / HTTP/1.0\n\n".into()).is_some());
    }

    #[test]
    fn lengths_must_be_clear() {
        for (fields, clear) in [
            ("", true),
            ("Content-Length: 5\r\n", true),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", true),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", false),
            ("Content-Length: +5\r\n", false),
            ("Content-Length: 5, 5\r\n", false),
            ("Content-Length: 99999999999999999999\r\n", false),
            ("Transfer-Encoding: gzip, chunked\r\n", true),
            ("Transfer-Encoding: chunked, gzip\r\n", false),
        ] {
            assert_eq!(framing(&head(fields)).is_ok(), clear, "{fields:?}");
        }
    }

    #[test]
    fn a_length_beside_chunks_does_not_count() {
        let both = head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n");
        assert_eq!(framing(&both), Ok(Framing::Chunks));
        let length = head("Content-Length: 5\r\n");
        assert_eq!(framing(&length), Ok(Framing::Length(5)));
    }
}
