//! Mode two: a port in, exchanges told, summary out.
//!
//! [`door`] takes requests in, [`reception`] sees each of them through, [`answer`] decides what it gets and [`fault`]
//! what it gets instead, [`relate`] knows which earlier one it belongs to, [`retries`] which failure it comes
//! back after. The desk is where they come together: numbered, related, told and counted in one short step, so that
//! there is one order and it is the same everywhere.

pub mod answer;
pub mod desk;
pub mod door;
pub mod event;
pub mod fault;
pub mod reception;
pub mod relate;
pub mod retries;

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
use fault::Faults;
use reception::Reception;

/// Everything a listener follows, but where it listens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// What requests are answered.
    pub manner: Manner,
    /// Which of them fail on purpose.
    pub faults: Faults,
    /// After how many CDRs to stop.
    pub count: Option<u64>,
    /// After how long to stop.
    pub timeout: Option<Duration>,
    /// What strangers may cost.
    pub limits: Limits,
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
    let desk = Arc::new(Desk::new(options.count, clock, Box::new(tell)));
    desk.tell(Event::Listening(Listening {
        url,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
    }));

    let (close, closed) = watch::channel(false);
    let reception =
        Arc::new(Reception { desk: Arc::clone(&desk), manner: options.manner, faults: options.faults });
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
