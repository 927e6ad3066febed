//! The event stream of the page. Names of events are constant, ids are numbers, and data is one line of JSON in which line
//! breaks are escapes: received text cannot begin an event of its own.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::{StreamExt as _, future, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use warp::sse::{Event, keep_alive};

use crate::listen::history::{Subscription, Update};

struct Updates {
    subscription: Subscription,
    /// When to end if nothing comes. A stream without such an end is kept alive.
    until: Option<Instant>,
    /// Whether an update has been sent.
    sent: bool,
    over: bool,
    /// Lets another stream begin when this one ends.
    _permit: OwnedSemaphorePermit,
}

/// The event `hello`, then whatever the subscription sees. With `wait` the stream ends when something was sent and no more is at
/// hand, or after that time.
pub fn events(
    hello: &str,
    subscription: Subscription,
    wait: Option<Duration>,
    permit: OwnedSemaphorePermit,
) -> impl warp::Reply {
    let hello = stream::once(future::ready(event("hello", hello)));
    let updates = Updates {
        subscription,
        until: wait.map(|wait| Instant::now() + wait),
        sent: false,
        over: false,
        _permit: permit,
    };
    let events = hello.chain(stream::unfold(updates, Updates::next));
    // Every 15 seconds.
    let kept_alive = keep_alive()
        .text(" still there")
        .stream(events.map(Ok::<_, Infallible>));
    warp::sse::reply(kept_alive)
}

impl Updates {
    async fn next(mut self) -> Option<(Event, Self)> {
        if self.over {
            return None;
        }
        let update = match (self.until, self.subscription.poll()) {
            (_, Some(update)) => update,
            (None, None) => self.subscription.next().await,
            (Some(_), None) if self.sent => return None,
            (Some(until), None) => timeout_at(until, self.subscription.next()).await.ok()?,
        };
        self.sent = true;
        let event = match update {
            Update::Exchange(kept) => {
                let data = String::from_utf8_lossy(&kept.shown()).into_owned();
                event("exchange", &data).id(format!(" {}", kept.n))
            }
            Update::Forgotten { oldest_kept } => {
                event("forgotten", &format!("{{\"oldest_kept\":{oldest_kept}}}"))
            }
            Update::Finished => {
                self.over = true;
                event("end", "{}")
            }
        };
        Some((event, self))
    }
}

/// An event whose fields have a space behind the colon, as most servers write them.
fn event(name: &str, data: &str) -> Event {
    Event::default()
        .event(format!(" {name}"))
        .data(format!(" {data}"))
}
