//! The events of `listen` and their records.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::retries;
use crate::error::{Exit, Stop};
use crate::exchange::Exchange;
use crate::ndjson;
use crate::process;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Listening(Listening),
    /// An exchange, and its line in the capture file if there is one without redaction.
    Exchange(Arc<Exchange>, Option<Bytes>),
    /// Rate-limited.
    ConnectionErrors(ConnectionErrors),
    /// A sentence. Rate-limited.
    Warning(String),
    /// A line of the tunnel program's output.
    TunnelSaid(String),
    Finished(Summary),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// The listener's URL, without a path.
    pub url: String,
    /// The URL of a tunnel, without a path, or of `--public-url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspect: Option<String>,
    pub pid: u32,
    pub version: &'static str,
}

/// Connections that failed in the same way before a request could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionErrors {
    /// Failures since the previous event of this kind.
    pub count: u64,
    /// The peer, the cause and a hint, for the latest failure.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    pub exchanges: u64,
    /// Exchanges with a CDR.
    pub cdrs: u64,
    /// CDRs that match `--expect`.
    pub counted: u64,
    /// The value of `--count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u64>,
    pub remarks: u64,
    /// Exchanges that were not shown, because the output was not read fast enough.
    pub dropped: u64,
    /// Connections that failed before a request could be read.
    pub malformed: u64,
    /// How the command beside the listener ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<process::Ended>,
    /// Whether the tunnel ended before the listener.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tunnel_ended: bool,
    /// Saved exchanges, with `--save`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<u64>,
    /// Exchanges that could not be saved.
    #[serde(skip_serializing_if = "ndjson::is_zero")]
    pub lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<retries::Report>,
    pub ending: Ending,
    pub exit: Exit,
}

/// Why a listener stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The expected number of CDRs came.
    #[default]
    Counted,
    TimedOut,
    Interrupted,
    Terminated,
    /// The command beside the listener ended.
    CommandEnded,
}

/// Admits one message a second.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    last: Option<Instant>,
}

impl RateLimit {
    pub const INTERVAL: Duration = Duration::from_secs(1);

    pub fn admits(&mut self) -> bool {
        let now = Instant::now();
        let admits = self.last.is_none_or(|last| now - last >= Self::INTERVAL);
        if admits {
            self.last = Some(now);
        }
        admits
    }
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupt => Self::Interrupted,
            Stop::Terminate => Self::Terminated,
        }
    }
}
