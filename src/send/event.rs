//! The events of a run of `send`, and its records.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::cdr::CdrText;
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::ndjson::{self, as_ms, as_optional_ms};
use crate::net::{Failure, FailureKind, Response};
use crate::seed::Seed;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Started(Started),
    /// Nothing new leaves; so many workers are still busy.
    Stopping(usize),
    Finished(Box<Summary>),
}

/// Where the events of a run go.
pub trait EventSink: Send + Sync + 'static {
    /// Resolves when there is room for another event.
    fn ready(&self) -> impl Future<Output = ()> + Send;

    fn send(&self, event: Event);

    fn delivered(&self, delivery: Delivery);
}

/// The record `started`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Started {
    #[serde(serialize_with = "seed_number")]
    pub seed: Seed,
    /// When the calls start. All bytes follow from this and the seed.
    pub at: Timestamp,
    /// Secrets masked.
    pub url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
}

/// Above so many deliveries a person at a terminal sees a progress bar and the failures, not every line.
const MANY: u64 = 50;

impl Started {
    /// Whether there are too many deliveries for a person to see each.
    pub fn is_long(&self) -> bool {
        self.planned.is_none_or(|planned| planned > MANY)
    }
}

/// Serialises a seed as its number.
pub fn seed_number<S: Serializer>(seed: &Seed, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(seed.0)
}

/// The record `delivery`: one request and its attempts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    /// From one, in the order of leaving.
    pub n: u64,
    /// From one.
    pub call: u64,
    /// Or `file`.
    pub scenario: &'static str,
    /// Zero for the first delivery of a CDR, then counting its copies.
    pub copy: u32,
    pub method: Cow<'static, str>,
    /// If the payload is an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdr: Option<CdrText>,
    /// Since the start of the run, if there was a schedule.
    #[serde(
        rename = "due_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_optional_ms"
    )]
    pub due: Option<Duration>,
    #[serde(
        rename = "late_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_optional_ms"
    )]
    pub late: Option<Duration>,
    pub attempts: Vec<Attempt>,
    /// Whether the answer met the expectation.
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Delivery {
    /// The attempt that decided the outcome.
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

/// One attempt and its answer or failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    pub at: Timestamp,
    #[serde(rename = "latency_ms", serialize_with = "as_ms")]
    pub latency: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Secret values of headers are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
}

/// The record `summary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub deliveries: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    pub ok: u64,
    pub failed: u64,
    /// Left out by `--drop`.
    #[serde(skip_serializing_if = "ndjson::is_zero")]
    pub dropped: u64,
    /// Deliveries by the status of their last answer.
    pub by_status: BTreeMap<u16, u64>,
    /// Deliveries without an answer.
    pub by_failure: BTreeMap<FailureKind, u64>,
    pub requests_per_s: f64,
    /// Null if there were no answers.
    pub latency_ms: Option<LatencySummary>,
    /// If there was a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<LatencySummary>,
    #[serde(rename = "elapsed_ms", serialize_with = "as_ms")]
    pub elapsed: Duration,
    pub exit: Exit,
    /// The latency histogram, for the screen.
    #[serde(skip)]
    pub buckets: Vec<Bucket>,
    /// For the command that repeats the run.
    #[serde(skip)]
    pub seed: Seed,
}

/// The distribution of a measured time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencySummary {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

/// One bucket of the histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub up_to: Duration,
    pub count: u64,
}
