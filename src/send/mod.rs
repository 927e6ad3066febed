//! Mode one: calls in, deliveries told, summary out.
//!
//! [`source`] says what there is to send ([`mod@file`] reads it, [`replay`] and [`amend`] see to what was captured),
//! [`pace`] when and how often, [`courier`] delivers one parcel, [`tally`] counts. [`run`] is the only place where they
//! meet. It works on one task: as many batches are under way as the concurrency allows, each walking through its steps
//! in order.

pub mod amend;
pub mod courier;
pub mod event;
pub mod expect;
pub mod file;
pub mod pace;
pub mod replay;
pub mod source;
pub mod suite;
pub mod tally;

use std::cell::RefCell;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::cdr::story::Choice;
use crate::clock::{Clock, Moment};
use crate::error::Stop;
use crate::wire::record::Attempt;
use courier::{Carry, Courier, Patience};
use event::{Delivery, Event, Started, Summary};
use expect::Expectation;
use pace::{Batch, Rules, Schedule, Step};
use source::{Calls, Content, Envelope, Item};
use tally::Tally;

/// Everything a run follows from, but where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to send.
    pub content: Content,
    /// How CDRs are made into requests.
    pub envelope: Envelope,
    /// How many times through the content; none is without end.
    pub rounds: Option<u64>,
    /// After how long nothing new leaves.
    pub duration: Option<Duration>,
    /// When each delivery leaves and how often.
    pub rules: Rules,
    /// How many batches are under way at once.
    pub concurrency: usize,
    /// How often a delivery is tried again.
    pub patience: Patience,
    /// What counts as delivered.
    pub expectation: Expectation,
    /// Whether the answers to POST and GET must agree.
    pub compare: bool,
    /// When the calls start, for the record.
    pub at: Moment,
    /// Where it goes, secrets masked, for the record.
    pub shown_url: String,
}

impl Plan {
    /// The batches of the run, in order.
    #[must_use]
    pub fn schedule(&self) -> Schedule<Calls<'_>> {
        Schedule::new(Calls::new(&self.content, &self.envelope, self.rounds), self.rules)
    }

    /// How many deliveries there will be, if that can be known beforehand.
    #[must_use]
    pub fn planned(&self) -> Option<u64> {
        let mixed = match &self.content {
            Content::Stories(choices, _) => choices.contains(&Choice::Mixture),
            Content::File(_) => false,
        };
        let known = !mixed && self.rules.drop == 0.0 && self.duration.is_none();
        self.most_deliveries().filter(|_| known)
    }

    /// How many deliveries there will be at the most, if there is an end to them.
    #[must_use]
    pub fn most_deliveries(&self) -> Option<u64> {
        let methods = self.envelope.methods.each().len() as u64;
        let once: u64 = match &self.content {
            Content::Stories(choices, _) => choices.iter().map(|choice| choice.most_cdrs() * methods).sum(),
            Content::File(items) => {
                items.iter().map(|item| if matches!(item, Item::Captured(_)) { 1 } else { methods }).sum()
            }
        };
        once.checked_mul(self.rounds?)?.checked_mul(self.rules.copies())
    }
}

/// Runs a plan: carries everything, tells each delivery as it is done, and gives the summary.
///
/// When `stop` resolves nothing new leaves, and what is under way is finished. Nothing leaves either while there is no
/// `room` to tell of it, so that output that nobody reads costs no memory.
pub async fn run<C: Carry>(
    plan: &Plan,
    carrier: &C,
    clock: Clock,
    stop: impl Future<Output = Stop>,
    tell: impl FnMut(Event),
    room: impl AsyncFn(),
) -> Summary {
    let (stopping, stopped) = watch::channel(false);
    let desk = Desk {
        plan,
        courier: Courier { carrier, expectation: &plan.expectation, patience: plan.patience, clock, stopped },
        counted: RefCell::new((Tally::default(), tell)),
        room,
    };
    let planned = plan.planned();
    let started = Started { seed: plan.rules.seed, at: plan.at, url: plan.shown_url.clone(), planned };
    desk.tell(Event::Started(started));
    let began = clock.elapsed();

    let mut schedule = plan.schedule();
    let mut under_way = FuturesUnordered::new();
    let mut stop = std::pin::pin!(stop);
    let mut why = None;
    loop {
        while why.is_none() && under_way.len() < plan.concurrency.max(1) && !desk.time_is_up(began) {
            let Some(batch) = schedule.next() else { break };
            under_way.push(desk.deliver(batch, began));
        }
        if under_way.is_empty() {
            break;
        }
        tokio::select! {
            _ = under_way.next() => {}
            asked = &mut stop, if why.is_none() => {
                why = Some(asked);
                desk.tell(Event::Stopping(under_way.len()));
                // Receivers live as long as the desk, so somebody is listening.
                let _ = stopping.send(true);
            }
        }
    }
    drop(under_way);
    let (tally, mut tell) = desk.counted.into_inner();
    let exit = why.map_or_else(|| tally.exit(), Stop::exit);
    let elapsed = clock.elapsed().saturating_sub(began);
    let summary = tally.summary(elapsed, planned, schedule.dropped(), plan.rules.seed, exit);
    tell(Event::Finished(Box::new(summary.clone())));
    summary
}

/// Where deliveries come together to be counted and told, on the run's one task.
struct Desk<'a, C, T, R> {
    plan: &'a Plan,
    courier: Courier<'a, C>,
    counted: RefCell<(Tally, T)>,
    room: R,
}

impl<C: Carry, T: FnMut(Event), R: AsyncFn()> Desk<'_, C, T, R> {
    fn tell(&self, event: Event) {
        (self.counted.borrow_mut().1)(event);
    }

    fn count(&self, delivery: Delivery) {
        self.counted.borrow_mut().0.count(&delivery);
        self.tell(Event::Delivery(Box::new(delivery)));
    }

    fn time_is_up(&self, began: Duration) -> bool {
        let elapsed = self.courier.clock.elapsed().saturating_sub(began);
        self.plan.duration.is_some_and(|most| elapsed >= most)
    }

    /// Walks through the steps of one batch.
    async fn deliver(&self, batch: Batch, began: Duration) {
        let mut before: Option<Delivery> = None;
        for step in batch {
            let scheduled = step.due;
            let due = scheduled.map(|due| began.saturating_add(due));
            if !self.wait_for(&step, due, began).await {
                return;
            }
            let deliveries = if step.parcels.len() > 1 {
                self.courier.race(step.parcels, due).await
            } else {
                let mut deliveries = Vec::new();
                for parcel in step.parcels {
                    deliveries.push(self.courier.deliver(parcel, due).await);
                }
                deliveries
            };
            for mut delivery in deliveries {
                // The courier counts from the start of the clock, the record from the start of the run.
                delivery.due = scheduled;
                if self.plan.compare {
                    compare(before.as_ref(), &mut delivery);
                    before = Some(delivery.clone());
                }
                self.count(delivery);
            }
        }
    }

    /// Waits until a step may leave; false if it never may, because the run was stopped or its time is up.
    async fn wait_for(&self, step: &Step, due: Option<Duration>, began: Duration) -> bool {
        let mut stopped = self.courier.stopped.clone();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return false,
            () = (self.room)() => {}
        }
        let until_due = due.map_or(Duration::ZERO, |due| due.saturating_sub(self.courier.clock.elapsed()));
        let wait = step.gap.max(until_due);
        let left = self
            .plan
            .duration
            .map(|most| most.saturating_sub(self.courier.clock.elapsed().saturating_sub(began)));
        if let Some(left) = left.filter(|left| wait > *left || left.is_zero()) {
            if until_due > left {
                // Nothing that comes behind it is due sooner: asking for that again and again would not help.
                self.courier.pause(left).await;
            }
            return false;
        }
        self.courier.pause(wait).await
    }
}

/// Holds a GET against the POST of the same CDR just before it.
fn compare(before: Option<&Delivery>, delivery: &mut Delivery) {
    let Some(before) =
        before.filter(|b| b.cdr == delivery.cdr && b.method == "POST" && delivery.method == "GET")
    else {
        return;
    };
    let answer = |delivery: &Delivery| {
        let last: Option<&Attempt> = delivery.last();
        let body = last.and_then(|attempt| attempt.response.as_ref()).map(|response| response.body.clone());
        (last.and_then(|attempt| attempt.status), body)
    };
    let (posted, got) = (answer(before), answer(delivery));
    if posted == got {
        return;
    }
    let status = |status: Option<u16>| status.map_or("no answer".to_owned(), |status| status.to_string());
    let why = if posted.0 == got.0 {
        "the answers to POST and GET differ in their bodies".to_owned()
    } else {
        format!("POST was answered {}, GET {}", status(posted.0), status(got.0))
    };
    delivery.ok = false;
    delivery.why.get_or_insert(why);
}

#[cfg(test)]
mod tests;
