//! The output of `send` for people: a line for each delivery, a summary, and hints.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::body;
use super::theme::{Role, Theme};
use super::wrap::{indented, plural};
use crate::clock::format_duration;
use crate::error::Exit;
use crate::net::{FailureKind, Phase, header};
use crate::send::event::{Attempt, Delivery, LatencySummary, Summary};
use crate::send::expect::status_words;
use crate::untrusted::clean;

/// Columns of the method: POST, GET.
const METHOD: usize = 4;

/// A reply of at most so many characters stands in the delivery's line.
const SHORT_REPLY: usize = 24;

/// How many lines of a reply are shown without `verbose`.
const REPLY_LINES: usize = 6;

/// One delivery: a line, and below it a longer reply, the reason of a failure, and with `verbose` the headers.
pub fn delivery(delivery: &Delivery, theme: Theme, verbose: bool) -> String {
    let first = what(delivery, theme);
    let Some(last) = delivery.last() else {
        return first + "\n";
    };
    let first = format!("{first}  {}", result(delivery, last, theme));
    let reply = reply(last, theme, verbose);
    if let [reply] = reply.as_slice()
        && delivery.ok
        && !verbose
        && reply.chars().count() <= SHORT_REPLY
    {
        let reply = theme.paint(Role::Faint, &format!("· {reply}"));
        return format!("{first} {reply}\n");
    }
    let mut lines = Vec::new();
    // The reason is in the line already if it is the failure or the status.
    let by_status = last
        .status
        .map(|status| format!("answered {}", status_words(status)));
    if let Some(why) = &delivery.why
        && last.failure.is_none()
        && by_status.as_ref() != Some(why)
    {
        lines.push(theme.paint(Role::Bad, &clean(why)));
    }
    if verbose && let Some(response) = &last.response {
        lines.extend(response.headers.iter().map(|header| {
            let name = theme.paint(Role::Name, &clean(&header.name));
            format!("{name}: {}", clean(&header.text()))
        }));
    }
    lines.extend(reply);
    format!("{first}\n{}", indented(&lines, "    "))
}

/// `✓ #3 POST customer-no-answer b missed copy 1`.
fn what(delivery: &Delivery, theme: Theme) -> String {
    let (role, mark) = if delivery.ok {
        (Role::Good, "✓")
    } else {
        (Role::Bad, "✗")
    };
    let mut text = format!(
        "{} {} {:<METHOD$} {}",
        theme.paint(role, mark),
        theme.paint(Role::Strong, &format!("#{}", delivery.n)),
        clean(&delivery.method),
        delivery.scenario
    );
    if let Some(cdr) = &delivery.cdr {
        let shown = cdr.leg_and_status();
        for word in [&shown.leg, &shown.status]
            .into_iter()
            .filter_map(Value::as_str)
        {
            let _ = write!(text, " {}", clean(word));
        }
    }
    if delivery.copy > 0 {
        let _ = write!(text, " copy {}", delivery.copy);
    }
    text
}

/// `200 OK · 1.4 ms · attempt 2`, or the failure in the place of the status.
fn result(delivery: &Delivery, last: &Attempt, theme: Theme) -> String {
    let role = if delivery.ok { Role::Good } else { Role::Bad };
    let result = match (&last.failure, last.status) {
        (Some(failure), _) => clean(&failure.text),
        (None, Some(status)) => status_words(status),
        (None, None) => "no answer".to_owned(),
    };
    let mut took = format!("· {}", format_duration(last.latency));
    if delivery.attempts.len() > 1 {
        let _ = write!(took, " · attempt {}", delivery.attempts.len());
    }
    theme.paint(role, &result) + " " + &theme.paint(Role::Faint, &took)
}

/// The lines of the reply's body; the title of a page of HTML, unless `verbose`.
fn reply(last: &Attempt, theme: Theme, verbose: bool) -> Vec<String> {
    let response = last.response.as_ref();
    let Some(response) = response.filter(|response| !response.body.is_empty()) else {
        return Vec::new();
    };
    let content_type = header(&response.headers, "content-type");
    let is_html = content_type.is_some_and(|content_type| content_type.contains("html"));
    if is_html
        && !verbose
        && let Some(title) = title(&response.body.0)
    {
        return vec![format!("a page: {}", clean(title.trim()))];
    }
    let faint = |text: String| theme.paint(Role::Faint, &text);
    let mut lines = body::lines(&response.body.0, theme);
    if !response.complete {
        let size = response.size;
        lines.push(faint(format!(
            "… and more, of which only {size} bytes were read"
        )));
    }
    if lines.len() > REPLY_LINES && !verbose {
        let more = plural((lines.len() - REPLY_LINES) as u64, "line");
        lines.truncate(REPLY_LINES);
        lines.push(faint(format!("… {more} more (-v shows them)")));
    }
    lines
}

fn title(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    Some(title.chars().take(100).collect())
}

/// The last lines of a run: the outcome, the statuses and failures, the latencies.
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
        let _ = write!(out, " · {} dropped on purpose", summary.dropped);
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

/// A table of the latencies, and of the lateness if there was a schedule.
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

/// A histogram needs so many answers.
const MIN_ANSWERS: u64 = 20;

/// Columns of the longest bar.
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
        let bar = format!("{:<36}", "█".repeat(length));
        let (up_to, bar) = (
            format_duration(bucket.up_to),
            theme.paint(Role::Number, &bar),
        );
        let _ = writeln!(out, "{up_to:>9} {bar} {}", bucket.count);
    }
    out
}

/// The causes of the failures of a run, for the hints.
#[derive(Debug, Default)]
pub struct Causes {
    statuses: BTreeSet<u16>,
    failures: BTreeSet<(FailureKind, Phase)>,
    by_get: bool,
}

impl Causes {
    /// Notes a delivery that failed.
    pub fn note(&mut self, delivery: &Delivery) {
        if let Some(last) = delivery.last() {
            self.statuses.extend(last.status);
            let failure = last.failure.as_ref();
            self.failures
                .extend(failure.map(|failure| (failure.kind, failure.phase)));
            self.by_get |= delivery.method == "GET";
        }
    }

    /// What people can do about the failures, each cause once.
    pub fn hints(&self) -> Vec<&'static str> {
        let failures = self.failures.iter();
        let failures = failures.filter_map(|(kind, phase)| failure_hint(*kind, *phase));
        let statuses = self.statuses.iter();
        let statuses = statuses.filter_map(|status| status_hint(*status, self.by_get));
        let mut hints: Vec<_> = failures.chain(statuses).collect();
        hints.dedup();
        hints
    }
}

fn status_hint(status: u16, by_get: bool) -> Option<&'static str> {
    Some(match status {
        404 => "404: is the path right? TeleCMI's own examples use /webhook/cdr",
        405 if by_get => "405: the handler does not take GET; if your dashboard says GET, it must",
        405 => "405: the handler does not take POST at this path",
        400 | 422 => {
            "the handler refused the payload: its reply above says why, if it says anything"
        }
        401 | 403 => {
            "the handler wants credentials, which TeleCMI does not send: put a token into the URL's path or query"
        }
        415 => "415: the handler does not take application/json",
        500..=599 => "the handler failed: its own log says more than its answer",
        _ => return None,
    })
}

fn failure_hint(kind: FailureKind, phase: Phase) -> Option<&'static str> {
    Some(match (kind, phase) {
        (FailureKind::Dns, _) | (FailureKind::Timeout, Phase::Dns) => {
            "the host is not known: is it spelled right?"
        }
        (FailureKind::Refused, _) => {
            "nothing listens there: is the handler running, and is the port right?"
        }
        (FailureKind::Timeout, Phase::Connect) => {
            "nothing answers there: is the address right, or does a firewall stand before it?"
        }
        (FailureKind::Tls, _) => {
            "--cacert FILE trusts a certificate, -k trusts any; a local handler usually speaks http://"
        }
        (FailureKind::Closed | FailureKind::NotHttp | FailureKind::Timeout, Phase::Tls) => {
            "does it speak TLS at all? a local handler usually speaks http://"
        }
        (FailureKind::Timeout, _) => {
            "the handler took too long: answer first and work afterwards, or allow more with --timeout"
        }
        (FailureKind::KeptConnectionClosed, _) => {
            "the handler closed a kept connection, and the request on it may have arrived or not: --retry sends it again"
        }
        (FailureKind::Closed, Phase::Send | Phase::Wait) => {
            "the handler hung up before its answer was whole: look for a crash in its log, or does it want https://?"
        }
        (FailureKind::Closed, _) => {
            "the handler hung up before its answer was whole: look for a crash in its log"
        }
        (FailureKind::NotHttp, _) => {
            "what answers there does not speak HTTP: is the port right, and should it be https://?"
        }
        (FailureKind::Redirect, _) => {
            "TeleCMI is not known to follow redirects: register the final address"
        }
        (FailureKind::Other, _) => return None,
    })
}
