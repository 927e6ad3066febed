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

const SHOWN: &str = "What came to this listener in this run, faced with these answers. An interval begins with our answer, \
    or where there was none with the moment it was refused, and ends with the arrival of the same request: for a CDR the \
    same fields and values by the same method. After a hang or a slow answer it holds the sender's own patience, too.";

const NOT_SHOWN: &str = "Whether what did not come back would have come later, what never reached this listener, and what \
    the sender would do on another day or after another failure. What came back with a field changed is no retry here: the \
    listener remarks on it as a conflict.";

pub fn report(run: &Run, summary: &Summary) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!("telecmi-cdr {version}: what came back, and when\n\n");
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
        None => out += "\nNo CDR met a failure, so that nothing had to come back.\n",
    }
    for (heading, text) in [
        ("What this shows", SHOWN),
        ("What it does not show", NOT_SHOWN),
    ] {
        let _ = write!(out, "\n{heading}\n{}", prose(text, "  ", REPORT_WIDTH));
    }
    out
}

fn findings(report: &Report) -> String {
    let mut out = format!(
        "\n{} met a failure: {} came back, {} answered well in the end.\n",
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
        let _ = writeln!(
            out,
            "  and {more} more, of which there were too many to name"
        );
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
        let purpose = attempt.fault.as_ref().map_or("", |_| ", on purpose");
        let (at, outcome) = (attempt.at, attempt.outcome());
        let _ = writeln!(out, "    {number:<6} {at}  {after:<16} {outcome}{purpose}");
    }
    if let Some(silent) = history.unanswered_for {
        let _ = writeln!(out, "    not back after {}", interval(silent));
    }
    if history.duplicates > 0 {
        let copies = count(history.duplicates, "copy", "copies");
        let _ = writeln!(out, "    and {copies} that are no retries");
    }
    out
}
