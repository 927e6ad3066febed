//! Keeps the latest exchanges for the inspector, in a ring buffer with a limit of exchanges and a limit of bytes.
//!
//! A subscription reads from the ring and buffers nothing. A slow subscriber misses the oldest exchanges, gets
//! [`Update::Forgotten`], and delays neither the listener nor other subscribers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::event::Event;
use super::redact::{Redactor, hide_secrets};
use crate::cdr::Fields;
use crate::exchange::{Exchange, Forwarded};
use crate::ndjson;
use crate::net::Request;
use crate::net::secret::masked_request;

#[derive(Debug)]
pub struct History {
    pub max_exchanges: usize,
    /// The limit counts the bytes of records and bodies together.
    pub max_bytes: usize,
    pub(super) ring: watch::Sender<Ring>,
}

#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Entries of the history are sorted by exchange number, and the numbers may have gaps.
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    newest: u64,
    is_finished: bool,
    /// With `--redact`, the redactor masks the captures that the inspector offers for download.
    redactor: Option<Redactor>,
}

/// An `Entry` has no parsed CDR fields, since these may take many times the memory of the body.
#[derive(Debug)]
pub struct Entry {
    pub n: u64,
    pub request: Request,
    pub record: Bytes,
    /// One line of JSON for the inspector's page: the record with secrets masked, and the meaning of the CDR.
    pub shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The number of the newest exchange, or 0 if there is none yet.
    pub newest: u64,
    /// The number of the oldest exchange in the ring, or of the next exchange if the ring is empty.
    pub oldest_kept: u64,
}

#[derive(Debug)]
pub enum Update {
    Exchange(Arc<Entry>),
    Forgotten(Extent),
    Finished,
}

pub struct Subscription {
    ring: watch::Receiver<Ring>,
    seen: u64,
    /// The extent of the ring at the last [`Update::Forgotten`], or when the subscription began.
    pub extent: Extent,
}

impl History {
    pub fn new(redactor: Option<Redactor>) -> Self {
        Self {
            max_exchanges: 1000,
            max_bytes: 64 * 1024 * 1024,
            ring: watch::Sender::new(Ring {
                redactor,
                ..Ring::default()
            }),
        }
    }

    pub fn push(&self, event: &Event) {
        self.ring.send_if_modified(|ring| {
            match event {
                Event::Exchange(exchange, line) => ring.push(exchange, line.as_ref()),
                Event::Finished(_) => ring.is_finished = true,
                _ => return false,
            }
            ring.shrink(self.max_exchanges, self.max_bytes);
            true
        });
    }

    pub fn get(&self, n: u64) -> Option<Arc<Entry>> {
        let ring = self.ring.borrow();
        let place = ring.entries.binary_search_by_key(&n, |entry| entry.n);
        ring.entries.get(place.ok()?).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.ring.borrow().entries.iter().cloned().collect()
    }

    pub fn subscribe(&self, seen: u64) -> Subscription {
        let ring = self.ring.subscribe();
        let extent = ring.borrow().extent();
        Subscription { ring, seen, extent }
    }
}

impl Ring {
    fn push(&mut self, exchange: &Exchange, line: Option<&Bytes>) {
        let record = match (&mut self.redactor, line) {
            (Some(redactor), _) => ndjson::line("exchange", &redactor.redacted(exchange)).into(),
            (None, Some(line)) => line.clone(),
            (None, None) => ndjson::line("exchange", exchange).into(),
        };
        let masked = ndjson::line("exchange", &masked(exchange));
        let masked = String::from_utf8_lossy(&masked);
        let fields = exchange.cdr.as_ref();
        let meaning = exchange.verdict.meaning(fields.unwrap_or(&Fields::new()));
        let meaning = ndjson::safe_json(&meaning);
        let entry = Entry {
            n: exchange.n,
            request: exchange.request.clone(),
            record,
            shown: format!(
                "{{\"exchange\":{},\"meaning\":{meaning}}}",
                masked.trim_end()
            ),
        };
        self.bytes += entry.bytes();
        self.newest = entry.n;
        self.entries.push_back(Arc::new(entry));
    }

    fn shrink(&mut self, max_exchanges: usize, max_bytes: usize) {
        while (self.entries.len() > max_exchanges || self.bytes > max_bytes)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
    }

    fn extent(&self) -> Extent {
        let oldest = self.entries.front();
        Extent {
            newest: self.newest,
            oldest_kept: oldest.map_or(self.newest + 1, |oldest| oldest.n),
        }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.record.len() + self.request.body.len() + self.shown.len()
    }
}

impl Subscription {
    pub fn poll(&mut self) -> Option<Update> {
        // `borrow_and_update` marks this version of the ring as seen: only a later change wakes `next`.
        let ring = self.ring.borrow_and_update();
        let extent = ring.extent();
        if extent.oldest_kept > self.extent.oldest_kept {
            self.extent = extent;
            return Some(Update::Forgotten(extent));
        }
        let next = ring.entries.partition_point(|entry| entry.n <= self.seen);
        if let Some(entry) = ring.entries.get(next) {
            self.seen = entry.n;
            return Some(Update::Exchange(Arc::clone(entry)));
        }
        ring.is_finished.then_some(Update::Finished)
    }

    /// Waits for the next update of the ring. After `Update::Finished`, each further call returns `Finished` again.
    pub async fn next(&mut self) -> Update {
        loop {
            if let Some(update) = self.poll() {
                return update;
            }
            if self.ring.changed().await.is_err() {
                return Update::Finished;
            }
        }
    }
}

/// Decompresses the body of a handler's response, and converts the body to UTF-8.
pub(super) fn decode(forwarded: &mut Forwarded) {
    if let Some(response) = &mut forwarded.response
        && let Ok(body) = response.decoded()
    {
        response.body = body.into_owned().into();
    }
}

/// Masks secrets in the target and headers of a request and, for a GET, in the fields of the CDR, and decodes the body of
/// the handler's response.
fn masked(exchange: &Exchange) -> Exchange {
    let mut masked = exchange.clone();
    masked.request = masked_request(&exchange.request);
    masked.answer.forwarded.iter_mut().for_each(decode);
    // The CDR fields of a GET are its query parameters, which may include a token.
    if exchange.request.method == "GET"
        && let Some(cdr) = &mut masked.cdr
    {
        cdr.iter_mut().for_each(|(k, v)| hide_secrets(k, v));
    }
    masked
}

#[cfg(test)]
pub(super) mod tests;
