//! The tray: where exchanges lie that are to be saved, until they are written down together.
//!
//! Saving costs a few calls to the system, however much is saved at once. So nobody saves right away: whoever has put
//! an exchange there lets all others go first who are ready to run, and then the first one back writes down all that lies
//! there. Nobody waits for anybody: who is alone is back at once, and who comes back later finds that it has been done.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::Desk;
use crate::exchange::Exchange;
use crate::listen::relate::Traces;
use crate::listen::server::Reply;

/// So much is written down at once, in bytes, and waits for no more.
const ENOUGH: usize = 256 * 1024;

/// An exchange that has no number yet, and whatever follows from the exchange alone.
pub(super) struct Slip {
    /// Nobody else has it yet.
    pub exchange: Arc<Exchange>,
    /// What its CDR is remembered by, if it holds one.
    pub traces: Option<Traces>,
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
        self.exchange.request.body.len()
    }
}

/// What came of an exchange: what goes back to its sender, and the exchange itself, for whoever asked to throw away.
pub(super) type Written = (Reply, Arc<Exchange>);

/// Exchanges, and where to say what came of each.
pub(super) type Slips = Vec<(Slip, oneshot::Sender<Written>)>;

/// See the module.
#[derive(Default)]
pub(super) struct Tray {
    slips: Slips,
    /// About how much there is to write, in bytes.
    size: usize,
}

impl Tray {
    /// Puts an exchange on the desk's tray.
    pub fn put(desk: &Desk, slip: Slip) -> Ticket<'_> {
        let (back, written) = oneshot::channel();
        let mut tray = desk.tray();
        tray.size += slip.size();
        tray.slips.push((slip, back));
        Ticket {
            desk,
            written,
            is_urgent: tray.size >= ENOUGH,
        }
    }

    /// Takes all that lies there, in exchange for no slips.
    pub fn take(&mut self, slips: &mut Slips) {
        std::mem::swap(&mut self.slips, slips);
        self.size = 0;
    }
}

/// An exchange that was put on the tray. When this has gone, that has been written down: hyper forgets about a request
/// whose connection breaks.
pub(super) struct Ticket<'a> {
    desk: &'a Desk,
    written: oneshot::Receiver<Written>,
    /// Whether there is too much on the tray to wait for more.
    is_urgent: bool,
}

impl Ticket<'_> {
    /// What goes back to the sender, once all who are ready have put there what they have.
    pub async fn redeemed(mut self) -> Reply {
        if !self.is_urgent {
            give_way().await;
        }
        self.redeem().unwrap_or(Reply::Close)
    }

    /// What goes back to the sender. It is there at once, since whoever wants it writes down what lies there; nothing only
    /// if that went badly wrong.
    fn redeem(&mut self) -> Option<Reply> {
        let written = match self.written.try_recv() {
            Err(TryRecvError::Empty) => {
                self.desk.clear_tray();
                self.written.try_recv()
            }
            written => written,
        };
        written.ok().map(|(reply, _)| reply)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.redeem();
    }
}

/// Lets all others of this thread go first who are ready to run at this moment. tokio's own way of doing so would ask the
/// system first who else is.
async fn give_way() {
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
