//! Renders retried requests: the section before the summary of `listen`, and the file of `--report`.

use std::fmt::Write as _;

use super::listening::ending;
use super::text::{PROSE, Role, Theme, count, plural, prose};
use crate::clock::Timestamp;
use crate::listen::event::Summary;
use crate::listen::fault::Faults;
use crate::listen::retries::{Interval, Report, RetryHistory, interval};
use crate::seed::Seed;
use crate::untrusted::{beginning, clean};

const MAX_PATH: usize = 18;

const MAX_LISTED: usize = 20;

/// The retry section shows the median intervals of the first to the fifth retry.
const INTERVALS: usize = 5;

/// U+00A0 joins words that must stay on one line when the text is wrapped.
const NO_BREAK: &str = "\u{a0}";

fn painted(role: Role, text: &str, theme: Theme) -> String {
    theme.paint(role, text).replace(' ', NO_BREAK)
}

fn laid_out(label: &str, role: Role, pieces: &[String], theme: Theme) -> String {
    let indent = " ".repeat(label.chars().count());
    let lines = prose(&pieces.join(" "), &indent, PROSE).replace(NO_BREAK, " ");
    theme.paint(role, label) + lines.trim_start()
}

pub fn section(report: &Report, theme: Theme) -> String {
    let mut out = format!("{}\n", theme.paint(Role::Strong, "retries"));
    let listed = &report.requests[..report.requests.len().min(MAX_LISTED)];
    let widths = listed.iter().map(|history| name(history).chars().count());
    let width = widths.max().unwrap_or(0);
    for history in listed {
        let name = format!("  {:<width$}   ", name(history));
        out += &laid_out(&name, Role::Name, &attempts(history, theme), theme);
    }
    // `report.left_out` counts the failed requests that `report.requests` does not hold, and those evicted from memory
    // before the report.
    let failed = report.failed.saturating_sub(report.requests.len() as u64);
    let more =
        report.failed.saturating_sub(MAX_LISTED as u64) + report.left_out.saturating_sub(failed);
    if more > 0 {
        let text = format!("… and {more} more; --report FILE lists more of them");
        let _ = writeln!(out, "  {}", theme.paint(Role::Faint, &text));
    }
    if !report.intervals.is_empty() {
        let row = |row: &Interval| {
            let times = match row.times {
                1 => "(once)".to_owned(),
                n => format!("({n} times)"),
            };
            let words = [
                painted(Role::Faint, &format!("{} after", ordinal(row.retry)), theme),
                painted(Role::Number, &interval(row.median), theme),
                painted(Role::Faint, &times, theme),
            ];
            words.join(NO_BREAK)
        };
        let rows: Vec<_> = report.intervals.iter().take(INTERVALS).map(row).collect();
        out += &laid_out("  median retry: ", Role::Faint, &rows, theme);
    }
    out + "\n"
}

/// A retried CDR is named `3a41f8a3… leg a`; any other request is named by method and path.
fn name(history: &RetryHistory) -> String {
    let name = match (&history.path, &history.cmiuuid) {
        (Some(path), _) => shortened(&clean(&format!("{} {path}", history.method)), MAX_PATH),
        (None, Some(id)) => shortened(&clean(id), 9),
        (None, None) => "CDR".to_owned(),
    };
    match history.leg {
        Some(leg) => format!("{name} leg {leg}"),
        None => name,
    }
}

fn shortened(text: &str, max: usize) -> String {
    let fits = text.chars().count() <= max;
    beginning(text, if fits { max } else { max - 1 }).into_owned()
}

/// The attempts of a request are shown as `#1 503 · 60.1 s →`, `#4 503 · 5 m 00 s →`, `#9 200`.
fn attempts(history: &RetryHistory, theme: Theme) -> Vec<String> {
    let paint = |role, text: &str| painted(role, text, theme);
    let mut pieces = Vec::new();
    for (place, attempt) in history.attempts.iter().enumerate() {
        let is_last = place + 1 == history.attempts.len();
        if is_last && history.left_out > 0 {
            let text = format!("… {} left out …", history.left_out);
            pieces.push(paint(Role::Faint, &text));
        }
        // `next` is `None` before a gap, because attempts in the middle of a long history are not stored.
        let next = history.attempts.get(place + 1);
        let next = next.filter(|next| [attempt.attempt + 1, 1].contains(&next.attempt));
        let is_copied = next.is_some_and(|next| next.after.is_none());
        let role = Role::of(is_copied || (is_last && history.answered));
        let number = paint(Role::Faint, &format!("#{}", attempt.n));
        let mut words = vec![number, paint(role, &attempt.outcome())];
        if let Some(after) = next.and_then(|next| next.after) {
            words.push(paint(Role::Faint, "·"));
            words.push(paint(Role::Number, &interval(after)));
            words.push(paint(Role::Faint, "→"));
        } else if is_copied {
            words.push(paint(Role::Faint, "· then a copy →"));
        }
        pieces.push(words.join(NO_BREAK));
    }
    if let Some(silent) = history.unanswered_for {
        let text = format!("· no retry within {}", interval(silent));
        pieces.push(paint(Role::Odd, &text));
    }
    if history.duplicates > 0 {
        let text = format!("· plus {}", plural(history.duplicates, "duplicate"));
        pieces.push(paint(Role::Faint, &text));
    }
    pieces
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
    let _ = writeln!(
        out,
        "to         {} ({lasted}, {how})",
        run.ended.to_second()
    );
    let _ = writeln!(out, "received   {requests} with {cdrs}");
    let _ = writeln!(out, "faults     {}", run.faults);
    if let Some(seed) = run.seed {
        let _ = writeln!(out, "seed       {seed}");
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
        .map_or(String::new(), |leg| format!(", leg {leg}"));
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

#[cfg(test)]
mod tests;
