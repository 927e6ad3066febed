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
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::body::PartialBody;
use super::head::{Head, MessageReader};
use super::types::ConnectionError;

/// First byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Bytes that count as progress. With the stalling limit of two seconds: 1 KiB a second.
const PROGRESS: usize = 2 * 1024;

/// Time for the client to close after the last answer. Closing a socket with unread bytes resets it, and the reset may
/// overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Head,
    Body,
    Handling,
    Answering,
    Evicted,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub peer: SocketAddr,
    state: Mutex<State>,
    evict: Notify,
    /// Cancelled when the rest of the body is not waited for, because others need the slot.
    pub body_given_up: CancellationToken,
}

/// The part that changes, locked for a moment at a time.
#[derive(Debug)]
pub(super) struct State {
    pub phase: Phase,
    /// When the phase began, or last brought [`PROGRESS`] bytes.
    since: Instant,
    /// Bytes of this phase since then.
    bytes: usize,
    pub reader: MessageReader,
    /// Whether any byte has arrived.
    pub received: bool,
    /// Whether any request has arrived.
    pub requested: bool,
    /// Whether the connection ends with this answer, and the client may still be sending.
    pub last: bool,
    pub error: Option<ConnectionError>,
}

impl Connection {
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            evict: Notify::new(),
            body_given_up: CancellationToken::new(),
            state: Mutex::new(State {
                phase: Phase::Idle,
                since: Instant::now(),
                bytes: 0,
                reader: MessageReader::default(),
                received: false,
                requested: false,
                last: false,
                error: None,
            }),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every step, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, phase: Phase) {
        self.state().enter(phase);
    }

    /// hyper has parsed a head. Returns that head as it came.
    pub fn start_request(&self) -> Option<Head> {
        let mut state = self.state();
        state.enter(Phase::Body);
        state.requested = true;
        state.last |= state.reader.is_uncertain();
        state.reader.take_head()
    }

    /// The body has come as far as it will.
    pub fn end_body(&self) {
        let mut state = self.state();
        state.enter(Phase::Handling);
        state.reader.next_message();
    }

    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Idle).then_some(state.since)
    }

    /// Since when the client has made no progress with its request, or with reading the answer.
    pub fn stalled_since(&self) -> Option<Instant> {
        let state = self.state();
        let waits_for_client = match state.phase {
            Phase::Head | Phase::Answering => true,
            Phase::Body => !self.body_given_up.is_cancelled(),
            Phase::Idle | Phase::Handling | Phase::Evicted => false,
        };
        waits_for_client.then_some(state.since)
    }

    /// Closes the connection, or answers its unfinished request with 408, unless it has made progress after `since`.
    pub fn evict(&self, since: Instant) {
        let mut state = self.state();
        if state.since != since {
            return;
        }
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
        let cut = (!state.reader.head().is_empty()).then_some(ConnectionError::HeadCut);
        state.error.clone().or(cut).unwrap_or(otherwise)
    }

    /// Takes note of bytes that have arrived; returns how many of them may be read now.
    fn on_read(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        if !state.received && bytes.first() == Some(&TLS_HANDSHAKE) {
            state.error = Some(ConnectionError::LooksLikeTls);
            state.received = true;
            return Err(io::ErrorKind::InvalidData.into());
        }
        state.received |= !bytes.is_empty();
        let length = state.reader.advance(bytes);
        match state.phase {
            Phase::Idle if !state.reader.head().is_empty() => state.enter(Phase::Head),
            Phase::Head | Phase::Body => state.progress(length),
            Phase::Idle | Phase::Handling | Phase::Answering | Phase::Evicted => {}
        }
        Ok(length)
    }

    /// Everything written so far is with the kernel.
    fn on_flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answering {
            let begun = !state.reader.head().is_empty();
            // `since` stays: the client is idle since it took the last of the answer.
            state.phase = if begun { Phase::Head } else { Phase::Idle };
        }
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        self.bytes = 0;
    }

    fn progress(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= PROGRESS {
            self.since = Instant::now();
            self.bytes = 0;
        }
    }
}

/// The socket as hyper reads and writes it. Hands out one request at a time, so that the head of each is known exactly.
pub(super) struct TrackedStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Bytes of later requests, and of the rest of this one.
    unread: Bytes,
    write_timeout: Duration,
    /// When a blocked write is given up.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl TrackedStream {
    pub fn new(stream: TcpStream, connection: Arc<Connection>, write_timeout: Duration) -> Self {
        Self {
            stream,
            connection,
            unread: Bytes::new(),
            write_timeout,
            write_deadline: None,
        }
    }

    /// Discards input until the client closes.
    pub async fn discard(mut self) {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(1..) = self.stream.read(&mut bytes).await {}
    }

    /// Closes with a TCP reset.
    pub fn reset(self) {
        // Failing to set the option leaves an ordinary close, the next best thing.
        let _ = self.stream.set_zero_linger();
    }

    /// Lingering close: closes our side, then reads on for a while into `rest`.
    pub async fn linger(mut self, rest: &mut PartialBody) {
        rest.push(std::mem::take(&mut self.unread), 0);
        let mut bytes = vec![0; 16 * 1024];
        let reading = async {
            let _ = self.stream.shutdown().await;
            while let Ok(length @ 1..) = self.stream.read(&mut bytes).await {
                rest.push(&bytes[..length], 0);
            }
        };
        let _ = timeout(LINGER, reading).await;
    }

    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        offered: usize,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.connection.state();
        let error = match written {
            Poll::Ready(Ok(length)) => {
                // What the kernel takes at once is no progress of the client.
                if self.write_deadline.is_some() && state.phase == Phase::Answering {
                    state.progress(length);
                }
                return Poll::Ready(Ok(length));
            }
            Poll::Ready(Err(error)) => error,
            Poll::Pending => {
                let deadline = self
                    .write_deadline
                    .get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
                ready!(deadline.as_mut().poll(context));
                io::ErrorKind::TimedOut.into()
            }
        };
        // Only a `100 Continue` is written in these phases. hyper drops the request on a write error, so a failed one is
        // reported as written; reading the body or writing the answer fails later.
        if matches!(state.phase, Phase::Body | Phase::Handling) {
            return Poll::Ready(Ok(offered));
        }
        if error.kind() == io::ErrorKind::TimedOut {
            state.error = Some(ConnectionError::NotRead);
        }
        Poll::Ready(Err(error))
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(context, written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.after_write(context, written, offered)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
