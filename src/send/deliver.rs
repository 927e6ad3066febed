//! Delivers a job: sends its request, retries it, and makes a [`Delivery`] of each copy.

use std::time::{Duration, SystemTime};

use rand::RngExt as _;

use super::event::{Attempt, Delivery, Event, EventSink};
use super::plan::Origin;
use super::run::Run;
use super::schedule::Job;
use crate::clock::{Timestamp, read_duration};
use crate::net::secret::masked_headers;
use crate::net::{self, Failure, FailureKind, Request, Response};
use crate::parse;
use crate::seed::{Seed, Stream};

pub trait Transport: Send + Sync + 'static {
    fn send(
        &self,
        request: &Request,
        origin: Origin,
    ) -> impl Future<Output = Result<Response, Failure>> + Send;

    /// Sends copies of a request at the same moment, on connections opened before. The returned durations count from
    /// the moment of sending.
    fn race(
        &self,
        request: &Request,
        origin: Origin,
        copies: usize,
    ) -> impl Future<Output = Vec<(Result<Response, Failure>, Duration)>> + Send;
}

#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct RetryPolicy {
    /// Number of retries of a delivery, after no answer, 408, 425, 429, 500, 502, 503 or 504
    #[arg(id = "retry", long = "retry", value_name = "N", default_value_t = 0, value_parser = parse::whole::<u32, 0, 100>)]
    pub retries: u32,
    /// Wait before the first retry; doubled for each further retry, shortened at random by up to half. Retry-After is obeyed
    #[arg(id = "retry_interval", long = "retry-interval", value_name = "D", default_value = "1s", value_parser = read_duration)]
    pub interval: Duration,
    /// Maximum wait that Retry-After may ask for; a longer one is shortened to this
    #[arg(long, value_name = "D", default_value = "60s", value_parser = read_duration)]
    pub retry_after_max: Duration,
    /// Wait before each attempt, the first included, as a list; PIOPIY documents 0s,5m,10m,15m. In real time unless
    /// --speed is given; Retry-After is ignored
    #[arg(id = "retry_schedule", long = "retry-schedule", value_name = "D", value_delimiter = ',', value_parser = read_duration,
          conflicts_with_all = ["retry", "retry_interval", "race"])]
    pub schedule: Vec<Duration>,
}

/// A wait for `Retry-After` or by a schedule is announced from this length on.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// The maximum wait between two attempts of a delivery without `Retry-After`.
const MAX_WAIT: Duration = Duration::from_secs(300);

impl RetryPolicy {
    /// The wait before retry `attempt`, counted from one, of delivery `n`. A jitter of 50 to 100 % keeps many senders
    /// from retrying at once.
    fn wait(&self, seed: Seed, n: u64, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        let doubled = self.interval.saturating_mul(factor);
        let stream = n * 64 + u64::from(attempt.min(63));
        let mut rng = seed.rng(Stream::Retry, stream);
        doubled.min(MAX_WAIT).mul_f64(rng.random_range(0.5..=1.0))
    }
}

impl<T: Transport, E: EventSink> Run<T, E> {
    /// Delivers all copies of a job at once, without retries.
    pub(super) async fn race(&self, job: Job, late: Option<Duration>) -> Vec<Delivery> {
        let at = self.clock.now();
        let copies = job.slot.copies as usize;
        let raced = self.transport.race(&job.request, job.origin, copies).await;
        let deliver = |(job, (result, latency)): (Job, (_, Duration))| {
            let why = self.plan.expectation.check(&result, latency);
            delivery(job, late, vec![attempt(at, latency, result)], why)
        };
        job.each_copy().zip(raced).map(deliver).collect()
    }

    /// Sends a job's request until the expectation is met or no retry is left. The returned text says why the last
    /// attempt failed.
    pub(super) async fn attempts(&self, job: &Job) -> (Vec<Attempt>, Option<String>) {
        let policy = &self.plan.retry;
        let mut attempts = Vec::with_capacity(1);
        loop {
            let (began, at) = (self.clock.elapsed(), self.clock.now());
            let result = self.transport.send(&job.request, job.origin).await;
            let latency = self.clock.elapsed().saturating_sub(began);
            let why = self.plan.expectation.check(&result, latency);
            let made = u32::try_from(attempts.len() + 1).unwrap_or(u32::MAX);
            let scheduled = self.plan.scheduled_wait(attempts.len() + 1);
            let is_left = made <= policy.retries || scheduled.is_some();
            let again = why.is_some() && is_left && is_temporary(&result);
            let wait = again.then(|| {
                let asked = retry_after(&result, self.clock.now());
                let asked = asked.filter(|_| scheduled.is_none());
                let wait = asked.map(|asked| asked.min(policy.retry_after_max));
                let announced = wait.or(scheduled).filter(|wait| *wait >= LONG_WAIT);
                if let Some(wait) = announced {
                    let n = job.n;
                    self.events.send(Event::Waiting { n, wait, asked });
                }
                let wait = wait.or(scheduled);
                wait.unwrap_or_else(|| policy.wait(self.plan.seed, job.n, made))
            });
            attempts.push(attempt(at, latency, result));
            match wait {
                Some(wait) if self.pause(wait).await => {}
                _ => return (attempts, why),
            }
        }
    }
}

pub(super) fn delivery(
    job: Job,
    late: Option<Duration>,
    attempts: Vec<Attempt>,
    why: Option<String>,
) -> Delivery {
    Delivery {
        n: job.n,
        call: job.slot.call + 1,
        scenario: job.scenario,
        copy: job.slot.copy,
        method: job.request.method.clone(),
        cdr: job.cdr,
        due: job.slot.due,
        late,
        attempts,
        ok: why.is_none(),
        why,
    }
}

fn attempt(at: Timestamp, latency: Duration, result: Result<Response, Failure>) -> Attempt {
    let (status, response, failure) = match result {
        Ok(mut response) => {
            response.headers = masked_headers(response.headers);
            (Some(response.status), Some(response), None)
        }
        Err(failure) => (None, None, Some(failure)),
    };
    Attempt {
        at,
        latency,
        status,
        failure,
        response,
    }
}

/// Returns whether a retry may help: after a temporary status, and after failures other than redirects and TLS errors.
fn is_temporary(result: &Result<Response, Failure>) -> bool {
    match result {
        Ok(response) => matches!(response.status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
        Err(failure) => !matches!(failure.kind, FailureKind::Redirect | FailureKind::Tls),
    }
}

/// The wait that `Retry-After` states in seconds or as a date (RFC 9110, section 10.2.3). A date counts from the
/// response's own `Date`, because the clocks may differ.
fn retry_after(result: &Result<Response, Failure>, now: Timestamp) -> Option<Duration> {
    let response = result.as_ref().ok()?;
    let value = net::header(&response.headers, "retry-after")?;
    let value = value.trim();
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        let seconds = value.parse().ok()?;
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let date = net::header(&response.headers, "date");
    let date = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok());
    let since_epoch = Duration::from_millis(u64::try_from(now.epoch_ms()).unwrap_or(0));
    let from = date.unwrap_or(SystemTime::UNIX_EPOCH + since_epoch);
    Some(until.duration_since(from).unwrap_or_default())
}
