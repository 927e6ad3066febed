//! Mode two: a port in, exchanges told, summary out.
//!
//! [`server`] takes requests in, [`reception`] sees each of them through, [`respond`] decides what it gets and [`fault`]
//! what it gets instead, [`forward`] passes it on, [`relate`] knows which earlier one it belongs to and [`retries`] which
//! failure it comes back after, [`claim`] whom it says it comes from, [`keep`] saves it, masked by [`redact`] if that is
//! wanted; [`wanted`] says when it is enough. A [`tunnel`] lets the world in; a [`feed`] keeps the last exchanges for the
//! [`inspector`], which shows them in a browser. The desk is where they come together:
//! numbered, related, saved, told and counted in one short step, so that there is one order and it is the same
//! everywhere.

pub mod claim;
pub mod desk;
pub mod event;
pub mod fault;
pub mod feed;
pub mod forward;
pub mod inspector;
pub mod keep;
pub mod reception;
pub mod redact;
pub mod relate;
pub mod respond;
pub mod retries;
pub mod server;
pub mod tunnel;
pub mod wanted;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use claim::Claims;
use desk::Desk;
use event::{Ending, Event, Listening, Summary};
use fault::Faults;
use forward::Forward;
use keep::Keeper;
use reception::Reception;
use respond::ResponsePolicy;
use server::Limits;
use wanted::Wanted;

/// Everything a listener follows, but where it listens.
#[derive(Debug, Default)]
pub struct Options {
    /// What requests are answered.
    pub policy: ResponsePolicy,
    /// Which of them fail on purpose.
    pub faults: Faults,
    /// Which CDRs to wait for, and how many.
    pub wanted: Wanted,
    /// What the wanted number means.
    pub until: Until,
    /// After how long to stop.
    pub timeout: Option<Duration>,
    /// The handler that requests are passed on to.
    pub forward: Option<Forward>,
    /// Where the rest of the world can send to.
    pub public_url: Option<String>,
    /// Where a browser can see what comes, token included.
    pub inspect: Option<String>,
    /// Whether to say whom requests claim to come from.
    pub claims: Claims,
    /// What strangers may cost.
    pub limits: Limits,
    /// Saves what comes, if it is to be saved.
    pub keeper: Option<Keeper>,
}

/// What a wanted number of CDRs means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// The listener stops when it is reached.
    #[default]
    Reached,
    /// The listener goes on until it is told to stop; then it must be this number exactly.
    Stopped,
}

/// Listens on a bound port until the wanted number has come, the time is up, or `stop` resolves; then finishes what
/// is in flight, which takes no longer than the limits' grace.
///
/// `tell` must not block; it returns false if an event could not be shown, and such events are counted.
pub async fn run(
    options: Options,
    listener: TcpListener,
    clock: Clock,
    stop: impl Future<Output: Into<Ending>>,
    tell: impl Fn(Event) -> bool + Send + Sync + 'static,
) -> Summary {
    let url = listener
        .local_addr()
        .map_or_else(|_| String::new(), |address| format!("http://{address}"));
    let desk =
        Desk::new(options.wanted, options.claims, clock, Box::new(tell)).keeping(options.keeper);
    let desk = Arc::new(desk);
    desk.tell(Event::Listening(Listening {
        url,
        public_url: options.public_url,
        inspect: options.inspect,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
    }));

    let closed = CancellationToken::new();
    let reception = Reception::new(
        Arc::clone(&desk),
        options.policy,
        options.faults,
        options.forward,
        closed.clone(),
    );
    let reception = Arc::new(reception);
    let receive = {
        let reception = Arc::clone(&reception);
        move |arrival| Arc::clone(&reception).receive(arrival)
    };
    let mishap = {
        let desk = Arc::clone(&desk);
        move |peer, mishap| desk.mishap(peer, &mishap)
    };
    let serving = tokio::spawn(server::serve(
        listener,
        options.limits,
        clock,
        receive,
        mishap,
        closed.clone(),
    ));

    let ending = tokio::select! {
        stop = stop => stop.into(),
        () = desk.settled(), if options.until == Until::Reached => Ending::Counted,
        () = deadline(options.timeout) => Ending::TimedOut,
    };
    // The door may have ended by itself only if it panicked; then there is nothing left to close.
    closed.cancel();
    let _ = serving.await;
    reception.idle().await;
    desk.finish(ending)
}

/// Resolves when the time is up, if there is an end to it.
pub async fn deadline(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
