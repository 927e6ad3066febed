//! HTTP requests and responses, and the clients that send them, independent of CDRs.
//!
//! [`Request`], [`Response`] and [`Failure`] are owned values. A request is serialised without loss, so that a captured
//! one can be sent again byte for byte. [`client`] sends valid requests, [`raw`] invalid ones too; [`query`] encodes
//! and decodes query strings; [`export`] writes requests for other tools.

pub mod client;
mod connect;
mod destination;
pub mod export;
mod failure;
mod headers;
mod http1;
mod proxied;
pub mod query;
pub mod raw;
pub mod secret;
mod text;
mod tls;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
pub use destination::Destination;
pub(crate) use failure::CLOSED_EARLY;
pub use proxied::unusable_variables;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
pub(crate) use text::compression;
use thiserror::Error;
pub(crate) use tls::certificates;

/// The bytes of a message body, usually text. Serialised as `{"text": …}`, or as `{"base64": …}` if they are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body(pub Bytes);

impl Body {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BodyRecord<'a> {
    Text(Cow<'a, str>),
    Base64(String),
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => BodyRecord::Text(text.into()),
            None => BodyRecord::Base64(BASE64.encode(&self.0)),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match BodyRecord::deserialize(deserializer)? {
            BodyRecord::Text(text) => Ok(Self(Bytes::from(text.into_owned()))),
            BodyRecord::Base64(text) => BASE64
                .decode(text)
                .map(|bytes| Self(bytes.into()))
                .map_err(D::Error::custom),
        }
    }
}

/// An HTTP header field; the case of the name and the bytes of the value are kept. Serialised as `[name, value]`, where
/// a value that is not UTF-8 becomes `{"base64": …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: Cow<'static, str>,
    pub value: Bytes,
}

impl Header {
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            value: Bytes::from(value.into()),
        }
    }

    pub(crate) const fn from_static(name: &'static str, value: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            value: Bytes::from_static(value.as_bytes()),
        }
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The header's value as text; bytes that are not UTF-8 become replacement characters.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum HeaderValueRecord<'a> {
    Text(Cow<'a, str>),
    Base64 { base64: String },
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match std::str::from_utf8(&self.value) {
            Ok(text) => HeaderValueRecord::Text(text.into()),
            Err(_) => HeaderValueRecord::Base64 {
                base64: BASE64.encode(&self.value),
            },
        };
        (&self.name, value).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, value) =
            <(Cow<'static, str>, HeaderValueRecord<'_>)>::deserialize(deserializer)?;
        let value = match value {
            HeaderValueRecord::Text(text) => Bytes::from(text.into_owned()),
            HeaderValueRecord::Base64 { base64 } => {
                BASE64.decode(base64).map_err(D::Error::custom)?.into()
            }
        };
        Ok(Self { name, value })
    }
}

/// Parses a number that has digits only; `u64::from_str` would accept a plus sign.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

pub(crate) fn fields<'a>(headers: &'a [Header], name: &str) -> impl Iterator<Item = &'a Header> {
    headers.iter().filter(move |header| header.is(name))
}

pub fn header<'a>(headers: &'a [Header], name: &str) -> Option<Cow<'a, str>> {
    fields(headers, name).next().map(Header::text)
}

/// Returns a request as it is sent to a destination, with the default headers, and with its secrets masked.
pub(crate) fn as_sent(request: &Request, destination: &Destination) -> Request {
    let framing = headers::Framing::of(request);
    let mut sent = request.clone();
    sent.headers = headers::with_defaults(request, destination, framing, false);
    secret::masked_request(&sent)
}

/// The names of headers that are not forwarded: hop-by-hop headers (RFC 9110, section 7.6.1), and headers that a client
/// sets for each connection, such as `Host`.
const HOP_BY_HOP: &str = "connection content-length expect host keep-alive proxy-authenticate \
    proxy-authorization proxy-connection te transfer-encoding upgrade";

fn is_one_of(word: &str, list: &str) -> bool {
    list.split(' ').any(|one| one.eq_ignore_ascii_case(word))
}

/// Filters the headers to forward: those that are neither hop-by-hop nor named by `Connection`. `Transfer-Encoding` stays
/// if it names a coding besides `chunked`, because the body is forwarded with that coding (RFC 9112, section 6.1).
pub(crate) fn end_to_end(headers: &[Header]) -> Vec<Header> {
    let named = fields(headers, "connection").map(Header::text);
    let named = named.collect::<Vec<_>>().join(",");
    let is_named = |header: &Header| named.split(',').any(|name| header.is(name.trim()));
    let is_decoded = |header: &Header| is_one_of(&header.text(), "chunked identity");
    let is_coded = !fields(headers, "transfer-encoding").all(is_decoded);
    let mut headers = headers.to_vec();
    headers.retain(|header| {
        (is_coded && header.is("transfer-encoding"))
            || !(is_one_of(&header.name, HOP_BY_HOP) || is_named(header))
    });
    headers
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub method: Cow<'static, str>,
    /// The request target as written on the request line, not normalised; usually path and query, but `*`, an authority
    /// or a URL is possible.
    pub target: String,
    pub version: Cow<'static, str>,
    pub headers: Vec<Header>,
    /// The kept bytes of the request body, possibly fewer than `size`.
    pub body: Body,
    pub size: u64,
    pub complete: bool,
}

impl Request {
    pub fn new(
        method: &str,
        target: impl Into<String>,
        headers: Vec<Header>,
        body: impl Into<Bytes>,
    ) -> Self {
        let body = body.into();
        Self {
            method: match method {
                "POST" => Cow::Borrowed("POST"),
                "GET" => Cow::Borrowed("GET"),
                other => Cow::Owned(other.to_owned()),
            },
            target: target.into(),
            version: Cow::Borrowed("HTTP/1.1"),
            headers,
            size: body.len() as u64,
            body: Body(body),
            complete: true,
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The response status. The field is not serialised, since records hold the status beside the response.
    #[serde(skip)]
    pub status: u16,
    pub headers: Vec<Header>,
    /// The response body: at most [`client::MAX_RESPONSE_BODY`] bytes, or `raw::MAX_FORWARDED_BODY` of a forwarded
    /// response.
    pub body: Body,
    pub size: u64,
    pub complete: bool,
    /// The advice on the response, if it follows from the way to the peer.
    #[serde(skip)]
    pub hint: Option<&'static str>,
}

impl Response {
    pub fn new(status: u16, headers: Vec<Header>, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            status,
            headers,
            size: body.len() as u64,
            body: Body(body),
            complete: true,
            hint: None,
        }
    }

    /// The body as text for people: decompressed, in UTF-8. The error names the compression that cannot be decoded.
    pub fn decoded(&self) -> Result<Cow<'_, [u8]>, String> {
        text::decoded(&self.headers, &self.body.0)
    }

    /// Copies the part of a response that a record holds, at most `most` bytes of the body, with the secrets of the headers
    /// masked. The record does not keep a larger body in memory.
    pub(crate) fn recorded(&self, most: usize) -> Self {
        let kept = self.body.len().min(most);
        Self {
            headers: secret::masked_headers(self.headers.clone()),
            body: self.body.0[..kept].to_vec().into(),
            complete: self.complete && kept == self.body.len(),
            ..self.clone()
        }
    }

    pub(crate) fn plain(status: u16, text: impl Into<Bytes>) -> Self {
        Self::new(status, Vec::new(), text).with("content-type", "text/plain; charset=utf-8")
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push(Header::from_static(name, value));
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Dns,
    Connect,
    Tls,
    Send,
    /// The phase from the complete request to the first byte of the response.
    Wait,
    Read,
}

/// The reason why a request got no usable response; the serialised names are the keys of `by_failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Error)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    #[error("connection refused")]
    Refused,
    #[error("timed out")]
    Timeout,
    #[error("host not found")]
    Dns,
    #[error("TLS failed")]
    Tls,
    #[error("connection closed")]
    Closed,
    /// The peer closed a keep-alive connection without a response, possibly before the request arrived.
    #[error("kept connection closed")]
    KeptConnectionClosed,
    #[error("not HTTP")]
    NotHttp,
    #[error("redirect")]
    Redirect,
    /// The proxy of the environment failed, not the handler.
    #[error("proxy failed")]
    Proxy,
    #[error("failed")]
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub phase: Phase,
    pub kind: FailureKind,
    /// One sentence that explains the failure, with the secrets in URLs masked.
    pub text: String,
    /// The advice on the failure, if it follows from the failure alone.
    #[serde(skip)]
    pub hint: Option<&'static str>,
}

impl Failure {
    pub(crate) fn new(phase: Phase, kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            phase,
            kind,
            text: text.into(),
            hint: None,
        }
    }

    pub(crate) fn cannot_be_sent(text: impl Into<String>) -> Self {
        Self::new(Phase::Send, FailureKind::Other, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_request_survives_its_record(
            method in "[A-Z]{1,7}",
            target in "/[!-~]{0,40}",
            names in proptest::collection::vec(("[a-z-]{1,12}", proptest::collection::vec(any::<u8>(), 0..20)), 0..5),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let headers: Vec<Header> = names.into_iter().map(|(name, value)| Header { name: name.into(), value: value.into() }).collect();
            let request = Request::new(&method, target, headers, body);
            let line = serde_json::to_string(&request).unwrap();
            prop_assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
    }

    #[test]
    fn what_a_connection_names_as_its_own_ends_with_it() {
        let headers = [
            ("X-A", "1"),
            ("Connection", "close, X-Hop"),
            ("x-hop", "2"),
            ("Proxy-Authorization", "Basic x"),
            ("Content-Type", "text/plain"),
        ];
        let left = end_to_end(&headers.map(|(name, value)| Header::new(name, value)));
        assert_eq!(
            left.iter().map(|header| &*header.name).collect::<Vec<_>>(),
            ["X-A", "Content-Type"]
        );
    }

    #[test]
    fn bodies_are_text_where_they_can_be() {
        let write = |bytes: &'static [u8]| serde_json::to_string(&Body::from(bytes)).unwrap();
        assert_eq!(write(b"got it"), r#"{"text":"got it"}"#);
        assert_eq!(write(b"\xff"), r#"{"base64":"/w=="}"#);
    }
}
