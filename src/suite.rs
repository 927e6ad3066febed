//! `send --suite`: a test suite for a webhook handler.
//!
//! [`cases`] is the table of cases. `requests` builds the requests of a case from the options and the case's name, so
//! that cases are independent. `deliver` sends the requests, [`verdict`] judges the answers. [`run`](run()) runs the
//! cases with liveness checks between them, and reports [`event::CaseRecord`]s and an [`event::SuiteSummary`]. `explain`
//! finds out what a handler takes that refuses the good CDR, `remarks` notes what fails no run.

pub mod baseline;
pub mod cases;
mod deliver;
pub mod event;
mod explain;
pub mod fuzz;
pub mod guards;
pub mod handler;
pub mod read_back;
pub mod remarks;
pub(crate) mod requests;
mod run;
pub mod verdict;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::cdr::account::AccountOptions;
use crate::cdr::scenarios::CallIds;
use crate::cdr::{Fields, Grade, Shape};
use crate::clock::Timestamp;
use crate::net::Header;
use crate::net::raw::Script;
use crate::seed::Seed;
use crate::send::Methods;

use baseline::Baseline;
pub use cases::select;
use guards::{Forgery, Guard};
use read_back::ReadBackOptions;
pub use run::{requests, run};

/// A `Case` does not hold its expected answer, which [`Case::expects`] derives from the other fields.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// `name` is in kebab case; at most 32 characters fit the column of the report.
    pub name: &'static str,
    pub family: Family,
    pub grade: Grade,
    pub method: CaseMethod,
    pub payload: CasePayload,
    pub delivery: CaseDelivery,
    /// `why` explains the case to the handler's author: the fact behind the case, and the usual bug.
    pub why: &'static str,
}

/// The cases of a `Family` run together, in the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Accepts,
    Idempotent,
    /// The family `tolerant` tests CDRs with missing, unknown or differently typed fields.
    Tolerant,
    /// The family `survives` tests whether the handler still works after invalid requests.
    Survives,
    /// The family `prompt` tests whether the handler answers within `--max-latency` while many CDRs arrive.
    Prompt,
    /// The family `guard` tests whether a handler refuses CDRs without its secret.
    Guard,
}

impl Family {
    pub const ALL: [Self; 6] = [
        Self::Accepts,
        Self::Idempotent,
        Self::Tolerant,
        Self::Survives,
        Self::Prompt,
        Self::Guard,
    ];

    pub fn heading(self) -> &'static str {
        match self {
            Self::Accepts => "CDRs as TeleCMI sends them get a 2xx",
            Self::Idempotent => "a copy gets the same status class",
            Self::Tolerant => "CDRs with small differences do not fail",
            Self::Survives => "invalid requests leave the handler working",
            Self::Prompt => "answers arrive in time",
            Self::Guard => "requests without the secret are refused",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Cases whose HTTP method the handler does not accept are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseMethod {
    Post,
    Get,
    /// `CaseMethod::Both` uses POST for the first request of a case, and GET for the others.
    Both,
    /// `CaseMethod::Other` is neither POST nor GET; the case runs if the handler accepts good CDRs by either.
    Other(&'static str),
}

impl CaseMethod {
    pub(crate) fn name(self, n: usize) -> &'static str {
        match self {
            Self::Other(method) => method,
            Self::Get => "GET",
            Self::Both if n > 0 => "GET",
            Self::Post | Self::Both => "POST",
        }
    }

    /// `needs` decides whether a case is skipped if the handler does not accept `method`.
    fn needs(self, method: Self) -> bool {
        self == method || self == Self::Both
    }
}

/// The *good CDR* of the suite is a plain one, of the scenario `agent-no-answer`.
#[derive(Debug, Clone, Copy)]
pub enum CasePayload {
    /// `CasePayload::Scenario` sends the CDRs of a scenario, with one `call_id` or one for each leg.
    Scenario(&'static str, Shape, CallIds),
    Changed(&'static [Change]),
    /// `CasePayload::Spliced` replaces the value of a field of the good CDR by JSON source, which `Value` may not hold.
    Spliced(&'static str, &'static [u8]),
    /// `CasePayload::Yours` sends a documented sample with the account and the time of the options.
    Yours(&'static str),
    /// TeleCMI's two documented samples share a `call_id`. \[doc\]
    DocumentedPair,
    /// `CasePayload::Object` computes another JSON object, such as a live event, from the good CDR.
    Object(fn(&Fields) -> Value),
    Body(fn(&Fields) -> Vec<u8>),
    Text(&'static str),
}

/// Each variant of `Change` names a field of the good CDR first.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Text(&'static str, &'static str),
    /// `Change::Json` holds the new value as JSON source.
    Json(&'static str, &'static str),
    Computed(&'static str, fn(&Fields) -> Value),
    Without(&'static str),
}

impl Change {
    fn name(&self) -> &'static str {
        match *self {
            Self::Text(name, _)
            | Self::Json(name, _)
            | Self::Computed(name, _)
            | Self::Without(name) => name,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseDelivery {
    InOrder,
    Reversed,
    AtOnce,
    /// `CaseDelivery::Parameter` replaces a parameter of the CDR's query by text that is already encoded, or appends the
    /// text if the name is empty.
    Parameter(&'static str, &'static str),
    /// `CaseDelivery::Brackets` encodes objects in the query as `name[key]=value`.
    Brackets,
    /// `CaseDelivery::Pluses` encodes spaces in the query as `+` instead of `%20`.
    Pluses,
    Again,
    /// `CaseDelivery::LateAgain` sends the CDRs twice, with this number of other CDRs in between.
    LateAgain(usize),
    /// `CaseDelivery::Race` opens a connection for each copy of the CDR before the copies are sent.
    Race(usize),
    AgainChanged,
    /// `CaseDelivery::ContentType` replaces the `Content-Type` header; `None` removes the header.
    ContentType(Option<&'static str>),
    /// `CaseDelivery::OtherHost` sends `Host: localhost` to `127.0.0.1`, and the reverse.
    OtherHost,
    Raw(Script),
    Concurrent(usize),
    WithIdleConnections(usize),
    /// `CaseDelivery::Forged` sends a CDR for each `--guard`, whose secret is changed.
    Forged(Forgery),
    /// `CaseDelivery::AgainAfter` sends the CDRs again after this pause.
    AgainAfter(Duration),
}

impl Case {
    /// The flag without which the case is not run.
    pub(crate) fn needed_flag(&self) -> Option<&'static str> {
        match self.delivery {
            CaseDelivery::Forged(_) => Some("--guard"),
            CaseDelivery::AgainAfter(_) => Some("--read-back"),
            _ => None,
        }
    }

    fn missing_flag(&self, options: &SuiteOptions) -> Option<&'static str> {
        self.needed_flag().filter(|flag| match *flag {
            "--guard" => options.guards.is_empty(),
            _ => options.read_back.is_none(),
        })
    }
}

pub const USUAL_MAX_LATENCY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// `settle_delay` is the wait after a connection is opened or closed, in which the handler begins to read, crashes
    /// or frees a worker.
    pub settle_delay: Duration,
    /// `recovery_timeout` is how long the suite waits for a supervisor to restart a crashed handler.
    pub recovery_timeout: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            settle_delay: Duration::from_millis(12),
            recovery_timeout: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SuiteOptions {
    /// `only` holds case names, families and globs; an empty list selects all cases.
    pub only: Vec<String>,
    pub skip: Vec<String>,
    pub methods: Methods,
    pub max_latency: Duration,
    pub seed: Seed,
    /// The calls of the suite begin within the minute before `at`.
    pub at: Timestamp,
    pub account: AccountOptions,
    pub headers: Vec<Header>,
    pub pauses: Pauses,
    /// Requests per second.
    pub rate: Option<f64>,
    /// The number of cases of `--fuzz`.
    pub fuzz: u64,
    pub guards: Vec<Guard>,
    pub read_back: Option<ReadBackOptions>,
    pub baseline: Option<Baseline>,
    /// `command` is the command line without `--only`, `--skip`, `--seed` and `--at`, the start of
    /// [`event::CaseRecord::repeat`].
    pub command: String,
    /// `handler_command` is the end of the `repeat` line: ` -- CMD ARGS`, or empty.
    pub handler_command: String,
}

#[cfg(test)]
mod tests;
