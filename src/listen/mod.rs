//! `listen`: receives CDRs on a port, answers and records them.
//!
//! ```text
//! server ─> IncomingRequest ─> pipeline: respond, fault, forward ─> recorder: number, relate, retries, capture ─> Event ─> output
//!    ^                                                                 │                                          └─> history ─> inspector
//!    └────────────────────────────── Reply ────────────────────────────┘
//! ```
//!
//! A [`tunnel`] gives the port a public URL. [`expect`] says when the run is complete, [`redact`] masks what is saved.

pub mod capture;
pub mod event;
pub mod expect;
pub mod fault;
pub mod forward;
pub mod history;
pub mod inspector;
pub mod pipeline;
pub mod recorder;
pub mod redact;
pub mod relate;
pub mod respond;
pub mod retries;
pub mod server;
pub mod tunnel;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use capture::Capture;
use event::{Ending, Event, Listening, Summary};
use expect::ExpectedCdrs;
use fault::Faults;
use forward::Forward;
use pipeline::Pipeline;
use recorder::Recorder;
use respond::ResponsePolicy;
use server::Limits;

/// The options of a listener, but for its address.
#[derive(Default)]
pub struct Options {
    pub policy: ResponsePolicy,
    pub faults: Faults,
    pub expected: ExpectedCdrs,
    pub until: Until,
    pub timeout: Option<Duration>,
    /// The handler of `--forward-to`.
    pub forward: Option<Forward>,
    /// The URL of a tunnel or of `--public-url`.
    pub public_url: Option<String>,
    /// The URL of the inspector, token included.
    pub inspect: Option<String>,
    /// Whether records show the sender's address according to a proxy's headers.
    pub trust_proxy: bool,
    pub limits: Limits,
    pub capture: Option<Capture>,
}

/// When a listener with an expected number of CDRs stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// When the number is reached.
    #[default]
    Reached,
    /// When `stop` resolves; the number must be exact then.
    Stopped,
}

/// Listens until the expected number of CDRs has come, the timeout is over, or `stop` resolves; then finishes the requests
/// in flight within the limits' grace.
///
/// `tell` must not block; false means that an event could not be shown, and is counted for exchanges.
pub async fn run(
    options: Options,
    listener: TcpListener,
    clock: Clock,
    stop: impl Future<Output: Into<Ending>>,
    tell: impl Fn(Event) -> bool + Send + Sync + 'static,
) -> Summary {
    let url = listener
        .local_addr()
        .map_or_else(|_| String::new(), |address| format!("http://{address}"));
    let recorder = Arc::new(Recorder::new(
        options.expected,
        options.trust_proxy,
        options.capture,
        clock,
        Box::new(tell),
    ));
    recorder.tell(Event::Listening(Listening {
        url,
        public_url: options.public_url,
        inspect: options.inspect,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
    }));

    let stopping = CancellationToken::new();
    let pipeline = Arc::new(Pipeline {
        recorder: Arc::clone(&recorder),
        policy: options.policy,
        faults: options.faults,
        forward: options.forward,
        stop: stopping.clone(),
        requests: AtomicU64::new(0),
        waiting: TaskTracker::new(),
    });
    let handle = {
        let pipeline = Arc::clone(&pipeline);
        move |incoming| Arc::clone(&pipeline).handle(incoming).boxed()
    };
    let connection_error = {
        let recorder = Arc::clone(&recorder);
        move |peer, error| recorder.connection_error(peer, &error)
    };
    let server = tokio::spawn(server::serve(
        listener,
        options.limits,
        clock,
        server::receiver(),
        Box::new(handle),
        Box::new(connection_error),
        stopping.clone(),
    ));

    let ending = tokio::select! {
        stop = stop => stop.into(),
        () = recorder.settled(), if options.until == Until::Reached => Ending::Counted,
        () = deadline(options.timeout) => Ending::TimedOut,
        never = recorder.report_held_back() => match never {},
    };
    stopping.cancel();
    // An error means that the server panicked, which leaves nothing to wait for.
    let _ = server.await;
    pipeline.idle().await;
    recorder.finish(ending)
}

/// Resolves after the timeout; never without one.
pub async fn deadline(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
