//! The stream of events: updates of the history in, pieces of `text/event-stream` out.
//!
//! The names of events are constant, ids are numbers, and data is one line of JSON, in which line breaks are escapes: so
//! nothing that a stranger sends can end a line, and begin an event of its own.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::listen::history::{Subscription, Update};

/// How often a stream shows that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A comment, which means nothing.
const STILL_THERE: &[u8] = b": still there\n\n";

/// One stream.
struct Telling {
    subscription: Subscription,
    stage: Stage,
    /// When to end if nothing comes, if there is to be an end.
    until: Option<Instant>,
    /// Lets another stream begin when this one ends.
    _place: OwnedSemaphorePermit,
}

/// How far a stream is.
enum Stage {
    /// Nothing has been said.
    New(Bytes),
    /// It has begun.
    Begun,
    /// Exchanges have been told.
    Told,
    /// Everything has been said.
    Done,
}

/// The stream: `hello` first, then whatever the watcher is told. With a wait it ends when something was told and nothing more is
/// at hand, or after that time.
pub fn events(
    hello: &str,
    subscription: Subscription,
    wait: Option<Duration>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Bytes> + Send + Sync + 'static {
    let stage = Stage::New(format!("event: hello\ndata: {hello}\n\n").into());
    let until = wait.map(|wait| Instant::now() + wait);
    stream::unfold(
        Telling {
            subscription,
            stage,
            until,
            _place: place,
        },
        Telling::next,
    )
}

impl Telling {
    /// The next piece, and the stream after it.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let piece = match std::mem::replace(&mut self.stage, Stage::Begun) {
            Stage::New(hello) => hello,
            Stage::Done => return None,
            stage => {
                let news = self.news(matches!(stage, Stage::Told)).await?;
                self.stage = stage;
                news.map_or(Bytes::from_static(STILL_THERE), |news| self.told(&news))
            }
        };
        Some((piece, self))
    }

    /// What there is to tell, or nothing for a while, or nothing any more.
    async fn news(&mut self, is_told: bool) -> Option<Option<Update>> {
        match self.until {
            None => Some(timeout(HEARTBEAT, self.subscription.next()).await.ok()),
            Some(_) if is_told => self.subscription.poll().map(Some),
            Some(until) => match self.subscription.poll() {
                Some(news) => Some(Some(news)),
                None => timeout_at(until, self.subscription.next())
                    .await
                    .ok()
                    .map(Some),
            },
        }
    }

    fn told(&mut self, news: &Update) -> Bytes {
        self.stage = Stage::Told;
        match news {
            Update::Exchange(kept) => {
                let mut event = format!("event: exchange\nid: {}\ndata: ", kept.n).into_bytes();
                event.extend_from_slice(&kept.shown());
                event.extend_from_slice(b"\n\n");
                event.into()
            }
            Update::Forgotten { oldest_kept } => {
                format!("event: forgotten\ndata: {{\"oldest_kept\":{oldest_kept}}}\n\n").into()
            }
            Update::Finished => {
                self.stage = Stage::Done;
                Bytes::from_static(b"event: end\ndata: {}\n\n")
            }
        }
    }
}
