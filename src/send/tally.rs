//! Deliveries -> summary. Memory does not grow with their number.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::event::{Bar, Delivery, Spread, Summary};
use crate::error::Exit;
use crate::seed::Seed;
use crate::wire::FailureKind;

/// How many equal bars the latency histogram has, besides one for what lies beyond them.
const BARS: usize = 10;

/// What has been counted so far.
#[derive(Debug)]
pub struct Tally {
    ok: u64,
    failed: u64,
    by_status: BTreeMap<u16, u64>,
    by_failure: BTreeMap<FailureKind, u64>,
    latency: Histogram<u64>,
    lateness: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        // Microseconds, three digits exact; it grows to what it meets.
        let histogram =
            || Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are allowed"));
        Self {
            ok: 0,
            failed: 0,
            by_status: BTreeMap::new(),
            by_failure: BTreeMap::new(),
            latency: histogram(),
            lateness: histogram(),
        }
    }
}

impl Tally {
    /// Adds what somebody else has counted.
    pub fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        for (kind, count) in other.by_failure {
            *self.by_failure.entry(kind).or_default() += count;
        }
        // Both grow to what they meet, so the one holds what the other does.
        let _ = self.latency.add(other.latency);
        let _ = self.lateness.add(other.lateness);
    }

    /// Counts one delivery.
    pub fn count(&mut self, delivery: &Delivery) {
        if delivery.ok {
            self.ok += 1;
        } else {
            self.failed += 1;
        }
        if let Some(late) = delivery.late {
            record(&mut self.lateness, late);
        }
        let Some(last) = delivery.last() else { return };
        if let Some(status) = last.status {
            *self.by_status.entry(status).or_default() += 1;
            record(&mut self.latency, last.latency);
        }
        if let Some(failure) = &last.failure {
            *self.by_failure.entry(failure.kind).or_default() += 1;
        }
    }

    /// Whether every delivery met what was expected.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.failed == 0 {
            Exit::Success
        } else {
            Exit::Failed
        }
    }

    /// The summary of a run that took so long.
    #[must_use]
    pub fn summary(
        self,
        elapsed: Duration,
        planned: Option<u64>,
        dropped: u64,
        seed: Seed,
        exit: Exit,
    ) -> Summary {
        let deliveries = self.ok + self.failed;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a run has fewer than 2^53 deliveries"
        )]
        let rate = deliveries as f64 / elapsed.as_secs_f64().max(1e-6);
        Summary {
            deliveries,
            planned,
            ok: self.ok,
            failed: self.failed,
            dropped,
            by_status: self.by_status,
            by_failure: self.by_failure,
            requests_per_s: (rate * 10.0).round() / 10.0,
            latency_ms: spread(&self.latency),
            lateness_ms: spread(&self.lateness),
            elapsed,
            exit,
            bars: bars(&self.latency),
            seed,
        }
    }
}

/// Records a time in microseconds; the histogram grows to hold it, which fails for nothing below an hour.
fn record(histogram: &mut Histogram<u64>, span: Duration) {
    const LONGEST: u64 = 3_600_000_000;
    let micros = u64::try_from(span.as_micros())
        .unwrap_or(LONGEST)
        .min(LONGEST);
    let _ = histogram.record(micros);
}

fn spread(histogram: &Histogram<u64>) -> Option<Spread> {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a run fit 2^53")]
    let ms = |micros: u64| micros as f64 / 1e3;
    (!histogram.is_empty()).then(|| Spread {
        min: ms(histogram.min()),
        mean: histogram.mean().round() / 1e3,
        p50: ms(histogram.value_at_quantile(0.5).min(histogram.max())),
        p90: ms(histogram.value_at_quantile(0.9).min(histogram.max())),
        p99: ms(histogram.value_at_quantile(0.99).min(histogram.max())),
        max: ms(histogram.max()),
    })
}

/// Equal steps from the shortest to the 99th percentile, and one more bar for what lies beyond.
fn bars(histogram: &Histogram<u64>) -> Vec<Bar> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let (from, to) = (
        histogram.min(),
        histogram.value_at_quantile(0.99).max(histogram.min() + 1),
    );
    let step = (to - from).div_ceil(BARS as u64).max(1);
    let mut ends: Vec<u64> = (1..=BARS as u64).map(|i| from + i * step).collect();
    if histogram.max() > ends[BARS - 1] {
        ends.push(histogram.max());
    }
    let mut counts = vec![0_u64; ends.len()];
    for value in histogram.iter_recorded() {
        let micros = value.value_iterated_to();
        let place = ends
            .iter()
            .position(|end| micros <= *end)
            .unwrap_or(ends.len() - 1);
        counts[place] += value.count_since_last_iteration();
    }
    let bar = |(end, count)| Bar {
        up_to: Duration::from_micros(end),
        count,
    };
    ends.into_iter().zip(counts).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::send::event::Attempt;
    use crate::send::source::Scenario;

    fn delivery(ms: u64, ok: bool) -> Delivery {
        Delivery {
            n: 1,
            call: 1,
            scenario: Scenario::File,
            copy: 0,
            method: "POST".into(),
            cdr: None,
            due: None,
            late: None,
            attempts: vec![Attempt {
                at: Timestamp::from_epoch_ms(0).unwrap(),
                latency: Duration::from_millis(ms),
                status: Some(if ok { 200 } else { 500 }),
                failure: None,
                response: None,
            }],
            ok,
            why: None,
        }
    }

    #[test]
    fn a_hundred_deliveries_are_summed_up() {
        let mut tally = Tally::default();
        (1..=100).for_each(|ms| tally.count(&delivery(ms, ms != 100)));
        assert_eq!(tally.exit(), Exit::Failed);
        let summary = tally.summary(Duration::from_secs(2), Some(100), 0, Seed(7), Exit::Failed);
        assert_eq!(
            (summary.deliveries, summary.ok, summary.failed),
            (100, 99, 1)
        );
        assert_eq!(summary.by_status, BTreeMap::from([(200, 99), (500, 1)]));
        assert!((summary.requests_per_s - 50.0).abs() < 0.01);
        let latency = summary.latency_ms.unwrap();
        assert!(
            (latency.p50 - 50.0).abs() < 0.1 && (latency.p99 - 99.0).abs() < 0.1,
            "{latency:?}"
        );
        assert_eq!(summary.bars.iter().map(|bar| bar.count).sum::<u64>(), 100);
    }

    #[test]
    fn nothing_measured_is_nothing_said() {
        let summary = Tally::default().summary(Duration::ZERO, None, 0, Seed(7), Exit::Success);
        assert_eq!(
            (summary.latency_ms, summary.lateness_ms, summary.bars.len()),
            (None, None, 0)
        );
    }
}
