//! Where a mode and its show meet: each event is put into text on the spot, and written by a thread of its own, so that a
//! terminal or pipe that nobody reads never holds up the mode.
//!
//! What strangers cause is shown only while there is room, and lost beyond that. What we cause ourselves is always
//! shown: whoever causes it asks for [`Board::room`] first.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::Show;
use super::printer::{Queue, Streams};

/// As much text as may wait to be written, in bytes, before what strangers cause is lost.
const MOST_WAITING: usize = 16 * 1024 * 1024;

/// As much text as may wait to be written, in bytes, before what we cause ourselves has to wait.
const ROOM: usize = 1024 * 1024;

/// Where events are shown. Clones share one show.
#[derive(Clone)]
pub struct Board(Arc<Pinned>);

/// The show, until the last board is gone.
struct Pinned {
    show: Mutex<Option<Show>>,
    queue: Arc<Queue>,
    /// Takes the show back to the reader.
    home: Mutex<Option<oneshot::Sender<Show>>>,
}

/// Waits for a board's end.
pub struct Reader {
    show: oneshot::Receiver<Show>,
    streams: oneshot::Receiver<Streams>,
}

impl Board {
    /// A board over a show.
    #[must_use]
    pub fn new(mut show: Show) -> (Self, Reader) {
        let (queue, streams) = show.hand_over();
        let (home, back) = oneshot::channel();
        let pinned = Pinned {
            show: Mutex::new(Some(show)),
            queue,
            home: Mutex::new(Some(home)),
        };
        (
            Self(Arc::new(pinned)),
            Reader {
                show: back,
                streams,
            },
        )
    }

    /// Shows something if there is room; false if there is none, and it is lost.
    #[must_use]
    pub fn pin_if_room(&self, tell: impl FnOnce(&mut Show)) -> bool {
        let room = self.0.queue.waiting() < MOST_WAITING;
        if room {
            self.pin(tell);
        }
        room
    }

    /// Shows something in any case.
    pub fn pin(&self, tell: impl FnOnce(&mut Show)) {
        // What was shown before a panic stands, whatever it was about to show.
        let mut show = self.0.show.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(show) = show.as_mut() {
            tell(show);
        }
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        self.0.queue.less_than(ROOM).await;
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.queue.close();
        let show = self
            .show
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let home = self
            .home
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let (Some(show), Some(home)) = (show, home) {
            // Nobody waits for it any more if the program is in a hurry to end.
            let _ = home.send(show);
        }
    }
}

impl Reader {
    /// Waits until every board is gone and everything has been written, and gives the show back. That may take for ever,
    /// if nobody reads what is written.
    pub async fn finish(self) -> Option<Show> {
        let mut show = self.show.await.ok()?;
        show.take_over(self.streams.await.ok()?);
        Some(show)
    }
}
