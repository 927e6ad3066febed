//! The board between a mode and its show: events are pinned to it, and a thread of its own shows them in order, so
//! that a terminal or pipe that nobody reads slows no request. It is bounded in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

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

/// As much as may wait to be shown, in bytes.
const MOST_WAITING: usize = 64 * 1024 * 1024;

/// How many notices may wait.
const MOST_NOTICES: usize = 8 * 1024;

/// What a notice costs besides the body it carries: its other fields, roughly.
const COST_OF_A_NOTICE: usize = 2 * 1024;

/// Where events are pinned. Clones pin to the same board.
#[derive(Debug, Clone)]
pub struct Board {
    notices: mpsc::SyncSender<Notice>,
    waiting: Arc<AtomicUsize>,
}

/// The thread that shows what is pinned to a board.
#[derive(Debug)]
pub struct Reader {
    done: mpsc::Receiver<Show>,
}

impl Board {
    /// A board and the thread that reads it.
    #[must_use]
    pub fn new(mut show: Show) -> (Self, Reader) {
        let (notices, pinned) = mpsc::sync_channel(MOST_NOTICES);
        let (finished, done) = mpsc::sync_channel(1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let board = Self { notices, waiting: Arc::clone(&waiting) };
        thread::spawn(move || {
            let mut next = pinned.recv().ok();
            while let Some(notice) = next {
                waiting.fetch_sub(cost(&notice), Ordering::Relaxed);
                match &notice {
                    Notice::Received(event) => show.received(event),
                    Notice::Sent(event) => show.sent(event),
                    Notice::Suite(event) => show.suite(event),
                }
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
    pub fn pin(&self, notice: Notice) -> bool {
        let cost = cost(&notice);
        if self.waiting.fetch_add(cost, Ordering::Relaxed) > MOST_WAITING
            || self.notices.try_send(notice).is_err()
        {
            self.waiting.fetch_sub(cost, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Pins a notice, waiting for room if there is none.
    pub fn pin_patiently(&self, notice: Notice) {
        self.waiting.fetch_add(cost(&notice), Ordering::Relaxed);
        // The reader ends only when every board is gone.
        let _ = self.notices.send(notice);
    }
}

impl Reader {
    /// Waits until everything pinned has been shown, and gives the show back; after `patience` it gives up, because
    /// whoever should read it does not.
    #[must_use]
    pub fn finish(self, patience: Option<Duration>) -> Option<Show> {
        match patience {
            Some(patience) => self.done.recv_timeout(patience).ok(),
            None => self.done.recv().ok(),
        }
    }
}

fn cost(notice: &Notice) -> usize {
    let body = match notice {
        Notice::Received(listen::event::Event::Exchange(exchange)) => exchange.request.body.len(),
        Notice::Sent(send::event::Event::Delivery(delivery)) => delivery
            .attempts
            .iter()
            .filter_map(|attempt| attempt.response.as_ref())
            .map(|r| r.body.len())
            .sum(),
        _ => 0,
    };
    body + COST_OF_A_NOTICE
}
