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

const MAX_HEAD: usize = 32 * 1024;

/// hyper's default of 100 fields would refuse small heads.
const MAX_HEADERS: usize = 1000;

const OTHER_DESCRIPTORS: usize = 32;

/// Lower bound of [`Limits::connections`], even under a low limit on file descriptors.
const MIN_CONNECTIONS: usize = 4;

/// tokio's `TcpListener::bind` sets this backlog of unaccepted connections.
const BACKLOG: u32 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub max_body: u64,
    /// `header_timeout` limits the time for a request head, and the idle time between two requests.
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    /// `write_timeout` runs from the first blocked write of an answer until the kernel has taken the last byte.
    pub write_timeout: Duration,
    /// With `half_close`, a client that has shut down its sending side still gets its answer.
    pub half_close: bool,
    pub connections: usize,
    /// After the time `stalling` without progress, a connection may be evicted in favour of a new connection.
    pub stalling: Duration,
    /// `grace` is the time for requests in flight after the server is told to stop.
    pub grace: Duration,
    /// With `tunnelled`, each connection waits at its end for the client to close: a tunnel program closes a connection
    /// after the answer has been passed on.
    pub tunnelled: bool,
}

/// The limits of `--demo` and of the inspector. `cli::listen` has the defaults of the flags.
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
            tunnelled: false,
        }
    }
}

impl Limits {
    /// Lowers `connections` to fit the limit on file descriptors; each connection needs `each` descriptors.
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
    pub peer: SocketAddr,
    pub at: Timestamp,
    /// The request; of an incomplete body the received part, of a body over [`Limits::max_body`] the beginning.
    pub request: Request,
    /// The HTTP error of a request, after which the connection is closed.
    pub error: Option<RequestError>,
}

impl IncomingRequest {
    /// hyper answers a malformed request itself, with 400.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.error, Some(RequestError::Malformed(_)))
    }

    /// A request is ambiguous if it has both `Transfer-Encoding` and `Content-Length`; the former takes precedence
    /// (RFC 9112, 6.3).
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
    #[error("malformed: {0}")]
    Malformed(String),
    #[error("the body is over the limit of {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the body did not come to its end in time")]
    BodyTimeout,
    #[error("the body is broken: {0}")]
    BodyBroken(String),
    #[error("the listener stopped before the body was there")]
    Stopping,
}

impl RequestError {
    /// Longest request target in bytes, as in common servers and tunnels.
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
    /// The server sets the response's `Content-Length` from its body, except in an answer to HEAD without a body.
    pub response: Response,
    pub fault: Option<Fault>,
}

impl Reply {
    /// A fault that is a status replaces the regular response.
    pub(crate) fn new(regular: Response, fault: Option<Fault>) -> Self {
        let response = match fault {
            Some(Fault::Status(status)) => Response::plain(status, "failing on purpose\n"),
            _ => regular,
        };
        Self { response, fault }
    }

    /// Returns the status that the client receives, or `None` if the fault leaves no HTTP answer.
    pub(crate) fn status(&self) -> Option<u16> {
        let is_http = matches!(self.fault, None | Some(Fault::Status(_) | Fault::Slow));
        is_http.then_some(self.response.status)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectionError {
    #[error("looks like TLS: use http://")]
    LooksLikeTls,
    #[error("looks like HTTP/2: use HTTP/1.1")]
    LooksLikeHttp2,
    /// A request in HTTP/0.9 counts as garbage.
    #[error("not an HTTP/1 request: {0}")]
    Garbage(String),
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
    #[error("still open when the listener stopped")]
    Stopped,
    /// `accept` failed, so the peer is unknown.
    #[error("cannot accept connections: {0}")]
    NotAccepted(String),
    #[error("failed inside the listener, which is a bug")]
    Panicked,
}

/// The server calls the handler once for every request whose head could be read. The reply to a request with a
/// [`RequestError`] should have the error's status.
pub type Handler = Box<dyn Fn(IncomingRequest) -> BoxFuture<'static, Reply> + Send + Sync>;

pub type OnError = Box<dyn Fn(Option<SocketAddr>, ConnectionError) + Send + Sync>;

pub(crate) struct Server {
    pub limits: Limits,
    pub clock: Clock,
    pub routes: BoxedFilter<(warp::reply::Response,)>,
    /// Only the route of [`receiver`] calls the handler.
    pub handler: Handler,
    pub on_error: OnError,
    pub stop: CancellationToken,
    /// Set while a new connection waits for a slot in the table of connections; keep-alive is off meanwhile.
    pub is_full: AtomicBool,
}

impl Server {
    /// Serves `routes` until `stop` is cancelled, then until all connections have ended or `Limits::grace` is over.
    pub async fn serve(self, listener: TcpListener) {
        accept::run(listener, Arc::new(self)).await;
    }

    /// Resolves a quarter of `Limits::grace` after `stop`, when slow answers and lingering closes must end.
    async fn closing(&self) {
        self.stop.cancelled().await;
        sleep(self.limits.grace / 4).await;
    }
}
