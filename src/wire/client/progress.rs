//! How far a request has got, seen from inside reqwest, which does not tell.
//!
//! The task that carries a request holds a [`Progress`]. The parts that reqwest lets us replace (the look-up, a layer
//! around the connector, TLS's memory of earlier sessions, the body) find it there and note what they see.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use super::super::Phase;

tokio::task_local! {
    /// The progress of the request that this task carries.
    static CURRENT: Progress;
}

/// The phases, at the place of their number.
const PHASES: [Phase; 6] = [
    Phase::Dns,
    Phase::Connect,
    Phase::Tls,
    Phase::Send,
    Phase::Wait,
    Phase::Read,
];

/// The phase one request is in, and whether it has a connection of its own.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<State>);

/// What the request's task and the connection's task both write to.
#[derive(Debug)]
struct State {
    /// The number of the phase reached last.
    phase: AtomicU8,
    /// Whether a connection was opened for this request.
    connected: AtomicBool,
    /// The phase that follows connecting: there is nothing to send beyond the head if there is no body.
    once_connected: Phase,
}

impl Progress {
    /// The beginning of a request with or without a body.
    pub(super) fn new(has_body: bool) -> Self {
        let once_connected = if has_body { Phase::Send } else { Phase::Wait };
        Self(Arc::new(State {
            // A request on a kept connection never hears from the connector.
            phase: AtomicU8::new(once_connected as u8),
            connected: AtomicBool::new(false),
            once_connected,
        }))
    }

    /// Runs a future whose parts note their progress here.
    pub(super) async fn follow<F: Future>(&self, future: F) -> F::Output {
        CURRENT.scope(self.clone(), future).await
    }

    /// The phase reached last.
    pub(super) fn phase(&self) -> Phase {
        PHASES[usize::from(self.0.phase.load(Ordering::Relaxed))]
    }

    /// Notes a phase.
    pub(super) fn reach(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Whether the request went out on a connection that an earlier one had opened.
    pub(super) fn reuses_connection(&self) -> bool {
        !self.0.connected.load(Ordering::Relaxed)
    }
}

/// Notes a phase of the request that this task carries. Elsewhere, nothing happens.
pub(super) fn reached(phase: Phase) {
    let _ = CURRENT.try_with(|progress| progress.reach(phase));
}

/// Notes when the connector begins and when it has succeeded: the function of a layer around it.
pub(super) async fn connecting<F, T, E>(attempt: F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let _ = CURRENT.try_with(|progress| {
        progress.0.connected.store(true, Ordering::Relaxed);
        progress.reach(Phase::Connect);
    });
    let outcome = attempt.await;
    if outcome.is_ok() {
        let _ = CURRENT.try_with(|progress| progress.reach(progress.0.once_connected));
    }
    outcome
}

/// A request body that notes when it has been handed over.
///
/// It comes in pieces, so that a peer who stops reading a large one is found in the sending phase.
pub(super) struct NotedBody {
    /// What has not been handed over yet.
    rest: Bytes,
    /// Where the end is noted.
    progress: Progress,
}

impl NotedBody {
    /// Small against what the HTTP client buffers, large against the cost of a piece.
    const PIECE: usize = 16 * 1024;

    /// The body of the request whose progress is given.
    pub(super) fn new(body: Bytes, progress: Progress) -> Self {
        Self {
            rest: body,
            progress,
        }
    }
}

impl Body for NotedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.rest.len().min(Self::PIECE);
        let piece = self.rest.split_to(piece);
        if self.rest.is_empty() {
            self.progress.reach(Phase::Wait);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// TLS's memory of earlier sessions, which remembers nothing: it is asked when a handshake begins, and notes that.
///
/// Every connection then makes a whole handshake, which is also what an instrument should measure.
#[derive(Debug)]
pub(super) struct HandshakeWitness;

impl ClientSessionStore for HandshakeWitness {
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        reached(Phase::Tls);
        None
    }

    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}
