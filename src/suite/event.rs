//! What a run of the suite tells: the records, as values.

use std::time::Duration;

use serde::Serialize;

use super::verdict::Cause;
use super::{Case, Family};
use crate::cdr::Grade;
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::ndjson::as_ms;
use crate::seed::Seed;
use crate::send::event::seed_number;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The suite begins.
    Started(Started),
    /// A case is done, one way or the other.
    Case(Box<CaseRecord>),
    /// Something to say besides: that the handler is waited for, or back again.
    Note(String),
    /// The suite is over.
    Finished(Box<SuiteSummary>),
}

/// The record `started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Started {
    /// What the bytes follow from.
    #[serde(serialize_with = "seed_number")]
    pub seed: Seed,
    /// Where they go, secrets masked.
    pub url: String,
    /// About when its calls happened.
    pub at: Timestamp,
    /// How many cases there will be.
    pub cases: usize,
}

/// The record `case`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseRecord {
    /// The case's name.
    pub name: &'static str,
    /// Its family.
    pub family: Family,
    /// How well it is known that this happens.
    pub grade: Grade,
    /// Whether it held. A case that was skipped did not, and did not fail either: see `skipped`.
    pub ok: bool,
    /// What had to come back.
    pub expected: String,
    /// What came back.
    pub got: String,
    /// How long the handler took for its longest answer.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
    /// Why it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What kind of failure it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The real fact behind the case, and what usually goes wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// What to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
    /// The command that repeats it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
}

impl CaseRecord {
    /// The record of a case that was not asked.
    #[must_use]
    pub fn skipped(case: &Case, reason: &str) -> Self {
        Self {
            name: case.name,
            family: case.family,
            grade: case.grade,
            ok: false,
            expected: case.expects().words(case),
            got: "not asked".to_owned(),
            took: Duration::ZERO,
            skipped: Some(reason.to_owned()),
            cause: None,
            why: None,
            advice: None,
            repeat: None,
        }
    }

    /// Whether it was asked and did not hold.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.ok && self.skipped.is_none()
    }
}

/// The record `summary` of a suite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuiteSummary {
    /// How many cases were told.
    pub cases: usize,
    /// How many held.
    pub ok: usize,
    /// How many did not.
    pub failed: usize,
    /// How many were not asked.
    pub skipped: usize,
    /// The cases that did not hold, worst first.
    pub findings: Vec<Finding>,
    /// How long it all took.
    #[serde(rename = "elapsed_ms", serialize_with = "as_ms")]
    pub elapsed: Duration,
    /// The exit code.
    pub exit: Exit,
    /// The seed, for the line that repeats the suite.
    #[serde(skip)]
    pub seed: Seed,
    /// Every record, in the order in which they were told: for reports at the end.
    #[serde(skip)]
    pub records: Vec<CaseRecord>,
}

/// Failures of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// The cases.
    pub cases: Vec<&'static str>,
}

impl SuiteSummary {
    /// Counts the records.
    #[must_use]
    pub fn of(
        records: Vec<CaseRecord>,
        elapsed: Duration,
        seed: Seed,
        stopped: Option<Exit>,
    ) -> Self {
        let failed = records.iter().filter(|record| record.failed()).count();
        let findings = Cause::WORST_FIRST
            .into_iter()
            .map(|cause| Finding {
                cause,
                cases: records
                    .iter()
                    .filter(|r| r.cause == Some(cause))
                    .map(|r| r.name)
                    .collect(),
            })
            .filter(|finding| !finding.cases.is_empty())
            .collect();
        let ok = records.iter().filter(|record| record.ok).count();
        // Nothing asked is nothing shown.
        let exit = stopped.unwrap_or(if failed == 0 && ok > 0 {
            Exit::Success
        } else {
            Exit::Failed
        });
        Self {
            cases: records.len(),
            ok,
            failed,
            skipped: records
                .iter()
                .filter(|record| record.skipped.is_some())
                .count(),
            findings,
            elapsed,
            exit,
            seed,
            records,
        }
    }
}
