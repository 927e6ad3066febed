//! HTTP/1 server with limits on size, time and connections, for a port open to the internet.
//!
//! Calls the handler exactly once for every request whose head can be read; other failures of a connection are reported
//! as [`ConnectionError`]s. hyper parses HTTP and warp routes requests; the accept loop is separate, because `warp::serve`
//! has no timeouts.
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

/// In bytes. hyper also limits a head to 100 fields.
const MAX_HEAD: usize = 32 * 1024;

/// File descriptors reserved for uses other than connections.
const OTHER_DESCRIPTORS: usize = 32;

/// Lower bound of [`Limits::connections`], whatever the limit on file descriptors.
const MIN_CONNECTIONS: usize = 4;

/// Backlog of unaccepted connections, as set by tokio's `TcpListener::bind`.
const BACKLOG: u32 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub max_body: u64,
    /// For a request head, and for an idle connection between requests.
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    /// From the first blocked write of an answer until the kernel has taken the last byte.
    pub write_timeout: Duration,
    /// Whether a client that has shut down its sending side still gets its answer.
    pub half_close: bool,
    pub connections: usize,
    /// Time without progress after which a connection may be evicted in favour of a new one.
    pub stalling: Duration,
    /// Time for requests in flight after the server is told to stop.
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
    /// Lowers `connections` to fit the limit on file descriptors, of which each connection needs `each`.
    pub(crate) fn within(mut self, descriptors: Option<u64>, each: usize) -> Self {
        if let Some(descriptors) = descriptors.and_then(|number| usize::try_from(number).ok()) {
            let room = descriptors.saturating_sub(OTHER_DESCRIPTORS) / each.max(1);
            self.connections = self.connections.min(room.max(MIN_CONNECTIONS));
            // Accepting and evicting a full backlog of stalled requests must take at most half of `body_timeout`.
            let slots = u32::try_from(self.connections).unwrap_or(u32::MAX);
            let share = self.body_timeout.saturating_mul(slots) / (2 * BACKLOG);
            self.stalling = self.stalling.min(share);
        }
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingRequest {
    /// The address of the tunnel program if the request came through a tunnel.
    pub peer: SocketAddr,
    /// Time at which the head was complete.
    pub at: Timestamp,
    /// Holds the received part of an incomplete body, and the beginning of a body over [`Limits::max_body`].
    pub request: Request,
    /// The connection is closed after a request with an error.
    pub error: Option<RequestError>,
}

impl IncomingRequest {
    /// Whether hyper has answered the request itself, with 400.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.error, Some(RequestError::Malformed(_)))
    }

    /// Whether the request has both `Transfer-Encoding` and `Content-Length`; the former takes precedence (RFC 9112, 6.3).
    pub(crate) fn is_ambiguous(&self) -> bool {
        ["transfer-encoding", "content-length"]
            .iter()
            .all(|name| header(&self.request.headers, name).is_some())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("HTTP/1.1 without a Host header")]
    NoHost,
    #[error("more than one Host header")]
    SeveralHosts,
    #[error("the target is longer than {} bytes", Self::MAX_TARGET)]
    TargetTooLong,
    /// The head is invalid or gives no length of the body. hyper has answered 400; the handler's reply is dropped.
    #[error("malformed: {0}")]
    Malformed(String),
    #[error("the body is over the limit of {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the body did not come to its end in time")]
    BodyTimeout,
    /// The connection ended within the body, or a chunk is invalid.
    #[error("the body is broken: {0}")]
    BodyBroken(String),
    #[error("the listener stopped before the body was there")]
    Stopping,
}

impl RequestError {
    /// In bytes: the limit of common servers and tunnels.
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The server sets `Content-Length` from the body, except in an answer to HEAD without a body.
    pub response: Response,
    pub fault: Option<Fault>,
}

impl Reply {
    /// Replaces the regular response if the fault is a status.
    pub(crate) fn new(regular: Response, fault: Option<Fault>) -> Self {
        let response = match fault {
            Some(Fault::Status(status)) => Response::plain(status, "failing on purpose\n"),
            _ => regular,
        };
        Self { response, fault }
    }

    /// The status that the client receives, `None` if the fault leaves no HTTP answer.
    pub(crate) fn status(&self) -> Option<u16> {
        let is_http = matches!(self.fault, None | Some(Fault::Status(_) | Fault::Slow));
        is_http.then_some(self.response.status)
    }
}

/// Failure of a connection, as opposed to an error of one request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectionError {
    #[error("looks like TLS: use http://")]
    LooksLikeTls,
    #[error("looks like HTTP/2: use HTTP/1.1")]
    LooksLikeHttp2,
    /// Includes HTTP/0.9.
    #[error("not an HTTP/1 request: {0}")]
    Garbage(String),
    /// Too many bytes or header fields; hyper has answered 431.
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
    /// The connection was open after [`Limits::grace`].
    #[error("still open when the listener stopped")]
    Stopped,
    /// `accept` failed, so the peer is unknown.
    #[error("cannot accept connections: {0}")]
    NotAccepted(String),
    /// The task that served the connection panicked.
    #[error("failed inside the listener, which is a bug")]
    Panicked,
}

/// Called once for every request whose head could be read. The reply to a request with a [`RequestError`] should have the
/// error's status.
pub type Handler = Box<dyn Fn(IncomingRequest) -> BoxFuture<'static, Reply> + Send + Sync>;

/// Called for every [`ConnectionError`], with the peer if known.
pub type OnError = Box<dyn Fn(Option<SocketAddr>, ConnectionError) + Send + Sync>;

struct Shared {
    limits: Limits,
    clock: Clock,
    routes: BoxedFilter<(warp::reply::Response,)>,
    handler: Handler,
    on_error: OnError,
    stop: CancellationToken,
    /// Whether a new connection waits for a slot. Keep-alive is off meanwhile.
    is_full: AtomicBool,
}

impl Shared {
    /// Resolves a quarter of the grace after `stop`, when slow answers and lingering closes must end.
    async fn closing(&self) {
        self.stop.cancelled().await;
        sleep(self.limits.grace / 4).await;
    }
}

/// Serves `routes` until `stop` is cancelled, then until all connections have ended or the grace is over. Only the route
/// of `receiver` calls the handler.
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
