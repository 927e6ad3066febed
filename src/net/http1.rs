//! A client connection over hyper's HTTP/1.1 that tracks the phase of its request and limits the response.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::destination::Destination;
use super::failure::{explain, peer_closed, redirects, timed_out, unless_redirect};
use super::{Failure, FailureKind, Header, Phase, Response};

pub(super) type Outgoing = Request<Full<Bytes>>;

/// The delay before the first reuse of a connection: a peer that closes after each response without `Connection: close`
/// has closed by then.
const FIRST_REUSE_DELAY: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub body: usize,
    pub redirects: bool,
}

pub(super) enum Error {
    /// The error of a request of which no byte was written, so that the request can be sent on another connection.
    NotSent(Box<Outgoing>),
    TimedOut(Phase),
    Failed(Failure),
}

impl Error {
    /// Converts the error of a request that is not sent again to a `Failure`. A request of which no byte was written
    /// fails in `phase`.
    pub fn into_failure(self, phase: Phase, limit: Duration, destination: &Destination) -> Failure {
        match self {
            Self::NotSent(_) => peer_closed(phase, "closed"),
            Self::TimedOut(phase) => timed_out(phase, limit, destination),
            Self::Failed(failure) => failure,
        }
    }
}

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    progress: Arc<Progress>,
    /// The time limit of each request. A timer that is moved to a later time takes less than a new timer.
    timer: Pin<Box<Sleep>>,
    pub responses: u32,
    idle_since: Instant,
}

impl Connection {
    /// Opens an HTTP/1.1 connection over a stream. hyper's connection task is spawned, so a tokio runtime is needed.
    pub async fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        destination: &Destination,
    ) -> Result<Self, Failure> {
        let progress = Arc::new(Progress::default());
        let stream = Watched {
            stream,
            progress: Arc::clone(&progress),
        };
        let (sender, connection) = Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| explain(&error, Phase::Connect, destination))?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            progress,
            timer: Box::pin(sleep_until(Instant::now())),
            responses: 0,
            idle_since: Instant::now(),
        })
    }

    pub async fn is_open(&mut self) -> bool {
        if self.sender.ready().await.is_err() {
            return false;
        }
        if self.responses == 1 {
            sleep_until(self.idle_since + FIRST_REUSE_DELAY).await;
            // Yielding lets the runtime poll its sockets, so that hyper notices a close that has arrived.
            tokio::task::yield_now().await;
        }
        !self.sender.is_closed()
    }

    /// The request goes to hyper before the returned future is polled, so that the future does not hold it.
    pub fn send(
        &mut self,
        request: Outgoing,
        destination: &Destination,
        limits: Limits,
        deadline: Instant,
    ) -> impl Future<Output = Result<Response, Error>> {
        self.progress.reach(Phase::Send);
        // The boxed future is 8 bytes in each of the three futures that hold it in turn.
        let sent = Box::pin(self.sender.try_send_request(request));
        self.timer.as_mut().reset(deadline);
        async move {
            let progress = &self.progress;
            let failed = |error| Error::Failed(progress.explain(&error, destination));
            let exchange = async {
                let incoming = sent.await.map_err(|mut error| match error.take_message() {
                    Some(request) => Error::NotSent(Box::new(request)),
                    None => failed(error.into_error()),
                })?;
                progress.reach(Phase::Read);
                let response = read(incoming, limits).await.map_err(failed)?;
                if limits.redirects {
                    return Ok(response);
                }
                unless_redirect(response).map_err(Error::Failed)
            };
            let response = tokio::select! {
                biased;
                response = exchange => response?,
                () = &mut self.timer => return Err(Error::TimedOut(progress.phase())),
            };
            self.responses += 1;
            self.idle_since = Instant::now();
            Ok(response)
        }
    }
}

fn headers_of(map: &HeaderMap) -> Vec<Header> {
    map.iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned().into(),
            value: Bytes::copy_from_slice(value.as_bytes()),
        })
        .collect()
}

pub(super) async fn read<B: Body<Data = Bytes> + Unpin>(
    incoming: hyper::Response<B>,
    limits: Limits,
) -> Result<Response, B::Error> {
    let (head, mut body) = incoming.into_parts();
    let (status, headers) = (head.status.as_u16(), headers_of(&head.headers));
    let mut response = Response::new(status, headers, "");
    if !limits.redirects && redirects(&response) {
        response.complete = false;
        return Ok(response);
    }
    let limit = limits.body;
    let announced = body.size_hint().exact();
    let length = announced.and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(limit));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        bytes.extend_from_slice(&data[..data.len().min(limit - bytes.len())]);
        if bytes.len() == limit {
            // Reading beyond the limit may block, so only the announced length tells whether the body is complete.
            response.complete = announced == Some(limit as u64);
            break;
        }
    }
    response.size = bytes.len() as u64;
    response.body = bytes.into();
    Ok(response)
}

/// The progress of a request, stored in atomics because hyper's connection task shares it.
#[derive(Default)]
struct Progress {
    phase: AtomicU8,
    /// The first byte of the response, or 0.
    first_byte: AtomicU8,
    has_written: AtomicBool,
}

impl Progress {
    fn phase(&self) -> Phase {
        let stored = self.phase.load(Ordering::Relaxed);
        let mut phases = [Phase::Wait, Phase::Read].into_iter();
        phases
            .find(|phase| *phase as u8 == stored)
            .unwrap_or(Phase::Send)
    }

    fn reach(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn explain(&self, error: &hyper::Error, destination: &Destination) -> Failure {
        let mut failure = explain(error, self.phase(), destination);
        // A TLS server replies to plain HTTP with an alert or handshake record, recognised by its content type (RFC
        // 8446, section 5.1).
        let first_byte = self.first_byte.load(Ordering::Relaxed);
        if failure.kind == FailureKind::NotHttp && matches!(first_byte, 0x15 | 0x16) {
            failure.text = format!("{} uses TLS: try https://", destination.place());
        }
        failure
    }
}

/// A stream that tracks the phase of a request: hyper's flush of the complete request begins `Phase::Wait`, and the
/// first byte of a final response ends that phase. The stream has no vectored writes, so hyper copies head and body into
/// one buffer: one `send` of a small request takes the kernel less time than a `writev` of two pieces.
struct Watched<S> {
    stream: S,
    progress: Arc<Progress>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper cancels the first request if it reads a peer's banner or early response before the request is written.
        if !self.progress.has_written.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(context, buffer)) {
            Ok(()) => {}
            // rustls reports a missing `close_notify` as `UnexpectedEof`; hyper still detects a truncated body.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        // Empty lines before the status line do not begin a response; RFC 9112, section 2.2, has the same rule for
        // requests.
        let read = &buffer.filled()[before..];
        if let Some(first) = read.iter().find(|byte| !b"\r\n".contains(byte)) {
            if !read.starts_with(b"HTTP/1.1 1") {
                self.progress.reach(Phase::Read);
            }
            let seen = &self.progress.first_byte;
            let _ = seen.compare_exchange(0, *first, Ordering::Relaxed, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.progress.has_written.swap(true, Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.progress.phase() == Phase::Send {
            self.progress.reach(Phase::Wait);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
