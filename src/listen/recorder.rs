//! Records exchanges, one at a time under one lock: number, relate, save, report, count. The order is the same on screen, on
//! file and in the history, and an exchange is on file before its answer leaves.

use std::collections::HashMap;
use std::convert::Infallible;
use std::mem::Discriminant;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::capture::{self, Capture};
use super::event::{ConnectionErrors, Ending, Event, Summary};
use super::expect::ExpectedCdrs;
use super::relate::Relations;
use super::respond::{Decision, claimed};
use super::retries::Retries;
use super::server::{ConnectionError, IncomingRequest, Reply};
use crate::clock::Clock;
use crate::error::Exit;
use crate::exchange::{Answer, Exchange};
use crate::ndjson;
use crate::untrusted::Untrusted;

/// Upper rate of the events about each kind of connection error.
const ERROR_INTERVAL: Duration = Duration::from_secs(1);

/// Takes events; false if an event could not be shown.
pub type Tell = Box<dyn Fn(Event) -> bool + Send + Sync>;

pub struct Recorder {
    pub clock: Clock,
    expected: ExpectedCdrs,
    trust_proxy: bool,
    state: Mutex<State>,
    /// An expected CDR came, and the expected number is reached.
    reached: Notify,
    /// The rate limit holds a connection error back.
    held_back: Notify,
    tell: Tell,
}

#[derive(Default)]
struct State {
    relations: Relations,
    retries: Retries,
    capture: Option<Capture>,
    exchanges: u64,
    cdrs: u64,
    counted: u64,
    remarks: u64,
    refused: u64,
    dropped: u64,
    malformed: u64,
    errors: HashMap<Discriminant<ConnectionError>, ErrorRate>,
}

/// The rate limit of one kind of connection error.
#[derive(Default)]
struct ErrorRate {
    /// Errors since the last event.
    held_back: ConnectionErrors,
    last_event: Option<Instant>,
}

impl ErrorRate {
    fn is_due(&self) -> bool {
        self.last_event
            .is_none_or(|last| last.elapsed() >= ERROR_INTERVAL)
    }

    fn take(&mut self) -> Event {
        self.last_event = Some(Instant::now());
        Event::ConnectionErrors(std::mem::take(&mut self.held_back))
    }
}

impl Recorder {
    #[must_use]
    pub fn new(
        expected: ExpectedCdrs,
        trust_proxy: bool,
        capture: Option<Capture>,
        clock: Clock,
        tell: Tell,
    ) -> Self {
        let state = State {
            capture,
            ..State::default()
        };
        Self {
            clock,
            expected,
            trust_proxy,
            state: Mutex::new(state),
            reached: Notify::new(),
            held_back: Notify::new(),
            tell,
        }
    }

    /// Records an exchange, and gives the reply: 503 instead of an answer if the exchange could not be saved.
    pub fn record(
        &self,
        incoming: IncomingRequest,
        decision: Decision,
        mut reply: Reply,
        answer: Answer,
        took: Duration,
    ) -> Reply {
        let Decision {
            judgement, refused, ..
        } = decision;
        let verdict = judgement.verdict;
        let cdr = judgement.fields.filter(|_| verdict.kind.is_cdr());
        let mismatch = cdr.as_ref().and_then(|cdr| self.expected.mismatch(cdr));
        let counts = cdr.is_some() && mismatch.is_none();
        let is_answered = incoming.is_answered();
        let mut exchange = Exchange {
            n: 0,
            received_at: incoming.at,
            peer: incoming.peer.to_string(),
            claimed: self
                .trust_proxy
                .then(|| claimed(&incoming.request.headers))
                .flatten(),
            request: incoming.request,
            verdict,
            cdr,
            related: Vec::new(),
            uncounted: mismatch.map(Untrusted::new),
            answer,
            took_ms: ndjson::ms(took),
        };
        let mut state = self.state();
        state.enter(&mut exchange);
        state.counted += u64::from(counts);
        state.refused += u64::from(refused);
        let line = self.save(&mut state, &mut exchange, &mut reply, is_answered);
        state.retries.note(&exchange, self.clock.now());
        self.tell_in(&mut state, Event::Exchange(Arc::new(exchange), line));
        let expected = self.expected.count;
        if counts && expected.is_some_and(|count| state.counted >= count) {
            self.reached.notify_one();
        }
        reply
    }

    /// Returns the line as it is on file.
    fn save(
        &self,
        state: &mut State,
        exchange: &mut Exchange,
        reply: &mut Reply,
        is_answered: bool,
    ) -> Option<Bytes> {
        let capture = state.capture.as_mut()?;
        let appended = capture.append(exchange, self.clock.elapsed());
        for warning in appended.warnings {
            self.tell_in(state, Event::Warning(warning));
        }
        if let Some(failure) = appended.failure {
            if reply.status().is_some() && !is_answered {
                let response = capture::unsaved();
                exchange.answer.status = Some(response.status);
                exchange.answer.fault = None;
                *reply = Reply::Respond(response);
            }
            exchange.answer.unsaved = Some(failure);
        }
        appended.line
    }

    /// Passes an event on, in order with the exchanges.
    pub fn tell(&self, event: Event) {
        self.tell_in(&mut self.state(), event);
    }

    fn tell_in(&self, state: &mut State, event: Event) {
        let is_exchange = matches!(event, Event::Exchange(..));
        if !(self.tell)(event) && is_exchange {
            state.dropped += 1;
        }
    }

    /// Resolves when the expected number of CDRs has come and `--settle` is over, or when one CDR more has come.
    pub async fn settled(&self) {
        self.reached.notified().await;
        let one_too_many = async {
            let count = self.expected.count.unwrap_or_default();
            while self.state().counted <= count {
                self.reached.notified().await;
            }
        };
        let _ = tokio::time::timeout(self.expected.settle, one_too_many).await;
    }

    /// Counts a connection that failed before a request could be read.
    pub fn connection_error(&self, peer: Option<SocketAddr>, error: &ConnectionError) {
        if is_harmless(error) {
            return;
        }
        let mut state = self.state();
        // A connection that could not be accepted is no malformed message.
        state.malformed += u64::from(!matches!(error, ConnectionError::NotAccepted(_)));
        let rate = state
            .errors
            .entry(std::mem::discriminant(error))
            .or_default();
        rate.held_back.count += 1;
        rate.held_back.text = match peer {
            Some(peer) => format!("{peer}: {error}"),
            None => error.to_string(),
        };
        if rate.is_due() {
            let event = rate.take();
            self.tell_in(&mut state, event);
        } else {
            self.held_back.notify_one();
        }
    }

    /// Reports connection errors that the rate limit holds back, as soon as it allows.
    pub async fn report_held_back(&self) -> Infallible {
        loop {
            self.held_back.notified().await;
            tokio::time::sleep(ERROR_INTERVAL).await;
            let mut state = self.state();
            if !self.report_errors(&mut state, ErrorRate::is_due) {
                self.held_back.notify_one();
            }
        }
    }

    /// False if some errors are still held back.
    fn report_errors(&self, state: &mut State, is_due: fn(&ErrorRate) -> bool) -> bool {
        let held_back = |rate: &&mut ErrorRate| rate.held_back.count > 0;
        let (due, later): (Vec<_>, Vec<_>) = state
            .errors
            .values_mut()
            .filter(held_back)
            .partition(|rate| is_due(rate));
        let is_all = later.is_empty();
        let events: Vec<_> = due.into_iter().map(ErrorRate::take).collect();
        for event in events {
            self.tell_in(state, event);
        }
        is_all
    }

    /// Reports what is held back, and the summary.
    #[must_use]
    pub fn finish(&self, ending: Ending) -> Summary {
        let mut state = self.state();
        self.report_errors(&mut state, |_| true);
        if let Some(warning) = state.capture.as_mut().and_then(Capture::finish) {
            self.tell_in(&mut state, Event::Warning(warning));
        }
        let lost = state.capture.as_ref().map_or(0, Capture::lost);
        let counted = state.counted;
        let is_reached = self.expected.is_reached(counted);
        let exit = match ending {
            Ending::TimedOut if !is_reached => Exit::TimedOut,
            Ending::Interrupted if !is_reached => Exit::Interrupted,
            Ending::Terminated if !is_reached => Exit::Terminated,
            _ if state.refused > 0 || lost > 0 => Exit::Failed,
            _ => self.expected.judge(counted, ending == Ending::CommandEnded),
        };
        let summary = Summary {
            exchanges: state.exchanges,
            cdrs: state.cdrs,
            counted,
            wanted: self.expected.count,
            remarks: state.remarks,
            dropped: state.dropped,
            malformed: state.malformed,
            command: None,
            tunnel_ended: false,
            saved: state.capture.as_ref().map(|capture| capture.saved),
            lost,
            retries: state.retries.report(self.clock.now()),
            ending,
            exit,
        };
        self.tell_in(&mut state, Event::Finished(summary.clone()));
        summary
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic during an exchange concerns that exchange alone: the counters and the file stay valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives an exchange its number and its relations.
    fn enter(&mut self, exchange: &mut Exchange) {
        self.exchanges += 1;
        exchange.n = self.exchanges;
        if let Some(cdr) = &exchange.cdr {
            self.cdrs += 1;
            let (n, at) = (exchange.n, exchange.received_at);
            let related = self.relations.relate(n, at, &exchange.request, cdr);
            if let Some((relation, remark)) = related {
                exchange.related.push(relation);
                exchange.verdict.remarks.extend(remark);
            }
        }
        self.retries.recognise(exchange);
        self.remarks += exchange.verdict.remarks.len() as u64;
    }
}

/// Whether a connection error is expected: browsers open connections in advance, and idle connections are closed.
fn is_harmless(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::Silent | ConnectionError::MadeRoom | ConnectionError::Stopped
    )
}

#[cfg(test)]
mod tests;
