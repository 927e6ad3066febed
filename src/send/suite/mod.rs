//! `send --suite`: a test suite for a webhook handler.
//!
//! In: [`SuiteOptions`], a destination, a clock. Out: one [`event::CaseRecord`] a case, told as it happens, and a
//! [`event::SuiteSummary`]. [`cases`] is the table of what is sent, as values; [`teller`] makes their bytes, from the
//! seed and the case's name alone, so that no case depends on another; [`deliver`] brings them to the handler,
//! [`verdict`] judges what came back, [`run`](run()) is the loop around them, which also finds out whether the handler
//! survived.

pub mod cases;
pub mod choose;
pub mod deliver;
pub mod event;
mod run;
pub mod teller;
pub mod verdict;

use std::time::Duration;

use serde::Serialize;

use super::plan::Methods;
use crate::cdr::account::Account;
use crate::cdr::{Grade, Shape};
use crate::clock::Timestamp;
use crate::seed::Seed;
use crate::wire::Header;

pub use choose::select;
pub use run::run;

/// One case: what is sent, and which real fact it stands for. What must come back follows, see [`Case::expects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The name people type, in kebab case.
    pub name: &'static str,
    /// Which question it belongs to.
    pub family: Family,
    /// How well it is known that this happens.
    pub grade: Grade,
    /// Which way of delivering must work for it to mean anything.
    pub method: Method,
    /// What is sent.
    pub payload: Payload,
    /// How it is sent.
    pub delivery: Delivery,
    /// For the handler's author: the fact it stands for, and what usually goes wrong.
    pub why: &'static str,
}

/// The five questions of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Does it take what TeleCMI sends?
    Accepts,
    /// Does it take the same twice?
    Idempotent,
    /// Does it take what is a little different?
    Tolerant,
    /// Does it live on after nonsense?
    Survives,
    /// Is it quick enough?
    Prompt,
}

impl Family {
    /// All five, in the order they are asked.
    pub const ALL: [Self; 5] = [
        Self::Accepts,
        Self::Idempotent,
        Self::Tolerant,
        Self::Survives,
        Self::Prompt,
    ];

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepts => "accepts",
            Self::Idempotent => "idempotent",
            Self::Tolerant => "tolerant",
            Self::Survives => "survives",
            Self::Prompt => "prompt",
        }
    }

    /// What it asks.
    #[must_use]
    pub fn question(self) -> &'static str {
        match self {
            Self::Accepts => "what TeleCMI sends is taken",
            Self::Idempotent => "the same again is answered the same",
            Self::Tolerant => "what differs a little is taken too",
            Self::Survives => "nonsense is refused, and the next CDR is taken",
            Self::Prompt => "answers come in time",
        }
    }
}

/// How the deliveries of a case travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By POST.
    Post,
    /// By GET.
    Get,
    /// By POST, then by GET.
    Both,
    /// By some other method, or by none: it can be asked of any handler.
    Other,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// The CDRs of a story of the catalogue, with one `call_id` or one for each leg.
    Story(&'static str, Shape, CallIds),
    /// The good CDR with changes.
    Changed(&'static [Change]),
    /// Both documented samples, which share their `call_id` on the page.
    DocumentedPair,
    /// Something else that comes to the same URL, or that people take for it.
    Other(Kind),
    /// The good CDR, written down in another way.
    Written(Writing),
    /// A body that is no CDR.
    Body(Body),
    /// A query string, as it stands.
    Query(&'static str),
}

/// Whether the legs of a call carry one `call_id` or two.
pub use crate::cdr::scenarios::CallIds;

/// One change of a CDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This field is this JSON.
    Put(&'static str, &'static str),
    /// This field is JSON text that holds this text, repeated to so many characters.
    Fill(&'static str, &'static str, usize),
    /// The number in this field is text.
    AsText(&'static str),
    /// The time counts seconds.
    InSeconds,
    /// This field has a plus sign before its digits.
    Plus(&'static str),
    /// This field is not there.
    Without(&'static str),
}

/// Relatives of the missed CDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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

/// Ways of writing the same JSON down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Over several lines, indented.
    Indented,
    /// With blank lines around it.
    Surrounded,
    /// With the fields in reverse order.
    Reordered,
    /// With every letter of its values escaped, as `\u0061`.
    Escaped,
    /// After a byte order mark.
    ByteOrderMark,
    /// In UTF-16.
    Utf16,
    /// With a field twice.
    Repeated,
    /// As the JavaScript literal of TeleCMI's page.
    JavaScript,
    /// As a form.
    Form,
    /// Cut off in the middle.
    CutOff,
    /// With a comma before the closing brace.
    TrailingComma,
    /// Twice, one after the other.
    Twice,
    /// In an array.
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

/// Bodies that are no CDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// This text.
    Text(&'static str),
    /// Arrays so deep.
    Arrays(usize),
}

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// One after another.
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
    /// And once more.
    Again,
    /// And once more after so many other CDRs.
    LateAgain(usize),
    /// So many copies released together on open connections.
    Race(usize),
    /// And once more with another outcome.
    AgainChanged,
    /// By POST, and once more by GET.
    AgainByGet,
    /// With this content type, or none.
    ContentType(Option<&'static str>),
    /// With the other name of this machine in `Host`.
    OtherHost,
    /// By this method.
    By(&'static str),
    /// By a script that no proper client would follow.
    Raw(Script),
    /// So many other calls at once.
    Concurrent(usize),
    /// While so many connections are open that say nothing.
    WithIdleConnections(usize),
}

/// What a broken network or a stranger does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Half of the body, and then our side is closed.
    CutShort,
    /// Half of the body, and then nothing.
    Stalled,
    /// Half of a head, and then nothing.
    HalfHead,
    /// A connection, and not a word.
    Silent,
    /// More body than was announced.
    TooLong,
    /// A byte a millisecond.
    Dripped,
    /// Half of the body, and then a reset.
    Reset,
    /// The whole request, and then our side is closed.
    HalfClosed,
    /// The body in chunks.
    Chunked,
    /// The head, and the body when the handler wants it.
    ExpectContinue,
    /// As HTTP/1.0.
    Http10,
    /// Two requests in one piece.
    Pipelined,
    /// This as the length of the body.
    Length(&'static str),
    /// Both a length and chunks.
    LengthAndChunks,
    /// The first bytes of a TLS connection.
    TlsHello,
    /// A header of 100 KiB.
    HugeHeader,
}

impl Script {
    /// Whether it leaves a connection open at which the handler may wait in its right.
    #[must_use]
    pub fn holds_connection(self) -> bool {
        matches!(self, Self::Stalled | Self::HalfHead | Self::Silent)
    }

    /// Whether our side takes its time.
    #[must_use]
    pub fn takes_time(self) -> bool {
        matches!(self, Self::Dripped | Self::ExpectContinue)
    }

    /// Whether it is good HTTP that deserves an answer, and not only a close.
    #[must_use]
    pub fn is_good_http(self) -> bool {
        matches!(self, Self::Chunked | Self::ExpectContinue | Self::Http10)
    }
}

/// When the calls of the suite happened unless somebody says otherwise: a fixed time, so that the same seed sends the
/// same bytes on any day.
#[must_use]
pub fn usual_time() -> Timestamp {
    // A constant of the year 2026.
    Timestamp::from_epoch_ms(1_795_338_000_000)
        .unwrap_or_else(|| unreachable!("2026 is a valid year"))
}

/// How long an answer may take unless somebody says otherwise.
pub const USUAL_MAX_LATENCY: Duration = Duration::from_secs(5);

/// What the suite waits for, besides answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// How long a handler is given to notice what happened to a connection: to begin reading, to crash, to free a
    /// worker. A process that dies of what it does after its answer is gone by then.
    pub settle_delay: Duration,
    /// How long a handler that is gone may take to come back, as a supervisor restarts it.
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

/// Everything a run of the suite follows from, but where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteOptions {
    /// Only these cases: names, families, globs. None means all.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// Which methods the handler is to be asked by.
    pub methods: Methods,
    /// How long an answer may take.
    pub max_latency: Duration,
    /// What the bytes follow from, with the cases' names.
    pub seed: Seed,
    /// About when the calls happened.
    pub at: Timestamp,
    /// Who calls.
    pub account: Account,
    /// The user's own headers.
    pub headers: Vec<Header>,
    /// What is waited for.
    pub pauses: Pauses,
    /// The command as it was given, without what chose the cases and the seed: what repeats a case begins with it.
    pub command: String,
}

#[cfg(test)]
mod tests;
