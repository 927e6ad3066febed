//! Incoming requests, replies, and the errors of requests and connections. Values only.

use std::fmt;
use std::net::SocketAddr;

use crate::clock::Timestamp;
use crate::net::{Request, Response};

/// One request whose head could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRequest {
    /// Behind a tunnel: the address of the tunnel program.
    pub peer: SocketAddr,
    /// When the head was complete.
    pub at: Timestamp,
    /// The request, with the kept part of its body.
    pub request: Request,
    /// The HTTP error of the request; the connection is closed after such a request.
    pub error: Option<RequestError>,
    /// Whether the length was stated by `Content-Length` and by `Transfer-Encoding`, which counts then.
    pub ambiguous_framing: bool,
}

impl IncomingRequest {
    /// hyper answers a malformed request itself.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(self.error, Some(RequestError::Malformed(_)))
    }
}

/// An HTTP error of a request, independent of its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    NoHost,
    SeveralHosts,
    /// The target is longer than [`RequestError::MAX_TARGET`].
    TargetTooLong,
    /// The head breaks the rules, or leaves open where the body ends. hyper has answered 400 already; the handler's reply is
    /// not used.
    Malformed(String),
    /// The body is over the limit, in bytes.
    TooLarge {
        limit: u64,
    },
    BodyTimeout,
    /// The body broke off, or its chunks are invalid.
    BodyBroken(String),
    /// The server stopped before the body had come.
    Stopping,
}

impl RequestError {
    /// Longest target in bytes: the limit of common servers and tunnels.
    pub const MAX_TARGET: usize = 8 * 1024;

    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NoHost | Self::SeveralHosts | Self::Malformed(_) | Self::BodyBroken(_) => 400,
            Self::BodyTimeout => 408,
            Self::TooLarge { .. } => 413,
            Self::TargetTooLong => 414,
            Self::Stopping => 503,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("HTTP/1.1 without a Host header"),
            Self::SeveralHosts => f.write_str("more than one Host header"),
            Self::TargetTooLong => {
                write!(f, "the target is longer than {} bytes", Self::MAX_TARGET)
            }
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::TooLarge { limit } => write!(f, "the body is over the limit of {limit} bytes"),
            Self::BodyTimeout => f.write_str("the body did not come to its end in time"),
            Self::BodyBroken(why) => write!(f, "the body is broken: {why}"),
            Self::Stopping => f.write_str("the listener stopped before the body was there"),
        }
    }
}

/// How a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This answer. The server states its length, whatever its headers say, but in an answer to HEAD without a body.
    Respond(Response),
    /// This answer a few bytes at a time, then the end of the connection.
    Slow(Response),
    /// No answer: the connection is closed.
    Close,
    /// No answer: the connection is reset.
    Reset,
    /// No answer, until the client closes, the connection is evicted or the server stops.
    Hang,
    /// Bytes that are not HTTP, then the end of the connection.
    Garbage,
}

/// A connection that failed without a request to show for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionError {
    /// A TLS hello on the plain port.
    LooksLikeTls,
    /// HTTP/2 without asking first.
    LooksLikeHttp2,
    /// Not an HTTP/1 request; HTTP/0.9 is none either.
    Garbage(String),
    /// The head was too long, or had too many fields. hyper has answered 431.
    HeadTooLarge,
    HeadTimeout,
    /// The connection ended in the middle of a head.
    HeadCut,
    /// The connection ended without a byte.
    Silent,
    /// The answer was not read in time.
    NotRead,
    AnswerLost(String),
    /// Evicted while idle.
    MadeRoom,
    /// Still open when the grace was over.
    Stopped,
    /// No connection could be accepted. Reported without an address.
    NotAccepted(String),
    /// The task that served the connection panicked: a bug.
    Panicked,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LooksLikeTls => f.write_str("looks like TLS: use http://"),
            Self::LooksLikeHttp2 => f.write_str("looks like HTTP/2: use HTTP/1.1"),
            Self::Garbage(why) => write!(f, "not an HTTP/1 request: {why}"),
            Self::HeadTooLarge => f.write_str("the head of the request is too large"),
            Self::HeadTimeout => f.write_str("no complete request head in time"),
            Self::HeadCut => f.write_str("closed in the middle of a request head"),
            Self::Silent => f.write_str("closed without sending anything"),
            Self::NotRead => f.write_str("did not read our answer in time"),
            Self::AnswerLost(why) => write!(f, "closed before our answer was written: {why}"),
            Self::MadeRoom => f.write_str("idle, closed to make room for others"),
            Self::Stopped => f.write_str("still open when the listener stopped"),
            Self::NotAccepted(why) => write!(f, "cannot accept connections: {why}"),
            Self::Panicked => f.write_str("failed inside the listener, which is a bug"),
        }
    }
}
