//! The head of each request as it came, and where one request ends and the next begins.
//!
//! hyper lower-cases names, drops the fragment, and removes the `Content-Length` beside a `Transfer-Encoding`. So the bytes
//! are read once more here, by their place on the connection. httparse refuses a malformed head as a whole, where the
//! record is to show it; so [`Head::read`] is lenient, and hyper judges.

use std::borrow::Cow;

use bytes::Bytes;

use super::body::PartialBody;
use super::{MAX_HEAD, RequestError};
use crate::net::{Body, Header, Request};

/// Request line and header fields, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub method: Cow<'static, str>,
    /// The target, fragment and all.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: &'static str,
    pub headers: Vec<Header>,
}

impl Head {
    /// Reads a complete head; values share its bytes.
    pub fn read(bytes: &Bytes) -> Option<Self> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let line = line.strip_suffix(b"\n")?;
            Some(line.strip_suffix(b"\r").unwrap_or(line))
        });
        let mut words = std::str::from_utf8(lines.next()??).ok()?.splitn(3, ' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let version = match version {
            "HTTP/1.1" => "HTTP/1.1",
            "HTTP/1.0" => "HTTP/1.0",
            _ => return None,
        };
        let mut headers = Vec::new();
        loop {
            let line = lines.next()??;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            headers.push(Header {
                name: std::str::from_utf8(&line[..colon]).ok()?.to_owned(),
                value: bytes.slice_ref(line[colon + 1..].trim_ascii()),
            });
        }
        Some(Self {
            method: if method == "POST" {
                "POST".into()
            } else {
                method.to_owned().into()
            },
            target: target.to_owned(),
            version,
            headers,
        })
    }

    /// The request with this head and as much of its body as has come.
    pub fn with_body(self, body: PartialBody) -> Request {
        Request {
            method: self.method,
            target: self.target,
            version: self.version.into(),
            headers: self.headers,
            size: body.size,
            complete: body.error.is_none(),
            body: Body::from(body.kept),
        }
    }

    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Header> {
        self.headers.iter().filter(move |header| header.is(name))
    }

    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Whether the length is stated by `Transfer-Encoding` and `Content-Length`. The former counts (RFC 9112, 6.3).
    pub fn is_ambiguous(&self) -> bool {
        self.has("transfer-encoding") && self.has("content-length")
    }

    /// What is wrong with the head, though it could be read.
    pub fn error(&self) -> Option<RequestError> {
        let hosts = self.values("host").count();
        if self.target.len() > RequestError::MAX_TARGET {
            Some(RequestError::TargetTooLong)
        } else if hosts > 1 {
            Some(RequestError::SeveralHosts)
        } else if hosts == 0 && self.version == "HTTP/1.1" {
            Some(RequestError::NoHost)
        } else {
            None
        }
    }

    /// Why the end of the body cannot be known, if it cannot.
    pub fn framing_fault(&self) -> Option<&'static str> {
        if let Some(last) = self.values("transfer-encoding").last() {
            let coding = last.text();
            let coding = coding.rsplit(',').next().unwrap_or_default().trim();
            return if self.version == "HTTP/1.0" {
                Some("HTTP/1.0 knows no Transfer-Encoding")
            } else {
                (!coding.eq_ignore_ascii_case("chunked"))
                    .then_some("the Transfer-Encoding does not end in chunked")
            };
        }
        let mut lengths = self.values("content-length").map(length);
        match lengths.next()? {
            None => Some("the Content-Length is no number"),
            first if lengths.all(|length| length == first) => None,
            _ => Some("the Content-Length is stated twice, differently"),
        }
    }

    /// The length of the body, if one is announced and counts.
    pub fn announced(&self) -> Option<u64> {
        if self.has("transfer-encoding") {
            return None;
        }
        self.values("content-length").next().and_then(length)
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.version == "HTTP/1.1"
            && self
                .values("expect")
                .any(|header| header.value.eq_ignore_ascii_case(b"100-continue"))
    }
}

/// Digits only: a sign, a list or a decimal point is no length.
fn length(header: &Header) -> Option<u64> {
    let text = std::str::from_utf8(&header.value).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Cuts a connection's bytes so that hyper never reads beyond the end of a head or a body, and keeps each head.
#[derive(Debug, Default)]
pub(super) struct MessageReader {
    /// What the next byte belongs to.
    part: Part,
    line: EmptyLine,
    /// The head that is arriving, or has arrived and has not been taken.
    head: Vec<u8>,
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    Head,
    /// A body with so many bytes left.
    Length(u64),
    /// A chunked body. It ends with an empty line, and hyper reads no further than the next one.
    Chunks,
    /// Bytes behind a head that hyper refuses.
    Unknown,
}

impl MessageReader {
    /// How many of these bytes may be read before the next look.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        match &mut self.part {
            Part::Head => self.advance_head(bytes),
            Part::Length(left) => {
                let length = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= length as u64;
                if *left == 0 {
                    self.part = Part::Head;
                }
                length
            }
            Part::Chunks => self.line.end(bytes).unwrap_or(bytes.len()),
            Part::Unknown => bytes.len(),
        }
    }

    fn advance_head(&mut self, bytes: &[u8]) -> usize {
        // Empty lines before a request line are ignored (RFC 9112, 2.2).
        let is_blank = |byte: &&u8| self.head.is_empty() && matches!(byte, b'\r' | b'\n');
        let blank = bytes.iter().take_while(is_blank).count();
        let end = self.line.end(&bytes[blank..]);
        let length = end.map_or(bytes.len(), |end| blank + end);
        self.head.extend_from_slice(&bytes[blank..length]);
        if end.is_some() {
            self.part = self.body_part();
        } else if self.head.len() > MAX_HEAD {
            self.part = Part::Unknown;
            self.head = Vec::new();
        }
        length
    }

    fn body_part(&self) -> Part {
        let Some(head) = Head::read(&Bytes::copy_from_slice(&self.head)) else {
            return Part::Unknown;
        };
        if head.framing_fault().is_some() {
            return Part::Unknown;
        }
        match head.announced() {
            _ if head.has("transfer-encoding") => Part::Chunks,
            None | Some(0) => Part::Head,
            Some(length) => Part::Length(length),
        }
    }

    /// What has come of a head since the last one was taken.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether the end of this request is not known for certain, so that no other may follow it.
    pub fn is_uncertain(&self) -> bool {
        matches!(self.part, Part::Unknown)
    }

    pub fn take_head(&mut self) -> Option<Head> {
        Head::read(&std::mem::take(&mut self.head).into())
    }

    /// The body has ended: the next byte belongs to a head.
    pub fn next_message(&mut self) {
        self.part = Part::Head;
        self.line = EmptyLine::default();
    }
}

/// Finds empty lines in a stream of bytes: a line feed, and behind it another or a CRLF.
#[derive(Debug, Clone, Copy, Default)]
enum EmptyLine {
    #[default]
    Text,
    LineFeed,
    CarriageReturn,
}

impl EmptyLine {
    /// Where the first empty line ends.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::LineFeed | Self::CarriageReturn, b'\n') => {
                    *self = Self::Text;
                    return Some(at + 1);
                }
                (_, b'\n') => Self::LineFeed,
                (Self::LineFeed, b'\r') => Self::CarriageReturn,
                _ => Self::Text,
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> Head {
        Head::read(&format!("POST /a#b HTTP/1.1\r\n{fields}\r\nbody").into()).unwrap()
    }

    #[test]
    fn a_head_is_read_as_it_came() {
        let head = head("Host: x\r\nX-Odd:\t a  b \r\nx-odd:\r\n");
        assert_eq!((&*head.method, head.target.as_str()), ("POST", "/a#b"));
        let names: Vec<_> = head.headers.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["Host", "X-Odd", "x-odd"]);
        let values: Vec<_> = head.values("x-odd").map(Header::text).collect();
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
            assert_eq!(Head::read(&bytes.into()), None, "{bytes:?}");
        }
        assert!(Head::read(&"GET / HTTP/1.0\n\n".into()).is_some());
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
            assert_eq!(head(fields).framing_fault().is_none(), clear, "{fields:?}");
        }
    }

    #[test]
    fn a_length_beside_chunks_does_not_count() {
        let both = head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n");
        assert!(both.is_ambiguous());
        assert_eq!(both.announced(), None);
        assert_eq!(head("Content-Length: 5\r\n").announced(), Some(5));
    }
}
