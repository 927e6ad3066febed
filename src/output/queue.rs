//! Where output goes: standard output, or the file in its place, and standard error; and the thread that owns the [`Show`]
//! while a mode runs, behind a bounded queue: a terminal or pipe that is not read never holds up the mode.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::{Renderer, Show};
use crate::listen::event::Event;
use crate::send::event::{self, Delivery, EventSink};

/// Whether standard output still takes data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    Open,
    /// By its reader, as `| head` does.
    Closed,
    /// With the error of a write.
    Failed(String),
}

pub struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Of `out`: a failure of `err` has no effect.
    state: watch::Sender<StreamState>,
}

impl Streams {
    /// Data goes to `out`, which buffers it, and messages to `err`, which does not.
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

    /// Whether `out` still takes text.
    pub fn is_open(&self) -> bool {
        *self.state.borrow() == StreamState::Open
    }

    /// Writes data; nothing after the first failure.
    pub fn out(&mut self, text: &[u8]) {
        if self.is_open() {
            let result = self.out.write_all(text);
            self.note(result);
        }
    }

    /// Writes a message, behind all data written so far: both streams may be one terminal.
    pub fn err(&mut self, text: &[u8]) {
        self.flush();
        let _ = self.err.write_all(text);
    }

    /// Empties the buffer of `out`.
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

/// Bytes that may wait to be written before exchanges are dropped.
const CAPACITY: u32 = 16 * 1024 * 1024;

/// Bytes that may wait to be written before a sender waits.
const BACKLOG: u32 = 1024 * 1024;

/// Jobs that are taken from the queue at once.
const BATCH: usize = 64;

/// Pause after a flush: waking the thread for each record costs more than the record. Too short for a person to notice.
const GATHERING: Duration = Duration::from_millis(1);

type Job = Box<dyn FnOnce(&mut Show) + Send>;

/// The thread ends when all clones are gone.
#[derive(Clone)]
pub struct OutputQueue {
    jobs: mpsc::UnboundedSender<(Job, Option<OwnedSemaphorePermit>)>,
    /// Free bytes.
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
    /// Shows an event of `listen`; false if an exchange is dropped for want of room.
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

    /// Runs a job that writes about so many bytes; false if there is no room for them.
    fn try_push(&self, bytes: usize, job: impl FnOnce(&mut Show) + Send + 'static) -> bool {
        let permit = self.permit(bytes);
        permit.is_some() && self.jobs.send((Box::new(job), permit)).is_ok()
    }

    /// Runs a job without regard to the room. A caller that writes much waits for [`EventSink::ready`] first.
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

    fn send(&self, event: event::Event) {
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
    /// Waits until all queues are gone and everything is written, which may be never. None if the thread panicked.
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

    /// A terminal that both streams write to.
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
