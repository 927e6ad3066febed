//! The feed: the last exchanges, and everyone watching for the next.
//!
//! In: a listener's events, in the desk's order. Out: what is kept of them, and a [`Watcher`] for each who watches, which
//! sees every exchange exactly once and in order, or hears that it was forgotten. Nobody who watches costs more than a
//! place in what is kept: who does not keep up misses exchanges, and slows nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::event::Event;
use super::redact::{Redactor, hide_secrets};
use crate::cdr::Fields;
use crate::cdr::meaning::meaning;
use crate::cdr::received::Received;
use crate::exchange::Exchange;
use crate::ndjson;
use crate::wire::Request;
use crate::wire::secret::{masked_headers, masked_url};

/// How much is kept; the oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// So many exchanges.
    pub exchanges: usize,
    /// So many bytes of them, as they are written.
    pub bytes: usize,
}

impl Default for Most {
    fn default() -> Self {
        Self {
            exchanges: 1000,
            bytes: 64 * 1024 * 1024,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Feed {
    most: Most,
    shelf: Mutex<Shelf>,
    /// Wakes those who watch.
    news: watch::Sender<()>,
}

/// What is kept.
#[derive(Debug, Default)]
struct Shelf {
    kept: VecDeque<Arc<Kept>>,
    /// What it takes, in bytes.
    bytes: usize,
    /// The number of the newest exchange, or 0.
    newest: u64,
    /// Whether the listener is done.
    over: bool,
    /// Masks what is given away, if it is to be masked.
    redactor: Option<Redactor>,
}

/// What is kept of one exchange. What was read from its body is not: that may be many times as large as the body.
#[derive(Debug)]
pub struct Kept {
    /// Its number.
    pub n: u64,
    /// The request as it came.
    pub request: Request,
    /// Its record as it is saved: a line.
    pub record: Bytes,
    /// Its record as it is shown, secrets masked; a line too, and the same one where nothing had to be masked.
    shown: Bytes,
    /// What it means.
    meaning: String,
}

/// Which exchanges there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The newest, or 0.
    pub newest: u64,
    /// The oldest that is kept; if none is, the one that comes next.
    pub oldest_kept: u64,
}

/// What somebody who watches is told.
#[derive(Debug)]
pub enum News {
    /// Here is an exchange.
    Exchange(Arc<Kept>),
    /// Exchanges before this one are kept no longer.
    Forgotten {
        /// The oldest that is kept.
        oldest_kept: u64,
    },
    /// The listener is done.
    Over,
}

/// Somebody who watches.
pub struct Watcher {
    feed: Arc<Feed>,
    /// The last exchange it was shown.
    seen: u64,
    /// The oldest that is kept, as far as it knows.
    oldest_kept: u64,
    news: watch::Receiver<()>,
}

impl Feed {
    /// A feed that keeps so much, masked for whoever takes it away if there is a redactor.
    #[must_use]
    pub fn new(most: Most, redactor: Option<Redactor>) -> Self {
        let shelf = Mutex::new(Shelf {
            redactor,
            ..Shelf::default()
        });
        Self {
            most,
            shelf,
            news: watch::Sender::new(()),
        }
    }

    /// Hears of an event.
    pub fn hear(&self, event: &Event) {
        match event {
            Event::Exchange(exchange, line) => {
                self.shelf().keep(exchange, line.as_ref(), self.most);
            }
            Event::Finished(_) => self.shelf().over = true,
            _ => return,
        }
        self.news.send_replace(());
    }

    /// How much is kept at most.
    #[must_use]
    pub fn most(&self) -> Most {
        self.most
    }

    /// Which exchanges there are.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let shelf = self.shelf();
        Extent {
            newest: shelf.newest,
            oldest_kept: shelf.oldest_kept(),
        }
    }

    /// An exchange, if it is kept.
    #[must_use]
    pub fn get(&self, n: u64) -> Option<Arc<Kept>> {
        self.shelf().get(n)
    }

    /// All that is kept, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Kept>> {
        self.shelf().kept.iter().map(Arc::clone).collect()
    }

    /// Watches for everything after exchange number `seen`; and which exchanges there are at this moment.
    #[must_use]
    pub fn watch(self: &Arc<Self>, seen: u64) -> (Watcher, Extent) {
        let extent = self.extent();
        let news = self.news.subscribe();
        let watcher = Watcher {
            feed: Arc::clone(self),
            seen,
            oldest_kept: extent.oldest_kept,
            news,
        };
        (watcher, extent)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // What is kept is right after every single step.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn keep(&mut self, exchange: &Exchange, line: Option<&Bytes>, most: Most) {
        let line = line
            .cloned()
            .unwrap_or_else(|| ndjson::line("exchange", exchange).into());
        let masked = masked(exchange).map(|masked| ndjson::line("exchange", &masked).into());
        let none = Received::default();
        let kept = Kept {
            n: exchange.n,
            request: exchange.request.clone(),
            shown: masked.unwrap_or_else(|| line.clone()),
            record: match &mut self.redactor {
                None => line,
                Some(redactor) => ndjson::line("exchange", &redactor.redacted(exchange)).into(),
            },
            meaning: meaning(&exchange.verdict, exchange.cdr.as_ref().unwrap_or(&none)),
        };
        self.bytes += kept.cost();
        self.newest = kept.n;
        self.kept.push_back(Arc::new(kept));
        while self.kept.len() > most.exchanges || self.bytes > most.bytes {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.cost();
        }
    }

    fn oldest_kept(&self) -> u64 {
        self.kept.front().map_or(self.newest + 1, |oldest| oldest.n)
    }

    fn get(&self, n: u64) -> Option<Arc<Kept>> {
        // The desk numbers them without gaps.
        let place = n.checked_sub(self.oldest_kept())?;
        self.kept.get(usize::try_from(place).ok()?).map(Arc::clone)
    }
}

impl Kept {
    /// The record as it is shown, and what it means: one line of JSON.
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

    /// What it takes, in bytes.
    fn cost(&self) -> usize {
        let is_the_same = self.shown.as_ptr() == self.record.as_ptr();
        self.record.len() + self.request.body.len() + if is_the_same { 0 } else { self.shown.len() }
    }
}

impl Watcher {
    /// What there is to be told at this moment.
    pub fn at_hand(&mut self) -> Option<News> {
        let shelf = self.feed.shelf();
        let oldest_kept = shelf.oldest_kept();
        if oldest_kept > self.oldest_kept {
            self.oldest_kept = oldest_kept;
            return Some(News::Forgotten { oldest_kept });
        }
        let next = oldest_kept.max(self.seen.saturating_add(1));
        if let Some(kept) = shelf.get(next) {
            self.seen = next;
            return Some(News::Exchange(kept));
        }
        shelf.over.then_some(News::Over)
    }

    /// Waits until there is something to be told. Once the listener is done, it is that for ever.
    pub async fn next(&mut self) -> News {
        loop {
            // Whatever comes from here on wakes us again.
            self.news.mark_unchanged();
            if let Some(news) = self.at_hand() {
                return news;
            }
            // The feed is ours too, so that its sender has not gone.
            let _ = self.news.changed().await;
        }
    }
}

/// An exchange with all secrets masked that are masked on a screen, if there are any.
fn masked(exchange: &Exchange) -> Option<Exchange> {
    let request = &exchange.request;
    let mut cdr = exchange.cdr.clone();
    // The target's secrets stand among the fields once more.
    if request.method == "GET"
        && let Some(cdr) = &mut cdr
    {
        let mut fields = Fields::from(&*cdr);
        hide_secrets(&mut fields);
        *cdr = Received::from(&fields);
    }
    let (target, headers) = (
        masked_url(&request.target),
        masked_headers(&request.headers),
    );
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
