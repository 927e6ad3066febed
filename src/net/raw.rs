//! An HTTP/1.1 writer for requests that an HTTP client refuses to send: half requests, resets, drips and silence.
//!
//! A [`RawRequest`] is a list of [`Step`]s. No proxy is used.

mod exact;
mod play;
mod script;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use tokio::io::{join, sink, split};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::client::{ClientOptions, MAX_RESPONSE_BODY};
use super::connect::{Connector, Stream};
use super::failure::{explain, failure, timed_out, unless_redirect};
use super::http1::{Connection, Limits, Outgoing};
use super::{Destination, Failure, FailureKind, Phase, Response};
use crate::error::Error;
use play::{Played, play};

pub use exact::{check, is_chunked};
pub use script::{Script, head};

/// Bytes of a forwarded response's body that are held in memory at most.
pub const MAX_FORWARDED_BODY: usize = 64 * 1024 * 1024;

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Writes bytes at once.
    Send(Bytes),
    /// Writes bytes one at a time.
    Drip {
        bytes: Bytes,
        every: Duration,
    },
    Pause(Duration),
    /// Waits for `100 Continue`, but no longer than this, and goes on without it (RFC 9110, section 10.1.1).
    AwaitContinue(Duration),
    /// Closes our side of the connection. The peer's answer is still read.
    HalfClose,
    /// Resets the connection. This ends the script.
    Reset,
}

/// A request as a script. After the last step the connection stays open until the peer has answered or the time is
/// up. A peer's answer ends the script early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    pub steps: Vec<Step>,
    /// The method in the steps, which decides where the response ends.
    pub method: String,
    /// Whether the response is forwarded: then up to [`MAX_FORWARDED_BODY`] bytes of its body are read, a redirect's too.
    pub passed_on: bool,
}

impl RawRequest {
    fn new(method: &str, steps: impl Into<Vec<Step>>) -> Self {
        Self {
            steps: steps.into(),
            method: method.to_owned(),
            passed_on: false,
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            body: if self.passed_on {
                MAX_FORWARDED_BODY
            } else {
                MAX_RESPONSE_BODY
            },
            redirects: self.passed_on,
        }
    }
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawOutcome {
    Answered(Response),
    /// The script reset the connection before there was an answer.
    ResetByUs,
    /// There was no connection, or no whole answer.
    Failed(Failure),
}

impl RawOutcome {
    /// The outcome as [`super::client::Client::send`] returns it.
    pub fn into_result(self) -> Result<Response, Failure> {
        match self {
            Self::Answered(response) => unless_redirect(response),
            Self::ResetByUs => Err(failure(
                Phase::Send,
                FailureKind::Closed,
                "the connection was reset on purpose",
            )),
            Self::Failed(failure) => Err(failure),
        }
    }
}

/// Opens connections to one destination and runs scripts on them.
#[derive(Clone)]
pub struct RawClient {
    connector: Connector,
    timeout: Duration,
}

impl RawClient {
    /// A client for one destination. Certificates are only read for https.
    pub fn new(destination: &Destination, options: &ClientOptions) -> Result<Self, Error> {
        Ok(Self {
            connector: Connector::new(destination, options)?,
            timeout: options.timeout,
        })
    }

    /// Opens a connection and runs a script on it.
    pub async fn run(&self, request: &RawRequest) -> RawOutcome {
        match self.open().await {
            Ok(connection) => connection.run(request).await,
            Err(failure) => RawOutcome::Failed(failure),
        }
    }

    /// The same with the result of [`super::client::Client::send`]. The timeout includes the connect.
    pub async fn send(&self, request: &RawRequest) -> Result<Response, Failure> {
        let began = Instant::now();
        let mut connection = self.open().await?;
        connection.timeout_left = self.timeout.saturating_sub(began.elapsed());
        connection.run(request).await.into_result()
    }

    /// Opens a connection for each copy, and runs the script on each when all are open. Each duration is counted from then.
    pub async fn race(
        &self,
        request: &RawRequest,
        copies: usize,
    ) -> Vec<(Result<Response, Failure>, Duration)> {
        let open = join_all((0..copies).map(|_| self.open())).await;
        let released = Instant::now();
        let running = open.into_iter().map(async |open| {
            let result = match open {
                Ok(connection) => connection.run(request).await.into_result(),
                Err(failure) => Err(failure),
            };
            (result, released.elapsed())
        });
        join_all(running).await
    }

    /// Opens a connection, TLS included, on which a script can be run later.
    pub async fn open(&self) -> Result<RawConnection, Failure> {
        Ok(RawConnection {
            stream: self.connector.connect().await?,
            destination: self.connector.destination.clone(),
            timeout: self.timeout,
            timeout_left: self.timeout,
        })
    }
}

/// A connection that is ready.
pub struct RawConnection {
    stream: Box<dyn Stream>,
    destination: Destination,
    timeout: Duration,
    timeout_left: Duration,
}

impl RawConnection {
    /// Runs a script and waits for the first response, both within the timeout.
    ///
    /// hyper reads the response; the request that hyper writes for it goes to a sink.
    pub async fn run(self, request: &RawRequest) -> RawOutcome {
        if request.steps.contains(&Step::Reset) {
            // With a linger time of zero a close is a reset. Where the option fails, an ordinary close has to do.
            let _ = self.stream.tcp().set_zero_linger();
        }
        let (reader, mut writer) = split(self.stream);
        let mut connection = match Connection::new(join(reader, sink())).await {
            Ok(connection) => connection,
            Err(error) => {
                return RawOutcome::Failed(explain(&error, Phase::Connect, &self.destination));
            }
        };
        let continued = Arc::new(Notify::new());
        let mut unsent = unsent(&request.method);
        {
            let continued = Arc::clone(&continued);
            hyper::ext::on_informational(&mut unsent, move |interim| {
                if interim.status() == StatusCode::CONTINUE {
                    continued.notify_one();
                }
            });
        }
        let sending = AtomicBool::new(false);
        let ended = {
            let reading = connection.send(unsent, &self.destination, request.limits());
            let mut reading = std::pin::pin!(timeout(self.timeout_left, reading));
            tokio::select! {
                biased;
                ended = &mut reading => ended,
                played = play(&mut writer, &request.steps, &continued, &sending) => match played {
                    Played::Finished => reading.await,
                    Played::Reset => return RawOutcome::ResetByUs,
                },
            }
        };
        match ended {
            Ok(Ok(response)) => RawOutcome::Answered(response),
            Ok(Err(error)) => RawOutcome::Failed(error.into_failure(Phase::Wait)),
            Err(_) => {
                let phase = match connection.phase() {
                    Phase::Wait if sending.load(Ordering::Relaxed) => Phase::Send,
                    phase => phase,
                };
                RawOutcome::Failed(timed_out(phase, self.timeout, &self.destination))
            }
        }
    }
}

/// Reads the response to a request of this method from bytes that end; for the fuzz targets.
#[doc(hidden)]
pub async fn read_response(method: &str, bytes: Vec<u8>) -> Result<Response, Failure> {
    let limits = RawRequest::new(method, []).limits();
    let destination = Destination::parse("http://localhost").unwrap_or_else(|_| unreachable!());
    let stream = join(std::io::Cursor::new(bytes), sink());
    let connection = Connection::new(stream).await;
    let mut connection =
        connection.map_err(|error| explain(&error, Phase::Connect, &destination))?;
    let sent = connection.send(unsent(method), &destination, limits);
    sent.await.map_err(|error| error.into_failure(Phase::Wait))
}

/// The request for hyper's response parser. Its bytes are written to a sink.
fn unsent(method: &str) -> Outgoing {
    let mut request = Outgoing::default();
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    request
}

#[cfg(test)]
mod tests;
