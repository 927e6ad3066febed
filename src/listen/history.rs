//! The last exchanges, for the inspector: a bounded ring, and subscriptions that see each exchange once and in order.
//!
//! A subscription holds no exchanges of its own. A slow subscriber misses the oldest, is told so, and delays nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::event::Event;
use super::redact::{Redactor, hide_secrets};
use crate::cdr::Fields;
use crate::cdr::meaning::meaning;
use crate::exchange::Exchange;
use crate::ndjson;
use crate::net::Request;
use crate::net::secret::{masked_headers, masked_url};

/// Upper limits; the oldest exchanges go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    pub exchanges: usize,
    /// Of records and bodies.
    pub bytes: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            exchanges: 1000,
            bytes: 64 * 1024 * 1024,
        }
    }
}

#[derive(Debug)]
pub struct History {
    limits: HistoryLimits,
    ring: Mutex<Ring>,
    /// Wakes the subscribers.
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Ring {
    /// In ascending order of their numbers, which may have gaps.
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The number of the newest exchange, or 0.
    newest: u64,
    /// Whether the listener has finished.
    is_finished: bool,
    /// For downloads, with `--redact`.
    redactor: Option<Redactor>,
}

/// An exchange without its parsed fields, which may take many times the memory of the body.
#[derive(Debug)]
pub struct Entry {
    pub n: u64,
    pub request: Request,
    /// The record as in a capture: a line.
    pub record: Bytes,
    /// The record with secrets masked: a line, shared with `record` where nothing is masked.
    shown: Bytes,
    meaning: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The newest exchange, or 0.
    pub newest: u64,
    /// The oldest exchange that is kept, else the next one to come.
    pub oldest_kept: u64,
}

#[derive(Debug)]
pub enum Update {
    Exchange(Arc<Entry>),
    /// Earlier exchanges are not kept any more.
    Forgotten {
        oldest_kept: u64,
    },
    /// The listener has finished.
    Finished,
}

pub struct Subscription {
    history: Arc<History>,
    /// The last exchange that was seen.
    seen: u64,
    /// As last seen.
    oldest_kept: u64,
    changes: watch::Receiver<()>,
}

impl History {
    #[must_use]
    pub fn new(limits: HistoryLimits, redactor: Option<Redactor>) -> Self {
        let ring = Ring {
            redactor,
            ..Ring::default()
        };
        Self {
            limits,
            ring: Mutex::new(ring),
            changes: watch::Sender::new(()),
        }
    }

    pub fn push(&self, event: &Event) {
        match event {
            Event::Exchange(exchange, line) => {
                self.ring().push(exchange, line.as_ref(), self.limits);
            }
            Event::Finished(_) => self.ring().is_finished = true,
            _ => return,
        }
        self.changes.send_replace(());
    }

    #[must_use]
    pub fn limits(&self) -> HistoryLimits {
        self.limits
    }

    #[must_use]
    pub fn extent(&self) -> Extent {
        let ring = self.ring();
        Extent {
            newest: ring.newest,
            oldest_kept: ring.oldest_kept(),
        }
    }

    #[must_use]
    pub fn get(&self, n: u64) -> Option<Arc<Entry>> {
        let ring = self.ring();
        let place = ring.entries.binary_search_by_key(&n, |entry| entry.n);
        ring.entries.get(place.ok()?).map(Arc::clone)
    }

    /// The oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.ring().entries.iter().map(Arc::clone).collect()
    }

    /// Subscribes to the exchanges after number `seen`.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, seen: u64) -> (Subscription, Extent) {
        let extent = self.extent();
        let subscription = Subscription {
            history: Arc::clone(self),
            seen,
            oldest_kept: extent.oldest_kept,
            changes: self.changes.subscribe(),
        };
        (subscription, extent)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // A panic leaves the ring valid after every step.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, exchange: &Exchange, line: Option<&Bytes>, limits: HistoryLimits) {
        let line = line
            .cloned()
            .unwrap_or_else(|| ndjson::line("exchange", exchange).into());
        let masked = masked(exchange).map(|masked| ndjson::line("exchange", &masked).into());
        let entry = Entry {
            n: exchange.n,
            request: exchange.request.clone(),
            shown: masked.unwrap_or_else(|| line.clone()),
            record: match &mut self.redactor {
                None => line,
                Some(redactor) => ndjson::line("exchange", &redactor.redacted(exchange)).into(),
            },
            meaning: meaning(
                &exchange.verdict,
                exchange.cdr.as_ref().unwrap_or(&Fields::new()),
            ),
        };
        self.bytes += entry.bytes();
        self.newest = entry.n;
        self.entries.push_back(Arc::new(entry));
        while self.entries.len() > limits.exchanges || self.bytes > limits.bytes {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
    }

    fn oldest_kept(&self) -> u64 {
        self.entries
            .front()
            .map_or(self.newest + 1, |oldest| oldest.n)
    }
}

impl Entry {
    /// The masked record and its meaning, as one line of JSON.
    #[must_use]
    pub fn shown(&self) -> Vec<u8> {
        let meaning = ndjson::safe_json(&self.meaning);
        [
            b"{\"exchange\":",
            self.shown.trim_ascii_end(),
            b",\"meaning\":",
            meaning.as_bytes(),
            b"}",
        ]
        .concat()
    }

    fn bytes(&self) -> usize {
        let is_shared = self.shown.as_ptr() == self.record.as_ptr();
        let shown = if is_shared { 0 } else { self.shown.len() };
        self.record.len() + self.request.body.len() + shown
    }
}

impl Subscription {
    /// The next update, if there is one by now.
    pub fn poll(&mut self) -> Option<Update> {
        let ring = self.history.ring();
        let oldest_kept = ring.oldest_kept();
        if oldest_kept > self.oldest_kept {
            self.oldest_kept = oldest_kept;
            return Some(Update::Forgotten { oldest_kept });
        }
        let next = ring.entries.partition_point(|entry| entry.n <= self.seen);
        if let Some(entry) = ring.entries.get(next) {
            self.seen = entry.n;
            return Some(Update::Exchange(Arc::clone(entry)));
        }
        ring.is_finished.then_some(Update::Finished)
    }

    /// Waits for the next update. `Finished` repeats.
    pub async fn next(&mut self) -> Update {
        loop {
            // Before the poll, so that a later change wakes this task again.
            self.changes.mark_unchanged();
            if let Some(update) = self.poll() {
                return update;
            }
            // No error: `history` holds the sender.
            let _ = self.changes.changed().await;
        }
    }
}

/// The exchange with secrets masked as on the screen; `None` if there are none.
fn masked(exchange: &Exchange) -> Option<Exchange> {
    let request = &exchange.request;
    let mut cdr = exchange.cdr.clone();
    // The fields of a GET repeat the query.
    if request.method == "GET"
        && let Some(cdr) = &mut cdr
    {
        hide_secrets(cdr);
    }
    let target = masked_url(&request.target);
    let headers = masked_headers(request.headers.clone());
    if target == request.target && headers == request.headers && cdr == exchange.cdr {
        return None;
    }
    let request = Request {
        target,
        headers,
        ..request.clone()
    };
    Some(Exchange {
        request,
        cdr,
        ..exchange.clone()
    })
}

#[cfg(test)]
pub(super) mod tests;
