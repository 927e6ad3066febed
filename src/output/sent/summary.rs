//! Renders the summary of `send`: the outcome, the latencies, and their histogram.

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::format_duration;
use crate::error::Exit;
use crate::output::text::{Role, Theme};
use crate::send::event::{LatencySummary, Summary};
use crate::send::expect::status_words;

pub fn summary(summary: &Summary, theme: Theme) -> String {
    let mut out = String::from(if summary.deliveries == 0 { "" } else { "\n" });
    let deliveries = summary.deliveries;
    let (role, outcome) = match (summary.exit, summary.failed) {
        (Exit::Interrupted | Exit::Terminated, _) => {
            let of = summary.planned.map(|planned| format!(" of {planned}"));
            let of = of.unwrap_or_default();
            (Role::Bad, format!("interrupted after {deliveries}{of}"))
        }
        (_, 0) => (Role::Good, format!("{} delivered", summary.ok)),
        (_, failed) => (Role::Bad, format!("{failed} of {deliveries} failed")),
    };
    out += &theme.paint(role, &outcome);
    if summary.dropped > 0 {
        let _ = write!(out, " · {} left out by --drop", summary.dropped);
    }
    let elapsed = format_duration(summary.elapsed);
    let _ = writeln!(out, " · {elapsed} · {:.1}/s", summary.requests_per_s);
    let statuses = summary.by_status.iter();
    let statuses = statuses.map(|(status, count)| (count, status_words(*status)));
    let failures = summary.by_failure.iter();
    let failures = failures.map(|(kind, count)| (count, kind.to_string()));
    for (count, what) in statuses.chain(failures) {
        let _ = writeln!(out, "  {count:>7}  {what}");
    }
    if let Some(latency) = &summary.latency_ms {
        out += &times(latency, summary.lateness_ms.as_ref(), theme);
    }
    out + &histogram(summary, theme)
}

fn times(latency: &LatencySummary, lateness: Option<&LatencySummary>, theme: Theme) -> String {
    let columns = ["min", "mean", "p50", "p90", "p99", "max"];
    let columns = columns.map(|column| theme.paint(Role::Faint, &format!("{column:>8}")));
    let mut out = format!("\n{:<9}{}\n", "", columns.concat());
    for (name, times) in [("latency", Some(latency)), ("lateness", lateness)] {
        let Some(of) = times else { continue };
        let times = [of.min, of.mean, of.p50, of.p90, of.p99, of.max];
        let times = times.map(|ms| format_duration(Duration::from_secs_f64(ms / 1e3)));
        let times = times.map(|time| format!("{time:>8}"));
        let _ = writeln!(out, "{name:<9}{}", times.concat());
    }
    out
}

const MIN_ANSWERS: u64 = 20;

const BAR: u64 = 36;

fn histogram(summary: &Summary, theme: Theme) -> String {
    let counts = || summary.buckets.iter().map(|bucket| bucket.count);
    let most = counts().max().unwrap_or(0).max(1);
    if counts().sum::<u64>() < MIN_ANSWERS {
        return String::new();
    }
    let mut out = String::from("\n");
    for bucket in &summary.buckets {
        let length = usize::try_from((bucket.count * BAR).div_ceil(most)).unwrap_or(0);
        let bar = theme.paint(Role::Number, &format!("{:<36}", "█".repeat(length)));
        let up_to = format_duration(bucket.up_to);
        let _ = writeln!(out, "{up_to:>9} {bar} {}", bucket.count);
    }
    out
}
