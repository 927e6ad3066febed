//! Renders the file of `--report`: the run, the intervals between retries, and each retried request.

use std::fmt::Write as _;

use super::ordinal;
use crate::clock::Timestamp;
use crate::listen::event::Summary;
use crate::listen::fault::Faults;
use crate::listen::retries::{Report, RetryHistory, interval};
use crate::output::listening::ending;
use crate::output::wrap::{count, plural, prose};
use crate::seed::Seed;
use crate::untrusted::clean;

/// The file of `--report` has lines of 78 columns, because it is read in editors and mails.
pub(super) const REPORT_WIDTH: usize = 78;

#[derive(Debug, Clone)]
pub struct Run {
    pub url: String,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub faults: Faults,
    pub seed: Option<Seed>,
}

const SHOWN: &str = "The requests that failed in this run, and their retries. An interval begins \
    with the listener's answer, or with the end of the connection if there was no answer, and ends \
    when the same request arrives again: for a CDR, the same fields and values by the same method. \
    After the faults hang and slow, the interval includes the sender's own timeout.";

const NOT_SHOWN: &str = "Requests that never reached this listener, retries after the end of the \
    run, and how the sender behaves on another day or after another failure. A request that is \
    sent again with a changed field is not a retry: the listener reports a conflict.";

pub fn report(run: &Run, summary: &Summary) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!("telecmi-cdr {version}: retries of failed requests\n\n");
    let lasted = interval(run.ended.since(run.began));
    let ended = format!(
        "{} ({lasted}, {})",
        run.ended.to_second(),
        ending(summary.ending)
    );
    let requests = plural(summary.exchanges, "request");
    let received = format!("{requests} with {}", plural(summary.cdrs, "CDR"));
    for (name, text) in [
        ("listened", run.url.clone()),
        ("from", run.began.to_second()),
        ("to", ended),
        ("received", received),
        ("faults", run.faults.to_string()),
        (
            "seed",
            run.seed.map(|seed| seed.to_string()).unwrap_or_default(),
        ),
    ] {
        if !text.is_empty() {
            let _ = writeln!(out, "{name:<10} {text}");
        }
    }
    match &summary.retries {
        Some(report) => out += &findings(report),
        None => out += "\nNo request failed: there are no retries to report.\n",
    }
    for (heading, text) in [
        ("What this shows", SHOWN),
        ("What this does not show", NOT_SHOWN),
    ] {
        let _ = write!(out, "\n{heading}\n{}", prose(text, "  ", REPORT_WIDTH));
    }
    out
}

fn findings(report: &Report) -> String {
    let mut out = format!(
        "\n{} failed: {} retried, {} answered with 2xx in the end.\n",
        plural(report.failed, "request"),
        report.came_back,
        count(report.answered, "was", "were"),
    );
    if !report.intervals.is_empty() {
        out += "\nIntervals\n  retry    times     shortest       median      longest\n";
    }
    for row in &report.intervals {
        let [least, median, most] = [row.least, row.median, row.most].map(interval);
        let (retry, times) = (ordinal(row.retry), row.times);
        let _ = writeln!(
            out,
            "  {retry:<5} {times:>8} {least:>12} {median:>12} {most:>12}"
        );
    }
    out += "\nRequests\n";
    for history in &report.requests {
        out += &listed(history);
    }
    if report.left_out > 0 {
        let more = report.left_out;
        let _ = writeln!(out, "  and {more} more, which are not listed");
    }
    out
}

fn listed(history: &RetryHistory) -> String {
    let method = clean(&history.method);
    let leg = history
        .leg
        .map(|leg| format!(", leg {leg}"))
        .unwrap_or_default();
    let mut out = match (&history.path, &history.cmiuuid) {
        (Some(path), _) => format!("  {method} {}\n", clean(path)),
        (None, Some(id)) => format!("  {}{leg}, by {method}\n", clean(id)),
        (None, None) => format!("  a CDR without cmiuuid{leg}, by {method}\n"),
    };
    for (place, attempt) in history.attempts.iter().enumerate() {
        if place + 1 == history.attempts.len() && history.left_out > 0 {
            let _ = writeln!(out, "    … {} left out", history.left_out);
        }
        let after = match attempt.after {
            Some(after) => format!("after {}", interval(after)),
            None if place > 0 => "a copy".to_owned(),
            None => String::new(),
        };
        let number = format!("#{}", attempt.n);
        let purpose = attempt.fault.as_ref().map_or("", |_| ", injected");
        let (at, outcome) = (attempt.at, attempt.outcome());
        let _ = writeln!(out, "    {number:<6} {at}  {after:<16} {outcome}{purpose}");
    }
    if let Some(silent) = history.unanswered_for {
        let _ = writeln!(out, "    no retry within {}", interval(silent));
    }
    if history.duplicates > 0 {
        let copies = count(history.duplicates, "copy", "copies");
        let _ = writeln!(out, "    and {copies} that are not retries");
    }
    out
}
