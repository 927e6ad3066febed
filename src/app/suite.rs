//! `send --suite`: prepares the options, runs the suite, and writes the JUnit report.

use std::net::TcpListener;
use std::path::Path;
use std::rc::Rc;

use super::signals::Signals;
use super::transmit::{announce, client_options, headers, send_output};
use super::{Session, files, print};
use crate::cli::send::SendOptions;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::net::Destination;
use crate::output::junit;
use crate::process::Supervisor;
use crate::suite::baseline::Baseline;
use crate::suite::handler::HandlerProcess;
use crate::suite::read_back::{ReadBackOptions, ReadBackSource};
use crate::suite::{self, Pauses, SuiteOptions};

pub async fn run(options: &SendOptions) -> Result<Exit, Error> {
    let destination = match &options.destination {
        Some(destination) => destination.clone(),
        None => at_a_free_port()?,
    };
    let mut show = send_output(options, None)?;
    let suite_options = suite_options(options, &destination)?;
    if let Some(how) = options.print {
        let cases = suite::requests(&suite_options, &destination)?;
        let printer = print::Printer::new(how, options, &destination, show);
        return Ok(print::suite(&cases, suite_options.at, printer));
    }
    let junit = options.junit.as_deref();
    let report = junit.map(files::create).transpose()?;
    let client = client_options(options)?;
    let addition = "; races and malformed requests bypass the proxy";
    announce(addition, &client, &destination, &mut show);
    if !destination.is_loopback() {
        let place = destination.place();
        show.warn(&format!("{place} is another machine, and the suite sends malformed and hostile requests: test only your own handlers"));
    }
    if let Some(program) = options.handler.first() {
        let (program, port) = (program.to_string_lossy(), destination.port());
        show.remark_to_a_person(&format!("starting {program} with PORT={port}"));
    }
    let (output, session) = Session::start(show, Signals::new(false));
    let (starting, stop) = (session.stop(), session.stop());
    let run = async move {
        // Suite cases are few and run one after another, so their events count as 0 bytes in the output queue.
        let tell = |event| output.push(0, move |show| show.suite(&event));
        let run = async {
            let usage = |error| (Exit::Usage, error);
            let mut handler = None;
            if !options.handler.is_empty() {
                let supervisor = Rc::new(Supervisor::install());
                let start = HandlerProcess::start(&options.handler, &destination, supervisor);
                handler = tokio::select! {
                    biased;
                    why = starting => return Ok(why.exit()),
                    started = start => Some(started.map_err(usage)?),
                };
            }
            let tested = handler.as_mut();
            let run = suite::run(&suite_options, &destination, &client, tested, stop, tell).await;
            if let Some(handler) = &mut handler {
                handler.end().await;
            }
            let summary = run.map_err(usage)?;
            if let Some((path, report)) = junit.zip(report) {
                let written = files::write_report(path, report, &junit::report(&summary));
                written.map_err(|error| (Exit::Failed, error))?;
            }
            Ok(summary.exit)
        };
        run.await.unwrap_or_else(|(exit, error)| {
            output.push(0, move |show| show.error(&error));
            exit
        })
    };
    Ok(session.finish(Box::pin(run)).await)
}

/// Without `--url`, the handler of `-- CMD` gets a free port and the path of TeleCMI's examples.
fn at_a_free_port() -> Result<Destination, Error> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("http://{}/webhook/cdr", free.map_err(Error::Start)?);
    Destination::parse(&url).map_err(Error::Usage)
}

fn baseline(path: &Path) -> Result<Baseline, Error> {
    Baseline::read(&files::read_text(path)?, &files::name(path)).map_err(Error::Usage)
}

fn read_back(
    options: &SendOptions,
    destination: &Destination,
) -> Result<Option<ReadBackOptions>, Error> {
    let filled = |text: &String| text.replace("{port}", &destination.port().to_string());
    let source = match (&options.read_back, &options.read_back_cmd) {
        (Some(url), _) => {
            let url = Destination::parse(&filled(url));
            let url = url.map_err(|what| Error::Usage(format!("--read-back: {what}")))?;
            ReadBackSource::Url(Box::new(url))
        }
        (None, Some(command)) => {
            let command = filled(command);
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            if words.is_empty() {
                let what = "--read-back-cmd: expected a program".to_owned();
                return Err(Error::Usage(what));
            }
            ReadBackSource::Command(words)
        }
        (None, None) => return Ok(None),
    };
    let within = options.read_back_within;
    Ok(Some(ReadBackOptions { source, within }))
}

fn suite_options(options: &SendOptions, destination: &Destination) -> Result<SuiteOptions, Error> {
    let headers = headers(&options.headers)?;
    for guard in &options.guard {
        guard.check(destination, &headers).map_err(Error::Usage)?;
    }
    let max_latency = options.expectation.max_latency;
    Ok(SuiteOptions {
        only: options.only.clone(),
        skip: options.skip.clone(),
        methods: options.method,
        max_latency: max_latency.unwrap_or(suite::USUAL_MAX_LATENCY),
        seed: options.seed,
        at: options.at.unwrap_or_else(|| Clock::start().now()),
        account: options.account.clone(),
        rate: options.schedule.rate,
        headers,
        pauses: Pauses::default(),
        fuzz: options.fuzz,
        guards: options.guard.clone(),
        read_back: read_back(options, destination)?,
        baseline: options.baseline.as_deref().map(baseline).transpose()?,
        command: options.repeat.command.clone(),
        handler_command: options.handler_command.clone(),
    })
}
