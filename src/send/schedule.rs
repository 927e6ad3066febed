//! The schedule of a `send` run: an iterator of jobs in sending order, with their due times. The iterator neither waits
//! nor does I/O.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::ArgPredicate;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::pace::{Pacer, Slot};
use super::template::{CdrSource, PreparedCdr};
use super::{Content, Origin, Plan};
use crate::cdr::CdrText;
use crate::cdr::scenarios::{self, GeneratedCdr};
use crate::net::Request;
use crate::parse;
use crate::seed::Stream;

#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The number of the job's first delivery in sending order, from one.
    pub n: u64,
    pub slot: Slot,
    /// The name of the job's scenario, or `file`.
    pub scenario: &'static str,
    pub cdr: Option<CdrText>,
    pub request: Arc<Request>,
    pub origin: Origin,
}

impl Job {
    pub fn each_copy(self) -> impl Iterator<Item = Self> {
        (0..self.slot.copies).map(move |more| Self {
            n: self.n + u64::from(more),
            slot: Slot {
                copy: self.slot.copy + more,
                copies: 1,
                ..self.slot
            },
            ..self.clone()
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, clap::Args)]
pub struct ScheduleOptions {
    /// Number of calls of each scenario, or of times that a file is sent [default: 1]
    #[arg(short = 'n', long, value_name = "N", value_parser = parse::count)]
    pub count: Option<u64>,
    /// Repeat the scenarios or the file for this long, such as 30s or 5m
    #[arg(long, value_name = "D", value_parser = parse::some_time)]
    pub duration: Option<Duration>,
    /// Deliveries per second or minute, on an absolute schedule: 50/s, 300/m; the summary's lateness is the time behind the schedule [default: as fast as they are answered]
    #[arg(long, value_name = "N/s", value_parser = parse::rate)]
    pub rate: Option<f64>,
    /// Number of concurrent calls; --rate needs more than one if answers take longer than its interval
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = parse::whole::<usize, 1, 10_000>)]
    pub concurrency: usize,
    // With the plain name `Option`, clap would take the value for an `f64` that may be left out.
    /// Speed of the pauses in a call or capture: 1 is real time, 10 is ten times as fast, max leaves them out
    #[arg(long, value_name = "X", default_value = "max", default_value_if("retry_schedule", ArgPredicate::IsPresent, "1"), value_parser = parse::speed)]
    pub speed: std::option::Option<f64>,
    /// Send each CDR N more times
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = parse::whole::<u32, 0, 1_000>)]
    pub duplicate: u32,
    /// Send N copies of each CDR at the same moment, each on its own connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse::whole::<u32, 1, 200>)]
    pub race: u32,
    /// Send the deliveries in random order
    #[arg(long)]
    pub shuffle: bool,
    /// Delay each delivery by a random time up to D, such as 500ms, so that some arrive out of order
    #[arg(long, value_name = "D", value_parser = parse::some_time)]
    pub late: Option<Duration>,
    /// Leave out this share of the deliveries at random: 0.1 or 10%
    #[arg(long, value_name = "P", default_value = "0", value_parser = parse::share)]
    pub drop: f64,
}

impl ScheduleOptions {
    /// Returns `None` if the speed leaves out all waits.
    pub(super) fn at_speed(&self, span: Duration) -> Option<Duration> {
        let seconds = span.as_secs_f64() / self.speed?;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    /// The number of times that the scenarios or the file are sent; `None` for an endless run.
    pub fn rounds(&self) -> Option<u64> {
        self.count.or(self.duration.is_none().then_some(1))
    }

    fn reorders(&self) -> bool {
        self.shuffle || self.late.is_some()
    }

    pub fn copies(&self) -> u64 {
        u64::from(self.race) + u64::from(self.duplicate)
    }
}

/// Deliveries are reordered in windows of about this size, which bounds the memory of long runs.
const WINDOW: u64 = 4_000;

/// Yields lists of jobs, usually one list per call. The jobs of a list are sent in order, each after the answer to the
/// previous job. Lists are independent of each other and may be empty.
pub struct Schedule {
    plan: Arc<Plan>,
    calls: u64,
    pacer: Pacer,
    window: VecDeque<Slot>,
    windows: u64,
    numbered: u64,
}

struct Call<'a> {
    scenario: &'static str,
    methods: usize,
    cdrs: Vec<(Duration, CdrSource<'a>)>,
}

impl<'a> Call<'a> {
    fn of(plan: &'a Plan, n: u64) -> Option<Self> {
        let length = match &plan.content {
            Content::Scenarios(choices, _) => choices.len(),
            Content::File(items) => items.len(),
        } as u64;
        let place = usize::try_from(n.checked_rem(length)?).ok()?;
        let rounds = plan.schedule.rounds();
        if rounds.is_some_and(|rounds| n / length >= rounds) {
            return None;
        }
        Some(match &plan.content {
            Content::Scenarios(choices, options) => {
                let (scenario, cdrs) = scenarios::generate(choices[place], n, options);
                let source = |made: GeneratedCdr<'a>| {
                    let source = match made.event {
                        Some(event) => CdrSource::Event(made.cdr, event),
                        None => CdrSource::Generated(made.cdr),
                    };
                    (made.gap, source)
                };
                Self {
                    scenario: scenario.name,
                    methods: plan.template.methods.each().len(),
                    cdrs: cdrs.into_iter().map(source).collect(),
                }
            }
            Content::File(items) => Self {
                scenario: "file",
                methods: plan.methods(&items[place]),
                cdrs: vec![(Duration::ZERO, CdrSource::Item(&items[place]))],
            },
        })
    }
}

impl Schedule {
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            calls: 0,
            pacer: Pacer::default(),
            window: VecDeque::new(),
            windows: 0,
            numbered: 0,
        }
    }

    pub fn dropped(&self) -> u64 {
        self.pacer.dropped
    }

    fn next_call<'a>(&mut self, plan: &'a Plan) -> Option<(Call<'a>, Vec<Slot>)> {
        let call = Call::of(plan, self.calls)?;
        let gaps = call.cdrs.iter().map(|(gap, _)| *gap);
        let slots = self.pacer.slots(plan, self.calls, call.methods, gaps);
        self.calls += 1;
        Some((call, slots))
    }

    /// Fills the window with the slots of the next calls and reorders the slots. Returns false at the end of the
    /// content.
    fn fill_window(&mut self, plan: &Plan) -> bool {
        let options = plan.schedule;
        let mut window = Vec::new();
        // Dropped deliveries count for the size of a window; otherwise a window would not end if nearly all deliveries
        // are dropped.
        let end = self.pacer.scheduled + WINDOW;
        let before = self.calls;
        while self.pacer.scheduled < end {
            let Some((_, slots)) = self.next_call(plan) else {
                break;
            };
            let gap = Duration::ZERO;
            window.extend(slots.into_iter().map(|slot| Slot { gap, ..slot }));
        }
        if options.shuffle {
            let dues: Vec<_> = window.iter().map(|slot| slot.due).collect();
            window.shuffle(&mut plan.seed.rng(Stream::Shuffle, self.windows));
            // Within a window the deliveries are shuffled, and the due times stay in order.
            for (slot, due) in window.iter_mut().zip(dues) {
                slot.due = due;
            }
        }
        if let Some(most) = options.late {
            let mut rng = plan.seed.rng(Stream::Late, self.windows);
            for slot in &mut window {
                let held = most.mul_f64(rng.random_range(0.0..=1.0));
                slot.due = slot.due.map(|due| due.saturating_add(held));
            }
            window.sort_by_key(|slot| slot.due);
        }
        self.windows += 1;
        self.window.extend(window);
        self.calls > before
    }

    fn jobs(&mut self, plan: &Plan, call: &Call<'_>, slots: Vec<Slot>) -> Vec<Job> {
        let mut prepared: Option<(usize, PreparedCdr)> = None;
        let job = |slot: Slot| {
            let known = prepared.take().filter(|(cdr, _)| *cdr == slot.cdr);
            let prepare = || (slot.cdr, plan.template.prepare(&call.cdrs[slot.cdr].1));
            let (_, prepared) = prepared.insert(known.unwrap_or_else(prepare));
            let n = self.numbered + 1;
            self.numbered += u64::from(slot.copies);
            Job {
                n,
                slot,
                scenario: call.scenario,
                cdr: prepared.cdr.clone(),
                request: Arc::clone(&prepared.requests[slot.method]),
                origin: prepared.origin,
            }
        };
        slots.into_iter().map(job).collect()
    }
}

impl Iterator for Schedule {
    type Item = Vec<Job>;

    fn next(&mut self) -> Option<Vec<Job>> {
        let plan = Arc::clone(&self.plan);
        if !plan.schedule.reorders() {
            let (call, slots) = self.next_call(&plan)?;
            return Some(self.jobs(&plan, &call, slots));
        }
        if self.window.is_empty() && !self.fill_window(&plan) {
            return None;
        }
        let Some(slot) = self.window.pop_front() else {
            // A window whose deliveries were all dropped does not end the run, so an empty list is returned.
            return Some(Vec::new());
        };
        let call = Call::of(&plan, slot.call)?;
        Some(self.jobs(&plan, &call, vec![slot]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::send::tests::plan;

    fn plain() -> ScheduleOptions {
        plan("mix", 1).schedule
    }

    fn schedule(calls: u64, options: ScheduleOptions) -> Schedule {
        let plan = Plan {
            schedule: ScheduleOptions {
                count: Some(calls),
                ..options
            },
            ..plan("customer-no-answer", calls)
        };
        Schedule::new(Arc::new(plan))
    }

    /// Writes each job as `<call><leg>x<copies>@<due>`, with commas between the jobs of a list, spaces between lists.
    fn drawn(calls: u64, options: ScheduleOptions) -> String {
        let drawn = |job: &Job| {
            let due = job
                .slot
                .due
                .map_or(String::new(), |due| format!("@{}ms", due.as_millis()));
            let times = if job.slot.copies > 1 {
                format!("x{}", job.slot.copies)
            } else {
                String::new()
            };
            format!("{}{}{times}{due}", job.slot.call, ["b", "a"][job.slot.cdr])
        };
        let lists = schedule(calls, options)
            .map(|jobs| jobs.iter().map(drawn).collect::<Vec<_>>().join(","));
        lists.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_rule_does_what_it_says() {
        assert_eq!(drawn(2, plain()), "0b,0a 1b,1a");
        assert_eq!(
            drawn(
                2,
                ScheduleOptions {
                    rate: Some(10.0),
                    ..plain()
                }
            ),
            "0b@0ms,0a@100ms 1b@200ms,1a@300ms"
        );
        assert_eq!(
            drawn(
                1,
                ScheduleOptions {
                    duplicate: 1,
                    ..plain()
                }
            ),
            "0b,0b,0a,0a"
        );
        assert_eq!(
            drawn(1, ScheduleOptions { race: 3, ..plain() }),
            "0bx3,0ax3"
        );
    }

    #[test]
    fn gaps_follow_the_speed() {
        let gap = |speed| {
            let options = ScheduleOptions { speed, ..plain() };
            schedule(1, options).next().unwrap()[1].slot.gap
        };
        let told = scenarios::generate(scenarios::choices("customer-no-answer")[0], 0, &setting())
            .1[1]
            .gap;
        assert!(told > Duration::from_millis(300));
        assert_eq!(gap(None), Duration::ZERO);
        assert_eq!(gap(Some(1.0)), told);
        assert_eq!(gap(Some(10.0)), told / 10);
    }

    fn setting() -> scenarios::GenerateOptions {
        match plan("mix", 1).content {
            Content::Scenarios(_, setting) => setting,
            Content::File(_) => panic!("a file"),
        }
    }

    #[test]
    fn mischief_is_seeded() {
        let shuffled = ScheduleOptions {
            shuffle: true,
            ..plain()
        };
        insta::assert_snapshot!(drawn(4, shuffled), @"3b 2b 2a 1b 3a 1a 0b 0a");
        insta::assert_snapshot!(drawn(3, ScheduleOptions { late: Some(Duration::from_secs(2)), ..plain() }), @"0b@864ms 1a@877ms 2b@909ms 2a@982ms 1b@1177ms 0a@1251ms");
        insta::assert_snapshot!(drawn(6, ScheduleOptions { drop: 0.3, ..plain() }), @"0b 1a 2a 3b,3a 4b,4a 5a");
        let order = |seed| {
            let mut plan = plan("customer-no-answer", 4);
            (plan.schedule.shuffle, plan.seed) = (true, Seed(seed));
            let jobs = Schedule::new(Arc::new(plan)).flatten();
            jobs.map(|job| (job.slot.call, job.slot.cdr))
                .collect::<Vec<_>>()
        };
        assert_ne!(order(7), order(8));
    }

    #[test]
    fn nothing_is_lost_or_made_up_by_reordering() {
        let options = ScheduleOptions {
            shuffle: true,
            duplicate: 1,
            rate: Some(1_000.0),
            ..plain()
        };
        let mut jobs: Vec<_> = schedule(2_500, options).flatten().collect();
        assert!((1..=10_000).eq(jobs.iter().map(|job| job.n)));
        jobs.sort_by_key(|job| (job.slot.call, job.slot.cdr, job.slot.copy));
        jobs.dedup_by_key(|job| (job.slot.call, job.slot.cdr, job.slot.copy));
        assert_eq!(jobs.len(), 10_000);
    }

    #[test]
    fn a_window_holds_as_many_deliveries_however_many_copies_there_are() {
        for (duplicate, race) in [(0, 1), (1_000, 1), (3, 200)] {
            let options = ScheduleOptions {
                shuffle: true,
                duplicate,
                race,
                ..plain()
            };
            let mut schedule = schedule(100_000, options);
            schedule.next();
            let held: u32 = schedule.window.iter().map(|slot| slot.copies).sum();
            assert!((3_000..7_000).contains(&held), "{held}");
        }
    }

    #[test]
    fn a_window_that_is_dropped_is_not_the_end() {
        let options = ScheduleOptions {
            shuffle: true,
            drop: 1.0,
            ..plain()
        };
        let mut schedule = schedule(10_000, options);
        let left = schedule.by_ref().flatten().count();
        assert_eq!((left, schedule.dropped()), (0, 20_000));
    }

    #[test]
    fn what_is_dropped_is_counted() {
        let options = ScheduleOptions {
            drop: 0.5,
            ..plain()
        };
        let mut schedule = schedule(500, options);
        let left = schedule.by_ref().flatten().count() as u64;
        assert_eq!(left + schedule.dropped(), 1_000);
        assert!((300..700).contains(&left));
    }
}
