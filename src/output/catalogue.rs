//! What there is to choose from: the scenarios, and the cases of the suite, for people and as records.

use std::fmt::Write as _;

use serde::Serialize;

use super::theme::{Role, Theme};
use crate::cdr::Grade;
use crate::cdr::scenarios::{CATALOGUE, GROUPS, Plan, Scenario};
use crate::ndjson;
use crate::suite::{Family, cases};

/// The CDRs of a story, in words.
fn cdrs(story: &Scenario) -> Vec<String> {
    match story.plan {
        Plan::Click2call(legs) | Plan::Softphone(legs) => legs
            .iter()
            .map(|(leg, reason)| format!("{leg} {} {reason}", reason.status()))
            .collect(),
        Plan::Documented(leg) => vec![format!("{} missed, byte for byte the same each time", leg)],
        Plan::Legacy => vec!["missed, without leg and call_id".to_owned()],
    }
}

/// The scenarios, as `--list-scenarios` prints them.
#[must_use]
pub fn scenarios(theme: Theme) -> String {
    let mut out = String::new();
    for story in &CATALOGUE {
        let cdrs = cdrs(story).join(", then ");
        let grade = format!("[{}]", story.grade);
        let _ = writeln!(
            out,
            "{} {}",
            theme.paint(Role::Strong, story.name),
            theme.paint(Role::Faint, &grade)
        );
        let _ = writeln!(out, "  {}\n  CDRs: {cdrs}", story.summary);
        if let Some(caveat) = story.caveat {
            let _ = writeln!(out, "  {}", theme.paint(Role::Faint, caveat));
        }
    }
    let _ = writeln!(out, "\nGroups");
    for (name, meaning) in GROUPS {
        let _ = writeln!(
            out,
            "  {} {meaning}",
            theme.paint(Role::Strong, &format!("{name:<11}"))
        );
    }
    let _ = writeln!(
        out,
        "\n[doc] documented  [seen] reported from live accounts  [inferred] fits all samples"
    );
    out
}

/// The scenarios as records, one a line.
#[must_use]
pub fn scenario_records() -> String {
    #[derive(Serialize)]
    struct Scenario {
        name: &'static str,
        summary: &'static str,
        cdrs: Vec<String>,
        grade: Grade,
        #[serde(skip_serializing_if = "Option::is_none")]
        caveat: Option<&'static str>,
    }
    let records = CATALOGUE.iter().map(|story| Scenario {
        name: story.name,
        summary: story.summary,
        cdrs: cdrs(story),
        grade: story.grade,
        caveat: story.caveat,
    });
    lines("scenario", records)
}

/// The cases of the suite as records, one a line.
#[must_use]
pub fn case_records() -> String {
    #[derive(Serialize)]
    struct Listed {
        name: &'static str,
        family: Family,
        grade: Grade,
        expected: String,
        why: &'static str,
    }
    let records = cases::table().map(|case| Listed {
        name: case.name,
        family: case.family,
        grade: case.grade,
        expected: case.expects().words(case),
        why: case.why,
    });
    lines("case", records)
}

fn lines<T: Serialize>(kind: &str, records: impl Iterator<Item = T>) -> String {
    records
        .map(|record| String::from_utf8_lossy(&ndjson::line(kind, &record)).into_owned())
        .collect()
}
