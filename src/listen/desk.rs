//! The desk: where exchanges arrive one at a time. Numbering, relating, saving, telling and counting are one short step
//! under one lock, which waits for nothing but the kernel's taking of the saved lines. What is to be saved comes there by
//! the tray, several at a time.

mod tray;

use std::collections::HashMap;
use std::mem::Discriminant;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::claim::{self, Claims};
use super::event::{self, Ending, Event, Summary};
use super::keep::{self, Keeper, Kept};
use super::relate::{Marks, Relations};
use super::respond::{Decision, Outcome};
use super::retries::Retries;
use super::server::{self, IncomingRequest, Reply};
use super::wanted::Wanted;
use crate::clock::Clock;
use crate::error::Exit;
use crate::exchange::Exchange;
use crate::ndjson;
use crate::untrusted::Untrusted;
use tray::{Slip, Slips, Tray, Written};

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
    /// Makes what CDRs are remembered by.
    marks: Marks,
    /// Whether exchanges are saved before they are answered.
    saves: bool,
    tray: Mutex<Tray>,
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
    mishaps: HashMap<Discriminant<server::ConnectionError>, Untold>,
    /// Saves exchanges, if they are to be saved.
    keeper: Option<Keeper>,
    /// What was taken from the tray: nothing, while nobody has the book.
    slips: Slips,
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
        let book = Book::default();
        Self {
            clock,
            wanted,
            claims,
            arrivals: AtomicU64::new(0),
            marks: book.relations.marks(),
            saves: false,
            tray: Mutex::default(),
            book: Mutex::new(book),
            enough: Notify::new(),
            tell,
        }
    }

    /// The same desk with exchanges saved before they are answered.
    #[must_use]
    pub fn keeping(mut self, keeper: Option<Keeper>) -> Self {
        self.saves = keeper.is_some();
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

    /// The number of a request in the order of incoming, from one.
    pub fn next_arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Resolves when the wanted number of CDRs has come and the time is over in which one too many may come, or one has.
    pub async fn settled(&self) {
        self.enough.notified().await;
        let one_too_many = async {
            while self
                .wanted
                .count
                .is_some_and(|count| self.book().counted <= count)
            {
                self.enough.notified().await;
            }
        };
        // That the time runs out is how it should end.
        let _ = tokio::time::timeout(self.wanted.settle, one_too_many).await;
    }

    /// Writes an exchange down, and gives what goes back to its sender: nothing good, if it could not be saved.
    ///
    /// What is to be saved lies on the tray until all who are ready now have added to it; then it is written down together.
    /// Whoever stops waiting is written down too.
    pub fn record(
        &self,
        incoming: IncomingRequest,
        decision: Decision,
        outcome: Outcome,
        took: Duration,
    ) -> impl Future<Output = Reply> + Send {
        // All this is done by now, and not kept by whoever waits.
        let mut slip = self.slip(incoming, decision, outcome, took);
        let recorded = if self.saves {
            Err(Tray::put(self, slip))
        } else {
            let mut book = self.book();
            book.enter(&mut slip);
            let (reply, exchange) = self.conclude(&mut book, slip, Kept::default());
            drop(book);
            drop(exchange);
            Ok(reply)
        };
        async move {
            match recorded {
                Ok(reply) => reply,
                Err(ticket) => ticket.redeemed().await,
            }
        }
    }

    /// Everything about an exchange that can be said of it alone.
    fn slip(
        &self,
        incoming: IncomingRequest,
        decision: Decision,
        outcome: Outcome,
        took: Duration,
    ) -> Slip {
        let Decision {
            judgement, refused, ..
        } = decision;
        let (verdict, fields) = (judgement.verdict, judgement.fields);
        let cdr = fields.filter(|_| verdict.kind.is_cdr());
        let mismatch = cdr.as_ref().and_then(|cdr| self.wanted.mismatch(cdr));
        let counts = cdr.is_some() && mismatch.is_none();
        let claimed = match self.claims {
            Claims::Shown => claim::claimed(&incoming.request.headers),
            Claims::Ignored => None,
        };
        // It could not even be read, and the door has refused it already.
        let is_answered = matches!(incoming.error, Some(server::RequestError::Malformed(_)));
        let exchange = Exchange {
            n: 0,
            received_at: incoming.at,
            peer: incoming.peer.to_string(),
            claimed,
            request: incoming.request,
            verdict,
            cdr,
            related: Vec::new(),
            uncounted: mismatch.map(Untrusted::new),
            answer: outcome.answer,
            took_ms: ndjson::ms(took),
        };
        // It is done here because nobody waits for it here.
        let traces = exchange
            .cdr
            .as_ref()
            .map(|cdr| self.marks.traces(&exchange.request, cdr));
        Slip {
            exchange: Arc::new(exchange),
            traces,
            reply: outcome.reply,
            counts,
            refused,
            is_answered,
        }
    }

    /// Writes down what lies on the tray.
    fn clear_tray(&self) {
        self.clear_tray_in(&mut self.book());
    }

    fn clear_tray_in(&self, book: &mut Book) {
        // Nobody takes from the tray who has not got the book: whatever is gone from there has been written down when the
        // book is to be had again.
        self.tray().take(&mut book.slips);
        let mut slips = std::mem::take(&mut book.slips);
        for (slip, _) in &mut slips {
            book.enter(slip);
        }
        let mut kept = Vec::new();
        if let Some(keeper) = &mut book.keeper {
            keeper.begin();
            for (slip, _) in &slips {
                keeper.add(&slip.exchange);
            }
            kept = keeper.keep(self.clock.elapsed());
        }
        let mut kept = kept.into_iter();
        for (slip, back) in slips.drain(..) {
            // Whoever asked may have gone.
            let _ = back.send(self.conclude(book, slip, kept.next().unwrap_or_default()));
        }
        book.slips = slips;
    }

    /// Tells of an exchange that has been saved if it was to be.
    fn conclude(&self, book: &mut Book, slip: Slip, kept: Kept) -> Written {
        let Slip {
            mut exchange,
            mut reply,
            counts,
            is_answered,
            ..
        } = slip;
        for warning in kept.warnings {
            self.tell_in(book, Event::Warning(warning));
        }
        if let Some(why) = kept.failure {
            let answer = &mut Arc::make_mut(&mut exchange).answer;
            if matches!(reply, Reply::Respond(_) | Reply::Slow(_)) && !is_answered {
                let response = keep::unsaved();
                answer.status = Some(response.status);
                answer.fault = None;
                reply = Reply::Respond(response);
            }
            answer.unsaved = Some(why);
        }
        if book.retries.concerns(&exchange) {
            book.retries.note(&exchange, self.clock.now());
        }
        self.tell_in(book, Event::Exchange(Arc::clone(&exchange), kept.line));
        if counts && self.wanted.count.is_some_and(|count| book.counted >= count) {
            self.enough.notify_one();
        }
        (reply, exchange)
    }

    /// Counts a connection that failed before its request could be read, and tells of it, but not too often.
    pub fn mishap(&self, peer: Option<SocketAddr>, mishap: &server::ConnectionError) {
        let text = match peer {
            Some(peer) => format!("{peer}: {mishap}"),
            None => mishap.to_string(),
        };
        if is_harmless(mishap) {
            return;
        }
        let mut book = self.book();
        // That we could not accept is no fault of the message.
        book.malformed += u64::from(!matches!(mishap, server::ConnectionError::NotAccepted(_)));
        let now = self.clock.elapsed();
        let untold = book
            .mishaps
            .entry(std::mem::discriminant(mishap))
            .or_default();
        untold.count += 1;
        untold.latest = text;
        if untold
            .told
            .is_none_or(|told| now.saturating_sub(told) >= MISHAPS_EVERY)
        {
            untold.told = Some(now);
            let told = untold.take();
            self.tell_in(&mut book, Event::Mishap(told));
        }
    }

    /// Closes the desk: tells what is still untold, and the summary.
    #[must_use]
    pub fn finish(&self, ending: Ending) -> Summary {
        let mut book = self.book();
        self.clear_tray_in(&mut book);
        let untold: Vec<_> = book
            .mishaps
            .values_mut()
            .filter(|untold| untold.count > 0)
            .map(Untold::take)
            .collect();
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
        let checked = if book.refused > 0 || lost > 0 {
            Exit::Failed
        } else {
            self.wanted.judge(counted, exact)
        };
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

    fn tray(&self) -> MutexGuard<'_, Tray> {
        // What lies there is whole after every step.
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // After a panic while the lock was held one exchange may be counted and not told; what comes next is right again.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Gives an exchange its number, and holds it against the earlier ones.
    fn enter(&mut self, slip: &mut Slip) {
        let exchange = Arc::make_mut(&mut slip.exchange);
        self.exchanges += 1;
        exchange.n = self.exchanges;
        if let (Some(cdr), Some(traces)) = (&exchange.cdr, slip.traces.take()) {
            self.cdrs += 1;
            let (n, at, method) = (exchange.n, exchange.received_at, &exchange.request.method);
            let related = self.relations.relate(n, at, method, cdr, traces);
            exchange.related = related.relations;
            exchange.verdict.remarks.extend(related.remarks);
        }
        self.counted += u64::from(slip.counts);
        self.refused += u64::from(slip.refused);
        self.retries.recognise(exchange);
        self.remarks += exchange.verdict.remarks.len() as u64;
    }
}

impl Untold {
    /// What there is to tell, which is told thereby.
    fn take(&mut self) -> event::Mishap {
        event::Mishap {
            count: std::mem::take(&mut self.count),
            text: std::mem::take(&mut self.latest),
        }
    }
}

/// Whether a connection that ended is nobody's fault: opened in advance and never used, as browsers do, or idle when
/// others needed its place or the listener stopped.
fn is_harmless(mishap: &server::ConnectionError) -> bool {
    matches!(
        mishap,
        server::ConnectionError::Silent
            | server::ConnectionError::MadeRoom
            | server::ConnectionError::Stopped
    )
}

#[cfg(test)]
mod tests;
