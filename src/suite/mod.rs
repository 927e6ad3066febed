//! `send --suite`: a test suite for a webhook handler.
//!
//! [`cases`] is the table of cases; [`requests`] makes their bytes, from the seed and the case's name alone, so that no
//! case depends on another; [`deliver`] sends them, [`verdict`] judges the answers, and [`run`](run()) runs the cases and
//! checks after each that the handler is alive. Each case gives an [`event::CaseRecord`], the run a
//! [`event::SuiteSummary`].

pub mod cases;
pub mod choose;
pub mod deliver;
pub mod event;
pub mod requests;
mod run;
pub mod verdict;

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::cdr::account::Account;
use crate::cdr::{Grade, Shape};
use crate::clock::Timestamp;
use crate::net::Header;
use crate::seed::Seed;
use crate::send::plan::Methods;

pub use choose::select;
pub use run::run;

/// A case: what is sent, and the fact behind it. The expected answer follows from these: see [`Case::expects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// In kebab case.
    pub name: &'static str,
    /// The question that the case belongs to.
    pub family: Family,
    /// How well it is known that TeleCMI sends this.
    pub grade: Grade,
    /// The method that the handler must support for this case.
    pub method: CaseMethod,
    /// The bodies or query.
    pub payload: CasePayload,
    /// The order, the method and the connection.
    pub delivery: CaseDelivery,
    /// For the handler's author: the fact behind the case, and the usual mistake.
    pub why: &'static str,
}

/// The questions of the suite, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    fn name_and_heading(self) -> (&'static str, &'static str) {
        match self {
            Self::Accepts => ("accepts", "what TeleCMI sends is taken"),
            Self::Idempotent => ("idempotent", "the same again is answered the same"),
            Self::Tolerant => ("tolerant", "what differs a little is taken too"),
            Self::Survives => ("survives", "nonsense is refused, and the next CDR is taken"),
            Self::Prompt => ("prompt", "answers come in time"),
        }
    }

    /// The name in records and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name_and_heading().0
    }

    #[must_use]
    pub fn heading(self) -> &'static str {
        self.name_and_heading().1
    }
}

impl Serialize for Family {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The method of a case's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseMethod {
    Post,
    Get,
    Both,
    /// Another method or none: the case applies to every handler.
    Other,
}

/// The bodies or query of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CasePayload {
    /// The CDRs of a scenario, with one `call_id` or one for each leg.
    Scenario(&'static str, Shape, CallIds),
    /// The good CDR with changes.
    Changed(&'static [Change]),
    /// Both documented samples, which share their `call_id` on the page.
    DocumentedPair,
    /// Another kind of object that is sent to the same URL.
    Other(OtherKind),
    /// The good CDR in another encoding.
    Encoded(BodyEncoding),
    /// A body that is not a CDR.
    RawBody(RawBody),
    /// A query string, unchanged.
    Query(&'static str),
}

pub use crate::cdr::scenarios::CallIds;
pub use crate::net::raw::Script;

/// One change of a CDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Sets the field to this JSON.
    Put(&'static str, &'static str),
    /// Sets the field to JSON text that holds this text, repeated to this many characters.
    Fill(&'static str, &'static str, usize),
    /// Turns the number in the field into text.
    AsText(&'static str),
    /// Gives the time in seconds.
    InSeconds,
    /// Adds a plus sign before the digits of the field.
    Plus(&'static str),
    Without(&'static str),
}

/// Other objects that TeleCMI sends or returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherKind {
    /// A live event of an outgoing call.
    Event,
    /// A live event of an incoming call, whose leg b says `outbound`.
    IncomingEvent,
    /// The CDR of an incoming call that was missed.
    IncomingMissed,
    /// The CDR of an incoming call that was answered.
    IncomingAnswered,
    /// The CDR of an outgoing call that was answered, with its recording.
    Recorded,
    /// A record of the REST interface.
    Rest,
}

/// Encodings of the same CDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEncoding {
    Indented,
    Surrounded,
    /// With the fields in reverse order.
    Reordered,
    /// With every letter of its values escaped, as `\u0061`.
    Escaped,
    ByteOrderMark,
    Utf16,
    /// With a field twice.
    Repeated,
    /// As a JavaScript literal, as on TeleCMI's page.
    JavaScript,
    Form,
    /// Cut off in the middle.
    CutOff,
    /// With a comma before the closing brace.
    TrailingComma,
    /// Twice, one after the other.
    Twice,
    InArray,
    /// As text in quotes.
    InString,
    /// With its `custom` in bytes that are not UTF-8.
    NotUtf8,
    /// With a NUL byte in its `custom`.
    Nul,
    /// With an integer of so many digits in `to`.
    Digits(usize),
    /// With objects so deep in its `extra_params`.
    Deep(usize),
}

/// Bodies that are not a CDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawBody {
    Text(&'static str),
    /// Arrays nested this deep.
    Arrays(usize),
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
    AgainByGet,
    /// With this content type, or none.
    ContentType(Option<&'static str>),
    /// With the other loopback name in `Host`.
    OtherHost,
    /// By this method.
    By(&'static str),
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
