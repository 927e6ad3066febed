//! When each request leaves and how often: rate, gaps, duplicates, races, reordering, losses. Pure: an iterator of
//! batches with due times, which somebody else waits for.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::source::{Call, Origin, Scenario};
use crate::cdr::text::CdrText;
use crate::seed::{Purpose, Seed};
use crate::wire::Request;

/// One delivery to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// Its number, from one, in the order of leaving.
    pub n: u64,
    /// The number of its call, from one.
    pub call: u64,
    /// What it tells of.
    pub scenario: Scenario,
    /// Zero for the first delivery of a CDR, then counting its copies.
    pub copy: u32,
    /// The CDR, if it is an object.
    pub cdr: Option<CdrText>,
    /// What is sent.
    pub request: Request,
    /// Where that comes from.
    pub origin: Origin,
}

/// Parcels that leave together: one, or the copies of a race.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When it should leave, since the start of the run, if there is a schedule.
    pub due: Option<Duration>,
    /// How long after the step before it, at the least.
    pub gap: Duration,
    /// What leaves.
    pub parcels: Vec<Parcel>,
}

/// Steps that leave one after another, each when the one before has been answered: usually the CDRs of one call.
/// Batches are independent of one another.
pub type Batch = Vec<Step>;

/// How deliveries are spread over time and multiplied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Deliveries a second, if they are paced.
    pub rate: Option<f64>,
    /// How fast a story's own gaps pass, and a capture's: 1 is real time, none is no gap at all.
    pub speed: Option<f64>,
    /// How many more times each CDR is sent.
    pub duplicate: u32,
    /// How many copies of each CDR are released together; one is no race.
    pub race: u32,
    /// Whether deliveries leave in random order.
    pub shuffle: bool,
    /// How long a delivery may be held back.
    pub late: Option<Duration>,
    /// How likely a delivery is left out, 0 to 1.
    pub drop: f64,
    /// Where chance comes from.
    pub seed: Seed,
}

impl Rules {
    /// No pace and no mischief: each CDR once, as fast as the handler answers.
    #[must_use]
    pub fn plain(seed: Seed) -> Self {
        Self { rate: None, speed: None, duplicate: 0, race: 1, shuffle: false, late: None, drop: 0.0, seed }
    }

    /// Whether deliveries leave in another order than they were told.
    fn reorders(&self) -> bool {
        self.shuffle || self.late.is_some()
    }

    /// How many deliveries one request of a call makes.
    #[must_use]
    pub fn copies(&self) -> u64 {
        u64::from(self.race) + u64::from(self.duplicate)
    }
}

/// About how many deliveries are held at once to be reordered: memory grows neither with the run nor with the copies.
const WINDOW: u64 = 4_000;

/// The batches of a run.
pub struct Schedule<I> {
    calls: I,
    rules: Rules,
    ready: VecDeque<Batch>,
    windows: u64,
    /// Deliveries numbered so far.
    numbered: u64,
    /// Deliveries scheduled so far, whether or not they were dropped or reordered.
    scheduled: u64,
    /// Since when the rate has been kept without a pause, and how many deliveries had been scheduled then.
    since: (Duration, u64),
    dropped: u64,
}

impl<I: Iterator<Item = Call>> Schedule<I> {
    /// Schedules calls by the rules.
    pub fn new(calls: I, rules: Rules) -> Self {
        Self {
            calls,
            rules,
            ready: VecDeque::new(),
            windows: 0,
            numbered: 0,
            scheduled: 0,
            since: (Duration::ZERO, 0),
            dropped: 0,
        }
    }

    /// How many deliveries have been left out on purpose so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The steps of one call: for each CDR and method the first delivery, then its duplicates.
    fn steps(&mut self, call: Call) -> Batch {
        let rules = self.rules;
        let mut batch = Batch::new();
        let mut chance = (rules.drop > 0.0).then(|| rules.seed.chance(Purpose::Drop, call.n));
        let recorded = call.recorded.zip(rules.speed).map(|(at, speed)| at_speed(at, speed));
        let mut told_after = Duration::ZERO;
        for mail in call.mail {
            let gap = rules.speed.map_or(Duration::ZERO, |speed| at_speed(mail.gap, speed));
            told_after += gap;
            let mut gap = gap;
            for request in mail.requests {
                let duplicates = (0..rules.duplicate).map(|copy| (rules.race + copy, 1));
                // The last of them takes the request itself.
                let mut requests =
                    std::iter::repeat_n(request, rules.race as usize + rules.duplicate as usize);
                for (first, count) in std::iter::once((0, rules.race)).chain(duplicates) {
                    let due = self.due(recorded, told_after, count);
                    if chance.as_mut().is_some_and(|chance| chance.random_bool(rules.drop)) {
                        self.dropped += u64::from(count);
                        continue;
                    }
                    let parcel = |(copy, request)| Parcel {
                        n: 0,
                        call: call.n + 1,
                        scenario: call.scenario,
                        copy,
                        cdr: mail.cdr.clone(),
                        request,
                        origin: mail.origin,
                    };
                    let parcels = (first..first + count).zip(requests.by_ref()).map(parcel).collect();
                    batch.push(Step { due, gap: std::mem::take(&mut gap), parcels });
                }
            }
        }
        batch
    }

    /// The time the next delivery is due: by the rate, but no sooner than it was recorded; in a reordered run without
    /// either, by the story's own gaps.
    fn due(&mut self, recorded: Option<Duration>, told_after: Duration, parcels: u32) -> Option<Duration> {
        let before = self.scheduled;
        self.scheduled += u64::from(parcels);
        let Some(rate) = self.rules.rate else {
            return recorded.or_else(|| self.rules.late.map(|_| told_after));
        };
        let (since, scheduled) = self.since;
        // Exact up to 2^53 deliveries.
        #[expect(clippy::cast_precision_loss, reason = "a run has fewer than 2^53 deliveries")]
        let by_rate = since.saturating_add(Duration::from_secs_f64((before - scheduled) as f64 / rate));
        Some(match recorded {
            // After a pause the rate starts anew: what it would have allowed meanwhile must not come all at once.
            Some(recorded) if recorded > by_rate => {
                self.since = (recorded, before);
                recorded
            }
            _ => by_rate,
        })
    }

    /// Takes the calls of the next window and scatters their steps.
    fn fill(&mut self) {
        let mut steps = Vec::new();
        // What is dropped counts as well: where nearly everything is, a window must end all the same.
        let end = self.scheduled + WINDOW;
        let mut any = false;
        while self.scheduled < end {
            let Some(call) = self.calls.next() else { break };
            any = true;
            steps.extend(self.steps(call));
        }
        if any && steps.is_empty() {
            // A window without a delivery is not the end of the run.
            self.ready.push_back(Batch::new());
        }
        if self.rules.shuffle {
            let dues: Vec<_> = steps.iter().map(|step| step.due).collect();
            steps.shuffle(&mut self.rules.seed.chance(Purpose::Shuffle, self.windows));
            // The order is shuffled, the rhythm is not.
            steps.iter_mut().zip(dues).for_each(|(step, due)| step.due = due);
        }
        if let Some(most) = self.rules.late {
            let mut chance = self.rules.seed.chance(Purpose::Late, self.windows);
            for step in &mut steps {
                let held = most.mul_f64(chance.random_range(0.0..=1.0));
                step.due = step.due.map(|due| due.saturating_add(held));
            }
            steps.sort_by_key(|step| step.due);
        }
        self.windows += 1;
        self.ready.extend(steps.into_iter().map(|step| vec![Step { gap: Duration::ZERO, ..step }]));
    }
}

/// A span that passes at some speed. What is too long to be told apart from for ever becomes that.
fn at_speed(span: Duration, speed: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() / speed).unwrap_or(Duration::MAX)
}

impl<I: Iterator<Item = Call>> Iterator for Schedule<I> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let mut batch = if self.rules.reorders() {
            if self.ready.is_empty() {
                self.fill();
            }
            self.ready.pop_front()?
        } else {
            let call = self.calls.next()?;
            self.steps(call)
        };
        for parcel in batch.iter_mut().flat_map(|step| &mut step.parcels) {
            self.numbered += 1;
            parcel.n = self.numbered;
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::source::Mail;

    /// Calls of two CDRs each, a second apart.
    fn calls(count: u64) -> impl Iterator<Item = Call> {
        let mail = |n: u64, leg: &str| Mail {
            gap: if leg == "a" { Duration::from_secs(1) } else { Duration::ZERO },
            cdr: None,
            requests: vec![Request::new("POST", format!("/{n}{leg}"), vec![], "")],
            origin: Origin::Made,
        };
        let call = move |n| Call {
            n,
            scenario: Scenario::File,
            recorded: None,
            mail: vec![mail(n, "b"), mail(n, "a")],
        };
        (0..count).map(call)
    }

    fn plain() -> Rules {
        Rules::plain(Seed(7))
    }

    /// `target×parcels@due` of every step, a batch a word.
    fn drawn(count: u64, rules: Rules) -> String {
        let step = |step: &Step| {
            let due = step.due.map_or(String::new(), |due| format!("@{}ms", due.as_millis()));
            let times =
                if step.parcels.len() > 1 { format!("x{}", step.parcels.len()) } else { String::new() };
            format!("{}{times}{due}", &step.parcels[0].request.target[1..])
        };
        let batches = Schedule::new(calls(count), rules)
            .map(|batch| batch.iter().map(step).collect::<Vec<_>>().join(","));
        batches.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_rule_does_what_it_says() {
        assert_eq!(drawn(2, plain()), "0b,0a 1b,1a");
        assert_eq!(drawn(2, Rules { rate: Some(10.0), ..plain() }), "0b@0ms,0a@100ms 1b@200ms,1a@300ms");
        assert_eq!(drawn(1, Rules { duplicate: 1, ..plain() }), "0b,0b,0a,0a");
        assert_eq!(drawn(1, Rules { race: 3, ..plain() }), "0bx3,0ax3");
    }

    #[test]
    fn gaps_follow_the_speed() {
        let gaps = |speed| Schedule::new(calls(1), Rules { speed, ..plain() }).next().unwrap()[1].gap;
        assert_eq!(gaps(None), Duration::ZERO);
        assert_eq!(gaps(Some(1.0)), Duration::from_secs(1));
        assert_eq!(gaps(Some(10.0)), Duration::from_millis(100));
    }

    #[test]
    fn mischief_is_seeded() {
        let shuffled = Rules { shuffle: true, ..plain() };
        insta::assert_snapshot!(drawn(4, shuffled), @"3b 2b 2a 1b 3a 1a 0b 0a");
        insta::assert_snapshot!(drawn(3, Rules { late: Some(Duration::from_secs(2)), ..plain() }), @"0b@864ms 1a@877ms 2b@909ms 2a@982ms 1b@1177ms 0a@1251ms");
        insta::assert_snapshot!(drawn(6, Rules { drop: 0.3, ..plain() }), @"0b 1a 2a 3b,3a 4b,4a 5a");
        assert_ne!(drawn(4, shuffled), drawn(4, Rules { seed: Seed(8), ..shuffled }));
    }

    #[test]
    fn nothing_is_lost_or_made_up_by_reordering() {
        let rules = Rules { shuffle: true, duplicate: 1, rate: Some(1_000.0), ..plain() };
        let mut parcels: Vec<_> =
            Schedule::new(calls(2_500), rules).flatten().flat_map(|step| step.parcels).collect();
        assert_eq!(
            parcels.iter().map(|parcel| parcel.n).collect::<Vec<_>>(),
            (1..=10_000).collect::<Vec<_>>()
        );
        parcels.sort_by(|a, b| (&a.request.target, a.copy).cmp(&(&b.request.target, b.copy)));
        parcels.dedup_by(|a, b| (&a.request.target, a.copy) == (&b.request.target, b.copy));
        assert_eq!(parcels.len(), 10_000);
    }

    #[test]
    fn a_window_holds_as_many_deliveries_however_many_copies_there_are() {
        for (duplicate, race) in [(0, 1), (1_000, 1), (3, 200)] {
            let rules = Rules { shuffle: true, duplicate, race, ..plain() };
            let mut schedule = Schedule::new(calls(100_000), rules);
            schedule.next();
            let held: usize = schedule.ready.iter().flatten().map(|step| step.parcels.len()).sum();
            assert!((3_000..7_000).contains(&held), "{held}");
        }
    }

    #[test]
    fn a_window_that_is_dropped_is_not_the_end() {
        let rules = Rules { shuffle: true, drop: 1.0, ..plain() };
        let mut schedule = Schedule::new(calls(10_000), rules);
        assert_eq!((schedule.by_ref().flatten().count(), schedule.dropped()), (0, 20_000));
    }

    #[test]
    fn what_is_dropped_is_counted() {
        let mut schedule = Schedule::new(calls(500), Rules { drop: 0.5, ..plain() });
        let left = schedule.by_ref().flatten().count() as u64;
        assert_eq!(left + schedule.dropped(), 1_000);
        assert!((300..700).contains(&left));
    }
}
