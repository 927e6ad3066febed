//! Records exchanges, one at a time under one lock: each exchange is numbered, related, saved, reported and counted.
//! Terminal, capture and history have the same order, and an exchange is saved before its response is sent.

use std::collections::HashMap;
use std::convert::Infallible;
use std::mem::Discriminant;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Options;
use super::capture::{self, Capture};
use super::event::{ConnectionErrors, Ending, Event, Summary};
use super::fault::Fault;
use super::relate::{Fingerprint, Relations};
use super::respond::{Decision, claimed};
use super::retries::Retries;
use super::server::{ConnectionError, IncomingRequest, Reply};
use crate::cdr::judge::Judgement;
use crate::clock::Clock;
use crate::error::Exit;
use crate::exchange::{Answer, Exchange, Forwarded};
use crate::ndjson;
use crate::untrusted::Untrusted;

/// Shortest time between two messages about connection errors, or about failed writes to the capture file.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A `Tell` function consumes an event, and returns false if the event could not be shown.
pub type Tell = Box<dyn Fn(Event) -> bool + Send + Sync>;

pub struct Recorder {
    pub clock: Clock,
    pub(super) options: Options,
    state: Mutex<State>,
    /// `record` notifies `reached` of each counted CDR once `--count` is reached.
    reached: Notify,
    /// `connection_error` notifies `failed`.
    failed: Notify,
    tell: Tell,
}

#[derive(Default)]
struct State {
    relations: Relations,
    retries: Retries,
    capture: Option<Capture>,
    summary: Summary,
    refused: u64,
    /// The errors of each kind that have not been reported yet.
    errors: HashMap<Discriminant<ConnectionError>, ConnectionErrors>,
}

impl Recorder {
    pub fn new(mut options: Options, clock: Clock, tell: Tell) -> Self {
        let state = State {
            capture: options.capture.take(),
            ..State::default()
        };
        Self {
            clock,
            options,
            state: Mutex::new(state),
            reached: Notify::new(),
            failed: Notify::new(),
            tell,
        }
    }

    pub fn record(
        &self,
        incoming: IncomingRequest,
        decision: Decision,
        fault: Option<Fault>,
        forwarded: Option<Forwarded>,
        took: Duration,
    ) -> Reply {
        let Judgement { verdict, fields } = decision.judgement;
        let cdr = fields.filter(|_| verdict.kind.is_cdr());
        let mut reply = Reply::new(decision.response, fault);
        let expected = &self.options.expected;
        let mismatch = cdr.as_ref().and_then(|cdr| expected.mismatch(cdr));
        let counts = cdr.is_some() && mismatch.is_none();
        let is_answered = incoming.is_answered();
        let headers = &incoming.request.headers;
        let claimed = self.options.trust_proxy.then(|| claimed(headers)).flatten();
        let mut state = self.state();
        state.summary.exchanges += 1;
        let mut exchange = Exchange {
            n: state.summary.exchanges,
            received_at: incoming.at,
            peer: incoming.peer,
            claimed,
            request: incoming.request,
            verdict,
            cdr,
            related: Vec::new(),
            uncounted: mismatch.map(Untrusted::new),
            answer: Answer {
                status: reply.status(),
                fault: reply.fault.map(|fault| fault.word().to_owned()),
                forwarded,
                unsaved: None,
            },
            took_ms: ndjson::ms(took),
        };
        let identity = state.relate(&mut exchange);
        state.summary.cdrs += u64::from(exchange.cdr.is_some());
        state.summary.counted += u64::from(counts);
        state.summary.remarks += exchange.verdict.remarks.len() as u64;
        state.refused += u64::from(decision.refused);
        let mut line = None;
        if let Some(capture) = &mut state.capture {
            let warn = |warning| {
                (self.tell)(Event::Warning(warning));
            };
            match capture.append(&exchange, warn) {
                Ok(appended) => line = appended,
                Err(failure) => {
                    if reply.status().is_some() && !is_answered {
                        reply = Reply::new(capture::unsaved(), None);
                        exchange.answer.status = reply.status();
                        exchange.answer.fault = None;
                    }
                    exchange.answer.unsaved = Some(failure);
                }
            }
        }
        state.retries.note(identity, &exchange, self.clock.now());
        if !(self.tell)(Event::Exchange(Arc::new(exchange), line)) {
            state.summary.dropped += 1;
        }
        let expected = expected.count;
        if counts && expected.is_some_and(|count| state.summary.counted >= count) {
            self.reached.notify_one();
        }
        reply
    }

    /// Resolves when the expected number of CDRs has been counted and `--settle` is over, or at the first CDR beyond
    /// that number.
    pub async fn settled(&self) {
        self.reached.notified().await;
        let one_too_many = async {
            let count = self.options.expected.count.unwrap_or_default();
            while self.state().summary.counted <= count {
                self.reached.notified().await;
            }
        };
        let _ = tokio::time::timeout(self.options.expected.settle, one_too_many).await;
    }

    pub fn connection_error(&self, peer: Option<SocketAddr>, error: &ConnectionError) {
        let mut state = self.state();
        let is_accepted = !matches!(error, ConnectionError::NotAccepted(_));
        state.summary.malformed += u64::from(is_accepted);
        let kind = std::mem::discriminant(error);
        let errors = state.errors.entry(kind).or_default();
        errors.count += 1;
        errors.text = match peer {
            Some(peer) => format!("{peer}: {error}"),
            None => error.to_string(),
        };
        self.failed.notify_one();
    }

    /// Reports connection errors at once, and then at most once a second, with one event for each kind.
    pub async fn report_errors(&self) -> Infallible {
        loop {
            self.failed.notified().await;
            self.tell_errors(&mut self.state());
            tokio::time::sleep(REPORT_INTERVAL).await;
        }
    }

    fn tell_errors(&self, state: &mut State) {
        for (_, errors) in state.errors.drain() {
            (self.tell)(Event::ConnectionErrors(errors));
        }
    }

    pub fn finish(&self, ending: Ending) -> Summary {
        let mut state = self.state();
        self.tell_errors(&mut state);
        if let Some(warning) = state.capture.as_mut().and_then(Capture::finish) {
            (self.tell)(Event::Warning(warning));
        }
        let capture = state.capture.as_ref();
        let lost = capture.map_or(0, |capture| capture.alarm.lost);
        let counted = state.summary.counted;
        let expected = &self.options.expected;
        let is_reached = expected.is_reached(counted);
        let exit = match ending {
            Ending::TimedOut if !is_reached => Exit::TimedOut,
            Ending::Interrupted if !is_reached => Exit::Interrupted,
            Ending::Terminated if !is_reached => Exit::Terminated,
            _ if state.refused > 0 || lost > 0 => Exit::Failed,
            _ => expected.judge(counted, ending == Ending::CommandEnded),
        };
        let summary = Summary {
            wanted: expected.count,
            saved: capture.map(|capture| capture.saved),
            lost,
            retries: state.retries.report(self.clock.now()),
            ending,
            exit,
            ..state.summary.clone()
        };
        (self.tell)(Event::Finished(summary.clone()));
        summary
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Poisoning is ignored: a panic leaves the counters and the capture file valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn relate(&mut self, exchange: &mut Exchange) -> Fingerprint {
        let (request, cdr) = (&exchange.request, exchange.cdr.as_ref());
        let relations = &mut self.relations;
        let (identity, relation, remark) =
            relations.relate(exchange.n, exchange.received_at, request, cdr);
        exchange.related.extend(relation);
        exchange.verdict.remarks.extend(remark);
        self.retries.recognise(identity, exchange);
        identity
    }
}

#[cfg(test)]
mod tests;
