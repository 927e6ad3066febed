//! The events of a run of `send`, and its records.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cdr::Fields;
use crate::clock::Timestamp;
use crate::error::Exit;
use crate::ndjson::{self, as_ms, as_optional_ms};
use crate::net::{Body, Failure, FailureKind, Header};
use crate::seed::Seed;

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run begins.
    Started(Started),
    /// A delivery was made, or failed.
    Delivery(Box<Delivery>),
    /// The run is to stop: nothing new leaves, and so many calls are still under way.
    Stopping(usize),
    /// The run is over.
    Finished(Box<Summary>),
}

impl Event {
    /// About how many bytes its text takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let Self::Delivery(delivery) = self else {
            return 0;
        };
        let attempts = delivery.attempts.iter();
        let responses = attempts.filter_map(|attempt| attempt.response.as_ref());
        1024 + responses.map(|response| response.body.len()).sum::<usize>()
    }
}

/// Where the events of a run go.
pub trait EventSink: Send + Sync + 'static {
    /// Resolves when there is room for another event.
    fn ready(&self) -> impl Future<Output = ()> + Send;

    /// Takes an event.
    fn send(&self, event: Event);
}

/// The record `started`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Started {
    /// The seed of the run.
    #[serde(serialize_with = "seed_number")]
    pub seed: Seed,
    /// When the calls start. All bytes follow from this and the seed.
    pub at: Timestamp,
    /// The URL, secrets masked.
    pub url: String,
    /// How many deliveries there will be, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
}

/// Above so many deliveries a person at a terminal sees a progress bar and the failures, not every line.
const MANY: u64 = 50;

impl Started {
    /// Whether there are too many deliveries for a person to see each.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.planned.is_none_or(|planned| planned > MANY)
    }
}

/// Serialises a seed as its number.
pub fn seed_number<S: serde::Serializer>(seed: &Seed, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(seed.0)
}

/// The record `delivery`: one request and its attempts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    /// Its number, from one, in the order of leaving.
    pub n: u64,
    /// The number of its call, from one.
    pub call: u64,
    /// The scenario's name, or `file`.
    pub scenario: &'static str,
    /// Zero for the first delivery of a CDR, then counting its copies.
    pub copy: u32,
    /// `POST` or `GET`.
    pub method: Cow<'static, str>,
    /// The CDR, if it is an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdr: Option<Fields>,
    /// When it should have left, since the start of the run, if there was a schedule.
    #[serde(
        rename = "due_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_optional_ms"
    )]
    pub due: Option<Duration>,
    /// How much later than that it left.
    #[serde(
        rename = "late_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_optional_ms"
    )]
    pub late: Option<Duration>,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
    /// Whether it met what was expected.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Delivery {
    /// The attempt that decided the outcome.
    #[must_use]
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

/// What came back for one attempt, as a record tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// When it left.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    #[serde(rename = "latency_ms", serialize_with = "as_ms")]
    pub latency: Duration,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The rest of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseRecord>,
}

/// An answer's headers and body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResponseRecord {
    /// The header fields in order; the values of secret ones are masked.
    pub headers: Vec<Header>,
    /// The body, as much as was read.
    pub body: Body,
    /// How many bytes were read.
    pub size: u64,
    /// Whether that is all of it.
    pub complete: bool,
}

/// The record `summary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// How many deliveries were made.
    pub deliveries: u64,
    /// How many were planned, if that was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// How many met what was expected.
    pub ok: u64,
    /// How many did not.
    pub failed: u64,
    /// How many were left out on purpose.
    #[serde(skip_serializing_if = "ndjson::is_zero")]
    pub dropped: u64,
    /// Deliveries by the status of their last answer.
    pub by_status: BTreeMap<u16, u64>,
    /// Deliveries without an answer, by what went wrong.
    pub by_failure: BTreeMap<FailureKind, u64>,
    /// Deliveries a second, over the whole run.
    pub requests_per_s: f64,
    /// How long answers took; null if there were none.
    pub latency_ms: Option<LatencySummary>,
    /// How late deliveries left, if there was a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<LatencySummary>,
    /// How long the run took.
    #[serde(rename = "elapsed_ms", serialize_with = "as_ms")]
    pub elapsed: Duration,
    /// The exit code.
    pub exit: Exit,
    /// The latency histogram, for people.
    #[serde(skip)]
    pub buckets: Vec<Bucket>,
    /// The seed, for the line that repeats the run.
    #[serde(skip)]
    pub seed: Seed,
}

/// The distribution of a measured time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencySummary {
    /// The shortest.
    pub min: f64,
    /// The average.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// One bucket of the histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The longest time in it.
    pub up_to: Duration,
    /// How many answers took so long.
    pub count: u64,
}
