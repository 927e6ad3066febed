//! `--baseline`: the failures of an earlier NDJSON report are known, and only new ones fail a run.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::event::{CaseRecord, SuiteSummary};
use crate::error::Exit;

/// The names of the cases that failed in the earlier report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline(BTreeSet<String>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    pub fixed: Vec<String>,
    pub new: Vec<String>,
    pub still_failing: Vec<String>,
}

impl Baseline {
    /// The error names the line and what to do.
    pub fn read(text: &str, file: &str) -> Result<Self, String> {
        let advice = "a baseline is an earlier report of --suite --format ndjson --output FILE";
        let mut failed = BTreeSet::new();
        let mut cases = 0;
        let lines = (1..).zip(text.lines());
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let fails = |what: String| format!("--baseline {file}:{number}: {what}: {advice}");
            let record = serde_json::from_str(line);
            let record: Value = record.map_err(|error| fails(format!("no JSON ({error})")))?;
            if record["type"] != "case" {
                continue;
            }
            let case = record["name"].as_str().zip(record["ok"].as_bool());
            let (name, ok) = case.ok_or_else(|| fails("a case without name or ok".to_owned()))?;
            cases += 1;
            if !ok && record["skipped"].is_null() {
                failed.insert(name.to_owned());
            }
        }
        if cases == 0 {
            return Err(format!("--baseline {file}: it has no case: {advice}"));
        }
        Ok(Self(failed))
    }

    /// A run whose failures are all known is a success.
    pub(super) fn apply(&self, summary: &mut SuiteSummary) {
        let names = |holds: fn(&CaseRecord, bool) -> bool| -> Vec<String> {
            let records = summary.records.iter();
            let chosen = records.filter(|record| holds(record, self.0.contains(record.name)));
            chosen.map(|record| record.name.to_owned()).collect()
        };
        let comparison = Comparison {
            fixed: names(|record, is_known| is_known && record.ok),
            new: names(|record, is_known| !is_known && record.failed()),
            still_failing: names(|record, is_known| is_known && record.failed()),
        };
        if summary.exit == Exit::Failed && summary.failed > 0 && comparison.new.is_empty() {
            summary.exit = Exit::Success;
        }
        summary.baseline = Some(comparison);
    }
}
