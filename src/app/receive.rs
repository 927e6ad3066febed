//! `listen`: prepares the ports and files, starts the child processes, and shows requests until it stops.

use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
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
use crate::listen::{self, Options, respond};
use crate::net::client::{Client, ClientOptions};
use crate::net::secret::masked_url;
use crate::net::{Destination, Header, Phase, Request};
use crate::output::queue::OutputQueue;
use crate::output::retries::{self, Run};
use crate::output::streams::StreamState;
use crate::output::{OutputOptions, Show};
use crate::process;

/// `listen --healthcheck`: succeeds if the listener at `destination` answers with a 2xx.
pub async fn healthcheck(destination: &Destination, output: OutputOptions) -> Result<Exit, Error> {
    let client = Client::new(destination, &ClientOptions::default())?;
    let agent = Header::from_static("User-Agent", respond::HEALTHCHECK);
    let path = destination.target().split('?').next().unwrap_or_default();
    let request = Request::new("GET", path, vec![agent], "");
    let place = destination.place();
    let why = match client.send(&request).await {
        Ok(response) if response.status / 100 == 2 => return Ok(Exit::Success),
        Ok(response) => format!("{place}: answered {}", response.status),
        // Before the answer, the text of a failure names the address.
        Err(failure) if failure.phase <= Phase::Send => failure.text,
        Err(failure) => format!("{place}: {}", failure.text),
    };
    Show::new(output, None, None).warn(&why);
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
        let reached = is_reached.then_some(Exit::Success);
        return Ok(reached.unwrap_or(Exit::TimedOut));
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
    let is_random = options.faults.is_random();
    let mut run = Run {
        url: format!("http://{address}"),
        began: clock.now(),
        ended: clock.now(),
        faults: options.faults,
        seed: is_random.then(|| options.policy.borrow().seed),
    };
    let closing = CancellationToken::new();
    let page = prepared.inspector.map(|inspector| {
        let output = output.clone();
        serve_page(inspector, &options, address, clock, output, closing.clone())
    });
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
    output: OutputQueue,
    closing: CancellationToken,
) -> (Arc<History>, tokio::task::JoinHandle<()>) {
    let about = About {
        url: format!("http://{}", children::local(address)),
        public_url: options.public_url.clone(),
        forward: options.forward.clone(),
        policy: options.policy.clone(),
        tell: Box::new(move |event| output.received(event)),
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

struct Prepared {
    options: Options,
    listener: TcpListener,
    address: SocketAddr,
    /// The inspector's port is bound by `prepare`, and served only when the listener runs.
    inspector: Option<(TcpListener, Token)>,
    report: Option<File>,
    ready: Option<ReadyFile>,
}

async fn prepare(given: &ListenOptions, show: &mut Show) -> Result<Prepared, Error> {
    files::distinct(&[
        ("--save", &given.save),
        ("--report", &given.report),
        ("--ready-file", &given.ready_file),
    ])?;
    // The ready file of an earlier run is removed before the port is bound, since a script could read the old URL.
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
    // A forwarded request takes a second file descriptor, and the inspector's browsers need descriptors, too.
    let each = 1 + usize::from(options.forward.is_some()) + usize::from(inspector.is_some());
    options.limits = options.limits.within(process::descriptors(), each);
    if let Some(path) = &given.save {
        let (capture, warnings) = Capture::open(path, given.redact)?;
        for warning in &warnings {
            show.warn(warning);
        }
        options.capture = Some(capture);
    }
    let report = given.report.as_deref().map(files::open_report);
    options.public_url = given.public_url.as_deref().map(masked_url);
    Ok(Prepared {
        options,
        listener,
        address,
        inspector,
        report: report.transpose()?,
        ready,
    })
}

fn startup_notes(given: &ListenOptions, prepared: &Prepared, show: &mut Show) {
    let options = &prepared.options;
    for expected in &options.expected.fields {
        let field = &expected.field;
        if schema::documented(field).is_none() {
            show.warn(&format!("--expect {field}: {}", schema::unknown(field)));
        }
    }
    let (first, expected) = (options.faults.first, &options.expected);
    let is_open =
        options.until_stopped || !expected.settle.is_zero() || !expected.fields.is_empty();
    if let Some(count) = expected.count.filter(|count| *count <= first && !is_open) {
        show.warn(&format!(
            "--fail-first {first}: --count {count} counts failed CDRs too, so listening stops \
             before a CDR is accepted; a higher --count waits for one"
        ));
    }
    if !prepared.address.ip().is_loopback() {
        show.warn("any machine that reaches this address can send requests");
    }
    if let Some(forward) = &options.forward {
        show.remark_to_a_person(&format!("forwarding to {}", forward.destination));
    }
    if let Some(capture) = &options.capture {
        show.remark_to_a_person(&capture.purpose());
    }
    if !options.faults.are_off() {
        show.remark_to_a_person(&format!("injecting faults: {}", options.faults));
    }
    if let Some(seed) = given.drawn_seed {
        show.remark(&format!("seed {seed}: repeat this run with --seed {seed}"));
    }
}

/// An error of `bind` names the address and the flag of the port.
pub async fn bind(host: &str, port: u16, flag: &'static str) -> Result<TcpListener, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = if bare.contains(':') {
        format!("[{bare}]:{port}")
    } else {
        format!("{bare}:{port}")
    };
    let bound = TcpListener::bind((bare, port)).await;
    bound.map_err(|source| Error::Bind {
        address,
        flag,
        source,
    })
}
