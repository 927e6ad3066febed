//! Renders retried requests: the section before the summary of `listen`, and the file of `--report`.

use std::fmt::Write as _;

use super::listening::ending;
use super::text::{Role, Theme, count, plural, prose};
use crate::clock::Timestamp;
use crate::listen::event::Summary;
use crate::listen::fault::Faults;
use crate::listen::retries::{Report, RetryHistory, interval};
use crate::seed::Seed;
use crate::untrusted::clean;

/// The terminal shows the first 10 failed requests; the file of `--report` lists all that are kept.
const MAX_SHOWN: usize = 10;

/// The section on retries in the summary of `listen`.
pub fn section(report: &Report, theme: Theme) -> String {
    let heading = theme.paint(Role::Strong, "retries");
    format!("{heading}\n{}\n", findings(report, MAX_SHOWN, theme))
}

fn ordinal(n: u64) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// The file of `--report` has lines of 78 columns, because it is read in editors and mails.
const REPORT_WIDTH: usize = 78;

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
    let (lasted, how) = (interval(run.ended.since(run.began)), ending(summary.ending));
    let requests = plural(summary.exchanges, "request");
    let cdrs = plural(summary.cdrs, "CDR");
    let _ = writeln!(out, "listened   {}", run.url);
    let _ = writeln!(out, "from       {}", run.began.to_second());
    let ended = run.ended.to_second();
    let _ = writeln!(out, "to         {ended} ({lasted}, {how})");
    let _ = writeln!(out, "received   {requests} with {cdrs}");
    let _ = writeln!(out, "faults     {}", run.faults);
    if let Some(seed) = run.seed {
        let _ = writeln!(out, "seed       {seed}");
    }
    out.push('\n');
    match &summary.retries {
        Some(report) => out += &findings(report, usize::MAX, Theme::plain()),
        None => out += "No request failed: there are no retries to report.\n",
    }
    for (heading, text) in [
        ("What this shows", SHOWN),
        ("What this does not show", NOT_SHOWN),
    ] {
        let _ = write!(out, "\n{heading}\n{}", prose(text, "  ", REPORT_WIDTH));
    }
    out
}

/// Lists the intervals of all retries, and the attempts at the first `most` failed requests.
fn findings(report: &Report, most: usize, theme: Theme) -> String {
    let mut out = format!(
        "{} failed: {} retried, {} answered with 2xx in the end.\n",
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
    let requests = report.requests.iter();
    out.extend(requests.take(most).map(|history| listed(history, theme)));
    let left_out = report.requests.len().saturating_sub(most) as u64 + report.left_out;
    if left_out > 0 {
        let where_to = "--report FILE lists up to 1 000";
        let _ = writeln!(out, "  and {left_out} more: {where_to}");
    }
    out
}

fn listed(history: &RetryHistory, theme: Theme) -> String {
    let method = clean(&history.method);
    let leg = history.leg.map(|leg| format!(", leg {leg}"));
    let leg = leg.unwrap_or_default();
    let name = match (&history.path, &history.cmiuuid) {
        (Some(path), _) => format!("{method} {}", clean(path)),
        (None, Some(id)) => format!("{}{leg}, by {method}", clean(id)),
        (None, None) => format!("a CDR without cmiuuid{leg}, by {method}"),
    };
    let mut out = format!("  {}\n", theme.paint(Role::Name, name));
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
        let is_2xx = attempt.fault.is_none() && matches!(attempt.status, Some(200..300));
        let outcome = theme.paint(Role::of(is_2xx), attempt.outcome());
        let at = attempt.at;
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

#[cfg(test)]
mod tests;
