//! An HTTP/1.1 writer for requests that an HTTP client refuses to send: half requests, resets, drips and silence.
//!
//! A `RawRequest` is a list of `Step`s. No proxy is used.

mod script;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, join, sink, split};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::client::{ClientOptions, LIMITS};
use super::connect::{Connector, Stream};
use super::failure::{explain, failure, timed_out, unless_redirect};
use super::http1::{Connection, Limits, Outgoing};
use super::{Destination, Failure, FailureKind, Phase, Response};
use crate::error::Error;

pub(crate) use script::{Script, check, is_chunked};

/// Bytes of a forwarded response's body that are held in memory at most.
pub const MAX_FORWARDED_BODY: usize = 64 * 1024 * 1024;

/// How long a connection that is about to be reset stays open, so that the peer has begun to read when it happens.
const DELAY_BEFORE_RESET: Duration = Duration::from_millis(100);

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Writes bytes at once.
    Send(Bytes),
    /// Writes bytes one at a time.
    Drip { bytes: Bytes, every: Duration },
    /// Waits for `100 Continue`, but no longer than this, and goes on without it (RFC 9110, section 10.1.1).
    AwaitContinue(Duration),
    /// Closes our side of the connection. The peer's answer is still read.
    HalfClose,
    /// Resets the connection after a short delay. This ends the script.
    Reset,
}

/// A request as a script. After the last step the connection stays open until the peer has answered or the time is
/// up. A peer's answer ends the script early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawRequest {
    pub(crate) steps: Vec<Step>,
    /// The method in the steps, which decides where the response ends.
    method: String,
    limits: Limits,
}

impl RawRequest {
    fn new(method: &str, steps: impl Into<Vec<Step>>) -> Self {
        Self {
            steps: steps.into(),
            method: method.to_owned(),
            limits: LIMITS,
        }
    }

    /// The request for hyper's response parser. Its bytes are written to a sink.
    fn unsent(&self) -> Outgoing {
        let mut request = Outgoing::default();
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).unwrap_or_default();
        request
    }

    /// Writes the steps, or as many of them as the peer lets through. `is_sending` is true during a [`Step::Send`], whose
    /// bytes the peer should take at once.
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

/// Opens connections to one destination and runs scripts on them.
#[derive(Clone)]
pub(crate) struct RawClient {
    connector: Connector,
    timeout: Duration,
}

impl RawClient {
    /// A client for one destination. Certificates are only read for https.
    pub(crate) fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        Ok(Self {
            connector: Connector::new(destination, options)?,
            timeout: options.timeout,
        })
    }

    /// Opens a connection and runs a script on it. The time for connecting does not count.
    pub(crate) async fn run(&self, request: &RawRequest) -> Result<Option<Response>, Failure> {
        self.open().await?.run(request).await
    }

    /// Sends a request once and reads its response, with the result of [`super::client::Client::send`].
    pub(crate) async fn send(&self, request: &RawRequest) -> Result<Response, Failure> {
        let began = Instant::now();
        let mut connection = self.open().await?;
        connection.timeout_left = self.timeout.saturating_sub(began.elapsed());
        connection.send(request).await
    }

    /// Opens a connection for each copy, and runs the script on each when all are open. Each duration is counted from then.
    pub(crate) async fn race(
        &self,
        request: &RawRequest,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        let open = join_all((0..copies).map(|_| self.open())).await;
        let released = Instant::now();
        let running = open.into_iter().map(async |open| {
            let result = match open {
                Ok(connection) => connection.send(request).await,
                Err(failure) => Err(failure),
            };
            (result, released.elapsed())
        });
        join_all(running).await
    }

    /// Opens a connection, TLS included, on which a script can be run later.
    pub(crate) async fn open(&self) -> Result<RawConnection, Failure> {
        Ok(RawConnection {
            stream: self.connector.connect().await?,
            client: self.clone(),
            timeout_left: self.timeout,
        })
    }
}

/// A connection that is ready.
pub(crate) struct RawConnection {
    stream: Box<dyn Stream>,
    client: RawClient,
    timeout_left: Duration,
}

impl RawConnection {
    async fn send(self, request: &RawRequest) -> Result<Response, Failure> {
        let reset = "the connection was reset on purpose";
        let response = self.run(request).await?;
        response.ok_or_else(|| failure(Phase::Send, FailureKind::Closed, reset))
    }

    /// Runs a script and waits for the first response, both within the timeout. `None` if the script has reset the
    /// connection before there was a response.
    ///
    /// hyper reads the response; the request that hyper writes for it goes to a sink.
    pub(crate) async fn run(self, request: &RawRequest) -> Result<Option<Response>, Failure> {
        let resets = request.steps.contains(&Step::Reset);
        if resets {
            // With a linger time of zero a close is a reset. Where the option fails, an ordinary close has to do.
            let _ = self.stream.tcp().set_zero_linger();
        }
        let destination = &self.client.connector.destination;
        let (reader, writer) = split(self.stream);
        let connection = Connection::new(join(reader, sink())).await;
        let mut connection =
            connection.map_err(|error| explain(&error, Phase::Connect, destination))?;
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
            let mut reading = std::pin::pin!(timeout(self.timeout_left, reading));
            tokio::select! {
                biased;
                ended = &mut reading => ended,
                written = request.write(writer, &continued, &is_sending) => {
                    if resets && written.is_ok() {
                        return Ok(None);
                    }
                    // The reader finds out why writing failed, and whether a response came before.
                    is_sending.store(false, Ordering::Relaxed);
                    reading.await
                }
            }
        };
        match ended {
            Ok(Ok(response)) if request.limits.redirects => Ok(Some(response)),
            Ok(Ok(response)) => unless_redirect(response).map(Some),
            Ok(Err(error)) => Err(error.into_failure(Phase::Wait)),
            Err(_) => {
                let phase = match connection.phase() {
                    Phase::Wait if is_sending.load(Ordering::Relaxed) => Phase::Send,
                    phase => phase,
                };
                Err(timed_out(phase, self.client.timeout, destination))
            }
        }
    }
}

/// Reads the response to a request of this method from bytes that end; for the fuzz targets.
#[doc(hidden)]
pub async fn read_response(method: &str, bytes: Vec<u8>) -> Result<Response, Failure> {
    let destination = Destination::parse("http://localhost").unwrap_or_else(|_| unreachable!());
    let stream = join(io::Cursor::new(bytes), sink());
    let connection = Connection::new(stream).await;
    let mut connection =
        connection.map_err(|error| explain(&error, Phase::Connect, &destination))?;
    let unsent = RawRequest::new(method, []).unsent();
    let sent = connection.send(unsent, &destination, LIMITS);
    sent.await.map_err(|error| error.into_failure(Phase::Wait))
}

#[cfg(test)]
mod tests;
