//! Events of `listen`, and their NDJSON records.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::retries;
use crate::clock::Timestamp;
use crate::error::{Exit, Stop};
use crate::exchange::Exchange;
use crate::ndjson;
use crate::process;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Listening(Listening),
    /// The second field is the exchange's line in the capture file, if the exchange was saved without `--redact`.
    Exchange(Arc<Exchange>, Option<Bytes>),
    ConnectionErrors(ConnectionErrors),
    Warning(String),
    Note(String),
    TunnelSaid(String),
    Finished(Summary),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listening {
    pub url: String,
    /// The public URL is the origin of a tunnel or the value of `--public-url`, without a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspect: Option<String>,
    /// The time of the start, by which the local zone's offset is known.
    #[serde(skip)]
    pub at: Timestamp,
    pub pid: u32,
    pub version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionErrors {
    pub count: u64,
    /// The message about a failed connection: the peer, the cause, and a hint.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    pub exchanges: u64,
    pub cdrs: u64,
    pub counted: u64,
    /// The value of `--count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u64>,
    pub remarks: u64,
    /// Exchanges are dropped from the output if the reader of standard output is too slow.
    pub dropped: u64,
    pub malformed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<process::Ended>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tunnel_ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<u64>,
    #[serde(skip_serializing_if = "ndjson::is_zero")]
    pub lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<retries::Report>,
    pub ending: Ending,
    pub exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// `listen` ended because it had received the number of CDRs that `--count` or `--expect` asks for.
    #[default]
    Counted,
    TimedOut,
    Interrupted,
    Terminated,
    CommandEnded,
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupt => Self::Interrupted,
            Stop::Terminate => Self::Terminated,
        }
    }
}
