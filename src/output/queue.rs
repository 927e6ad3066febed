//! Writes to standard output, or the file in its place, and standard error. During a run, a thread owns the [`Show`] behind
//! a bounded queue, so that a terminal or pipe that is not read never blocks the run.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::{Renderer, Show};
use crate::listen::event::Event;
use crate::send::event::{self, Delivery, EventSink};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    Open,
    /// The reader of standard output has closed the pipe, as `| head` does.
    Closed,
    Failed(String),
}

pub struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// The state of the data output (standard output or the file of `--output`); failures of standard error are
    /// ignored.
    state: watch::Sender<StreamState>,
}

impl Streams {
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            err,
            state: watch::Sender::new(StreamState::Open),
        }
    }

    pub fn state(&self) -> watch::Receiver<StreamState> {
        self.state.subscribe()
    }

    pub fn is_open(&self) -> bool {
        *self.state.borrow() == StreamState::Open
    }

    /// Data is discarded after the first failed write to `out`.
    pub fn out(&mut self, text: &[u8]) {
        if self.is_open() {
            let result = self.out.write_all(text);
            self.note(result);
        }
    }

    /// `out` is flushed before a message is written, because both streams may be one terminal.
    pub fn err(&mut self, text: &[u8]) {
        self.flush();
        let _ = self.err.write_all(text);
    }

    pub fn flush(&mut self) {
        if self.is_open() {
            let result = self.out.flush();
            self.note(result);
        }
    }

    fn note(&self, result: io::Result<()>) {
        let Err(error) = result else { return };
        self.state.send_replace(match error.kind() {
            io::ErrorKind::BrokenPipe => StreamState::Closed,
            _ => StreamState::Failed(error.to_string()),
        });
    }
}

/// The output queue drops exchanges above 16 MiB.
const CAPACITY: u32 = 16 * 1024 * 1024;

/// A sender waits while the output queue holds more than 1 MiB.
const BACKLOG: u32 = 1024 * 1024;

const BATCH: usize = 64;

/// The output thread sleeps 1 ms after a flush: waking the thread for each record costs more than writing it.
const GATHERING: Duration = Duration::from_millis(1);

type Job = Box<dyn FnOnce(&mut Show) + Send>;

/// The output thread ends when all clones of its `OutputQueue` are dropped.
#[derive(Clone)]
pub struct OutputQueue {
    jobs: mpsc::UnboundedSender<(Job, Option<OwnedSemaphorePermit>)>,
    /// The semaphore `room` has a permit for each free byte of `CAPACITY`.
    room: Arc<Semaphore>,
    renderer: Renderer,
}

pub struct OutputThread(oneshot::Receiver<Show>);

#[expect(clippy::disallowed_methods, reason = "the thread may sleep")]
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
        // The receiver of `done` is dropped if a second signal ends the program at once.
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
    /// `OutputQueue::received` returns false if an exchange was dropped because the queue is full.
    #[must_use]
    pub fn received(&self, event: Event) -> bool {
        if let Event::Exchange(exchange, line) = event {
            // The exchange is rendered before it is queued: the text's size is bounded by the request's size, the
            // memory of the fields is not.
            let text = self.renderer.exchange(&exchange, line);
            return self.try_push(text.len(), move |show| show.block(&text));
        }
        self.push(0, move |show| show.received(&event));
        true
    }

    /// `try_push` returns false if the queue is full; `bytes` is about the size of the text that the job writes.
    fn try_push(&self, bytes: usize, job: impl FnOnce(&mut Show) + Send + 'static) -> bool {
        let permit = self.permit(bytes);
        permit.is_some() && self.jobs.send((Box::new(job), permit)).is_ok()
    }

    /// `push` queues a job even if the queue is full; callers with large jobs await [`EventSink::ready`] first.
    pub fn push(&self, bytes: usize, job: impl FnOnce(&mut Show) + Send + 'static) {
        // Sending to the output thread fails only after a panic of the thread, which `OutputThread::join` reports.
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

    fn send(&self, event: event::Event) {
        self.push(0, move |show| show.sent(&event));
    }

    fn delivered(&self, delivery: Delivery) {
        // The delivery is rendered before it is queued: the text takes less memory, and the thread that allocated the
        // delivery also frees it.
        let text = self.renderer.delivery(&delivery);
        let failed = (!delivery.ok).then(|| Box::new(delivery));
        self.push(text.len(), move |show| {
            show.delivered(&text, failed.as_deref());
        });
    }
}

impl OutputThread {
    /// `join` waits without a time limit until all clones of the `OutputQueue` are dropped and all jobs are done.
    /// `None` means that the output thread panicked.
    pub async fn join(self) -> Option<Show> {
        self.0.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OutputOptions;
    use std::sync::Mutex;
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

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn state_after(kind: io::ErrorKind) -> StreamState {
        let mut streams = Streams::new(Box::new(Broken(kind)), Box::new(io::sink()));
        streams.out(b"x");
        streams.state().borrow().clone()
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert_eq!(state_after(io::ErrorKind::BrokenPipe), StreamState::Closed);
    }

    #[test]
    fn a_full_disk_is() {
        assert!(matches!(
            state_after(io::ErrorKind::StorageFull),
            StreamState::Failed(_)
        ));
    }

    #[derive(Clone, Default)]
    struct Terminal(Arc<Mutex<Vec<u8>>>);

    impl Write for Terminal {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn both_streams_are_written_in_one_order() {
        let terminal = Terminal::default();
        let out = Box::new(io::BufWriter::new(terminal.clone()));
        let mut streams = Streams::new(out, Box::new(terminal.clone()));
        streams.out(b"a");
        streams.out(b"b");
        streams.err(b"c");
        streams.out(b"d");
        streams.flush();
        assert_eq!(*terminal.0.lock().unwrap(), b"abcd");
    }
}
