//! Runs a plan: workers, as many as `--concurrency`, take jobs from one shared schedule.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet, coop, yield_now};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::deliver::{Transport, delivery};
use super::event::{Delivery, Event, EventSink, Started, Summary};
use super::schedule::{Job, Schedule};
use super::stats::Stats;
use crate::clock::Clock;
use crate::error::Stop;

/// Runs a plan and returns its summary.
///
/// After `stop` resolves, no delivery starts, and deliveries in flight are finished. Deliveries also wait until
/// `events` has room, so that unread output does not pile up in memory.
pub async fn run<T: Transport, E: EventSink>(
    plan: &Arc<Plan>,
    transport: T,
    clock: Clock,
    stop: impl Future<Output = Stop>,
    events: E,
) -> Summary {
    let started = Started {
        seed: plan.seed,
        at: plan.at,
        url: plan.shown_url.clone(),
        planned: plan.planned(),
    };
    events.send(Event::Started(started));
    let run = Arc::new(Run {
        plan: Arc::clone(plan),
        transport,
        clock,
        began: clock.elapsed(),
        schedule: Mutex::new(Schedule::new(Arc::clone(plan))),
        stats: Mutex::default(),
        stopped: CancellationToken::new(),
        events,
    });
    let most = usize::try_from(plan.most_deliveries().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let mut workers = JoinSet::new();
    for _ in 0..plan.schedule.concurrency.min(most) {
        let run = Arc::clone(&run);
        workers.spawn(async move { run.work().await });
    }
    let why = tokio::select! {
        () = join_all(&mut workers) => None,
        why = stop => Some(why),
    };
    if why.is_some() {
        run.stopped.cancel();
        // Workers that only wait end at once; the others finish their calls.
        let mut before = usize::MAX;
        while workers.len() < before {
            before = workers.len();
            yield_now().await;
            while let Some(ended) = workers.try_join_next() {
                rethrow(ended);
            }
        }
        if !workers.is_empty() {
            run.events.send(Event::Stopping(workers.len()));
        }
        join_all(&mut workers).await;
    }
    let stats = std::mem::take(&mut *lock(&run.stats));
    let counted = stats.summary(run.elapsed());
    let summary = Summary {
        planned: plan.planned(),
        dropped: lock(&run.schedule).dropped(),
        exit: why.map_or(counted.exit, Stop::exit),
        ..counted
    };
    run.events.send(Event::Finished(Box::new(summary.clone())));
    summary
}

async fn join_all(workers: &mut JoinSet<()>) {
    while let Some(ended) = workers.join_next().await {
        rethrow(ended);
    }
}

fn rethrow(ended: Result<(), JoinError>) {
    ended.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()));
}

pub(super) struct Run<T, E> {
    pub(super) plan: Arc<Plan>,
    pub(super) transport: T,
    pub(super) clock: Clock,
    began: Duration,
    schedule: Mutex<Schedule>,
    stats: Mutex<Stats>,
    pub(super) stopped: CancellationToken,
    pub(super) events: E,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Transport, E: EventSink> Run<T, E> {
    async fn work(&self) {
        while !self.stopped.is_cancelled() && self.left().is_none_or(|left| !left.is_zero()) {
            let Some(jobs) = lock(&self.schedule).next() else {
                break;
            };
            self.deliver_all(jobs).await;
            // Without `consume_budget`, empty lists of jobs and transports that are always ready would never yield to
            // other tasks.
            coop::consume_budget().await;
        }
    }

    async fn deliver_all(&self, jobs: Vec<Job>) {
        let mut posts = Posts::default();
        for job in jobs {
            if !self.wait_until_due(&job).await {
                return;
            }
            let first_wait = self.plan.scheduled_wait(0).unwrap_or_default();
            let late = |due: Duration| self.elapsed().saturating_sub(due + first_wait);
            let late = job.slot.due.map(late);
            let cdr_index = job.slot.cdr;
            let mut finish = |mut delivery: Delivery| {
                if self.plan.expectation.compare {
                    compare(&mut posts, cdr_index, &mut delivery);
                }
                lock(&self.stats).count(&delivery);
                self.events.delivered(delivery);
            };
            if job.slot.copies == 1 {
                let (attempts, why) = self.attempts(&job).await;
                finish(delivery(job, late, attempts, why));
            } else {
                self.race(job, late).await.into_iter().for_each(finish);
            }
        }
    }

    /// Waits until a job is due. Returns false if the run is stopped or its duration ends before.
    async fn wait_until_due(&self, job: &Job) -> bool {
        tokio::select! {
            biased;
            () = self.events.ready(), if !self.stopped.is_cancelled() => {}
            () = self.stopped.cancelled() => return false,
        }
        let until = |due: Duration| due.saturating_sub(self.elapsed());
        let until_due = job.slot.due.map_or(Duration::ZERO, until);
        let wait = job.slot.gap.max(until_due) + self.plan.scheduled_wait(0).unwrap_or_default();
        if let Some(left) = self.left().filter(|left| wait > *left || left.is_zero()) {
            if until_due > left {
                // No later job is due sooner, so the worker sleeps to the end of the run; skipping the jobs at once
                // would be busy waiting.
                self.pause(left).await;
            }
            return false;
        }
        wait.is_zero() || self.pause(wait).await
    }

    /// Sleeps for `span`. Returns false as soon as the run is stopped.
    pub(super) async fn pause(&self, span: Duration) -> bool {
        let pause = self.stopped.run_until_cancelled(sleep(span));
        pause.await.is_some()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.began)
    }

    fn left(&self) -> Option<Duration> {
        Some(self.plan.schedule.duration?.saturating_sub(self.elapsed()))
    }
}

type Answer = (Option<u16>, u64);

/// The answers to the POSTs of one call by CDR and copy. Response bodies are hashed to save memory.
type Posts = HashMap<(usize, u32), Answer>;

/// Stores the answer to a POST. A GET whose answer differs from that to the POST of the same CDR and copy fails.
fn compare(posts: &mut Posts, cdr_index: usize, delivery: &mut Delivery) {
    let last = delivery.last();
    let mut hasher = DefaultHasher::new();
    let response = last.and_then(|last| last.response.as_ref());
    let body = response.map(|response| response.decoded().map_err(|_| &response.body.0));
    body.hash(&mut hasher);
    let answer = (last.and_then(|last| last.status), hasher.finish());
    let key = (cdr_index, delivery.copy);
    if delivery.method == "POST" {
        posts.insert(key, answer);
    }
    let Some(post) = posts.get(&key).filter(|post| **post != answer) else {
        return;
    };
    let status =
        |status: Option<u16>| status.map_or("nothing".to_owned(), |status| status.to_string());
    let (by_post, by_get) = (status(post.0), status(answer.0));
    let why = if by_post == by_get {
        "the answers to POST and GET differ in their bodies".to_owned()
    } else {
        format!("POST was answered with {by_post}, GET with {by_get}")
    };
    delivery.ok = false;
    delivery.why.get_or_insert(why);
}
