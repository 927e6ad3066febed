//! Captures request heads byte for byte, finds the ends of messages, and reads bodies within limits.
//!
//! hyper lower-cases header names, drops the target's fragment, and removes `Content-Length` beside `Transfer-Encoding`, so
//! heads are parsed a second time for the record. [`read_head`] is lenient because malformed requests are recorded too;
//! hyper refuses them.

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::{MAX_HEAD, RequestError};
use crate::net::raw::is_chunked;
use crate::net::{Header, Request, digits, fields, header};

/// Of a body over `Limits::max_body`, the first 64 KiB are kept.
pub(super) const KEPT: usize = 64 * 1024;

/// The server reads up to 16 MiB beyond `Limits::max_body`, so that a client that writes its whole body before reading
/// gets the 413.
const DRAINED: u64 = 16 * 1024 * 1024;

const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Parses a complete head into a request without a body. Header values share the memory of `bytes`.
pub(super) fn read_head(bytes: &Bytes) -> Option<Request> {
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map_while(|line| {
            let line = line.strip_suffix(b"\n")?;
            Some(line.strip_suffix(b"\r").unwrap_or(line))
        });
    let mut words = std::str::from_utf8(lines.next()?).ok()?.splitn(3, ' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let version = ["HTTP/1.1", "HTTP/1.0"]
        .into_iter()
        .find(|known| *known == version)?;
    let mut headers = Vec::with_capacity(8);
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
        version: version.into(),
        ..Request::new(method, target, headers, Bytes::new())
    })
}

/// Checks the parts of a head that hyper does not check: the length of the target and the number of `Host` fields
/// (RFC 9112, 3.2).
pub(super) fn head_error(request: &Request) -> Option<RequestError> {
    match fields(&request.headers, "host").count() {
        _ if request.target.len() > RequestError::MAX_TARGET => Some(RequestError::TargetTooLong),
        0 if request.version == "HTTP/1.1" => Some(RequestError::NoHost),
        0 | 1 => None,
        _ => Some(RequestError::SeveralHosts),
    }
}

/// Returns the framing of a request body (RFC 9112, 6.3), or why the request is malformed.
pub(super) fn framing(request: &Request) -> Result<Framing, &'static str> {
    if header(&request.headers, "transfer-encoding").is_some() {
        return match &*request.version {
            "HTTP/1.0" => Err("HTTP/1.0 does not have Transfer-Encoding"),
            _ if is_chunked(request) => Ok(Framing::Chunks),
            _ => Err("the Transfer-Encoding does not end in chunked"),
        };
    }
    // `Content-Length` has digits only (RFC 9110, 8.6).
    let lengths = fields(&request.headers, "content-length");
    let mut lengths = lengths.map(|header| digits(&header.value));
    match lengths.next() {
        None => Ok(Framing::Length(0)),
        Some(None) => Err("the Content-Length is not a number"),
        Some(Some(first)) if lengths.all(|other| other == Some(first)) => {
            Ok(Framing::Length(first))
        }
        _ => Err("the request has two different Content-Length headers"),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The number of body bytes that have not been read yet.
    Length(u64),
    /// In a chunked body, a read ends at every empty line, since only hyper knows which empty line ends the body.
    Chunks,
    /// The framing of the body is unknown if hyper refuses the head.
    Unknown,
}

/// Splits the bytes of a connection at the ends of heads and bodies, and keeps each head.
#[derive(Default)]
pub(super) struct MessageReader {
    /// The framing of the body that is being read; `None` or `Length(0)` while a request head is expected.
    pub body: Option<Framing>,
    is_line_empty: bool,
    pub head: Vec<u8>,
    /// The request of a complete head.
    pub request: Option<Request>,
}

impl MessageReader {
    /// Returns how many of `bytes` hyper may get in one read.
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
            self.request = read_head(&Bytes::copy_from_slice(&self.head));
            let framing = self.request.as_ref().map(framing);
            self.body = Some(framing.and_then(Result::ok).unwrap_or(Framing::Unknown));
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

#[derive(Debug, Default)]
pub(super) struct PartialBody {
    pub kept: Vec<u8>,
    pub size: u64,
    pub error: Option<RequestError>,
}

impl PartialBody {
    /// Adds a chunk to the body. Of a body over `limit`, only the first [`KEPT`] bytes are kept.
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

    /// Reads a body until its end, a limit, the eviction of the connection or the end of the server.
    pub async fn read<B: Buf, E: Error>(
        body: impl Stream<Item = Result<B, E>>,
        head: &Request,
        connection: &Connection,
    ) -> Self {
        let (limits, stop) = (&connection.server.limits, &connection.server.stop);
        let limit = limits.max_body;
        let is_announced = matches!(framing(head), Ok(Framing::Length(length)) if length > limit);
        let mut partial = Self::default();
        let mut expects = fields(&head.headers, "expect");
        let is_continue = |header: &Header| header.value.eq_ignore_ascii_case(b"100-continue");
        if is_announced && head.version == "HTTP/1.1" && expects.any(is_continue) {
            // Polling the body would make hyper send `100 Continue` before the 413.
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
            // After a stop, a body may take half of `Limits::grace`; the other half is left for writing the answer.
            sleep(limits.grace / 2).await;
        };
        let error = tokio::select! {
            biased;
            // A body that has arrived starts no timer.
            error = reading => error,
            () = sleep(limits.body_timeout) => Some(RequestError::BodyTimeout),
            () = connection.body_given_up.cancelled() => Some(RequestError::BodyTimeout),
            () = stopping => Some(RequestError::Stopping),
        };
        let is_too_large = is_announced || partial.size > limit;
        let too_large = is_too_large.then_some(RequestError::TooLarge { limit });
        partial.error = too_large.or(error);
        partial
    }
}

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
        let values: Vec<_> = fields(&head.headers, "x-odd").map(Header::text).collect();
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
