//! `listen`: receives CDRs on a port, answers and records them.
//!
//! ```text
//! server ─> IncomingRequest ─> Pipeline: respond, fault, forward ─> recorder: number, relate, retries, capture ─> Event ─> output
//!    ^                                                                 │                                          └─> history ─> inspector
//!    └────────────────────────────── Reply ────────────────────────────┘
//! ```
//!
//! A [`tunnel`] gives the port a public URL, [`redact`] masks what is saved.

pub(crate) mod capture;
pub mod event;
pub mod fault;
pub mod forward;
pub(crate) mod history;
pub(crate) mod inspector;
pub(crate) mod recorder;
pub mod redact;
pub mod relate;
pub mod respond;
pub mod retries;
pub mod server;
pub mod tunnel;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cdr::{self, Fields};
use crate::clock::Clock;
use crate::error::Exit;
use crate::parse;
use capture::Capture;
use event::{Ending, Event, Listening, Summary};
use fault::Faults;
use forward::Forward;
use recorder::Recorder;
use respond::{ResponsePolicy, is_probe};
use server::{IncomingRequest, Limits, Reply, Server};

#[derive(Default)]
pub struct Options {
    /// The inspector changes the policy while the listener runs.
    pub policy: watch::Sender<ResponsePolicy>,
    pub faults: Faults,
    pub expected: ExpectedCdrs,
    pub until_stopped: bool,
    pub timeout: Option<Duration>,
    pub forward: Option<Forward>,
    pub forward_probes: bool,
    pub public_url: Option<String>,
    pub inspect: Option<String>,
    pub trust_proxy: bool,
    pub limits: Limits,
    pub capture: Option<Capture>,
}

/// Listens until the expected number of CDRs has been counted, the timeout is over, or `stop` resolves; then finishes
/// the requests in flight within `Limits::grace`.
///
/// `tell` must not block. If `tell` returns false for an exchange, the exchange could not be shown and is counted as
/// dropped.
pub async fn run(
    mut options: Options,
    listener: TcpListener,
    clock: Clock,
    stop: impl Future<Output: Into<Ending>>,
    tell: impl Fn(Event) -> bool + Send + Sync + 'static,
) -> Summary {
    let address = listener.local_addr();
    let url = address.map_or_else(|_| String::new(), |address| format!("http://{address}"));
    tell(Event::Listening(Listening {
        url,
        public_url: options.public_url.take(),
        inspect: options.inspect.take(),
        at: clock.now(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
    }));
    let pipeline = Arc::new(Pipeline::new(Recorder::new(options, clock, Box::new(tell))));
    let recorder = &pipeline.recorder;
    let (handler, errors) = (Arc::clone(&pipeline), Arc::clone(&pipeline));
    let server = Server {
        limits: recorder.options.limits.clone(),
        clock,
        routes: None,
        handler: Box::new(move |incoming| handler.handle(incoming)),
        on_error: Box::new(move |peer, error| errors.recorder.connection_error(peer, &error)),
        stop: pipeline.stop.clone(),
        is_full: AtomicBool::new(false),
    };
    let server = tokio::spawn(server.serve(listener));

    let timeout = recorder.options.timeout.unwrap_or(Duration::MAX);
    let ending = tokio::select! {
        stop = stop => stop.into(),
        () = recorder.settled(), if !recorder.options.until_stopped => Ending::Counted,
        () = tokio::time::sleep(timeout) => Ending::TimedOut,
        never = recorder.report_errors() => match never {},
    };
    pipeline.stop.cancel();
    // A join error means that the server's task panicked.
    let _ = server.await;
    pipeline.tasks.close();
    pipeline.tasks.wait().await;
    recorder.finish(ending)
}

/// Handles requests: delay, judgement, forwarding or fault, record, reply.
struct Pipeline {
    recorder: Recorder,
    stop: CancellationToken,
    requests: AtomicU64,
    tasks: TaskTracker,
    /// Requests wait here, in order, for their turn to be recorded.
    turn: tokio::sync::Mutex<()>,
}

impl Pipeline {
    fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            stop: CancellationToken::new(),
            requests: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Each request is handled in its own task: hyper drops the future of a request whose connection breaks, which
    /// would lose the record.
    fn handle(self: &Arc<Self>, incoming: IncomingRequest) -> BoxFuture<'static, Reply> {
        let n = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let task = self.tasks.spawn(Arc::clone(self).reply(incoming, n));
        let resume = |error: JoinError| std::panic::resume_unwind(error.into_panic());
        async move { task.await.unwrap_or_else(resume) }.boxed()
    }

    async fn reply(self: Arc<Self>, incoming: IncomingRequest, n: u64) -> Reply {
        let began = self.recorder.clock.elapsed();
        let options = &self.recorder.options;
        let policy = options.policy.borrow().clone();
        let faults = &options.faults;
        let delay = policy.delay.of(n, policy.seed);
        // A `tokio::time::sleep` of zero takes up to one tick of the timer, 1 ms.
        if !delay.is_zero() && !incoming.is_answered() {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.stop.cancelled() => {}
            }
        }
        let is_complete = incoming.error.is_none();
        let fault = faults.for_request(n, policy.seed);
        let fault = fault.filter(|_| is_complete);
        let forwards = is_complete
            && fault.is_none()
            && Forward::accepts(&incoming.request)
            && (options.forward_probes || !is_probe(&incoming.request));
        // The judgement for the record is made after forwarding: the parsed CDR fields, which take many times the
        // memory of the body, are not held while the handler answers.
        let is_refused = || policy.strict && policy.decide(&incoming).refused;
        let passed = match &options.forward {
            Some(forward) if forwards && !is_refused() => {
                // Boxed: the future is large, and a task's future is moved several times.
                Some(Box::pin(forward.send(&incoming.request, &self.stop)).await)
            }
            _ => None,
        };
        let mut decision = policy.decide(&incoming);
        let forwarded = passed.map(|(response, mut forwarded)| {
            forwarded.instead_of = Some(decision.response.status);
            decision.response = response;
            forwarded
        });
        let took = self.recorder.clock.elapsed().saturating_sub(began);
        // A wait for the recorder's own lock blocks a worker thread.
        let _turn = self.turn.lock().await;
        self.recorder
            .record(incoming, decision, fault, forwarded, took)
    }
}

// Flags that say how many CDRs with which fields are expected. With `--settle` above zero, `listen` waits that long for a
// surplus CDR, and the number of CDRs must be exact. clap would take a doc comment of the struct for the description of
// `listen`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct ExpectedCdrs {
    /// Stop after this many CDRs, failed ones too; with -- CMD, require exactly this many
    #[arg(short = 'n', long, value_name = "N", value_parser = parse::count)]
    pub count: Option<u64>,
    /// Count only CDRs in which a field has this value: leg=a; repeatable: all must match
    #[arg(id = "expect", long = "expect", value_name = "FIELD=VALUE")]
    pub fields: Vec<ExpectedField>,
    /// Keep listening this long, such as 1s, at the end; a CDR beyond --count fails the run
    #[arg(long, value_name = "D", default_value = "0", hide_default_value = true, value_parser = parse::duration)]
    pub settle: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedField {
    pub field: String,
    /// The expected value of a CDR field: a string without its quotes, any other type as JSON.
    pub value: String,
}

impl FromStr for ExpectedField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(field, _)| !field.is_empty());
        let (field, value) = parts.ok_or("expected FIELD=VALUE, like leg=a")?;
        Ok(Self {
            field: field.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl ExpectedCdrs {
    fn mismatch(&self, cdr: &Fields) -> Option<String> {
        let mismatch = |ExpectedField { field, value }: &_| match cdr.get(field) {
            None => Some(format!("{field} is missing, not {value}")),
            Some(found) if is(found, value) => None,
            Some(found) => Some(format!("{field} is {}, not {value}", cdr::text(found))),
        };
        self.fields.iter().find_map(mismatch)
    }

    /// Without `--count`, one CDR is enough if there is an `--expect`, and no CDR is needed otherwise.
    pub(crate) fn is_reached(&self, counted: u64) -> bool {
        counted >= self.count.unwrap_or(u64::from(!self.fields.is_empty()))
    }

    fn judge(&self, counted: u64, exact: bool) -> Exit {
        let too_many =
            self.count.is_some_and(|count| counted > count) && (exact || !self.settle.is_zero());
        if self.is_reached(counted) && !too_many {
            Exit::Success
        } else {
            Exit::Failed
        }
    }
}

/// A CDR field matches an expected value as text, or as equal JSON in another notation.
fn is(found: &Value, value: &str) -> bool {
    cdr::text(found) == value
        || !found.is_string()
            && serde_json::from_str::<Value>(value).is_ok_and(|value| value == *found)
}

#[cfg(test)]
mod tests;
