//! One connection: its state, and the stream that keeps the state up to date, since hyper reports no progress.
//!
//! ```text
//! Idle ── first byte ──> Head ── head complete ──> Body ── body read, or given up ──> Handling
//!  ^                                                                                     │
//!  └──────────────── answer flushed ───────────── Answering <── answer decided ──────────┘
//!
//! Idle, Head, Answering ── evicted ──> Evicted ── a request arrived in the same moment ──> Body
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

use super::message::{Framing, MessageReader, PartialBody, read_head};
use super::{ConnectionError, Reply, Shared};
use crate::net::Request;

/// First byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Bytes that count as progress. With the stalling limit of two seconds: 1 KiB a second.
const PROGRESS: usize = 2 * 1024;

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
    pub shared: Arc<Shared>,
    state: Mutex<State>,
    evict: Notify,
    /// Cancelled when the rest of the body is not waited for, because others need the slot.
    pub body_given_up: CancellationToken,
}

/// The part that changes, locked for a moment at a time.
pub(super) struct State {
    pub phase: Phase,
    /// When the phase began, or last brought [`PROGRESS`] bytes.
    since: Instant,
    /// Bytes of this phase since then.
    bytes: usize,
    pub reader: MessageReader,
    /// Whether any request has arrived.
    pub requested: bool,
    /// The head of a request that the handler has not been given.
    pub request: Option<Request>,
    /// Whether the connection ends with this answer, and the client may still be sending.
    pub last: bool,
    /// A reply that is not HTTP, and ends the connection.
    pub non_http: Option<Reply>,
    pub error: Option<ConnectionError>,
}

impl Connection {
    pub fn new(peer: SocketAddr, shared: Arc<Shared>) -> Self {
        Self {
            peer,
            shared,
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
        // The state is consistent after every step, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn report(&self, error: ConnectionError) {
        (self.shared.on_error)(Some(self.peer), error);
    }

    /// hyper has parsed a head.
    pub fn start_request(&self) {
        let mut state = self.state();
        state.enter(Phase::Body);
        state.requested = true;
        state.last |= state.reader.body == Some(Framing::Unknown);
        state.request = read_head(&std::mem::take(&mut state.reader.head).into());
    }

    /// The body has come as far as it will.
    pub fn end_body(&self) {
        let mut state = self.state();
        state.enter(Phase::Handling);
        state.reader.body = None;
    }

    /// Since when the client has been idle, or has made no progress with its request or with reading the answer: (false,
    /// idle since) or (true, stalled since).
    pub fn waits_for_client(&self) -> Option<(bool, Instant)> {
        let state = self.state();
        let waits = match state.phase {
            Phase::Idle | Phase::Head | Phase::Answering => true,
            Phase::Body => !self.body_given_up.is_cancelled(),
            Phase::Handling | Phase::Evicted => false,
        };
        waits.then_some((state.phase != Phase::Idle, state.since))
    }

    /// Closes the connection, or has its unfinished request answered with 408.
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

    /// Resolves when the connection has been evicted, and no request has arrived in that moment.
    pub async fn evicted(&self) {
        while self.state().phase != Phase::Evicted {
            self.evict.notified().await;
        }
    }

    /// The error to report for a connection closed by the server.
    pub fn closing_error(&self, otherwise: ConnectionError) -> ConnectionError {
        let state = self.state();
        let cut = (!state.reader.head.is_empty()).then_some(ConnectionError::HeadCut);
        state.error.clone().or(cut).unwrap_or(otherwise)
    }

    /// Takes note of bytes that have arrived; returns how many of them may be read now.
    fn on_read(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        let is_first = !state.requested && state.reader.head.is_empty();
        if is_first && bytes.first() == Some(&TLS_HANDSHAKE) {
            state.error = Some(ConnectionError::LooksLikeTls);
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = state.reader.advance(bytes);
        match state.phase {
            Phase::Idle if !state.reader.head.is_empty() => state.enter(Phase::Head),
            Phase::Head | Phase::Body => state.progress(length),
            Phase::Idle | Phase::Handling | Phase::Answering | Phase::Evicted => {}
        }
        Ok(length)
    }

    /// Everything written so far is with the kernel.
    fn on_flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answering {
            let begun = !state.reader.head.is_empty();
            // `since` stays: the client is idle since it took the last of the answer.
            state.phase = if begun { Phase::Head } else { Phase::Idle };
        }
    }
}

impl State {
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        self.bytes = 0;
    }

    fn progress(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= PROGRESS {
            self.enter(self.phase);
        }
    }
}

/// The socket as hyper reads and writes it. Hands out one request at a time, so that the head of each is known exactly.
pub(super) struct TrackedStream {
    pub stream: TcpStream,
    pub connection: Arc<Connection>,
    /// Bytes of later requests, and of the rest of this one.
    pub unread: Bytes,
    /// When a blocked write is given up.
    pub write_deadline: Option<Pin<Box<Sleep>>>,
}

impl TrackedStream {
    /// Reads until the client closes, past hyper.
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
                // What the kernel takes at once is no progress of the client.
                if this.write_deadline.is_some() && state.phase == Phase::Answering {
                    state.progress(length);
                }
                return Poll::Ready(Ok(length));
            }
            Poll::Ready(Err(error)) => error,
            Poll::Pending => {
                let timeout = this.connection.shared.limits.write_timeout;
                let deadline = this
                    .write_deadline
                    .get_or_insert_with(|| Box::pin(sleep(timeout)));
                ready!(deadline.as_mut().poll(context));
                io::ErrorKind::TimedOut.into()
            }
        };
        // Only a `100 Continue` is written in these phases. hyper drops the request on a write error, so a failed one is
        // reported as written; reading the body or writing the answer fails later.
        if matches!(state.phase, Phase::Body | Phase::Handling) {
            return Poll::Ready(Ok(bytes.len()));
        }
        if error.kind() == io::ErrorKind::TimedOut {
            state.error = Some(ConnectionError::NotRead);
        }
        Poll::Ready(Err(error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has nothing more to write, not after every piece.
        self.write_deadline = None;
        self.connection.on_flushed();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
