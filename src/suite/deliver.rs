//! Sends the requests of a case in the way that its [`CaseDelivery`] names.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::requests::CaseRequests;
use super::verdict::Observed;
use super::{Case, CaseDelivery};
use crate::error::Error;
use crate::net::client::{Client, ClientOptions};
use crate::net::raw::{RawClient, RawRequest, Script};
use crate::net::{Destination, Request};

/// A script's own pauses take up to 8 seconds on a slow machine.
const SCRIPT: Duration = Duration::from_secs(8);

pub struct SuiteClient<'a> {
    destination: &'a Destination,
    client: Client,
    writer: RawClient,
    /// `long_writer` has a longer timeout, for connections that are held open and for scripts with pauses.
    long_writer: RawClient,
    settle_delay: Duration,
}

impl<'a> SuiteClient<'a> {
    pub fn new(
        destination: &'a Destination,
        options: &ClientOptions,
        timeout: Duration,
        settle_delay: Duration,
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
        })
    }

    pub async fn send(&self, request: &Request) -> Observed {
        let began = Instant::now();
        let answer = self.client.send(request).await;
        let latency = began.elapsed();
        Observed { answer, latency }
    }

    /// `deliver` returns an observation for each request to judge, and none if the script itself reset the connection.
    pub async fn deliver(&self, case: &Case, source: &CaseRequests) -> Vec<Observed> {
        let requests = source.requests(case);
        match (case.delivery, requests.as_slice()) {
            (CaseDelivery::AtOnce | CaseDelivery::Concurrent(_), _) => {
                join_all(requests.iter().map(|request| self.send(request))).await
            }
            (CaseDelivery::Race(copies), [request, ..]) => {
                let raced = self.client.race(request, copies).await.into_iter();
                raced
                    .map(|(answer, latency)| Observed { answer, latency })
                    .collect()
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
                for request in &requests {
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
        let began = Instant::now();
        let result = writer.run(&script.steps(request, self.destination)).await;
        let latency = began.elapsed();
        let answer = result.transpose()?;
        Some(Observed { answer, latency })
    }

    /// The request `good` is sent while `script` holds another connection open.
    async fn send_while_held(&self, script: &RawRequest, good: &Request) -> Observed {
        let holding = async {
            if let Ok(connection) = self.long_writer.open().await {
                let _ = connection.run(script).await;
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
