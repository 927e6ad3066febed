//! Runs cases side by side if the handler is slow or a case only waits, and the handler serves several requests at once.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::Suite;
use crate::suite::cases::PROBES;
use crate::suite::event::{CaseRecord, Event};
use crate::suite::read_back::may_be_stored;
use crate::suite::verdict::Observed;
use crate::suite::{Case, CaseDelivery};

/// A handler whose good CDR takes this long is slow: its liveness is checked after fewer cases, and if it serves several
/// requests at once, cases run side by side.
const SLOW: Duration = Duration::from_millis(100);

/// At most this many cases run side by side.
const SIDE_BY_SIDE: usize = 8;

impl<F: FnMut(Event)> Suite<'_, F> {
    /// A handler may become slow in the course of a run: the lowest of the last latencies counts.
    pub(super) async fn adapt(&mut self, latency: Duration) {
        self.latencies.rotate_left(1);
        self.latencies[0] = latency;
        self.measure_if_slow().await;
    }

    fn latency(&self) -> Duration {
        self.latencies.into_iter().min().unwrap_or_default()
    }

    pub(super) fn is_slow(&self) -> bool {
        self.latency() >= SLOW || self.options.rate.is_some()
    }

    /// Sends several good CDRs at once to a slow handler: half of them take about as long as one if the handler serves
    /// several at once. The others may wait a second, because a full accept queue drops the first SYN of a connection.
    /// The lowest of their latencies counts, so that a busy machine makes no handler slow.
    pub(super) async fn measure_if_slow(&mut self) {
        let latency = self.latency();
        let is_known = self.serves_several.is_some() || self.options.rate.is_some();
        let Some(method) = self.accepted.first() else {
            return;
        };
        if is_known || latency < SLOW {
            return;
        }
        let requests = self.requests(PROBES[0]);
        let copies = (1..=SIDE_BY_SIDE as u64).map(|n| requests.liveness_check(n, *method));
        let copies: Vec<_> = copies.collect();
        let observed = self.unhurried.send_together(&copies).await;
        let all_accepted = observed.iter().all(Observed::accepted);
        let latencies = observed.iter().map(|observed| observed.latency);
        let quick = latencies.clone().filter(|quick| *quick < latency * 3 / 2);
        self.serves_several = Some(all_accepted && quick.count() >= SIDE_BY_SIDE / 2);
        self.latencies = [latencies.fold(latency, Duration::min); 3];
    }

    /// Returns how many of the next cases run side by side: cases that only wait, and all of a slow handler, if the
    /// handler serves several requests at once.
    pub(super) fn side_by_side(&self, cases: &[&Case]) -> usize {
        if self.serves_several != Some(true) || self.options.rate.is_some() {
            return 1;
        }
        let fits = |case: &&&Case| {
            let is_alike = case.family == cases[0].family && self.reason_to_skip(case).is_none();
            let is_probe = PROBES.iter().any(|probe| probe.name == case.name);
            // With --read-back, a record lost by parallel requests must not fail a case that sends a single CDR.
            let waits = only_waits(case) && !(self.read_back.is_some() && may_be_stored(case));
            is_alike && !is_probe && (waits || (self.is_slow() && is_single(case)))
        };
        let next = cases.iter().take(SIDE_BY_SIDE);
        next.take_while(fits).count().max(1)
    }

    /// A case that fails beside others runs again alone, so that no case is blamed for another.
    pub(super) async fn ask_together(&mut self, cases: &[&'static Case]) {
        let sources: Vec<_> = cases.iter().map(|case| self.requests(case)).collect();
        let running = cases.iter().zip(&sources);
        let running = running.map(|(case, source)| self.client_for(case).deliver(case, source));
        let observed = join_all(running).await;
        let ended = Instant::now();
        let mut answered: Vec<_> = cases.iter().zip(sources).zip(observed).collect();
        // The case whose connection broke comes first: if the handler is down, that case is to blame.
        answered.sort_by_key(|(_, observed)| !observed.iter().any(broke_off));
        for ((case, source), observed) in answered {
            let record = if let Some(reason) = self.reason_to_skip(case) {
                CaseRecord::skipped(case, &reason)
            } else if self.verdict(case, &observed).cause.is_some() {
                self.ask(case, source.renewed()).await
            } else {
                self.check(case, &source, &observed, ended).await
            };
            self.report(record).await;
        }
    }
}

/// Returns whether a connection was open and ended without a response.
fn broke_off(observed: &Observed) -> bool {
    observed.answer.is_err() && !observed.unreached()
}

/// Returns whether a case sends a good CDR while another connection is open, which shows if a handler serves several.
pub(super) fn holds_connection(case: &Case) -> bool {
    matches!(case.delivery, CaseDelivery::Raw(script) if script.holds_connection())
}

/// Returns whether a case takes time without work for the handler.
fn only_waits(case: &Case) -> bool {
    holds_connection(case)
        || matches!(case.delivery, CaseDelivery::Raw(script) if script.takes_time())
}

/// Returns whether a case sends its requests one after another.
fn is_single(case: &Case) -> bool {
    use CaseDelivery::{AtOnce, Concurrent, Race, Raw, WithIdleConnections};
    !matches!(
        case.delivery,
        AtOnce | Concurrent(_) | Race(_) | Raw(_) | WithIdleConnections(_)
    )
}
