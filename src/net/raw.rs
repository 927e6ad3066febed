//! Sends HTTP/1.1 requests that HTTP clients refuse to send: incomplete, malformed, byte by byte, or with a reset.
//!
//! A `RawRequest` is a list of steps for one connection. No proxy is used.

mod script;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{join, sink, split};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::either::Either;

use super::client::{ClientOptions, LIMITS, race};
use super::connect::{Connector, Stream};
use super::failure::timed_out;
use super::http1::{self, Connection};
use super::{Destination, Failure, FailureKind, Phase, Response};
use crate::error::Error;

pub use script::MAX_FORWARDED_BODY;
pub(crate) use script::{RawRequest, Script, Step, check, is_chunked};

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
            let deadline = Instant::now() + limit;
            let reading = connection.send(unsent, destination, request.limits, deadline);
            let mut reading = std::pin::pin!(reading);
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
            Ok(response) => Ok(Some(response)),
            Err(http1::Error::TimedOut(Phase::Wait)) if is_sending.load(Ordering::Relaxed) => {
                Err(timed_out(Phase::Send, self.timeout, destination))
            }
            Err(error) => Err(error.into_failure(Phase::Wait, self.timeout, destination)),
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
    let limit = Duration::from_secs(30);
    let deadline = Instant::now() + limit;
    let sent = connection.send(unsent, &destination, LIMITS, deadline);
    let response = sent.await;
    response.map_err(|error| error.into_failure(Phase::Wait, limit, &destination))
}

#[cfg(test)]
mod tests;
