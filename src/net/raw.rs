//! An HTTP/1.1 writer for what a proper client refuses to send: half requests, resets, drips and silence.
//!
//! A [`RawRequest`] is a script of [`Step`]s, so that misbehaviour is data. No proxy stands in between.

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

use super::client::{ClientOptions, MOST_OF_A_RESPONSE};
use super::connect::{Connector, Stream};
use super::failure::{explain, failure, hung_up, too_slow, unless_redirect};
use super::http1::{self, Connection, Limits, Outgoing};
use super::{Destination, Failure, FailureKind, Phase, Response};
use crate::error::Error;
use play::{Played, play};

pub use exact::{check, is_chunked};
pub use script::{Script, head};

/// Bytes of a response that are passed on at most: it is held in memory meanwhile.
pub const MOST_PASSED_ON: usize = 64 * 1024 * 1024;

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Writes bytes at once.
    Send(Bytes),
    /// Writes bytes one at a time.
    Drip {
        /// What is written.
        bytes: Bytes,
        /// The time between two bytes.
        every: Duration,
    },
    /// Does nothing for a while.
    Pause(Duration),
    /// Waits for `100 Continue`, but no longer than this.
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
    /// The steps in order.
    pub steps: Vec<Step>,
    /// The method in them, which decides where the response ends.
    pub method: String,
    /// Whether the response is to be passed on: then up to [`MOST_PASSED_ON`] of its body is read, a redirect's too.
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
                MOST_PASSED_ON
            } else {
                MOST_OF_A_RESPONSE
            },
            redirects: self.passed_on,
        }
    }
}

/// What a peer made of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawOutcome {
    /// It answered. `complete` says whether all of the body was kept: what is longer than anyone needs is cut.
    Answered(Response),
    /// The script reset the connection before there was an answer.
    ResetByUs,
    /// There was no connection, or no whole answer.
    Failed(Failure),
}

impl RawOutcome {
    /// The outcome as [`super::client::Client::send`] would tell it.
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

    /// The same as a proper client would tell it. Everything together must fit into the time that is allowed.
    pub async fn send(&self, request: &RawRequest) -> Result<Response, Failure> {
        let began = Instant::now();
        let mut connection = self.open().await?;
        connection.timeout_left = self.timeout.saturating_sub(began.elapsed());
        connection.run(request).await.into_result()
    }

    /// Opens so many connections, and runs a script on each when all are open. Brings how long each took from then.
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
    /// Runs a script and waits for the first response, both within the time allowed for everything.
    ///
    /// The response is read as the client reads it: by hyper, whose own request goes nowhere.
    pub async fn run(self, request: &RawRequest) -> RawOutcome {
        if request.steps.contains(&Step::Reset) {
            // Closing is a reset from now on. Without the option it is an ordinary close, the next best thing.
            let _ = self.stream.tcp().set_zero_linger();
        }
        let (reader, mut writer) = split(self.stream);
        let mut connection = match Connection::new(join(reader, sink())).await {
            Ok(connection) => connection,
            Err(error) => {
                return RawOutcome::Failed(explain(&error, Phase::Connect, &self.destination));
            }
        };
        let told_to_continue = Arc::new(Notify::new());
        let on_interim = {
            let told_to_continue = Arc::clone(&told_to_continue);
            move |status| {
                if status == StatusCode::CONTINUE {
                    told_to_continue.notify_one();
                }
            }
        };
        let sending = AtomicBool::new(false);
        let ended = {
            let reading = connection.send(stand_in(&request.method), request.limits(), on_interim);
            let mut reading = std::pin::pin!(timeout(self.timeout_left, reading));
            tokio::select! {
                biased;
                ended = &mut reading => ended,
                played = play(&mut writer, &request.steps, &told_to_continue, &sending) => match played {
                    Played::Out => reading.await,
                    Played::Reset => return RawOutcome::ResetByUs,
                },
            }
        };
        match ended {
            Ok(Ok(response)) => RawOutcome::Answered(response),
            Ok(Err(http1::Error::Failed(error))) => {
                RawOutcome::Failed(connection.explain(&error, &self.destination))
            }
            Ok(Err(http1::Error::NotSent(_))) => RawOutcome::Failed(hung_up(Phase::Wait, "closed")),
            Err(_) => {
                let phase = match connection.phase() {
                    Phase::Wait if sending.load(Ordering::Relaxed) => Phase::Send,
                    phase => phase,
                };
                RawOutcome::Failed(too_slow(phase, self.timeout, &self.destination))
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
    match connection.send(stand_in(method), limits, |_| {}).await {
        Ok(response) => Ok(response),
        Err(http1::Error::Failed(error)) => Err(connection.explain(&error, &destination)),
        Err(http1::Error::NotSent(_)) => Err(hung_up(Phase::Wait, "closed")),
    }
}

/// What hyper believes to have sent.
fn stand_in(method: &str) -> Outgoing {
    let mut request = Outgoing::default();
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    request
}

#[cfg(test)]
mod tests;
