//! The tray: where exchanges lie that are to be saved, until they are written down together.
//!
//! Saving costs a few calls to the system, however much is saved at once. So nobody saves right away: whoever has put
//! an exchange there lets all others go first who are ready to run, and then the first one back writes down all that lies
//! there. Nobody waits for anybody: who is alone is back at once, and who comes back later finds that it has been done.

use std::future::poll_fn;
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::Desk;
use crate::listen::door::Reply;
use crate::listen::event::Exchange;
use crate::wire::record::Draft;

/// So much is written down at once, in bytes, and waits for no more.
const ENOUGH: usize = 256 * 1024;

/// An exchange that has no number yet, and whatever follows from the exchange alone.
pub(super) struct Slip {
    pub exchange: Exchange,
    /// Its record, as far as that is known, if it is to be saved so.
    pub draft: Option<Draft>,
    /// What goes back to its sender, if all goes well.
    pub reply: Reply,
    /// Whether it is one of those that are waited for.
    pub counts: bool,
    /// Whether it was refused because it departs from the schema.
    pub refused: bool,
    /// Whether its sender has been answered already.
    pub is_answered: bool,
}

impl Slip {
    /// About how much there will be to write, in bytes.
    fn size(&self) -> usize {
        self.draft.as_ref().map_or(self.exchange.request.body.len(), Draft::size)
    }
}

/// Exchanges, and where to say what came of each.
pub(super) type Slips = Vec<(Slip, oneshot::Sender<Reply>)>;

/// See the module.
#[derive(Default)]
pub(super) struct Tray {
    slips: Slips,
    /// About how much there is to write, in bytes.
    size: usize,
}

impl Tray {
    /// Puts an exchange on top; true if that is enough.
    pub fn put(&mut self, slip: Slip, back: oneshot::Sender<Reply>) -> bool {
        self.size += slip.size();
        self.slips.push((slip, back));
        self.size >= ENOUGH
    }

    /// Takes all that lies there, in exchange for no slips; gives about how much there is to write, in bytes.
    pub fn take(&mut self, slips: &mut Slips) -> usize {
        std::mem::swap(&mut self.slips, slips);
        std::mem::take(&mut self.size)
    }
}

/// An exchange that was put on the tray. When this has gone, that has been written down: hyper forgets about a request
/// whose connection breaks.
pub(super) struct Ticket<'a> {
    pub desk: &'a Desk,
    pub reply: oneshot::Receiver<Reply>,
}

impl Ticket<'_> {
    /// What goes back to the sender. It is there at once, since whoever wants it writes down what lies there.
    pub fn redeem(&mut self) -> Option<Reply> {
        match self.reply.try_recv() {
            Err(TryRecvError::Empty) => {
                self.desk.clear_tray();
                self.reply.try_recv().ok()
            }
            received => received.ok(),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.redeem();
    }
}

/// Lets all others of this thread go first who are ready to run at this moment. tokio's own way of doing so would ask the
/// system first who else is.
pub(super) async fn give_way() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
