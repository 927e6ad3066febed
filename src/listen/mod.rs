//! Mode two: a port in, exchanges told, summary out.
//!
//! [`door`] takes requests in, [`reception`] sees each of them through, [`answer`] decides what it gets, [`relate`]
//! knows which earlier one it belongs to, [`keep`] saves it. The desk is where they come together: numbered, related,
//! saved, told and counted in one short step, so that there is one order and it is the same everywhere.

pub mod answer;
pub mod desk;
pub mod door;
pub mod event;
pub mod keep;
pub mod reception;
pub mod redact;
pub mod relate;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::error::Stop;
use answer::Manner;
use desk::Desk;
use door::Limits;
use event::{Ending, Event, Listening, Summary};
use keep::Keeper;
use reception::Reception;

/// Everything a listener follows, but where it listens.
#[derive(Debug, Default)]
pub struct Options {
    /// What requests are answered.
    pub manner: Manner,
    /// After how many CDRs to stop.
    pub count: Option<u64>,
    /// After how long to stop.
    pub timeout: Option<Duration>,
    /// What strangers may cost.
    pub limits: Limits,
    /// Saves what comes, if it is to be saved.
    pub keeper: Option<Keeper>,
}

/// Listens on a bound port until the wanted number has come, the time is up, or `stop` resolves; then finishes what
/// is in flight, which takes no longer than the limits' grace.
///
/// `tell` must not block; it returns false if an event could not be shown, and such events are counted.
pub async fn run(
    options: Options,
    listener: TcpListener,
    clock: Clock,
    stop: impl Future<Output = Stop>,
    tell: impl Fn(Event) -> bool + Send + Sync + 'static,
) -> Summary {
    let url = listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"));
    let desk = Arc::new(Desk::new(options.count, clock, Box::new(tell)).keeping(options.keeper));
    desk.tell(Event::Listening(Listening {
        url,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
    }));

    let (close, closed) = watch::channel(false);
    let reception = Arc::new(Reception { desk: Arc::clone(&desk), manner: options.manner });
    let receive = {
        let closed = closed.clone();
        move |arrival| {
            let (reception, closed) = (Arc::clone(&reception), closed.clone());
            async move { reception.receive(arrival, closed).await }
        }
    };
    let mishap = {
        let desk = Arc::clone(&desk);
        move |peer, mishap| desk.mishap(peer, &mishap)
    };
    let serving = tokio::spawn(door::serve(listener, options.limits, clock, receive, mishap, closed));

    let ending = tokio::select! {
        stop = stop => match stop {
            Stop::Interrupt => Ending::Interrupted,
            Stop::Terminate => Ending::Terminated,
        },
        () = desk.enough() => Ending::Counted,
        () = deadline(options.timeout) => Ending::TimedOut,
    };
    // The door may have ended by itself only if it panicked; then there is nothing left to close.
    let _ = close.send(true);
    let _ = serving.await;
    desk.finish(ending)
}

async fn deadline(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
