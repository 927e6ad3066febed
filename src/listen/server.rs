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

mod connection;
mod message;
mod service;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;

use self::connection::{Connection, Phase};
use self::service::serve_connection;
pub(crate) use self::service::to_http;
use super::fault::Fault;
use crate::clock::{Clock, Timestamp};
use crate::net::{Request, Response, header};

const MAX_HEAD: usize = 32 * 1024;

/// hyper's default of 100 fields would refuse small heads.
const MAX_HEADERS: usize = 1000;

/// After a failed `accept` the loop pauses, so that a lack of file descriptors does not make it spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that have been idle for less than 200 ms are not evicted: in a burst, their requests have not arrived
/// yet.
const MIN_IDLE: Duration = Duration::from_millis(200);

const RETRY_EVICTION: Duration = Duration::from_millis(50);

/// Limit of evicted connections that are still closing, besides the open connections. Each holds a file descriptor.
const MAX_CLOSING: usize = 8;

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
    /// `write_timeout` limits the time in which a client reads nothing of its answer.
    pub write_timeout: Duration,
    /// With `half_close`, a client that has shut down its sending side still gets its answer.
    pub half_close: bool,
    pub connections: usize,
    /// A request or an answer that is unfinished after the time `stalling` may be evicted in favour of a new connection.
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
        let has = |name| header(&self.request.headers, name).is_some();
        has("transfer-encoding") && has("content-length")
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

/// The error of a connection that a client began to use. A connection that is closed while idle has no error: browsers
/// open connections in advance.
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
    #[error("did not read our answer in time")]
    NotRead,
    #[error("closed before our answer was written: {0}")]
    AnswerLost(String),
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
    /// Without `routes`, all requests go to the handler.
    pub routes: Option<BoxedFilter<(warp::reply::Response,)>>,
    pub handler: Handler,
    pub on_error: OnError,
    pub stop: CancellationToken,
    /// Set while a new connection waits for a slot in the table of connections; keep-alive is off meanwhile.
    pub is_full: AtomicBool,
}

impl Server {
    /// Serves connections until `stop` is cancelled, then waits for the connections, and aborts those that remain after
    /// `Limits::grace`.
    pub async fn serve(self, listener: TcpListener) {
        let (stop, grace) = (self.stop.clone(), self.limits.grace);
        let mut table = ConnectionTable {
            server: Arc::new(self),
            tasks: JoinSet::new(),
            connections: HashMap::new(),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            never = table.accept(&listener) => match never {},
        }
        drop(listener);
        if timeout(grace, table.all_ended()).await.is_err() {
            table.tasks.abort_all();
            table.all_ended().await;
        }
    }

    /// Resolves a quarter of `Limits::grace` after `stop`, when slow answers and lingering closes must end.
    async fn closing(&self) {
        self.stop.cancelled().await;
        sleep(self.limits.grace / 4).await;
    }
}

struct ConnectionTable {
    server: Arc<Server>,
    tasks: JoinSet<()>,
    connections: HashMap<Id, Arc<Connection>>,
}

impl ConnectionTable {
    async fn accept(&mut self, listener: &TcpListener) -> Infallible {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.one_ended() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.make_room().await;
                    let connection = Arc::new(Connection::new(peer, Arc::clone(&self.server)));
                    let serving = serve_connection(stream, Arc::clone(&connection));
                    let id = self.tasks.spawn(serving).id();
                    self.connections.insert(id, connection);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    // The usual cause of a failed `accept` is a lack of file descriptors, of which an eviction frees
                    // one.
                    let error = ConnectionError::NotAccepted(error.to_string());
                    (self.server.on_error)(None, error);
                    let is_full = !self.evict_one();
                    self.server.is_full.store(is_full, Ordering::Relaxed);
                    let _ = timeout(ACCEPT_PAUSE, self.one_ended()).await;
                }
            }
        }
    }

    /// Waits for a connection's task to end and reports its panic or abortion; never resolves if the table of tasks is
    /// empty.
    async fn one_ended(&mut self) {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        if let (Some(connection), Err(error)) = (self.connections.remove(&id), ended) {
            if error.is_panic() {
                connection.report(ConnectionError::Panicked);
            } else {
                connection.report_closing();
            }
        }
    }

    async fn make_room(&mut self) {
        let limit = self.server.limits.connections;
        loop {
            let open = self.connections.values();
            let open = open.filter(|connection| connection.state().phase != Phase::Evicted);
            let full = open.count() >= limit;
            if full && self.evict_one() {
                continue;
            }
            self.server.is_full.store(full, Ordering::Relaxed);
            if !full && self.connections.len() < limit + MAX_CLOSING {
                return;
            }
            let _ = timeout(RETRY_EVICTION, self.one_ended()).await;
        }
    }

    /// Evicts the connection that has been idle for longest, else the connection with the fewest bytes a second. Returns
    /// whether an idle connection was evicted, whose slot is free at once; an unfinished request is answered first.
    fn evict_one(&self) -> bool {
        let stalling = self.server.limits.stalling;
        let waiting = self.connections.values().filter_map(|connection| {
            let (is_unfinished, rate, since) = connection.waits_for_client()?;
            let least = if is_unfinished { stalling } else { MIN_IDLE };
            (since.elapsed() >= least).then_some(((is_unfinished, rate, since), connection))
        });
        let slowest = waiting.min_by_key(|(order, _)| *order);
        slowest.is_some_and(|((is_unfinished, ..), connection)| {
            connection.evict();
            !is_unfinished
        })
    }

    async fn all_ended(&mut self) {
        while !self.tasks.is_empty() {
            self.one_ended().await;
        }
    }
}

/// Returns whether `accept` failed for one connection only, so that the accept loop need not pause.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;
