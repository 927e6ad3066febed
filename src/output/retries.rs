//! What came back after it had not been answered well: a section for a person's terminal, and a report to keep. Pure:
//! values and theme in, text out.

use std::fmt::Write as _;

use super::listening::ending;
use super::theme::{Role, Theme};
use super::wrap::{PROSE, count, plural, prose};
use crate::clock::Timestamp;
use crate::listen::event::Summary;
use crate::listen::fault::Faults;
use crate::listen::retries::{Attempt, Report, RetryHistory, interval};
use crate::seed::Seed;
use crate::untrusted::clean;

/// The report's prose is broken here: it is read in editors and mails.
const REPORT_WIDTH: usize = 78;

/// The longest name in the section's first column.
const NAME: usize = 18;

/// How many things the section names.
const MAX_LISTED: usize = 20;

/// How many retries one after another the section has intervals for.
const INTERVALS: usize = 5;

/// Between words that stay on one line.
const NO_BREAK: &str = "\u{a0}";

/// Words that stay together, each in the colour of its role.
fn piece<const N: usize>(words: [(Role, &str); N], theme: Theme) -> String {
    let words = words.iter().filter(|(_, word)| !word.is_empty());
    let words = words.map(|(role, word)| theme.paint(*role, word).replace(' ', NO_BREAK));
    words.collect::<Vec<_>>().join(NO_BREAK)
}

/// The section before a listener's last line: what came back, and the intervals over all.
#[must_use]
pub fn section(report: &Report, theme: Theme) -> String {
    let mut out = format!("{}\n", theme.paint(Role::Strong, "retries"));
    let named = || report.requests.iter().take(MAX_LISTED);
    let column = named()
        .map(|history| name(history).chars().count())
        .max()
        .unwrap_or(0);
    for history in named() {
        let name = format!("  {:<column$}   ", name(history));
        out.push_str(&laid_out(&name, theme, Role::Name, &pieces(history, theme)));
    }
    let more = report.failed.saturating_sub(MAX_LISTED as u64) + forgotten(report);
    if more > 0 {
        let text = format!("… and {more} more; --report FILE names more of them");
        let _ = writeln!(out, "  {}", theme.paint(Role::Faint, &text));
    }
    if !report.intervals.is_empty() {
        let pieces = report.intervals.iter().take(INTERVALS).map(|row| {
            let which = format!("{} after", ordinal(row.retry));
            let times = format!("({})", times(row.times));
            let words = [
                (Role::Faint, &*which),
                (Role::Number, &interval(row.median)),
                (Role::Faint, &times),
            ];
            piece(words, theme)
        });
        let pieces: Vec<_> = pieces.collect();
        out.push_str(&laid_out("  median retry: ", theme, Role::Faint, &pieces));
    }
    out.push('\n');
    out
}

/// How many things were forgotten altogether, because there were too many.
fn forgotten(report: &Report) -> u64 {
    report
        .left_out
        .saturating_sub(report.failed.saturating_sub(report.requests.len() as u64))
}

/// Puts pieces one after another, and below the first one where a line is full.
fn laid_out(before: &str, theme: Theme, role: Role, pieces: &[String]) -> String {
    let indent = " ".repeat(before.chars().count());
    let lines = prose(&pieces.join(" "), &indent, PROSE).replace(NO_BREAK, " ");
    theme.paint(role, before) + lines.trim_start()
}

/// `3a41f8a3… leg a`; the method and path of what is no CDR.
fn name(history: &RetryHistory) -> String {
    let name = match (&history.path, &history.cmiuuid) {
        (Some(path), _) => shortened(&clean(&format!("{} {path}", history.method)), NAME),
        (None, Some(id)) => shortened(&clean(id), 9),
        (None, None) => "CDR".to_owned(),
    };
    history
        .leg
        .map_or(name.clone(), |leg| format!("{name} leg {leg}"))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{beginning}…")
}

/// `#1 503 · 60.1 s →`, `#4 503 · 5 m 00 s →`, `#9 200`.
fn pieces(history: &RetryHistory, theme: Theme) -> Vec<String> {
    let mut pieces = Vec::new();
    for (place, attempt) in history.attempts.iter().enumerate() {
        let is_last = place + 1 == history.attempts.len();
        if is_last && history.left_out > 0 {
            let text = format!("… {} left out …", history.left_out);
            pieces.push(piece([(Role::Faint, &text)], theme));
        }
        let number = format!("#{}", attempt.n);
        let role = if is_last && history.answered {
            Role::Good
        } else {
            Role::Bad
        };
        let met = attempt.outcome();
        // The last one that is listed before a gap is not followed by the next one that is.
        let next = history
            .attempts
            .get(place + 1)
            .filter(|next| follows(attempt, next));
        pieces.push(match (next, next.and_then(|next| next.after)) {
            (_, Some(after)) => {
                let words = [
                    (Role::Faint, number.as_str()),
                    (role, &met),
                    (Role::Faint, "·"),
                    (Role::Number, &interval(after)),
                    (Role::Faint, "→"),
                ];
                piece(words, theme)
            }
            (Some(_), None) => piece(
                [
                    (Role::Faint, &number),
                    (Role::Good, &met),
                    (Role::Faint, "· then a copy →"),
                ],
                theme,
            ),
            (None, None) => piece([(Role::Faint, &number), (role, &met)], theme),
        });
    }
    if let Some(silent) = history.unanswered_for {
        let text = format!("· not back after {}", interval(silent));
        pieces.push(piece([(Role::Odd, &text)], theme));
    }
    if history.duplicates > 0 {
        let text = format!(
            "· {} besides",
            count(history.duplicates, "duplicate", "duplicates")
        );
        pieces.push(piece([(Role::Faint, &text)], theme));
    }
    pieces
}

/// Whether nothing is left out between two attempts.
fn follows(attempt: &Attempt, next: &Attempt) -> bool {
    next.attempt == attempt.attempt + 1 || next.attempt == 1
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

fn times(n: u64) -> String {
    if n == 1 {
        "once".to_owned()
    } else {
        format!("{n} times")
    }
}

/// The run that a report is about.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where it listened.
    pub url: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What failed on purpose.
    pub faults: Faults,
    /// What chance followed from, if anything did.
    pub seed: Option<Seed>,
}

/// The report of a run, for a person to keep and to pass on.
#[must_use]
pub fn report(run: &Run, summary: &Summary) -> String {
    let mut out = format!(
        "telecmi-cdr {}: what came back, and when\n\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut line = |name: &str, text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<10} {text}");
    };
    line("listened", &run.url);
    line("from", &run.began.to_second());
    line(
        "to",
        &format!(
            "{} ({}, {})",
            run.ended.to_second(),
            interval(run.ended.since(run.began)),
            ending(summary.ending)
        ),
    );
    line(
        "received",
        &format!(
            "{} with {}",
            plural(summary.exchanges, "request"),
            plural(summary.cdrs, "CDR")
        ),
    );
    line("faults", &run.faults.to_string());
    if let Some(seed) = run.seed {
        line("seed", &seed.to_string());
    }
    match &summary.retries {
        Some(report) => out.push_str(&findings(report)),
        None => {
            out.push_str("\nNo CDR met a failure, so that nothing had to come back.\n");
        }
    }
    out.push_str("\nWhat this shows\n");
    out.push_str(&prose(
        "What came to this listener in this run, faced with these answers. An interval begins with our answer, or where \
         there was none with the moment it was refused, and ends with the arrival of the same request: for a CDR the \
         same fields and values by the same method. After a hang or a slow answer it holds the sender's own patience, \
         too.",
        "  ",
        REPORT_WIDTH,
    ));
    out.push_str("\nWhat it does not show\n");
    out.push_str(&prose(
        "Whether what did not come back would have come later, what never reached this listener, and what the sender \
         would do on another day or after another failure. What came back with a field changed is no retry here: the \
         listener remarks on it as a conflict.",
        "  ",
        REPORT_WIDTH,
    ));
    out
}

/// The intervals over all, then each request with its attempts.
fn findings(report: &Report) -> String {
    let mut out = format!(
        "\n{} met a failure: {} came back, {} answered well in the end.\n",
        count(report.failed, "request", "requests"),
        report.came_back,
        count(report.answered, "was", "were"),
    );
    if !report.intervals.is_empty() {
        out.push_str("\nIntervals\n  retry    times     shortest       median      longest\n");
    }
    for row in &report.intervals {
        let [least, median, most] = [row.least, row.median, row.most].map(interval);
        let retry = ordinal(row.retry);
        let _ = writeln!(
            out,
            "  {retry:<5} {:>8} {least:>12} {median:>12} {most:>12}",
            row.times
        );
    }
    out.push_str("\nRequests\n");
    for history in &report.requests {
        out.push_str(&listed(history));
    }
    if report.left_out > 0 {
        let _ = writeln!(
            out,
            "  and {} more, of which there were too many to name",
            report.left_out
        );
    }
    out
}

/// One request: its name, a line an attempt, and what became of it.
fn listed(history: &RetryHistory) -> String {
    let method = clean(&history.method);
    let leg = history
        .leg
        .map_or_else(String::new, |leg| format!(", leg {leg}"));
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
        let purpose = if attempt.fault.is_some() {
            ", on purpose"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "    {number:<6} {}  {after:<16} {}{purpose}",
            attempt.at,
            attempt.outcome()
        );
    }
    if let Some(silent) = history.unanswered_for {
        let _ = writeln!(out, "    not back after {}", interval(silent));
    }
    if history.duplicates > 0 {
        let _ = writeln!(
            out,
            "    and {} that are no retries",
            count(history.duplicates, "copy", "copies")
        );
    }
    out
}

#[cfg(test)]
mod tests;
