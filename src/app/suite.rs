//! `send --suite`: prepares the options, runs the suite, and writes the JUnit report.

use super::print::suite_requests;
use super::signals::Signals;
use super::transmit::{announce, client_options, headers};
use super::{Session, files, send_output};
use crate::cli::send::{Print, SendOptions};
use crate::clock::Clock;
use crate::error::{Error, Exit};
use crate::net::Destination;
use crate::net::client::ClientOptions;
use crate::output::{Show, junit};
use crate::suite::{self, Pauses, SuiteOptions};

pub async fn run(options: &SendOptions, destination: &Destination) -> Result<Exit, Error> {
    let mut show = send_output(options, None)?;
    if let Some(print) = options.print {
        if matches!(print, Print::Har | Print::Vegeta) {
            let what = "--suite --print writes json, curl or http";
            return Err(Error::Usage(what.to_owned()));
        }
        let cases = suite::requests(&suite_options(options)?, destination)?;
        return Ok(suite_requests(&cases, destination, options, print, show));
    }
    let junit = options.junit.as_deref();
    let report = junit.map(files::create).transpose()?;
    let (suite_options, client) = prepare(options, destination, &mut show)?;
    let (output, session) = Session::start(show, Signals::new(false));
    let stop = session.stop();
    let run = async move {
        // Suite cases are few and run one after another, so their events count as 0 bytes in the output queue.
        let tell = |event| output.push(0, move |show| show.suite(&event));
        let run = suite::run(&suite_options, destination, &client, stop, tell);
        let (exit, error) = match run.await {
            Err(error) => (Exit::Usage, error),
            Ok(summary) => {
                let Some((path, report)) = junit.zip(report) else {
                    return summary.exit;
                };
                match files::write_report(path, report, &junit::report(&summary)) {
                    Ok(()) => return summary.exit,
                    Err(error) => (Exit::Failed, error),
                }
            }
        };
        output.push(0, move |show| show.error(&error));
        exit
    };
    Ok(session.finish(Box::pin(run)).await)
}

fn prepare(
    options: &SendOptions,
    destination: &Destination,
    show: &mut Show,
) -> Result<(SuiteOptions, ClientOptions), Error> {
    let client = client_options(options)?;
    let addition = "; races and malformed requests bypass the proxy";
    announce(addition, &client, destination, show);
    if !destination.is_loopback() {
        show.warn(&format!(
            "{} is another machine, and the suite sends malformed and hostile requests: test only \
             your own handlers",
            destination.place()
        ));
    }
    Ok((suite_options(options)?, client))
}

fn suite_options(options: &SendOptions) -> Result<SuiteOptions, Error> {
    Ok(SuiteOptions {
        only: options.only.clone(),
        skip: options.skip.clone(),
        methods: options.method,
        max_latency: options.max_latency.unwrap_or(suite::USUAL_MAX_LATENCY),
        seed: options.seed,
        at: options.at.unwrap_or_else(|| Clock::start().now()),
        account: options.account(),
        rate: options.rate(),
        headers: headers(&options.headers)?,
        pauses: Pauses::default(),
        command: options.command.clone(),
    })
}
