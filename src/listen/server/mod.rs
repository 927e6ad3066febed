//! HTTP/1 server with limits, for a port that anybody may find.
//!
//! In: a bound listener. Out: an [`IncomingRequest`] for every request whose head can be read, exactly once, and a
//! [`ConnectionError`] for every connection that fails before that. The accept loop is ours, because `warp::serve` has no
//! timeouts; hyper speaks HTTP, warp routes.
//!
//! ```text
//! accept ─> service::serve_connection ─> TrackedStream ─> hyper ─> warp ─> service::receive ─ IncomingRequest ─> handler
//!   │          └── ConnectionError                           └──────────<────────── Reply ──────────┘
//!   └─ full: evict one
//! ```

mod accept;
mod connection;
mod message;
mod service;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;

pub(crate) use self::service::{receiver, to_http};
use super::fault::Fault;
use crate::clock::{Clock, Timestamp};
use crate::net::{Request, Response, header};

/// Longest request head in bytes. hyper allows 100 fields besides.
const MAX_HEAD: usize = 32 * 1024;

/// File descriptors kept free for everything but connections.
const OTHER_DESCRIPTORS: usize = 32;

/// Connections that are accepted however few descriptors there are.
const MIN_CONNECTIONS: usize = 4;

/// Connections that wait to be accepted under attack: tokio's backlog.
const BACKLOG: u32 = 1024;

/// What one client may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest body in bytes.
    pub max_body: u64,
    /// Time for a head, and for an idle connection.
    pub header_timeout: Duration,
    /// Time for a body.
    pub body_timeout: Duration,
    /// Time that a blocked write may take.
    pub write_timeout: Duration,
    /// Whether a client that has closed its side still gets its answer.
    pub half_close: bool,
    /// Connections held at once.
    pub connections: usize,
    /// Time without progress after which a connection may be evicted for another.
    pub stalling: Duration,
    /// Time for requests in flight when the server stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 1024 * 1024,
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(15),
            half_close: true,
            connections: 256,
            stalling: Duration::from_secs(2),
            grace: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// The same with fewer connections where file descriptors are few. `each` is how many one connection needs.
    pub(crate) fn within(mut self, descriptors: Option<u64>, each: usize) -> Self {
        if let Some(descriptors) = descriptors.and_then(|number| usize::try_from(number).ok()) {
            let room = descriptors.saturating_sub(OTHER_DESCRIPTORS) / each.max(1);
            self.connections = self.connections.min(room.max(MIN_CONNECTIONS));
            // A full backlog of stalled requests has to pass through the connections well within one timeout.
            let slots = u32::try_from(self.connections).unwrap_or(u32::MAX);
            let share = self.body_timeout.saturating_mul(slots) / (2 * BACKLOG);
            self.stalling = self.stalling.min(share);
        }
        self
    }
}

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
}

impl IncomingRequest {
    /// hyper answers a malformed request itself.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.error, Some(RequestError::Malformed(_)))
    }

    /// Whether the length is stated by `Transfer-Encoding` and `Content-Length`. The former counts (RFC 9112, 6.3).
    pub(crate) fn is_ambiguous(&self) -> bool {
        ["transfer-encoding", "content-length"]
            .iter()
            .all(|name| header(&self.request.headers, name).is_some())
    }
}

/// An HTTP error of a request, independent of its payload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("HTTP/1.1 without a Host header")]
    NoHost,
    #[error("more than one Host header")]
    SeveralHosts,
    #[error("the target is longer than {} bytes", Self::MAX_TARGET)]
    TargetTooLong,
    /// The head breaks the rules, or leaves open where the body ends. hyper has answered 400 already; the handler's reply is
    /// not used.
    #[error("malformed: {0}")]
    Malformed(String),
    #[error("the body is over the limit of {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the body did not come to its end in time")]
    BodyTimeout,
    /// The body broke off, or its chunks are invalid.
    #[error("the body is broken: {0}")]
    BodyBroken(String),
    #[error("the listener stopped before the body was there")]
    Stopping,
}

impl RequestError {
    /// Longest target in bytes: the limit of common servers and tunnels.
    pub const MAX_TARGET: usize = 8 * 1024;

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NoHost | Self::SeveralHosts | Self::Malformed(_) | Self::BodyBroken(_) => 400,
            Self::BodyTimeout => 408,
            Self::TooLarge { .. } => 413,
            Self::TargetTooLong => 414,
            Self::Stopping => 503,
        }
    }
}

/// How a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The server states the length, whatever the headers say, but in an answer to HEAD without a body.
    pub response: Response,
    pub fault: Option<Fault>,
}

impl Reply {
    /// The regular response, or the one of the fault.
    pub(crate) fn new(regular: Response, fault: Option<Fault>) -> Self {
        let response = match fault {
            Some(Fault::Status(status)) => Response::plain(status, "failing on purpose\n"),
            _ => regular,
        };
        Self { response, fault }
    }

    /// The status that the client gets, if it gets an HTTP answer.
    pub(crate) fn status(&self) -> Option<u16> {
        let is_http = matches!(self.fault, None | Some(Fault::Status(_) | Fault::Slow));
        is_http.then_some(self.response.status)
    }
}

/// A connection that failed without a request to show for it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectionError {
    #[error("looks like TLS: use http://")]
    LooksLikeTls,
    #[error("looks like HTTP/2: use HTTP/1.1")]
    LooksLikeHttp2,
    /// HTTP/0.9 is none either.
    #[error("not an HTTP/1 request: {0}")]
    Garbage(String),
    /// hyper has answered 431, for too many fields too.
    #[error("the head of the request is too large")]
    HeadTooLarge,
    #[error("no complete request head in time")]
    HeadTimeout,
    #[error("closed in the middle of a request head")]
    HeadCut,
    #[error("closed without sending anything")]
    Silent,
    #[error("did not read our answer in time")]
    NotRead,
    #[error("closed before our answer was written: {0}")]
    AnswerLost(String),
    #[error("idle, closed to make room for others")]
    MadeRoom,
    /// The connection outlasted the grace.
    #[error("still open when the listener stopped")]
    Stopped,
    /// Reported without an address.
    #[error("cannot accept connections: {0}")]
    NotAccepted(String),
    /// The task that served the connection panicked.
    #[error("failed inside the listener, which is a bug")]
    Panicked,
}

/// Called once for every request whose head could be read. Its answer to one with a [`RequestError`] should have the error's
/// status.
pub type Handler = Box<dyn Fn(IncomingRequest) -> BoxFuture<'static, Reply> + Send + Sync>;

/// Called for every connection that failed otherwise, with its peer.
pub type OnError = Box<dyn Fn(Option<SocketAddr>, ConnectionError) + Send + Sync>;

/// State of the server that all connections use.
struct Shared {
    limits: Limits,
    clock: Clock,
    routes: BoxedFilter<(warp::reply::Response,)>,
    handler: Handler,
    on_error: OnError,
    stop: CancellationToken,
    /// Whether a client waits for a free connection. Connections are not kept alive meanwhile.
    is_full: AtomicBool,
}

impl Shared {
    /// Resolves when connections whose answer has been given must close: early within the grace.
    async fn closing(&self) {
        self.stop.cancelled().await;
        sleep(self.limits.grace / 4).await;
    }
}

/// Serves routes until `stop` is cancelled and requests in flight have ended, or the grace is over. The route of `receiver`
/// calls the handler; others answer themselves.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    clock: Clock,
    routes: BoxedFilter<(warp::reply::Response,)>,
    handler: Handler,
    on_error: OnError,
    stop: CancellationToken,
) {
    let shared = Shared {
        limits,
        clock,
        routes,
        handler,
        on_error,
        stop,
        is_full: AtomicBool::new(false),
    };
    accept::run(listener, Arc::new(shared)).await;
}
