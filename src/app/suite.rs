//! `send --suite`: reads what was named, runs the suite, and writes its report.

use std::io::Write as _;
use std::path::PathBuf;

use super::signals::Signals;
use super::transmit::{announce, headers, with_cacert};
use super::{after_output, could_not_start, end, output, stop};
use crate::cdr::account::Account;
use crate::cli::send::SendOptions;
use crate::cli::suite::SuiteArgs;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::net::client::{ClientOptions, Destination};
use crate::output::{Show, junit, queue};
use crate::suite::event::SuiteSummary;
use crate::suite::{self, Pauses, SuiteOptions};

/// Runs the suite.
pub async fn run(options: SendOptions, destination: Destination, cases: SuiteArgs) -> Exit {
    let opened = options
        .output
        .as_deref()
        .map(output)
        .transpose()
        .and_then(|out| {
            // Opened beforehand: a report that cannot be written is better known before the suite than after it.
            Ok((out, cases.junit.as_deref().map(output).transpose()?))
        });
    let (out, report) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return could_not_start(&mut Show::new(options.output_options, None, None), &error);
        }
    };
    let mut show = Show::new(options.output_options, out, None);
    let (suite_options, client) = match prepare(&options, &destination, &cases, &mut show) {
        Ok(prepared) => prepared,
        Err(error) => return could_not_start(&mut show, &error),
    };
    let mut signals = Signals::new();
    let state = show.state();
    let (output, thread) = queue::start(show);
    let stopping = stop(signals.clone(), state.clone());
    // Cases run one after another, and are few: there is always room.
    let tell = move |event| output.push(0, move |show| show.suite(&event));
    let run = suite::run(
        &suite_options,
        &destination,
        &client,
        Clock::start(),
        stopping,
        tell,
    );
    let done = tokio::select! {
        done = run => done,
        at_once = signals.second() => return at_once.exit(),
    };
    let exit = done.as_ref().map_or(Exit::Usage, |summary| summary.exit);
    let written = done
        .as_ref()
        .map_or(Ok(()), |summary| write(cases.junit, report, summary));
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
    cases: &SuiteArgs,
    show: &mut Show,
) -> Result<(SuiteOptions, ClientOptions), Error> {
    let client = with_cacert(&options.client, options.cacert.as_deref())?;
    announce(&client, destination, show);
    if !destination.is_loopback() {
        show.warn(&format!(
            "{} is not this machine, and the suite sends broken and hostile requests: ask only a handler of your own",
            destination.place()
        ));
    }
    let seed = options.rules.seed;
    let max_latency = options.expectation.max_latency;
    let options = SuiteOptions {
        only: cases.only.clone(),
        skip: cases.skip.clone(),
        methods: options.methods,
        max_latency: max_latency.unwrap_or(suite::USUAL_MAX_LATENCY),
        seed,
        at: options.at.unwrap_or_else(suite::usual_time),
        account: Account::new(&options.account, seed),
        headers: headers(&options.headers)?,
        pauses: Pauses::default(),
        command: options.command.clone(),
    };
    Ok((options, client))
}

/// Writes the report, if one was wanted.
fn write(
    path: Option<PathBuf>,
    report: Option<Box<dyn std::io::Write + Send>>,
    summary: &SuiteSummary,
) -> Result<(), Error> {
    let (Some(path), Some(mut report)) = (path, report) else {
        return Ok(());
    };
    let written = report
        .write_all(junit::report(summary).as_bytes())
        .and_then(|()| report.flush());
    written.map_err(|source| Error::Write { path, source })
}
