//! `listen`: binds, starts the programs that belong to it, introduces the listener to its board, and waits for its end.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::command::{self, Companions, Patience};
use super::signals::{Hangup, Signals};
use super::{after_output, could_not_start, end, ready, stop};
use crate::cli::listen::ListenOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::listen;
use crate::listen::event::{Ending, Event};
use crate::listen::forward::Forward;
use crate::process::{Family, GRACE, Household};
use crate::show::Show;
use crate::show::board::{Board, Notice};
use crate::wire::client::ClientOptions;

/// Runs a listener.
pub async fn run(options: ListenOptions) -> Exit {
    let mut show = Show::new(options.voice, None, None);
    let mut options = options;
    let listener = match prepare(&mut options).await {
        Ok(listener) => listener,
        Err(error) => return could_not_start(&mut show, &error),
    };
    for expected in options.options.wanted.fields.iter().filter(|expected| expected.is_undocumented()) {
        show.warn(&format!("--expect {expected}: no documented CDR has such a field"));
    }
    if !listener.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
        show.warn("anybody who reaches this address can send here and see what it answers");
    }
    if let Some(seed) = options.chosen_seed {
        show.remark(&format!("seed {seed}: the same again with --seed {seed}"));
    }
    if options.command.is_empty() {
        let signals = Signals::new();
        return attend(options, listener, show, signals, None).await;
    }
    let mut signals = Signals::taking(Hangup::Terminates);
    // Dropped last: what is left of its families by then is killed.
    let household = Household::new();
    let command = match start(&household, &options, &listener) {
        Ok(command) => command,
        Err(error) => return could_not_start(&mut show, &error),
    };
    let exit = attend(options, listener, show, signals.clone(), Some(command)).await;
    tokio::select! {
        () = household.end() => exit,
        at_once = signals.second() => at_once.exit(),
    }
}

fn start(household: &Household, options: &ListenOptions, listener: &TcpListener) -> Result<Family, Error> {
    let url = command::local_url(listener.local_addr().map_err(Error::Start)?);
    command::start(household, &options.command, (&url, None), options.voice.ndjson)
}

/// Listens until it is time to stop, and ends what runs beside.
async fn attend(
    options: ListenOptions,
    listener: TcpListener,
    show: Show,
    mut signals: Signals,
    mut command: Option<Family>,
) -> Exit {
    let fate = show.fate();
    let (board, reader) = Board::new(show);
    let companions = Arc::new(Companions::default());
    let mut options = options.options;
    // With a command it is the command that time runs out for.
    let timeout = if command.is_some() { options.timeout.take() } else { None };
    let patience = Patience { timeout, settle: options.wanted.settle };
    let stopping = async {
        match &mut command {
            Some(family) => {
                command::course(family, signals.clone(), fate.clone(), patience, &companions).await
            }
            None => Ending::from(stop(signals.clone(), fate.clone()).await),
        }
    };
    let tell = {
        let companions = Arc::clone(&companions);
        move |event| match event {
            Event::Exchange(_) => board.pin_if_room(Notice::Received(event)),
            // There are few of these, and the summary is the last word.
            Event::Finished(summary) => {
                board.pin(Notice::Received(Event::Finished(companions.amend(summary))));
                true
            }
            event => {
                board.pin(Notice::Received(event));
                true
            }
        }
    };
    let run = async {
        let summary = listen::run(options, listener, Clock::start(), stopping, tell).await;
        companions.amend(summary)
    };
    let mut hurry = signals.clone();
    let summary = tokio::select! {
        summary = run => summary,
        at_once = hurry.second() => return at_once.exit(),
    };
    if let Some(family) = &mut command {
        tokio::select! {
            _ = family.end(GRACE) => {}
            at_once = signals.second() => return at_once.exit(),
        }
    }
    // A listener's end is bounded, whoever does not read.
    end(summary.exit, reader, signals, true, |show| after_output(summary.exit, &fate, show)).await
}

/// Takes the port, and says so where that was asked for; gets ready to pass requests on.
async fn prepare(options: &mut ListenOptions) -> Result<TcpListener, Error> {
    if let Some(path) = &options.ready_file {
        ready::forget(path)?;
    }
    let listener = bind(&options.host, options.port).await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let forward = |destination| Forward::new(destination, address, &ClientOptions::default());
    options.options.forward = options.forward_to.take().map(forward).transpose()?;
    if let Some(path) = &options.ready_file {
        // Whoever connects from now on is served, if a moment later.
        ready::announce(path, &format!("http://{address}"))?;
    }
    Ok(listener)
}

/// Binds the address; the error names it.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
    TcpListener::bind((bare, port)).await.map_err(|source| Error::Bind { address, source })
}
