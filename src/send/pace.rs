//! When each request leaves and how often: rate, gaps, duplicates, races, reordering, losses. Pure: an iterator of
//! batches with due times, which somebody else waits for.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::source::Outline;
use crate::seed::{Purpose, Seed};

/// When something of a call leaves, and what: one delivery, or the copies of a race. Nothing of it is made yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// When it should leave, since the start of the run, if there is a schedule.
    pub due: Option<Duration>,
    /// How long after the turn before it, at the least.
    pub gap: Duration,
    /// The number of its first delivery, from one.
    pub n: u64,
    /// Which CDR of the call it is, from zero.
    pub cdr: usize,
    /// Which of the methods carries it, from zero.
    pub method: usize,
    /// Which copy the first delivery is.
    pub copy: u32,
    /// How many deliveries leave.
    pub count: u32,
}

/// Turns of one call that follow one another, each when the one before has been answered: usually all that the call has.
/// Batches are independent of one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The call.
    pub call: Outline,
    /// The turns, in order.
    pub turns: Vec<Turn>,
}

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
        Self {
            rate: None,
            speed: None,
            duplicate: 0,
            race: 1,
            shuffle: false,
            late: None,
            drop: 0.0,
            seed,
        }
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

/// The batches of a run. Whoever takes one takes it alone, so nothing is done here but what has to be done in order.
pub struct Schedule<I> {
    calls: I,
    rules: Rules,
    ready: VecDeque<(Outline, Option<Turn>)>,
    windows: u64,
    /// Deliveries numbered so far.
    numbered: u64,
    /// Deliveries scheduled so far, whether or not they were dropped or reordered.
    scheduled: u64,
    /// Since when the rate has been kept without a pause, and how many deliveries had been scheduled then.
    since: (Duration, u64),
    dropped: u64,
}

impl<I: Iterator<Item = Outline>> Schedule<I> {
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

    /// The turns of one call: for each CDR and method the first delivery, then its duplicates.
    fn turns(&mut self, call: &Outline) -> Vec<Turn> {
        let rules = self.rules;
        let duplicates = (0..rules.duplicate).map(|copy| (rules.race + copy, 1));
        let copies = std::iter::once((0, rules.race)).chain(duplicates);
        let mut turns =
            Vec::with_capacity(call.cdrs * call.methods * (1 + rules.duplicate as usize));
        let mut chance = (rules.drop > 0.0).then(|| rules.seed.chance(Purpose::Drop, call.n));
        let recorded = call
            .recorded
            .zip(rules.speed)
            .map(|(at, speed)| at_speed(at, speed));
        let mut told_after = Duration::ZERO;
        for cdr in 0..call.cdrs {
            let own_gap = call.gaps.get(cdr).zip(rules.speed);
            let mut gap = own_gap.map_or(Duration::ZERO, |(gap, speed)| at_speed(*gap, speed));
            told_after += gap;
            for method in 0..call.methods {
                for (copy, count) in copies.clone() {
                    let due = self.due(recorded, told_after, count);
                    if chance
                        .as_mut()
                        .is_some_and(|chance| chance.random_bool(rules.drop))
                    {
                        self.dropped += u64::from(count);
                        continue;
                    }
                    turns.push(Turn {
                        due,
                        gap: std::mem::take(&mut gap),
                        n: 0,
                        cdr,
                        method,
                        copy,
                        count,
                    });
                }
            }
        }
        turns
    }

    /// The time the next delivery is due: by the rate, but no sooner than it was recorded; in a reordered run without
    /// either, by the story's own gaps.
    fn due(
        &mut self,
        recorded: Option<Duration>,
        told_after: Duration,
        parcels: u32,
    ) -> Option<Duration> {
        let before = self.scheduled;
        self.scheduled += u64::from(parcels);
        let Some(rate) = self.rules.rate else {
            return recorded.or_else(|| self.rules.late.map(|_| told_after));
        };
        let (since, scheduled) = self.since;
        // Exact up to 2^53 deliveries.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a run has fewer than 2^53 deliveries"
        )]
        let by_rate =
            since.saturating_add(Duration::from_secs_f64((before - scheduled) as f64 / rate));
        Some(match recorded {
            // After a pause the rate starts anew: what it would have allowed meanwhile must not come all at once.
            Some(recorded) if recorded > by_rate => {
                self.since = (recorded, before);
                recorded
            }
            _ => by_rate,
        })
    }

    /// Takes the calls of the next window and scatters their turns.
    fn fill(&mut self) {
        let mut window = Vec::new();
        // What is dropped counts as well: where nearly everything is, a window must end all the same.
        let end = self.scheduled + WINDOW;
        let mut last = None;
        while self.scheduled < end {
            let Some(mut call) = self.calls.next() else {
                break;
            };
            let turns = self.turns(&call);
            call.gaps.clear();
            window.extend(turns.into_iter().map(|turn| {
                (
                    call.clone(),
                    Turn {
                        gap: Duration::ZERO,
                        ..turn
                    },
                )
            }));
            last = Some(call);
        }
        if window.is_empty() {
            // A window without a delivery is not the end of the run.
            self.ready.extend(last.map(|call| (call, None)));
        }
        if self.rules.shuffle {
            let dues: Vec<_> = window.iter().map(|(_, turn)| turn.due).collect();
            window.shuffle(&mut self.rules.seed.chance(Purpose::Shuffle, self.windows));
            // The order is shuffled, the rhythm is not.
            window
                .iter_mut()
                .zip(dues)
                .for_each(|((_, turn), due)| turn.due = due);
        }
        if let Some(most) = self.rules.late {
            let mut chance = self.rules.seed.chance(Purpose::Late, self.windows);
            for (_, turn) in &mut window {
                let held = most.mul_f64(chance.random_range(0.0..=1.0));
                turn.due = turn.due.map(|due| due.saturating_add(held));
            }
            window.sort_by_key(|(_, turn)| turn.due);
        }
        self.windows += 1;
        self.ready
            .extend(window.into_iter().map(|(call, turn)| (call, Some(turn))));
    }

    /// The next turn of a reordered run, or of a window without one.
    fn scattered(&mut self) -> Option<Batch> {
        if self.ready.is_empty() {
            self.fill();
        }
        let (call, turn) = self.ready.pop_front()?;
        Some(Batch {
            call,
            turns: turn.into_iter().collect(),
        })
    }
}

/// A span that passes at some speed. What is too long to be told apart from for ever becomes that.
fn at_speed(span: Duration, speed: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() / speed).unwrap_or(Duration::MAX)
}

impl<I: Iterator<Item = Outline>> Iterator for Schedule<I> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let mut batch = if self.rules.reorders() {
            self.scattered()?
        } else {
            let call = self.calls.next()?;
            let turns = self.turns(&call);
            Batch { call, turns }
        };
        for turn in &mut batch.turns {
            turn.n = self.numbered + 1;
            self.numbered += u64::from(turn.count);
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::source::Matter;

    /// Calls of two CDRs each, a second apart.
    fn calls(count: u64) -> impl Iterator<Item = Outline> {
        let gaps = vec![Duration::ZERO, Duration::from_secs(1)];
        let call = move |n| Outline {
            n,
            matter: Matter::Item(0),
            cdrs: 2,
            methods: 1,
            gaps: gaps.clone(),
            recorded: None,
        };
        (0..count).map(call)
    }

    fn plain() -> Rules {
        Rules::plain(Seed(7))
    }

    /// `call, leg ×deliveries @due` of every turn, a batch a word.
    fn drawn(count: u64, rules: Rules) -> String {
        let turn = |call: &Outline, turn: &Turn| {
            let due = turn
                .due
                .map_or(String::new(), |due| format!("@{}ms", due.as_millis()));
            let times = if turn.count > 1 {
                format!("x{}", turn.count)
            } else {
                String::new()
            };
            format!("{}{}{times}{due}", call.n, ["b", "a"][turn.cdr])
        };
        let batches = Schedule::new(calls(count), rules).map(|Batch { call, turns }| {
            turns
                .iter()
                .map(|one| turn(&call, one))
                .collect::<Vec<_>>()
                .join(",")
        });
        batches.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_rule_does_what_it_says() {
        assert_eq!(drawn(2, plain()), "0b,0a 1b,1a");
        assert_eq!(
            drawn(
                2,
                Rules {
                    rate: Some(10.0),
                    ..plain()
                }
            ),
            "0b@0ms,0a@100ms 1b@200ms,1a@300ms"
        );
        assert_eq!(
            drawn(
                1,
                Rules {
                    duplicate: 1,
                    ..plain()
                }
            ),
            "0b,0b,0a,0a"
        );
        assert_eq!(drawn(1, Rules { race: 3, ..plain() }), "0bx3,0ax3");
    }

    #[test]
    fn gaps_follow_the_speed() {
        let gaps = |speed| {
            Schedule::new(calls(1), Rules { speed, ..plain() })
                .next()
                .unwrap()
                .turns[1]
                .gap
        };
        assert_eq!(gaps(None), Duration::ZERO);
        assert_eq!(gaps(Some(1.0)), Duration::from_secs(1));
        assert_eq!(gaps(Some(10.0)), Duration::from_millis(100));
    }

    #[test]
    fn mischief_is_seeded() {
        let shuffled = Rules {
            shuffle: true,
            ..plain()
        };
        insta::assert_snapshot!(drawn(4, shuffled), @"3b 2b 2a 1b 3a 1a 0b 0a");
        insta::assert_snapshot!(drawn(3, Rules { late: Some(Duration::from_secs(2)), ..plain() }), @"0b@864ms 1a@877ms 2b@909ms 2a@982ms 1b@1177ms 0a@1251ms");
        insta::assert_snapshot!(drawn(6, Rules { drop: 0.3, ..plain() }), @"0b 1a 2a 3b,3a 4b,4a 5a");
        assert_ne!(
            drawn(4, shuffled),
            drawn(
                4,
                Rules {
                    seed: Seed(8),
                    ..shuffled
                }
            )
        );
    }

    #[test]
    fn nothing_is_lost_or_made_up_by_reordering() {
        let rules = Rules {
            shuffle: true,
            duplicate: 1,
            rate: Some(1_000.0),
            ..plain()
        };
        let batches = Schedule::new(calls(2_500), rules);
        let turns = batches
            .flat_map(|Batch { call, turns }| turns.into_iter().map(move |turn| (call.n, turn)));
        let mut turns: Vec<_> = turns.collect();
        assert!((1..=10_000).eq(turns.iter().map(|(_, turn)| turn.n)));
        turns.sort_by_key(|(call, turn)| (*call, turn.cdr, turn.copy));
        turns.dedup_by_key(|(call, turn)| (*call, turn.cdr, turn.copy));
        assert_eq!(turns.len(), 10_000);
    }

    #[test]
    fn a_window_holds_as_many_deliveries_however_many_copies_there_are() {
        for (duplicate, race) in [(0, 1), (1_000, 1), (3, 200)] {
            let rules = Rules {
                shuffle: true,
                duplicate,
                race,
                ..plain()
            };
            let mut schedule = Schedule::new(calls(100_000), rules);
            schedule.next();
            let held: u32 = schedule
                .ready
                .iter()
                .flat_map(|(_, turn)| turn)
                .map(|turn| turn.count)
                .sum();
            assert!((3_000..7_000).contains(&held), "{held}");
        }
    }

    #[test]
    fn a_window_that_is_dropped_is_not_the_end() {
        let rules = Rules {
            shuffle: true,
            drop: 1.0,
            ..plain()
        };
        let mut schedule = Schedule::new(calls(10_000), rules);
        let left = schedule.by_ref().flat_map(|batch| batch.turns).count();
        assert_eq!((left, schedule.dropped()), (0, 20_000));
    }

    #[test]
    fn what_is_dropped_is_counted() {
        let mut schedule = Schedule::new(
            calls(500),
            Rules {
                drop: 0.5,
                ..plain()
            },
        );
        let left = schedule.by_ref().flat_map(|batch| batch.turns).count() as u64;
        assert_eq!(left + schedule.dropped(), 1_000);
        assert!((300..700).contains(&left));
    }
}
