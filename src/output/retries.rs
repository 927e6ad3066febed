//! Renders the section of retried requests before the summary of `listen`; the file of `--report` is in `report`.

mod report;

pub use report::{Run, report};

use std::fmt::Write as _;

use super::theme::{Role, Theme};
use super::wrap::{PROSE, plural, prose};
use crate::listen::retries::{Report, RetryHistory, interval};
use crate::untrusted::{beginning, clean};

const MAX_PATH: usize = 18;

const MAX_LISTED: usize = 20;

/// The retry section shows the median intervals of the first to the fifth retry.
const INTERVALS: usize = 5;

/// U+00A0 joins words that must stay on one line when the text is wrapped.
const NO_BREAK: &str = "\u{a0}";

fn piece(words: &[(Role, &str)], theme: Theme) -> String {
    let words = words
        .iter()
        .map(|(role, word)| theme.paint(*role, word).replace(' ', NO_BREAK));
    words.collect::<Vec<_>>().join(NO_BREAK)
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
    if text.chars().count() <= max {
        return text.to_owned();
    }
    beginning(text, max - 1).into_owned()
}

/// The attempts of a request are shown as `#1 503 · 60.1 s →`, `#4 503 · 5 m 00 s →`, `#9 200`.
fn attempts(history: &RetryHistory, theme: Theme) -> Vec<String> {
    let mut pieces = Vec::new();
    for (place, attempt) in history.attempts.iter().enumerate() {
        let is_last = place + 1 == history.attempts.len();
        if is_last && history.left_out > 0 {
            let text = format!("… {} left out …", history.left_out);
            pieces.push(piece(&[(Role::Faint, &text)], theme));
        }
        // `next` is `None` before a gap, because attempts in the middle of a long history are not stored.
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
        let text = format!("· no retry within {}", interval(silent));
        pieces.push(piece(&[(Role::Odd, &text)], theme));
    }
    if history.duplicates > 0 {
        let text = format!("· plus {}", plural(history.duplicates, "duplicate"));
        pieces.push(piece(&[(Role::Faint, &text)], theme));
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

#[cfg(test)]
mod tests;
