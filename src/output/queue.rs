//! The thread that owns the [`Show`] while a mode runs, and the bounded queue to it: a terminal or pipe that is not read
//! never holds up the mode.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{Renderer, Show};
use crate::listen::event::Event;
use crate::send::{
    self,
    event::{Delivery, EventSink},
};

/// How much may wait to be shown, in bytes, before exchanges are dropped.
const CAPACITY: u32 = 16 * 1024 * 1024;

/// How much may wait to be shown, in bytes, before a sender waits.
const BACKLOG: u32 = 1024 * 1024;

/// Taken from the queue at once.
const BATCH: usize = 64;

/// Pause after a flush: waking the thread for each record costs more than the record. Too short for a person to notice.
const GATHERING: Duration = Duration::from_millis(1);

type Job = Box<dyn FnOnce(&mut Show) + Send>;

/// Takes what is to be shown. The thread ends when all clones are gone.
#[derive(Clone)]
pub struct OutputQueue {
    jobs: mpsc::UnboundedSender<(Job, Option<OwnedSemaphorePermit>)>,
    /// Free bytes.
    room: Arc<Semaphore>,
    renderer: Renderer,
}

/// The thread that shows.
pub struct OutputThread(oneshot::Receiver<Show>);

/// Starts the thread.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the thread has nothing else to do meanwhile"
)]
pub fn start(mut show: Show) -> (OutputQueue, OutputThread) {
    let (jobs, mut waiting) = mpsc::unbounded_channel::<(Job, Option<OwnedSemaphorePermit>)>();
    let (done, finished) = oneshot::channel();
    let renderer = show.renderer;
    thread::spawn(move || {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
            for (job, permit) in batch.drain(..) {
                job(&mut show);
                drop(permit);
            }
            if waiting.is_empty() {
                show.flush();
                thread::sleep(GATHERING);
            }
        }
        // The receiver is gone if the program ends at once.
        let _ = done.send(show);
    });
    let room = Arc::new(Semaphore::new(CAPACITY as usize));
    let queue = OutputQueue {
        jobs,
        room,
        renderer,
    };
    (queue, OutputThread(finished))
}

impl OutputQueue {
    /// Shows an event of `listen`; false if an exchange is dropped, because there is no room.
    #[must_use]
    pub fn received(&self, event: Event) -> bool {
        if let Event::Exchange(exchange, line) = event {
            // Written here: the text is bounded by the request's length, the memory of its fields is not.
            let text = self.renderer.exchange(&exchange, line);
            return self.try_push(text.len(), move |show| show.block(&text));
        }
        self.push(0, move |show| show.received(&event));
        true
    }

    /// Shows something of about so many bytes if there is room for it; false if it is dropped.
    fn try_push(&self, bytes: usize, job: impl FnOnce(&mut Show) + Send + 'static) -> bool {
        let permit = self.permit(bytes);
        permit.is_some() && self.jobs.send((Box::new(job), permit)).is_ok()
    }

    /// Shows something in any case: [`EventSink::ready`] is to be waited for first where there may be much.
    pub fn push(&self, bytes: usize, job: impl FnOnce(&mut Show) + Send + 'static) {
        // The thread is gone only if it panicked; `OutputThread::join` says so.
        let _ = self.jobs.send((Box::new(job), self.permit(bytes)));
    }

    fn permit(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(CAPACITY).min(CAPACITY);
        Arc::clone(&self.room).try_acquire_many_owned(bytes).ok()
    }
}

impl EventSink for OutputQueue {
    async fn ready(&self) {
        let _ = self.room.acquire_many(CAPACITY - BACKLOG).await;
    }

    fn send(&self, event: send::event::Event) {
        self.push(0, move |show| show.sent(&event));
    }

    fn delivered(&self, delivery: Delivery) {
        // Written here: the text takes less memory, and the delivery's is freed by the thread that took it.
        let text = self.renderer.delivery(&delivery);
        let failed = (!delivery.ok).then(|| Box::new(delivery));
        self.push(text.len(), move |show| {
            show.delivered(&text, failed.as_deref());
        });
    }
}

impl OutputThread {
    /// Waits until all queues are gone and everything is written, which may be never. `None` if the thread panicked.
    pub async fn join(self) -> Option<Show> {
        self.0.await.ok()
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
        output.push(0, move |_| held.recv().unwrap());
        assert!(output.try_push(CAPACITY as usize, note("first")));
        assert!(!output.try_push(1, note("dropped")));
        output.push(1, note("ours"));
        let early = tokio::time::timeout(Duration::from_millis(10), output.ready());
        early.await.unwrap_err();
        go_on.send(()).unwrap();
        output.ready().await;
        assert!(output.try_push(1, note("last")));
        drop(output);
        assert!(thread.join().await.is_some());
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
        assert!(thread.join().await.is_none());
    }
}
