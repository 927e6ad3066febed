//! The progress events of a suite run, and its NDJSON records `started`, `case` and `summary`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::baseline::Comparison;
use super::remarks::Remark;
use super::verdict::{Cause, Expects, Observed};
use super::{Case, Family};
use crate::cdr::Grade;
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::ndjson::as_ms;
use crate::net::{Destination, Failure, Request, Response, as_sent};
use crate::reply::reply_line;
use crate::seed::Seed;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Started(Started),
    Case(Box<CaseRecord>),
    /// `Event::Note` says that the handler is down, or that the suite waits for its recovery.
    Note(String),
    Finished(Box<SuiteSummary>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Started {
    pub seed: Seed,
    pub url: String,
    pub at: Timestamp,
    pub cases: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseRecord {
    pub name: &'static str,
    pub family: Family,
    pub grade: Grade,
    /// `ok` is `false` for skipped cases too.
    pub ok: bool,
    pub expected: String,
    pub got: String,
    /// `took` is the longest latency among the case's requests.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// `change` names what the case changes of a good delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// `sent` is the first request whose answer failed the case, `reply` its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Box<Request>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Box<Reply>>,
    /// `then` is the answer to the good CDR behind the case, if the handler did not accept that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Box<Reply>>,
    /// `takes` says which change of one field makes the handler accept the good CDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
    /// `log` holds the last lines that the handler of `-- CMD` printed during a failed case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// `stored` says how what `--read-back` found differs from what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
    /// `repeat` is the command line that repeats a failed case with the same seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// `mistake` names the likely bug of the handler, such as a missing unique key, without the values of the CDR.
    pub mistake: String,
    /// `found` is the beginning of what the read-back gave.
    pub found: String,
}

/// The kept bytes of a sent body, and of a reply's body.
const SENT_BYTES: usize = 8 * 1024;
const REPLY_BYTES: usize = 2 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `line` is the line of the body that says what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
}

impl Reply {
    pub fn of(answer: &Result<Response, Failure>) -> Self {
        let response = answer.as_ref().ok();
        Self {
            status: response.map(|response| response.status),
            line: response.and_then(reply_line),
            failure: answer.as_ref().err().cloned(),
            response: response.map(|response| response.recorded(REPLY_BYTES)),
        }
    }
}

impl CaseRecord {
    /// Adds what was sent and what came back.
    pub fn show(&mut self, observed: &Observed, destination: &Destination) {
        let mut sent = as_sent(&observed.sent, destination);
        sent.complete = sent.body.len() <= SENT_BYTES;
        sent.body.0.truncate(SENT_BYTES);
        self.sent = Some(Box::new(sent));
        self.reply = Some(Box::new(Reply::of(&observed.answer)));
    }

    pub fn passed(case: &Case, expects: Expects, got: String, took: Duration) -> Self {
        Self {
            name: case.name,
            family: case.family,
            grade: case.grade,
            ok: true,
            expected: expects.words(case),
            got,
            took,
            skipped: None,
            cause: None,
            why: Some(case.why),
            change: None,
            sent: None,
            reply: None,
            then: None,
            takes: None,
            advice: None,
            log: Vec::new(),
            stored: None,
            repeat: None,
        }
    }

    pub fn skipped(case: &Case, reason: &str) -> Self {
        Self {
            ok: false,
            skipped: Some(reason.to_owned()),
            why: None,
            ..Self::passed(case, case.expects(), "not asked".to_owned(), Duration::ZERO)
        }
    }

    pub fn failed(&self) -> bool {
        !self.ok && self.skipped.is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuiteSummary {
    pub cases: usize,
    pub ok: usize,
    pub failed: usize,
    pub skipped: usize,
    /// `findings` is sorted by cause, worst first.
    pub findings: Vec<Finding>,
    /// `remarks` are remarkable and fail no run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    #[serde(rename = "elapsed_ms", serialize_with = "as_ms")]
    pub elapsed: Duration,
    /// `has_read_back` is set if the suite has seen what the handler stored.
    #[serde(skip)]
    pub has_read_back: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Comparison>,
    pub exit: Exit,
    /// `records` is not serialised: the JUnit report and the terminal summary need all case records after the run.
    #[serde(skip)]
    pub records: Vec<CaseRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub cause: Cause,
    pub cases: Vec<&'static str>,
}

impl SuiteSummary {
    pub fn of(records: Vec<CaseRecord>, elapsed: Duration, stopped: Option<Exit>) -> Self {
        let count = |holds: fn(&CaseRecord) -> bool| records.iter().filter(|r| holds(r)).count();
        let (ok, failed) = (count(|record| record.ok), count(CaseRecord::failed));
        let mut by_cause: BTreeMap<Cause, Vec<&'static str>> = BTreeMap::new();
        for record in &records {
            if let Some(cause) = record.cause {
                by_cause.entry(cause).or_default().push(record.name);
            }
        }
        let findings = by_cause.into_iter();
        let findings = findings.map(|(cause, cases)| Finding { cause, cases });
        // A suite in which no case passed has failed, even if all cases were skipped.
        let exit = stopped.unwrap_or(if failed == 0 && ok > 0 {
            Exit::Success
        } else {
            Exit::Failed
        });
        Self {
            cases: records.len(),
            ok,
            failed,
            skipped: records.len() - ok - failed,
            findings: findings.collect(),
            remarks: Vec::new(),
            elapsed,
            has_read_back: false,
            baseline: None,
            exit,
            records,
        }
    }
}
