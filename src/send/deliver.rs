//! Delivers a job: sends its request, retries it, and makes a [`Delivery`] of each copy.

use std::time::Duration;

use super::Origin;
use super::event::{Attempt, Delivery, Event, EventSink};
use super::retry::{is_temporary, retry_after};
use super::run::Run;
use super::schedule::Job;
use crate::clock::Timestamp;
use crate::net::secret::masked_headers;
use crate::net::{Failure, Request, Response};

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

/// A wait for `Retry-After` or by a schedule is announced from this length on.
const LONG_WAIT: Duration = Duration::from_secs(5);

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
