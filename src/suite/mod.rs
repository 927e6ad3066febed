//! `send --suite`: a test suite for a webhook handler.
//!
//! [`cases`] is the table of cases. `requests` makes the bytes of a case from the seed and the case's name alone, so that
//! no case depends on another. `deliver` sends them, [`verdict`] judges the answers. [`run`](run()) runs the cases, and
//! checks after each that the handler is alive. Each case gives an [`event::CaseRecord`], the run an
//! [`event::SuiteSummary`].

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

/// A case: what is sent, and the fact behind it. The expected answer follows from these: see [`Case::expects`].
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// In kebab case.
    pub name: &'static str,
    pub family: Family,
    /// How well it is known that TeleCMI sends this.
    pub grade: Grade,
    pub method: CaseMethod,
    pub payload: CasePayload,
    pub delivery: CaseDelivery,
    /// For the handler's author: the fact behind the case, and the usual mistake.
    pub why: &'static str,
}

/// The questions of the suite, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Does the handler accept what TeleCMI sends?
    Accepts,
    /// Does the handler accept the same CDR twice?
    Idempotent,
    /// Does the handler accept a CDR that is a little different?
    Tolerant,
    /// Does the handler survive invalid requests?
    Survives,
    /// Does the handler answer in time?
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

    #[must_use]
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

/// The name in records and on the command line.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The method of a case's requests. A handler that does not support POST or GET is not asked the cases that need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseMethod {
    Post,
    Get,
    /// POST, then GET.
    Both,
    /// Another method: the case applies to every handler.
    Other(&'static str),
}

impl CaseMethod {
    /// The method of the `n`th request of a case.
    fn name(self, n: usize) -> &'static str {
        match self {
            Self::Other(method) => method,
            Self::Get => "GET",
            Self::Both if n > 0 => "GET",
            Self::Post | Self::Both => "POST",
        }
    }

    /// Whether a case with this method needs a handler that accepts POST, or GET.
    fn needs(self, method: Self) -> bool {
        self == method || self == Self::Both
    }
}

/// The CDRs of a case, or what is sent in their place.
#[derive(Debug, Clone, Copy)]
pub enum CasePayload {
    /// The CDRs of a scenario, with one `call_id` or one for each leg.
    Scenario(&'static str, Shape, CallIds),
    /// The good CDR with changes.
    Changed(&'static [Change]),
    /// Both documented samples, which share their `call_id` on the page.
    DocumentedPair,
    /// Another object, made from the fields of the good CDR.
    Object(fn(&Fields) -> Value),
    /// A body made from the good CDR.
    Body(fn(&Fields) -> Vec<u8>),
    /// This body.
    Text(&'static str),
}

/// One change of the good CDR.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// Sets the field to this text.
    Text(&'static str, &'static str),
    /// Sets the field to this JSON.
    Json(&'static str, &'static str),
    /// Sets the field to a value made from the CDR.
    Computed(&'static str, fn(&Fields) -> Value),
    Without(&'static str),
}

/// How the requests of a case are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseDelivery {
    InOrder,
    /// One after another, the last first.
    Reversed,
    /// All at once.
    AtOnce,
    /// To the URL with this in its query.
    ExtraQuery(&'static str),
    /// With objects as bracketed parameters.
    Brackets,
    /// With spaces as plus signs.
    Pluses,
    Again,
    /// Twice, with this many other CDRs between.
    LateAgain(usize),
    /// This many copies released together on open connections.
    Race(usize),
    /// Twice, the second with another outcome.
    AgainChanged,
    /// With this content type, or none.
    ContentType(Option<&'static str>),
    /// With the other loopback name in `Host`.
    OtherHost,
    /// By a raw script.
    Raw(Script),
    /// This many calls at once.
    Concurrent(usize),
    /// While this many idle connections are open.
    WithIdleConnections(usize),
}

/// The default time of the suite's calls: fixed, so that the same seed sends the same bytes on any day.
#[must_use]
pub fn usual_time() -> Timestamp {
    // A constant of the year 2026.
    Timestamp::from_epoch_ms(1_795_338_000_000)
        .unwrap_or_else(|| unreachable!("2026 is a valid year"))
}

/// The default of `--max-latency`.
pub const USUAL_MAX_LATENCY: Duration = Duration::from_secs(5);

/// Waits other than for responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The time in which a handler notices a change of a connection: begins to read, crashes, frees a worker.
    pub settle_delay: Duration,
    /// The time in which a supervisor restarts a handler.
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
    /// Names, families and globs of the cases to run; empty means all.
    pub only: Vec<String>,
    /// Names, families and globs of the cases to leave out.
    pub skip: Vec<String>,
    pub methods: Methods,
    pub max_latency: Duration,
    pub seed: Seed,
    /// The time of the calls, or up to an hour before.
    pub at: Timestamp,
    pub account: Account,
    pub headers: Vec<Header>,
    pub pauses: Pauses,
    /// The command line without `--only`, `--skip` and `--seed`, for the lines that repeat a case.
    pub command: String,
}

#[cfg(test)]
mod tests;
