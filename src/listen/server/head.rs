//! The head of a request as it came. Pure.
//!
//! hyper reads heads, and does it well; but it hides what it mends or refuses. Beside a `Transfer-Encoding` it removes
//! the `Content-Length`, it answers impossible lengths by itself, and it gives names in lower case and no fragment.
//! So the bytes are read once more here, after hyper has judged them: this reader may be simple.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr;

use super::body::Taken;
use crate::wire::{Body, Header, Request};

/// As many fields as most heads have at the most.
const USUAL_FIELDS: usize = 8;

/// Request line and header fields, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The first word of the request line.
    pub method: Cow<'static, str>,
    /// The second, fragment and all.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: Cow<'static, str>,
    /// The fields in order, names in their own case.
    pub headers: Vec<Header>,
}

impl Head {
    /// Reads a complete head, and keeps its bytes for the values; `None` if there is none.
    pub fn read(bytes: &Bytes) -> Option<Self> {
        let (line, mut rest) = first_line(bytes)?;
        let mut words = std::str::from_utf8(line).ok()?.splitn(3, ' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let version = match version {
            "HTTP/1.1" => "HTTP/1.1",
            "HTTP/1.0" => "HTTP/1.0",
            _ => return None,
        };
        let mut headers = Vec::with_capacity(USUAL_FIELDS);
        loop {
            let (line, behind) = first_line(rest)?;
            if line.is_empty() {
                break;
            }
            headers.push(field(bytes, line)?);
            rest = behind;
        }
        Some(Self {
            method: if method == "POST" {
                "POST".into()
            } else {
                method.to_owned().into()
            },
            target: target.to_owned(),
            version: version.into(),
            headers,
        })
    }

    /// The request that has this head and what there was of its body.
    pub fn with_body(self, body: Taken) -> Request {
        Request {
            method: self.method,
            target: self.target,
            version: self.version,
            headers: self.headers,
            size: body.size,
            complete: body.error.is_none(),
            body: Body::from(body.kept),
        }
    }

    /// The values of one field.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Header> {
        self.headers.iter().filter(move |header| header.is(name))
    }

    /// Whether both ways to state a length are used.
    pub fn is_ambiguous(&self) -> bool {
        self.has("transfer-encoding") && self.has("content-length")
    }

    /// Why nobody can say where the body ends, where that is so.
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

    /// The length that was announced, if one was and counts.
    pub fn announced(&self) -> Option<u64> {
        if self.has("transfer-encoding") {
            return None;
        }
        self.values("content-length").next().and_then(length)
    }

    /// Whether the sender waits for leave to send the body.
    pub fn expects_leave(&self) -> bool {
        self.version == "HTTP/1.1"
            && self
                .values("expect")
                .any(|header| header.value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Whether there is such a field.
    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }
}

/// The first line, if it has an end, and what comes behind it.
fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// Where the head ends, behind its empty line, if that line begins at `from` or later.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(line) = memchr(b'\n', bytes.get(at..)?) {
        at += line + 1;
        let rest = &bytes[at..];
        if rest.starts_with(b"\r\n") {
            return Some(at + 2);
        }
        if rest.starts_with(b"\n") {
            return Some(at + 1);
        }
    }
    None
}

/// Reads one field of a head.
fn field(head: &Bytes, line: &[u8]) -> Option<Header> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some(Header {
        name: std::str::from_utf8(&line[..colon]).ok()?.to_owned(),
        value: head.slice_ref(line[colon + 1..].trim_ascii()),
    })
}

/// Digits only: a sign, a list or a decimal point is no length.
fn length(header: &Header) -> Option<u64> {
    let text = std::str::from_utf8(&header.value).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
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
