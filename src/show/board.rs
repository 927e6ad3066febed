//! The board between a mode and its show: events are pinned to it, and a thread of its own shows them in order, so
//! that a terminal or pipe that nobody reads never holds up the mode's own thread.
//!
//! What strangers cause is pinned only while there is room, and lost beyond that. What we cause ourselves is always
//! pinned: whoever causes it asks for [`Board::room`] first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use super::Show;
use crate::cdr::Fields;
use crate::cdr::remark::Remark;
use crate::wire::Header;
use crate::{listen, send};

/// An event of either mode.
#[derive(Debug)]
pub enum Notice {
    /// Of `listen`.
    Received(listen::event::Event),
    /// Of `send`.
    Sent(send::event::Event),
    /// Of `send --suite`.
    Suite(send::suite::event::Event),
}

/// As much as may wait to be shown, in bytes of memory.
const MOST_WAITING: usize = 64 * 1024 * 1024;

/// What a notice costs besides what strangers may make large: its other fields, roughly.
const COST_OF_A_NOTICE: usize = 2 * 1024;

/// What a header, a field or a remark costs besides its text.
const COST_OF_AN_ENTRY: usize = 128;

/// Where events are pinned. Clones pin to the same board.
#[derive(Debug, Clone)]
pub struct Board {
    /// Notices and what they cost.
    notices: mpsc::Sender<(Notice, usize)>,
    waiting: Arc<Waiting>,
}

/// What waits to be shown.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    less: Notify,
}

/// The thread that shows what is pinned to a board.
pub struct Reader {
    done: oneshot::Receiver<Show>,
}

impl Board {
    /// A board and the thread that reads it.
    #[must_use]
    pub fn new(mut show: Show) -> (Self, Reader) {
        let (notices, pinned) = mpsc::channel();
        let (finished, done) = oneshot::channel();
        let waiting = Arc::new(Waiting::default());
        let board = Self { notices, waiting: Arc::clone(&waiting) };
        thread::spawn(move || {
            let mut next = pinned.recv().ok();
            while let Some((notice, cost)) = next {
                match &notice {
                    Notice::Received(event) => show.received(event),
                    Notice::Sent(event) => show.sent(event),
                    Notice::Suite(event) => show.suite(event),
                }
                drop(notice);
                waiting.bytes.fetch_sub(cost, Ordering::Relaxed);
                waiting.less.notify_waiters();
                // Many at once are written together, the last one at once: a person sees an event when it happens.
                next = pinned.try_recv().ok().or_else(|| {
                    show.flush();
                    pinned.recv().ok()
                });
            }
            show.flush();
            // Nobody waits for it any more if the program is in a hurry to end.
            let _ = finished.send(show);
        });
        (board, Reader { done })
    }

    /// Pins a notice if there is room; false if there is none, and it is lost.
    #[must_use]
    pub fn pin_if_room(&self, notice: Notice) -> bool {
        let room = self.waiting.bytes.load(Ordering::Relaxed) <= MOST_WAITING;
        if room {
            self.pin(notice);
        }
        room
    }

    /// Pins a notice in any case.
    pub fn pin(&self, notice: Notice) {
        let cost = cost(&notice);
        self.waiting.bytes.fetch_add(cost, Ordering::Relaxed);
        // The reader ends only when every board is gone.
        let _ = self.notices.send((notice, cost));
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        loop {
            let less = self.waiting.less.notified();
            if self.waiting.bytes.load(Ordering::Relaxed) <= MOST_WAITING {
                return;
            }
            less.await;
        }
    }
}

impl Reader {
    /// Waits until everything pinned has been shown, and gives the show back. That may take for ever, if nobody reads
    /// what is shown.
    pub async fn finish(self) -> Option<Show> {
        self.done.await.ok()
    }
}

/// What a notice costs while it waits, in bytes of memory. Strangers choose what is in it, so nothing is assumed.
fn cost(notice: &Notice) -> usize {
    let more = match notice {
        Notice::Received(listen::event::Event::Exchange(exchange, line)) => {
            received(exchange) + line.as_ref().map_or(0, Bytes::len)
        }
        Notice::Sent(send::event::Event::Delivery(delivery)) => {
            let responses = delivery.attempts.iter().filter_map(|attempt| attempt.response.as_ref());
            let responses: usize =
                responses.map(|response| headers(&response.headers) + response.body.len()).sum();
            responses + delivery.cdr.as_ref().map_or(0, fields)
        }
        _ => 0,
    };
    COST_OF_A_NOTICE + more
}

fn received(exchange: &listen::event::Exchange) -> usize {
    let request = &exchange.request;
    let remark = |remark: &Remark| {
        let field = remark.field.as_ref().map_or(0, |field| field.as_it_came().len());
        COST_OF_AN_ENTRY + field + remark.text.as_it_came().len()
    };
    request.method.len()
        + request.target.len()
        + headers(&request.headers)
        + request.body.len()
        + exchange.cdr.as_ref().map_or(0, fields)
        + exchange.verdict.remarks.iter().map(remark).sum::<usize>()
}

fn headers(headers: &[Header]) -> usize {
    headers.iter().map(|header| COST_OF_AN_ENTRY + header.name.len() + header.value.len()).sum()
}

/// Small values in a body of their own size: two bytes of JSON may become a value of a hundred.
fn fields(fields: &Fields) -> usize {
    fields.iter().map(|(name, value)| COST_OF_AN_ENTRY + name.len() + weight(value)).sum()
}

fn weight(value: &Value) -> usize {
    let more = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(members) => fields(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    // A list that grew has room for up to as many again.
    2 * size_of::<Value>() + more
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_from_a_body_costs_what_it_takes() {
        let many = json!({"leg": "a", "x": vec![0; 100_000]});
        let cost = fields(many.as_object().unwrap());
        assert!(cost >= 100_000 * size_of::<Value>(), "{cost}");
    }

    #[test]
    fn a_large_head_costs_what_it_takes() {
        let large: Vec<_> = (0..100).map(|n| Header::new(format!("x-{n}"), "x".repeat(300))).collect();
        assert!(headers(&large) > 100 * 300);
    }
}
