//! `listen`: takes the port and the files that were named, starts the programs that belong to it, shows what it
//! receives, and waits for its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::children::{ChildResults, Children, run_command};
use super::inspector::{self, BoundPage};
use super::ready_file::ReadyFile;
use super::report_file::ReportFile;
use super::signals::{Hangup, Signals};
use super::{after_output, could_not_start, end, stop};
use crate::cli::listen::ListenOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::listen::capture::Capture;
use crate::listen::event::{Ending, Event, Summary};
use crate::listen::forward::Forward;
use crate::listen::history::History;
use crate::listen::tunnel::Open;
use crate::listen::{self, Options};
use crate::net::client::ClientOptions;
use crate::net::secret::masked_url;
use crate::output::Show;
use crate::output::queue::{self, OutputQueue};
use crate::output::retries::{self, Run};
use crate::process;

/// A listener whose port and files are there.
struct Prepared {
    options: Options,
    listener: TcpListener,
    address: SocketAddr,
    /// The page that shows what comes, if there is to be one.
    inspector: Option<BoundPage>,
    report: Option<ReportFile>,
    ready: Option<ReadyFile>,
}

/// Runs a listener.
pub async fn run(options: &ListenOptions) -> Exit {
    let mut show = Show::new(options.output_options, None, None);
    let mut prepared = match prepare(options, &mut show).await {
        Ok(prepared) => prepared,
        Err(error) => return could_not_start(&mut show, &error),
    };
    startup_notes(options, &prepared, &mut show);
    let mut signals = Signals::taking(Hangup::Terminates);
    let starting = Children::start(options, &mut prepared.options, prepared.address, &mut show);
    let started = tokio::select! {
        started = starting => started,
        stop = signals.first() => return stop.exit(),
    };
    let mut children = match started {
        Ok(children) => children,
        Err(error) => return could_not_start(&mut show, &error),
    };
    // A connection made from now on is served, if a moment later.
    if let Some(ready) = prepared.ready.take()
        && let Err(error) = ready.announce(&format!("http://{}", prepared.address))
    {
        return could_not_start(&mut show, &error);
    }
    let verbose = options.output_options.verbose;
    let exit = listen_until_stopped(prepared, show, verbose, signals.clone(), &mut children).await;
    tokio::select! {
        () = children.end_orphans() => exit,
        at_once = signals.second() => at_once.exit(),
    }
}

/// Takes the port, opens the files, gets ready to pass requests on.
async fn prepare(given: &ListenOptions, show: &mut Show) -> Result<Prepared, Error> {
    let named = [&given.ready_file, &given.report, &given.save];
    distinct(&named.into_iter().flatten().collect::<Vec<_>>())?;
    // First of all: a ready file of an earlier run must not be taken for this one's.
    let ready = given.ready_file.clone().map(ReadyFile::take).transpose()?;
    let listener = bind(&given.host, given.port, "--port").await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let inspector = match given.inspect {
        Some(port) => Some(BoundPage::bind(port).await?),
        None => None,
    };
    let mut options = given.listener();
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
    let report = given.report.clone();
    let report = report.map(ReportFile::open).transpose()?;
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

/// Refuses the same file for two purposes: each would destroy what the other has written.
fn distinct(paths: &[&PathBuf]) -> Result<(), Error> {
    // A new file is identified by its folder; devices may be named twice.
    let place = |path: &PathBuf| {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let beside = || {
            Some(
                folder
                    .unwrap_or(Path::new("."))
                    .canonicalize()
                    .ok()?
                    .join(path.file_name()?),
            )
        };
        path.canonicalize()
            .ok()
            .or_else(beside)
            .filter(|place| !place.exists() || place.is_file())
    };
    for (n, path) in paths.iter().enumerate() {
        if paths[..n]
            .iter()
            .any(|other| place(path).is_some_and(|place_of| Some(place_of) == place(other)))
        {
            let what = "of --save, --report and --ready-file each needs a file of its own";
            return Err(Error::Usage(format!(
                "{} is named twice: {what}",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Prints warnings and notes before the first request.
fn startup_notes(given: &ListenOptions, prepared: &Prepared, show: &mut Show) {
    let expected = &prepared.options.expected.fields;
    for expected in expected
        .iter()
        .filter(|expected| expected.is_undocumented())
    {
        show.warn(&format!(
            "--expect {expected}: no documented CDR has such a field"
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

/// Listens until it is time to stop, and ends the tunnel and the command.
async fn listen_until_stopped(
    prepared: Prepared,
    show: Show,
    verbose: bool,
    mut signals: Signals,
    children: &mut Children,
) -> Exit {
    let state = show.state();
    let (output, thread) = queue::start(show);
    let results = Arc::new(ChildResults::default());
    let mut options = prepared.options;
    let clock = Clock::start();
    let report_text = report_writer(&options, prepared.address, clock);
    let inspector = prepared.inspector;
    let page = inspector.map(|page| page.open(&mut options, prepared.address, clock));
    // --timeout counts for the command, where there is one.
    let has_command = children.command.is_some();
    let timeout = options.timeout.take_if(|_| has_command);
    let settle = options.expected.settle;
    let stopping = async {
        let Some(group) = &mut children.command else {
            return Ending::from(stop(signals.clone(), state.clone()).await);
        };
        let (ending, ended) =
            run_command(group, signals.clone(), state.clone(), timeout, settle).await;
        results.command_ended(ended);
        ending
    };
    let history = page.as_ref().map(|page| Arc::clone(&page.history));
    let tell = event_sink(output.clone(), Arc::clone(&results), history);
    let run = async {
        let summary = listen::run(options, prepared.listener, clock, stopping, tell).await;
        results.add_to(summary)
    };
    let mut hurry = signals.clone();
    let summary = tokio::select! {
        summary = run => summary,
        // It never resolves.
        () = watch(children.tunnel.as_mut(), &output, verbose, &results) => return Exit::Failed,
        at_once = hurry.second() => return at_once.exit(),
    };
    // The thread ends when all queues are gone.
    drop(output);
    let rest = async { tokio::join!(children.end(), close(page)) };
    tokio::select! {
        _ = rest => {}
        at_once = signals.second() => return at_once.exit(),
    }
    let written = prepared
        .report
        .map_or(Ok(()), |report| report.write(&report_text(&summary)));
    let exit = if written.is_err() && summary.exit == Exit::Success {
        Exit::Failed
    } else {
        summary.exit
    };
    end(exit, thread, signals, |show| {
        if let Err(error) = &written {
            show.error(error);
        }
        after_output(exit, &state, show)
    })
    .await
}

/// Sends a listener's events to the inspector and the output; false if the output had no room.
fn event_sink(
    output: OutputQueue,
    results: Arc<ChildResults>,
    history: Option<Arc<History>>,
) -> impl Fn(Event) -> bool + Send + Sync + 'static {
    move |event| {
        if let Some(history) = &history {
            history.push(&event);
        }
        output.received(match event {
            Event::Finished(summary) => Event::Finished(results.add_to(summary)),
            event => event,
        })
    }
}

/// Closes the page, if there is one.
async fn close(page: Option<inspector::OpenPage>) {
    if let Some(page) = page {
        page.close().await;
    }
}

/// What writes the report on a run that begins now.
fn report_writer(
    options: &Options,
    address: SocketAddr,
    clock: Clock,
) -> impl Fn(&Summary) -> String + use<> {
    let (began, faults) = (clock.now(), options.faults);
    let seed = faults.is_random().then_some(options.policy.seed);
    move |summary| {
        let url = format!("http://{address}");
        retries::report(
            &Run {
                url,
                began,
                ended: clock.now(),
                faults,
                seed,
            },
            summary,
        )
    }
}

/// Reports the end of the tunnel, and never resolves: the listener goes on without it.
async fn watch(
    tunnel: Option<&mut Open>,
    output: &OutputQueue,
    verbose: bool,
    results: &ChildResults,
) {
    if let Some(open) = tunnel {
        let said = |line: &str| {
            if verbose {
                let _ = output.received(Event::TunnelSaid(line.to_owned()));
            }
        };
        let end = open.ended(said).await;
        results.tunnel_ended();
        let _ = output.received(Event::Warning(end));
    }
    std::future::pending::<()>().await;
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
