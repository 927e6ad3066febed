//! `send --suite`: reads what was named, runs the suite, and writes its report.

use std::io::Write as _;

use super::signals::Signals;
use super::transmit::{announce, headers, with_cacert};
use super::{after_output, could_not_start, end, output, stop};
use crate::cdr::account::Account;
use crate::cli::suite::SuiteRun;
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::send::suite::event::SuiteSummary;
use crate::send::suite::{self, Pauses, SuiteOptions};
use crate::show::board::Board;
use crate::show::{Show, junit};
use crate::wire::client::ClientOptions;

/// Runs the suite.
pub async fn run(wanted: SuiteRun) -> Exit {
    let opened = wanted
        .output
        .as_deref()
        .map(output)
        .transpose()
        .and_then(|out| {
            // Opened beforehand: a report that cannot be written is better known before the suite than after it.
            Ok((out, wanted.junit.as_deref().map(output).transpose()?))
        });
    let (out, report) = match opened {
        Ok(opened) => opened,
        Err(error) => return could_not_start(&mut Show::new(wanted.voice, None, None), &error),
    };
    let mut show = Show::new(wanted.voice, out, None);
    let (options, client) = match prepare(&wanted, &mut show) {
        Ok(prepared) => prepared,
        Err(error) => return could_not_start(&mut show, &error),
    };
    let mut signals = Signals::new();
    let fate = show.fate();
    let (board, reader) = Board::new(show);
    let stopping = stop(signals.clone(), fate.clone());
    // A case is asked only when the one before was told, and there are few of them: there is always room.
    let tell = move |event| board.pin(|show| show.suite(&event));
    let run = suite::run(
        &options,
        &wanted.destination,
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
        .map_or(Ok(()), |summary| write(&wanted, report, summary));
    end(exit, reader, signals, |show| match (&done, written) {
        (Err(error), _) => could_not_start(show, error),
        (Ok(_), Err(error)) => {
            show.error(&error);
            Exit::Failed
        }
        (Ok(_), Ok(())) => after_output(exit, &fate, show),
    })
    .await
}

/// The options of the suite, and how requests are carried.
fn prepare(wanted: &SuiteRun, show: &mut Show) -> Result<(SuiteOptions, ClientOptions), Error> {
    let client = with_cacert(&wanted.client, wanted.cacert.as_deref())?;
    announce(&client, &wanted.destination, show);
    if !wanted.destination.is_loopback() {
        show.warn(&format!(
            "{} is not this machine, and the suite sends broken and hostile requests: ask only a handler of your own",
            wanted.destination.place()
        ));
    }
    let options = SuiteOptions {
        only: wanted.only.clone(),
        skip: wanted.skip.clone(),
        methods: wanted.methods,
        max_latency: wanted.max_latency.unwrap_or(suite::USUAL_MAX_LATENCY),
        seed: wanted.seed,
        at: wanted.at.unwrap_or_else(suite::usual_time),
        account: Account::new(&wanted.account, wanted.seed),
        headers: headers(&wanted.headers)?,
        pauses: Pauses::default(),
        command: wanted.command.clone(),
    };
    Ok((options, client))
}

/// Writes the report, if one was wanted.
fn write(
    wanted: &SuiteRun,
    report: Option<Box<dyn std::io::Write + Send>>,
    summary: &SuiteSummary,
) -> Result<(), Error> {
    let (Some(path), Some(mut report)) = (&wanted.junit, report) else {
        return Ok(());
    };
    let written = report
        .write_all(junit::report(summary).as_bytes())
        .and_then(|()| report.flush());
    written.map_err(|source| Error::Write {
        path: path.clone(),
        source,
    })
}
