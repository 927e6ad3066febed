//! During a run, a thread owns the [`Show`] behind a bounded queue, so that a terminal or pipe that is not read never blocks
//! the run.

use std::convert::Infallible;
use std::mem::swap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Renderer, Show};
use crate::listen::event::Event;
use crate::send::event::{self, Delivery, EventSink};

/// The output queue drops exchanges above 16 MiB.
const CAPACITY: u64 = 16 * 1024 * 1024;

/// A sender waits while the output queue holds more than 1 MiB.
const BACKLOG: u64 = 1024 * 1024;

/// The output thread sleeps 2 ms after a flush, but not at the end: waking the thread for each record costs more than
/// writing it.
const GATHERING: Duration = Duration::from_millis(2);

enum Job {
    Run(Box<dyn FnOnce(&mut Show) + Send>),
    /// Writes the next bytes of `Pending::text`, as many as the number says, as the block of an exchange.
    Block(usize),
    /// Writes the next bytes of `Pending::text` as a delivery, with the delivery itself if it failed.
    Delivered(usize, Option<Box<Delivery>>),
}

/// The jobs of the output thread, and the text that they write: one buffer for all records takes fewer allocations than
/// a buffer for each.
#[derive(Default)]
struct Pending {
    jobs: Vec<Job>,
    text: Vec<u8>,
    /// The number of bytes queued since the start of the run.
    queued: u64,
}

/// The output thread ends when all clones of its `OutputQueue` are dropped.
#[derive(Clone)]
pub struct OutputQueue {
    pending: Arc<Mutex<Pending>>,
    /// The channel holds at most one message: it wakes the output thread, which then takes all pending jobs.
    wake: mpsc::Sender<()>,
    /// The channel carries no messages: its end tells the sleeping output thread that all clones are dropped.
    _is_open: std::sync::mpsc::Sender<Infallible>,
    /// The number of bytes written since the start of the run. The channel closes if the output thread panics.
    written: watch::Receiver<u64>,
    renderer: Renderer,
}

/// Starts the output thread. The returned receiver yields the `Show` when all clones of the `OutputQueue` are dropped and
/// all jobs are done, or an error if the output thread panicked.
pub fn start(mut show: Show) -> (OutputQueue, oneshot::Receiver<Show>) {
    let (wake, mut woken) = mpsc::channel(1);
    let (written, written_so_far) = watch::channel(0);
    let (done, finished) = oneshot::channel();
    let (is_open, ended) = std::sync::mpsc::channel();
    let queue = OutputQueue {
        pending: Arc::default(),
        wake,
        _is_open: is_open,
        written: written_so_far,
        renderer: show.renderer,
    };
    let pending = Arc::clone(&queue.pending);
    thread::spawn(move || {
        let mut batch = Pending::default();
        while woken.blocking_recv().is_some() {
            while take(&pending, &mut batch) {
                run(&mut batch, &mut show);
                written.send_replace(batch.queued);
            }
            show.flush();
            let _ = ended.recv_timeout(GATHERING);
        }
        // The receiver of `done` is dropped if a second signal ends the program at once.
        let _ = done.send(show);
    });
    (queue, finished)
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes all pending jobs and their text, and returns whether there are any.
fn take(pending: &Mutex<Pending>, batch: &mut Pending) -> bool {
    batch.text.clear();
    if batch.text.capacity() as u64 > BACKLOG {
        batch.text = Vec::new();
    }
    let mut pending = lock(pending);
    swap(&mut pending.jobs, &mut batch.jobs);
    swap(&mut pending.text, &mut batch.text);
    batch.queued = pending.queued;
    !batch.jobs.is_empty()
}

fn run(batch: &mut Pending, show: &mut Show) {
    let mut rest = &batch.text[..];
    for job in batch.jobs.drain(..) {
        let mut next = |length| rest.split_off(..length).unwrap_or_default();
        match job {
            Job::Run(job) => job(show),
            Job::Block(length) => show.block(next(length)),
            Job::Delivered(length, failed) => show.delivered(next(length), failed.as_deref()),
        }
    }
}

impl OutputQueue {
    /// `OutputQueue::received` returns false if an exchange was dropped because the queue is full.
    #[must_use]
    pub fn received(&self, event: Event) -> bool {
        if let Event::Exchange(exchange, line) = event {
            // The exchange is rendered before it is queued: the text's size is bounded by the request's size, the
            // memory of the fields is not.
            let text = self.renderer.exchange(&exchange, line);
            return self.queue(&text, text.len() as u64, CAPACITY, Job::Block(text.len()));
        }
        self.push(0, move |show| show.received(&event));
        true
    }

    /// `push` queues a job even if the queue is full; `bytes` is about the size of the text that the job writes.
    pub fn push(&self, bytes: u64, job: impl FnOnce(&mut Show) + Send + 'static) {
        self.queue(&[], bytes, u64::MAX, Job::Run(Box::new(job)));
    }

    /// Queues a job with its text, and returns false if the queue would then hold more than `capacity`.
    fn queue(&self, text: &[u8], bytes: u64, capacity: u64, job: Job) -> bool {
        let mut pending = lock(&self.pending);
        let waiting = pending.queued.saturating_sub(*self.written.borrow());
        // The channel is closed if the output thread panicked, which the receiver of `queue::start` reports.
        if waiting.saturating_add(bytes) > capacity || self.wake.is_closed() {
            return false;
        }
        pending.queued += bytes;
        pending.text.extend_from_slice(text);
        pending.jobs.push(job);
        drop(pending);
        // A full channel has a message that the output thread has not received yet.
        let _ = self.wake.try_send(());
        true
    }
}

impl EventSink for OutputQueue {
    async fn ready(&self) {
        let queued = lock(&self.pending).queued;
        let has_room = |written: &u64| queued.saturating_sub(*written) <= BACKLOG;
        if !has_room(&self.written.borrow()) {
            let _ = self.written.clone().wait_for(has_room).await;
        }
    }

    fn send(&self, event: event::Event) {
        self.push(0, move |show| show.sent(&event));
    }

    fn delivered(&self, delivery: Delivery) {
        // The delivery is rendered before it is queued: the text takes less memory.
        let text = self.renderer.delivery(&delivery);
        let failed = (!delivery.ok).then(|| Box::new(delivery));
        let job = Job::Delivered(text.len(), failed);
        self.queue(&text, text.len() as u64, u64::MAX, job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OutputOptions;
    use std::sync::mpsc::{Receiver, Sender, channel};

    #[tokio::test]
    async fn what_has_no_room_is_dropped_and_our_own_is_not() {
        let (go_on, held): (Sender<()>, Receiver<()>) = channel();
        let (shown, seen) = channel();
        let (output, thread) = start(Show::new(OutputOptions::default(), None, None));
        let note = |text: &'static str| {
            let shown = shown.clone();
            move |_: &mut Show| shown.send(text).unwrap()
        };
        let try_push = |bytes, job| output.queue(&[], bytes, CAPACITY, Job::Run(job));
        output.push(0, move |_| held.recv().unwrap());
        assert!(try_push(CAPACITY, Box::new(note("first"))));
        assert!(!try_push(1, Box::new(note("dropped"))));
        output.push(1, note("ours"));
        let early = tokio::time::timeout(Duration::from_millis(10), output.ready());
        early.await.unwrap_err();
        go_on.send(()).unwrap();
        output.ready().await;
        assert!(try_push(1, Box::new(note("last"))));
        drop(output);
        thread.await.unwrap();
        assert_eq!(
            seen.try_iter().collect::<Vec<_>>(),
            ["first", "ours", "last"]
        );
    }

    #[tokio::test]
    async fn a_panic_is_noticed_at_the_end() {
        let (output, thread) = start(Show::new(OutputOptions::default(), None, None));
        output.push(0, |_| panic!("a test"));
        drop(output);
        assert!(thread.await.is_err());
    }
}
