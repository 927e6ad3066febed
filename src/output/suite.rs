//! What the handler suite shows a person: a line a case, the findings, a verdict. Pure: values and theme in, text out.

use std::fmt::Write as _;

use super::theme::{Role, Theme};
use super::wrap::{PROSE, plural, prose, wrapped};
use crate::clock::format_duration;
use crate::error::Exit;
use crate::suite::event::{CaseRecord, SuiteSummary};
use crate::suite::verdict::Cause;
use crate::suite::{Case, CaseMethod, Family, cases};
use crate::untrusted::clean;

/// The longest name of a case, and a little.
const NAMES: usize = 32;

/// What came back is put on a line of its own if it is longer than this.
const SHORT: usize = 24;

/// The lines of cases as they are done. Cases skipped for the same reason share one line.
#[derive(Debug, Clone, Default)]
pub struct CaseLines {
    family: Option<Family>,
    skipped: Vec<CaseRecord>,
}

impl CaseLines {
    /// The text of one case; nothing yet for one that was skipped, unless `verbose` wants each.
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

    /// The text of the cases skipped last.
    pub fn rest(&mut self, theme: Theme) -> String {
        let skipped = std::mem::take(&mut self.skipped);
        let Some(reason) = skipped.first().and_then(|record| record.skipped.as_deref()) else {
            return String::new();
        };
        let what = match skipped.as_slice() {
            [one] => format!("{} skipped", one.name),
            many => format!("{} skipped", plural(many.len() as u64, "case")),
        };
        let text = lines(&format!("– {what}: {}", clean(reason)), "  ");
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

/// One case: a line if it held, and what to look at if it did not.
fn line(record: &CaseRecord, theme: Theme) -> String {
    let mut out = String::new();
    let role = if record.ok { Role::Good } else { Role::Bad };
    let mark = theme.paint(role, if record.ok { "✓" } else { "✗" });
    let (got, took) = (
        clean(&record.got),
        theme.paint(Role::Faint, &format!("· {}", format_duration(record.took))),
    );
    let name = format!("{:<NAMES$}", record.name);
    let name = if record.ok {
        name
    } else {
        theme.paint(Role::Strong, &name)
    };
    if got.chars().count() <= SHORT {
        let _ = writeln!(out, "{mark} {name} {} {took}", theme.paint(role, &got));
    } else {
        let _ = writeln!(out, "{mark} {name} {took}");
        out.push_str(&wrapped(&lines(&got, "    "), PROSE));
    }
    if let Some(advice) = record.advice {
        let text = format!("wanted {}. {}", record.expected, sentence(advice));
        out.push_str(&lines(&text, "    "));
    }
    out
}

/// The end of a suite: what was found, the verdict, and what could not be seen.
#[must_use]
pub fn summary(summary: &SuiteSummary, theme: Theme) -> String {
    let mut out = String::new();
    if !summary.findings.is_empty() {
        let _ = write!(
            out,
            "\n{}, worst first\n",
            theme.paint(Role::Strong, "Findings")
        );
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

/// All failures of one cause, those of the same fact together.
fn finding_of(cause: Cause, summary: &SuiteSummary, theme: Theme) -> String {
    let mut out = format!(
        "\n{} {}\n",
        theme.paint(Role::Bad, "✗"),
        theme.paint(Role::Strong, cause.words())
    );
    out.push_str(&lines(&sentence(cause.advice()), "  "));
    let records: Vec<_> = summary
        .records
        .iter()
        .filter(|record| record.cause == Some(cause))
        .collect();
    let mut told = Vec::new();
    for record in &records {
        if told.contains(&record.why) {
            continue;
        }
        told.push(record.why);
        let names = records
            .iter()
            .filter(|other| other.why == record.why)
            .map(|other| other.name);
        let names = names.collect::<Vec<_>>().join(", ");
        let grade = theme.paint(Role::Faint, &format!("[{}]", record.grade));
        out.push('\n');
        out.push_str(&lines(&names, "  "));
        out.pop();
        let _ = writeln!(out, " {grade}");
        out.push_str(&lines(record.why.unwrap_or_default(), "    "));
        out.push_str(&wrapped(
            &lines(&format!("It got: {}.", clean(&record.got)), "    "),
            PROSE,
        ));
        if let Some(advice) = record.advice.filter(|advice| *advice != cause.advice()) {
            out.push_str(&lines(&sentence(advice), "    "));
        }
        if let Some(repeat) = &record.repeat {
            // Never broken, so that it can be copied whole.
            let _ = writeln!(out, "    {}", theme.paint(Role::Name, &clean(repeat)));
        }
    }
    out
}

/// The last word: how many held.
fn verdict(summary: &SuiteSummary, theme: Theme) -> String {
    let skipped = match summary.skipped {
        0 => String::new(),
        n => format!(", {n} skipped"),
    };
    let took = format_duration(summary.elapsed);
    match (summary.exit, summary.failed) {
        (Exit::Interrupted | Exit::Terminated, failed) => {
            let done = plural((summary.ok + failed) as u64, "case");
            theme.paint(
                Role::Bad,
                &format!("✗ interrupted after {done}, {failed} failed · {took}"),
            )
        }
        (_, 0) if summary.ok == 0 => theme.paint(
            Role::Bad,
            &format!("✗ no case could be asked{skipped} · {took}"),
        ),
        (_, 0) => {
            let held = plural(summary.ok as u64, "case");
            format!(
                "{} held{skipped} · {took}",
                theme.paint(Role::Good, &format!("✓ {held}"))
            )
        }
        (_, failed) => {
            let asked = summary.ok + failed;
            format!(
                "{} of {asked} failed{skipped} · {took}",
                theme.paint(Role::Bad, &format!("✗ {failed}"))
            )
        }
    }
}

/// What no sender can see, and how to look.
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
        let text = lines(text, "  ");
        let _ = write!(out, "- {}", text.trim_start());
    }
    out
}

/// All cases, as `--list-cases` prints them.
#[must_use]
pub fn list(theme: Theme) -> String {
    let mut out = String::new();
    for family in Family::ALL {
        let cases: Vec<_> = cases::table()
            .filter(|case| case.family == family)
            .collect();
        let title = format!("{family} ({})", cases.len());
        let _ = writeln!(
            out,
            "{} · {}\n",
            theme.paint(Role::Strong, &title),
            family.heading()
        );
        for case in cases {
            out.push_str(&listed(case, theme));
        }
        out.push('\n');
    }
    let legend = "[doc] documented [seen] reported from live accounts [calc] computed from the samples \
                  [inferred] fits all samples [hostile] from strangers and broken networks";
    out.push_str(&lines(legend, ""));
    out
}

fn listed(case: &Case, theme: Theme) -> String {
    let method = match case.method {
        CaseMethod::Post => "POST",
        CaseMethod::Get => "GET",
        CaseMethod::Both => "POST, GET",
        CaseMethod::Other(_) => "other",
    };
    let about = theme.paint(Role::Faint, &format!("{method} [{}]", case.grade));
    let mut out = format!("  {} {about}\n", theme.paint(Role::Name, case.name));
    out.push_str(&lines(case.why, "    "));
    out.push_str(&lines(
        &format!("Wanted: {}.", case.expects().words(case)),
        "    ",
    ));
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
