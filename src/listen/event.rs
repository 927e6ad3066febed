//! What a run of `listen` tells: the records, as values.

use std::sync::Arc;

use serde::Serialize;

use super::retries;
use crate::cdr::judge::Verdict;
use crate::error::Exit;
use crate::wire::record;

/// One request received, with the judge's own verdict.
pub type Exchange = record::Exchange<Verdict>;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The port is bound and requests are taken.
    Listening(Listening),
    /// A request was received and answered.
    Exchange(Arc<Exchange>),
    /// Connections failed before their request could be read. Rate-limited: one event may stand for many.
    Mishap(Mishap),
    /// The run is over.
    Finished(Summary),
}

/// The record `listening`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// Where to send to, without a path.
    pub url: String,
    /// This process.
    pub pid: u32,
    /// This program's version.
    pub version: &'static str,
}

/// Connections that failed before their request could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mishap {
    /// How many since the last such event.
    pub count: u64,
    /// What was the matter with the latest, and what to do about it.
    pub text: String,
}

/// The record `summary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Requests received.
    pub exchanges: u64,
    /// How many of them held a CDR.
    pub cdrs: u64,
    /// How many CDRs counted.
    pub counted: u64,
    /// How many were wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u64>,
    /// Remarks made.
    pub remarks: u64,
    /// Exchanges that were received but not shown, because the output was not read fast enough.
    pub dropped: u64,
    /// Connections that failed before their request could be read.
    pub malformed: u64,
    /// What came back after it had not been answered well; nothing if all was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<retries::Report>,
    /// Why the run ended.
    pub ending: Ending,
    /// The exit code.
    pub exit: Exit,
}

/// Why a listener stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The wanted number came.
    Counted,
    /// Its time ran out.
    TimedOut,
    /// A person pressed Ctrl-C.
    Interrupted,
    /// Somebody sent SIGTERM.
    Terminated,
}
