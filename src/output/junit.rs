//! Renders the suite's report as JUnit XML.

use std::fmt::Write as _;
use std::time::Duration;

use super::suite;
use super::text::Theme;
use crate::suite::Family;
use crate::suite::event::{CaseRecord, SuiteSummary};
use crate::untrusted::clean;

pub fn report(summary: &SuiteSummary) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&CaseRecord> = summary.records.iter().collect();
    let _ = writeln!(out, "<testsuites name=\"telecmi-cdr\"{}>", counts(&all));
    for family in Family::ALL {
        let mut records = all.clone();
        records.retain(|record| record.family == family);
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

fn counts(records: &[&CaseRecord]) -> String {
    let tests = records.len();
    let failures = records.iter().filter(|record| record.failed()).count();
    let is_skipped = |record: &&&CaseRecord| record.skipped.is_some();
    let skipped = records.iter().filter(is_skipped).count();
    let time = seconds(records.iter().map(|record| record.took).sum());
    format!(
        " tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{time}\""
    )
}

fn case(record: &CaseRecord) -> String {
    let mut out = format!(
        "    <testcase name=\"{}\" classname=\"telecmi-cdr.{}\" time=\"{}\"",
        escaped(record.name),
        record.family,
        seconds(record.took)
    );
    if let Some(reason) = &record.skipped {
        let skipped = format!("<skipped message=\"{}\"/>", escaped(reason));
        let _ = writeln!(out, ">\n      {skipped}\n    </testcase>");
    } else if let Some(cause) = record.cause {
        let message = format!("{}: {}", cause.words(), record.got);
        let lines = [
            ("expected", Some(record.expected.as_str())),
            ("got", Some(&record.got)),
            ("changed", record.change.as_deref()),
            ("takes", record.takes.as_deref()),
            ("why", record.why),
            ("look at", record.advice),
            ("repeat", record.repeat.as_deref()),
        ];
        let line = |(name, text): (_, Option<&str>)| Some(format!("{name}: {}", escaped(text?)));
        let lines: Vec<String> = lines.into_iter().filter_map(line).collect();
        let exchange = suite::exchange(record, Theme::plain());
        let exchange: Vec<_> = exchange.lines().map(escaped).collect();
        let (message, lines) = (escaped(&message), lines.join("\n"));
        let failure = format!("<failure message=\"{message}\" type=\"{cause}\">{lines}</failure>");
        let output = format!("<system-out>{}</system-out>", exchange.join("\n"));
        let _ = writeln!(out, ">\n      {failure}\n      {output}\n    </testcase>");
    } else {
        out.push_str("/>\n");
    }
    out
}

fn seconds(span: Duration) -> String {
    format!("{:.3}", span.as_secs_f64())
}

/// Text in XML is escaped after `clean`, which leaves only U+FFFE and U+FFFF of the characters that XML forbids.
fn escaped(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
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
