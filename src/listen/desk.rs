//! The desk: where exchanges arrive one at a time. Numbering, relating, saving, telling and counting are one short step
//! under one lock, which waits for nothing but the kernel's taking of the saved line.

use std::collections::HashMap;
use std::mem::Discriminant;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::answer::{Decision, Outcome};
use super::claim::{self, Claims};
use super::door::{self, Arrival, Reply};
use super::event::{self, Ending, Event, Exchange, Summary};
use super::keep::{self, Keeper, Kept};
use super::relate::Relations;
use super::retries::Retries;
use super::wanted::Wanted;
use crate::clock::Clock;
use crate::error::Exit;
use crate::untrusted::Untrusted;
use crate::wire::record;

/// How often mishaps are told of, however many there are.
const MISHAPS_EVERY: Duration = Duration::from_secs(1);

/// What tells events; false if one could not be shown.
pub type Tell = Box<dyn Fn(Event) -> bool + Send + Sync>;

/// See the module.
pub struct Desk {
    /// The run's clock.
    pub clock: Clock,
    wanted: Wanted,
    claims: Claims,
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
    counted: u64,
    remarks: u64,
    refused: u64,
    dropped: u64,
    malformed: u64,
    /// Mishaps, by their kind.
    mishaps: HashMap<Discriminant<door::Mishap>, Untold>,
    /// Saves exchanges, if they are to be saved.
    keeper: Option<Keeper>,
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
    /// A desk that waits for what is wanted, or for ever.
    #[must_use]
    pub fn new(wanted: Wanted, claims: Claims, clock: Clock, tell: Tell) -> Self {
        Self {
            clock,
            wanted,
            claims,
            arrivals: AtomicU64::new(0),
            book: Mutex::default(),
            enough: Notify::new(),
            tell,
        }
    }

    /// The same desk with exchanges saved before they are answered.
    #[must_use]
    pub fn keeping(self, keeper: Option<Keeper>) -> Self {
        self.book().keeper = keeper;
        self
    }

    /// Tells an event; nothing else happens at the desk meanwhile.
    pub fn tell(&self, event: Event) {
        let mut book = self.book();
        self.tell_in(&mut book, event);
    }

    fn tell_in(&self, book: &mut Book, event: Event) {
        let exchange = matches!(event, Event::Exchange(..));
        if !(self.tell)(event) && exchange {
            book.dropped += 1;
        }
    }

    /// The number of a request in the order of arrival, from one.
    pub fn next_arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Resolves when the wanted number of CDRs has come and the time is over in which one too many may come, or one has.
    pub async fn settled(&self) {
        self.enough.notified().await;
        let one_too_many = async {
            while self.wanted.count.is_some_and(|count| self.book().counted <= count) {
                self.enough.notified().await;
            }
        };
        // That the time runs out is how it should end.
        let _ = tokio::time::timeout(self.wanted.settle, one_too_many).await;
    }

    /// Writes an exchange down, and gives what goes back to its sender: nothing good, if it could not be saved.
    #[must_use]
    pub fn record(&self, arrival: Arrival, decision: Decision, outcome: Outcome, took: Duration) -> Reply {
        let Decision { judgement, refused, .. } = decision;
        let (mut verdict, fields) = (judgement.verdict, judgement.fields);
        let is_cdr = verdict.kind.is_cdr();
        let cdr = fields.filter(|_| is_cdr);
        let mismatch = cdr.as_ref().and_then(|cdr| self.wanted.mismatch(cdr));
        let counts = cdr.is_some() && mismatch.is_none();
        let claimed = match self.claims {
            Claims::Shown => claim::claimed(&arrival.request.headers),
            Claims::Ignored => None,
        };
        let mut book = self.book();
        book.exchanges += 1;
        let n = book.exchanges;
        let related = cdr
            .as_ref()
            .map(|cdr| book.relations.relate(n, arrival.at, &arrival.request, cdr))
            .unwrap_or_default();
        verdict.remarks.extend(related.remarks);
        book.cdrs += u64::from(is_cdr);
        book.counted += u64::from(counts);
        book.refused += u64::from(refused);
        // It could not even be read, and the door has refused it already.
        let is_answered = matches!(arrival.trouble, Some(door::Trouble::Malformed(_)));
        let mut reply = outcome.reply;
        let mut exchange = Exchange {
            n,
            received_at: arrival.at,
            peer: arrival.peer.to_string(),
            claimed,
            request: arrival.request,
            verdict,
            cdr,
            related: related.relations,
            uncounted: mismatch.map(Untrusted::new),
            answer: outcome.answer,
            took_ms: record::ms(took),
        };
        book.retries.recognise(&mut exchange);
        book.remarks += exchange.verdict.remarks.len() as u64;
        let kept = self.keep_in(&mut book, &exchange);
        let (why, line) = kept.map_or((None, None), |kept| (kept.failure, kept.line));
        if let Some(why) = why {
            if matches!(reply, Reply::Respond(_) | Reply::Drip(_)) && !is_answered {
                let response = keep::unsaved();
                exchange.answer.status = Some(response.status);
                exchange.answer.fault = None;
                reply = Reply::Respond(response);
            }
            exchange.answer.unsaved = Some(why);
        }
        if book.retries.concerns(&exchange) {
            book.retries.note(&exchange, self.clock.now());
        }
        self.tell_in(&mut book, Event::Exchange(Arc::new(exchange), line));
        if counts && self.wanted.count.is_some_and(|count| book.counted >= count) {
            self.enough.notify_one();
        }
        reply
    }

    /// Saves an exchange if it is to be saved; gives what came of it.
    fn keep_in(&self, book: &mut Book, exchange: &Exchange) -> Option<Kept> {
        let mut kept = book.keeper.as_mut()?.keep(exchange, self.clock.elapsed());
        for warning in kept.warnings.drain(..) {
            self.tell_in(book, Event::Warning(warning));
        }
        Some(kept)
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
        if let Some(warning) = book.keeper.as_mut().and_then(Keeper::finish) {
            self.tell_in(&mut book, Event::Warning(warning));
        }
        let lost = book.keeper.as_ref().map_or(0, Keeper::lost);
        let counted = book.counted;
        let reached = self.wanted.is_reached(counted);
        let exact = ending == Ending::CommandEnded;
        let checked =
            if book.refused > 0 || lost > 0 { Exit::Failed } else { self.wanted.judge(counted, exact) };
        let exit = match ending {
            Ending::TimedOut if !reached => Exit::TimedOut,
            Ending::Interrupted if !reached => Exit::Interrupted,
            Ending::Terminated if !reached => Exit::Terminated,
            _ => checked,
        };
        let summary = Summary {
            exchanges: book.exchanges,
            cdrs: book.cdrs,
            counted,
            wanted: self.wanted.count,
            remarks: book.remarks,
            dropped: book.dropped,
            malformed: book.malformed,
            command: None,
            tunnel_ended: false,
            saved: book.keeper.as_ref().map(|keeper| keeper.saved),
            lost,
            retries: book.retries.report(self.clock.now()),
            ending,
            exit,
        };
        self.tell_in(&mut book, Event::Finished(summary.clone()));
        summary
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // After a panic while the lock was held one exchange may be counted and not told; what comes next is right again.
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
