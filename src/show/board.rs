//! The board between a mode and its show: events are pinned to it, and a thread of its own shows them in order, so
//! that a terminal or pipe that nobody reads never holds up the mode's own thread.
//!
//! What strangers cause is pinned only while there is room, and lost beyond that. What we cause ourselves is always
//! pinned: whoever causes it asks for [`Board::room`] first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use serde_json::{Map, Value};
use tokio::sync::{Notify, oneshot};

use super::Show;
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

/// What a notice costs besides what strangers fill: its other fields, roughly.
const COST_OF_A_NOTICE: usize = 4 * 1024;

/// What a value costs besides its text, its place in a list or among members included. A body of two bytes a value
/// costs dozens of times its own length.
const COST_OF_A_VALUE: usize = 2 * size_of::<Value>();

/// Where events are pinned. Clones pin to the same board.
#[derive(Debug, Clone)]
pub struct Board {
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
                // Gone before its room is given to another.
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

fn cost(notice: &Notice) -> usize {
    let filled = match notice {
        Notice::Received(listen::event::Event::Exchange(exchange)) => {
            let remarks = exchange.verdict.remarks.iter();
            let remarks: usize = remarks.map(|remark| COST_OF_A_VALUE + remark.text.as_it_came().len()).sum();
            let headers = exchange.request.headers.iter();
            let headers: usize =
                headers.map(|header| COST_OF_A_VALUE + header.name.len() + header.value.len()).sum();
            let fields = exchange.cdr.as_ref().map_or(0, cost_of_members);
            exchange.request.body.len() + exchange.request.target.len() + headers + remarks + fields
        }
        Notice::Sent(send::event::Event::Delivery(delivery)) => {
            let responses = delivery.attempts.iter().filter_map(|attempt| attempt.response.as_ref());
            let responses: usize = responses.map(|response| response.body.len()).sum();
            responses + delivery.cdr.as_ref().map_or(0, cost_of_members)
        }
        _ => 0,
    };
    filled + COST_OF_A_NOTICE
}

fn cost_of_members(members: &Map<String, Value>) -> usize {
    members.iter().map(|(name, value)| name.len() + COST_OF_A_VALUE + cost_of_value(value)).sum()
}

fn cost_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => COST_OF_A_VALUE + text.len(),
        Value::Array(values) => COST_OF_A_VALUE + values.iter().map(cost_of_value).sum::<usize>(),
        Value::Object(members) => COST_OF_A_VALUE + cost_of_members(members),
        _ => COST_OF_A_VALUE,
    }
}
