//! Those who attend to visitors: threads, each with a runtime of its own.
//!
//! A visitor is attended to on one thread from its first byte to its last, and no thread takes over what is another's: the
//! wake-ups would cost more than it gains. The first thread is the one that lets people in. The others are called only
//! when there is somebody inside for each of those who are there, and go when the staff is dropped.

use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::process;

/// On more threads nothing is served sooner: every exchange is written down at one desk.
const MOST_THREADS: usize = 4;

/// Those who attend to visitors.
pub(super) struct Staff {
    porters: Vec<Porter>,
    /// How many there may be, once that is known.
    most: Option<usize>,
}

/// One thread.
struct Porter {
    runtime: Handle,
    /// How many it attends to.
    visitors: usize,
    /// Sends the thread home when it is dropped; the caller's own goes where it likes.
    _shift: Option<oneshot::Sender<()>>,
}

impl Staff {
    /// The caller's own thread, to which others may be called in until there are this many; if that is not said, one for
    /// each processor. Needs a runtime.
    pub fn new(most: Option<usize>) -> Self {
        let own = Porter {
            runtime: Handle::current(),
            visitors: 0,
            _shift: None,
        };
        Self {
            porters: vec![own],
            most,
        }
    }

    /// Whether another would be called in for one more visitor.
    pub fn is_short(&mut self) -> bool {
        let all_are_busy = self.porters.iter().all(|porter| porter.visitors > 0);
        // Counting the processors takes a dozen system calls, which most listeners never need.
        let most = || process::processors().min(MOST_THREADS);
        all_are_busy && self.porters.len() < *self.most.get_or_insert_with(most)
    }

    /// Has one more visitor attended to by whoever has the fewest, and gives that one's place; the first is the caller.
    pub async fn assign(&mut self) -> usize {
        if self.is_short() {
            // If the system has no room for another, those who are there share the work.
            self.porters.extend(Porter::call().await);
        }
        let fewest = (0..self.porters.len()).min_by_key(|place| self.porters[*place].visitors);
        let place = fewest.unwrap_or_default();
        self.porters[place].visitors += 1;
        place
    }

    /// A visitor has left who was attended to at this place.
    pub fn release(&mut self, place: usize) {
        self.porters[place].visitors -= 1;
    }

    /// Where tasks for this place run, if that is not the caller's own thread.
    pub fn elsewhere(&self, place: usize) -> Option<&Handle> {
        (place > 0).then(|| &self.porters[place].runtime)
    }
}

impl Porter {
    /// Starts a thread; `None` where the system has none to give.
    async fn call() -> Option<Self> {
        let (ready, arrived) = oneshot::channel();
        let (shift, over) = oneshot::channel::<()>();
        let work = move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
                return;
            };
            let _ = ready.send(runtime.handle().clone());
            // Nothing is ever sent.
            let _ = runtime.block_on(over);
            runtime.shutdown_background();
        };
        thread::Builder::new()
            .name("door".to_owned())
            .spawn(work)
            .ok()?;
        Some(Self {
            runtime: arrived.await.ok()?,
            visitors: 0,
            _shift: Some(shift),
        })
    }
}
