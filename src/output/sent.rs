//! What the sender shows a person: a line a delivery, and a summary. Pure: value and theme in, text out.

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

/// The methods that CDRs come by are no longer than this.
const WIDEST_METHOD: usize = 4;

/// A reply of so many characters stands in the delivery's own line.
const SHORT_REPLY: usize = 24;

/// As many lines of a reply are shown under a failed delivery.
const LINES_OF_A_REPLY: usize = 6;

/// One delivery: a line, with the handler's reply; more lines where it failed or `verbose` asks for them.
#[must_use]
pub fn delivery(delivery: &Delivery, theme: Theme, verbose: bool) -> String {
    let first = what(delivery, theme);
    let Some(last) = delivery.last() else {
        return first + "\n";
    };
    let first = format!("{first}  {}", result(delivery, last, theme));
    let most = if verbose {
        usize::MAX
    } else {
        LINES_OF_A_REPLY
    };
    let reply = reply(last, theme, most);
    if let [reply] = reply.as_slice()
        && delivery.ok
        && !verbose
        && reply.chars().count() <= SHORT_REPLY
    {
        return format!(
            "{first} {}\n",
            theme.paint(Role::Faint, &format!("· {reply}"))
        );
    }
    let mut lines = Vec::new();
    if let Some(why) = &delivery.why
        && last.failure.is_none()
        && last
            .status
            .is_none_or(|status| *why != said_already(status))
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

/// `✓ #3 POST customer-no-answer b missed`, and which copy it is.
fn what(delivery: &Delivery, theme: Theme) -> String {
    let (role, mark) = if delivery.ok {
        (Role::Good, "✓")
    } else {
        (Role::Bad, "✗")
    };
    let mut text = format!(
        "{} {} {:<WIDEST_METHOD$} {}",
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

/// The reason that the line of a delivery gives by itself.
fn said_already(status: u16) -> String {
    format!("answered {}", status_words(status))
}

/// `200 OK · 1.4 ms`, or what went wrong, after how many attempts.
fn result(delivery: &Delivery, last: &Attempt, theme: Theme) -> String {
    let role = if delivery.ok { Role::Good } else { Role::Bad };
    let result = match (&last.failure, last.status) {
        (Some(failure), _) => clean(&failure.text),
        (None, Some(status)) => status_words(status).to_string(),
        (None, None) => "no answer".to_owned(),
    };
    let mut took = format!("· {}", format_duration(last.latency));
    if delivery.attempts.len() > 1 {
        let _ = write!(took, " · attempt {}", delivery.attempts.len());
    }
    format!(
        "{} {}",
        theme.paint(role, &result),
        theme.paint(Role::Faint, &took)
    )
}

/// The reply's body, a few lines of it. A page of HTML says nothing on a terminal: its title does.
fn reply(last: &Attempt, theme: Theme, most: usize) -> Vec<String> {
    let Some(response) = last
        .response
        .as_ref()
        .filter(|response| !response.body.is_empty())
    else {
        return Vec::new();
    };
    let is_html = header(&response.headers, "content-type")
        .is_some_and(|content_type| content_type.contains("html"));
    if let Some(title) = is_html
        .then(|| title(&response.body.0))
        .flatten()
        .filter(|_| most != usize::MAX)
    {
        return vec![format!("a page: {}", clean(title.trim()))];
    }
    let mut lines = body::lines(&response.body.0, theme);
    if !response.complete {
        lines.push(theme.paint(
            Role::Faint,
            &format!(
                "… and more, of which only {} bytes were read",
                response.size
            ),
        ));
    }
    if lines.len() > most {
        let unseen = lines.len() - most;
        lines.truncate(most);
        lines.push(theme.paint(
            Role::Faint,
            &format!("… {} more (-v shows them)", plural(unseen as u64, "line")),
        ));
    }
    lines
}

fn title(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("<title>")?;
    rest.split_once("</title>")
        .map(|(title, _)| title.chars().take(100).collect())
}

/// The last lines of a run: what came of it, how long answers took.
#[must_use]
pub fn summary(summary: &Summary, theme: Theme) -> String {
    let mut out = String::from(if summary.deliveries == 0 { "" } else { "\n" });
    let outcome = match (summary.exit, summary.failed) {
        (Exit::Interrupted | Exit::Terminated, _) => theme.paint(Role::Bad, &interrupted(summary)),
        (_, 0) => theme.paint(Role::Good, &format!("{} delivered", summary.ok)),
        (_, failed) => theme.paint(
            Role::Bad,
            &format!("{failed} of {} failed", summary.deliveries),
        ),
    };
    let mut first = vec![outcome];
    if summary.dropped > 0 {
        first.push(format!("{} dropped on purpose", summary.dropped));
    }
    first.push(format_duration(summary.elapsed));
    first.push(format!("{:.1}/s", summary.requests_per_s));
    let _ = writeln!(out, "{}", first.join(" · "));
    let statuses = summary
        .by_status
        .iter()
        .map(|(status, count)| (*count, status_words(*status)));
    let failures = summary
        .by_failure
        .iter()
        .map(|(kind, count)| (*count, kind.to_string().into()));
    for (count, what) in statuses.chain(failures) {
        let _ = writeln!(out, "  {count:>7}  {what}");
    }
    if let Some(latency) = &summary.latency_ms {
        out.push_str(&spread(
            "latency",
            latency,
            summary.lateness_ms.as_ref(),
            theme,
        ));
    }
    out.push_str(&histogram(summary, theme));
    out
}

fn interrupted(summary: &Summary) -> String {
    match summary.planned {
        Some(planned) => format!("interrupted after {} of {planned}", summary.deliveries),
        None => format!("interrupted after {}", summary.deliveries),
    }
}

/// A table of two lines, or three where there was a schedule to be late for.
fn spread(
    name: &str,
    latency: &LatencySummary,
    lateness: Option<&LatencySummary>,
    theme: Theme,
) -> String {
    let mut out = format!("\n{:<9}", "");
    for column in ["min", "mean", "p50", "p90", "p99", "max"] {
        let _ = write!(out, "{}", theme.paint(Role::Faint, &format!("{column:>8}")));
    }
    out.push('\n');
    for (name, spread) in [(name, Some(latency)), ("lateness", lateness)] {
        let Some(spread) = spread else { continue };
        let _ = write!(out, "{name:<9}");
        for ms in [
            spread.min,
            spread.mean,
            spread.p50,
            spread.p90,
            spread.p99,
            spread.max,
        ] {
            let _ = write!(
                out,
                "{:>8}",
                format_duration(Duration::from_secs_f64(ms / 1e3))
            );
        }
        out.push('\n');
    }
    out
}

/// Fewer answers than this are not worth a picture.
const WORTH_A_HISTOGRAM: u64 = 20;

fn histogram(summary: &Summary, theme: Theme) -> String {
    const WIDEST: u64 = 36;
    let total: u64 = summary.buckets.iter().map(|bar| bar.count).sum();
    let most = summary
        .buckets
        .iter()
        .map(|bar| bar.count)
        .max()
        .unwrap_or(0);
    if total < WORTH_A_HISTOGRAM {
        return String::new();
    }
    let mut out = String::from("\n");
    for bar in &summary.buckets {
        let length = usize::try_from((bar.count * WIDEST).div_ceil(most.max(1))).unwrap_or(0);
        let drawn = format!("{:<36}", "█".repeat(length));
        let _ = writeln!(
            out,
            "{:>9} {} {}",
            format_duration(bar.up_to),
            theme.paint(Role::Number, &drawn),
            bar.count
        );
    }
    out
}

/// What went wrong in a run, each cause once.
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
            self.failures.extend(
                last.failure
                    .as_ref()
                    .map(|failure| (failure.kind, failure.phase)),
            );
            self.by_get |= delivery.method == "GET";
        }
    }
}

/// What people can do about the failures of a run, each cause once.
#[must_use]
pub fn hints(causes: &Causes) -> Vec<&'static str> {
    let mut hints: Vec<_> = causes
        .failures
        .iter()
        .filter_map(|(kind, phase)| failure_hint(*kind, *phase))
        .collect();
    for status in &causes.statuses {
        hints.extend(match status {
            404 => Some("404: is the path right? TeleCMI's own examples use /webhook/cdr"),
            405 if causes.by_get => Some("405: the handler does not take GET; if your dashboard says GET, it must"),
            405 => Some("405: the handler does not take POST at this path"),
            400 | 422 => Some("the handler refused the payload: its reply above says why, if it says anything"),
            401 | 403 => Some("the handler wants credentials, which TeleCMI does not send: put a token into the URL's path or query"),
            415 => Some("415: the handler does not take application/json"),
            500..=599 => Some("the handler failed: its own log says more than its answer"),
            _ => None,
        });
    }
    hints.dedup();
    hints
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
