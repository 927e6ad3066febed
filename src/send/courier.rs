//! One parcel, as many attempts as patience allows, one delivery. Every wait ends early when the run is stopped.

use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::watch;

use super::event::{Attempt, Delivery, ResponseRecord};
use super::expect::Expectation;
use super::pack::Parcel;
use super::source::Origin;
use crate::clock::Clock;
use crate::seed::{Purpose, Seed};
use crate::wire::secret::masked_headers;
use crate::wire::{self, Failure, FailureKind, Request, Response};

/// What carries requests. The real one is the HTTP client; tests have their own.
pub trait Carry {
    /// Carries one request and brings its answer.
    fn carry(
        &self,
        request: &Request,
        origin: Origin,
    ) -> impl Future<Output = Result<Response, Failure>>;

    /// Carries copies of one request on connections that are open already, released together, and brings each
    /// one's answer and how long it took from the release.
    fn race(
        &self,
        request: &Request,
        origin: Origin,
        copies: usize,
    ) -> impl Future<Output = Vec<Raced>>;
}

/// The answer to one copy of a race, and how long it took.
pub type Raced = (Result<Response, Failure>, Duration);

/// How often and how patiently a delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Further attempts after the first.
    pub retries: u32,
    /// The wait before the first of them; each further wait is twice as long.
    pub interval: Duration,
    /// Where the jitter comes from.
    pub seed: Seed,
}

/// The longest wait between two attempts, whatever the arithmetic or a handler's `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl Patience {
    /// How long to wait before attempt `attempt` (1 is the first retry) of delivery `n`: between half and all of the
    /// doubled interval, so that many senders do not return at once.
    fn wait(&self, n: u64, attempt: u32) -> Duration {
        let doubled = self
            .interval
            .saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let mut chance = self
            .seed
            .chance(Purpose::Retry, n * 64 + u64::from(attempt.min(63)));
        doubled
            .min(LONGEST_WAIT)
            .mul_f64(chance.random_range(0.5..=1.0))
    }
}

/// Everything a courier needs to know besides the parcel.
#[derive(Debug)]
pub struct Courier<'a, C> {
    /// What carries requests.
    pub carrier: &'a C,
    /// What counts as delivered.
    pub expectation: &'a Expectation,
    /// How often a delivery is tried again.
    pub patience: Patience,
    /// The run's clock.
    pub clock: Clock,
    /// Becomes true when nothing new may leave.
    pub stopped: watch::Receiver<bool>,
}

impl<C: Carry> Courier<'_, C> {
    /// Delivers one parcel.
    pub async fn deliver(&self, parcel: Parcel, due: Option<Duration>) -> Delivery {
        let late = due.map(|due| self.clock.elapsed().saturating_sub(due));
        let mut attempts = Vec::with_capacity(1);
        loop {
            let began = self.clock.elapsed();
            let at = self.clock.now_after(began);
            let answer = self.carrier.carry(&parcel.request, parcel.origin).await;
            let latency = self.clock.elapsed().saturating_sub(began);
            let why = self.expectation.disappointment(&answer, latency);
            let made = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
            let again = why.is_some() && made < self.patience.retries && passes(&answer);
            let asked_for = if again { retry_after(&answer) } else { None };
            attempts.push(attempt(at, latency, answer));
            let wait = || {
                asked_for
                    .unwrap_or_else(|| self.patience.wait(parcel.n, made + 1))
                    .min(LONGEST_WAIT)
            };
            if !again || !self.pause(wait()).await {
                return delivery(parcel, due, late, attempts, why);
            }
        }
    }

    /// Delivers the copies of a race.
    pub async fn race(&self, parcels: Vec<Parcel>, due: Option<Duration>) -> Vec<Delivery> {
        let Some(first) = parcels.first() else {
            return Vec::new();
        };
        let late = due.map(|due| self.clock.elapsed().saturating_sub(due));
        let at = self.clock.now();
        let raced = self
            .carrier
            .race(&first.request, first.origin, parcels.len())
            .await;
        let deliver = |(parcel, (answer, latency)): (Parcel, Raced)| {
            let why = self.expectation.disappointment(&answer, latency);
            delivery(parcel, due, late, vec![attempt(at, latency, answer)], why)
        };
        parcels.into_iter().zip(raced).map(deliver).collect()
    }

    /// Waits, or returns false as soon as the run is stopped.
    pub async fn pause(&self, span: Duration) -> bool {
        let mut stopped = self.stopped.clone();
        if span.is_zero() {
            return !*stopped.borrow();
        }
        tokio::select! {
            () = tokio::time::sleep(span) => true,
            _ = stopped.wait_for(|stopped| *stopped) => false,
        }
    }
}

fn delivery(
    parcel: Parcel,
    due: Option<Duration>,
    late: Option<Duration>,
    attempts: Vec<Attempt>,
    why: Option<String>,
) -> Delivery {
    Delivery {
        n: parcel.n,
        call: parcel.call,
        scenario: parcel.scenario,
        copy: parcel.copy,
        method: parcel.request.method,
        cdr: parcel.cdr,
        due,
        late,
        attempts,
        ok: why.is_none(),
        why,
    }
}

fn attempt(
    at: crate::clock::Timestamp,
    latency: Duration,
    answer: Result<Response, Failure>,
) -> Attempt {
    match answer {
        Ok(Response {
            status,
            headers,
            body,
            size,
            complete,
        }) => {
            let response = ResponseRecord {
                headers: masked_headers(&headers),
                body,
                size,
                complete,
            };
            Attempt {
                at,
                latency,
                status: Some(status),
                failure: None,
                response: Some(response),
            }
        }
        Err(failure) => Attempt {
            at,
            latency,
            status: None,
            failure: Some(failure),
            response: None,
        },
    }
}

/// Whether trouble of this kind passes, so that another attempt makes sense: no answer at all, or one of the statuses
/// that say "later".
fn passes(answer: &Result<Response, Failure>) -> bool {
    match answer {
        Ok(response) => matches!(response.status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
        Err(failure) => !matches!(failure.kind, FailureKind::Redirect | FailureKind::Tls),
    }
}

/// What the handler asked for, in seconds; the date form of the header is not read.
fn retry_after(answer: &Result<Response, Failure>) -> Option<Duration> {
    let response = answer.as_ref().ok()?;
    let seconds = wire::header(&response.headers, "retry-after")?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}
