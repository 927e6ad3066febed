//! Sends the requests of a case in the way that its [`CaseDelivery`] names.

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::requests::CaseRequests;
use super::verdict::Observed;
use super::{Case, CaseDelivery};
use crate::error::Error;
use crate::net::client::{Client, ClientOptions};
use crate::net::raw::{RawClient, RawRequest, Script};
use crate::net::{Destination, Failure, Request, Response};

/// A script's own pauses take up to 8 seconds on a slow machine.
const SCRIPT: Duration = Duration::from_secs(8);

/// Spaces the requests of a run by `--rate`, and counts them.
#[derive(Debug)]
pub struct RateLimiter {
    interval: Option<Duration>,
    /// The time at which the latest request may be sent; the next request waits `interval` longer.
    last: Cell<Instant>,
    pub requests: Cell<usize>,
}

impl RateLimiter {
    pub fn new(rate: Option<f64>) -> Self {
        Self {
            interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            last: Cell::new(Instant::now()),
            requests: Cell::new(0),
        }
    }

    /// Waits for as many places as a burst has requests, which are sent together afterwards. The request behind a burst
    /// waits for as many again, so that no window of time has more requests than the rate allows.
    pub async fn wait(&self, requests: usize) {
        self.requests.set(self.requests.get() + requests);
        let Some(interval) = self.interval else {
            return;
        };
        let span = interval.saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX));
        let due = (self.last.get() + span).max(Instant::now());
        self.last.set(due + span - interval);
        sleep_until(due).await;
    }
}

pub struct SuiteClient<'a> {
    destination: &'a Destination,
    options: &'a ClientOptions,
    limiter: Rc<RateLimiter>,
    client: Client,
    writer: RawClient,
    /// `long_writer` has a longer timeout, for connections that are held open and for scripts with pauses.
    long_writer: RawClient,
    settle_delay: Duration,
}

impl<'a> SuiteClient<'a> {
    pub fn new(
        destination: &'a Destination,
        options: &'a ClientOptions,
        timeout: Duration,
        settle_delay: Duration,
        limiter: Rc<RateLimiter>,
    ) -> Result<Self, Error> {
        let timeout = timeout.min(options.timeout);
        let with_timeout = |timeout| ClientOptions {
            timeout,
            connect_timeout: options.connect_timeout.min(timeout),
            keep_alive: false,
            ..options.clone()
        };
        Ok(Self {
            destination,
            options,
            limiter,
            client: Client::new(destination, &with_timeout(timeout))?,
            writer: RawClient::new(destination, &with_timeout(timeout))?,
            long_writer: RawClient::new(destination, &with_timeout(timeout * 2 + SCRIPT))?,
            settle_delay,
        })
    }

    /// Returns a client with a timeout of its own, which is at most `--timeout`.
    pub fn with_timeout(&self, timeout: Duration) -> Result<Self, Error> {
        let limiter = Rc::clone(&self.limiter);
        let (destination, options) = (self.destination, self.options);
        Self::new(destination, options, timeout, self.settle_delay, limiter)
    }

    /// The number of requests that all clients of the run have sent.
    pub fn deliveries(&self) -> usize {
        self.limiter.requests.get()
    }

    pub async fn send(&self, request: &Request) -> Observed {
        self.limiter.wait(1).await;
        self.send_now(request).await
    }

    async fn send_now(&self, request: &Request) -> Observed {
        let began = Instant::now();
        let answer = self.client.send(request).await;
        observed(request, answer, began.elapsed())
    }

    /// Sends requests at once, each on its own connection.
    pub async fn send_together(&self, requests: &[Request]) -> Vec<Observed> {
        self.limiter.wait(requests.len()).await;
        join_all(requests.iter().map(|request| self.send_now(request))).await
    }

    /// `deliver` returns an observation for each request to judge, and none if the script itself reset the connection.
    pub async fn deliver(&self, case: &Case, source: &CaseRequests) -> Vec<Observed> {
        let requests = source.requests(case);
        match (case.delivery, requests.as_slice()) {
            (CaseDelivery::AtOnce | CaseDelivery::Concurrent(_), _) => {
                self.send_together(&requests).await
            }
            (CaseDelivery::Race(copies), [request, ..]) => {
                self.limiter.wait(copies).await;
                let raced = self.client.race(request, copies).await;
                let seen = |(answer, latency)| observed(request, answer, latency);
                raced.into_iter().map(seen).collect()
            }
            (CaseDelivery::WithIdleConnections(idle), [request, ..]) => {
                let _idle = join_all((0..idle).map(|_| self.long_writer.open())).await;
                sleep(self.settle_delay).await;
                vec![self.send(request).await]
            }
            (CaseDelivery::Raw(script), [request, ..]) if script.holds_connection() => {
                let good = source.liveness_check(0, case.method);
                let script = script.steps(request, self.destination);
                vec![self.send_while_held(&script, &good).await]
            }
            (CaseDelivery::Raw(script), [request, ..]) => {
                let observed = self.run_script(script, request).await;
                observed.into_iter().collect()
            }
            _ => {
                let mut observed = Vec::with_capacity(requests.len());
                for (n, request) in requests.iter().enumerate() {
                    if let CaseDelivery::AgainAfter(pause) = case.delivery
                        && n == requests.len() / 2
                    {
                        sleep(pause).await;
                    }
                    observed.push(self.send(request).await);
                }
                observed
            }
        }
    }

    /// `run_script` returns `None` if the script reset the connection: the liveness check alone is the verdict then.
    async fn run_script(&self, script: Script, request: &Request) -> Option<Observed> {
        let writer = if script.takes_time() {
            &self.long_writer
        } else {
            &self.writer
        };
        self.limiter.wait(1).await;
        let began = Instant::now();
        let result = writer.run(&script.steps(request, self.destination)).await;
        let latency = began.elapsed();
        Some(observed(request, result.transpose()?, latency))
    }

    /// The request `good` is sent while `script` holds another connection open.
    async fn send_while_held(&self, script: &RawRequest, good: &Request) -> Observed {
        let holding = async {
            let _ = self.long_writer.run(script).await;
            pending::<Observed>().await
        };
        let mut holding = pin!(holding);
        // The script runs alone first, so that the handler has begun to read before the good request arrives.
        let _ = timeout(self.settle_delay, &mut holding).await;
        tokio::select! {
            observed = self.send(good) => observed,
            never = &mut holding => never,
        }
    }
}

fn observed(request: &Request, answer: Result<Response, Failure>, latency: Duration) -> Observed {
    Observed {
        sent: request.clone(),
        answer,
        latency,
    }
}
