//! Renders the suite's cases as text, one line each; the findings and the verdict are in `summary`.

mod summary;

pub use summary::summary;

use std::fmt::Write as _;

use super::theme::{Role, Theme};
use super::wrap::{PROSE, plural, prose, wrapped};
use crate::clock::format_duration;
use crate::suite::Family;
use crate::suite::event::CaseRecord;
use crate::untrusted::clean;

const NAMES: usize = 32;

/// A case's result of more than 24 characters gets a line of its own.
const SHORT: usize = 24;

/// Neighbouring cases that were skipped for one reason share a line.
#[derive(Debug, Clone, Default)]
pub struct CaseLines {
    family: Option<Family>,
    skipped: Vec<CaseRecord>,
}

impl CaseLines {
    /// A skipped case is kept for a shared line, unless `verbose`.
    pub fn case(&mut self, record: &CaseRecord, theme: Theme, verbose: bool) -> String {
        let mut out = String::new();
        let same = |earlier: &CaseRecord| {
            earlier.skipped == record.skipped && earlier.family == record.family
        };
        if !self.skipped.first().is_none_or(same) {
            out.push_str(&self.rest(theme));
        }
        if self.family != Some(record.family) {
            self.family = Some(record.family);
            out.push_str(&heading(record.family, theme));
        }
        match &record.skipped {
            Some(_) if !verbose => self.skipped.push(record.clone()),
            Some(reason) => {
                let _ = writeln!(out, "– {:<NAMES$} skipped: {}", record.name, clean(reason));
            }
            None => out.push_str(&line(record, theme)),
        }
        out
    }

    pub fn rest(&mut self, theme: Theme) -> String {
        let skipped = std::mem::take(&mut self.skipped);
        let Some(reason) = skipped.first().and_then(|record| record.skipped.as_deref()) else {
            return String::new();
        };
        let what = match skipped.as_slice() {
            [one] => one.name.to_owned(),
            many => plural(many.len() as u64, "case"),
        };
        let text = lines(&format!("– {what} skipped: {}", clean(reason)), "  ");
        theme.paint(Role::Faint, text.trim_start())
    }
}

/// A family's heading: `accepts · what TeleCMI sends is taken`.
fn heading(family: Family, theme: Theme) -> String {
    format!(
        "\n{} · {}\n",
        theme.paint(Role::Strong, &family.to_string()),
        family.heading()
    )
}

fn line(record: &CaseRecord, theme: Theme) -> String {
    let got = clean(&record.got);
    let took = theme.paint(Role::Faint, &format!("· {}", format_duration(record.took)));
    let name = format!("{:<NAMES$}", record.name);
    let (role, mark, name) = if record.ok {
        (Role::Good, "✓", name)
    } else {
        (Role::Bad, "✗", theme.paint(Role::Strong, &name))
    };
    let mark = theme.paint(role, mark);
    let mut out = if got.chars().count() <= SHORT {
        format!("{mark} {name} {} {took}\n", theme.paint(role, &got))
    } else {
        format!(
            "{mark} {name} {took}\n{}",
            wrapped(&lines(&got, "    "), PROSE)
        )
    };
    if let Some(advice) = record.advice {
        let text = format!("wanted {}. {}", record.expected, sentence(advice));
        out.push_str(&lines(&text, "    "));
    }
    out
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().collect::<String>())
        .unwrap_or_default();
    let stop = if text.ends_with(['.', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

fn lines(text: &str, indent: &str) -> String {
    prose(text, indent, PROSE)
}

#[cfg(test)]
mod tests;
