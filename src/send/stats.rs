//! Counts deliveries and makes the summary of a run, in constant memory.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::event::{Bucket, Delivery, LatencySummary, Summary};
use crate::error::Exit;

/// The number of buckets of equal width in the displayed latency histogram. One more bucket holds the latencies above
/// p99.
const BUCKETS: u64 = 10;

#[derive(Debug)]
pub struct Stats {
    counts: Summary,
    latency: Histogram<u64>,
    lateness: Histogram<u64>,
}

impl Default for Stats {
    fn default() -> Self {
        // The values of the histogram are microseconds, exact to three digits; the histogram resizes itself.
        let histogram =
            || Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are allowed"));
        Self {
            counts: Summary::default(),
            latency: histogram(),
            lateness: histogram(),
        }
    }
}

impl Stats {
    pub fn count(&mut self, delivery: &Delivery) {
        let counts = &mut self.counts;
        counts.deliveries += 1;
        counts.ok += u64::from(delivery.ok);
        counts.failed += u64::from(!delivery.ok);
        if let Some(late) = delivery.late {
            record(&mut self.lateness, late);
        }
        let Some(last) = delivery.last() else { return };
        if let Some(status) = last.status {
            *counts.by_status.entry(status).or_default() += 1;
            record(&mut self.latency, last.latency);
        }
        if let Some(failure) = &last.failure {
            *counts.by_failure.entry(failure.kind).or_default() += 1;
        }
    }

    /// Returns the summary of a run that was not stopped.
    pub fn summary(self, elapsed: Duration) -> Summary {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 deliveries")]
        let rate = self.counts.deliveries as f64 / elapsed.as_secs_f64().max(1e-6);
        Summary {
            requests_per_s: (rate * 10.0).round() / 10.0,
            latency_ms: latency_summary(&self.latency),
            lateness_ms: latency_summary(&self.lateness),
            elapsed,
            exit: match self.counts.failed {
                0 => Exit::Success,
                _ => Exit::Failed,
            },
            buckets: buckets(&self.latency),
            ..self.counts
        }
    }
}

/// Records a duration in microseconds, capped at an hour to bound the histogram's size.
fn record(histogram: &mut Histogram<u64>, span: Duration) {
    const MAX: u64 = 3_600_000_000;
    let micros = u64::try_from(span.as_micros()).unwrap_or(MAX).min(MAX);
    let _ = histogram.record(micros);
}

fn latency_summary(histogram: &Histogram<u64>) -> Option<LatencySummary> {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a run fit 2^53")]
    let ms = |micros: u64| micros as f64 / 1e3;
    (!histogram.is_empty()).then(|| LatencySummary {
        min: ms(histogram.min()),
        mean: histogram.mean().round() / 1e3,
        p50: ms(histogram.value_at_quantile(0.5).min(histogram.max())),
        p90: ms(histogram.value_at_quantile(0.9).min(histogram.max())),
        p99: ms(histogram.value_at_quantile(0.99).min(histogram.max())),
        max: ms(histogram.max()),
    })
}

fn buckets(histogram: &Histogram<u64>) -> Vec<Bucket> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let from = histogram.min();
    let to = histogram.value_at_quantile(0.99).max(from + 1);
    let step = (to - from).div_ceil(BUCKETS).max(1);
    let ends = (1..=BUCKETS).map(|n| from + n * step);
    let above = Some(histogram.max()).filter(|max| *max > from + BUCKETS * step);
    let bucket = |end| Bucket {
        up_to: Duration::from_micros(end),
        count: 0,
    };
    let mut buckets: Vec<Bucket> = ends.chain(above).map(bucket).collect();
    for value in histogram.iter_recorded() {
        let time = Duration::from_micros(value.value_iterated_to());
        let place = buckets.iter().position(|bucket| time <= bucket.up_to);
        let place = place.unwrap_or(buckets.len() - 1);
        buckets[place].count += value.count_since_last_iteration();
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::send::event::Attempt;
    use std::collections::BTreeMap;

    fn delivery(ms: u64, ok: bool) -> Delivery {
        Delivery {
            n: 1,
            call: 1,
            scenario: "file",
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
        let mut stats = Stats::default();
        (1..=100).for_each(|ms| stats.count(&delivery(ms, ms != 100)));
        let summary = stats.summary(Duration::from_secs(2));
        assert_eq!(summary.exit, Exit::Failed);
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
        assert_eq!(
            summary
                .buckets
                .iter()
                .map(|bucket| bucket.count)
                .sum::<u64>(),
            100
        );
    }

    #[test]
    fn nothing_measured_is_nothing_said() {
        let summary = Stats::default().summary(Duration::ZERO);
        assert_eq!(
            (
                summary.latency_ms,
                summary.lateness_ms,
                summary.buckets.len()
            ),
            (None, None, 0)
        );
    }
}
