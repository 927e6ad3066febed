//! `listen`: binds, starts the programs that belong to it, introduces the listener to its board, and waits for its end.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::beside::{Beside, Halt};
use super::command::{self, Companions, Patience};
use super::signals::{Hangup, Signals};
use super::{after_output, could_not_start, end, ready, stop};
use crate::cli::listen::ListenOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::listen;
use crate::listen::event::{Ending, Event};
use crate::listen::forward::Forward;
use crate::listen::keep::Keeper;
use crate::listen::tunnel::Open;
use crate::process::Household;
use crate::show::Show;
use crate::show::board::{Board, Notice};
use crate::wire::client::ClientOptions;
use crate::wire::secret::masked_url;

/// Runs a listener.
pub async fn run(mut options: ListenOptions) -> Exit {
    let mut show = Show::new(options.voice, None, None);
    let listener = match prepare(&mut options, &mut show).await {
        Ok(listener) => listener,
        Err(error) => return could_not_start(&mut show, &error),
    };
    for expected in options.options.wanted.fields.iter().filter(|expected| expected.is_undocumented()) {
        show.warn(&format!("--expect {expected}: no documented CDR has such a field"));
    }
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => return could_not_start(&mut show, &Error::Start(error)),
    };
    if !address.ip().is_loopback() {
        show.warn("anybody who reaches this address can send here and see what it answers");
    }
    if let Some(seed) = options.chosen_seed {
        show.remark(&format!("seed {seed}: the same again with --seed {seed}"));
    }
    // It is shown without its secrets, like everything.
    options.options.public_url = options.public_url.as_deref().map(masked_url);
    let alone = options.tunnel.is_none() && options.command.is_empty();
    let mut signals = Signals::taking(if alone { Hangup::Left } else { Hangup::Terminates });
    // Dropped last: what is left of its families by then is killed.
    let household = (!alone).then(Household::new);
    let mut beside = Beside::default();
    if let Some(household) = &household {
        match Beside::start(household, &mut options, address, &mut show, signals.clone()).await {
            Ok(started) => beside = started,
            Err(Halt::Trouble(error)) => return could_not_start(&mut show, &error),
            Err(Halt::Stopped(stop)) => return stop.exit(),
        }
    }
    if let Some(path) = &options.ready_file
        // Whoever connects from now on is served, if a moment later.
        && let Err(error) = ready::announce(path, &format!("http://{address}"))
    {
        return could_not_start(&mut show, &error);
    }
    let exit = attend(options, listener, show, signals.clone(), beside).await;
    let Some(household) = household else { return exit };
    tokio::select! {
        () = household.end() => exit,
        at_once = signals.second() => at_once.exit(),
    }
}

/// Listens until it is time to stop, and ends what runs beside.
async fn attend(
    options: ListenOptions,
    listener: TcpListener,
    show: Show,
    mut signals: Signals,
    mut beside: Beside,
) -> Exit {
    let fate = show.fate();
    let (board, reader) = Board::new(show);
    let companions = Arc::new(Companions::default());
    let verbose = options.voice.verbose;
    let mut options = options.options;
    // With a command it is the command that time runs out for.
    let timeout = if beside.command.is_some() { options.timeout.take() } else { None };
    let patience = Patience { timeout, settle: options.wanted.settle };
    let stopping = async {
        match &mut beside.command {
            Some(family) => {
                command::course(family, signals.clone(), fate.clone(), patience, &companions).await
            }
            None => Ending::from(stop(signals.clone(), fate.clone()).await),
        }
    };
    let for_the_tunnel = board.clone();
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
        // It never resolves.
        () = watch(beside.tunnel.as_mut(), for_the_tunnel, verbose, &companions) => return Exit::Failed,
        at_once = hurry.second() => return at_once.exit(),
    };
    tokio::select! {
        () = beside.end() => {}
        at_once = signals.second() => return at_once.exit(),
    }
    // A listener's end is bounded, whoever does not read.
    end(summary.exit, reader, signals, true, |show| after_output(summary.exit, &fate, show)).await
}

/// Tells when the tunnel ends, and never resolves: the listener goes on without it.
async fn watch(tunnel: Option<&mut Open>, board: Board, verbose: bool, companions: &Companions) {
    if let Some(open) = tunnel {
        let said = |line: &str| {
            if verbose {
                board.pin(Notice::Received(Event::TunnelSaid(line.to_owned())));
            }
        };
        let end = open.ended(said).await;
        companions.tunnel_ended();
        board.pin(Notice::Received(Event::TunnelEnded(end)));
    }
    std::future::pending::<()>().await;
}

/// Takes the port; gets ready to pass requests on and to save them.
async fn prepare(options: &mut ListenOptions, show: &mut Show) -> Result<TcpListener, Error> {
    if let Some(path) = &options.ready_file {
        ready::forget(path)?;
    }
    let listener = bind(&options.host, options.port).await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let forward = |destination| Forward::new(destination, address, &ClientOptions::default());
    options.options.forward = options.forward_to.take().map(forward).transpose()?;
    if let Some(path) = &options.save {
        let (keeper, warnings) = Keeper::open(path)?;
        for warning in &warnings {
            show.warn(warning);
        }
        options.options.keeper = Some(keeper);
    }
    Ok(listener)
}

/// Binds the address; the error names it.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
    TcpListener::bind((bare, port)).await.map_err(|source| Error::Bind { address, source })
}
