//! `listen`: binds, introduces the listener to its board, and waits for its end.

use tokio::net::TcpListener;

use super::signals::Signals;
use super::{after_output, could_not_start, end, stop};
use crate::cli::listen::ListenOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::listen;
use crate::listen::event::Event;
use crate::listen::keep::Keeper;
use crate::show::Show;
use crate::show::board::{Board, Notice};

/// Runs a listener.
pub async fn run(mut options: ListenOptions) -> Exit {
    let mut show = Show::new(options.voice, None, None);
    let listener = match bind(&options.host, options.port).await {
        Ok(listener) => listener,
        Err(error) => return could_not_start(&mut show, &error),
    };
    if !listener.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
        show.warn("anybody who reaches this address can send here and see what it answers");
    }
    if let Some((path, content)) = &options.save {
        let (keeper, warnings) = match Keeper::open(path, *content) {
            Ok(opened) => opened,
            Err(error) => return could_not_start(&mut show, &error),
        };
        for warning in &warnings {
            show.warn(warning);
        }
        options.options.keeper = Some(keeper);
    }
    let mut signals = Signals::new();
    let fate = show.fate();
    let (board, reader) = Board::new(show);
    let stopping = stop(signals.clone(), fate.clone());
    let tell = move |event| {
        if matches!(event, Event::Exchange(_)) {
            return board.pin_if_room(Notice::Received(event));
        }
        // There are few of these, and the summary is the last word.
        board.pin(Notice::Received(event));
        true
    };
    let run = listen::run(options.options, listener, Clock::start(), stopping, tell);
    let summary = tokio::select! {
        summary = run => summary,
        at_once = signals.second() => return at_once.exit(),
    };
    // A listener's end is bounded, whoever does not read.
    end(summary.exit, reader, signals, true, |show| after_output(summary.exit, &fate, show)).await
}

/// Binds the address; the error names it.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
    TcpListener::bind((bare, port)).await.map_err(|source| Error::Bind { address, source })
}
