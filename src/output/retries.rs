//! Renders the requests that a sender retried: a section of the output of `listen`; the file of `--report` is in `report`.

mod report;

pub use report::{Run, report};

use std::fmt::Write as _;

use super::theme::{Role, Theme};
use super::wrap::{PROSE, plural, prose};
use crate::listen::retries::{Report, RetryHistory, interval};
use crate::untrusted::{beginning, clean};

/// Longest method with path in the section's first column, in characters.
const MAX_PATH: usize = 18;

/// Requests listed in the section.
const MAX_LISTED: usize = 20;

/// Retries whose median interval the section shows: the first to the fifth.
const INTERVALS: usize = 5;

/// Joins words that must stay on one line.
const NO_BREAK: &str = "\u{a0}";

/// Paints words and joins them by `NO_BREAK`.
fn piece(words: &[(Role, &str)], theme: Theme) -> String {
    let words = words
        .iter()
        .map(|(role, word)| theme.paint(*role, word).replace(' ', NO_BREAK));
    words.collect::<Vec<_>>().join(NO_BREAK)
}

/// Wraps pieces behind a label to `PROSE` columns.
fn laid_out(label: &str, role: Role, pieces: &[String], theme: Theme) -> String {
    let indent = " ".repeat(label.chars().count());
    let lines = prose(&pieces.join(" "), &indent, PROSE).replace(NO_BREAK, " ");
    theme.paint(role, label) + lines.trim_start()
}

/// Renders the section before the summary of `listen`: the requests with their attempts, and the median intervals.
pub fn section(report: &Report, theme: Theme) -> String {
    let mut out = format!("{}\n", theme.paint(Role::Strong, "retries"));
    let listed = &report.requests[..report.requests.len().min(MAX_LISTED)];
    let widths = listed.iter().map(|history| name(history).chars().count());
    let width = widths.max().unwrap_or(0);
    for history in listed {
        let name = format!("  {:<width$}   ", name(history));
        out += &laid_out(&name, Role::Name, &attempts(history, theme), theme);
    }
    // `left_out` counts the failed requests that `requests` does not hold, and those evicted before the report.
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

/// `3a41f8a3… leg a` for a CDR; the method and path for any other request.
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

/// Cuts text to `max` characters, the ellipsis included.
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
        // `None` before a gap: attempts in the middle may be left out.
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

#[cfg(test)]
mod tests;
