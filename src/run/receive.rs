//! `listen`: binds, introduces the listener to its board, and waits for its end.

use std::time::Duration;

use tokio::net::TcpListener;

use super::signals::Signals;
use super::{after_output, could_not_start, stop};
use crate::cli::listen::ListenOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::listen;
use crate::show::Show;
use crate::show::board::{Board, Notice};

/// How long the last lines may take to be read: a listener's end is bounded, whoever does not read.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Runs a listener.
pub async fn run(options: ListenOptions) -> Exit {
    let mut show = Show::new(options.voice, None, None);
    let listener = match bind(&options.host, options.port).await {
        Ok(listener) => listener,
        Err(error) => return could_not_start(&mut show, &error),
    };
    if !listener.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
        show.warn("anybody who reaches this address can send here and see what it answers");
    }
    let mut signals = Signals::new();
    let fate = show.fate();
    let (board, reader) = Board::new(show);
    let stopping = stop(signals.clone(), fate.clone());
    let tell = move |event| board.pin(Notice::Received(event));
    let run = listen::run(options.options, listener, Clock::start(), stopping, tell);
    let summary = tokio::select! {
        summary = run => summary,
        at_once = signals.second() => return at_once.exit(),
    };
    match reader.finish(Some(LAST_LINES)) {
        Some(mut show) => after_output(summary.exit, &fate, &mut show),
        None => summary.exit,
    }
}

/// Binds the address; the error names it.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
    TcpListener::bind((bare, port)).await.map_err(|source| Error::Bind { address, source })
}
