//! State machine of a connection, updated by the stream that hyper reads and writes, since hyper reports no progress.
//!
//! ```text
//! Idle ── first byte ──> Head ── head complete ──> Body ── body read, or given up ──> Handling
//!  ^                                                                                     │
//!  └──────────────── answer flushed ───────────── Answering <── answer decided ──────────┘
//!
//! Idle, Head, Answering ── evicted ──> Evicted ── a request arrived in the same moment ──> Body
//! Idle ── evicted ──> Evicted ── the first byte arrived in the same moment ──> Head
//! ```

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::message::{Framing, MessageReader, PartialBody};
use super::{ConnectionError, Reply, Server};
use crate::net::Request;

/// The first byte of a TLS connection is the type of a handshake record (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A client with at least this many bytes a second is not evicted: a body of 1 MiB comes to its end within the default
/// `Limits::body_timeout`.
const PROGRESS: u128 = 70 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Head,
    Body,
    Handling,
    Answering,
    Evicted,
}

pub(super) struct Connection {
    pub peer: SocketAddr,
    pub server: Arc<Server>,
    state: Mutex<State>,
    evict: Notify,
    /// The token is cancelled if the connection is evicted while a body arrives; the request is then answered with 408.
    pub body_given_up: CancellationToken,
}

pub(super) struct State {
    pub phase: Phase,
    /// The start of the connection's phase.
    since: Instant,
    /// The bytes read or written in the connection's phase.
    bytes: usize,
    pub reader: MessageReader,
    pub requested: bool,
    pub request: Option<Request>,
    /// After its last answer the connection closes with a lingering close, because the client may still be sending.
    pub last: bool,
    /// A reply with a fault other than a status, which hyper cannot write. The connection closes after such a reply.
    pub non_http: Option<Reply>,
    pub error: Option<ConnectionError>,
}

impl Connection {
    pub fn new(peer: SocketAddr, server: Arc<Server>) -> Self {
        Self {
            peer,
            server,
            evict: Notify::new(),
            body_given_up: CancellationToken::new(),
            state: Mutex::new(State {
                phase: Phase::Idle,
                since: Instant::now(),
                bytes: 0,
                reader: MessageReader::default(),
                requested: false,
                request: None,
                last: false,
                non_http: None,
                error: None,
            }),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        // Poisoning is ignored: a panic cannot leave the connection's state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn report(&self, error: ConnectionError) {
        (self.server.on_error)(Some(self.peer), error);
    }

    pub fn start_request(&self) {
        let mut state = self.state();
        state.enter(Phase::Body);
        state.requested = true;
        state.last |= state.reader.body == Some(Framing::Unknown);
        state.reader.head.clear();
        state.request = state.reader.request.take();
    }

    pub fn end_body(&self) {
        let mut state = self.state();
        state.enter(Phase::Handling);
        state.reader.body = None;
    }

    /// Returns whether a request or an answer is unfinished, the bytes a second since the start of the connection's
    /// phase, and that start; `None` if the server is not waiting for the client, or the client makes progress.
    pub fn waits_for_client(&self) -> Option<(bool, u128, Instant)> {
        let state = self.state();
        let waits = match state.phase {
            Phase::Idle | Phase::Head | Phase::Answering => true,
            Phase::Body => !self.body_given_up.is_cancelled(),
            Phase::Handling | Phase::Evicted => false,
        };
        let rate = state.bytes as u128 * 1000 / state.since.elapsed().as_millis().max(1);
        (waits && rate < PROGRESS).then_some((state.phase != Phase::Idle, rate, state.since))
    }

    /// Closes the connection; a request with an unfinished body is answered with 408 first.
    pub fn evict(&self) {
        let mut state = self.state();
        match state.phase {
            Phase::Body => return self.body_given_up.cancel(),
            Phase::Handling | Phase::Evicted => return,
            Phase::Idle => {}
            Phase::Head => state.error = Some(ConnectionError::HeadTimeout),
            Phase::Answering => state.error = Some(ConnectionError::NotRead),
        }
        state.phase = Phase::Evicted;
        self.evict.notify_one();
    }

    /// Resolves when the connection is evicted, unless a request arrives at the same time.
    pub async fn evicted(&self) {
        while self.state().phase != Phase::Evicted {
            self.evict.notified().await;
        }
    }

    /// Reports the error of a connection that the server closes, unless the connection is idle.
    pub fn report_closing(&self) {
        let error = {
            let state = self.state();
            let cut = (!state.reader.head.is_empty()).then_some(ConnectionError::HeadCut);
            state.error.clone().or(cut)
        };
        if let Some(error) = error {
            self.report(error);
        }
    }

    fn on_read(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        let is_first = !state.requested && state.reader.head.is_empty();
        if is_first && bytes.first() == Some(&TLS_HANDSHAKE) {
            state.error = Some(ConnectionError::LooksLikeTls);
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = state.reader.advance(bytes);
        // An idle connection is evicted without an error. Bytes that arrived before its eviction keep the connection.
        let is_idle = match state.phase {
            Phase::Evicted => state.error.is_none(),
            phase => phase == Phase::Idle,
        };
        match state.phase {
            _ if is_idle && !state.reader.head.is_empty() => state.enter(Phase::Head),
            Phase::Head | Phase::Body => state.bytes += length,
            Phase::Idle | Phase::Handling | Phase::Answering | Phase::Evicted => {}
        }
        Ok(length)
    }

    /// `TrackedStream` calls `on_flushed` when the kernel has taken the whole answer.
    fn on_flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answering {
            let begun = !state.reader.head.is_empty();
            state.enter(if begun { Phase::Head } else { Phase::Idle });
        }
    }
}

impl State {
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        self.bytes = 0;
    }
}

/// `TrackedStream` is the socket for hyper. A read never goes beyond the end of a head or a body, so that each head is
/// captured exactly.
pub(super) struct TrackedStream {
    pub stream: TcpStream,
    pub connection: Arc<Connection>,
    pub unread: Bytes,
    pub write_deadline: Option<Pin<Box<Sleep>>>,
}

impl TrackedStream {
    pub async fn read_rest(&mut self, rest: &mut PartialBody) {
        rest.push(std::mem::take(&mut self.unread), 0);
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = self.stream.read(&mut bytes).await {
            rest.push(&bytes[..length], 0);
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.unread.is_empty() {
            let before = into.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
            let read = &into.filled()[before..];
            let length = this.connection.on_read(read)?;
            this.unread = Bytes::copy_from_slice(&read[length..]);
            into.set_filled(before + length);
        } else {
            let offered = this.unread.len().min(into.remaining());
            let length = this.connection.on_read(&this.unread[..offered])?;
            into.put_slice(&this.unread.split_to(length));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        let mut state = this.connection.state();
        let error = match written {
            Poll::Ready(Ok(length)) => {
                // Before the first blocked write, the kernel's send buffer takes bytes without any progress of the
                // client.
                if this.write_deadline.take().is_some() && state.phase == Phase::Answering {
                    state.bytes += length;
                }
                return Poll::Ready(Ok(length));
            }
            Poll::Ready(Err(error)) => error,
            Poll::Pending => {
                let timeout = this.connection.server.limits.write_timeout;
                let deadline = this
                    .write_deadline
                    .get_or_insert_with(|| Box::pin(sleep(timeout)));
                ready!(deadline.as_mut().poll(context));
                io::ErrorKind::TimedOut.into()
            }
        };
        // While a body is read or a request is handled, hyper writes nothing but `100 Continue`. hyper would drop the
        // request on a write error, so the error is hidden; reading the body or writing the answer fails later.
        if matches!(state.phase, Phase::Body | Phase::Handling) {
            return Poll::Ready(Ok(bytes.len()));
        }
        if error.kind() == io::ErrorKind::TimedOut {
            state.error = Some(ConnectionError::NotRead);
        }
        Poll::Ready(Err(error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when its write buffer is empty, not after every write.
        self.connection.on_flushed();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
