//! What a run of `listen` tells: the records, as values.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::retries;
use super::tunnel;
use crate::error::{Exit, Stop};
use crate::exchange::Exchange;
use crate::ndjson;
use crate::process;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The port is bound and requests are taken.
    Listening(Listening),
    /// A request was received and answered. Its record comes along where it has been written already.
    Exchange(Arc<Exchange>, Option<Bytes>),
    /// Connections failed before a request could be read. Rate-limited.
    ConnectionErrors(ConnectionErrors),
    /// Something a person must know, a sentence. Rate-limited too.
    Warning(String),
    /// The tunnel's program said something.
    TunnelSaid(String),
    /// The tunnel's program ended, and the run goes on.
    TunnelEnded(tunnel::End),
    /// The run is over.
    Finished(Summary),
}

/// The record `listening`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// Where to send to, without a path.
    pub url: String,
    /// Where the rest of the world can send to: a tunnel's end without a path, or what was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Where a browser can see what comes, token included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspect: Option<String>,
    /// This process.
    pub pid: u32,
    /// This program's version.
    pub version: &'static str,
}

/// Connections that failed in the same way before a request could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionErrors {
    /// Since the last such event.
    pub count: u64,
    /// The latest one: its peer, the cause, and a hint.
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
    /// How the command ended that was run beside the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<process::Ended>,
    /// Whether the tunnel ended before the listener did.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tunnel_ended: bool,
    /// Exchanges that are on file, if they were to be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<u64>,
    /// Exchanges that could not be saved, if there were any.
    #[serde(skip_serializing_if = "ndjson::is_zero")]
    pub lost: u64,
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
    /// The command that was run beside the listener is done.
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
