//! `listen`: takes the port, opens the files, starts the child processes, and shows what is received until the end.

use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::children::{self, Children, run_command};
use super::files::{self, ReadyFile};
use super::signals::Signals;
use crate::cdr::schema;
use crate::cli::listen::ListenOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit, Stop};
use crate::listen::capture::Capture;
use crate::listen::event::{Ending, Event};
use crate::listen::forward::Forward;
use crate::listen::history::History;
use crate::listen::inspector::access::Token;
use crate::listen::inspector::{self, About};
use crate::listen::tunnel::Open;
use crate::listen::{self, Options};
use crate::net::client::ClientOptions;
use crate::net::secret::masked_url;
use crate::output::Show;
use crate::output::queue::{OutputQueue, StreamState};
use crate::output::retries::{self, Run};
use crate::process;

/// A listener whose port and files are open.
struct Prepared {
    options: Options,
    listener: TcpListener,
    address: SocketAddr,
    /// The port and the token of the inspector, which does not answer yet.
    inspector: Option<(TcpListener, Token)>,
    report: Option<File>,
    ready: Option<ReadyFile>,
}

pub async fn run(given: &ListenOptions) -> Result<Exit, Error> {
    let mut show = Show::new(given.output_options, None, None);
    let mut prepared = prepare(given, &mut show).await?;
    startup_notes(given, &prepared, &mut show);
    // SIGHUP too: there may be a report to write and processes to end.
    let mut signals = Signals::new(true);
    let starting = Children::start(given, &mut prepared.options, prepared.address, &mut show);
    let children = tokio::select! {
        children = starting => children?,
        stop = signals.first() => return Ok(stop.exit()),
    };
    // A connection made from now on is served, if a moment later.
    if let Some(ready) = prepared.ready.take() {
        ready.announce(&format!("http://{}", prepared.address))?;
    }
    let (output, session) = Session::start(show, signals);
    let (stop, state) = (session.stop(), session.state.clone());
    let run = listen_until_stopped(given, prepared, children, output, stop, state);
    Ok(Box::pin(session.finish(run)).await)
}

async fn prepare(given: &ListenOptions, show: &mut Show) -> Result<Prepared, Error> {
    let named = [&given.ready_file, &given.report, &given.save];
    let named: Vec<&Path> = named.into_iter().flatten().map(AsRef::as_ref).collect();
    files::distinct(&named)?;
    // First of all: a ready file of an earlier run must not be taken for this one's.
    let ready = given.ready_file.clone().map(ReadyFile::take).transpose()?;
    let listener = bind(&given.host, given.port, "--port").await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let mut options = given.listener();
    let mut inspector = None;
    if let Some(port) = given.inspect {
        let listener = bind("127.0.0.1", port, "--inspect").await?;
        let address = listener.local_addr().map_err(Error::Start)?;
        let token = Token::fresh().map_err(Error::Start)?;
        options.inspect = Some(inspector::url(address, &token));
        inspector = Some((listener, token));
    }
    let forward = |destination| Forward::new(destination, address, &ClientOptions::default());
    options.forward = given.destination.clone().map(forward).transpose()?;
    // Each request may hold a connection to the handler too, and the inspector those of browsers.
    let each = 1 + usize::from(options.forward.is_some()) + usize::from(inspector.is_some());
    options.limits = options.limits.within(process::descriptors(), each);
    if let Some(path) = &given.save {
        let (capture, warnings) = Capture::open(path, given.redact)?;
        for warning in &warnings {
            show.warn(warning);
        }
        options.capture = Some(capture);
    }
    let report = given
        .report
        .as_deref()
        .map(files::open_report)
        .transpose()?;
    options.public_url = given.public_url.as_deref().map(masked_url);
    Ok(Prepared {
        options,
        listener,
        address,
        inspector,
        report,
        ready,
    })
}

/// Prints warnings and notes before the first request.
fn startup_notes(given: &ListenOptions, prepared: &Prepared, show: &mut Show) {
    let expected = &prepared.options.expected.fields;
    for expected in expected
        .iter()
        .filter(|expected| schema::documented(&expected.field).is_none())
    {
        show.warn(&format!(
            "--expect {}={}: no documented CDR has such a field",
            expected.field, expected.value
        ));
    }
    if !prepared.address.ip().is_loopback() {
        show.warn("anybody who reaches this address can send here and see what it answers");
    }
    let options = &prepared.options;
    if let Some(forward) = &options.forward {
        show.remark_to_a_person(&format!("passing on to {}", forward.url()));
    }
    if let Some(capture) = &options.capture {
        show.remark_to_a_person(&capture.purpose());
    }
    if !options.faults.are_off() {
        show.remark_to_a_person(&format!("failing on purpose: {}", options.faults));
    }
    if let Some(seed) = given.drawn_seed {
        show.remark(&format!("seed {seed}: the same again with --seed {seed}"));
    }
}

/// Listens until it is time to stop, then ends the child processes and writes the report.
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
    // --timeout and --settle count for the command, if there is one.
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
        let (output, history) = (
            output.clone(),
            page.as_ref().map(|(history, _)| history.clone()),
        );
        move |event| {
            if let Some(history) = &history {
                history.push(&event);
            }
            // Shown below, with the ends of the child processes.
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
            // An error means that it panicked.
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

/// Serves the inspector of a listener at this address.
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
    let redactor = options.capture.as_ref().and_then(Capture::redactor);
    let history = Arc::new(History::new(redactor));
    // The receiver takes most of the file descriptors.
    let limits = inspector::limits().within(process::descriptors(), 4);
    let shown = Arc::clone(&history);
    let serving = inspector::serve(listener, token, about, shown, limits, clock, closing);
    (history, tokio::spawn(serving))
}

/// Reports the end of the tunnel, and never resolves: the listener goes on without it.
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

/// Binds the address; the error names it, and the flag that chooses the port.
pub async fn bind(host: &str, port: u16, flag: &'static str) -> Result<TcpListener, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = if bare.contains(':') {
        format!("[{bare}]:{port}")
    } else {
        format!("{bare}:{port}")
    };
    TcpListener::bind((bare, port))
        .await
        .map_err(|source| Error::Bind {
            address,
            flag,
            source,
        })
}
