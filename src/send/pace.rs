//! Computes the slots of each call with their due times, from the rate, the gaps of scenarios and captures, duplicates,
//! races and drops. [`schedule`](super::schedule) reorders the slots.

use std::time::Duration;

use rand::RngExt as _;

use super::replay::Timeline;
use super::{Content, Plan};
use crate::input::Item;
use crate::seed::Stream;

/// A job's place in the schedule: a request that carries a CDR, or several copies of the request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    pub call: u64,
    pub cdr: usize,
    pub method: usize,
    /// The copy number of a delivery: 0 for the first delivery of a CDR, then one more for each duplicate or race copy.
    pub copy: u32,
    pub copies: u32,
    /// The due time of a scheduled job since the start of the run.
    pub due: Option<Duration>,
    /// The minimum delay between the previous job of the call and this job.
    pub gap: Duration,
}

#[derive(Default)]
pub(super) struct Pacer {
    timeline: Timeline,
    /// The number of deliveries scheduled so far, dropped deliveries included.
    pub(super) scheduled: u64,
    pub(super) dropped: u64,
    /// The origin from which due times by rate count: the due time after the last pause, and the number of deliveries
    /// scheduled before that pause.
    since: (Duration, u64),
}

impl Pacer {
    /// The slots of call `n`: for each CDR and method the first delivery, then duplicates. `gaps` holds one gap per
    /// CDR.
    pub(super) fn slots(
        &mut self,
        plan: &Plan,
        n: u64,
        methods: usize,
        gaps: impl Iterator<Item = Duration>,
    ) -> Vec<Slot> {
        let options = plan.schedule;
        let at_speed = |span: Duration| options.at_speed(span);
        let recorded = self.recorded(plan, n).and_then(at_speed);
        let mut rng = (options.drop > 0.0).then(|| plan.seed.rng(Stream::Drop, n));
        let duplicates = (0..options.duplicate).map(|copy| (options.race + copy, 1));
        let copies = std::iter::once((0, options.race)).chain(duplicates);
        let keeps_gaps = options.rate.is_none() && options.late.is_some();
        let mut slots = Vec::new();
        let mut since_first = Duration::ZERO;
        for (cdr, gap) in gaps.enumerate() {
            let mut gap = at_speed(gap).unwrap_or_default();
            since_first = since_first.saturating_add(gap);
            let not_before = recorded.or(keeps_gaps.then_some(since_first));
            let mut drops = vec![false; copies.clone().count()];
            for method in 0..methods {
                for ((copy, copies), drop) in copies.clone().zip(&mut drops) {
                    let due = self.due(options.rate, not_before, copies);
                    // With `--compare`, the POST and the GET of a CDR are dropped together.
                    let draws = method == 0 || !plan.expectation.compare;
                    if let Some(rng) = rng.as_mut().filter(|_| draws) {
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

    /// Counts the next delivery and its copies, and returns the delivery's due time by the rate, but no earlier than
    /// `not_before`.
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
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 deliveries")]
        let after = (before - scheduled) as f64 / rate;
        let by_rate = since.saturating_add(Duration::from_secs_f64(after));
        Some(match not_before {
            // The rate restarts after a pause in the capture, so that deliveries do not catch up in a burst.
            Some(not_before) if not_before > by_rate => {
                self.since = (not_before, before);
                not_before
            }
            _ => by_rate,
        })
    }
}
