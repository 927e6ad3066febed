//! Sends HTTP/1.1 requests that HTTP clients refuse to send: incomplete, malformed, byte by byte, or with a reset.
//!
//! A `RawRequest` is a list of `Step`s for one connection. No proxy is used.

mod script;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, join, sink, split};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::either::Either;

use super::client::{ClientOptions, LIMITS, race};
use super::connect::{Connector, Stream};
use super::failure::timed_out;
use super::http1::{Connection, Limits, Outgoing};
use super::{Destination, Failure, FailureKind, Phase, Response};
use crate::error::Error;

pub(crate) use script::{Script, check, is_chunked};

/// Limit of a forwarded response's body in bytes, which is held in memory.
pub const MAX_FORWARDED_BODY: usize = 64 * 1024 * 1024;

/// Delay before a reset, so that the peer has begun to read the request.
const DELAY_BEFORE_RESET: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The step writes all bytes at once.
    Send(Bytes),
    /// The step writes one byte at a time, with the delay `every` between bytes.
    Drip { bytes: Bytes, every: Duration },
    /// The step waits for `100 Continue`, up to this duration, then continues without it (RFC 9110, section 10.1.1).
    AwaitContinue(Duration),
    /// The step shuts down the writing side of the connection. The response is still read.
    HalfClose,
    /// The step resets the connection after [`DELAY_BEFORE_RESET`], and must be the last step.
    Reset,
}

/// A request as a list of steps. After the last step the connection stays open until the response or the timeout. A
/// response ends the steps early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawRequest {
    pub(crate) steps: Vec<Step>,
    /// The request's method decides where the response ends: a response to `HEAD` has no body.
    method: Method,
    limits: Limits,
}

impl RawRequest {
    fn new(method: &str, steps: impl Into<Vec<Step>>) -> Self {
        Self {
            steps: steps.into(),
            method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
            limits: LIMITS,
        }
    }

    /// Makes a request with which hyper parses the response. The bytes that hyper writes for this request are
    /// discarded.
    fn unsent(&self) -> Outgoing {
        let mut request = Outgoing::default();
        *request.method_mut() = self.method.clone();
        request
    }

    /// Runs the steps of a request up to the first write error. `is_sending` is true during a [`Step::Send`], in which
    /// a timeout counts as [`Phase::Send`].
    async fn write(
        &self,
        mut stream: impl AsyncWrite + Unpin,
        continued: &Notify,
        is_sending: &AtomicBool,
    ) -> io::Result<()> {
        for step in &self.steps {
            is_sending.store(matches!(step, Step::Send(_)), Ordering::Relaxed);
            match step {
                Step::Send(bytes) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await?;
                }
                Step::Drip { bytes, every } => {
                    for byte in bytes.chunks(1) {
                        stream.write_all(byte).await?;
                        stream.flush().await?;
                        sleep(*every).await;
                    }
                }
                Step::AwaitContinue(limit) => {
                    let _ = timeout(*limit, continued.notified()).await;
                }
                Step::HalfClose => stream.shutdown().await?,
                Step::Reset => sleep(DELAY_BEFORE_RESET).await,
            }
        }
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct RawClient {
    connector: Connector,
    timeout: Duration,
}

impl RawClient {
    pub(crate) fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        Ok(Self {
            connector: Connector::new(destination, options)?,
            timeout: options.timeout,
        })
    }

    /// Opens a connection and runs the steps of a request. The timeout does not include connecting.
    pub(crate) async fn run(&self, request: &RawRequest) -> Result<Option<Response>, Failure> {
        let stream = self.open().await?;
        self.run_on(stream, request, self.timeout).await
    }

    /// Sends a request once and reads its response. The timeout includes connecting, and `Step::Reset` is a failure.
    pub(crate) async fn send(&self, request: &RawRequest) -> Result<Response, Failure> {
        let began = Instant::now();
        let stream = self.open().await?;
        let left = self.timeout.saturating_sub(began.elapsed());
        self.send_on(stream, request, left).await
    }

    /// Sends copies of a request as [`client::race`](super::client::race) does.
    pub(crate) async fn race(
        &self,
        request: &RawRequest,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        let send = |stream| self.send_on(stream, request, self.timeout);
        race(copies, || self.open(), send).await
    }

    pub(crate) fn open(&self) -> impl Future<Output = Result<Stream, Failure>> {
        self.connector.connect()
    }

    async fn send_on(
        &self,
        stream: Stream,
        request: &RawRequest,
        limit: Duration,
    ) -> Result<Response, Failure> {
        let reset = "the connection was reset on purpose";
        let response = self.run_on(stream, request, limit).await?;
        response.ok_or_else(|| Failure::new(Phase::Send, FailureKind::Closed, reset))
    }

    /// Runs the steps of a request and reads the first response, both within `limit`. Returns `None` if the steps
    /// reset the connection before a response.
    ///
    /// hyper parses the response; the bytes of the request that hyper writes are discarded.
    async fn run_on(
        &self,
        stream: Stream,
        request: &RawRequest,
        limit: Duration,
    ) -> Result<Option<Response>, Failure> {
        let resets = request.steps.contains(&Step::Reset);
        if resets {
            // With a linger time of zero, closing the socket resets the connection. If setting the option fails, the
            // connection is closed normally.
            let _ = match &stream {
                Either::Left(tcp) => tcp.set_zero_linger(),
                Either::Right(tls) => tls.get_ref().0.set_zero_linger(),
            };
        }
        let destination = &self.connector.destination;
        let (reader, writer) = split(stream);
        let mut connection = Connection::new(join(reader, sink()), destination).await?;
        let continued = Arc::new(Notify::new());
        let on_continue = Arc::clone(&continued);
        let mut unsent = request.unsent();
        hyper::ext::on_informational(&mut unsent, move |interim| {
            if interim.status() == StatusCode::CONTINUE {
                on_continue.notify_one();
            }
        });
        let is_sending = AtomicBool::new(false);
        let ended = {
            let reading = connection.send(unsent, destination, request.limits);
            let mut reading = std::pin::pin!(timeout(limit, reading));
            tokio::select! {
                biased;
                ended = &mut reading => ended,
                written = request.write(writer, &continued, &is_sending) => {
                    if resets && written.is_ok() {
                        return Ok(None);
                    }
                    // The reading half reports the cause of a write error, or a response that came before the error.
                    is_sending.store(false, Ordering::Relaxed);
                    reading.await
                }
            }
        };
        match ended {
            Ok(Ok(response)) => Ok(Some(response)),
            Ok(Err(error)) => Err(error.into_failure(Phase::Wait)),
            Err(_) => {
                let phase = match connection.progress.phase() {
                    Phase::Wait if is_sending.load(Ordering::Relaxed) => Phase::Send,
                    phase => phase,
                };
                Err(timed_out(phase, self.timeout, destination))
            }
        }
    }
}

/// Parses the response to a request of the given method. The fuzz targets call this function.
#[doc(hidden)]
pub async fn read_response(method: &str, bytes: Vec<u8>) -> Result<Response, Failure> {
    let destination = Destination::parse("http://localhost").unwrap_or_else(|_| unreachable!());
    let stream = join(io::Cursor::new(bytes), sink());
    let mut connection = Connection::new(stream, &destination).await?;
    let unsent = RawRequest::new(method, []).unsent();
    let sent = connection.send(unsent, &destination, LIMITS);
    sent.await.map_err(|error| error.into_failure(Phase::Wait))
}

#[cfg(test)]
mod tests;
