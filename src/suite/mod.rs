//! `send --suite`: a test suite for a webhook handler.
//!
//! [`cases`] is the table of cases. `requests` builds the requests of a case from the options and the case's name, so
//! that cases are independent. `deliver` sends the requests, [`verdict`] judges the answers. [`run`](run()) runs the
//! cases with a liveness check after each, and reports [`event::CaseRecord`]s and an [`event::SuiteSummary`].

pub mod cases;
mod deliver;
pub mod event;
mod requests;
mod run;
pub mod verdict;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::cdr::account::Account;
use crate::cdr::scenarios::CallIds;
use crate::cdr::{Fields, Grade, Shape};
use crate::clock::Timestamp;
use crate::net::Header;
use crate::net::raw::Script;
use crate::seed::Seed;
use crate::send::plan::Methods;

pub use cases::select;
pub use run::run;

/// One test of the suite. [`Case::expects`] derives the expected answer from the fields.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Kebab case; at most 32 characters fit the column of the report.
    pub name: &'static str,
    pub family: Family,
    pub grade: Grade,
    pub method: CaseMethod,
    pub payload: CasePayload,
    pub delivery: CaseDelivery,
    /// An explanation for the handler's author: the fact behind the case, and the usual bug.
    pub why: &'static str,
}

/// A group of cases; the groups run in the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Does the handler accept every kind of CDR that TeleCMI sends?
    Accepts,
    /// Does the handler accept the same CDR twice?
    Idempotent,
    /// Does the handler accept CDRs with missing, unknown or differently typed fields?
    Tolerant,
    /// Does the handler survive invalid requests?
    Survives,
    /// Does the handler answer within `--max-latency`?
    Prompt,
}

impl Family {
    pub const ALL: [Self; 5] = [
        Self::Accepts,
        Self::Idempotent,
        Self::Tolerant,
        Self::Survives,
        Self::Prompt,
    ];

    pub fn heading(self) -> &'static str {
        match self {
            Self::Accepts => "what TeleCMI sends is taken",
            Self::Idempotent => "the same again is answered the same",
            Self::Tolerant => "what differs a little is taken too",
            Self::Survives => "nonsense is refused, and the next CDR is taken",
            Self::Prompt => "answers come in time",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The HTTP method of a case's requests. Cases whose method the handler does not accept are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseMethod {
    Post,
    Get,
    /// POST for the first request, GET for the others.
    Both,
    /// Another method; the case runs whichever of POST and GET the handler accepts.
    Other(&'static str),
}

impl CaseMethod {
    fn name(self, n: usize) -> &'static str {
        match self {
            Self::Other(method) => method,
            Self::Get => "GET",
            Self::Both if n > 0 => "GET",
            Self::Post | Self::Both => "POST",
        }
    }

    /// Whether a case with this method is skipped if the handler does not accept `method`.
    fn needs(self, method: Self) -> bool {
        self == method || self == Self::Both
    }
}

/// The payloads of a case. The *good CDR* is a plain one, of the scenario `agent-no-answer`.
#[derive(Debug, Clone, Copy)]
pub enum CasePayload {
    /// The CDRs of a scenario, with one `call_id` or one for each leg.
    Scenario(&'static str, Shape, CallIds),
    Changed(&'static [Change]),
    /// TeleCMI's two documented samples, which share a `call_id`. \[doc\]
    DocumentedPair,
    /// Another JSON object made from the good CDR, such as a live event.
    Object(fn(&Fields) -> Value),
    Body(fn(&Fields) -> Vec<u8>),
    Text(&'static str),
}

/// A change to one field of the good CDR, by the field's name.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Text(&'static str, &'static str),
    /// The new value as JSON source.
    Json(&'static str, &'static str),
    Computed(&'static str, fn(&Fields) -> Value),
    Without(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseDelivery {
    InOrder,
    Reversed,
    AtOnce,
    /// Merges these parameters into the URL's query.
    ExtraQuery(&'static str),
    /// Encodes objects in the query as `name[key]=value`.
    Brackets,
    /// Encodes spaces in the query as `+` instead of `%20`.
    Pluses,
    Again,
    /// Sends the CDRs twice, with this number of other CDRs in between.
    LateAgain(usize),
    /// The number of copies, which are sent when a connection is open for each.
    Race(usize),
    /// Sends the good CDR, then a copy with the same identifiers and another outcome.
    AgainChanged,
    /// The `Content-Type` header; `None` removes it.
    ContentType(Option<&'static str>),
    /// Sends `Host: localhost` to `127.0.0.1`, and the reverse.
    OtherHost,
    Raw(Script),
    Concurrent(usize),
    WithIdleConnections(usize),
}

/// The default of `--at`: fixed, so that a seed gives the same bytes on any day.
pub fn usual_time() -> Timestamp {
    // 2026-11-22T09:00:00Z
    Timestamp::from_epoch_ms(1_795_338_000_000)
        .unwrap_or_else(|| unreachable!("2026 is a valid year"))
}

pub const USUAL_MAX_LATENCY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The wait after a change of a connection, in which the handler begins to read, crashes or frees a worker.
    pub settle_delay: Duration,
    /// How long the suite waits for a supervisor to restart a crashed handler.
    pub recovery_timeout: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            settle_delay: Duration::from_millis(25),
            recovery_timeout: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteOptions {
    /// Case names, families and globs; empty selects all cases.
    pub only: Vec<String>,
    pub skip: Vec<String>,
    pub methods: Methods,
    pub max_latency: Duration,
    pub seed: Seed,
    /// The calls begin within the hour before this time.
    pub at: Timestamp,
    pub account: Account,
    pub headers: Vec<Header>,
    pub pauses: Pauses,
    /// The command line without `--only`, `--skip` and `--seed`: the start of [`event::CaseRecord::repeat`].
    pub command: String,
}

#[cfg(test)]
mod tests;
