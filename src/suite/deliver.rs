//! Sends the requests of a case in the way that the case asks for.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::requests::CaseRequests;
use super::verdict::Observed;
use super::{Case, CaseDelivery};
use crate::clock::Clock;
use crate::error::Error;
use crate::net::client::{Client, ClientOptions};
use crate::net::raw::{RawClient, RawOutcome, RawRequest};
use crate::net::{Destination, Request};

/// The longest time of a raw script by itself, on a slow machine.
const SCRIPT: Duration = Duration::from_secs(8);

/// Sends to one handler, with one timeout for a response.
pub struct SuiteClient<'a> {
    destination: &'a Destination,
    client: Client,
    writer: RawClient,
    /// For connections that outlive a request, and for scripts that take time themselves.
    long_writer: RawClient,
    settle_delay: Duration,
    clock: Clock,
}

impl<'a> SuiteClient<'a> {
    /// `settle_delay` is the time in which the handler notices a connection.
    pub fn new(
        destination: &'a Destination,
        options: &ClientOptions,
        timeout: Duration,
        settle_delay: Duration,
        clock: Clock,
    ) -> Result<Self, Error> {
        let with_timeout = |timeout| ClientOptions {
            timeout,
            connect_timeout: options.connect_timeout.min(timeout),
            keep_alive: false,
            ..options.clone()
        };
        Ok(Self {
            destination,
            client: Client::new(destination, &with_timeout(timeout))?,
            writer: RawClient::new(destination, &with_timeout(timeout))?,
            long_writer: RawClient::new(destination, &with_timeout(timeout * 2 + SCRIPT))?,
            settle_delay,
            clock,
        })
    }

    pub async fn send(&self, request: &Request) -> Observed {
        let began = self.clock.elapsed();
        let result = self.client.send(request).await;
        Observed::new(result, self.clock.elapsed().saturating_sub(began))
    }

    /// Sends the requests of a case; one observation for each, none if the connection was reset by the script.
    pub async fn deliver(&self, case: &Case, source: &CaseRequests) -> Vec<Observed> {
        let requests = source.requests(case);
        match (case.delivery, requests.as_slice()) {
            (CaseDelivery::AtOnce | CaseDelivery::Concurrent(_), _) => {
                join_all(requests.iter().map(|request| self.send(request))).await
            }
            (CaseDelivery::Race(copies), [request, ..]) => self.race(request, copies).await,
            (CaseDelivery::WithIdleConnections(idle), [request, ..]) => {
                self.with_idle_connections(request, idle).await
            }
            (CaseDelivery::Raw(script), [request, ..]) if script.holds_connection() => {
                let good = source.liveness_check(0, case.method);
                vec![
                    self.while_held(&script.steps(request, self.destination), &good)
                        .await,
                ]
            }
            (CaseDelivery::Raw(script), [request, ..]) => {
                let began = self.clock.elapsed();
                let writer = if script.takes_time() {
                    &self.long_writer
                } else {
                    &self.writer
                };
                let outcome = writer.run(&script.steps(request, self.destination)).await;
                let latency = self.clock.elapsed().saturating_sub(began);
                if outcome == RawOutcome::ResetByUs {
                    // No response is possible: only the liveness check after the case is judged.
                    return Vec::new();
                }
                vec![Observed::new(outcome.into_result(), latency)]
            }
            _ => {
                let mut observed = Vec::with_capacity(requests.len());
                for request in &requests {
                    observed.push(self.send(request).await);
                }
                observed
            }
        }
    }

    /// Sends copies at the same moment, on connections opened before.
    async fn race(&self, request: &Request, copies: usize) -> Vec<Observed> {
        let raced = self.client.race(request, copies).await;
        raced
            .into_iter()
            .map(|(result, latency)| Observed::new(result, latency))
            .collect()
    }

    /// Sends a request while idle connections are open.
    async fn with_idle_connections(&self, request: &Request, idle: usize) -> Vec<Observed> {
        let opened = join_all((0..idle).map(|_| self.long_writer.open())).await;
        tokio::time::sleep(self.settle_delay).await;
        let observed = self.send(request).await;
        drop(opened);
        vec![observed]
    }

    /// Sends a good request while a script holds a connection, which is closed afterwards.
    async fn while_held(&self, script: &RawRequest, good: &Request) -> Observed {
        let holding = async {
            if let Ok(connection) = self.long_writer.open().await {
                connection.run(script).await;
            }
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
