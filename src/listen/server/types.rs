//! What comes in through the door, and what may go wrong with it. Values only.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;

use crate::clock::Timestamp;
use crate::wire::{Request, Response};

/// One request whose head could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRequest {
    /// Who opened the connection. Behind a tunnel that is the tunnel's program.
    pub peer: SocketAddr,
    /// When the head had come.
    pub at: Timestamp,
    /// The request, with as much of its body as was kept.
    pub request: Request,
    /// What is wrong with it as HTTP. Such a request is the last one on its connection.
    pub error: Option<RequestError>,
    /// Whether it stated its length twice, by `Content-Length` and by `Transfer-Encoding`, which then counted.
    ///
    /// Not noticed in a request that came before the one ahead of it was answered, because the head as it came is
    /// no longer at hand then.
    pub ambiguous_framing: bool,
}

/// What is wrong with a request as HTTP, whatever it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// HTTP/1.1 without a `Host`.
    NoHost,
    /// More than one `Host`.
    SeveralHosts,
    /// The target is longer than [`RequestError::LONGEST_TARGET`].
    TargetTooLong,
    /// Its head breaks the rules, or leaves open where the body ends. This alone has been answered 400 already, with
    /// no body; the reply to it is not used.
    Malformed(String),
    /// The body is over the limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body did not come to its end in time.
    BodyTimeout,
    /// The body broke off, or its chunks made no sense.
    BodyBroken(String),
    /// We are stopping, and the body was not there yet.
    Stopping,
}

impl RequestError {
    /// The longest target that is taken, in bytes: what common servers and tunnels take.
    pub const LONGEST_TARGET: usize = 8 * 1024;

    /// The status it deserves.
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
                write!(
                    f,
                    "the target is longer than {} bytes",
                    Self::LONGEST_TARGET
                )
            }
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::TooLarge { limit } => write!(f, "the body is over the limit of {limit} bytes"),
            Self::BodyTimeout => f.write_str("the body did not come to its end in time"),
            Self::BodyBroken(why) => write!(f, "the body is broken: {why}"),
            Self::Stopping => f.write_str("the listener stopped before the body was there"),
        }
    }
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This answer. Its length is stated by the door, whatever its headers say.
    Respond(Response),
    /// This answer, but slowly, and the connection is closed after it.
    Slow(Response),
    /// This answer's head, and a body that comes about meanwhile.
    Stream(Response, Flow),
    /// No answer: the connection is closed.
    Close,
    /// No answer: the connection is reset.
    Reset,
    /// Neither an answer nor an end, until the sender goes, somebody else needs the place, or the door is closed.
    Hang,
    /// Bytes that are no HTTP, then the end of the connection.
    Garbage,
}

/// A body that comes about while it is written. It is written once, whoever of its clones is asked for it first.
#[derive(Clone)]
pub struct Flow(Arc<Mutex<Option<Pieces>>>);

/// The pieces of a body, in order.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send + Sync>>;

impl Flow {
    /// A body of these pieces.
    pub fn new(pieces: impl Stream<Item = Bytes> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(pieces)))))
    }

    /// The pieces; of what has been asked for before there are none.
    pub(super) fn pieces(&self) -> Pieces {
        let pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        pieces.unwrap_or_else(|| Box::pin(futures_util::stream::empty()))
    }
}

impl PartialEq for Flow {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Flow {}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flow")
    }
}

/// A connection that ended badly without a request to show for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionError {
    /// A TLS hello on the plain port.
    LooksLikeTls,
    /// HTTP/2 without asking first.
    LooksLikeHttp2,
    /// No HTTP/1 request, HTTP/0.9 included.
    Garbage(String),
    /// The head was too long, or had too many fields. Answered 431.
    HeadTooLarge,
    /// The head did not come to its end in time.
    HeadTimeout,
    /// The connection ended in the middle of a head.
    HeadCut,
    /// The connection ended without a byte.
    Silent,
    /// Our answer was not read in time.
    NotRead,
    /// Our answer could not be written.
    AnswerLost(String),
    /// It had been idle for longest when others wanted in.
    MadeRoom,
    /// It was still open when the time to stop was up.
    Stopped,
    /// No connection could be accepted. Told without a peer.
    NotAccepted(String),
    /// Our own mistake: the task that served it panicked.
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
