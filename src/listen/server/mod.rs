//! The door: HTTP/1 in and out, and the limits that keep strangers from wearing us out.
//!
//! In: a bound listener. Out: an [`IncomingRequest`] for every request whose head can be read, exactly once, whatever is wrong
//! with it; a [`ConnectionError`] for every connection that ends badly before that. What an incoming is answered is somebody
//! else's business. The accept loop is ours, because warp's own server knows no timeout; hyper speaks HTTP; warp
//! takes each request apart and puts each answer together.
//!
//! ```text
//! accept ─> Crowd ─> Staff ─> attend ─> Line ─> hyper ─> warp ─> receive ─ IncomingRequest ─> answer
//!             │     (threads)   └── ConnectionError                ^──── respond <── Reply ───┘
//!             └─ no room: the longest idle visitor leaves
//! ```

mod aftermath;
mod body;
mod crowd;
mod farewell;
mod head;
mod line;
mod route;
mod staff;
mod types;
mod visitor;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use self::aftermath::Aftermath;
use self::crowd::Crowd;
use self::farewell::conclude;
use self::line::Line;
use self::route::{introduce, requests};
pub use self::types::{ConnectionError, Flow, IncomingRequest, Reply, RequestError};
use self::visitor::Visitor;
use crate::clock::Clock;

/// The longest head that is read. A head has at most 100 fields besides, which is hyper's own limit.
const LARGEST_HEAD: usize = 32 * 1024;

/// What hyper may hold of one connection. Room for a head and what comes with it; small, because there are many.
const READ_BUFFER: usize = 64 * 1024;

/// How long nothing is accepted after the system refused, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many file descriptors are left for everything but connections: streams, files, timers, and programs beside us.
const OTHER_DESCRIPTORS: usize = 32;

/// However few descriptors there are, so many connections are tried to be held.
const FEWEST_CONNECTIONS: usize = 4;

/// On how many threads connections are served where descriptors are few.
const FEW_THREADS: usize = 2;

/// What a visitor may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, in bytes.
    pub max_body: u64,
    /// How long a head may take, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long an answer may wait for its reader.
    pub write_timeout: Duration,
    /// Whether somebody who has ended its side still gets an answer. Otherwise it has gone, and needs none.
    pub half_close: bool,
    /// How many connections are held.
    pub connections: usize,
    /// On how many threads they are served, once there are so many at the same time; if this is not said, on as many as
    /// there are processors, up to a few.
    pub threads: Option<usize>,
    /// How long a visitor may stall in the middle of a request or an answer when others want in.
    pub stalling: Duration,
    /// How long the door waits for what is in flight when it has to stop.
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
            threads: None,
            // Long for anybody who is still there, and much shorter than the timeouts.
            stalling: Duration::from_secs(2),
            grace: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// The same with fewer connections and threads, if there are not so many file descriptors. `each` is how many one
    /// connection needs.
    #[must_use]
    pub fn within(mut self, descriptors: Option<u64>, each: usize) -> Self {
        if let Some(descriptors) = descriptors.and_then(|number| usize::try_from(number).ok()) {
            let room = descriptors.saturating_sub(OTHER_DESCRIPTORS) / each.max(1);
            if room < self.connections {
                self.connections = self.connections.min(room.max(FEWEST_CONNECTIONS));
                // A thread needs four of them for itself.
                self.threads = Some(
                    self.threads
                        .map_or(FEW_THREADS, |threads| threads.min(FEW_THREADS)),
                );
            }
        }
        self
    }
}

/// What all connections share.
struct House {
    limits: Limits,
    clock: Clock,
    /// Decides what an incoming is answered.
    answer: Box<dyn Fn(IncomingRequest) -> BoxFuture<'static, Reply> + Send + Sync>,
    /// Is told what went wrong, and with whom.
    error: Box<dyn Fn(Option<SocketAddr>, ConnectionError) + Send + Sync>,
    /// Cancelled when it is time to stop.
    stop: CancellationToken,
    /// Whether somebody wants in and nobody leaves.
    crowded: AtomicBool,
}

impl House {
    /// Tells what went wrong with a visitor.
    fn tell(&self, visitor: &Visitor, error: ConnectionError) {
        (self.error)(Some(visitor.peer), error);
    }

    /// Whether somebody wants in and nobody leaves.
    fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    fn set_crowded(&self, crowded: bool) {
        self.crowded.store(crowded, Ordering::Relaxed);
    }

    /// Whether it is time to stop.
    fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until it is time to let go of those whose answer has been given.
    async fn is_closing(&self) {
        self.stop.cancelled().await;
        sleep(self.limits.grace / 4).await;
    }
}

/// Serves until `stop` is cancelled and what was in flight has ended, or the grace is over.
///
/// `answer` is called once for every request whose head could be read; an answer that it gives for one with a
/// [`RequestError`] should have the error's status. `error` is called for every connection that ended badly otherwise.
pub async fn serve<A, F, M>(
    listener: TcpListener,
    limits: Limits,
    clock: Clock,
    answer: A,
    error: M,
    stop: CancellationToken,
) where
    A: Fn(IncomingRequest) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
    M: Fn(Option<SocketAddr>, ConnectionError) + Send + Sync + 'static,
{
    let house = Arc::new(House {
        limits,
        clock,
        answer: Box::new(move |incoming| answer(incoming).boxed()),
        error: Box::new(error),
        stop: stop.clone(),
        crowded: AtomicBool::new(false),
    });
    let mut crowd = Crowd::new(Arc::clone(&house));
    let mut accept_from = None;
    loop {
        let accept = async {
            if let Some(moment) = accept_from {
                sleep_until(moment).await;
            }
            listener.accept().await
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = crowd.shrink() => {
                accept_from = None;
                continue;
            }
            accepted = accept => accepted,
        };
        accept_from = None;
        match accepted {
            Ok((stream, peer)) => tokio::select! {
                biased;
                () = stop.cancelled() => {
                    (house.error)(Some(peer), ConnectionError::Stopped);
                    break;
                }
                () = crowd.make_room() => crowd.admit(stream, peer).await,
            },
            Err(error) if is_the_peers_own(&error) => {}
            Err(error) => {
                // Most likely there are no file descriptors left, and a visitor less means one more.
                (house.error)(None, ConnectionError::NotAccepted(error.to_string()));
                house.set_crowded(!crowd.dismiss_one());
                accept_from = Some(Instant::now() + ACCEPT_PAUSE);
            }
        }
    }
    drop(listener);
    crowd.leave().await;
}

/// Whether accepting failed for a reason that concerns one connection only, which is gone already.
fn is_the_peers_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Attends to one connection from its first byte to its last.
async fn attend(stream: TcpStream, visitor: Arc<Visitor>, house: Arc<House>) {
    // An answer is small and should leave at once. Where this fails the connection is gone, which shows soon enough.
    let _ = stream.set_nodelay(true);
    let line = Line::new(stream, Arc::clone(&visitor), house.limits.write_timeout);
    let warp = warp::service(requests());
    let greeting = (Arc::clone(&visitor), Arc::clone(&house));
    let service = service_fn(move |request| {
        let answered = warp.clone().call(introduce(request, &greeting));
        async move {
            let Ok(response): Result<_, Infallible> = answered.await;
            match response.extensions().get::<Aftermath>() {
                Some(aftermath) => Err(aftermath.clone()),
                None => Ok(response),
            }
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(house.limits.header_timeout)
        .max_header_size(LARGEST_HEAD)
        .max_buf_size(READ_BUFFER)
        // Whoever ends its side behind a request still wants the answer. And whoever breaks off keeps its place until the
        // answer has been decided, and so cannot have us wait with any number of them.
        .half_close(house.limits.half_close)
        .serve_connection(TokioIo::new(line), service);

    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            () = visitor.dismissed() => {
                return house.tell(&visitor, visitor.parting(ConnectionError::MadeRoom));
            }
            () = house.stop.cancelled(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    conclude(
        ended,
        parts.io.into_inner(),
        parts.read_buf,
        &visitor,
        &house,
    )
    .await;
}
