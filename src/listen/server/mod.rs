//! HTTP/1 server with limits: one port that anybody may find.
//!
//! In: a bound listener. Out: an [`IncomingRequest`] for every request whose head can be read, exactly once, and a
//! [`ConnectionError`] for every connection that fails before that. The accept loop is ours, because `warp::serve` has no
//! timeouts; hyper speaks HTTP, warp routes.
//!
//! ```text
//! accept ─> table ─> service::serve_connection ─> TrackedStream ─> hyper ─> warp ─> service::receive ─ IncomingRequest ─> handler
//!             │             └── ConnectionError                        └──────────<────────── Reply ──────────┘
//!             └─ full: evict one
//! ```

mod body;
mod close;
mod connection;
mod head;
mod service;
mod table;
mod types;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;

use self::connection::Connection;
pub(crate) use self::service::to_http;
use self::table::ConnectionTable;
pub use self::types::{ConnectionError, IncomingRequest, Reply, RequestError};
use crate::clock::Clock;

/// Longest request head in bytes. hyper allows 100 fields besides.
const MAX_HEAD: usize = 32 * 1024;

/// Pause after a failed accept, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    #[must_use]
    pub fn within(mut self, descriptors: Option<u64>, each: usize) -> Self {
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

type Handler = Box<dyn Fn(IncomingRequest) -> BoxFuture<'static, Reply> + Send + Sync>;

/// State of the server that all connections use.
struct Shared {
    limits: Limits,
    clock: Clock,
    routes: BoxedFilter<(warp::reply::Response,)>,
    handler: Handler,
    on_error: Box<dyn Fn(Option<SocketAddr>, ConnectionError) + Send + Sync>,
    stop: CancellationToken,
    /// Whether a client waits for a free connection. Connections are not kept alive meanwhile.
    full: AtomicBool,
}

impl Shared {
    fn report(&self, connection: &Connection, error: ConnectionError) {
        (self.on_error)(Some(connection.peer), error);
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Resolves when connections whose answer has been given must close: early within the grace.
    async fn closing(&self) {
        self.stop.cancelled().await;
        sleep(self.limits.grace / 4).await;
    }
}

/// Serves until `stop` is cancelled and requests in flight have ended, or the grace is over.
///
/// `handler` is called once for every request whose head could be read; its answer to one with a [`RequestError`] should
/// have the error's status. `on_error` is called for every connection that failed otherwise.
pub async fn serve<H, F, E>(
    listener: TcpListener,
    limits: Limits,
    clock: Clock,
    handler: H,
    on_error: E,
    stop: CancellationToken,
) where
    H: Fn(IncomingRequest) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
    E: Fn(Option<SocketAddr>, ConnectionError) + Send + Sync + 'static,
{
    let shared = Shared {
        limits,
        clock,
        routes: service::receiver(),
        handler: Box::new(move |incoming| handler(incoming).boxed()),
        on_error: Box::new(on_error),
        stop,
        full: AtomicBool::new(false),
    };
    accept(listener, Arc::new(shared)).await;
}

/// Serves warp routes, within the same limits. Malformed requests and failed connections are dropped.
pub async fn serve_routes(
    listener: TcpListener,
    limits: Limits,
    clock: Clock,
    routes: BoxedFilter<(warp::reply::Response,)>,
    stop: CancellationToken,
) {
    let shared = Shared {
        limits,
        clock,
        routes,
        handler: Box::new(|_| std::future::ready(Reply::Close).boxed()),
        on_error: Box::new(|_, _| ()),
        stop,
        full: AtomicBool::new(false),
    };
    accept(listener, Arc::new(shared)).await;
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut table = ConnectionTable::new(Arc::clone(&shared));
    let mut paused_until = None;
    loop {
        let accepted = async {
            if let Some(until) = paused_until {
                sleep_until(until).await;
            }
            listener.accept().await
        };
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            () = table.one_ended() => {
                paused_until = None;
                continue;
            }
            accepted = accepted => accepted,
        };
        paused_until = None;
        match accepted {
            Ok((stream, peer)) => tokio::select! {
                biased;
                () = shared.stop.cancelled() => {
                    (shared.on_error)(Some(peer), ConnectionError::Stopped);
                    break;
                }
                () = table.make_room() => table.insert(stream, peer),
            },
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                // Most likely out of file descriptors: one connection less frees one.
                (shared.on_error)(None, ConnectionError::NotAccepted(error.to_string()));
                shared.set_full(!table.evict_one());
                paused_until = Some(Instant::now() + ACCEPT_PAUSE);
            }
        }
    }
    drop(listener);
    table.drain().await;
}

/// Whether accepting failed only for a connection that is gone already.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
