//! `send --suite`: reads what was named, runs the suite, and writes its report.

use std::io::Write;
use std::path::Path;

use super::signals::Signals;
use super::transmit::{announce, client_options, headers};
use super::{after_output, could_not_start, create, end, send_output, stop};
use crate::cdr::account::Account;
use crate::cli::send::SendOptions;
use crate::error::{Error, Exit};
use crate::net::Destination;
use crate::net::client::ClientOptions;
use crate::output::{Show, junit, queue};
use crate::suite::event::SuiteSummary;
use crate::suite::{self, Pauses, SuiteOptions};

/// Runs the suite.
pub async fn run(options: &SendOptions, destination: &Destination) -> Exit {
    let mut show = match send_output(options, None) {
        Ok(show) => show,
        Err(exit) => return exit,
    };
    // Opened before the suite runs, so that a path that cannot be written costs no run.
    let junit = options.junit.as_deref();
    let report = match junit.map(create).transpose() {
        Ok(report) => report,
        Err(error) => return could_not_start(&mut show, &error),
    };
    let (suite_options, client) = match prepare(options, destination, &mut show) {
        Ok(prepared) => prepared,
        Err(error) => return could_not_start(&mut show, &error),
    };
    let mut signals = Signals::new();
    let state = show.state();
    let (output, thread) = queue::start(show);
    let stopping = stop(signals.clone(), state.clone());
    // Cases run one after another, and are few: there is always room.
    let tell = move |event| output.push(0, move |show| show.suite(&event));
    let run = suite::run(&suite_options, destination, &client, stopping, tell);
    let done = tokio::select! {
        done = run => done,
        at_once = signals.second() => return at_once.exit(),
    };
    let exit = done.as_ref().map_or(Exit::Usage, |summary| summary.exit);
    let written = done
        .as_ref()
        .map_or(Ok(()), |summary| write(junit, report, summary));
    end(exit, thread, signals, |show| match (&done, written) {
        (Err(error), _) => could_not_start(show, error),
        (Ok(_), Err(error)) => {
            show.error(&error);
            Exit::Failed
        }
        (Ok(_), Ok(())) => after_output(exit, &state, show),
    })
    .await
}

/// The options of the suite, and how requests are carried.
fn prepare(
    options: &SendOptions,
    destination: &Destination,
    show: &mut Show,
) -> Result<(SuiteOptions, ClientOptions), Error> {
    let client = client_options(options)?;
    let addition = "; races and broken requests go to the handler directly";
    announce(addition, &client, destination, show);
    if !destination.is_loopback() {
        show.warn(&format!(
            "{} is not this machine, and the suite sends broken and hostile requests: ask only a handler of your own",
            destination.place()
        ));
    }
    let seed = options.seed;
    let options = SuiteOptions {
        only: options.only.clone(),
        skip: options.skip.clone(),
        methods: options.method,
        max_latency: options.max_latency.unwrap_or(suite::USUAL_MAX_LATENCY),
        seed,
        at: options.at.unwrap_or_else(suite::usual_time),
        account: Account::new(&options.account(), seed),
        headers: headers(&options.headers)?,
        pauses: Pauses::default(),
        command: options.command.clone(),
    };
    Ok((options, client))
}

/// Writes the report, if one was wanted.
fn write(
    path: Option<&Path>,
    report: Option<Box<dyn Write + Send>>,
    summary: &SuiteSummary,
) -> Result<(), Error> {
    let (Some(path), Some(mut report)) = (path, report) else {
        return Ok(());
    };
    let written = report
        .write_all(junit::report(summary).as_bytes())
        .and_then(|()| report.flush());
    written.map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}
