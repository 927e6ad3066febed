//! `listen`: prepares the ports and files, starts the child processes, and shows requests until it stops.

mod prepare;

pub use prepare::bind;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::children::{self, Children, run_command};
use super::files;
use super::signals::Signals;
use crate::cli::listen::ListenOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit, Stop};
use crate::listen::event::{Ending, Event};
use crate::listen::history::History;
use crate::listen::inspector::access::Token;
use crate::listen::inspector::{self, About};
use crate::listen::tunnel::Open;
use crate::listen::{self, Options, respond};
use crate::net::client::{Client, ClientOptions};
use crate::net::{Destination, Header, Request};
use crate::output::queue::{OutputQueue, StreamState};
use crate::output::retries::{self, Run};
use crate::output::{OutputOptions, Show};
use crate::process;
use prepare::{Prepared, prepare, startup_notes};

/// `listen --healthcheck`: succeeds if the listener at `destination` answers with a 2xx.
pub async fn healthcheck(destination: &Destination, output: OutputOptions) -> Result<Exit, Error> {
    let client = Client::new(destination, &ClientOptions::default())?;
    let agent = Header::from_static("User-Agent", respond::HEALTHCHECK);
    let path = destination.target().split('?').next().unwrap_or_default();
    let response = client
        .send(&Request::new("GET", path, vec![agent], ""))
        .await;
    let why = match response {
        Ok(response) if response.status / 100 == 2 => return Ok(Exit::Success),
        Ok(response) => format!("answered {}", response.status),
        Err(failure) => failure.text,
    };
    Show::new(output, None, None).warn(&format!("{}: {why}", destination.place()));
    Ok(Exit::Failed)
}

pub async fn run(given: &ListenOptions) -> Result<Exit, Error> {
    let mut show = Show::new(given.output_options, None, None);
    let mut prepared = prepare(given, &mut show).await?;
    startup_notes(given, &prepared, &mut show);
    // `listen` handles SIGHUP too, because the report must be written and the child processes ended.
    let mut signals = Signals::new(true);
    let timeout = prepared.options.timeout;
    let began = Instant::now();
    let starting = Children::start(given, &mut prepared.options, prepared.address, &mut show);
    let children = tokio::select! {
        children = starting => Some(children?),
        stop = signals.first() => return Ok(stop.exit()),
        () = tokio::time::sleep(timeout.unwrap_or(Duration::MAX)) => None,
    };
    let Some(children) = children else {
        show.warn("--timeout ended before the tunnel was ready");
        let is_reached = prepared.options.expected.is_reached(0);
        return Ok(if is_reached {
            Exit::Success
        } else {
            Exit::TimedOut
        });
    };
    prepared.options.timeout = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
    // The ready file is written once the port is bound: the kernel queues connections made from then on.
    if let Some(ready) = prepared.ready.take() {
        ready.announce(&format!("http://{}", prepared.address))?;
    }
    let (output, session) = Session::start(show, signals);
    let (stop, state) = (session.stop(), session.state.clone());
    let run = listen_until_stopped(given, prepared, children, output, stop, state);
    Ok(Box::pin(session.finish(run)).await)
}

async fn listen_until_stopped(
    given: &ListenOptions,
    prepared: Prepared,
    mut children: Children,
    output: OutputQueue,
    stop: impl Future<Output = Stop>,
    state: watch::Receiver<StreamState>,
) -> Exit {
    let clock = Clock::start();
    let (mut options, address) = (prepared.options, prepared.address);
    let mut run = Run {
        url: format!("http://{address}"),
        began: clock.now(),
        ended: clock.now(),
        faults: options.faults,
        seed: options.faults.is_random().then_some(options.policy.seed),
    };
    let closing = CancellationToken::new();
    let open = |inspector| serve_page(inspector, &options, address, clock, closing.clone());
    let page = prepared.inspector.map(open);
    // With a command, `--timeout` and `--settle` apply to the command instead of the listener.
    let has_command = children.command.is_some();
    let timeout = options.timeout.take_if(|_| has_command);
    let settle = options.expected.settle;
    let (mut command_ended, mut tunnel_ended) = (None, false);
    let stopping = async {
        let Some(group) = &mut children.command else {
            return Ending::from(stop.await);
        };
        let (ending, ended) = run_command(group, stop, state, timeout, settle).await;
        command_ended = Some(ended);
        ending
    };
    let tell = {
        let output = output.clone();
        let history = page.as_ref().map(|(history, _)| Arc::clone(history));
        move |event| {
            if let Some(history) = &history {
                history.push(&event);
            }
            // `Event::Finished` is shown later, when the summary includes the exits of the child processes.
            matches!(event, Event::Finished(_)) || output.received(event)
        }
    };
    let mut summary = tokio::select! {
        summary = listen::run(options, prepared.listener, clock, stopping, tell) => summary,
        never = watch_tunnel(children.tunnel.as_mut(), &output, given, &mut tunnel_ended) => match never {},
    };
    summary.tunnel_ended = tunnel_ended;
    if let Some(ended) = command_ended {
        children::add_command(&mut summary, ended);
    }
    let _ = output.received(Event::Finished(summary.clone()));
    closing.cancel();
    let page_closed = async {
        if let Some((_, page)) = page {
            let _ = page.await;
        }
    };
    tokio::join!(children.end(), page_closed);
    run.ended = clock.now();
    let report = given.report.as_deref().zip(prepared.report);
    let written = report.map_or(Ok(()), |(path, file)| {
        files::write_report(path, file, &retries::report(&run, &summary))
    });
    children.end_orphans().await;
    match written {
        Ok(()) => summary.exit,
        Err(error) => {
            output.push(0, move |show| show.error(&error));
            match summary.exit {
                Exit::Success => Exit::Failed,
                exit => exit,
            }
        }
    }
}

fn serve_page(
    (listener, token): (TcpListener, Token),
    options: &Options,
    address: SocketAddr,
    clock: Clock,
    closing: CancellationToken,
) -> (Arc<History>, tokio::task::JoinHandle<()>) {
    let about = About {
        url: format!("http://{}", children::local(address)),
        public_url: options.public_url.clone(),
        forward: options.forward.clone(),
    };
    // The history masks its captures with a clone of the capture file's redactor, which gives the same pseudonyms to
    // the same numbers.
    let capture = options.capture.as_ref();
    let redactor = capture.and_then(|capture| capture.redactor.clone());
    let history = Arc::new(History::new(redactor));
    // The inspector is limited to about a quarter of the file descriptors, because the listener needs most of them.
    let limits = inspector::limits().within(process::descriptors(), 4);
    let shown = Arc::clone(&history);
    let serving = inspector::serve(listener, token, about, shown, limits, clock, closing);
    (history, tokio::spawn(serving))
}

/// A tunnel that ends is reported, but does not stop the listener, so that `watch_tunnel` never resolves.
async fn watch_tunnel(
    tunnel: Option<&mut Open>,
    output: &OutputQueue,
    given: &ListenOptions,
    ended: &mut bool,
) -> Infallible {
    if let Some(open) = tunnel {
        let said = |line: &str| {
            if given.output_options.verbose {
                let _ = output.received(Event::TunnelSaid(line.to_owned()));
            }
        };
        let end = open.ended(said).await;
        *ended = true;
        let _ = output.received(Event::Warning(end));
    }
    std::future::pending().await
}
