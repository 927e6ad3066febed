//! The requests that came again after a failure: a section for a terminal, and the file of `--report`.

use std::fmt::Write as _;

use super::listening::ending;
use super::theme::{Role, Theme};
use super::wrap::{PROSE, count, plural, prose};
use crate::clock::Timestamp;
use crate::listen::event::Summary;
use crate::listen::fault::Faults;
use crate::listen::retries::{Report, RetryHistory, interval};
use crate::seed::Seed;
use crate::untrusted::{beginning, clean};

/// Columns of the report, which is read in editors and mails.
const REPORT_WIDTH: usize = 78;

/// The longest path in the section's first column.
const MAX_PATH: usize = 18;

/// How many requests the section names.
const MAX_LISTED: usize = 20;

/// How many retries of a request the section has intervals for.
const INTERVALS: usize = 5;

/// Between words that stay on one line.
const NO_BREAK: &str = "\u{a0}";

/// Words that stay on one line.
fn piece(words: &[(Role, &str)], theme: Theme) -> String {
    let words = words
        .iter()
        .map(|(role, word)| theme.paint(*role, word).replace(' ', NO_BREAK));
    words.collect::<Vec<_>>().join(NO_BREAK)
}

/// Pieces behind a label, in lines that fit.
fn laid_out(label: &str, role: Role, pieces: &[String], theme: Theme) -> String {
    let indent = " ".repeat(label.chars().count());
    let lines = prose(&pieces.join(" "), &indent, PROSE).replace(NO_BREAK, " ");
    theme.paint(role, label) + lines.trim_start()
}

/// The section before a listener's summary: the requests with their attempts, and the median intervals.
pub fn section(report: &Report, theme: Theme) -> String {
    let mut out = format!("{}\n", theme.paint(Role::Strong, "retries"));
    let listed = &report.requests[..report.requests.len().min(MAX_LISTED)];
    let widths = listed.iter().map(|history| name(history).chars().count());
    let width = widths.max().unwrap_or(0);
    for history in listed {
        let name = format!("  {:<width$}   ", name(history));
        out += &laid_out(&name, Role::Name, &attempts(history, theme), theme);
    }
    // Requests that failed are in the report, left out of it, or forgotten.
    let failed = report.failed.saturating_sub(report.requests.len() as u64);
    let more =
        report.failed.saturating_sub(MAX_LISTED as u64) + report.left_out.saturating_sub(failed);
    if more > 0 {
        let text = format!("… and {more} more; --report FILE names more of them");
        let _ = writeln!(out, "  {}", theme.paint(Role::Faint, &text));
    }
    if !report.intervals.is_empty() {
        let rows = report.intervals.iter().take(INTERVALS).map(|row| {
            let times = match row.times {
                1 => "(once)".to_owned(),
                n => format!("({n} times)"),
            };
            let words = [
                (Role::Faint, &*format!("{} after", ordinal(row.retry))),
                (Role::Number, &interval(row.median)),
                (Role::Faint, &times),
            ];
            piece(&words, theme)
        });
        let rows: Vec<_> = rows.collect();
        out += &laid_out("  median retry: ", Role::Faint, &rows, theme);
    }
    out + "\n"
}

/// `3a41f8a3… leg a`; the method and path of a request that is no CDR.
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

/// At most so many characters, the ellipsis included.
fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    beginning(text, max - 1).into_owned()
}

/// `#1 503 · 60.1 s →`, `#4 503 · 5 m 00 s →`, `#9 200`.
fn attempts(history: &RetryHistory, theme: Theme) -> Vec<String> {
    let mut pieces = Vec::new();
    for (place, attempt) in history.attempts.iter().enumerate() {
        let is_last = place + 1 == history.attempts.len();
        if is_last && history.left_out > 0 {
            let text = format!("… {} left out …", history.left_out);
            pieces.push(piece(&[(Role::Faint, &text)], theme));
        }
        // None at a gap: attempts in the middle may be left out.
        let next = history.attempts.get(place + 1);
        let next = next.filter(|next| [attempt.attempt + 1, 1].contains(&next.attempt));
        let is_copied = next.is_some_and(|next| next.after.is_none());
        let role = if is_copied || (is_last && history.answered) {
            Role::Good
        } else {
            Role::Bad
        };
        let (number, outcome) = (format!("#{}", attempt.n), attempt.outcome());
        let mut words = vec![(Role::Faint, &*number), (role, &*outcome)];
        let after = next.and_then(|next| next.after).map(interval);
        if let Some(after) = &after {
            words.extend([
                (Role::Faint, "·"),
                (Role::Number, after),
                (Role::Faint, "→"),
            ]);
        } else if is_copied {
            words.push((Role::Faint, "· then a copy →"));
        }
        pieces.push(piece(&words, theme));
    }
    if let Some(silent) = history.unanswered_for {
        let text = format!("· not back after {}", interval(silent));
        pieces.push(piece(&[(Role::Odd, &text)], theme));
    }
    if history.duplicates > 0 {
        let text = format!("· {} besides", plural(history.duplicates, "duplicate"));
        pieces.push(piece(&[(Role::Faint, &text)], theme));
    }
    pieces
}

/// `1st`, `2nd`, `3rd`, `4th`.
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

/// The run that a report is about.
#[derive(Debug, Clone)]
pub struct Run {
    /// Of the listener.
    pub url: String,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub faults: Faults,
    /// Of faults by chance.
    pub seed: Option<Seed>,
}

const SHOWN: &str = "What came to this listener in this run, faced with these answers. An interval begins with our answer, \
    or where there was none with the moment it was refused, and ends with the arrival of the same request: for a CDR the \
    same fields and values by the same method. After a hang or a slow answer it holds the sender's own patience, too.";

const NOT_SHOWN: &str = "Whether what did not come back would have come later, what never reached this listener, and what \
    the sender would do on another day or after another failure. What came back with a field changed is no retry here: the \
    listener remarks on it as a conflict.";

/// The text of `--report`.
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

/// The intervals of all requests, then each request with its attempts.
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

/// One request: its name, a line for each attempt, and the end of the story.
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

#[cfg(test)]
mod tests;
