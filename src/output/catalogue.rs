//! Renders `--list-scenarios` and `--list-cases` as text and as NDJSON records.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::{Role, Theme, count, plural, prose};
use crate::cdr::scenarios::{CATALOGUE, GROUPS, Plan, Scenario};
use crate::ndjson;
use crate::suite::{Case, CaseMethod, Family};

/// Descriptions are wrapped to 60 columns.
const PROSE: usize = 60;

fn cdrs(story: &Scenario) -> Vec<String> {
    match story.plan {
        Plan::Click2call(legs) | Plan::Softphone(legs) => {
            let legs = legs.iter();
            let cdrs =
                legs.map(|(leg, reason)| format!("{leg} {} {reason}", reason.status().word()));
            cdrs.collect()
        }
        Plan::Documented(leg) => vec![format!("{} missed, always the same bytes", leg)],
        Plan::Legacy => vec!["missed, without leg and call_id".to_owned()],
    }
}

pub fn scenarios(theme: Theme) -> String {
    let mut out = String::new();
    for story in &CATALOGUE {
        let cdrs = cdrs(story).join(", then ");
        let name = theme.paint(Role::Strong, story.name);
        let grade = theme.paint(Role::Faint, format!("[{}]", story.grade));
        let _ = writeln!(out, "{name} {grade}\n  {}\n  CDRs: {cdrs}", story.summary);
        if let Some(caveat) = story.caveat() {
            let _ = writeln!(out, "  {}", theme.paint(Role::Faint, caveat));
        }
    }
    out += "\nGroups\n";
    for (name, meaning) in GROUPS {
        let name = theme.paint(Role::Strong, format!("{name:<11}"));
        let _ = writeln!(out, "  {name} {meaning}");
    }
    out += "\n[doc] documented  [seen] reported from live accounts  [inferred] fits all samples\n";
    out
}

pub fn scenario_records() -> String {
    let records = CATALOGUE.iter().map(|scenario| {
        let mut record = json!({
            "name": scenario.name,
            "summary": scenario.summary,
            "cdrs": cdrs(scenario),
            "grade": scenario.grade,
        });
        if let Some(caveat) = scenario.caveat() {
            record["caveat"] = caveat.into();
        }
        record
    });
    lines("scenario", records)
}

/// Lists the cases by family; `short` leaves out their descriptions.
pub fn cases(cases: &[&Case], theme: Theme, short: bool) -> String {
    let mut out = String::new();
    for family in Family::ALL {
        let mut cases = cases.to_vec();
        cases.retain(|case| case.family == family);
        if cases.is_empty() {
            continue;
        }
        let count = counted(cases.len().to_string(), &cases);
        let title = theme.paint(Role::Strong, format!("{family} ({count})"));
        let _ = writeln!(out, "{title} · {}\n", family.heading());
        out.extend(cases.into_iter().map(|case| listed(case, theme, short)));
        out.push('\n');
    }
    let all = plural(cases.len() as u64, "case");
    let _ = writeln!(out, "{}\n", counted(all, cases));
    let legend = "[doc] documented [seen] reported from live accounts [calc] computed from the samples \
                  [inferred] fits all samples [hostile] from strangers and broken networks";
    out + &prose(legend, "", PROSE)
}

fn counted(all: String, cases: &[&Case]) -> String {
    match cases.iter().filter_map(|case| case.needed_flag()).count() {
        0 => all,
        n => format!("{all}, {}", count(n as u64, "needs a flag", "need a flag")),
    }
}

fn listed(case: &Case, theme: Theme, short: bool) -> String {
    let method = match case.method {
        CaseMethod::Post => "POST",
        CaseMethod::Get => "GET",
        CaseMethod::Both => "POST, GET",
        CaseMethod::Other(_) => "other",
    };
    let name = theme.paint(Role::Name, case.name);
    let flag = case.needed_flag();
    let flag = flag.map_or(String::new(), |flag| format!(" · needs {flag}"));
    let about = theme.paint(Role::Faint, format!("{method} [{}]{flag}", case.grade));
    if short {
        return format!("  {name} {about}\n");
    }
    let wanted = format!("Wanted: {}.", case.expects().words(case));
    let lines = prose(case.why, "    ", PROSE) + &prose(&wanted, "    ", PROSE);
    format!("  {name} {about}\n{lines}")
}

pub fn case_records(cases: &[&Case]) -> String {
    let records = cases.iter().map(|case| {
        let mut record = json!({
            "name": case.name,
            "family": case.family,
            "grade": case.grade,
            "expected": case.expects().words(case),
            "why": case.why,
        });
        if let Some(flag) = case.needed_flag() {
            record["needs"] = flag.into();
        }
        record
    });
    lines("case", records)
}

fn lines(kind: &str, records: impl Iterator<Item = Value>) -> String {
    let lines = records.flat_map(|record| ndjson::line(kind, &record));
    String::from_utf8(lines.collect()).unwrap_or_default()
}
