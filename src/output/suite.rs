//! The output of the suite for people: a line for each case, the findings, and a verdict.

use std::fmt::Write as _;

use super::theme::{Role, Theme};
use super::wrap::{PROSE, plural, prose, wrapped};
use crate::clock::format_duration;
use crate::error::Exit;
use crate::suite::Family;
use crate::suite::event::{CaseRecord, SuiteSummary};
use crate::suite::verdict::Cause;
use crate::untrusted::clean;

/// Columns of the names of cases.
const NAMES: usize = 32;

/// Longer results stand on a line of their own.
const SHORT: usize = 24;

/// The lines of cases as they are done. Cases that are skipped for the same reason share one line.
#[derive(Debug, Clone, Default)]
pub struct CaseLines {
    family: Option<Family>,
    skipped: Vec<CaseRecord>,
}

impl CaseLines {
    /// The text of one case; nothing yet for a skipped one, unless `verbose`.
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

    /// The line of the cases that were skipped last.
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

/// `accepts · what TeleCMI sends is taken`.
fn heading(family: Family, theme: Theme) -> String {
    format!(
        "\n{} · {}\n",
        theme.paint(Role::Strong, &family.to_string()),
        family.heading()
    )
}

/// One case: a line if it passed, and what to look at if it failed.
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

/// The findings, the verdict, and what no suite can see.
pub fn summary(summary: &SuiteSummary, theme: Theme) -> String {
    let mut out = String::new();
    if !summary.findings.is_empty() {
        let heading = theme.paint(Role::Strong, "Findings");
        let _ = write!(out, "\n{heading}, worst first\n");
    }
    for finding in &summary.findings {
        out.push_str(&finding_of(finding.cause, summary, theme));
    }
    let _ = write!(out, "\n{}\n", verdict(summary, theme));
    if summary.ok > 0 && summary.exit.code() <= 1 {
        out.push('\n');
        out.push_str(&blind_spots(theme));
    }
    out
}

/// All failures of one cause; those of cases with the same reason stand together.
fn finding_of(cause: Cause, summary: &SuiteSummary, theme: Theme) -> String {
    let (mark, cause_words) = (
        theme.paint(Role::Bad, "✗"),
        theme.paint(Role::Strong, cause.words()),
    );
    let mut out = format!(
        "\n{mark} {cause_words}\n{}",
        lines(&sentence(cause.advice()), "  ")
    );
    let of_cause = |record: &&CaseRecord| record.cause == Some(cause);
    let records: Vec<_> = summary.records.iter().filter(of_cause).collect();
    for (place, record) in records.iter().enumerate() {
        if records[..place]
            .iter()
            .any(|earlier| earlier.why == record.why)
        {
            continue;
        }
        let same = records.iter().filter(|other| other.why == record.why);
        let names = same.map(|other| other.name).collect::<Vec<_>>().join(", ");
        let grade = theme.paint(Role::Faint, &format!("[{}]", record.grade));
        let _ = writeln!(
            out,
            "\n{} {grade}",
            lines(&names, "  ").trim_end_matches('\n')
        );
        out += &lines(record.why.unwrap_or_default(), "    ");
        let got = lines(&format!("It got: {}.", clean(&record.got)), "    ");
        out += &wrapped(&got, PROSE);
        if let Some(advice) = record.advice.filter(|advice| *advice != cause.advice()) {
            out += &lines(&sentence(advice), "    ");
        }
        if let Some(repeat) = &record.repeat {
            // Never wrapped, so that the command can be copied.
            let _ = writeln!(out, "    {}", theme.paint(Role::Name, &clean(repeat)));
        }
    }
    out
}

fn verdict(summary: &SuiteSummary, theme: Theme) -> String {
    let skipped = match summary.skipped {
        0 => String::new(),
        n => format!(", {n} skipped"),
    };
    let took = format_duration(summary.elapsed);
    let (ok, asked) = (summary.ok as u64, summary.ok + summary.failed);
    let (role, painted, rest) = match (summary.exit, summary.failed) {
        (Exit::Interrupted | Exit::Terminated, failed) => {
            let done = plural(asked as u64, "case");
            let text = format!("✗ interrupted after {done}, {failed} failed · {took}");
            (Role::Bad, text, String::new())
        }
        (_, 0) if ok == 0 => {
            let text = format!("✗ no case could be asked{skipped} · {took}");
            (Role::Bad, text, String::new())
        }
        (_, 0) => (
            Role::Good,
            format!("✓ {}", plural(ok, "case")),
            format!(" held{skipped} · {took}"),
        ),
        (_, failed) => (
            Role::Bad,
            format!("✗ {failed}"),
            format!(" of {asked} failed{skipped} · {took}"),
        ),
    };
    theme.paint(role, &painted) + &rest
}

fn blind_spots(theme: Theme) -> String {
    let mut out = format!(
        "{}\n",
        theme.paint(Role::Strong, "What a black box cannot see")
    );
    for text in [
        "whether two copies became one record: run --only duplicate, and count what was stored: one.",
        "whether leg b overwrote leg a: run --only post-customer-no-answer, and look for two records of one request_id.",
        "whether a 200 meant anything: run --only get-is-accepted, and look for the CDR.",
    ] {
        let _ = write!(out, "- {}", lines(text, "  ").trim_start());
    }
    out
}

/// With a capital first letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().collect::<String>())
        .unwrap_or_default();
    let stop = if text.ends_with(['.', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// Prose of usual width.
fn lines(text: &str, indent: &str) -> String {
    prose(text, indent, PROSE)
}

#[cfg(test)]
mod tests;
