//! The desk: where exchanges arrive one at a time. Numbering, relating, telling and counting are one short step under
//! one lock, which never waits on anything else.

use std::collections::HashMap;
use std::mem::Discriminant;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::answer::Decision;
use super::door::{self, Arrival, Reply};
use super::event::{self, Ending, Event, Exchange, Summary};
use super::reception::Outcome;
use super::relate::Relations;
use super::retries::Retries;
use crate::clock::Clock;
use crate::error::Exit;
use crate::wire::record;

/// How often mishaps are told of, however many there are.
const MISHAPS_EVERY: Duration = Duration::from_secs(1);

/// What tells events; false if one could not be shown.
pub type Tell = Box<dyn Fn(Event) -> bool + Send + Sync>;

/// See the module.
pub struct Desk {
    /// The run's clock.
    pub clock: Clock,
    wanted: Option<u64>,
    arrivals: AtomicU64,
    book: Mutex<Book>,
    enough: Notify,
    tell: Tell,
}

/// What has been written down so far.
#[derive(Default)]
struct Book {
    relations: Relations,
    retries: Retries,
    exchanges: u64,
    cdrs: u64,
    remarks: u64,
    refused: u64,
    dropped: u64,
    malformed: u64,
    /// Mishaps, by their kind.
    mishaps: HashMap<Discriminant<door::Mishap>, Untold>,
}

/// Mishaps of one kind that have not been told of yet.
#[derive(Default)]
struct Untold {
    count: u64,
    /// When the last one was told of.
    told: Option<Duration>,
    /// What the latest was.
    latest: String,
}

impl Desk {
    /// A desk that waits for so many CDRs, or for ever.
    #[must_use]
    pub fn new(wanted: Option<u64>, clock: Clock, tell: Tell) -> Self {
        Self {
            clock,
            wanted,
            arrivals: AtomicU64::new(0),
            book: Mutex::default(),
            enough: Notify::new(),
            tell,
        }
    }

    /// Tells an event; nothing else happens at the desk meanwhile.
    pub fn tell(&self, event: Event) {
        let mut book = self.book();
        self.tell_in(&mut book, event);
    }

    fn tell_in(&self, book: &mut Book, event: Event) {
        let exchange = matches!(event, Event::Exchange(_));
        if !(self.tell)(event) && exchange {
            book.dropped += 1;
        }
    }

    /// The number of a request in the order of arrival, from one.
    pub fn next_arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Resolves when the wanted number of CDRs has come.
    pub async fn enough(&self) {
        self.enough.notified().await;
    }

    /// Writes an exchange down, and gives what goes back to its sender.
    #[must_use]
    pub fn record(&self, arrival: Arrival, decision: Decision, outcome: Outcome, took: Duration) -> Reply {
        let Decision { judgement, refused, .. } = decision;
        let (mut verdict, fields) = (judgement.verdict, judgement.fields);
        let is_cdr = verdict.kind.is_cdr();
        let cdr = fields.filter(|_| is_cdr);
        let mut book = self.book();
        book.exchanges += 1;
        let n = book.exchanges;
        let related = cdr
            .as_ref()
            .map(|cdr| book.relations.relate(n, arrival.at, &arrival.request, cdr))
            .unwrap_or_default();
        verdict.remarks.extend(related.remarks);
        book.cdrs += u64::from(is_cdr);
        book.refused += u64::from(refused);
        let mut exchange = Exchange {
            n,
            received_at: arrival.at,
            peer: arrival.peer.to_string(),
            claimed: None,
            request: arrival.request,
            verdict,
            cdr,
            related: related.relations,
            answer: outcome.answer,
            took_ms: record::ms(took),
        };
        book.retries.recognise(&mut exchange);
        book.remarks += exchange.verdict.remarks.len() as u64;
        book.retries.note(&exchange, self.clock.now());
        self.tell_in(&mut book, Event::Exchange(Arc::new(exchange)));
        if is_cdr && self.wanted == Some(book.cdrs) {
            self.enough.notify_one();
        }
        outcome.reply
    }

    /// Counts a connection that failed before its request could be read, and tells of it, but not too often.
    pub fn mishap(&self, peer: Option<SocketAddr>, mishap: &door::Mishap) {
        let text = match peer {
            Some(peer) => format!("{peer}: {mishap}"),
            None => mishap.to_string(),
        };
        if is_harmless(mishap) {
            return;
        }
        let mut book = self.book();
        // That we could not accept is no fault of the message.
        book.malformed += u64::from(!matches!(mishap, door::Mishap::NotAccepted(_)));
        let now = self.clock.elapsed();
        let untold = book.mishaps.entry(std::mem::discriminant(mishap)).or_default();
        untold.count += 1;
        untold.latest = text;
        if untold.told.is_none_or(|told| now.saturating_sub(told) >= MISHAPS_EVERY) {
            untold.told = Some(now);
            let told = untold.take();
            self.tell_in(&mut book, Event::Mishap(told));
        }
    }

    /// Closes the desk: tells what is still untold, and the summary.
    #[must_use]
    pub fn finish(&self, ending: Ending) -> Summary {
        let mut book = self.book();
        let untold: Vec<_> =
            book.mishaps.values_mut().filter(|untold| untold.count > 0).map(Untold::take).collect();
        for mishap in untold {
            self.tell_in(&mut book, Event::Mishap(mishap));
        }
        let reached = self.wanted.is_none_or(|wanted| book.cdrs >= wanted);
        let checked = if book.refused > 0 { Exit::Failed } else { Exit::Success };
        let exit = match ending {
            Ending::TimedOut if !reached => Exit::TimedOut,
            Ending::Interrupted if !reached => Exit::Interrupted,
            Ending::Terminated if !reached => Exit::Terminated,
            _ => checked,
        };
        let summary = Summary {
            exchanges: book.exchanges,
            cdrs: book.cdrs,
            counted: book.cdrs,
            wanted: self.wanted,
            remarks: book.remarks,
            dropped: book.dropped,
            malformed: book.malformed,
            retries: book.retries.report(self.clock.now()),
            ending,
            exit,
        };
        self.tell_in(&mut book, Event::Finished(summary.clone()));
        summary
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic while the lock was held cannot leave the book half written: every step is a plain assignment.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Untold {
    /// What there is to tell, which is told thereby.
    fn take(&mut self) -> event::Mishap {
        event::Mishap { count: std::mem::take(&mut self.count), text: std::mem::take(&mut self.latest) }
    }
}

/// Whether a connection that ended is nobody's fault: opened in advance and never used, as browsers do, or idle when
/// others needed its place or the listener stopped.
fn is_harmless(mishap: &door::Mishap) -> bool {
    matches!(mishap, door::Mishap::Silent | door::Mishap::MadeRoom | door::Mishap::Stopped)
}
