//! The thread that writes: text is handed to it in memory, so that a terminal or pipe that nobody reads never holds up
//! whoever has something to say.
//!
//! In: text for either stream, in one order. Out: the same text, in that order. What comes while nothing is being written
//! is written at once; what comes soon after is written together, because waking a thread costs more than a line does.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::outlet::Outlet;

/// How long text may wait for more to be written with it: too short for a person to notice.
const GATHERING: Duration = Duration::from_millis(10);

/// So much text is not gathered any further, in bytes.
const ENOUGH: usize = 256 * 1024;

/// An outlet to a real stream.
pub type Stream = Outlet<Box<dyn Write + Send>>;

/// Both streams: standard output, or the file in its place, and standard error.
pub struct Streams {
    /// For data.
    pub out: Stream,
    /// For talk.
    pub err: Stream,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Out,
    Err,
}

/// Text that waits to be written.
#[derive(Debug, Default)]
pub struct Queue {
    pile: Mutex<Pile>,
    /// How many bytes wait to be written, for those who only look at that.
    waiting: AtomicUsize,
    /// Wakes the thread.
    more: Condvar,
    /// Wakes those who wait for room.
    less: Notify,
}

/// What the queue holds.
#[derive(Debug, Default)]
struct Pile {
    text: Vec<u8>,
    /// To which stream the text goes, up to which byte.
    runs: Vec<(Which, usize)>,
    /// How many bytes the thread has taken and not written yet.
    in_hand: usize,
    /// Whether the thread waits for the first text, rather than for more of it.
    idle: bool,
    closed: bool,
}

impl Pile {
    fn push(&mut self, which: Which, text: &[u8]) {
        self.text.extend_from_slice(text);
        match self.runs.last_mut().filter(|(last, _)| *last == which) {
            Some((_, end)) => *end = self.text.len(),
            None => self.runs.push((which, self.text.len())),
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(ENOUGH);
        self.runs.clear();
    }
}

impl Queue {
    /// How many bytes wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Waits until less than so many bytes wait to be written.
    pub async fn less_than(&self, bytes: usize) {
        loop {
            let less = self.less.notified();
            if self.waiting() < bytes {
                return;
            }
            less.await;
        }
    }

    /// Ends the thread once everything is written.
    pub fn close(&self) {
        self.pile().closed = true;
        self.more.notify_one();
    }

    /// Takes text for standard error.
    pub fn talk(self: &Arc<Self>) -> impl Write + use<> {
        self.writer(Which::Err)
    }

    fn writer(self: &Arc<Self>, which: Which) -> Queued {
        Queued {
            queue: Arc::clone(self),
            which,
        }
    }

    fn push(&self, which: Which, text: &[u8]) {
        let mut pile = self.pile();
        let before = pile.text.len();
        pile.push(which, text);
        self.waiting
            .store(pile.text.len() + pile.in_hand, Ordering::Release);
        // Once is enough: waking costs more than a line, even if there is nobody to wake.
        let is_enough = before < ENOUGH && pile.text.len() >= ENOUGH;
        if std::mem::take(&mut pile.idle) || is_enough {
            drop(pile);
            self.more.notify_one();
        }
    }

    fn pile(&self) -> MutexGuard<'_, Pile> {
        // It is right after every step, so a panic elsewhere does not spoil it.
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was taken is written.
    fn has_been_written(&self) {
        let mut pile = self.pile();
        pile.in_hand = 0;
        self.waiting.store(pile.text.len(), Ordering::Release);
        drop(pile);
        // In this order: whoever is woken looks how much there is.
        self.less.notify_waiters();
    }

    /// Waits for text and takes it in exchange for an empty pile; false if there will be no more.
    fn take(&self, empty: &mut Pile, gathering: Duration) -> bool {
        let mut pile = self.pile();
        if !gathering.is_zero() {
            let little = |pile: &mut Pile| pile.text.len() < ENOUGH && !pile.closed;
            let waited = self.more.wait_timeout_while(pile, gathering, little);
            pile = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let nothing = |pile: &mut Pile| {
            pile.idle = pile.text.is_empty() && !pile.closed;
            pile.idle
        };
        pile = self
            .more
            .wait_while(pile, nothing)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut pile.text, &mut empty.text);
        std::mem::swap(&mut pile.runs, &mut empty.runs);
        pile.in_hand = empty.text.len();
        !empty.text.is_empty()
    }
}

/// A writer that hands its text to the queue, and so never waits.
struct Queued {
    queue: Arc<Queue>,
    which: Which,
}

impl Write for Queued {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.queue.push(self.which, text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts a thread that writes to these streams. In their place come outlets that share their fate and never wait; the
/// streams come back when the queue has been closed and everything is written.
pub fn start(streams: &mut Streams) -> (Arc<Queue>, oneshot::Receiver<Streams>) {
    let queue = Arc::new(Queue::default());
    let out = streams.out.with(Box::new(queue.writer(Which::Out)));
    let err = streams.err.with(Box::new(queue.writer(Which::Err)));
    let mut real = std::mem::replace(streams, Streams { out, err });
    let (finished, done) = oneshot::channel();
    let pinned = Arc::clone(&queue);
    thread::spawn(move || {
        let mut pile = Pile::default();
        let mut gathering = Duration::ZERO;
        while pinned.take(&mut pile, gathering) {
            real.write(&pile);
            pile.clear();
            pinned.has_been_written();
            gathering = GATHERING;
        }
        // Nobody waits for it any more if the program is in a hurry to end.
        let _ = finished.send(real);
    });
    (queue, done)
}

impl Streams {
    fn write(&mut self, pile: &Pile) {
        let mut begin = 0;
        for (which, end) in &pile.runs {
            let text = &pile.text[begin..*end];
            match which {
                Which::Out => self.out.write(text),
                Which::Err => self.err.write(text),
            }
            begin = *end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A stream that is read when its reader says so, and tells what was written, each time with its name.
    struct Read {
        name: &'static str,
        leave: Arc<Mutex<mpsc::Receiver<()>>>,
        seen: mpsc::Sender<(&'static str, String)>,
    }

    impl Write for Read {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.leave
                .lock()
                .unwrap()
                .recv()
                .map_err(|_| io::ErrorKind::BrokenPipe)?;
            let _ = self
                .seen
                .send((self.name, String::from_utf8_lossy(text).into_owned()));
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn both_streams_are_written_in_one_order_and_come_back() {
        let (read, leave) = mpsc::channel();
        let (seen, lines) = mpsc::channel();
        let leave = Arc::new(Mutex::new(leave));
        let stream = |name| -> Stream {
            Outlet::new(Box::new(Read {
                name,
                leave: Arc::clone(&leave),
                seen: seen.clone(),
            }))
        };
        let mut streams = Streams {
            out: stream("out"),
            err: stream("err"),
        };
        let (queue, done) = start(&mut streams);
        // Nobody reads, and yet nothing here waits.
        for (n, line) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let stream = if n == 2 {
                &mut streams.err
            } else {
                &mut streams.out
            };
            stream.write(line.as_bytes());
        }
        assert_eq!(queue.waiting(), 4);
        (0..5).for_each(|_| read.send(()).unwrap());
        queue.less_than(1).await;
        queue.close();
        let mut streams = done.await.unwrap();
        streams.err.write(b"e");
        let seen: Vec<_> = lines.try_iter().collect();
        let together: String = seen.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(together, "abcde");
        assert!(
            seen.iter()
                .all(|(name, text)| (*name == "err") == matches!(text.as_str(), "c" | "e")),
            "{seen:?}"
        );
    }
}
