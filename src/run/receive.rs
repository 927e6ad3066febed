//! `listen`: takes the port and the files that were named, starts the programs that belong to it, shows what it
//! receives, and waits for its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::beside::{Beside, Companions, Halt};
use super::command::{self, Patience};
use super::inspection::{self, Inspection};
use super::ready::ReadyFile;
use super::report::ReportFile;
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
use crate::process::{self, Household};
use crate::show::Show;
use crate::show::queue::{self, OutputQueue};
use crate::show::retries::{self, Run};
use crate::wire::client::ClientOptions;
use crate::wire::secret::masked_url;

/// A listener whose port and files are there.
struct Prepared {
    options: ListenOptions,
    listener: TcpListener,
    address: SocketAddr,
    /// The page that shows what comes, if there is to be one.
    inspection: Option<Inspection>,
    report: Option<ReportFile>,
    ready: Option<ReadyFile>,
}

/// Runs a listener.
pub async fn run(options: ListenOptions) -> Exit {
    let mut show = Show::new(options.output_options, None, None);
    let mut prepared = match prepare(options, &mut show).await {
        Ok(prepared) => prepared,
        Err(error) => return could_not_start(&mut show, &error),
    };
    advise(&prepared, &mut show);
    let alone = prepared.options.tunnel.is_none() && prepared.options.command.is_empty();
    let mut signals = Signals::taking(Hangup::Terminates);
    // Dropped last: what is left of its families by then is killed.
    let household = (!alone).then(Household::new);
    let mut beside = Beside::default();
    if let Some(household) = &household {
        let address = prepared.address;
        match Beside::start(
            household,
            &mut prepared.options,
            address,
            &mut show,
            signals.clone(),
        )
        .await
        {
            Ok(started) => beside = started,
            Err(Halt::Trouble(error)) => return could_not_start(&mut show, &error),
            Err(Halt::Stopped(stop)) => return stop.exit(),
        }
    }
    if let Some(ready) = prepared.ready.take()
        // Whoever connects from now on is served, if a moment later.
        && let Err(error) = ready.announce(&format!("http://{}", prepared.address))
    {
        return could_not_start(&mut show, &error);
    }
    let exit = attend(prepared, show, signals.clone(), beside).await;
    let Some(household) = household else {
        return exit;
    };
    tokio::select! {
        () = household.end() => exit,
        at_once = signals.second() => at_once.exit(),
    }
}

/// Takes the port, opens the files, gets ready to pass requests on.
async fn prepare(mut options: ListenOptions, show: &mut Show) -> Result<Prepared, Error> {
    let named = [
        &options.ready_file,
        &options.report,
        &options.save.as_ref().map(|(path, _)| path.clone()),
    ];
    distinct(&named.into_iter().flatten().collect::<Vec<_>>())?;
    // What an earlier run has left goes first, so that nobody takes its word for ours, whatever happens next.
    let ready = options.ready_file.take().map(ReadyFile::take).transpose()?;
    let listener = bind(&options.host, options.port, "--port").await?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let inspection = match options.inspect {
        Some(port) => Some(Inspection::prepare(port).await?),
        None => None,
    };
    let forward = |destination| Forward::new(destination, address, &ClientOptions::default());
    options.options.forward = options.forward_to.take().map(forward).transpose()?;
    // Passing on takes a connection of our own, and a page those of browsers.
    let each =
        1 + usize::from(options.options.forward.is_some()) + usize::from(inspection.is_some());
    options.options.limits = options.options.limits.within(process::descriptors(), each);
    if let Some((path, redact)) = options.save.take() {
        let (capture, warnings) = Capture::open(&path, redact)?;
        for warning in &warnings {
            show.warn(warning);
        }
        options.options.capture = Some(capture);
    }
    let report = options.report.take().map(ReportFile::open).transpose()?;
    // It is shown without its secrets, like everything.
    options.options.public_url = options.public_url.as_deref().map(masked_url);
    Ok(Prepared {
        options,
        listener,
        address,
        inspection,
        report,
        ready,
    })
}

/// Refuses the same file for two purposes: each would destroy what the other has written.
fn distinct(paths: &[&PathBuf]) -> Result<(), Error> {
    // One that is not there yet is told by its folder; devices take everything.
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

/// Says what a person should know before anything comes.
fn advise(prepared: &Prepared, show: &mut Show) {
    let expected = &prepared.options.options.expected.fields;
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
    let options = &prepared.options.options;
    if let Some(forward) = &options.forward {
        show.remark_to_a_person(&format!("passing on to {}", forward.url()));
    }
    if let Some(capture) = &options.capture {
        show.remark_to_a_person(&capture.purpose());
    }
    if !options.faults.are_off() {
        show.remark_to_a_person(&format!("failing on purpose: {}", options.faults));
    }
    if let Some(seed) = prepared.options.chosen_seed {
        show.remark(&format!("seed {seed}: the same again with --seed {seed}"));
    }
}

/// Listens until it is time to stop, and ends what runs beside.
async fn attend(prepared: Prepared, show: Show, mut signals: Signals, mut beside: Beside) -> Exit {
    let Prepared {
        options,
        listener,
        address,
        inspection,
        report,
        ready: _,
    } = prepared;
    let state = show.state();
    let (output, thread) = queue::start(show);
    let companions = Arc::new(Companions::default());
    let verbose = options.output_options.verbose;
    let mut options = options.options;
    let clock = Clock::start();
    let account = account_of(&options, address, clock);
    let page = inspection.map(|inspection| inspection.open(&mut options, address, clock));
    // With a command it is the command that time runs out for.
    let timeout = if beside.command.is_some() {
        options.timeout.take()
    } else {
        None
    };
    let patience = Patience {
        timeout,
        settle: options.expected.settle,
    };
    let stopping = async {
        match &mut beside.command {
            Some(family) => {
                let course = command::course(family, signals.clone(), state.clone(), patience);
                let (ending, ended) = course.await;
                companions.command_ended(ended);
                ending
            }
            None => Ending::from(stop(signals.clone(), state.clone()).await),
        }
    };
    let history = page.as_ref().map(|page| Arc::clone(&page.history));
    let tell = teller(output.clone(), Arc::clone(&companions), history);
    let run = async {
        let summary = listen::run(options, listener, clock, stopping, tell).await;
        companions.amend(summary)
    };
    let mut hurry = signals.clone();
    let summary = tokio::select! {
        summary = run => summary,
        // It never resolves.
        () = watch(beside.tunnel.as_mut(), &output, verbose, &companions) => return Exit::Failed,
        at_once = hurry.second() => return at_once.exit(),
    };
    // The thread ends when all queues are gone.
    drop(output);
    let rest = async { tokio::join!(beside.end(), close(page)) };
    tokio::select! {
        _ = rest => {}
        at_once = signals.second() => return at_once.exit(),
    }
    let written = report.map_or(Ok(()), |report| report.write(&account(&summary)));
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

/// What shows a listener's events, and tells the page; false if the output had no room.
fn teller(
    output: OutputQueue,
    companions: Arc<Companions>,
    history: Option<Arc<History>>,
) -> impl Fn(Event) -> bool + Send + Sync + 'static {
    move |event| {
        if let Some(history) = &history {
            history.push(&event);
        }
        output.received(match event {
            Event::Finished(summary) => Event::Finished(companions.amend(summary)),
            event => event,
        })
    }
}

/// Closes the page, if there is one.
async fn close(page: Option<inspection::Open>) {
    if let Some(page) = page {
        page.close().await;
    }
}

/// What writes the report on a run that begins now.
fn account_of(
    options: &Options,
    address: SocketAddr,
    clock: Clock,
) -> impl Fn(&Summary) -> String + use<> {
    let (began, faults) = (clock.now(), options.faults);
    let seed = faults.is_by_chance().then_some(options.policy.seed);
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

/// Tells when the tunnel ends, and never resolves: the listener goes on without it.
async fn watch(
    tunnel: Option<&mut Open>,
    output: &OutputQueue,
    verbose: bool,
    companions: &Companions,
) {
    if let Some(open) = tunnel {
        let said = |line: &str| {
            if verbose {
                let _ = output.received(Event::TunnelSaid(line.to_owned()));
            }
        };
        let end = open.ended(said).await;
        companions.tunnel_ended();
        let _ = output.received(Event::TunnelEnded(end));
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
