//! Mode one: calls in, deliveries told, summary out.
//!
//! [`source`] says what there is to send ([`mod@file`] reads it, [`replay`] and [`amend`] see to what was captured),
//! [`pace`] when and how often, [`pack`] makes it, [`metronome`] keeps the time, [`courier`] delivers one parcel, [`tally`]
//! counts. [`run`] is the only place where they meet: as many batches are under way as the concurrency allows, each walking
//! through its steps in order. They are spread over threads, one for each carrier; a thread knows nothing of the others but
//! the schedule that they all take from.

pub mod amend;
pub mod courier;
pub mod event;
pub mod expect;
pub mod file;
pub mod metronome;
pub mod pace;
pub mod pack;
pub mod replay;
pub mod source;
pub mod suite;
pub mod tally;

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{oneshot, watch};

use crate::cdr::story::Choice;
use crate::clock::{Clock, Timestamp};
use crate::error::Stop;
use courier::{Carry, Courier, Patience};
use event::{Attempt, Delivery, Event, Started, Summary};
use expect::Expectation;
use metronome::{Lobby, Metronome};
use pace::{Batch, Rules, Schedule};
use pack::{Step, Steps};
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
    pub at: Timestamp,
    /// Where it goes, secrets masked, for the record.
    pub shown_url: String,
}

impl Plan {
    /// All that leaves in the run, in order, a batch at a time.
    pub fn batches(&self) -> impl Iterator<Item = Vec<Step>> {
        let schedule = Schedule::new(Calls::new(self), self.rules);
        schedule.map(|batch| Steps::new(self, batch).collect())
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
            Content::Stories(choices, _) => choices
                .iter()
                .map(|choice| choice.most_cdrs() * methods)
                .sum(),
            Content::File(items) => items
                .iter()
                .map(|item| {
                    if matches!(item, Item::Captured(_)) {
                        1
                    } else {
                        methods
                    }
                })
                .sum(),
        };
        once.checked_mul(self.rounds?)?
            .checked_mul(self.rules.copies())
    }
}

/// Runs a plan: carries everything, tells each delivery as it is done, and gives the summary.
///
/// There is a thread for each carrier, the first of which is the caller's own. When `stop` resolves nothing new leaves,
/// and what is under way is finished. Nothing leaves either while there is no `room` to tell of it, so that output that
/// nobody reads costs no memory.
pub async fn run<C, T, R>(
    plan: &Arc<Plan>,
    carriers: Vec<C>,
    clock: Clock,
    stop: impl Future<Output = Stop>,
    tell: T,
    room: R,
) -> Summary
where
    C: Carry + Send + 'static,
    T: Fn(Event<'_>) + Send + Sync + 'static,
    R: AsyncFn() + Send + Sync + 'static,
{
    let planned = plan.planned();
    let started = Started {
        seed: plan.rules.seed,
        at: plan.at,
        url: plan.shown_url.clone(),
        planned,
    };
    tell(Event::Started(&started));
    let (stopping, stopped) = watch::channel(false);
    let office = Arc::new(Office {
        plan: Arc::clone(plan),
        clock,
        metronome: Metronome::new(clock),
        began: clock.elapsed(),
        schedule: Mutex::new(Schedule::new(Calls::new(Arc::clone(plan)), plan.rules)),
        stopped,
        under_way: AtomicUsize::new(0),
        tell,
        room,
    });
    let mut stop = std::pin::pin!(stop);
    let mut why = None;
    let mut work = std::pin::pin!(all_hands(&office, carriers));
    let tally = loop {
        tokio::select! {
            tally = &mut work => break tally,
            asked = &mut stop, if why.is_none() => {
                why = Some(asked);
                (office.tell)(Event::Stopping(office.under_way.load(Ordering::Relaxed)));
                // Receivers live as long as the office, so somebody is listening.
                let _ = stopping.send(true);
                office.metronome.stop();
            }
        }
    };
    let exit = why.map_or_else(|| tally.exit(), Stop::exit);
    let elapsed = clock.elapsed().saturating_sub(office.began);
    let dropped = office.schedule(|schedule| schedule.dropped());
    let summary = tally.summary(elapsed, planned, dropped, plan.rules.seed, exit);
    (office.tell)(Event::Finished(&summary));
    summary
}

/// Lets every carrier work in a thread of its own, but for the first, and adds up what they have done.
async fn all_hands<C, T, R>(office: &Arc<Office<T, R>>, carriers: Vec<C>) -> Tally
where
    C: Carry + Send + 'static,
    T: Fn(Event<'_>) + Send + Sync + 'static,
    R: AsyncFn() + Send + Sync + 'static,
{
    let threads = carriers.len();
    // As many for each as for the others; the first take what is left over.
    let slots = |thread| (office.plan.concurrency.max(1) + threads - 1 - thread) / threads;
    let mut carriers = carriers.into_iter();
    let Some(own) = carriers.next() else {
        return Tally::default();
    };
    let others: Vec<_> = carriers
        .enumerate()
        .map(|(n, carrier)| hand(office, carrier, slots(n + 1)))
        .collect();
    let mut tally = office.work(&own, slots(0)).await;
    for (thread, done) in others {
        match done.await {
            Ok(theirs) => tally.add(theirs),
            // It ends without a word only by a panic, which is ours then.
            Err(_) => drop(thread.join().map_err(|panic| resume_unwind(panic))),
        }
    }
    tally
}

/// Starts a thread that works with this carrier.
fn hand<C, T, R>(
    office: &Arc<Office<T, R>>,
    carrier: C,
    slots: usize,
) -> (JoinHandle<()>, oneshot::Receiver<Tally>)
where
    C: Carry + Send + 'static,
    T: Fn(Event<'_>) + Send + Sync + 'static,
    R: AsyncFn() + Send + Sync + 'static,
{
    let (finished, done) = oneshot::channel();
    let office = Arc::clone(office);
    let thread = thread::spawn(move || {
        // Without a runtime of its own it leaves everything to the others.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            let _ = finished.send(Tally::default());
            return;
        };
        let tally = runtime.block_on(office.work(&carrier, slots));
        // A name that is still being looked up must not hold up the end.
        runtime.shutdown_background();
        let _ = finished.send(tally);
    });
    (thread, done)
}

/// Where all who deliver come together: they take from one schedule, stop at one word, and tell in one place.
struct Office<T, R> {
    plan: Arc<Plan>,
    clock: Clock,
    metronome: Metronome,
    /// When the run began, on that clock.
    began: Duration,
    schedule: Mutex<Schedule<Calls<Arc<Plan>>>>,
    /// Becomes true when nothing new may leave.
    stopped: watch::Receiver<bool>,
    /// How many batches are being delivered.
    under_way: AtomicUsize,
    tell: T,
    room: R,
}

impl<T: Fn(Event<'_>), R: AsyncFn()> Office<T, R> {
    /// Delivers with one carrier, so many batches at once, until there is nothing more to deliver.
    async fn work<C: Carry>(&self, carrier: &C, slots: usize) -> Tally {
        let plan = &self.plan;
        let desk = Desk {
            office: self,
            courier: Courier {
                carrier,
                expectation: &plan.expectation,
                patience: plan.patience,
                clock: self.clock,
                stopped: self.stopped.clone(),
            },
            lobby: self.metronome.lobby(),
            tally: RefCell::default(),
        };
        let working: FuturesUnordered<_> = (0..slots).map(|_| desk.work()).collect();
        // Tokio would let no more than 128 reads and writes pass before it looks for others, and all the rest of them be
        // tried for nothing. They give way to others by themselves, after a turn for each.
        tokio::task::unconstrained(working.collect::<()>()).await;
        desk.tally.into_inner()
    }

    /// Whether nothing new may leave. Nobody looks at that word before it changes, and it changes once.
    fn is_stopped(&self) -> bool {
        self.stopped.has_changed().unwrap_or(true)
    }

    /// Does something with the schedule, alone.
    fn schedule<U>(&self, take: impl FnOnce(&mut Schedule<Calls<Arc<Plan>>>) -> U) -> U {
        take(&mut self.schedule.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long the run may still go on, if there is an end to it.
    fn left(&self) -> Option<Duration> {
        let most = self.plan.duration?;
        Some(most.saturating_sub(self.clock.elapsed().saturating_sub(self.began)))
    }
}

/// Where the deliveries of one carrier are counted, on one thread.
struct Desk<'a, C, T, R> {
    office: &'a Office<T, R>,
    courier: Courier<'a, C>,
    /// Where those wait whose time has not come.
    lobby: Lobby<'a>,
    tally: RefCell<Tally>,
}

impl<C: Carry, T: Fn(Event<'_>), R: AsyncFn()> Desk<'_, C, T, R> {
    /// Delivers one batch after another.
    async fn work(&self) {
        // As long as there is another batch, one is under way.
        let mut busy = false;
        while !self.office.is_stopped() && self.office.left().is_none_or(|left| !left.is_zero()) {
            let Some(batch) = self.office.schedule(Iterator::next) else {
                break;
            };
            if !std::mem::replace(&mut busy, true) {
                self.office.under_way.fetch_add(1, Ordering::Relaxed);
            }
            self.deliver(batch).await;
        }
        if busy {
            self.office.under_way.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn count(&self, delivery: &Delivery) {
        self.tally.borrow_mut().count(delivery);
        (self.office.tell)(Event::Delivery(delivery));
    }

    /// Walks through the steps of one batch.
    async fn deliver(&self, batch: Batch) {
        let mut before: Option<Delivery> = None;
        for step in Steps::new(&self.office.plan, batch) {
            let scheduled = step.due;
            let due = scheduled.map(|due| self.office.began.saturating_add(due));
            if !self.wait_for(&step, due).await {
                return;
            }
            let mut done = |mut delivery: Delivery| {
                // The courier counts from the start of the clock, the record from the start of the run.
                delivery.due = scheduled;
                if self.office.plan.compare {
                    compare(before.as_ref(), &mut delivery);
                    self.count(&delivery);
                    before = Some(delivery);
                } else {
                    self.count(&delivery);
                }
            };
            if step.count > 1 {
                self.courier
                    .race(step.parcels().collect(), due)
                    .await
                    .into_iter()
                    .for_each(done);
            } else {
                done(self.courier.deliver(step.parcel, due).await);
            }
        }
    }

    /// Waits until a step may leave; false if it never may, because the run was stopped or its time is up.
    async fn wait_for(&self, step: &Step, due: Option<Duration>) -> bool {
        if self.office.is_stopped() {
            return false;
        }
        // Nearly always there is room.
        if (self.office.room)().now_or_never().is_none() {
            let mut stopped = self.courier.stopped.clone();
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return false,
                () = (self.office.room)() => {}
            }
        }
        let now = self.office.clock.elapsed();
        let until_due = due.map_or(Duration::ZERO, |due| due.saturating_sub(now));
        let wait = step.gap.max(until_due);
        let left = self.office.left();
        if let Some(left) = left.filter(|left| wait > *left || left.is_zero()) {
            if until_due > left {
                // Nothing that comes behind it is due sooner: asking for that again and again would not help.
                self.pause(left).await;
            }
            return false;
        }
        wait.is_zero() || self.pause(wait).await
    }

    /// Waits, or returns false as soon as the run is stopped.
    async fn pause(&self, span: Duration) -> bool {
        let clock = self.office.clock;
        // The metronome cannot follow a test whose time stands still; tokio's timer does.
        if clock.is_of_the_machine() {
            self.lobby.until(clock.elapsed().saturating_add(span)).await
        } else {
            self.courier.pause(span).await
        }
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
        let body = last
            .and_then(|attempt| attempt.response.as_ref())
            .map(|response| response.body.clone());
        (last.and_then(|attempt| attempt.status), body)
    };
    let (posted, got) = (answer(before), answer(delivery));
    if posted == got {
        return;
    }
    let status =
        |status: Option<u16>| status.map_or("no answer".to_owned(), |status| status.to_string());
    let why = if posted.0 == got.0 {
        "the answers to POST and GET differ in their bodies".to_owned()
    } else {
        format!(
            "POST was answered {}, GET {}",
            status(posted.0),
            status(got.0)
        )
    };
    delivery.ok = false;
    delivery.why.get_or_insert(why);
}

#[cfg(test)]
mod tests;
