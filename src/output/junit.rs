//! A finished suite as JUnit XML, which CI systems read. Pure: summary in, text out.

use std::fmt::Write as _;
use std::time::Duration;

use crate::suite::Family;
use crate::suite::event::{CaseRecord, SuiteSummary};
use crate::untrusted::clean;

/// The report: one test suite a family, one test case a case.
#[must_use]
pub fn report(summary: &SuiteSummary) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&CaseRecord> = summary.records.iter().collect();
    let _ = writeln!(out, "<testsuites name=\"telecmi-cdr\"{}>", counts(&all));
    for family in Family::ALL {
        let records: Vec<_> = all
            .iter()
            .copied()
            .filter(|record| record.family == family)
            .collect();
        if records.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  <testsuite name=\"{}\"{}>", family, counts(&records));
        for record in records {
            out.push_str(&case(record));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// The attributes that count cases.
fn counts(records: &[&CaseRecord]) -> String {
    format!(
        " tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{}\"",
        records.len(),
        records.iter().filter(|record| record.failed()).count(),
        records
            .iter()
            .filter(|record| record.skipped.is_some())
            .count(),
        seconds(records.iter().map(|record| record.took).sum()),
    )
}

/// One case.
fn case(record: &CaseRecord) -> String {
    let mut out = format!(
        "    <testcase name=\"{}\" classname=\"telecmi-cdr.{}\" time=\"{}\"",
        escaped(record.name),
        record.family,
        seconds(record.took)
    );
    if let Some(reason) = &record.skipped {
        let _ = writeln!(
            out,
            ">\n      <skipped message=\"{}\"/>\n    </testcase>",
            escaped(reason)
        );
    } else if let Some(cause) = record.cause {
        let message = format!("{}: {}", cause.words(), record.got);
        let mut lines = vec![
            format!("expected: {}", record.expected),
            format!("got: {}", record.got),
        ];
        lines.extend(record.why.map(|why| format!("why: {why}")));
        lines.extend(record.advice.map(|advice| format!("look at: {advice}")));
        lines.extend(
            record
                .repeat
                .as_ref()
                .map(|repeat| format!("repeat: {repeat}")),
        );
        let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
        let _ = writeln!(
            out,
            ">\n      <failure message=\"{}\" type=\"{}\">{}</failure>\n    </testcase>",
            escaped(&message),
            cause,
            lines.join("\n")
        );
    } else {
        out.push_str("/>\n");
    }
    out
}

fn seconds(span: Duration) -> String {
    format!("{:.3}", span.as_secs_f64())
}

/// Text for an element or an attribute. What XML cannot hold at all is written visibly, by cleaning first.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use crate::suite::cases::table;
    use crate::suite::verdict::Cause;

    #[test]
    fn ci_systems_get_time_failures_and_skips() {
        let mut cases = table();
        let mut record = |got: &str| {
            let mut record = CaseRecord::skipped(cases.next().unwrap(), "no <GET> & no \"POST\"");
            got.clone_into(&mut record.got);
            record
        };
        let mut held = record("200 OK");
        (held.ok, held.skipped, held.took) = (true, None, Duration::from_micros(1_500));
        let mut failed = record("closed \u{1b}[2J'now'");
        (failed.skipped, failed.cause, failed.why) =
            (None, Some(Cause::ServerError), Some("It happens."));
        let skipped = record("not asked");
        let records = vec![held, failed, skipped];
        let summary = SuiteSummary::of(records, Duration::from_secs(1), Some(Exit::Failed));
        insta::assert_snapshot!(report(&summary));
    }
}
