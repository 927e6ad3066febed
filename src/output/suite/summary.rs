//! Renders the summary of the suite: the findings, the verdict, and manual checks of what the suite cannot observe.

use std::fmt::Write as _;

use super::{lines, sentence};
use crate::clock::format_duration;
use crate::error::Exit;
use crate::output::theme::{Role, Theme};
use crate::output::wrap::{PROSE, plural, wrapped};
use crate::suite::event::{CaseRecord, SuiteSummary};
use crate::suite::verdict::Cause;
use crate::untrusted::clean;

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

/// A finding lists all failures of one cause; cases with an equal `why` share an entry.
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
            // The `repeat` command is not wrapped, so that it can be copied.
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
