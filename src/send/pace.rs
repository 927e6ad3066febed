//! The slots of each call, with their due times: rate, the gaps of scenarios and captures, duplicates, races and drops.
//! [`schedule`](super::schedule) reorders them.

use std::time::Duration;

use rand::RngExt as _;

use super::plan::{Content, Plan};
use super::replay::Timeline;
use crate::input::Item;
use crate::seed::Stream;

/// A job's place in the schedule: one request of one CDR, or several copies of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// The call's number, from zero.
    pub call: u64,
    /// The index of the CDR within the call.
    pub cdr: usize,
    /// The index of the method among the template's methods.
    pub method: usize,
    /// 0 for the first delivery of a CDR; its duplicates and race copies count up.
    pub copy: u32,
    /// The number of copies sent at the same moment.
    pub copies: u32,
    /// The due time since the start of the run, if deliveries are scheduled.
    pub due: Option<Duration>,
    /// The minimum delay after the previous job.
    pub gap: Duration,
}

/// Makes the slots of each call, in the order of calls.
#[derive(Default)]
pub(super) struct Pacer {
    timeline: Timeline,
    /// Deliveries scheduled so far, dropped ones included.
    scheduled: u64,
    dropped: u64,
    /// The rate counts from here: the due time after the last pause, and the deliveries scheduled before it.
    since: (Duration, u64),
}

impl Pacer {
    pub(super) fn scheduled(&self) -> u64 {
        self.scheduled
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The slots of call `n`: for each CDR and method the first delivery, then duplicates. Each CDR has one of `gaps`.
    pub(super) fn slots(
        &mut self,
        plan: &Plan,
        n: u64,
        methods: usize,
        gaps: impl Iterator<Item = Duration>,
    ) -> Vec<Slot> {
        let options = plan.schedule;
        let at_speed = |span: Duration| {
            let seconds = span.as_secs_f64() / options.speed?;
            Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        };
        let recorded = self.recorded(plan, n).and_then(at_speed);
        let mut rng = (options.drop > 0.0).then(|| options.seed.rng(Stream::Drop, n));
        let duplicates = (0..options.duplicate).map(|copy| (options.race + copy, 1));
        let first = std::iter::once((0, options.race));
        let copies: Vec<_> = first.chain(duplicates).collect();
        let keeps_gaps = options.rate.is_none() && options.late.is_some();
        let mut slots = Vec::new();
        let mut since_first = Duration::ZERO;
        for (cdr, gap) in gaps.enumerate() {
            let mut gap = at_speed(gap).unwrap_or_default();
            since_first = since_first.saturating_add(gap);
            let not_before = recorded.or(keeps_gaps.then_some(since_first));
            let mut drops = vec![false; copies.len()];
            for method in 0..methods {
                for (&(copy, copies), drop) in copies.iter().zip(&mut drops) {
                    let due = self.due(options.rate, not_before, copies);
                    // With --compare POST and GET are dropped together.
                    if let Some(rng) = rng.as_mut().filter(|_| method == 0 || !plan.compare) {
                        *drop = rng.random_bool(options.drop);
                    }
                    if *drop {
                        self.dropped += u64::from(copies);
                        continue;
                    }
                    slots.push(Slot {
                        call: n,
                        cdr,
                        method,
                        copy,
                        copies,
                        due,
                        gap: std::mem::take(&mut gap),
                    });
                }
            }
        }
        slots
    }

    /// The capture time of call `n`, relative to the first request of the capture.
    fn recorded(&mut self, plan: &Plan, n: u64) -> Option<Duration> {
        let Content::File(items) = &plan.content else {
            return None;
        };
        let place = usize::try_from(n).ok()? % items.len();
        if place == 0 {
            self.timeline.next_round();
        }
        self.timeline.place(match &items[place] {
            Item::Captured(_, captured) => captured.at,
            Item::Body(_) => None,
        })
    }

    /// Counts the next delivery and its copies; returns the due time by the rate, but no earlier than `not_before`.
    fn due(
        &mut self,
        rate: Option<f64>,
        not_before: Option<Duration>,
        copies: u32,
    ) -> Option<Duration> {
        let before = self.scheduled;
        self.scheduled += u64::from(copies);
        let Some(rate) = rate else {
            return not_before;
        };
        let (since, scheduled) = self.since;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a run has fewer than 2^53 deliveries"
        )]
        let after = (before - scheduled) as f64 / rate;
        let by_rate = since.saturating_add(Duration::from_secs_f64(after));
        Some(match not_before {
            // The rate restarts after a pause, so that deliveries do not catch up in a burst.
            Some(not_before) if not_before > by_rate => {
                self.since = (not_before, before);
                not_before
            }
            _ => by_rate,
        })
    }
}
