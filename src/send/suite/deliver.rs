//! Brings the requests of a case to the handler, in the way the case wants, and notes what came back.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::teller::Teller;
use super::verdict::Observed;
use super::{Case, Delivery, Script};
use crate::clock::Clock;
use crate::error::Error;
use crate::wire::client::{Client, ClientOptions, Destination};
use crate::wire::raw::{RawOutcome, RawRequest, Step, Writer};
use crate::wire::{Header, Request};

/// As long as a script may take by itself, on a slow machine.
const SCRIPT: Duration = Duration::from_secs(8);

/// Between two bytes of a slow line.
const DRIP: Duration = Duration::from_millis(1);

/// How long a body waits for `100 Continue`.
const CONTINUE: Duration = Duration::from_millis(500);

/// As much of a request as half a head is: within every head, since the request line and `Host` are longer.
const HALF_A_HEAD: usize = 24;

/// The ways to one handler, with one patience.
pub struct Network<'a> {
    destination: &'a Destination,
    client: Client,
    writer: Writer,
    /// For connections that must outlive the patience with everything else, and for scripts that take time themselves.
    holder: Writer,
    settling: Duration,
    clock: Clock,
}

impl<'a> Network<'a> {
    /// The ways to a handler; `patience` is how long one answer is waited for, `settling` how long it may take until the
    /// handler has noticed a connection.
    pub fn new(
        destination: &'a Destination,
        options: &ClientOptions,
        patience: Duration,
        settling: Duration,
        clock: Clock,
    ) -> Result<Self, Error> {
        let patient = |timeout| ClientOptions {
            timeout,
            connect_timeout: options.connect_timeout.min(timeout),
            keep_alive: false,
            ..options.clone()
        };
        Ok(Self {
            destination,
            client: Client::new(destination, &patient(patience))?,
            writer: Writer::new(destination, &patient(patience))?,
            holder: Writer::new(destination, &patient(patience * 2 + SCRIPT))?,
            settling,
            clock,
        })
    }

    /// Carries one request.
    pub async fn carry(&self, request: &Request) -> Observed {
        let began = self.clock.elapsed();
        let result = self.client.carry(request).await;
        Observed::new(result, self.clock.elapsed().saturating_sub(began))
    }

    /// Delivers a case, and brings what came back for each request.
    pub async fn deliver(&self, case: &Case, teller: &Teller) -> Vec<Observed> {
        let requests = teller.requests(case);
        match (case.delivery, requests.as_slice()) {
            (Delivery::AtOnce | Delivery::Crowd(_), _) => {
                join_all(requests.iter().map(|request| self.carry(request))).await
            }
            (Delivery::Race(copies), [request, ..]) => self.race(request, copies).await,
            (Delivery::BesideIdle(idle), [request, ..]) => self.beside_idle(request, idle).await,
            (Delivery::Raw(script), [request, ..]) if script.holds() => {
                let good = teller.afterwards(0, case.method);
                vec![
                    self.meanwhile(&script.steps(request, self.destination), &good)
                        .await,
                ]
            }
            (Delivery::Raw(script), [request, ..]) => {
                let began = self.clock.elapsed();
                let writer = if script.takes_time() {
                    &self.holder
                } else {
                    &self.writer
                };
                let outcome = writer
                    .perform(&script.steps(request, self.destination))
                    .await;
                let latency = self.clock.elapsed().saturating_sub(began);
                if outcome == RawOutcome::Abandoned {
                    // Nobody can answer a connection that was reset: there is nothing to judge but what comes after.
                    return Vec::new();
                }
                vec![Observed::new(outcome.into_result(), latency)]
            }
            _ => {
                let mut observed = Vec::with_capacity(requests.len());
                for request in &requests {
                    observed.push(self.carry(request).await);
                }
                observed
            }
        }
    }

    /// Copies on connections that are open already, released together.
    async fn race(&self, request: &Request, copies: usize) -> Vec<Observed> {
        let raced = self
            .writer
            .race(&RawRequest::verbatim(request, self.destination), copies)
            .await;
        raced
            .into_iter()
            .map(|(result, latency)| Observed::new(result, latency))
            .collect()
    }

    /// A request while connections are open that say nothing.
    async fn beside_idle(&self, request: &Request, idle: usize) -> Vec<Observed> {
        let opened = join_all((0..idle).map(|_| self.holder.open())).await;
        tokio::time::sleep(self.settling).await;
        let observed = self.carry(request).await;
        drop(opened);
        vec![observed]
    }

    /// A good request while a bad one is under way. Afterwards the bad connection is closed.
    async fn meanwhile(&self, script: &RawRequest, good: &Request) -> Observed {
        let holding = async {
            if let Ok(connection) = self.holder.open().await {
                connection.perform(script).await;
            }
            pending::<Observed>().await
        };
        let mut holding = pin!(holding);
        // It is polled for a moment first, so that the handler has begun to read when the good request comes.
        let _ = timeout(self.settling, &mut holding).await;
        tokio::select! {
            observed = self.carry(good) => observed,
            never = &mut holding => never,
        }
    }
}

impl Script {
    /// The steps of the script for a request.
    #[must_use]
    pub fn steps(self, request: &Request, destination: &Destination) -> RawRequest {
        match self {
            Self::CutShort => RawRequest::cut_short(request, destination),
            Self::Stalled => RawRequest::stalled(request, destination),
            Self::HalfHead => {
                let bytes = whole(request, destination);
                RawRequest::from([Step::Send(bytes.slice(..bytes.len().min(HALF_A_HEAD)))])
            }
            Self::Silent => RawRequest::silent(),
            Self::TooLong => RawRequest::too_long(request, destination),
            Self::Dripped => RawRequest::dripped(request, destination, DRIP),
            Self::Reset => RawRequest::reset_mid_body(request, destination),
            Self::HalfClosed => RawRequest::half_closed(request, destination),
            Self::Chunked => RawRequest::chunked(request, destination, 64),
            Self::ExpectContinue => RawRequest::expecting_continue(request, destination, CONTINUE),
            Self::Http10 => RawRequest::http_1_0(request, destination),
            Self::Pipelined => RawRequest::pipelined(request, destination, 2),
            Self::Length(length) => mismeasured(request, destination, length),
            Self::LengthAndChunks => {
                let mut script = RawRequest::chunked(request, destination, 64);
                if let Some(Step::Send(head)) = script.steps.first_mut() {
                    *head = replaced(
                        head,
                        "Transfer-Encoding:",
                        "Content-Length: 7\r\nTransfer-Encoding:",
                    );
                }
                script
            }
            Self::TlsHello => {
                // A record header of 512 bytes, a client hello, version 1.2, and then the end.
                let hello =
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\r\n\r\n";
                RawRequest::from([Step::Send(Bytes::from_static(hello)), Step::HalfClose])
            }
            Self::HugeHeader => {
                let mut request = request.clone();
                request
                    .headers
                    .push(Header::new("X-Padding", "x".repeat(100 * 1024)));
                RawRequest::verbatim(&request, destination)
            }
        }
    }
}

/// A request with another length than its own.
///
/// Where the length is a number, our side is closed after the body: nobody has to wait for bytes that will not come.
fn mismeasured(request: &Request, destination: &Destination, length: &str) -> RawRequest {
    let own = format!("Content-Length: {}\r\n", request.body.len());
    let bytes = replaced(
        &whole(request, destination),
        &own,
        &format!("Content-Length: {length}\r\n"),
    );
    let mut steps = vec![Step::Send(bytes)];
    if length.parse::<u64>().is_ok() {
        steps.push(Step::HalfClose);
    }
    RawRequest::from(steps)
}

/// The bytes of a whole request.
fn whole(request: &Request, destination: &Destination) -> Bytes {
    match RawRequest::verbatim(request, destination).steps.pop() {
        Some(Step::Send(bytes)) => bytes,
        _ => Bytes::new(),
    }
}

/// Bytes with the first occurrence of a text replaced. What is sent here is text.
fn replaced(bytes: &Bytes, text: &str, other: &str) -> Bytes {
    String::from_utf8_lossy(bytes)
        .replacen(text, other, 1)
        .into()
}
